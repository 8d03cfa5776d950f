//! Processes: starting them, linking and monitoring them, exit reasons, and what can be seen of one.
//!
//! The verbs act for the running process through the kernel ([`runtime`](crate::runtime)), which holds one
//! record per process.
//!
//! ```
//! use riot_actor::{exit, process::{SpawnOptions, info, wait}, run, Reason};
//!
//! run(async {
//!     let pid = SpawnOptions::new().label("clerk").spawn(std::future::pending::<()>());
//!     assert_eq!(info(pid).and_then(|info| info.label).as_deref(), Some("clerk"));
//!     let end = wait(pid);
//!     exit(pid, Reason::Shutdown);
//!     assert_eq!(end.await, Reason::Shutdown);
//! });
//! ```

pub(crate) mod exit;
pub(crate) mod info;
pub(crate) mod link;
pub(crate) mod local;
pub(crate) mod look;
pub(crate) mod monitor;
pub(crate) mod notice;
pub(crate) mod pid;
pub(crate) mod priority;
pub(crate) mod reason;
pub(crate) mod spawn;
pub(crate) mod top;
pub(crate) mod tree;
pub(crate) mod waiting;

pub use self::{
    exit::{exit, exit_self, is_alive, trap_exit},
    info::{
        ProcessInfo, ProcessState, ProcessSummary, RelationCounts, info, processes, set_label, set_priority,
        summaries,
    },
    link::{link, unlink, unlink_flush},
    local::{ProcessLocal, ancestors},
    monitor::{demonitor, demonitor_flush, monitor, monitor_name},
    notice::{Down, Exit, MonitorRef},
    pid::{ParsePidError, Pid},
    priority::Priority,
    reason::{Detail, ExitError, IntoReason, OrReason, Outcome, Reason, ok},
    spawn::{SpawnError, SpawnOptions, spawn, spawn_link, spawn_monitor},
    top::{By, ProcessGrowth, for_each_summary, top, top_window},
    tree::{ProcessNode, ProcessSubtree, ProcessTree, tree},
    waiting::{CallId, IoOperation, WaitingFor},
};
#[doc(no_inline)]
pub use crate::process_local;
pub use crate::{
    call::{INSPECT_TIMEOUT, Wait, inspect, join, wait},
    guard::{
        catch_panic::{CatchPanic, catch_panic},
        contain,
        panic::{Panic, PanicPayload},
    },
    observe::wait_graph::{WaitEdge, WaitGraph, WaitNode, wait_graph},
    runtime::{
        context::{this, try_this},
        coop::yield_now,
        kernel::inspection::{Inspection, MessageCount},
        scheduler::busy::BusySampling,
    },
};

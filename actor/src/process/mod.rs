//! Processes: starting them, linking and monitoring them, exit reasons, and what can be seen of one.
//!
//! The verbs act for the running process through the kernel ([`runtime`](crate::runtime)), which holds one record per
//! process.
//!
//! ```
//! use riot_actor::{process::{SpawnOptions, info, wait}, run, Reason};
//!
//! run(async {
//!     let pid = SpawnOptions::new().label("clerk").spawn(async { Reason::other("closed") });
//!     assert_eq!(info(pid).and_then(|info| info.label).as_deref(), Some("clerk"));
//!     assert_eq!(wait(pid).await, Reason::other("closed"));
//! });
//! ```

pub(crate) mod info;
pub(crate) mod pid;
pub(crate) mod priority;
pub(crate) mod reason;
pub(crate) mod signal;
pub(crate) mod spawn;
pub(crate) mod tree;

pub use self::{
    info::{ProcessInfo, ProcessState, info, processes, set_label, set_priority},
    pid::Pid,
    priority::Priority,
    reason::{Detail, Outcome, Panic, Reason},
    signal::{
        Down, Exit, MonitorRef, demonitor, demonitor_flush, exit, exit_self, is_alive, link, monitor,
        monitor_name, trap_exit, unlink, unlink_flush,
    },
    spawn::{SpawnOptions, spawn, spawn_link, spawn_monitor},
    tree::{ProcessNode, ProcessTree, tree},
};
pub use crate::{
    call::{Wait, join, wait},
    runtime::{
        coop::yield_now,
        panic::{CatchPanic, catch_panic},
        shared::{this, try_this},
    },
};

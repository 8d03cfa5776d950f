//! Erlang's processes in Rust: each has a mailbox and a name that outlives it, they share nothing, and when one
//! crashes only those hear of it that asked to.
//!
//! A process is a future with a pid. Free functions act for the one that runs: [`this`], [`send`], [`receive()`],
//! [`spawn`], [`link`], [`monitor`].
//!
//! ```
//! use riot_actor::{monitor, receive, run, send, spawn, this};
//!
//! struct Hello(&'static str);
//!
//! run(async {
//!     let pid = spawn(async {
//!         let Hello(name) = receive().await; // the first message of type Hello; others keep their place
//!         println!("hello {name} from {}", this());
//!     });
//!     send(pid, Hello("world"));
//!     monitor(pid).down().await;
//! });
//! ```
//!
//! The rules are Erlang's; where they differ the documentation says so and why. The largest difference: a process
//! gives way only where it awaits, since nothing can stop a running poll.
#![deny(unsafe_code)] // It stands in a few small places, each with its proof: search for `expect(unsafe_code`.

#[doc = include_str!("../COSTS.md")]
pub mod costs {}

#[doc = include_str!("../CONTRACT.md")]
pub mod contract {}

mod addr;
mod application;
mod blocking;
mod bound;
mod call;
mod clock;
mod config;
mod context;
pub mod coop;
pub mod driver;
mod exit;
mod gen_server;
mod group;
mod handle;
#[cfg(all(unix, feature = "signals"))]
mod interrupt;
mod lock;
pub mod log;
mod mailbox;
mod message;
#[cfg(doctest)]
mod misuse;
#[cfg(all(test, riot_loom))]
mod models;
mod panic;
mod part_waker;
mod pid;
mod planted;
mod process;
mod random;
mod receive;
mod registry;
mod report;
mod runtime;
mod scheduler;
mod send;
mod short_lock;
mod signal;
pub mod simulation;
mod state_machine;
mod sync;
mod task;
pub mod telemetry;
mod timer;
mod trace;

pub use addr::{Addr, Inbox};
pub use application::Application;
pub use blocking::blocking;
pub use bound::{MailboxFull, Overflow};
pub use call::{CALL_TIMEOUT, CallError, ReplyTo, Request, Wait, call, join, wait};
pub use config::{Config, RunError, run};
pub use coop::yield_now;
pub use exit::{Detail, Outcome, Panic, Reason};
pub use gen_server::{
    Call, Cast, GenServer, PendingReply, ServerOptions, ServerRef, StartError, Stop, StopError, server,
};
pub use group::{
    GroupChange, GroupEvent, NotJoined, broadcast, demonitor_group, join_group, leave_group, members,
    monitor_group,
};
pub use handle::Handle;
pub use message::Message;
pub use panic::{CatchPanic, catch_panic};
pub use part_waker::{WakePart, part_waker};
pub use pid::Pid;
pub use process::{
    Priority,
    info::{ProcessInfo, State, info, processes, set_label, set_priority},
    spawn::{SpawnOptions, spawn, spawn_link, spawn_monitor},
    tree::{Node, Tree, tree},
};
pub use random::random;
#[doc(hidden)]
pub use receive::__private;
pub use receive::{
    AnyOfType, If, Limited, Mark, Receive, Select, TimedOut, Wanted, mark, receive, receive_any, receive_if,
    receive_timeout, select, timeout,
};
pub use registry::{
    Name, NameTaken, NoSuchName, RegisterError, Undelivered, await_name, register, send_name, unregister,
    whereis,
};
pub use report::CrashReport;
pub use runtime::{now, recently, shutdown, this, try_this};
pub use scheduler::stats::{SchedulerStats, WorkerStats, scheduler_stats};
pub use send::{SendWait, TrySendError, send, send_wait, try_send};
pub use signal::{
    Down, Exit, MonitorRef, demonitor, demonitor_flush, exit, exit_now, is_alive, link, monitor,
    monitor_name, trap_exit, unlink, unlink_flush,
};
pub use state_machine::{Input, Machine, MachineRef, StateMachine, Step};
pub use task::{Task, TaskError, task};
pub use timer::{
    Interval, SendLater, Sleep, Timeout, TimerRef, ZeroPeriod, interval, send_after, send_interval, sleep,
    sleep_until, start_timer,
};
pub use trace::{TraceEvent, Traced, trace};

/// What stands behind this is seldom done: its code goes out of the way of the rest. A jump that is taken costs more than
/// any instruction besides where the kernel has used the processor's tables meanwhile.
#[doc(hidden)]
#[cold]
#[inline]
pub const fn seldom() {}

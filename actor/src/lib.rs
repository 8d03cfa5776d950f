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
pub mod call;
mod clock;
mod config;
mod context;
pub mod coop;
pub mod driver;
mod exit;
pub mod gen_server;
pub mod group;
mod handle;
#[cfg(all(unix, feature = "signals"))]
mod interrupt;
mod lock;
pub mod log;
pub mod mailbox;
mod message;
#[cfg(doctest)]
mod misuse;
#[cfg(all(test, riot_loom))]
mod models;
mod panic;
mod part_waker;
mod pid;
mod planted;
pub mod process;
mod random;
mod receive;
mod registry;
mod report;
pub mod runtime;
mod scheduler;
mod send;
mod short_lock;
mod signal;
pub mod simulation;
pub mod state_machine;
mod sync;
pub mod task;
pub mod telemetry;
mod timer;
pub mod trace;

pub mod name {
    //! Names of processes: a process registers one, others find it and send to it by that name.

    pub use crate::registry::{
        Name, NameTaken, NoSuchName, RegisterError, Undelivered, register, send_named, unregister,
        wait_for_name, whereis,
    };
}

pub mod stats {
    //! Counters of the scheduler, for each worker and in sum.

    pub use crate::scheduler::stats::{SchedulerStats, WorkerStats, scheduler_stats};
}

pub mod time {
    //! Clocks, sleeping, timeouts, and messages sent later.

    pub use crate::{
        receive::{TimedOut, TimeoutFuture, timeout},
        runtime::{now, now_coarse},
        timer::{
            Interval, SendLater, Sleep, Timeout, TimerRef, ZeroPeriod, interval, send_after, send_interval,
            sleep, sleep_until, start_timer,
        },
    };
}

pub use call::call;
pub use config::run;
pub use exit::Reason;
pub use message::Message;
pub use pid::Pid;
pub use process::spawn::{spawn, spawn_link};
#[doc(hidden)]
pub use receive::__private;
pub use receive::{receive, timeout};
pub use registry::{register, whereis};
pub use runtime::{now, this};
pub use send::send;
pub use signal::{Down, Exit, demonitor, exit, link, monitor, trap_exit, unlink};
pub use timer::sleep;

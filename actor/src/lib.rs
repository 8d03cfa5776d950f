//! Erlang's processes in Rust: each process has a mailbox and a pid that is never given to another, processes
//! share nothing, and a crash stays in its process unless another one is linked to it.
//!
//! A process is a future with a pid. Free functions act for the running process: [`this`], [`send`],
//! [`receive()`], [`spawn`], [`link`], [`monitor`]. They stand at the root; everything else is in the module
//! where it is looked for.
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
//! The rules are Erlang's and stand in [`contract`]; where they differ the documentation says so and why. The
//! largest difference: a process can be preempted only where it awaits, because a running poll cannot be
//! stopped.
//!
//! # The end of the whole program
//!
//! A panic ends a process. Supervision is of no use against what ends the program itself:
//!
//! - a panic while a panic unwinds, such as that of a destructor;
//! - a stack overflow, by recursion without a bound or a large value on the stack of a worker;
//! - a failed allocation, and the system's killer where memory is overcommitted;
//! - `std::process::abort` and `exit`, a fault in unsafe or foreign code, and a build with `panic = "abort"`.
//!
//! Run such work in a process of the operating system, and let that be restarted.
//!
//! # Glossary
//!
//! | term | meaning |
//! |---|---|
//! | process | a future with a pid, a mailbox, links and monitors; the unit of scheduling and of failure |
//! | pid | identifies one process; never reused, `Copy`, says nothing about whether the process lives |
//! | mailbox | the queue of messages accepted for a process; received selectively, by type and guard |
//! | message | a value of any `Send + 'static` type, moved from one process to another |
//! | signal | what acts on a process beside messages: exit signals, links, monitors |
//! | link | a symmetric relation: an abnormal exit of one side ends the other, unless that traps exits |
//! | monitor | a one-way relation: the watcher receives [`Down`] when the other process exits |
//! | exit reason | why a process ended: a [`Reason`], clean or abnormal |
//! | trap exits | receive exit signals as [`Exit`] messages instead of being ended by them |
//! | condemned | has an exit reason and receives nothing more, but is not released yet |
//! | release | the end of a process: body, messages and names are dropped, then links and monitors are told |
//! | crash report | describes an abnormal exit; goes to `tracing` and to [`runtime::Config::on_crash`] |
//! | runtime | the processes, workers, timers and names that one [`run`] starts and ends |
//! | worker | a thread that runs processes; by default there is one per core |
//! | poll slice | one run of a process by a worker, until it waits, yields, exits or has used its reductions |
//! | reductions | the budget of a poll slice, 2000; every await that could complete at once spends one |
//! | run queue | the runnable processes of one worker, in three lanes by priority; idle workers steal |
//! | LIFO slot | holds the process made runnable last, which its worker runs next |
//! | park, unpark | a worker without work sleeps; another thread ends that sleep |
//! | driver | what a worker sleeps in: a plain parker, or a poller of sockets that another crate installs |
//! | call | a request with one reply, outside the mailbox of the caller |
//! | generic server | a process with a state and handlers for calls, casts and other messages |
//! | process-local value | what a process keeps for itself under a static key; dropped in its release |
//! | table | keys and values that one process owns and all read |
//! | heir | the process that a table belongs to when its owner has exited |
//! | metadata | a value of a member of a group, which members and watchers see |
//! | simulation | a runtime on one thread, with a virtual clock and a schedule chosen by a seed |
#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(clippy::undocumented_unsafe_blocks)]
// Unsafe code is in a few small places, each with its proof: search for `expect(unsafe_code`.
#![deny(unsafe_code)]

#[doc = include_str!("../COSTS.md")]
pub mod costs {}

#[doc = include_str!("../CONTRACT.md")]
pub mod contract {}

pub mod call;
pub mod gen_server;
mod guard;
mod messages;
mod names;
mod observe;
pub mod process;
pub mod runtime;
pub mod state_machine;
mod sync;
pub mod table;
pub mod task;
mod testing;
pub mod time;

pub mod coop {
    //! Cooperative scheduling: how a future takes part in the budget of a poll slice.
    //!
    //! For authors of futures that may complete without waiting, such as reads of a socket that always has
    //! bytes.

    pub use crate::runtime::coop::poll_proceed;
}

pub mod driver {
    //! How an idle worker sleeps and is woken: the seam where a poller plugs in.
    //!
    //! Each worker has one driver. The first is a plain parker; a crate that has another source of events,
    //! such as sockets, replaces it on first use with [`install`]. Nothing here knows what the events are.

    #[doc(hidden)]
    pub use crate::runtime::kernel::observed::{note_read_wait, note_write_wait};
    pub use crate::{
        runtime::driver::{Driver, Unpark, common, install, worker},
        sync::indexed_waker::{WakeByIndex, indexed_waker},
    };
}

pub mod mailbox {
    //! Sending and receiving beyond the verbs at the root: by guard, with a timeout, into bounded mailboxes,
    //! by typed address.
    //!
    //! ```
    //! # use riot_actor::{mailbox::{receive_if, receive_timeout}, run, send, this};
    //! # run(async {
    //! (1..=3).for_each(|number| send(this(), number));
    //! assert_eq!(receive_if(|number| number % 2 == 0).await, 2);
    //! assert_eq!(receive_timeout::<i32>(std::time::Duration::ZERO).await, Ok(1));
    //! # });
    //! ```

    pub use crate::messages::{
        ByType, Filter, Mark, Receive, Select, Wanted,
        addr::{Addr, Inbox, NamedAddr},
        alias::{Alias, alias, priority_overflows},
        capacity::{MailboxFull, MailboxOverflow},
        mark,
        message::Message,
        receive, receive_any, receive_if, receive_timeout, select,
        send::{SendAsync, TrySendError, send, send_async, try_send},
    };
}

pub mod prelude {
    //! The items that most programs use, to be imported together.
    //!
    //! The preludes of the five crates can be imported together too: `Config` stands in that of `riot_http`
    //! alone, beside its `Server`.
    //!
    //! ```
    //! use riot_actor::prelude::*;
    //!
    //! run(async {
    //!     let pid = SpawnOptions::new().name("clerk").spawn(async {
    //!         let number: u32 = receive().await;
    //!         assert_eq!(number, 7);
    //!     });
    //!     send(pid, 7_u32);
    //!     assert_eq!(monitor(pid).down().await.reason, Reason::Normal);
    //! });
    //! ```

    pub use crate::{
        Down, Exit, Message, Pid, Reason,
        call::{CallError, CallRequest, ReplyTo},
        demonitor, exit,
        gen_server::{Call, Cast, GenServer, GenServerRef, Stop},
        link,
        mailbox::Addr,
        monitor, now, ok,
        process::{OrReason, SpawnOptions},
        receive, register, run,
        runtime::Application,
        send, sleep, spawn, spawn_link,
        state_machine::{StateMachine, Step},
        task::Task,
        this,
        time::TimedOut,
        timeout, trap_exit, unlink, whereis,
    };
}

pub mod simulation {
    //! A runtime on one thread: a seed chooses which process runs next, and the clock jumps when none
    //! can.
    //!
    //! A run is a function of its seed: one that fails is replayed by running the seed again.
    //!
    //! ```
    //! use riot_actor::{receive, send, simulation::Simulation, spawn, this};
    //!
    //! Simulation::sweep(0..20, || async {
    //!     let main = this();
    //!     (1..=2).for_each(|number: u8| drop(spawn(async move { send(main, number) })));
    //!     let (first, second) = (receive::<u8>().await, receive::<u8>().await);
    //!     assert_eq!(first + second, 3); // in either order
    //! });
    //! ```

    pub use crate::runtime::simulation::{Simulation, interleave};
}

pub mod stats {
    //! Counters of the scheduler, for each worker and in sum, and whether the workers make progress.
    //!
    //! ```
    //! # riot_actor::run(async {
    //! let stats = riot_actor::stats::scheduler_stats();
    //! assert!(stats.workers.iter().map(|worker| worker.slices).sum::<u64>() >= 1);
    //! # });
    //! ```

    pub use crate::runtime::scheduler::{
        liveness::workers_alive,
        stats::{SchedulerStats, WorkerStats, scheduler_stats},
    };
}

pub use call::call;
#[doc(hidden)]
pub use messages::__private;
pub use messages::{message::Message, receive, send::send};
#[doc(inline)]
pub use names::{
    group,
    registry::{self as name, register, whereis},
};
#[doc(inline)]
pub use observe::{alarm, log, telemetry, trace};
pub use process::{
    Down, Exit, Pid, Reason, demonitor, exit, link, monitor, ok, spawn, spawn_link, this, trap_exit, unlink,
};
pub use runtime::run;
pub use time::{now, sleep, timeout};

//! Keeping processes alive: a supervisor starts its children in order, hears when one ends, restarts it and whoever
//! depends on it, gives up when that does not help, and stops them in reverse order.
//!
//! The principles are those of OTP. A process that meets what it cannot handle crashes, and starts again from a state
//! that is known to be good; if that fails too often, the supervisor itself ends, and the matter is its parent's.
//!
//! ```
//! use std::time::Duration;
//! use riot_actor::{exit, mailbox::receive_if, run, Reason};
//! use riot_supervisor::{SupervisorEvent, Supervisor, process};
//!
//! let reason = run(async {
//!     let sup = Supervisor::rest_for_one()
//!         .intensity(3, Duration::from_secs(5))
//!         .child(process("store", || std::future::pending::<()>()))
//!         .child(process("clients", || std::future::pending::<()>())) // of no use without the store
//!         .start_link()
//!         .await?;
//!     sup.subscribe().await?;
//!
//!     let store = sup.which_children().await?[0].pid().expect("it runs");
//!     exit(store, Reason::other("a cosmic ray"));
//!
//!     for id in ["store", "clients"] {
//!         let event = receive_if(|event: &SupervisorEvent| matches!(event, SupervisorEvent::Restarted { .. })).await;
//!         assert!(matches!(event, SupervisorEvent::Restarted { id: restarted, .. } if restarted == id.into()));
//!     }
//!     Ok::<_, Reason>(())
//! });
//! # assert_eq!(reason, Reason::Normal);
//! ```
//!
//! Children that are known beforehand have an order and a strategy: [`Supervisor::one_for_one`],
//! [`one_for_all`](Supervisor::one_for_all), [`rest_for_one`](Supervisor::rest_for_one). Those that come and go live
//! below [`Supervisor::dynamic`]. Whatever has to be made together with the children is made by [`Supervisor::init`].
//!
//! A child is made of whatever starts a process: a body by [`process`], a generic server by [`server`], work that is
//! done once by [`task`], a supervisor by [`supervisor()`], anything else by [`worker`]. So a tree reads like an
//! outline:
//!
//! ```
//! # use std::time::Duration;
//! # use riot_actor::{gen_server::{GenServer, Stop}, run, Reason};
//! use riot_supervisor::{Supervisor, process, server, supervisor};
//! # struct Db;
//! # impl GenServer for Db { type Args = (); async fn init((): ()) -> Result<Self, Stop> { Ok(Db) } }
//! # async fn ticker() {}
//! # let reason = run(async {
//!
//! let shop = Supervisor::one_for_one()
//!     .child(process("ticker", ticker).transient())
//!     .child(supervisor("orders", || {
//!         Supervisor::rest_for_one()
//!             .intensity(3, Duration::from_secs(10))
//!             .child(server::<Db>("db", || ()))
//!             .child(supervisor("jobs", || Supervisor::dynamic().max_children(1_000).start_link()))
//!             .start_link()
//!     }))
//!     .start_link()
//!     .await?;
//! println!("{}", riot_actor::process::tree().find(shop.pid()).expect("it runs"));
//! # Ok::<_, Reason>(())
//! # });
//! # assert_eq!(reason, Reason::Normal);
//! ```
//!
//! # What differs from OTP
//! - A start function that fails or panics is a `Result`; the starter of a supervisor is never ended by it, trapping
//!   exits or not.
//! - After a kill a supervisor waits until the process is gone, however long that takes, and reports one that does not
//!   give way: no two processes of one child ever live at once. OTP can stop any process anywhere; Rust cannot.
//! - A child is linked after its start function has returned, whatever that did. OTP trusts it.
//! - The period of the intensity is a duration of the clock, not whole seconds; and what a restart costs does not
//!   depend on how many there were before.
//! - Children stopped with the group they belong to are reported as [`SupervisorEvent::Restarted`] when they are up again, and
//!   every event is a message for whoever wants it, not a log line only.
//! - An unknown message or cast is logged; it does not crash the supervisor.
//! - Beyond OTP: a delay between attempts to start what fails to start ([`Supervisor::retry_delay`],
//!   [`Supervisor::backoff`]); and of Elixir's, `max_children` and [`Partitioned`].
//! - Left out: changing a running supervisor's own settings (`code_change`), as there is no code to change.
//!
//! [`riot_actor::process::tree()`] shows what runs. Reports go to `tracing` under the target `riot::supervisor`, and to whoever
//! [subscribes](SupervisorRef::subscribe).
#![forbid(unsafe_code)]

#[doc = include_str!("../COSTS.md")]
pub mod costs {}

#[doc = include_str!("../CONTRACT.md")]
pub mod contract {}

mod backoff;
mod builder;
mod child_id;
mod child_spec;
mod children;
mod constructors;
mod dynamic;
mod error;
mod event;
mod intensity;
mod partition;
mod reference;
mod shutdown;
mod strategy;
mod supervisor;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use backoff::Backoff;
pub use builder::{Supervisor, SupervisorInit};
pub use child_id::{ChildId, ChildKey};
pub use child_spec::{ChildKind, ChildShutdown, ChildSpec, Restart, SpecSummary, WORKER_SHUTDOWN};
pub use constructors::{Ignore, IntoChild, process, server, supervisor, task, worker};
pub use error::{
    ChildError, DeleteChildError, FailedToStart, RestartChildError, SpecError, StartChildError,
    SupervisorStartError, SupervisorStopError,
};
pub use event::SupervisorEvent;
pub use partition::{Partitioned, Partitions};
pub use reference::{ChildCounts, ChildInfo, ChildState, SupervisorRef};
pub use strategy::AutoShutdown;

//! Keeping processes alive: a supervisor starts its children in order, hears when one ends, restarts it and whoever
//! depends on it, gives up when that does not help, and stops them in reverse order.
//!
//! The principles are those of OTP. A process that meets what it cannot handle crashes, and starts again from a state
//! that is known to be good; if that fails too often, the supervisor itself ends, and the matter is its parent's.
//!
//! ```
//! use std::time::Duration;
//! use riot_actor::{Reason, exit, receive_if, run};
//! use riot_supervisor::{Event, Supervisor, process};
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
//!         let event = receive_if(|event: &Event| matches!(event, Event::Restarted { .. })).await;
//!         assert!(matches!(event, Event::Restarted { id: restarted, .. } if restarted == id.into()));
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
//! [`tree`] shows what runs. Reports go to `tracing` under the target `riot::supervisor`, and to whoever
//! [subscribes](SupervisorRef::subscribe).
#![forbid(unsafe_code)]

mod backoff;
mod children;
mod dynamic;
mod error;
mod event;
mod intensity;
mod partition;
mod shutdown;
mod spec;
mod strategy;
mod supervisor;
mod tree;

pub use backoff::Backoff;
pub use error::{
    ChildError, DeleteChildError, FailedToStart, RestartChildError, SpecError, StartChildError, StartError,
    StopError,
};
pub use event::Event;
pub use partition::{Partitioned, Partitions};
pub use spec::{
    ChildId, ChildKey, ChildSpec, Ignore, IntoChild, Kind, Restart, Shutdown, SpecSummary, WORKER_SHUTDOWN,
    process, server, supervisor, task, worker,
};
pub use strategy::AutoShutdown;
pub use supervisor::{ChildInfo, ChildState, Counts, Init, Supervisor, SupervisorRef};
pub use tree::{Tree, tree};

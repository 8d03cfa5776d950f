//! Supervisors after OTP, which keep processes alive.
//!
//! A supervisor starts its children in order. When one ends it restarts that child and those that depend on
//! it. It gives up when restarts do not help, and stops its children in reverse order.
//!
//! The principle is OTP's: a process that meets an error it cannot handle crashes, and is restarted from a
//! state that is known to be good. If that happens too often, the supervisor itself ends, and its parent
//! restarts a larger part of the tree.
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
//!         .child(process("clients", || std::future::pending::<()>())) // restarted with the store
//!         .start_link()
//!         .await?;
//!     sup.subscribe().await?;
//!
//!     let store: riot_actor::Pid = sup.child("store").await.expect("it runs");
//!     exit(store, Reason::other("a cosmic ray"));
//!
//!     for id in ["store", "clients"] {
//!         let is_restart = |event: &SupervisorEvent| matches!(event, SupervisorEvent::Restarted { .. });
//!         let SupervisorEvent::Restarted { id: restarted, .. } = receive_if(is_restart).await else {
//!             unreachable!()
//!         };
//!         assert_eq!(restarted, id.into());
//!     }
//!     Ok::<_, Reason>(())
//! });
//! # assert_eq!(reason, Reason::Normal);
//! ```
//!
//! Children that are known beforehand have an order and a strategy: [`Supervisor::one_for_one`],
//! [`one_for_all`](Supervisor::one_for_all), [`rest_for_one`](Supervisor::rest_for_one). Children that come
//! and go live below [`Supervisor::dynamic`]. [`Supervisor::init`] describes a supervisor inside its own
//! process, together with resources that the children share.
//!
//! A child spec is made by a function: [`process`] for any `async fn`, [`server`] for a generic server,
//! [`task`] for work that is done once, [`process_with_start`] for one that says itself when it is up,
//! [`supervisor()`] for a nested supervisor, [`worker`] for any function that starts a process. So a tree
//! reads like an outline:
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
//! println!("{}", riot_actor::process::tree().find(shop.pid()).expect("the process runs"));
//! # Ok::<_, Reason>(())
//! # });
//! # assert_eq!(reason, Reason::Normal);
//! ```
//!
//! # What differs from OTP
//! - A start function that fails or panics gives a `Result`. It never ends the starter of the supervisor,
//!   whether that traps exits or not.
//! - After a kill a supervisor waits until the process is gone, and reports a process that does not yield:
//!   two processes of one child never live at once. OTP can stop a process at any point; Rust cannot.
//! - A supervisor links every child after its start function has returned. OTP trusts the function to link.
//! - The period of the intensity is measured in the clock's resolution, not in whole seconds. The cost of a
//!   restart does not depend on the number of earlier ones.
//! - Children stopped with their group are reported as [`SupervisorEvent::Restarted`] when they are up again.
//!   Every event is a message to subscribers, not only a log line.
//! - An unknown message or cast is logged and does not crash the supervisor.
//! - Beyond OTP: a delay between attempts to start a child that fails to start ([`Supervisor::retry_delay`],
//!   [`Supervisor::backoff`]); from Elixir, `max_children` and [`Partitioned`].
//! - Left out: `code_change`, since there is no code to change. [`SupervisorRef::replace_state`] changes the
//!   intensity and the bound of children of a running supervisor.
//!
//! [`riot_actor::process::tree()`] shows the running processes. Events go to `tracing` under the target
//! `riot::supervisor`, to [subscribers](SupervisorRef::subscribe), and to handlers of [`SupervisorEvent`].
//!
//! # Glossary
//! - **Child spec** ([`ChildSpec`]): how a child is started, restarted and stopped.
//! - **Static supervisor**: one with a strategy and an order of children. **Dynamic supervisor**: one whose
//!   children come and go.
//! - **Strategy**: which children are restarted with one that failed.
//! - **Restart intensity** ([`Supervisor::intensity`]): the bound of restarts in a period.
//! - **Restarting**: the state of a child whose last restart failed and will be tried again.
//! - **Significant child** ([`ChildSpec::significant`]): one whose end may end its supervisor.
//! - **Clean** and **abnormal** exit reasons, **link**, **signal**: see `riot_actor`.
//!
//! Nonsensical values, such as a period of zero, panic in the builder.
#![forbid(unsafe_code)]

#[doc = include_str!("../COSTS.md")]
pub mod costs {}

#[doc = include_str!("../CONTRACT.md")]
pub mod contract {}

mod backoff;
mod builder;
mod child_id;
mod child_spec;
mod child_type;
mod children;
mod constructors;
mod dynamic;
mod error;
mod event;
mod intensity;
mod named;
mod partition;
mod reference;
mod retry;
mod shutdown;
mod started;
mod strategy;
mod supervisor;
mod system;
mod view;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub mod prelude {
    //! The items that most programs use, to be imported together, also with the preludes of the other crates.
    //!
    //! ```
    //! use riot_actor::prelude::*;
    //! use riot_supervisor::prelude::*;
    //!
    //! # let reason =
    //! run(async {
    //!     let sup = Supervisor::one_for_one().child(process("idler", std::future::pending::<()>));
    //!     assert_eq!(sup.start_link().await?.count_children().await?.active, 1);
    //!     ok()
    //! });
    //! # assert_eq!(reason, Reason::Normal);
    //! ```

    pub use crate::{
        AutoShutdown, Backoff, ChildId, ChildShutdown, ChildSpec, Ignore, IntoChild, Restart, Retry, Started,
        Supervisor, SupervisorEvent, SupervisorRef, process, process_with_start, server, supervisor, task,
        worker,
    };
}

pub use backoff::Backoff;
pub use builder::{Supervisor, SupervisorInit};
pub use child_id::{ChildId, ChildKey};
pub use child_spec::{ChildKind, ChildShutdown, ChildSpec, Restart, SpecSummary, WORKER_SHUTDOWN};
pub use child_type::{ChildRef, ChildType, ServerChild, ServerSpec};
pub use constructors::{Ignore, IntoChild, process, server, supervisor, task, worker};
pub use error::{
    ChildError, DeleteChildError, FailedToStart, RestartChildError, SpecError, StartChildError,
    SupervisorStartError, SupervisorStopError,
};
pub use event::SupervisorEvent;
pub use named::NamedSupervisor;
pub use partition::{Partitioned, Partitions};
pub use reference::{ChildCounts, ChildInfo, ChildState, SupervisorRef};
pub use retry::Retry;
pub use started::{Started, StartedChild, process_with_start};
pub use strategy::AutoShutdown;
pub use system::{SupervisorSettings, SupervisorState, SupervisorStatistics};
pub use view::{ChildNode, MAX_LISTED_CHILDREN, SupervisorNode, children_of, supervision_tree};

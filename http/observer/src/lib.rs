//! Health, metrics and a page of what runs, for programs on riot.
//!
//! An [`Observer`] shows a running program on a listener of its own, below a path of a server, or inside an
//! axum router: browsers get a page, other clients JSON and metrics.
//! [`Health`] alone answers `/livez` and `/readyz`, without the rest.
//!
//! ```
//! use riot_http::{Reqd, Response, Server};
//! use riot_observer::{Health, Observer};
//! use riot_supervisor::Supervisor;
//!
//! # riot_actor::run(async {
//! let health = Health::new().server("web").readiness("db", || async { true });
//! let answer = |reqd: Reqd| async move { reqd.respond_with_string(Response::ok(), "hello") };
//! let web = Server::bind("127.0.0.1:0")?.name("web").handler(health.mount(answer));
//! // A listener of its own, so that it answers when the server is full.
//! let observer = Observer::new().health(&health).listen("127.0.0.1:0")?;
//! let supervisor = Supervisor::one_for_one()
//!     .child(web.child_spec("web"))
//!     .child(observer.child_spec("observer"))
//!     .start_link()
//!     .await?;
//! # supervisor.stop(riot_actor::Reason::Normal).await?;
//! # Ok::<(), riot_actor::Reason>(())
//! # });
//! ```
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `tower` | `Observer::tower`: a tower service, for axum's `nest_service` |
//!
//! # Glossary
//!
//! **Liveness**: whether the workers make progress; a program that fails it should be restarted.
//! **Readiness**: whether the program wants clients. **Lame duck**: the time before a drain, in which clients
//! are served and told to go elsewhere. **Family**: the metrics of one name. **Series**: a metric with one
//! set of labels. **Scrape**: a request for all metrics.
//!
//! The rules that the observer follows, with their tests, are in [`contract`].
#![forbid(unsafe_code)]

#[doc = include_str!("../COSTS.md")]
pub mod costs {}

#[doc = include_str!("../CONTRACT.md")]
pub mod contract {}

mod api;
#[cfg(unix)]
mod console;
mod core;
mod data;
#[cfg(any(test, feature = "tower"))]
mod head;
mod health;
mod history;
mod message;
mod metrics;
mod mount;
mod observer;
mod page;
mod safety;
#[cfg(feature = "tower")]
mod tower;

#[cfg(unix)]
pub use console::{Console, ConsoleReply, Execution};
pub use health::{CheckResult, Health, HealthState};
pub use metrics::{MetricError, MetricValue, MetricsResult, MetricsWriter};
pub use observer::Observer;
#[cfg(feature = "tower")]
pub use tower::{ObserverBody, ObserverService};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

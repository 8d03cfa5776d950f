//! Handlers and services, and the server that brings them requests.
//!
//! `handler` defines handlers and services, `serve` runs one for the requests of a connection, `tower`
//! makes a handler of any tower service, `axum` gives an axum router what it needs, `by_hyper` lets hyper
//! serve requests that ask for an upgrade, `http_server` puts the supervised tree around them. `telemetry`
//! has the events of requests, `stats` their counters and histograms.
//!
//! **Invariant:** user code runs here, in the client's Connector; no lock of the connection is held while it
//! does.

#[cfg(feature = "axum")]
mod axum;
#[cfg(feature = "hyper-upgrade")]
mod by_hyper;
#[cfg(feature = "driver")]
mod features;
mod handler;
#[cfg(feature = "driver")]
mod http_server;
mod serve;
#[cfg(feature = "driver")]
mod stats;
#[cfg(feature = "driver")]
pub mod telemetry;
#[cfg(feature = "tower")]
mod tower;

#[cfg(feature = "axum")]
pub use self::axum::{AxumService, AxumServing};
pub use handler::{AsyncOutput, Handler, HandlerOutput, Service, ServiceFunction, ServiceHandler, service};
#[cfg(feature = "driver")]
pub use http_server::{Server, Serving, start_link};
pub use serve::serve_requests;
#[cfg(feature = "driver")]
pub use stats::{DURATION_BOUNDS, Histogram, HttpStats, RequestSeries, SIZE_BOUNDS, stats};
#[cfg(feature = "tower")]
pub use tower::{OnUpgrade, TowerHandler, TowerService};

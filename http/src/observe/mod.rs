//! Knowledge of requests: counters that always count, and traces of single requests while they are watched.
//!
//! `counters` has one cache line for each thread; `trace` is what a connection notes of a request; `watch`
//! tells whether it is to, and passes finished notes on.

#[cfg_attr(not(feature = "driver"), expect(dead_code, reason = "the server of `driver` reads them"))]
mod counters;
#[cfg_attr(not(feature = "driver"), expect(dead_code, reason = "the server of `driver` reads them"))]
mod trace;
mod watch;

pub(crate) use counters::Counters;
pub use trace::{CutReason, Route};
pub(crate) use trace::{RequestTrace, Switch, TraceStage};
#[cfg(feature = "driver")]
pub(crate) use watch::{Interest, Reporter, WhenNoted};
pub(crate) use watch::{Peer, Watch};

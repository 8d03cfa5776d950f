//! Observing a running system: trace events, telemetry handlers, crash reports, log lines.
//!
//! Handlers of users run on the worker where the event happens, never under a lock; one that panics is
//! detached and reported. Everything that is off costs a load and a branch.

pub mod alarm;
pub(crate) mod crash_history;
pub(crate) mod crash_report;
pub mod log;
pub(crate) mod repeats;
mod system_monitor;
pub mod telemetry;
pub mod trace;
pub(crate) mod wait_graph;
mod watched;

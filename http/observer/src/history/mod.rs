//! Recent events, in bounded memory: `crashes` is the list of crashes, `requests` are latencies and the
//! slowest requests.
//!
//! Handlers of events fill both. They run in the process that emits an event, so they neither block nor call
//! code of the program, but for its texts inside the guard of the project.
//!
//! **Invariant:** the handler of requests is attached only for ten minutes after its view was read.

mod crashes;
mod requests;

pub(crate) use crashes::{CrashEntry, CrashList};
pub(crate) use requests::{COLUMN, RequestLog, SlowRequest};

use std::sync::Arc;

/// The recent events of a program.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) crashes: Arc<CrashList>,
    pub(crate) requests: Arc<RequestLog>,
}

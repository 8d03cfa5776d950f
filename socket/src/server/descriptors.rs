//! The program's limit of open descriptors: raised at the start, and compared with what servers may need.

use std::sync::{
    Once,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::reaper::ServerSet;

/// The descriptors that a program needs beside those of its connections: for pollers, listeners, files.
const OTHERS: u64 = 32;

/// Raises the soft limit of the program to the hard one, the first time that this is called. If the system
/// refuses, the limit stays.
pub(super) fn raise_limit() {
    static RAISED: Once = Once::new();
    RAISED.call_once(|| {
        let limit = getrlimit(Resource::Nofile);
        if limit.current == limit.maximum {
            return;
        }
        if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
            riot_actor::log_event!(DEBUG, "riot::socket", "the limit of open files stays: {error}");
        }
    });
}

/// Warns, once in a program, if its servers may have more connections than the limit leaves room for.
pub(super) fn warn_if_too_few(servers: &ServerSet) {
    static WARNED: AtomicBool = AtomicBool::new(false);
    let Some(limit) = getrlimit(Resource::Nofile).current else { return };
    let wanted = servers
        .servers()
        .iter()
        .fold(0_u64, |sum, server| sum.saturating_add(server.permits.max().try_into().unwrap_or(u64::MAX)));
    if wanted.saturating_add(OTHERS) > limit && !WARNED.swap(true, Relaxed) {
        riot_actor::log_event!(
            WARN,
            "riot::socket",
            "the limit of {limit} open files has no room for {wanted} connections (max_connections): \
             idle ones will give way unless the limit is raised or max_connections lowered"
        );
    }
}

//! The running program as JSON: one function for each view. The API shows them one by one.
//!
//! `program` is the whole program, `processes` are lists and trees of processes, `network` is servers and
//! connections, `recent` is requests and crashes of late, `page` sorts and cuts lists.
//!
//! Pids are texts, durations end with `_ms`, sizes with `_bytes`, and what is not known is `null`. A view is
//! read on a thread that no process waits for: with many processes it takes milliseconds.
//!
//! **Invariant:** reading sends no message and waits for no process, so busy and stuck ones are shown too.
//! Only the mailbox of one process is told by that process itself, before it is read.

mod network;
mod page;
mod processes;
mod program;
mod recent;

pub(crate) use network::{CONNECTION_KEYS, connections, servers};
pub(crate) use page::Page;
pub(crate) use processes::{PROCESS_KEYS, ProcessFilter, groups, names, process, processes, timers, tree};
pub(crate) use program::{Program, home};
pub(crate) use recent::{crashes, http};

use riot_actor::runtime::{Handle, blocking};

/// Reads a view away from the workers.
pub(crate) async fn read<T: Send + 'static>(view: impl FnOnce(&Handle) -> T + Send + 'static) -> T {
    let handle = Handle::current();
    blocking(move || handle.enter(|| view(&handle))).await
}

/// Returns a duration in whole milliseconds.
pub(crate) fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

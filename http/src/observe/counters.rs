//! Counters of responses, which always count.

use std::{
    cell::Cell,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};

use http::StatusCode;

use super::CutReason;

/// The number of cache lines that threads count on, so that workers do not wait for each other: 16. Later
/// threads share them.
const SHARDS: usize = 16;

thread_local! {
    /// The place of the thread among the shards; [`SHARDS`] before it has one.
    // perf: keep-alive, 2 instructions for its own initialization, 9 by that of the standard library
    static SHARD: Cell<usize> = const { Cell::new(SHARDS) };
}

#[cold]
fn take_shard() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    let shard = THREADS.fetch_add(1, Relaxed) % SHARDS;
    SHARD.set(shard);
    shard
}

/// The counters of a server. They are exact.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    shards: [Shard; SHARDS],
    /// Requests whose handler ended before it gave a response, and that got none.
    unanswered: AtomicU64,
    cut: [AtomicU64; CutReason::COUNT],
    handler_errors: AtomicU64,
}

/// Responses by the first digit of their status, 0 to 7.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Shard([AtomicU64; 8]);

impl Counters {
    /// Counts a response.
    #[inline]
    pub(crate) fn count(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100) % 8;
        let shard = SHARD.get();
        let shard = if shard < SHARDS { shard } else { take_shard() };
        self.shards[shard].0[class].fetch_add(1, Relaxed);
    }

    #[cold]
    pub(crate) fn count_unanswered(&self) {
        self.unanswered.fetch_add(1, Relaxed);
    }

    #[cold]
    pub(crate) fn count_cut(&self, reason: CutReason) {
        self.cut[reason.index()].fetch_add(1, Relaxed);
    }

    #[cold]
    pub(crate) fn count_handler_error(&self) {
        self.handler_errors.fetch_add(1, Relaxed);
    }

    /// Returns the number of responses with a status of this class, such as 2.
    pub(crate) fn responses(&self, class: usize) -> u64 {
        self.shards.iter().map(|shard| shard.0[class].load(Relaxed)).sum()
    }

    pub(crate) fn unanswered(&self) -> u64 {
        self.unanswered.load(Relaxed)
    }

    pub(crate) fn cut(&self, index: usize) -> u64 {
        self.cut[index].load(Relaxed)
    }

    pub(crate) fn handler_errors(&self) -> u64 {
        self.handler_errors.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_count_together() {
        let counters = Counters::default();
        std::thread::scope(|scope| {
            for _ in 0..2 * SHARDS {
                scope.spawn(|| (0..100).for_each(|_| counters.count(StatusCode::NOT_FOUND)));
            }
        });
        counters.count(StatusCode::OK);
        let counts: Vec<_> = (0..8).map(|class| counters.responses(class)).collect();
        assert_eq!(counts, [0, 0, 1, 0, 200 * SHARDS as u64, 0, 0, 0]);
    }
}

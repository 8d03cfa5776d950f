//! The statistics of a server, and the processes that wait for its number of connections.

use std::{
    collections::BTreeMap,
    future::poll_fn,
    sync::atomic::{
        AtomicBool, AtomicU64, AtomicUsize,
        Ordering::{Relaxed, SeqCst},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use riot_actor::{Reason, now};

use super::{
    accept_error::AcceptErrorKind,
    info::{AcceptErrors, EndCounts},
};
use crate::io::wake::wake_all;

/// The counters of a server. They outlive restarts of its processes.
#[derive(Default)]
pub(super) struct Statistics {
    pub(super) accepted: AtomicU64,
    /// Connections that live, removed ones included.
    all: AtomicUsize,
    pub(super) refused: AtomicU64,
    pub(super) reaped: AtomicU64,
    pub(super) handshake_errors: AtomicU64,
    pub(super) protocol_errors: AtomicU64,
    /// Bytes of connections that have ended.
    pub(super) received: AtomicU64,
    pub(super) sent: AtomicU64,
    pub(super) undelivered: AtomicU64,
    /// Whether there may be wakers in `waiters`.
    has_waiters: AtomicBool,
    /// Wakers of processes that wait for connections to come or go.
    waiters: Mutex<Vec<Waker>>,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    ended: EndCounts,
    accept_errors: AcceptErrors,
    timeouts: BTreeMap<&'static str, u64>,
    limits: BTreeMap<&'static str, u64>,
    /// The last time that accepting was reported to fail.
    warned: Option<Instant>,
}

impl Statistics {
    pub(super) fn ended(&self) -> EndCounts {
        self.counts.lock().ended
    }

    pub(super) fn count_end(&self, reason: &Reason) {
        self.counts.lock().ended.count(reason);
    }

    /// Counts connections that ended with their supervisor.
    pub(super) fn count_killed(&self, connections: u64) {
        self.counts.lock().ended.killed += connections;
    }

    pub(super) fn accept_errors(&self) -> AcceptErrors {
        self.counts.lock().accept_errors
    }

    pub(super) fn count_accept_error(&self, kind: AcceptErrorKind) {
        self.counts.lock().accept_errors.count(kind);
    }

    pub(super) fn timeouts(&self) -> BTreeMap<&'static str, u64> {
        self.counts.lock().timeouts.clone()
    }

    pub(super) fn count_timeout(&self, timer: &'static str) {
        *self.counts.lock().timeouts.entry(timer).or_default() += 1;
    }

    pub(super) fn limits(&self) -> BTreeMap<&'static str, u64> {
        self.counts.lock().limits.clone()
    }

    pub(super) fn count_limit(&self, limit: &'static str) {
        *self.counts.lock().limits.entry(limit).or_default() += 1;
    }

    /// Returns whether a failing accept is to be logged: at most once a second.
    pub(super) fn may_warn(&self) -> bool {
        let warned = &mut self.counts.lock().warned;
        let due = warned.is_none_or(|before| now() - before >= Duration::from_secs(1));
        if due {
            *warned = Some(now());
        }
        due
    }

    /// Returns the number of connections, removed ones included.
    pub(super) fn all(&self) -> usize {
        self.all.load(Relaxed)
    }

    pub(super) fn inc(&self) {
        self.all.fetch_add(1, SeqCst);
        self.notify_waiters();
    }

    pub(super) fn dec(&self) {
        self.all.fetch_sub(1, SeqCst);
        self.notify_waiters();
    }

    /// Wakes the processes that wait for a number of connections. A waiter sets `has_waiters` before it reads
    /// the number, so it sees the change or is seen here.
    fn notify_waiters(&self) {
        if !self.has_waiters.load(SeqCst) {
            return;
        }
        let mut waiters = self.waiters.lock();
        let woken = std::mem::take(&mut *waiters);
        self.has_waiters.store(false, SeqCst);
        drop(waiters);
        wake_all(woken);
    }

    /// Waits until the number of connections satisfies `wanted`.
    pub(super) async fn wait_until(&self, wanted: impl Fn(usize) -> bool) {
        poll_fn(|cx: &mut Context<'_>| {
            let mut waiters = self.waiters.lock();
            self.has_waiters.store(true, SeqCst);
            waiters.push(cx.waker().clone());
            drop(waiters);
            // The condition is code of a user, so no lock is held. It may change the number.
            if wanted(self.all.load(SeqCst)) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

//! Counters of the scheduler, which workers update as they go.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use super::Scheduler;
use crate::{
    runtime::{context, handle::Handle, shared::Shared},
    sync::deque::Injector,
};

/// Counters of a runtime. Each figure is read by itself, so they are not the state at one moment. Counts only
/// grow; the difference of two reads says what happened in between.
///
/// See [`scheduler_stats`] for an example.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SchedulerStats {
    /// The workers; empty in a simulation.
    pub workers: Vec<WorkerStats>,
    /// Runnable processes that no worker has taken over yet, woken from other threads.
    pub injected: usize,
    /// Processes that are not released.
    pub processes: usize,
    /// Processes spawned since the start.
    pub spawned: u64,
    /// Running timers.
    pub timers: usize,
    /// How long the runtime has run.
    pub age: Duration,
}

/// Counters of one worker.
///
/// See [`scheduler_stats`] for an example.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WorkerStats {
    /// Runnable processes in its queue.
    pub queue: usize,
    /// Poll slices that it has run.
    pub slices: u64,
    /// How often it took processes over from another worker.
    pub steals: u64,
    /// How often it went to sleep.
    pub parks: u64,
    /// How long it has slept in all, with the sleep that it is in. The rest of the runtime's age it was
    /// busy or looked for work.
    pub asleep: Duration,
}

/// Returns the counters of the scheduler of the running process.
///
/// ```
/// # riot_actor::run(async {
/// let stats = riot_actor::stats::scheduler_stats();
/// assert!(stats.processes >= 1 && stats.spawned >= 1);
/// # });
/// ```
///
/// # Panics
/// Panics outside a process.
#[must_use]
pub fn scheduler_stats() -> SchedulerStats {
    context::with_shared("scheduler_stats", |shared| shared.stats())
}

impl Handle {
    /// Returns the counters, as [`scheduler_stats`] does, from a plain thread.
    #[must_use]
    pub fn scheduler_stats(&self) -> SchedulerStats {
        self.shared.stats()
    }
}

/// The counters that only the worker itself writes, so it needs no atomic exchange.
#[derive(Default)]
pub(super) struct Counters {
    steals: AtomicU64,
    parks: AtomicU64,
    asleep_nanos: AtomicU64,
    /// When it fell asleep, in nanoseconds since the start of the runtime, and one more; 0 while it is awake.
    asleep_since: AtomicU64,
}

impl Counters {
    pub(super) fn stole(&self) {
        add(&self.steals, 1);
    }

    /// Notes that the worker falls asleep, `age` after the start of the runtime.
    pub(super) fn falls_asleep(&self, age: Duration) {
        self.asleep_since.store(age.as_nanos() as u64 + 1, Ordering::Relaxed);
    }

    /// Returns how long the worker has slept, `age` after the start of the runtime.
    fn asleep(&self, age: Duration) -> Duration {
        // A worker that wakes in between may be seen without its last sleep, but never with that twice.
        let before = Duration::from_nanos(self.asleep_nanos.load(Ordering::Acquire));
        let since = self.asleep_since.load(Ordering::Relaxed);
        let Some(since) = since.checked_sub(1) else { return before };
        before + age.saturating_sub(Duration::from_nanos(since))
    }

    pub(super) fn slept(&self, asleep: Duration) {
        self.asleep_since.store(0, Ordering::Relaxed);
        add(&self.parks, 1);
        let before = self.asleep_nanos.load(Ordering::Relaxed);
        self.asleep_nanos.store(before + asleep.as_nanos() as u64, Ordering::Release);
    }
}

fn add(counter: &AtomicU64, more: u64) {
    counter.store(counter.load(Ordering::Relaxed) + more, Ordering::Relaxed);
}

impl Scheduler {
    fn worker_stats(&self, age: Duration) -> Vec<WorkerStats> {
        let workers = self.remotes.iter();
        workers
            .map(|remote| WorkerStats {
                queue: remote.stealer.len(),
                // The number goes up at the beginning and at the end of a slice.
                slices: remote.slices.load(Ordering::Relaxed).div_ceil(2),
                steals: remote.counters.steals.load(Ordering::Relaxed),
                parks: remote.counters.parks.load(Ordering::Relaxed),
                asleep: remote.counters.asleep(age),
            })
            .collect()
    }

    fn injected(&self) -> usize {
        self.injector.iter().map(Injector::len).sum()
    }
}

impl Shared {
    fn stats(&self) -> SchedulerStats {
        let age = self.now().saturating_duration_since(self.clock().start());
        SchedulerStats {
            workers: self.scheduler().map(|scheduler| scheduler.worker_stats(age)).unwrap_or_default(),
            injected: self.scheduler().map_or(0, Scheduler::injected),
            processes: self.live(),
            spawned: self.table.taken(),
            timers: self.timers.len(),
            age,
        }
    }
}

//! The scheduler: a run queue per worker, stealing between them, and as few wake-ups as will do.
//!
//! A process that becomes runnable on a worker's thread goes to that worker. Another worker is woken to steal
//! only when a worker has more than it can start at once, and only one at a time: two workers that alternate
//! on a trickle of events cost more than one that does it all.
//!
//! Invariants: a process is in one queue or on one worker. A push before a worker sleeps is never missed, see
//! `idle`.

pub(crate) mod busy;
mod idle;
mod lifo_slot;
pub(crate) mod liveness;
pub(crate) mod queue;
pub(crate) mod stats;
mod watchdog;
mod worker;

use std::{
    collections::VecDeque,
    hint::cold_path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
};

pub(crate) use queue::LocalQueue;
pub(crate) use worker::run as run_worker;

use crate::{
    process::priority::Priority,
    runtime::{
        context::{self, Local},
        driver::{Driver, Unpark},
        kernel::process::{Process, Runnable},
        parker::Parker,
        shared::Shared,
    },
    sync::{deque::Injector, lock::lock},
};
pub(crate) use idle::{Idle, Seeker, WakeAnother};
use queue::{Lane, QueueStealer};
use stats::Counters;
use watchdog::Watchdog;
pub(crate) use watchdog::run as run_watchdog;

/// The queues of all workers, as every thread sees them.
pub(crate) struct Scheduler {
    /// Processes that became runnable on threads that are no workers.
    injector: [Injector<Box<Process>>; Lane::COUNT],
    remotes: Box<[Remote]>,
    idle: Idle,
    pub(crate) stopping: AtomicBool,
    watchdog: Watchdog,
}

/// The side of a worker that other threads see.
struct Remote {
    stealer: QueueStealer<Process>,
    /// Runnable processes that are pinned to this worker.
    pinned: Mutex<VecDeque<Box<Process>>>,
    has_pinned: AtomicBool,
    driver: Mutex<Box<dyn Driver>>,
    unpark: Mutex<Arc<dyn Unpark>>,
    /// Odd while a process is polled; goes up by one at the beginning and the end of each poll slice.
    slices: AtomicU64,
    /// The slot of the process polled last.
    current: AtomicU32,
    /// The watchdog has seen one poll slice at two looks.
    held_up: AtomicBool,
    /// When the watchdog first saw that poll slice, in nanoseconds since the start of the runtime. Says
    /// nothing unless `held_up` is set.
    held_up_since: AtomicU64,
    counters: Counters,
}

impl Scheduler {
    pub(crate) fn new(workers: usize) -> (Self, Vec<LocalQueue>) {
        let queue = if workers == 1 { LocalQueue::single_worker } else { LocalQueue::new };
        let queues: Vec<LocalQueue> = (0..workers).map(|_| queue()).collect();
        let spins = workers > 1 && std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1);
        let remotes = queues.iter().map(|queue| {
            let driver = Parker::spinning(spins);
            let unpark = driver.unparker();
            Remote {
                stealer: queue.stealer(),
                pinned: Mutex::default(),
                has_pinned: AtomicBool::new(false),
                driver: Mutex::new(Box::new(driver)),
                unpark: Mutex::new(unpark),
                slices: AtomicU64::new(0),
                current: AtomicU32::new(0),
                held_up: AtomicBool::new(false),
                held_up_since: AtomicU64::new(0),
                counters: Counters::default(),
            }
        });
        let scheduler = Self {
            injector: std::array::from_fn(|_| Injector::new()),
            remotes: remotes.collect(),
            idle: Idle::new(workers),
            stopping: AtomicBool::new(false),
            watchdog: Watchdog::new(),
        };
        (scheduler, queues)
    }

    pub(crate) fn workers(&self) -> usize {
        self.remotes.len()
    }

    /// Enqueues a process that has become runnable.
    // perf: ring, 587 → 550 instructions; call, 1515 → 1328, together with box sizes of a power of two
    #[inline(never)]
    pub(crate) fn schedule(&self, shared: &Shared, Runnable(process): Runnable) {
        context::with_local(|local| match local {
            Some(local) if local.shared.id == shared.id => self.schedule_here(local, process),
            _ => self.schedule_from_outside(process),
        });
    }

    #[inline]
    fn schedule_here(&self, local: &Local, process: Box<Process>) {
        // The process woken last by a running one runs next: what it was sent is still in the cache.
        if local.polling.get() && process.priority == Priority::Normal && process.pinned.is_none() {
            local.queue.push_lifo(process);
        } else if let Some(worker) = process.pinned {
            cold_path();
            return self.schedule_pinned(worker as usize, process);
        } else {
            local.queue.push(Lane::from(process.priority), process);
        }
        if self.idle.is_anyone_asleep() {
            cold_path();
            self.share(local);
        }
    }

    // perf: ring, 550 → 529 instructions, together with the other slow paths of a push
    #[inline(never)]
    fn share(&self, local: &Local) {
        if local.queue.has_surplus() {
            self.wake_one();
        }
    }

    // perf: ring, 550 → 529 instructions, together with the other slow paths of a push
    #[inline(never)]
    fn schedule_from_outside(&self, process: Box<Process>) {
        if let Some(worker) = process.pinned {
            return self.schedule_pinned(worker as usize, process);
        }
        self.injector[Lane::from(process.priority) as usize].push(process);
        self.wake_one();
    }

    // perf: ring, 550 → 529 instructions, together with the other slow paths of a push
    #[inline(never)]
    fn schedule_pinned(&self, worker: usize, process: Box<Process>) {
        let remote = &self.remotes[worker];
        lock(&remote.pinned).push_back(process);
        remote.has_pinned.store(true, Ordering::SeqCst);
        if let Some(sleeper) = self.idle.wake(worker) {
            self.unpark(sleeper);
        }
    }

    /// Wakes a worker to look for work, unless one is looking already or none sleeps.
    pub(crate) fn wake_one(&self) {
        if let Some(worker) = self.idle.wake_one() {
            self.unpark(worker);
        }
    }

    fn unpark(&self, worker: usize) {
        let unpark = lock(&self.remotes[worker].unpark).clone();
        unpark.unpark();
    }

    pub(crate) fn install(&self, worker: usize, driver: Box<dyn Driver>) {
        let remote = &self.remotes[worker];
        *lock(&remote.unpark) = driver.unparker();
        // The worker runs a process at the moment, so it does not sleep in the old driver.
        let before = std::mem::replace(&mut *lock(&remote.driver), driver);
        drop(before);
    }

    /// Drops the drivers of workers that have ended.
    pub(crate) fn remove_drivers(&self) {
        for remote in &self.remotes {
            // A worker that goes on after the end keeps its own.
            let Ok(mut driver) = remote.driver.try_lock() else { continue };
            let before = std::mem::replace(&mut *driver, Box::new(Parker::spinning(false)));
            drop(driver);
            let _ = crate::guard::contain(|| drop(before));
        }
    }

    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        (0..self.remotes.len()).for_each(|worker| self.unpark(worker));
        self.watchdog.kick();
    }
}

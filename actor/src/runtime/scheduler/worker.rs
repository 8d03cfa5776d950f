//! The loop of one worker.

use std::{
    collections::VecDeque,
    hint::cold_path,
    rc::Rc,
    sync::{Arc, MutexGuard, atomic::Ordering},
    time::{Duration, Instant},
};

use super::{Lane, Remote, Scheduler, Seeker, WakeAnother};
use crate::{
    runtime::{
        context::{self, Local},
        driver::Driver,
        kernel::{process::Process, slice::run_slice},
        shared::Shared,
    },
    sync::{deque::Steal, lock::lock},
};

/// The number of poll slices between two polls of the driver and the injector by a busy worker, so that
/// neither starves.
/// (tokio: 61, a prime, so that it does not beat in time with a program's own rhythm.)
const POLL_DRIVER_EVERY: u32 = 61;

pub(crate) fn run(local: Rc<Local>) {
    let shared: Arc<Shared> = local.shared.clone();
    let Some(scheduler) = shared.scheduler() else { unreachable!("workers belong to a scheduler") };
    let remote = &scheduler.remotes[local.worker];
    let worker = WorkerLoop { local: &local, shared: &shared, scheduler, remote };
    context::enter(&local, || worker.work());
}

struct WorkerLoop<'a> {
    local: &'a Local,
    shared: &'a Shared,
    scheduler: &'a Scheduler,
    remote: &'a Remote,
}

/// Runnable processes that are pinned to this worker. They are in no queue that others steal from.
#[derive(Default)]
struct Pinned {
    ready: VecDeque<Box<Process>>,
    /// Whether a pinned process ran last.
    was_pinned: bool,
}

impl WorkerLoop<'_> {
    fn work(&self) {
        let mut searching = false;
        let mut pinned = Pinned::default();
        let mut until_driver = POLL_DRIVER_EVERY;
        while !self.scheduler.stopping.load(Ordering::Relaxed) {
            until_driver -= 1;
            if until_driver == 0 {
                cold_path();
                until_driver = POLL_DRIVER_EVERY;
                self.poll_driver();
            }
            let idle = &self.scheduler.idle;
            let next =
                self.pop(&mut pinned).or_else(|| idle.find_work(self.local.worker, self, &mut searching));
            let Some(process) = next else { continue };
            if searching && idle.found(self, &mut searching) == WakeAnother::Yes {
                cold_path();
                self.scheduler.wake_one();
            }
            self.run(process);
        }
        if searching {
            let _last = self.scheduler.idle.end_search();
        }
        // Processes are left where one has not given way, and `run` has returned. Their bodies must not be
        // dropped outside of them. (Those in a queue are leaked with the runtime.)
        pinned.ready.into_iter().for_each(std::mem::forget);
    }

    fn run(&self, process: Box<Process>) {
        let remote = self.remote;
        remote.current.store(process.pid.index(), Ordering::Relaxed);
        let slices = &remote.slices;
        let before = slices.load(Ordering::Relaxed);
        slices.store(before + 1, Ordering::Relaxed);
        let runnable = run_slice(self.local, process);
        slices.store(before + 2, Ordering::Relaxed);
        if let Some(runnable) = runnable {
            cold_path();
            self.scheduler.schedule(self.shared, runnable);
        }
    }

    #[inline]
    fn pop(&self, pinned: &mut Pinned) -> Option<Box<Process>> {
        if self.remote.has_pinned.load(Ordering::Relaxed) {
            cold_path();
            return self.pop_pinned(pinned);
        }
        self.local.queue.pop()
    }

    /// Pops alternately from the pinned processes and the queue.
    // perf: ring, 550 → 529 instructions, together with the slow paths of a push
    #[inline(never)]
    fn pop_pinned(&self, pinned: &mut Pinned) -> Option<Box<Process>> {
        let remote = self.remote;
        remote.has_pinned.store(false, Ordering::SeqCst);
        pinned.ready.append(&mut lock(&remote.pinned));
        pinned.was_pinned = !pinned.was_pinned;
        let next = if pinned.was_pinned { pinned.ready.pop_front() } else { None };
        let next = next.or_else(|| self.local.queue.pop()).or_else(|| pinned.ready.pop_front());
        if !pinned.ready.is_empty() {
            remote.has_pinned.store(true, Ordering::SeqCst);
        }
        next
    }

    /// Handles events, timers and injected processes, without waiting for any.
    #[inline(never)]
    fn poll_driver(&self) {
        self.drive(Some(Duration::ZERO));
        self.shared.timers.fire(self.shared, self.shared.clock().read());
        if let Some(process) = self.take_injected() {
            self.local.queue.push(Lane::from(process.priority), process);
        }
    }

    fn drive(&self, timeout: Option<Duration>) {
        let mut driver = lock(&self.remote.driver);
        driver.park(timeout);
        driver.dispatch();
    }

    fn take_injected(&self) -> Option<Box<Process>> {
        Lane::ALL.iter().find_map(|&lane| {
            loop {
                match self.scheduler.injector[lane as usize].steal_batch_and_pop(self.local.queue.lane(lane))
                {
                    Steal::Success(process) => return Some(process),
                    Steal::Empty => return None,
                    Steal::Retry => {}
                }
            }
        })
    }
}

/// The state that a worker holds from its sleep until it is awake.
struct Parked<'a> {
    driver: MutexGuard<'a, Box<dyn Driver>>,
    /// When it woke, if it slept.
    woke: Option<Instant>,
}

impl Seeker for WorkerLoop<'_> {
    type Work = Box<Process>;
    type Parked<'a>
        = Parked<'a>
    where
        Self: 'a;

    fn workers(&self) -> usize {
        self.scheduler.workers()
    }

    fn search(&self) -> Option<Box<Process>> {
        if let Some(process) = self.take_injected() {
            return Some(process);
        }
        let workers = self.scheduler.workers();
        let others = (1..workers).map(|step| (self.local.worker + step) % workers);
        let stolen = others
            .clone()
            .find_map(|other| self.scheduler.remotes[other].stealer.steal(&self.local.queue))
            .or_else(|| {
                let remotes = others.clone().map(|other| &self.scheduler.remotes[other]);
                let mut held_up = remotes.filter(|remote| remote.held_up.load(Ordering::Relaxed));
                held_up.find_map(|remote| remote.stealer.steal_lifo())
            });
        if stolen.is_some() {
            self.remote.counters.stole();
        }
        stolen
    }

    fn any_work(&self) -> bool {
        let scheduler = self.scheduler;
        scheduler.injector.iter().any(|lane| !lane.is_empty())
            || self.remote.has_pinned.load(Ordering::SeqCst)
            || scheduler.remotes.iter().any(|remote| {
                !remote.stealer.is_empty()
                    || (remote.held_up.load(Ordering::Relaxed) && remote.stealer.has_lifo())
            })
    }

    fn park(&self, stay_awake: bool) -> Self::Parked<'_> {
        let scheduler = self.scheduler;
        let mut driver = lock(&self.remote.driver);
        let mut woke = None;
        if !stay_awake && !scheduler.stopping.load(Ordering::SeqCst) {
            let deadline = self.shared.timers.next_deadline();
            let before = self.shared.now();
            self.remote.counters.falls_asleep(before.saturating_duration_since(self.shared.clock().start()));
            driver.park(deadline.map(|deadline| deadline.saturating_duration_since(before)));
            let now = *woke.insert(self.shared.clock().read());
            self.remote.counters.slept(now.saturating_duration_since(before));
        }
        Parked { driver, woke }
    }

    fn wake_up<'a>(&'a self, Parked { mut driver, woke }: Self::Parked<'a>) {
        self.scheduler.watchdog.awake();
        driver.dispatch();
        drop(driver);
        let now = woke.unwrap_or_else(|| self.shared.clock().read());
        self.shared.timers.fire(self.shared, now);
    }
}

//! The loop of one worker.

use std::{
    collections::VecDeque,
    hint::cold_path,
    rc::Rc,
    sync::{Arc, MutexGuard, atomic::Ordering},
    time::{Duration, Instant},
};

use super::{Lane, Scheduler, Seat, Seeker};
use crate::{
    runtime::{
        context::{self, Local},
        driver::Driver,
        kernel::{record::Process, slice::turn},
        shared::Shared,
    },
    sync::{deque::Steal, lock::lock},
};

/// A busy worker looks at its driver and at the queue from outside once in so many turns, so that neither starves.
/// (tokio: 61, a prime, so that it does not beat in time with a program's own rhythm.)
const LOOK_EVERY: u32 = 61;

pub(crate) fn run(local: Rc<Local>) {
    let shared: Arc<Shared> = local.shared.clone();
    let Some(scheduler) = shared.scheduler() else { unreachable!("workers belong to a scheduler") };
    let seat = &scheduler.workers[local.worker];
    let worker = Worker { local: &local, shared: &shared, scheduler, seat };
    context::enter(&local, || worker.work());
}

struct Worker<'a> {
    local: &'a Local,
    shared: &'a Shared,
    scheduler: &'a Scheduler,
    seat: &'a Seat,
}

/// Ready processes that may run on no other worker, so they stand in no queue others steal from.
#[derive(Default)]
struct Pinned {
    ready: VecDeque<Box<Process>>,
    /// Whether it was one of them last.
    turn: bool,
}

impl Worker<'_> {
    fn work(&self) {
        let mut searching = false;
        let mut pinned = Pinned::default();
        let mut look_in = LOOK_EVERY;
        while !self.scheduler.stopping.load(Ordering::Relaxed) {
            look_in -= 1;
            if look_in == 0 {
                cold_path();
                look_in = LOOK_EVERY;
                self.look();
            }
            let idle = &self.scheduler.idle;
            let next = self.pop(&mut pinned).or_else(|| idle.next(self.local.worker, self, &mut searching));
            let Some(process) = next else { continue };
            if searching && idle.found(self, &mut searching) {
                cold_path();
                self.scheduler.wake_one();
            }
            self.turn(process);
        }
        if searching {
            self.scheduler.idle.end_search();
        }
    }

    fn turn(&self, process: Box<Process>) {
        let seat = self.seat;
        seat.current.store(process.pid.index(), Ordering::Relaxed);
        let turns = &seat.turns;
        let before = turns.load(Ordering::Relaxed);
        turns.store(before + 1, Ordering::Relaxed);
        let again = turn(self.local, process);
        turns.store(before + 2, Ordering::Relaxed);
        if let Some(readied) = again {
            cold_path();
            self.scheduler.schedule(self.shared, readied);
        }
    }

    #[inline]
    fn pop(&self, pinned: &mut Pinned) -> Option<Box<Process>> {
        if self.seat.pinned_any.load(Ordering::Relaxed) {
            cold_path();
            return self.pop_beside(pinned);
        }
        self.local.queue.pop()
    }

    /// Those that may run nowhere else take turns with the others.
    #[inline(never)]
    fn pop_beside(&self, pinned: &mut Pinned) -> Option<Box<Process>> {
        let seat = self.seat;
        seat.pinned_any.store(false, Ordering::SeqCst);
        pinned.ready.append(&mut lock(&seat.pinned));
        pinned.turn = !pinned.turn;
        let next = if pinned.turn { pinned.ready.pop_front() } else { None };
        let next = next.or_else(|| self.local.queue.pop()).or_else(|| pinned.ready.pop_front());
        if !pinned.ready.is_empty() {
            seat.pinned_any.store(true, Ordering::SeqCst);
        }
        next
    }

    /// Events, timers and what came from outside, without waiting for any.
    #[inline(never)]
    fn look(&self) {
        self.drive(Some(Duration::ZERO));
        self.shared.timers.fire(self.shared, self.shared.clock().read());
        if let Some(process) = self.take_injected() {
            self.local.queue.push(Lane::from(process.priority), process);
        }
    }

    fn drive(&self, limit: Option<Duration>) {
        let mut driver = lock(&self.seat.driver);
        driver.park(limit);
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

/// What a worker has from its sleep.
struct Parked<'a> {
    driver: MutexGuard<'a, Box<dyn Driver>>,
    /// When it woke, if it slept.
    woke: Option<Instant>,
}

impl Seeker for Worker<'_> {
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
            .find_map(|other| self.scheduler.workers[other].stealer.steal(&self.local.queue))
            .or_else(|| {
                let held_up = others.clone().filter(|&other| self.scheduler.watchdog.is_held_up(other));
                held_up.into_iter().find_map(|other| self.scheduler.workers[other].stealer.steal_next())
            });
        if stolen.is_some() {
            self.seat.counters.stole();
        }
        stolen
    }

    fn any_work(&self) -> bool {
        let scheduler = self.scheduler;
        scheduler.injector.iter().any(|lane| !lane.is_empty())
            || self.seat.pinned_any.load(Ordering::SeqCst)
            || scheduler.workers.iter().enumerate().any(|(other, seat)| {
                !seat.stealer.is_empty() || (scheduler.watchdog.is_held_up(other) && seat.stealer.has_next())
            })
    }

    fn park(&self, stay_awake: bool) -> Self::Parked<'_> {
        let scheduler = self.scheduler;
        let mut driver = lock(&self.seat.driver);
        let mut woke = None;
        if !stay_awake && !scheduler.stopping.load(Ordering::SeqCst) {
            let deadline = self.shared.timers.next_deadline();
            let before = self.shared.now();
            driver.park(deadline.map(|deadline| deadline.saturating_duration_since(before)));
            let now = *woke.insert(self.shared.clock().read());
            self.seat.counters.slept(now.saturating_duration_since(before));
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

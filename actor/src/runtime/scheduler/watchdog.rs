//! The watchdog of workers that are held up by a process that does not give way: their events are collected
//! and their processes taken over by others, and a process that holds a worker up for long is reported.
//!
//! It runs, and reads the clock, every few milliseconds while anything runs, and sleeps while nothing does.

use std::{
    sync::{
        Condvar, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use super::Scheduler;
use crate::{guard::log, runtime::shared::Shared, sync::lock::lock};

/// The interval of the watchdog. A process that runs for longer in one poll slice holds its worker up.
const TICK: Duration = Duration::from_millis(10);

/// The interval while a worker is held up, because its events may be those of several workers.
const HELP_TICK: Duration = Duration::from_millis(1);

/// The number of ticks without a poll slice after which the watchdog sleeps until a worker wakes.
const QUIET_TICKS: u32 = 20;

pub(crate) struct Watchdog {
    asleep: AtomicBool,
    /// Counts wake-ups of workers. A worker counts first and then looks whether the watchdog sleeps; the
    /// watchdog says first that it sleeps and then looks at the count. One of them sees the other.
    awakenings: AtomicU64,
    kicked: Mutex<bool>,
    changed: Condvar,
    /// One bit for each of the first 64 workers that is held up. Workers beyond are never helped, only
    /// reported.
    held_up: AtomicU64,
}

impl Watchdog {
    pub(crate) fn new() -> Self {
        Self {
            asleep: AtomicBool::new(false),
            awakenings: AtomicU64::new(0),
            kicked: Mutex::new(false),
            changed: Condvar::new(),
            held_up: AtomicU64::new(0),
        }
    }

    /// Handles that a worker has stopped sleeping.
    pub(crate) fn awake(&self) {
        self.awakenings.fetch_add(1, Ordering::SeqCst);
        if self.asleep.load(Ordering::SeqCst) {
            self.kick();
        }
    }

    pub(crate) fn kick(&self) {
        *lock(&self.kicked) = true;
        self.changed.notify_one();
    }

    pub(crate) fn is_held_up(&self, worker: usize) -> bool {
        worker < 64 && self.held_up.load(Ordering::Relaxed) & (1 << worker) != 0
    }

    fn wait(&self, timeout: Option<Duration>) {
        let mut kicked = lock(&self.kicked);
        match timeout {
            Some(timeout) => {
                let (guard, _) = self
                    .changed
                    .wait_timeout(kicked, timeout)
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
                kicked = guard;
            }
            None => {
                while !*kicked {
                    kicked = self.changed.wait(kicked).unwrap_or_else(std::sync::PoisonError::into_inner);
                }
            }
        }
        *kicked = false;
    }
}

/// The last sample of a worker.
#[derive(Clone, Copy)]
struct WorkerSample {
    slices: u64,
    since: Instant,
    reported: bool,
}

/// The work of the watchdog's thread.
pub(crate) fn run(shared: &Shared) {
    let Some(scheduler) = shared.scheduler() else { return };
    log::without_default_unless(shared.config.default_log, || watch(shared, scheduler));
}

fn watch(shared: &Shared, scheduler: &Scheduler) {
    let mut samples =
        vec![WorkerSample { slices: 0, since: Instant::now(), reported: false }; scheduler.workers()];
    let (mut quiet, mut before) = (0, 0);
    while !scheduler.stopping.load(Ordering::SeqCst) {
        let awakenings = scheduler.watchdog.awakenings.load(Ordering::SeqCst);
        // Read once, so that a timer that fires now is not ahead of `now_coarse`.
        let now = shared.clock().read();
        let mut held_up = 0_u64;
        let mut active = awakenings != before;
        before = awakenings;
        for (worker, sample) in samples.iter_mut().enumerate() {
            let slices = scheduler.remotes[worker].slices.load(Ordering::Relaxed);
            let running = !slices.is_multiple_of(2);
            active |= running || slices != sample.slices;
            if slices != sample.slices || !running {
                *sample = WorkerSample { slices, since: now, reported: false };
                continue;
            }
            if worker < 64 {
                held_up |= 1 << worker;
            }
            let elapsed = now.saturating_duration_since(sample.since);
            if !sample.reported && elapsed >= shared.config.long_schedule {
                sample.reported = true;
                report(shared, scheduler, worker, elapsed);
            }
        }
        scheduler.watchdog.held_up.store(held_up, Ordering::SeqCst);
        if held_up != 0 {
            help(shared, scheduler, held_up, now);
        }
        // These were too few to wake another worker when they were pushed, but they still wait.
        if scheduler.remotes.iter().any(|remote| !remote.stealer.is_empty()) {
            scheduler.wake_one();
        }
        quiet = if active { 0 } else { quiet + 1 };
        if quiet < QUIET_TICKS {
            scheduler.watchdog.wait(Some(if held_up == 0 { TICK } else { HELP_TICK }));
            continue;
        }
        scheduler.watchdog.asleep.store(true, Ordering::SeqCst);
        let awakened = scheduler.watchdog.awakenings.load(Ordering::SeqCst) != before;
        if !awakened && !scheduler.stopping.load(Ordering::SeqCst) {
            scheduler.watchdog.wait(None);
        }
        scheduler.watchdog.asleep.store(false, Ordering::SeqCst);
        quiet = 0;
    }
}

/// Does for workers that are held up what they would do between two poll slices.
fn help(shared: &Shared, scheduler: &Scheduler, held_up: u64, now: Instant) {
    shared.timers.fire(shared, now);
    for (worker, remote) in scheduler.remotes.iter().enumerate().take(64) {
        if held_up & (1 << worker) == 0 {
            continue;
        }
        if let Ok(mut driver) = remote.driver.try_lock() {
            driver.park(Some(Duration::ZERO));
            driver.dispatch();
        }
        if !remote.stealer.is_empty() || remote.stealer.has_lifo() {
            scheduler.wake_one();
        }
    }
}

fn report(shared: &Shared, scheduler: &Scheduler, worker: usize, elapsed: Duration) {
    let index = scheduler.remotes[worker].current.load(Ordering::Relaxed);
    let process = shared.pid_at(index).and_then(|pid| shared.info(pid));
    let (pid, label) = match &process {
        Some(info) => (info.pid.to_string(), info.label.as_deref().unwrap_or("-")),
        None => ("-".to_owned(), "-"),
    };
    crate::log_event!(
        WARN,
        "riot::scheduler",
        pid,
        label,
        worker,
        "a process has not given way for {elapsed:?}"
    );
}

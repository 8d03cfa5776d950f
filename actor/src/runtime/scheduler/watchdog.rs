//! The watchdog of workers that are held up by a process that does not give way: their events are collected
//! and their processes taken over by others, and a process that holds a worker up for long is reported.
//!
//! It also samples which processes run, see [`busy`](super::busy), and gives memory back that a burst has
//! left behind.
//!
//! It runs, and reads the clock, every few milliseconds while anything runs, and sleeps while nothing does.
//! It looks more often while a worker sleeps that could help at once.

use std::{
    sync::{
        Condvar, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use super::{Scheduler, busy::LastLook};
use crate::{guard::log, observe::repeats::Repeated, runtime::shared::Shared, sync::lock::lock};

/// The interval of the watchdog while all workers are busy, so that none could help.
const TICK: Duration = Duration::from_millis(10);

/// The interval while a worker sleeps that could help. A process that waits behind one that does not give way
/// runs on the sleeper after this and [`HELP_TICK`].
///
/// A look for which the processor wakes cost 25 us on a virtual machine, so 0.5 % of one core.
const ATTENTIVE_TICK: Duration = Duration::from_millis(5);

/// The interval while a worker sleeps and another one runs a process.
const RUNNING_TICK: Duration = Duration::from_millis(2);

/// The interval while a worker is held up, because its events may be those of several workers; and where one
/// is running, others wait for it and a worker sleeps, because it may be held up.
const HELP_TICK: Duration = Duration::from_millis(1);

/// The number of looks without a poll slice after which the watchdog sleeps until a worker wakes.
const QUIET_LOOKS: u32 = 20;

/// The interval in which memory is given back. What was not used in one is freed at the end of the next one.
const TRIM_INTERVAL: Duration = Duration::from_secs(5);

/// How many such intervals lie between two looks at all processes.
const TRIMS_PER_SCAN: u32 = 2;

/// The work of giving memory back.
struct Trimmer {
    last: Instant,
    trims: u32,
    /// How many trims are due for what has run; two full rounds, so that memory is seen unused.
    due: u32,
}

impl Trimmer {
    /// Returns whether there is nothing left to give back.
    fn is_done(&self) -> bool {
        self.due == 0
    }

    fn run(&mut self, shared: &Shared, now: Instant, active: bool) {
        if active {
            self.due = 2 * TRIMS_PER_SCAN;
        }
        if self.is_done() || now.saturating_duration_since(self.last) < TRIM_INTERVAL {
            return;
        }
        self.last = now;
        self.due -= 1;
        self.trims = self.trims.wrapping_add(1);
        shared.trim();
        if self.trims.is_multiple_of(TRIMS_PER_SCAN) {
            shared.trim_processes();
        }
    }
}

pub(crate) struct Watchdog {
    asleep: AtomicBool,
    /// Counts wake-ups of workers. A worker counts first and then looks whether the watchdog sleeps; the
    /// watchdog says first that it sleeps and then looks at the count. One of them sees the other.
    awakenings: AtomicU64,
    kicked: Mutex<bool>,
    changed: Condvar,
}

impl Watchdog {
    pub(crate) fn new() -> Self {
        Self {
            asleep: AtomicBool::new(false),
            awakenings: AtomicU64::new(0),
            kicked: Mutex::new(false),
            changed: Condvar::new(),
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

    fn wait(&self, timeout: Option<Duration>) {
        let mut kicked = lock(&self.kicked);
        match timeout {
            Some(_) if *kicked => {}
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
        vec![WorkerSample { slices: 0, since: shared.clock().read(), reported: false }; scheduler.workers()];
    let (mut quiet, mut before) = (0, 0);
    let mut ticks_since_share = Duration::ZERO;
    let mut trimmer = Trimmer { last: shared.clock().read(), trims: 0, due: 0 };
    let mut last_look = LastLook::none();
    while !scheduler.stopping.load(Ordering::SeqCst) {
        let awakenings = scheduler.watchdog.awakenings.load(Ordering::SeqCst);
        // Read once, so that a timer that fires now is not ahead of `now_coarse`.
        let now = shared.clock().read();
        let elapsed_since_look = last_look.elapsed(now);
        let mut active = awakenings != before;
        before = awakenings;
        let (mut any_held_up, mut any_running, mut suspicious) = (false, false, false);
        for (worker, (sample, remote)) in samples.iter_mut().zip(&scheduler.remotes).enumerate() {
            let slices = remote.slices.load(Ordering::Relaxed);
            let running = !slices.is_multiple_of(2);
            if running && let Some(elapsed) = elapsed_since_look {
                shared.add_busy(remote.current.load(Ordering::Relaxed), elapsed);
            }
            active |= running || slices != sample.slices;
            let held_up = running && slices == sample.slices;
            if held_up {
                let since = sample.since.saturating_duration_since(shared.clock().start());
                remote.held_up_since.store(since.as_nanos() as u64, Ordering::Relaxed);
            }
            remote.held_up.store(held_up, Ordering::SeqCst);
            any_held_up |= held_up;
            any_running |= running;
            if !held_up {
                *sample = WorkerSample { slices, since: now, reported: false };
                suspicious |= running && remote.stealer.has_any();
                continue;
            }
            let elapsed = now.saturating_duration_since(sample.since);
            if !sample.reported && elapsed >= shared.config.long_schedule {
                sample.reported = true;
                report(shared, scheduler, worker, elapsed);
            }
        }
        if any_held_up {
            help(shared, scheduler, now);
        }
        // These were too few to wake another worker when they were pushed, but they still wait.
        if ticks_since_share >= TICK && scheduler.remotes.iter().any(|remote| !remote.stealer.is_empty()) {
            scheduler.wake_one();
            ticks_since_share = Duration::ZERO;
        }
        shared.sweep_busy();
        trimmer.run(shared, now, active);
        shared.repeats.take_due(now, false).into_iter().for_each(Repeated::print);
        quiet = if active { 0 } else { quiet + 1 };
        if quiet < QUIET_LOOKS {
            let asleep = scheduler.idle.is_anyone_asleep();
            let tick = match () {
                () if any_held_up || shared.busy_times.is_sampled() || suspicious && asleep => HELP_TICK,
                () if asleep && any_running => RUNNING_TICK,
                () if asleep => ATTENTIVE_TICK,
                () => TICK,
            };
            scheduler.watchdog.wait(Some(tick));
            ticks_since_share += tick;
            continue;
        }
        scheduler.watchdog.asleep.store(true, Ordering::SeqCst);
        let awakened = scheduler.watchdog.awakenings.load(Ordering::SeqCst) != before;
        if !awakened && !scheduler.stopping.load(Ordering::SeqCst) {
            let is_done = trimmer.is_done() && shared.repeats.is_empty();
            scheduler.watchdog.wait((!is_done).then_some(TRIM_INTERVAL));
        }
        scheduler.watchdog.asleep.store(false, Ordering::SeqCst);
        last_look = LastLook::none();
        // Unless a worker has woken, the next look is the last one.
        quiet = QUIET_LOOKS - 1;
    }
}

/// Does for workers that are held up what they would do between two poll slices.
fn help(shared: &Shared, scheduler: &Scheduler, now: Instant) {
    shared.timers.fire(shared, now);
    for remote in scheduler.remotes.iter().filter(|remote| remote.held_up.load(Ordering::Relaxed)) {
        if let Ok(mut driver) = remote.driver.try_lock() {
            driver.park(Some(Duration::ZERO));
            driver.dispatch();
        }
        if remote.stealer.has_any() {
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
    if let Some(info) = &process {
        shared.alarms.note_long_schedule(info.pid);
    }
    crate::log_event!(
        WARN,
        "riot::scheduler",
        pid,
        label,
        worker,
        "a process has not given way for {elapsed:?}"
    );
}

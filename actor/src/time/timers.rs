//! The timers of a runtime: one wheel for all of them, so that none depends on a worker.

use std::{
    ops::Range,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    task::Waker,
    time::{Duration, Instant},
};

use super::{
    clock::deadline_after,
    timer_ref::TimerRef,
    wheel::{NEVER, Wheel},
};
use crate::{
    guard::{Contained, contain},
    messages::message::Message,
    names::name::Name,
    process::{pid::Pid, reason::Reason},
    runtime::{kernel::waker, shared::Shared},
    sync::lock::lock,
};

/// The tick of the wheel.
const TICK: Duration = Duration::from_millis(1);

/// The last tick of the clock, which counts nanoseconds in 64 bits: after 584 years. A timer beyond it never
/// fires.
const MAX_TICKS: u64 = u64::MAX / TICK.as_nanos() as u64;

/// The target of a timer's message.
#[derive(Clone, Debug)]
pub(crate) enum Destination {
    Pid(Pid),
    Name(Name),
}

impl Destination {
    /// Returns the process that a timer is aimed at, and ends with; none for a name.
    fn pid(&self) -> Option<Pid> {
        match self {
            Self::Pid(pid) => Some(*pid),
            Self::Name(_) => None,
        }
    }

    /// Returns the process that gets a message now.
    fn holder(&self, shared: &Shared) -> Option<Pid> {
        match self {
            Self::Pid(pid) => Some(*pid),
            Self::Name(name) => shared.registry.holder(name),
        }
    }
}

enum Action {
    Wake(Waker, WakeCause),
    Send(Destination, Message),
    Repeat(Box<Repeat>),
    Exit(Box<ExitLater>),
}

/// Why a process is woken.
#[derive(Clone, Copy, Debug)]
enum WakeCause {
    Sleep,
    CallTimeout,
}

/// A timer as observers see it.
pub(super) struct ListedTimer {
    /// When it is due, and its number in the order of starts.
    pub(super) rank: (u64, u64),
    pub(super) to: Option<Destination>,
    pub(super) action: ListedAction,
}

/// The effect of a timer. Names of types are found when the wheel is not locked.
pub(super) enum ListedAction {
    Message(fn() -> &'static str),
    Interval(fn() -> &'static str),
    Exit,
    Wake,
    CallTimeout,
}

impl Action {
    fn listed(&self, shared: &Shared) -> (Option<Destination>, ListedAction) {
        let woken = |waker| waker::process_of(waker, shared).map(Destination::Pid);
        match self {
            Self::Wake(waker, WakeCause::Sleep) => (woken(waker), ListedAction::Wake),
            Self::Wake(waker, WakeCause::CallTimeout) => (woken(waker), ListedAction::CallTimeout),
            Self::Send(to, message) => (Some(to.clone()), ListedAction::Message(message.kind().type_name)),
            Self::Repeat(repeat) => (Some(repeat.to.clone()), ListedAction::Interval(repeat.type_name)),
            Self::Exit(exit) => (Some(Destination::Pid(exit.to)), ListedAction::Exit),
        }
    }
}

/// An exit signal to be sent.
struct ExitLater {
    to: Pid,
    from: Pid,
    reason: Reason,
}

struct Repeat {
    to: Destination,
    start: Instant,
    period: Duration,
    nth: u32,
    type_name: fn() -> &'static str,
    make: Contained<Box<dyn FnMut() -> Message + Send>>,
}

impl Repeat {
    fn deadline(&self) -> Option<Instant> {
        deadline_after(self.start, self.period.checked_mul(self.nth)?)
    }
}

pub(crate) struct Timers {
    start: Instant,
    wheel: Mutex<Wheel<Action>>,
    /// The tick before which no timer is due; [`NEVER`] without timers. Written under the wheel's lock.
    next: AtomicU64,
    /// Held by the worker that fires timers, so that they fire in order even if several workers are late.
    firing: Mutex<()>,
}

impl Timers {
    pub(crate) fn new(start: Instant) -> Self {
        Self { start, wheel: Mutex::new(Wheel::new()), next: AtomicU64::new(NEVER), firing: Mutex::new(()) }
    }

    /// Returns the first tick at whose beginning `deadline` has passed, so that no timer is early; [`NEVER`]
    /// without a deadline.
    fn tick_after(&self, deadline: Option<Instant>) -> u64 {
        let Some(deadline) = deadline else { return NEVER };
        let nanos = deadline.saturating_duration_since(self.start).as_nanos();
        let tick = u64::try_from(nanos.div_ceil(TICK.as_nanos())).unwrap_or(NEVER);
        if tick <= MAX_TICKS { tick } else { NEVER }
    }

    fn tick_now(&self, now: Instant) -> u64 {
        (now.saturating_duration_since(self.start).as_nanos() / TICK.as_nanos()) as u64
    }

    fn instant(&self, tick: u64) -> Option<Instant> {
        deadline_after(self.start, Duration::from_millis(tick))
    }

    fn begin(&self, deadline: Option<Instant>, action: impl FnOnce(TimerRef) -> Action) -> TimerRef {
        let tick = self.tick_after(deadline);
        let mut wheel = lock(&self.wheel);
        let key = wheel.start_with(tick, |key| action(TimerRef(key)));
        self.next.fetch_min(tick, Ordering::SeqCst);
        TimerRef(key)
    }

    /// Starts a timer that wakes `waker`.
    pub(crate) fn wake_at(&self, deadline: Instant, waker: Waker) -> TimerRef {
        self.begin(Some(deadline), |_| Action::Wake(waker, WakeCause::Sleep))
    }

    /// Starts a timer that wakes a process for the timeout of a call.
    pub(crate) fn wake_caller_at(&self, deadline: Instant, waker: Waker) -> TimerRef {
        self.begin(Some(deadline), |_| Action::Wake(waker, WakeCause::CallTimeout))
    }

    /// Shows `f` the timers in these places of the wheel, under its lock. Returns whether there are places
    /// behind them.
    pub(super) fn look(&self, shared: &Shared, places: Range<usize>, mut f: impl FnMut(ListedTimer)) -> bool {
        lock(&self.wheel).look(places, |tick, serial, action| {
            let (to, action) = action.listed(shared);
            f(ListedTimer { rank: (tick, serial), to, action });
        })
    }

    /// Starts a timer that sends a message, which may carry the timer's own reference.
    pub(crate) fn send_at(
        &self,
        shared: &Shared,
        deadline: Option<Instant>,
        to: Destination,
        message: impl FnOnce(TimerRef) -> Message,
    ) -> TimerRef {
        let target = to.pid();
        let timer = self.begin(deadline, |timer| Action::Send(to, message(timer)));
        self.begun(shared, timer, target);
        timer
    }

    /// Starts a timer that sends an exit signal.
    pub(crate) fn exit_at(
        &self,
        shared: &Shared,
        deadline: Option<Instant>,
        to: Pid,
        from: Pid,
        reason: Reason,
    ) -> TimerRef {
        let timer = self.begin(deadline, |_| Action::Exit(Box::new(ExitLater { to, from, reason })));
        self.begun(shared, timer, Some(to));
        timer
    }

    pub(crate) fn repeat(
        &self,
        shared: &Shared,
        to: Destination,
        period: Duration,
        type_name: fn() -> &'static str,
        make: Box<dyn FnMut() -> Message + Send>,
    ) -> TimerRef {
        let target = to.pid();
        let (start, make) = (shared.now(), Contained::new(make));
        let repeat = Box::new(Repeat { to, start, period, nth: 1, type_name, make });
        let tick = self.tick_after(repeat.deadline());
        let mut wheel = lock(&self.wheel);
        let timer = TimerRef(wheel.start_repeating(tick, Action::Repeat(repeat)));
        self.next.fetch_min(tick, Ordering::SeqCst);
        drop(wheel);
        self.begun(shared, timer, target);
        timer
    }

    /// Must be called after a timer with an effect on others was started. Attaches it to the process it is
    /// aimed at, so that it ends with it; at once, if that has exited.
    fn begun(&self, shared: &Shared, timer: TimerRef, target: Option<Pid>) {
        shared.timer_was_set();
        let Some(pid) = target else { return };
        match shared.attach_relation(pid, |relations| relations.others().timers.push(timer)) {
            Some(None) => {}
            Some(Some(all)) => self.sweep(shared, pid, all),
            None => self.discard(timer),
        }
    }

    /// Removes the timers that are over from those of a process.
    fn sweep(&self, shared: &Shared, pid: Pid, mut all: Vec<TimerRef>) {
        {
            let mut wheel = lock(&self.wheel);
            all.retain(|timer| wheel.get(timer.0).is_some());
        }
        let mut swept = Some(all);
        shared.attach_relation(pid, |relations| {
            relations.others().timers.put_back(swept.take().expect("it is put back once"))
        });
        // The process has exited meanwhile, so nothing else would end them.
        swept.into_iter().flatten().for_each(|timer| self.discard(timer));
    }

    /// Replaces the waker of a timer. Returns false if the timer has fired.
    pub(crate) fn rewake(&self, timer: TimerRef, waker: &Waker) -> bool {
        let mut copy = None;
        loop {
            let mut wheel = lock(&self.wheel);
            let Some((_, Some(Action::Wake(old, _)))) = wheel.get(timer.0) else { return false };
            if old.will_wake(waker) {
                return true;
            }
            // The waker may be a user's, so it is neither cloned nor dropped under the lock.
            if let Some(copy) = copy.take() {
                let before = std::mem::replace(old, copy);
                drop(wheel);
                drop(before);
                return true;
            }
            drop(wheel);
            copy = Some(waker.clone());
        }
    }

    /// Ends a timer. Returns how long it still had to run; none if it fired or was cancelled before.
    pub(crate) fn cancel(&self, shared: &Shared, timer: TimerRef) -> Option<Duration> {
        let (tick, action) = lock(&self.wheel).cancel(timer.0)?;
        drop(action);
        Some(self.left(shared, tick))
    }

    /// Ends a timer, if it runs.
    pub(crate) fn discard(&self, timer: TimerRef) {
        let ended = lock(&self.wheel).cancel(timer.0);
        let _ = contain(|| drop(ended));
    }

    /// Returns how long a timer has still to run.
    pub(crate) fn read(&self, shared: &Shared, timer: TimerRef) -> Option<Duration> {
        let tick = lock(&self.wheel).get(timer.0)?.0;
        Some(self.left(shared, tick))
    }

    fn left(&self, shared: &Shared, tick: u64) -> Duration {
        self.left_at(shared.now(), tick)
    }

    /// Returns how long after `now` a tick comes.
    pub(super) fn left_at(&self, now: Instant, tick: u64) -> Duration {
        let due = (tick != NEVER).then(|| self.instant(tick)).flatten();
        due.map_or(Duration::MAX, |due| due.saturating_duration_since(now))
    }

    /// Returns how many timers run.
    pub(crate) fn len(&self) -> usize {
        lock(&self.wheel).len()
    }

    /// Returns when [`fire`](Self::fire) must be called again at the latest.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        match self.next.load(Ordering::SeqCst) {
            NEVER => None,
            tick => self.instant(tick),
        }
    }

    /// Fires every timer that is due at `now`. Cheap if none is.
    pub(crate) fn fire(&self, shared: &Shared, now: Instant) {
        let now = self.tick_now(now);
        if self.next.load(Ordering::Relaxed) > now {
            return;
        }
        let Ok(_in_order) = self.firing.try_lock() else {
            return;
        };
        loop {
            let mut wheel = lock(&self.wheel);
            let Some((key, _, action)) = wheel.pop(now) else {
                self.next.store(wheel.next_tick().unwrap_or(NEVER), Ordering::SeqCst);
                return;
            };
            drop(wheel);
            let _ = contain(|| self.act(shared, TimerRef(key), action));
        }
    }

    fn act(&self, shared: &Shared, timer: TimerRef, action: Action) {
        match action {
            Action::Wake(waker, _) => waker.wake(),
            Action::Send(to, message) => {
                if let Some(pid) = to.holder(shared) {
                    shared.deliver(pid, message);
                }
            }
            Action::Exit(exit) => {
                let ExitLater { to, from, reason } = *exit;
                shared.exit(to, from, reason);
            }
            Action::Repeat(mut repeat) => {
                // Cloning a message runs code of a user. If it panics, the interval ends.
                let Some(message) = contain(|| (repeat.make)()) else {
                    return self.discard(timer);
                };
                let to = repeat.to.holder(shared);
                repeat.nth = repeat.nth.saturating_add(1);
                let tick = self.tick_after(repeat.deadline());
                let resumed = lock(&self.wheel).resume(timer.0, tick, Action::Repeat(repeat));
                if let (Ok(()), Some(to)) = (resumed, to) {
                    shared.deliver(to, message);
                }
            }
        }
    }

    /// Frees the memory of timers that are over.
    pub(crate) fn trim(&self) {
        let spare = lock(&self.wheel).trim();
        drop(spare);
    }

    /// Drops every timer unfired.
    pub(crate) fn clear(&self) {
        let all = lock(&self.wheel).clear();
        for action in all {
            let _ = contain(|| drop(action));
        }
    }
}

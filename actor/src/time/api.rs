//! Sleeping, and messages sent later.

use std::{
    any::type_name,
    fmt,
    future::Future,
    hint::cold_path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use super::{clock::deadline_after, timer_ref::TimerRef, timers::Destination};
use crate::{
    messages::message::Message,
    names::name::Name,
    process::{pid::Pid, reason::Reason},
    runtime::{context, coop, handle::Handle, kernel::observed::note_timer},
};

impl TimerRef {
    /// Ends the timer, from any process. `Some(left)`: its message will never arrive. `None`: it has fired
    /// (the message may be in a mailbox), was cancelled before, or its target has exited.
    ///
    /// # Panics
    /// Panics outside a process.
    pub fn cancel(self) -> Option<Duration> {
        context::with_shared("TimerRef::cancel", |shared| shared.timers.cancel(shared, self))
    }

    /// Returns how long the timer has still to run; none where [`cancel`](Self::cancel) returns none.
    ///
    /// # Panics
    /// Panics outside a process.
    #[must_use]
    pub fn read(self) -> Option<Duration> {
        context::with_shared("TimerRef::read", |shared| shared.timers.read(shared, self))
    }
}

/// The target of a timer's message: a [`Pid`], or a name that is looked up when the timer fires.
///
/// See [`send_after`] for an example.
pub trait SendLater {
    #[doc(hidden)]
    fn destination(self) -> DestinationArg;
}

#[doc(hidden)]
#[derive(Debug)]
pub struct DestinationArg(Destination);

impl SendLater for Pid {
    fn destination(self) -> DestinationArg {
        DestinationArg(Destination::Pid(self))
    }
}

impl SendLater for Name {
    fn destination(self) -> DestinationArg {
        DestinationArg(Destination::Name(self))
    }
}

impl SendLater for &str {
    fn destination(self) -> DestinationArg {
        DestinationArg(Destination::Name(Name::from(self)))
    }
}

/// Sends `message` after `delay`, once.
///
/// The timer outlives its creator, and ends with the process it is aimed at. If it is aimed at a name that no
/// process holds when it fires, the message is dropped.
///
/// ```
/// # use std::time::Duration;
/// # use riot_actor::{receive, run, this, time::send_after};
/// # run(async {
/// send_after(Duration::from_millis(1), this(), "now");
/// assert_eq!(receive::<&str>().await, "now");
/// # });
/// ```
///
/// # Panics
/// Panics outside a process.
pub fn send_after<M: Send + 'static>(delay: Duration, to: impl SendLater, message: M) -> TimerRef {
    let to = to.destination().0;
    context::with_shared("send_after", |shared| {
        let deadline = deadline_after(shared.now(), delay);
        shared.timers.send_at(shared, deadline, to, |_| Message::new(message))
    })
}

impl Handle {
    /// Sends `message` after `delay`, once, as [`send_after`] does, from a plain thread.
    ///
    /// ```
    /// use std::time::Duration;
    /// use riot_actor::{receive, run, runtime::Handle, this};
    ///
    /// run(async {
    ///     let (handle, main) = (Handle::current(), this());
    ///     std::thread::spawn(move || handle.send_after(Duration::from_millis(1), main, "now"));
    ///     assert_eq!(receive::<&str>().await, "now");
    /// });
    /// ```
    pub fn send_after<M: Send + 'static>(&self, delay: Duration, to: impl SendLater, message: M) -> TimerRef {
        let (shared, to) = (&*self.shared, to.destination().0);
        shared.timers.send_at(shared, deadline_after(shared.now(), delay), to, |_| Message::new(message))
    }
}

/// The message of [`start_timer`]. It carries the timer's reference, so that a stale timeout can be told from
/// a current one.
///
/// See [`start_timer`] for an example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeout<V> {
    /// The timer that fired.
    pub timer: TimerRef,
    /// The value given to [`start_timer`].
    pub value: V,
}

/// Sends [`Timeout`] with `value` to `to` after `delay`.
///
/// ```
/// # use std::time::Duration;
/// # use riot_actor::{receive, run, this, time::{Timeout, start_timer}};
/// # run(async {
/// let timer = start_timer(Duration::ZERO, this(), 'x');
/// assert_eq!(receive::<Timeout<char>>().await, Timeout { timer, value: 'x' });
/// # });
/// ```
///
/// # Panics
/// Panics outside a process.
pub fn start_timer<V: Send + 'static>(delay: Duration, to: impl SendLater, value: V) -> TimerRef {
    let to = to.destination().0;
    context::with_shared("start_timer", |shared| {
        let deadline = deadline_after(shared.now(), delay);
        let message = |timer| Message::system(Timeout { timer, value });
        shared.timers.send_at(shared, deadline, to, message)
    })
}

/// Asks `pid` to exit after `delay`, as [`exit`](crate::exit) does. The timer ends with the process it is
/// aimed at. (OTP: `timer:exit_after/3`.)
///
/// ```
/// # use std::time::Duration;
/// # use riot_actor::{Reason, process::{spawn, wait}, run, time::exit_after};
/// # run(async {
/// let clerk = spawn(std::future::pending::<()>());
/// exit_after(Duration::from_millis(1), clerk, Reason::Shutdown);
/// assert_eq!(wait(clerk).await, Reason::Shutdown);
/// # });
/// ```
///
/// # Panics
/// Panics outside a process.
pub fn exit_after(delay: Duration, pid: Pid, reason: Reason) -> TimerRef {
    let from = crate::this();
    context::with_shared("exit_after", |shared| {
        shared.timers.exit_at(shared, deadline_after(shared.now(), delay), pid, from, reason)
    })
}

/// Kills `pid` after `delay`, whether it traps exits or not. (OTP: `timer:kill_after/2`.)
///
/// See [`exit_after`] for an example.
///
/// # Panics
/// Panics outside a process.
pub fn kill_after(delay: Duration, pid: Pid) -> TimerRef {
    exit_after(delay, pid, Reason::Kill)
}

/// Sends a clone of `message` to `to` every `period`: the n-th n periods from now, without drift, until the
/// timer is cancelled or the process exits.
///
/// A name is looked up each time. A message for a name that no process holds is dropped, and the timer runs
/// on.
///
/// ```
/// # use std::time::Duration;
/// # use riot_actor::{receive, run, this, time::send_interval};
/// # run(async {
/// let timer = send_interval(Duration::from_millis(1), this(), 'x')?;
/// assert_eq!((receive::<char>().await, receive::<char>().await), ('x', 'x'));
/// timer.cancel();
/// # Ok::<(), riot_actor::Reason>(())
/// # });
/// ```
///
/// # Errors
/// If `period` is zero.
///
/// # Panics
/// Panics outside a process.
pub fn send_interval<M: Clone + Send + 'static>(
    period: Duration,
    to: impl SendLater,
    message: M,
) -> Result<TimerRef, ZeroPeriod> {
    if period.is_zero() {
        return Err(ZeroPeriod);
    }
    let to = to.destination().0;
    Ok(context::with_shared("send_interval", |shared| {
        let make = Box::new(move || Message::new(message.clone()));
        shared.timers.repeat(shared, to, period, type_name::<M>, make)
    }))
}

/// The error of an interval whose period is zero.
///
/// ```
/// # use std::time::Duration;
/// # use riot_actor::{run, this, time::{ZeroPeriod, send_interval}};
/// # run(async {
/// assert_eq!(send_interval(Duration::ZERO, this(), ()), Err(ZeroPeriod));
/// # });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZeroPeriod;

impl fmt::Display for ZeroPeriod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the period of an interval must be longer than nothing")
    }
}
impl std::error::Error for ZeroPeriod {}

/// Suspends the caller, and only it, for `duration`. No message ends the sleep early.
///
/// ```
/// # riot_actor::run(async {
/// riot_actor::sleep(std::time::Duration::from_millis(1)).await;
/// # });
/// ```
pub fn sleep(duration: Duration) -> Sleep {
    Sleep { wake: SleepUntil::Later(duration), timer: None, is_late: false }
}

/// Suspends the caller until `deadline`. See [`Sleep::deadline`] for an example.
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep { wake: SleepUntil::At(deadline), timer: None, is_late: false }
}

/// The future of [`sleep`] and [`sleep_until`]. Dropping it ends its timer.
#[derive(Debug)]
#[must_use = "a sleep does nothing until it is awaited"]
pub struct Sleep {
    wake: SleepUntil,
    timer: Option<(TimerRef, Handle)>,
    /// Whether the deadline had passed at the last poll, and there was no reduction left to complete it.
    is_late: bool,
}

#[derive(Debug)]
enum SleepUntil {
    /// Counted from the first poll.
    Later(Duration),
    At(Instant),
    Never,
}

impl Sleep {
    /// Returns when the sleep is over; none if it never is, or if it was made by [`sleep`] and not polled
    /// yet.
    ///
    /// ```
    /// use std::time::Duration;
    /// # riot_actor::run(async {
    /// let deadline = riot_actor::now() + Duration::from_millis(1);
    /// assert_eq!(riot_actor::time::sleep_until(deadline).deadline(), Some(deadline));
    /// # });
    /// ```
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match self.wake {
            SleepUntil::At(deadline) => Some(deadline),
            SleepUntil::Later(_) | SleepUntil::Never => None,
        }
    }

    /// Moves the deadline. A timer that already runs for an earlier deadline is left running: it causes one
    /// wake-up that comes too early, which costs far less than a new timer for every move.
    pub fn reset(&mut self, deadline: Instant) {
        if let (SleepUntil::At(before), Some((timer, handle))) = (&self.wake, &self.timer)
            && deadline < *before
        {
            handle.shared.timers.discard(*timer);
            self.timer = None;
        }
        self.wake = SleepUntil::At(deadline);
        self.is_late = false;
    }

    /// Returns whether the sleep is over, and only the reductions of its last poll slice kept it from being
    /// ready.
    pub(super) fn is_late(&self) -> bool {
        self.is_late
    }

    /// Polls the sleep, and does not note that the process waits for it: the bound of another wait, which
    /// observers are to see.
    #[doc(hidden)]
    pub fn poll_unnoted(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if coop::poll_live().is_pending() {
            return Poll::Pending;
        }
        context::with_shared("sleep", |shared| {
            let now = shared.now();
            let deadline = match self.wake {
                SleepUntil::Later(duration) => match deadline_after(now, duration) {
                    Some(deadline) => {
                        self.wake = SleepUntil::At(deadline);
                        deadline
                    }
                    None => {
                        self.wake = SleepUntil::Never;
                        return Poll::Pending;
                    }
                },
                SleepUntil::At(deadline) => deadline,
                SleepUntil::Never => return Poll::Pending,
            };
            if deadline <= now {
                let proceed = coop::poll_proceed(cx);
                self.is_late = proceed.is_pending();
                return proceed;
            }
            if let Some((timer, handle)) = &self.timer {
                // A sleep may move to another runtime, where its timer would be that of another sleep.
                if Arc::ptr_eq(&handle.shared, shared) {
                    if shared.timers.rewake(*timer, cx.waker()) {
                        return Poll::Pending;
                    }
                } else {
                    cold_path();
                    handle.shared.timers.discard(*timer);
                }
            }
            let timer = shared.timers.wake_at(deadline, cx.waker().clone());
            shared.timer_was_set();
            self.timer = Some((timer, shared.handle()));
            Poll::Pending
        })
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let polled = self.poll_unnoted(cx);
        if polled.is_pending() {
            let until = self.deadline().map_or(u64::MAX, |deadline| {
                context::with_shared("sleep", |shared| shared.clock().nanos_at(deadline))
            });
            note_timer(until);
        }
        polled
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some((timer, handle)) = self.timer.take() {
            handle.shared.timers.discard(timer);
        }
    }
}

/// Makes ticks every `period`, the first one period from the first [`tick`](Interval::tick). A late tick does
/// not move the next ones; [`Interval::missed`] sets what happens to ticks that are missed. A period beyond
/// the end of the clock waits for ever.
///
/// ```
/// # use std::time::Duration;
/// # use riot_actor::{now, run, time::interval};
/// # run(async {
/// let start = now();
/// let mut ticks = interval(Duration::from_millis(1));
/// ticks.tick().await;
/// ticks.tick().await;
/// assert!(now() - start >= Duration::from_millis(2));
/// # });
/// ```
///
/// # Panics
/// Panics if `period` is zero.
pub fn interval(period: Duration) -> Interval {
    assert!(!period.is_zero(), "{ZeroPeriod}");
    Interval { period, next: NextTick::Unknown, missed: MissedTicks::default() }
}

/// The policy of an [`Interval`] for ticks that are due before its caller waits for them.
///
/// ```
/// # use std::time::Duration;
/// # use riot_actor::{now, simulation::Simulation, sleep, time::{MissedTicks, interval}};
/// # Simulation::new(1).run(async {
/// let second = Duration::from_secs(1);
/// let mut ticks = interval(second).missed(MissedTicks::Skip);
/// ticks.tick().await;
/// sleep(second * 7 / 2).await;                   // misses three ticks
/// let start = now();
/// ticks.tick().await;                            // at once
/// ticks.tick().await;                            // at the next multiple of a second
/// assert_eq!(now() - start, second / 2);
/// # });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissedTicks {
    /// Makes up for all of them, one after the other, at once. The default.
    #[default]
    Burst,
    /// Makes up for one, and counts the next period from there.
    Delay,
    /// Makes up for one, and leaves out the others: the next tick is at a multiple of the period again.
    Skip,
}

/// The ticks of [`interval`].
///
/// See [`interval`] for an example.
#[derive(Debug)]
pub struct Interval {
    period: Duration,
    next: NextTick,
    missed: MissedTicks,
}

#[derive(Clone, Copy, Debug)]
enum NextTick {
    /// No tick was waited for yet.
    Unknown,
    At(Instant),
    /// Beyond the end of the clock.
    Never,
}

impl NextTick {
    fn after(start: Instant, period: Duration) -> Self {
        deadline_after(start, period).map_or(Self::Never, Self::At)
    }
}

impl Interval {
    /// Sets what happens to ticks that are missed; [`MissedTicks::Burst`] by default.
    #[must_use]
    pub fn missed(mut self, missed: MissedTicks) -> Self {
        self.missed = missed;
        self
    }

    /// Waits for the next tick.
    ///
    /// # Cancel safety
    /// If the future is dropped before it is ready, no tick is skipped.
    ///
    /// # Panics
    /// Panics when awaited outside a process.
    pub async fn tick(&mut self) {
        if let NextTick::Unknown = self.next {
            self.next = NextTick::after(crate::now(), self.period);
        }
        let NextTick::At(due) = self.next else { return std::future::pending().await };
        sleep_until(due).await;
        self.next = self.after(due, crate::now());
    }

    /// Returns the tick after the one that was due at `due` and is made up for `now`.
    fn after(&self, due: Instant, now: Instant) -> NextTick {
        let late = now.saturating_duration_since(due);
        if late < self.period {
            return NextTick::after(due, self.period);
        }
        match self.missed {
            MissedTicks::Burst => NextTick::after(due, self.period),
            MissedTicks::Delay => NextTick::after(now, self.period),
            MissedTicks::Skip => {
                let into_period = (late.as_nanos() % self.period.as_nanos()) as u64;
                let left = self.period.saturating_sub(Duration::from_nanos(into_period));
                NextTick::after(now, left)
            }
        }
    }
}

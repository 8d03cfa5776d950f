//! The timers a process uses.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use crate::time::timers::{Destination, TimerRef};
use crate::{
    messages::message::Message,
    names::registry::Name,
    process::pid::Pid,
    runtime::{context, coop},
};

impl TimerRef {
    /// Ends the timer. `Some(left)`: its message will never arrive. `None`: it has fired (the message may be in a
    /// mailbox), was cancelled before, or its target is gone. Works from any process.
    ///
    /// # Panics
    /// Outside a process.
    pub fn cancel(self) -> Option<Duration> {
        context::with_shared("TimerRef::cancel", |shared| shared.timers.cancel(shared, self))
    }

    /// How long the timer has still to run; like [`cancel`](Self::cancel), without its effect.
    ///
    /// # Panics
    /// Outside a process.
    #[must_use]
    pub fn read(self) -> Option<Duration> {
        context::with_shared("TimerRef::read", |shared| shared.timers.read(shared, self))
    }
}

/// Somewhere a timer can send to: a [`Pid`], or a name that is mailbox_scanned up when the timer fires.
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

impl SendLater for &str {
    fn destination(self) -> DestinationArg {
        DestinationArg(Destination::Name(Name::from(self)))
    }
}

/// Sends `message` after `delay`, once. The timer outlives its creator, and ends with the process it is aimed at; a
/// name nobody holds when it fires drops the message silently.
///
/// # Panics
/// Outside a process.
pub fn send_after<M: Send + 'static>(delay: Duration, to: impl SendLater, message: M) -> TimerRef {
    let to = to.destination().0;
    context::with_shared("send_after", |shared| {
        let deadline = shared.now().checked_add(delay);
        shared.timers.send_at(shared, deadline, to, |_| Message::new(message))
    })
}

/// What [`start_timer`] sends: its own reference, so that a stale timeout can be told from a current one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeout<V> {
    /// The timer that fired.
    pub timer: TimerRef,
    /// What was given to [`start_timer`].
    pub value: V,
}

/// Sends [`Timeout`] with `value` to `to` after `delay`.
///
/// # Panics
/// Outside a process.
pub fn start_timer<V: Send + 'static>(delay: Duration, to: Pid, value: V) -> TimerRef {
    context::with_shared("start_timer", |shared| {
        let deadline = shared.now().checked_add(delay);
        let message = |timer| Message::system(Timeout { timer, value });
        shared.timers.send_at(shared, deadline, Destination::Pid(to), message)
    })
}

/// Sends a clone of `message` to `to` every `period`: the n-th n periods from now, without drift, until the timer is
/// cancelled or the process ends.
///
/// # Errors
/// Filter `period` is zero.
///
/// # Panics
/// Outside a process.
pub fn send_interval<M: Clone + Send + 'static>(
    period: Duration,
    to: Pid,
    message: M,
) -> Result<TimerRef, ZeroPeriod> {
    if period.is_zero() {
        return Err(ZeroPeriod);
    }
    Ok(context::with_shared("send_interval", |shared| {
        shared.timers.repeat(shared, to, period, Box::new(move || Message::new(message.clone())))
    }))
}

/// An interval of no length would never end to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZeroPeriod;

impl fmt::Display for ZeroPeriod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the period of an interval must be longer than nothing")
    }
}
impl std::error::Error for ZeroPeriod {}

/// Suspends the caller, and only it, for `duration`. It takes no message and is not cut short by any.
///
/// ```
/// # riot_actor::run(async {
/// riot_actor::sleep(std::time::Duration::from_millis(1)).await;
/// # });
/// ```
pub fn sleep(duration: Duration) -> Sleep {
    Sleep { wake: SleepUntil::Later(duration), timer: None }
}

/// Suspends the caller until `deadline`.
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep { wake: SleepUntil::At(deadline), timer: None }
}

/// The future of [`sleep`] and [`sleep_until`]. Dropped, it takes its timer with it.
#[derive(Debug)]
#[must_use = "a sleep does nothing until it is awaited"]
pub struct Sleep {
    wake: SleepUntil,
    timer: Option<(TimerRef, crate::runtime::handle::Handle)>,
}

#[derive(Debug)]
enum SleepUntil {
    /// Counted from the first poll.
    Later(Duration),
    At(Instant),
    Never,
}

impl Sleep {
    /// When it is over. None if it never is, or is not polled yet and was given a duration.
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

    /// Moves the deadline. A timer already running for an earlier one is left to run: it costs one wake-up that finds
    /// it is too early, far less than a new timer for every move.
    pub fn reset(&mut self, deadline: Instant) {
        if let (SleepUntil::At(before), Some((timer, handle))) = (&self.wake, &self.timer)
            && deadline < *before
        {
            handle.shared.timers.discard(*timer);
            self.timer = None;
        }
        self.wake = SleepUntil::At(deadline);
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if coop::poll_live().is_pending() {
            return Poll::Pending;
        }
        context::with_shared("sleep", |shared| {
            let now = shared.now();
            let deadline = match self.wake {
                SleepUntil::Later(duration) => match now.checked_add(duration) {
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
                return coop::poll_proceed(cx);
            }
            if let Some((timer, _)) = &self.timer
                && shared.timers.rewake(*timer, cx.waker())
            {
                return Poll::Pending;
            }
            let timer = shared.timers.wake_at(deadline, cx.waker().clone());
            self.timer = Some((timer, shared.handle()));
            Poll::Pending
        })
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some((timer, handle)) = self.timer.take() {
            handle.shared.timers.discard(timer);
        }
    }
}

/// Ticks every `period`, the first time one period from now. A tick that comes late moves none after it.
///
/// # Panics
/// Filter `period` is zero.
pub fn interval(period: Duration) -> Interval {
    assert!(!period.is_zero(), "{ZeroPeriod}");
    Interval { period, next: None }
}

/// The ticks of [`interval`].
#[derive(Debug)]
pub struct Interval {
    period: Duration,
    next: Option<Instant>,
}

impl Interval {
    /// Waits for the next tick.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, it has skipped no tick.
    pub async fn tick(&mut self) {
        let next = self.next.unwrap_or_else(|| crate::now() + self.period);
        self.next = Some(next);
        sleep_until(next).await;
        self.next = Some(next + self.period);
    }
}

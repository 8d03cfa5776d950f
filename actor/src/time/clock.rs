//! The clock of a runtime: real time, or a virtual clock that a simulation advances.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use crate::runtime::context;

/// Returns the time by the runtime's clock: real, or that of a simulation. Outside a process it is real time.
///
/// ```
/// # riot_actor::run(async {
/// let start = riot_actor::now();
/// assert!(riot_actor::now() >= start);
/// # });
/// ```
#[must_use]
pub fn now() -> Instant {
    context::with_local(|local| local.map_or_else(Instant::now, |local| local.shared.now()))
}

/// Returns the time when the runtime last read its clock, at a fraction of the cost of [`now`].
///
/// Usually within 1 ms before `now`, at most about 10 ms unless a process blocks its worker. It never goes
/// back. Use it where a time need not be exact, such as when a client last sent something. In a simulation it
/// is `now`.
///
/// ```
/// # riot_actor::run(async {
/// assert!(riot_actor::time::now_coarse() <= riot_actor::now());
/// # });
/// ```
#[must_use]
pub fn now_coarse() -> Instant {
    context::with_local(|local| local.map_or_else(Instant::now, |local| local.shared.clock().now_coarse()))
}

pub(crate) struct Clock {
    start: Instant,
    /// Nanoseconds since `start` when the clock was last read; the whole state of a virtual clock.
    read: AtomicU64,
    is_virtual: bool,
}

impl Clock {
    pub(crate) fn real() -> Self {
        Self { start: Instant::now(), read: AtomicU64::new(0), is_virtual: false }
    }

    pub(crate) fn new_virtual() -> Self {
        Self { is_virtual: true, ..Self::real() }
    }

    pub(crate) fn start(&self) -> Instant {
        self.start
    }

    /// Returns whether a simulation moves the clock.
    pub(crate) fn is_virtual(&self) -> bool {
        self.is_virtual
    }

    pub(crate) fn now(&self) -> Instant {
        if self.is_virtual {
            return self.now_coarse();
        }
        Instant::now()
    }

    /// Returns the time, and stores it for [`now_coarse`](Self::now_coarse).
    pub(crate) fn read(&self) -> Instant {
        let now = self.now();
        if !self.is_virtual {
            self.read.fetch_max(nanos(now - self.start), Ordering::Relaxed);
        }
        now
    }

    /// Returns the time in nanoseconds since the start.
    pub(crate) fn now_nanos(&self) -> u64 {
        nanos(self.now() - self.start)
    }

    /// Returns the time when the clock was last read: each worker reads it every few poll slices and when it
    /// wakes, the watchdog every few milliseconds while any of them runs.
    pub(crate) fn now_coarse(&self) -> Instant {
        self.start + Duration::from_nanos(self.now_coarse_nanos())
    }

    /// Returns [`now_coarse`](Self::now_coarse) in nanoseconds since the start.
    pub(crate) fn now_coarse_nanos(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Returns the nanoseconds from the start to `then`.
    pub(crate) fn nanos_at(&self, then: Instant) -> u64 {
        nanos(then.saturating_duration_since(self.start))
    }

    /// Advances a virtual clock to `then`, never back.
    pub(crate) fn advance_to(&self, then: Instant) {
        assert!(self.is_virtual, "real time advances by itself");
        self.read.fetch_max(nanos(then.saturating_duration_since(self.start)), Ordering::Relaxed);
    }
}

/// Returns the instant after `delay`, or none where that lies beyond the end of the clock: then the wait has
/// no end. All deadlines are made by it, so that no duration panics or wraps around.
///
/// ```
/// # use std::time::Duration;
/// # use riot_actor::{now, time::deadline_after};
/// # riot_actor::run(async {
/// let now = now();
/// assert_eq!(deadline_after(now, Duration::from_secs(1)), Some(now + Duration::from_secs(1)));
/// assert_eq!(deadline_after(now, Duration::MAX), None);
/// # });
/// ```
#[must_use]
pub fn deadline_after(now: Instant, delay: Duration) -> Option<Instant> {
    now.checked_add(delay)
}

/// Returns how much of `timeout`, which begins now, is left at each call: the bound of several waits
/// together.
pub(crate) fn time_left(timeout: Option<Duration>) -> impl Fn() -> Option<Duration> {
    let deadline = timeout.and_then(|timeout| deadline_after(now(), timeout));
    move || deadline.map(|deadline| deadline.saturating_duration_since(now()))
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

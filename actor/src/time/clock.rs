//! Real time, or a clock wound by hand.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

pub(crate) struct Clock {
    start: Instant,
    /// Nanoseconds since `start` when the clock was last read; all there is of one wound by hand.
    read: AtomicU64,
    by_hand: bool,
}

impl Clock {
    pub(crate) fn real() -> Self {
        Self { start: Instant::now(), read: AtomicU64::new(0), by_hand: false }
    }

    pub(crate) fn by_hand() -> Self {
        Self { by_hand: true, ..Self::real() }
    }

    pub(crate) fn start(&self) -> Instant {
        self.start
    }

    pub(crate) fn now(&self) -> Instant {
        if self.by_hand {
            return self.now_coarse();
        }
        Instant::now()
    }

    /// The time, also kept for [`now_coarse`](Self::now_coarse).
    pub(crate) fn read(&self) -> Instant {
        let now = self.now();
        if !self.by_hand {
            self.read.fetch_max(nanos(now - self.start), Ordering::Relaxed);
        }
        now
    }

    /// The time in nanoseconds since the start.
    pub(crate) fn now_nanos(&self) -> u64 {
        nanos(self.now() - self.start)
    }

    /// The time when somebody last read the clock: each worker does every few turns and when it wakes, and the watchdog
    /// every few milliseconds while any of them runs.
    pub(crate) fn now_coarse(&self) -> Instant {
        self.start + Duration::from_nanos(self.now_coarse_nanos())
    }

    /// The same as a number, for [`since`](Self::since).
    pub(crate) fn now_coarse_nanos(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// How long ago that was.
    pub(crate) fn since(&self, then_nanos: u64) -> Duration {
        self.now().saturating_duration_since(self.start + Duration::from_nanos(then_nanos))
    }

    /// Winds a clock wound by hand to `then`, never back.
    pub(crate) fn advance_to(&self, then: Instant) {
        assert!(self.by_hand, "real time advances by itself");
        self.read.fetch_max(nanos(then.saturating_duration_since(self.start)), Ordering::Relaxed);
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

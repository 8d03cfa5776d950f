//! The time as the timers of a connection know it.

use std::time::{Duration, Instant};

use crate::timeouts::{Nanos, UNSET, nanos};

/// When a timer is due: at a time, never, or a duration after the time is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Due(pub(super) Nanos);

impl Due {
    pub(super) const NEVER: Self = Self(Nanos::MAX);

    /// Due `duration` after the time is known.
    pub(super) fn after(duration: Nanos) -> Self {
        Self(UNSET | duration)
    }

    /// Returns the duration to wait once the time is known.
    pub(super) fn duration(self) -> Option<Nanos> {
        (self.0 >= UNSET && self != Self::NEVER).then_some(self.0 & !UNSET)
    }

    pub(super) fn time_mut(&mut self) -> Option<&mut Nanos> {
        (self.0 < UNSET).then_some(&mut self.0)
    }

    pub(super) fn is_due(self, now: Nanos) -> bool {
        self.0 <= now
    }

    /// Starts the timer if there is a timeout and it does not run, and stops it if there is none.
    pub(super) fn keep(&mut self, timeout: Option<Duration>, clock: &mut Clock) {
        match timeout {
            Some(timeout) if *self == Self::NEVER => *self = clock.start(nanos(timeout)),
            Some(_) => {}
            None => *self = Self::NEVER,
        }
    }
}

/// The time as far as the timers have been told it.
#[derive(Debug)]
pub(super) struct Clock {
    /// The first time told.
    pub(super) origin: Option<Instant>,
    /// The latest time told, in nanoseconds after `origin` and as it was told.
    pub(super) now: Nanos,
    pub(super) instant: Option<Instant>,
    /// The present call was told the time.
    pub(super) told: bool,
    /// Some timers may wait for the time to be known.
    pub(super) unset: bool,
    /// No timer is due before this. It is left alone when timers stop or move out: checking once too early
    /// costs less than searching for the earliest at every change.
    pub(super) earliest: Due,
}

impl Clock {
    #[inline]
    pub(super) fn set(&mut self, now: Instant) {
        // Several calls are told the same time.
        if self.instant != Some(now) {
            self.set_slow(now);
        }
    }

    #[inline(never)]
    pub(super) fn set_slow(&mut self, now: Instant) {
        let origin = *self.origin.get_or_insert(now);
        self.now = self.now.max(nanos(now.saturating_duration_since(origin)));
        self.instant = Some(now);
    }

    pub(super) fn start(&mut self, time: Nanos) -> Due {
        if self.told {
            return self.at(self.now + time);
        }
        self.unset = true;
        if self.origin.is_some() {
            let _ = self.at(self.now);
        }
        Due::after(time)
    }

    pub(super) fn at(&mut self, at: Nanos) -> Due {
        self.earliest = self.earliest.min(Due(at));
        Due(at)
    }

    pub(super) fn instant(&self, timer: Due) -> Option<Instant> {
        self.origin.filter(|_| timer.0 < UNSET).map(|origin| origin + Duration::from_nanos(timer.0))
    }

    /// Returns the due time of `instant`; never if there is none.
    pub(super) fn due(&self, instant: Option<Instant>) -> Due {
        match (instant, self.origin) {
            (Some(instant), Some(origin)) => Due(nanos(instant.saturating_duration_since(origin))),
            _ => Due::NEVER,
        }
    }
}

//! Real time, or a clock wound by hand.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

pub(crate) struct Clock {
    start: Instant,
    /// Nanoseconds since `start`, if this clock is wound by hand.
    wound: Option<AtomicU64>,
}

impl Clock {
    pub(crate) fn real() -> Self {
        Self { start: Instant::now(), wound: None }
    }

    pub(crate) fn by_hand() -> Self {
        Self { start: Instant::now(), wound: Some(AtomicU64::new(0)) }
    }

    pub(crate) fn start(&self) -> Instant {
        self.start
    }

    pub(crate) fn now(&self) -> Instant {
        match &self.wound {
            None => Instant::now(),
            Some(nanos) => self.start + Duration::from_nanos(nanos.load(Ordering::Relaxed)),
        }
    }

    /// Winds the clock to `then`, never back.
    pub(crate) fn advance_to(&self, then: Instant) {
        let nanos = u64::try_from(then.saturating_duration_since(self.start).as_nanos()).unwrap_or(u64::MAX);
        let wound = self.wound.as_ref().expect("only a clock wound by hand can be advanced");
        wound.fetch_max(nanos, Ordering::Relaxed);
    }
}

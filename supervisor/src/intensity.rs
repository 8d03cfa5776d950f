//! The restart intensity: at most `max_restarts` in any `period`.
//!
//! The code here is told the time and reads no clock, so a test of a year of crashes takes a microsecond.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

#[derive(Debug)]
pub(crate) struct Intensity {
    max_restarts: usize,
    period: Duration,
    /// The instants of recent attempts, oldest first. Invariant: `recent.len() <= max_restarts`.
    recent: VecDeque<Instant>,
}

#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Restart,
    GiveUp,
}

impl Intensity {
    pub(crate) fn new(max_restarts: usize, period: Duration) -> Self {
        Self { max_restarts, period, recent: VecDeque::new() }
    }

    pub(crate) fn max_restarts(&self) -> usize {
        self.max_restarts
    }

    pub(crate) fn period(&self) -> Duration {
        self.period
    }

    /// Sets other bounds. Attempts that were made before count on.
    pub(crate) fn set(&mut self, max_restarts: usize, period: Duration) {
        (self.max_restarts, self.period) = (max_restarts, period);
        let spare = self.recent.len().saturating_sub(max_restarts);
        self.recent.drain(..spare);
    }

    /// Returns the instants of the attempts that count.
    pub(crate) fn instants(&self) -> impl Iterator<Item = Instant> {
        self.recent.iter().copied()
    }

    /// Returns how many attempts were recorded in the period until `now`.
    pub(crate) fn recent(&self, now: Instant) -> usize {
        self.recent.iter().filter(|&&at| now.saturating_duration_since(at) <= self.period).count()
    }

    /// Records an attempt to restart at `now`, and returns whether it may be made. An attempt exactly one
    /// period ago still counts.
    pub(crate) fn record(&mut self, now: Instant) -> Verdict {
        while self.recent.front().is_some_and(|&first| now.saturating_duration_since(first) > self.period) {
            self.recent.pop_front();
        }
        if self.recent.len() == self.max_restarts {
            return Verdict::GiveUp;
        }
        self.recent.push_back(now);
        Verdict::Restart
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_second_crash_in_five_seconds_is_one_too_many() {
        let (start, mut intensity) = (Instant::now(), Intensity::new(1, 5 * SECOND));
        assert_eq!(intensity.record(start), Verdict::Restart);
        assert_eq!(intensity.record(start + 5 * SECOND), Verdict::GiveUp);
    }

    #[test]
    fn a_crash_is_forgotten_after_the_period() {
        let (start, mut intensity) = (Instant::now(), Intensity::new(1, 5 * SECOND));
        assert_eq!(intensity.record(start), Verdict::Restart);
        assert_eq!(intensity.record(start + 5 * SECOND + Duration::from_nanos(1)), Verdict::Restart);
    }

    #[test]
    fn with_none_allowed_the_first_crash_is_the_last() {
        assert_eq!(Intensity::new(0, SECOND).record(Instant::now()), Verdict::GiveUp);
    }

    #[test]
    fn a_crash_a_minute_for_a_year_is_fine() {
        let (start, mut intensity) = (Instant::now(), Intensity::new(1, 5 * SECOND));
        for minute in 0..60 * 24 * 365 {
            assert_eq!(intensity.record(start + 60 * SECOND * minute), Verdict::Restart);
        }
        assert_eq!(intensity.recent.len(), 1);
    }

    proptest! {
        /// The intensity equals a plain list: an attempt is made unless more than n lie in [now - p, now],
        /// this one included.
        #[test]
        fn equals_a_list_of_all_attempts(
            n in 0usize..5,
            period in 1u64..10,
            gaps in prop::collection::vec(0u64..6, 0..60),
        ) {
            let (start, mut now) = (Instant::now(), 0);
            let mut intensity = Intensity::new(n, Duration::from_secs(period));
            let mut made: Vec<u64> = Vec::new();
            for gap in gaps {
                now += gap;
                let lately = made.iter().filter(|&&then| then + period >= now).count() + 1;
                let expected = if lately > n { Verdict::GiveUp } else { Verdict::Restart };
                prop_assert_eq!(intensity.record(start + Duration::from_secs(now)), expected);
                if expected == Verdict::GiveUp {
                    break; // A supervisor that gives up is not asked again.
                }
                made.push(now);
            }
        }
    }
}

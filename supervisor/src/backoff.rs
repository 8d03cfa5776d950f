//! How long to wait before the next attempt to start what did not start: longer each time, and not quite as long as
//! everybody else waits.
//!
//! Told the time and given its randomness as a seed, it is a function: a simulation replays.

use std::time::{Duration, Instant};

use crate::error::SpecError;

/// Delays that grow with every failure, for [`Supervisor::backoff`](crate::Supervisor::backoff).
///
/// After the n-th failure in a row the delay is `first` doubled n - 1 times, at most `max`. Of that it waits a part
/// taken at random from the upper half, so that many that failed together do not try again together. A failure is no
/// longer in a row with the one before it if the child needed no retry for the time of `quiet`.
///
/// ```
/// use std::time::Duration;
/// use riot_supervisor::{Backoff, Supervisor, process};
///
/// let sup = Supervisor::one_for_one()
///     .intensity(10, Duration::from_secs(3600)) // every attempt counts: allow as many as you want to be made
///     .backoff(Backoff::new().first(Duration::from_millis(50)).max(Duration::from_secs(10)))
///     .child(process("db", || std::future::pending::<()>()));
/// # drop(sup);
/// ```
#[derive(Clone, Debug)]
#[must_use = "it is given to a supervisor"]
pub struct Backoff {
    first: Duration,
    max: Duration,
    quiet: Duration,
    seed: Option<u64>,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

impl Backoff {
    /// From 100 ms to 30 s, forgotten after a quiet minute.
    pub fn new() -> Self {
        Self {
            first: Duration::from_millis(100),
            max: Duration::from_secs(30),
            quiet: Duration::from_secs(60),
            seed: None,
        }
    }

    /// The longest delay after the first failure; default 100 ms, more than zero.
    pub fn first(mut self, delay: Duration) -> Self {
        self.first = delay;
        self
    }

    /// The longest delay of all; default 30 s, at least `first`.
    pub fn max(mut self, delay: Duration) -> Self {
        self.max = delay;
        self
    }

    /// How long after its last attempt was due a child has to be without a failed one to be taken for healthy;
    /// default 60 s.
    pub fn quiet(mut self, period: Duration) -> Self {
        self.quiet = period;
        self
    }

    /// Where its randomness starts; default different each time. A simulation that is to be replayed gives one.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    pub(crate) fn check(&self) -> Result<(), SpecError> {
        if self.first.is_zero() || self.max < self.first {
            return Err(SpecError::BackoffBounds);
        }
        Ok(())
    }
}

/// The failures of one child in a row.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Failures {
    count: u32,
    /// When the attempt after the last of them was due.
    retried: Option<Instant>,
}

/// Says how long to wait.
#[derive(Debug)]
pub(crate) enum RetryPolicy {
    Fixed(Duration),
    Growing { backoff: Backoff, random: u64 },
}

impl RetryPolicy {
    pub(crate) fn growing(backoff: Backoff) -> Self {
        let seed = backoff.seed.unwrap_or_else(riot_actor::runtime::random);
        Self::Growing { backoff, random: seed }
    }

    /// The start of a child failed at `now`: how long until the next attempt.
    pub(crate) fn delay(&mut self, failures: &mut Failures, now: Instant) -> Duration {
        let (backoff, random) = match self {
            Self::Fixed(delay) => return *delay,
            Self::Growing { backoff, random } => (backoff, random),
        };
        let quiet = |retried: Instant| now.saturating_duration_since(retried) > backoff.quiet;
        if failures.retried.is_some_and(quiet) {
            failures.count = 0;
        }
        let doubled = 2_u32.saturating_pow(failures.count);
        let longest = backoff.first.saturating_mul(doubled).min(backoff.max);
        let half = longest / 2;
        let delay = (half + (longest - half).mul_f64(part(random))).min(longest);
        failures.count = failures.count.saturating_add(1);
        failures.retried = Some(now.checked_add(delay).unwrap_or(now));
        delay
    }
}

/// A number from zero to one; Steele's splitmix64, which takes any seed.
fn part(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    (mixed >> 11) as f64 / ((1_u64 << 53) - 1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn policy(seed: u64) -> RetryPolicy {
        RetryPolicy::growing(Backoff::new().first(millis(100)).max(millis(1_000)).seed(seed))
    }

    #[test]
    fn it_doubles_up_to_the_longest_and_waits_at_least_half() {
        let (mut policy, mut failures, mut now) = (policy(1), Failures::default(), Instant::now());
        for longest in [100, 200, 400, 800, 1_000, 1_000, 1_000] {
            let delay = policy.delay(&mut failures, now);
            assert!(delay >= millis(longest) / 2 && delay <= millis(longest), "{delay:?} of {longest} ms");
            now += delay;
        }
    }

    #[test]
    fn after_a_quiet_period_it_begins_anew() {
        let (mut policy, mut failures, start) = (policy(2), Failures::default(), Instant::now());
        let first = policy.delay(&mut failures, start);
        let last = start + first + Duration::from_secs(60);
        let mut same = failures;
        assert!(policy.delay(&mut same, last) >= millis(100), "a minute is not more than a minute");
        assert!(policy.delay(&mut failures, last + millis(1)) <= millis(100));
    }

    #[test]
    fn a_seed_replays_and_two_seeds_differ() {
        let delays = |seed| {
            let (mut policy, mut failures) = (policy(seed), Failures::default());
            let now = Instant::now();
            (0..10).map(|_| policy.delay(&mut failures, now)).collect::<Vec<_>>()
        };
        assert_eq!(delays(3), delays(3));
        assert_ne!(delays(3), delays(4));
    }

    #[test]
    fn each_child_has_its_own_row_of_failures() {
        let (mut policy, now) = (policy(5), Instant::now());
        let mut sick = Failures::default();
        for _ in 0..10 {
            let _ = policy.delay(&mut sick, now);
        }
        assert!(policy.delay(&mut Failures::default(), now) <= millis(100));
    }

    #[test]
    fn a_fixed_pace_is_always_the_same() {
        let (mut policy, mut failures) = (RetryPolicy::Fixed(millis(7)), Failures::default());
        assert!((0..5).all(|_| policy.delay(&mut failures, Instant::now()) == millis(7)));
    }

    proptest! {
        /// However long it goes on and however long the delays: never below half of the first, nor above the longest.
        #[test]
        fn it_keeps_its_bounds(seed: u64, first in 1_u64..100_000, more in 0_u64..u64::MAX / 1_000_000, gaps in prop::collection::vec(0_u64..200_000, 0..80)) {
            let backoff = Backoff::new().first(millis(first)).max(millis(first + more)).seed(seed);
            prop_assert_eq!(backoff.check(), Ok(()));
            let (mut policy, mut failures, mut now) = (RetryPolicy::growing(backoff), Failures::default(), Instant::now());
            for gap in gaps {
                let delay = policy.delay(&mut failures, now);
                prop_assert!(delay >= millis(first) / 2 && delay <= millis(first + more));
                now += millis(gap);
            }
        }
    }
}

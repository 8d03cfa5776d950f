//! The delays before restarts of a child: growing, and with jitter. By default only attempts after a failed
//! start are delayed.
//!
//! The code here is told the time and takes its randomness from a seed, so a simulation replays.

use std::time::{Duration, Instant};

use riot_actor::time::deadline_after;

/// Delays that grow with every failure, for [`Supervisor::backoff`](crate::Supervisor::backoff).
///
/// They lie between the attempts to restart a child that fails to start; with
/// [`every_restart`](Self::every_restart) also before the restart of a child that has ended.
///
/// After the n-th failure in a row the bound is `first` doubled n - 1 times, at most `max`. The delay is
/// taken at random from the upper half of that bound, so that children that failed together do not retry
/// together. A row of failures ends when the child needs no retry for the time of `quiet`.
///
/// ```
/// use std::time::Duration;
/// use riot_supervisor::{Backoff, Supervisor, process};
///
/// let sup = Supervisor::one_for_one()
///     .intensity(10, Duration::from_secs(3600)) // every attempt counts
///     .backoff(Backoff::new().first(Duration::from_millis(50)).max(Duration::from_secs(10)))
///     .child(process("db", || std::future::pending::<()>()));
/// # drop(sup);
/// ```
#[derive(Clone, Debug)]
#[must_use = "a backoff does nothing until it is given to a supervisor"]
pub struct Backoff {
    first: Duration,
    max: Duration,
    quiet: Duration,
    seed: Option<u64>,
    every_restart: bool,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

impl Backoff {
    /// Returns a backoff from 100 ms to 30 s whose failures are forgotten after a quiet minute.
    ///
    /// ```
    /// use std::time::Duration;
    /// use riot_supervisor::Backoff;
    ///
    /// let backoff = Backoff::new().quiet(Duration::from_secs(300)).seed(7); // repeatable jitter
    /// # drop(backoff);
    /// ```
    pub fn new() -> Self {
        Self {
            first: Duration::from_millis(100),
            max: Duration::from_secs(30),
            quiet: Duration::from_secs(60),
            seed: None,
            every_restart: false,
        }
    }

    /// Sets the longest delay after the first failure; default 100 ms.
    ///
    /// # Panics
    /// Panics if `delay` is zero.
    pub fn first(mut self, delay: Duration) -> Self {
        assert!(!delay.is_zero(), "the first delay of a backoff is zero");
        self.first = delay;
        self
    }

    /// Sets the longest delay of all; default 30 s. [`Supervisor::backoff`](crate::Supervisor::backoff)
    /// panics if it is below `first`.
    pub fn max(mut self, delay: Duration) -> Self {
        self.max = delay;
        self
    }

    /// Sets how long a child must need no retry, counted from when its last one was due, until its failures
    /// are forgotten; default 60 s.
    pub fn quiet(mut self, period: Duration) -> Self {
        self.quiet = period;
        self
    }

    /// Delays every automatic restart: the first one after a child has ended, too, whose end counts as a
    /// failure in the row. Off by default, as in OTP, where a child that has ended is restarted at once.
    ///
    /// - Meanwhile the child is [restarting](crate::ChildState::Restarting): `restart_child` and
    ///   `delete_child` are refused, `terminate_child` ends the matter.
    /// - Children that depend on it (all others below `one_for_all`, those after it below `rest_for_one`) are
    ///   stopped at once, and started with it after the delay. If the child is terminated meanwhile, they
    ///   stay without a process.
    /// - The restart counts towards the [intensity](crate::Supervisor::intensity) when it is made. With
    ///   delays longer than the period divided by the restarts allowed in it, the supervisor never gives up.
    /// - A supervisor that shuts down waits for no delay.
    ///
    /// ```
    /// use std::time::Duration;
    /// use riot_supervisor::{Backoff, Supervisor, process};
    ///
    /// // A child that loses its database at once tries again after 50 to 100 ms, then 100 to 200, …
    /// let sup = Supervisor::one_for_one()
    ///     .intensity(20, Duration::from_secs(60))
    ///     .backoff(Backoff::new().every_restart())
    ///     .child(process("db", || std::future::pending::<()>()));
    /// # drop(sup);
    /// ```
    pub fn every_restart(mut self) -> Self {
        self.every_restart = true;
        self
    }

    /// Sets the seed of the jitter; default a random one. A simulation that is to be replayed sets it.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Returns whether the delays can grow.
    pub(crate) fn has_valid_bounds(&self) -> bool {
        !self.first.is_zero() && self.max >= self.first
    }
}

/// The failures in a row of one child: failed starts, and ends after which the restart is delayed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Failures {
    count: u32,
    /// The instant at which the attempt after the last failure was due.
    retried: Option<Instant>,
}

/// The delay between attempts to restart a child.
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

    /// Returns whether the restart of a child that has ended is delayed.
    pub(crate) fn delays_every_restart(&self) -> bool {
        matches!(self, Self::Growing { backoff, .. } if backoff.every_restart)
    }

    /// Records a failure at `now` and returns the delay until the next attempt, as [`delay`](Self::delay)
    /// does; none if there were `max` failures in the row.
    pub(crate) fn delay_within(
        &mut self,
        max: u32,
        failures: &mut Failures,
        now: Instant,
    ) -> Option<Duration> {
        self.end_row(failures, now);
        (failures.count < max).then(|| self.delay(failures, now))
    }

    /// Ends the row of failures if the child has been quiet.
    fn end_row(&self, failures: &mut Failures, now: Instant) {
        let Self::Growing { backoff, .. } = self else { return };
        let quiet = |retried: Instant| now.saturating_duration_since(retried) > backoff.quiet;
        if failures.retried.is_some_and(quiet) {
            failures.count = 0;
        }
    }

    /// Records a failure at `now`, and returns the delay until the next attempt.
    pub(crate) fn delay(&mut self, failures: &mut Failures, now: Instant) -> Duration {
        self.end_row(failures, now);
        let (backoff, random) = match self {
            Self::Fixed(delay) => return *delay,
            Self::Growing { backoff, random } => (backoff, random),
        };
        let doubled = 2_u32.saturating_pow(failures.count);
        let longest = backoff.first.saturating_mul(doubled).min(backoff.max);
        let half = longest / 2;
        let random = (longest - half).as_secs_f64() * part(random);
        // The largest durations do not fit a float that is rounded up.
        let more = Duration::try_from_secs_f64(random).unwrap_or(longest);
        let delay = half.saturating_add(more).min(longest);
        failures.count = failures.count.saturating_add(1);
        // A retry that never comes is in no row.
        failures.retried = deadline_after(now, delay);
        delay
    }
}

/// Returns the next random number from zero to one: Steele's splitmix64, which takes any seed.
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
        /// Delays lie between half of the first and the longest, for any bounds and any number of failures.
        #[test]
        fn it_keeps_its_bounds(
            seed: u64,
            first in 1_u64..100_000,
            more in 0_u64..u64::MAX / 1_000_000,
            gaps in prop::collection::vec(0_u64..200_000, 0..80),
        ) {
            let backoff = Backoff::new().first(millis(first)).max(millis(first + more)).seed(seed);
            prop_assert!(backoff.has_valid_bounds());
            let (mut policy, mut failures) = (RetryPolicy::growing(backoff), Failures::default());
            let mut now = Instant::now();
            for gap in gaps {
                let delay = policy.delay(&mut failures, now);
                prop_assert!(delay >= millis(first) / 2 && delay <= millis(first + more));
                now += millis(gap);
            }
        }
    }
}

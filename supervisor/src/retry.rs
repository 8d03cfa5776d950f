//! Retries of one child, beside the restart intensity of its supervisor.

use std::time::{Duration, Instant};

use crate::backoff::{Backoff, Failures, RetryPolicy};

/// How often a child that fails is tried again before its failures count for its supervisor, and with which
/// pauses; given by [`ChildSpec::retry`](crate::ChildSpec::retry).
///
/// A failure is an end after which the child is restarted, or a start that fails. Retries do not count in the
/// [intensity](crate::Supervisor::intensity) of the supervisor. When there have been `max` in a row, the next
/// failure counts like any other, and the child is restarted at once; or, with [`forget`](Self::forget), the
/// child is given up. A row ends when the child needs no retry for the time of [`Backoff::quiet`].
///
/// ```
/// use std::time::Duration;
/// use riot_supervisor::{Backoff, Retry, task};
///
/// let upload = task("upload", || async { Err::<(), _>("no network") })
///     .transient()
///     .retry(Retry::new().max(5).backoff(Backoff::new().first(Duration::from_secs(1))).forget());
/// # drop(upload);
/// ```
#[derive(Clone, Debug)]
#[must_use = "retries do nothing until they are given to a child"]
pub struct Retry {
    max: u32,
    backoff: Backoff,
    forget: bool,
}

impl Default for Retry {
    fn default() -> Self {
        Self::new()
    }
}

impl Retry {
    /// Retries three times, with the pauses of [`Backoff::new`].
    pub fn new() -> Self {
        Self { max: 3, backoff: Backoff::new(), forget: false }
    }

    /// Sets how many retries in a row there are at most; 3 by default. Zero is none.
    pub fn max(mut self, retries: u32) -> Self {
        self.max = retries;
        self
    }

    /// Sets the pauses before retries.
    ///
    /// # Panics
    /// Panics if the longest delay of `backoff` is below its first.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        assert!(backoff.has_valid_bounds(), "the longest delay of a backoff is below its first");
        self.backoff = backoff;
        self
    }

    /// Gives the child up when the retries have run out: it is not restarted, as one that has ended well. A
    /// warning says so.
    pub fn forget(mut self) -> Self {
        self.forget = true;
        self
    }
}

/// The retries of one child, and its failures in a row.
pub(crate) struct Retries {
    retry: Retry,
    /// Is made at the first failure.
    policy: Option<RetryPolicy>,
    failures: Failures,
    /// Whether the next attempt to start the child is a retry.
    is_retry: bool,
}

/// The decision after a failure of a child with retries.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum AfterFailure {
    /// Retry after this time.
    Retry(Duration),
    /// The retries have run out: the failure counts for the supervisor.
    Count,
    /// The retries have run out, and the child is given up.
    Forget,
}

impl Retries {
    pub(crate) fn new(retry: Retry) -> Self {
        Self { retry, policy: None, failures: Failures::default(), is_retry: false }
    }

    pub(crate) fn after_failure(&mut self, now: Instant) -> AfterFailure {
        let policy = self.policy.get_or_insert_with(|| RetryPolicy::growing(self.retry.backoff.clone()));
        let delay = policy.delay_within(self.retry.max, &mut self.failures, now);
        self.is_retry = delay.is_some();
        match delay {
            Some(delay) => AfterFailure::Retry(delay),
            None if self.retry.forget => AfterFailure::Forget,
            None => AfterFailure::Count,
        }
    }

    /// Returns whether the attempt that is made now is a retry.
    pub(crate) fn take_retry(&mut self) -> bool {
        std::mem::take(&mut self.is_retry)
    }
}

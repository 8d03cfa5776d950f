//! Identifies a timer.

use super::wheel::TimerKey;

/// A timer that was started. The reference stays valid after the timer has fired or was cancelled, and never
/// identifies another timer.
///
/// ```
/// # use std::time::Duration;
/// # use riot_actor::{run, this, time::send_after};
/// # run(async {
/// let timer = send_after(Duration::from_secs(60), this(), "too late");
/// assert!(timer.read().is_some_and(|left| left <= Duration::from_secs(60)));
/// assert!(timer.cancel().is_some());
/// assert!(timer.read().is_none());
/// # });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimerRef(pub(super) TimerKey);

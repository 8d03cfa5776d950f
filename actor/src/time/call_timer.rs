//! The one timer that a process keeps for the timeouts of its calls.
//!
//! A call takes a fraction of a microsecond and may take five seconds, so nearly every timer started for one
//! would be cancelled at once. Instead the timer of a process is left running when a call is over, and serves
//! the next call: it fires before the timeout of that one, the process finds that it is too early, and starts
//! the timer anew. A process that calls all the time starts a timer every five seconds, and one that has
//! stopped calling is woken once more.

use std::{task::Waker, time::Duration};

use super::clock::deadline_after;
use crate::runtime::{kernel::process::Process, shared::Shared};

impl Process {
    /// Has the process woken at `deadline` or before, unless that has passed `now`; both in nanoseconds of
    /// the clock.
    #[inline]
    pub(crate) fn ensure_call_timer(&mut self, shared: &Shared, deadline: u64, now: u64, waker: &Waker) {
        // A timer that fires after the process has read the clock wakes it, so it is polled again.
        let is_early = |wakes_at: u64| wakes_at > now && wakes_at <= deadline;
        if !self.attached.as_ref().is_some_and(|attached| is_early(attached.wakes_at)) {
            self.start_call_timer(shared, deadline, waker);
        }
    }

    #[inline(never)]
    fn start_call_timer(&mut self, shared: &Shared, deadline: u64, waker: &Waker) {
        let at = deadline_after(shared.clock().start(), Duration::from_nanos(deadline));
        let Some(at) = at else { return };
        let attached = self.attached.get_or_insert_default();
        attached.wakes_at = deadline;
        let before = attached.wake_timer.replace(shared.timers.wake_caller_at(at, waker.clone()));
        if let Some(before) = before {
            shared.timers.discard(before);
        }
    }
}

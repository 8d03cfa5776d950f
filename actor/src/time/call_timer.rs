//! The one timer that a process keeps for the timeouts of its calls.
//!
//! A call takes a fraction of a microsecond and may take five seconds, so nearly every timer started for one
//! would be cancelled at once. Instead the timer of a process is left running when a call is over, and serves
//! the next call: it fires before the timeout of that one, the process finds that it is too early, and starts
//! the timer anew. A process that calls all the time starts a timer every five seconds, and one that has
//! stopped calling is woken once more.

use std::{task::Waker, time::Duration};

use super::clock::deadline_after;
use crate::runtime::{
    kernel::process::{Process, WakeTimer},
    shared::Shared,
};

impl Process {
    /// Has the process woken at `deadline` or before, unless that has passed `now`; both in nanoseconds of
    /// the clock.
    #[inline]
    pub(crate) fn ensure_call_timer(&mut self, shared: &Shared, deadline: u64, now: u64, waker: &Waker) {
        // A timer that fires after the process has read the clock wakes it, so it is polled again.
        if self.wake_timer.as_ref().is_none_or(|timer| timer.fires_at <= now || timer.fires_at > deadline) {
            self.start_call_timer(shared, deadline, waker);
        }
    }

    #[inline(never)]
    fn start_call_timer(&mut self, shared: &Shared, deadline: u64, waker: &Waker) {
        let at = deadline_after(shared.clock().start(), Duration::from_nanos(deadline));
        let Some(at) = at else { return };
        let timer = WakeTimer { timer: shared.timers.wake_at(at, waker.clone()), fires_at: deadline };
        match &mut self.wake_timer {
            Some(before) => shared.timers.discard(std::mem::replace(&mut **before, timer).timer),
            none => *none = Some(Box::new(timer)),
        }
    }
}

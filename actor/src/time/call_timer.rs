//! The one timer that a process keeps for the time its calls may take.
//!
//! A call takes a fraction of a microsecond and may take five seconds, so nearly every timer started for one would be
//! cancelled at once. Instead a process has one that is left running when a call is over, and serves the next: it rings before
//! that one's time is up, finds it is too early, and is set anew. A process that calls all the time starts one every five
//! seconds, and one that has stopped calling is woken once more.

use std::{task::Waker, time::Duration};

use crate::runtime::{kernel::record::Process, shared::Shared};
use crate::time::timers::TimerRef;

/// A timer that wakes the process that has it.
pub(crate) struct CallTimer {
    timer: TimerRef,
    /// When, in nanoseconds of the clock.
    rings: u64,
}

impl Process {
    /// Has the process woken by `deadline` or before, if that is still to come `now`; both in nanoseconds of the clock.
    #[inline]
    pub(crate) fn ensure_call_timer(&mut self, shared: &Shared, deadline: u64, now: u64, waker: &Waker) {
        // One that has rung meanwhile has woken the process after it mailbox_scanned at the clock: it will look again.
        if self
            .call_timer
            .as_ref()
            .is_none_or(|call_timer| call_timer.rings <= now || call_timer.rings > deadline)
        {
            self.start_call_timer(shared, deadline, waker);
        }
    }

    #[inline(never)]
    fn start_call_timer(&mut self, shared: &Shared, deadline: u64, waker: &Waker) {
        let at = shared.clock().start().checked_add(Duration::from_nanos(deadline));
        let Some(at) = at else { return };
        let call_timer = CallTimer { timer: shared.timers.wake_at(at, waker.clone()), rings: deadline };
        match &mut self.call_timer {
            Some(before) => shared.timers.discard(std::mem::replace(&mut **before, call_timer).timer),
            none => *none = Some(Box::new(call_timer)),
        }
    }

    /// Ends the timer, with the process.
    pub(crate) fn stop_call_timer(&mut self, shared: &Shared) {
        if let Some(call_timer) = self.call_timer.take() {
            shared.timers.discard(call_timer.timer);
        }
    }
}

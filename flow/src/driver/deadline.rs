//! The one timer of a connection.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Waker},
};

use riot_actor::{
    now,
    time::{Sleep, now_coarse, sleep_until},
};

use super::{Link, WakeFlags, inbound::Filled, outbound::Flushed, wake_flags::Due};
use crate::Flow;

/// Tells the flow when its deadlines have passed.
///
/// A deadline that moves out leaves the timer running: it fires too early once, which is cheaper than a new
/// timer for every request.
pub(super) struct Deadline {
    /// Invariant: not later than the flow's deadline when that was last read.
    sleep: Option<Sleep>,
}

impl<F: Flow> Link<F> {
    /// Receives and sends what the transport allows, although no event has reported that it does: the program
    /// may have been stopped, or its workers busy, while a timer ran out.
    #[cold]
    fn look_again(&self) {
        self.transport.assume_ready();
        if self.fill(&mut None) == Filled::Closed {
            self.wakes.wake_reader();
        }
        if let Some(writer) = self.wakes.writer()
            && self.flush(&mut Context::from_waker(writer), now_coarse()) != Flushed::Waiting
        {
            writer.wake_by_ref();
        }
    }
}

impl Deadline {
    pub(super) fn new() -> Self {
        Self { sleep: None }
    }

    /// Tells the flow of deadlines that have passed, and arranges that [`Due::DEADLINE`] is notified for the
    /// next.
    pub(super) fn update<F: Flow>(&mut self, link: &Link<F>) {
        let waker: Waker = WakeFlags::waker::<{ Due::DEADLINE.bits() }>(&link.wakes);
        loop {
            let earlier = {
                let mut flow = link.lock_flow();
                let set = self.sleep.as_ref().and_then(Sleep::deadline);
                if flow.watch_deadline(&waker, set) { None } else { flow.next_deadline() }
            };
            match (earlier, &mut self.sleep) {
                (Some(deadline), None) => self.sleep = Some(sleep_until(deadline)),
                (Some(deadline), Some(sleep)) => sleep.reset(deadline),
                (None, None) => return,
                (None, Some(sleep)) => {
                    if Pin::new(sleep).poll(&mut Context::from_waker(&waker)).is_pending() {
                        return;
                    }
                    self.sleep = None;
                    let now = now();
                    let is_due = || link.lock_flow().next_deadline().is_some_and(|deadline| deadline <= now);
                    if !is_due() {
                        continue;
                    }
                    link.look_again();
                    if is_due() {
                        link.change(|flow| flow.handle_deadline(now));
                    }
                }
            }
        }
    }
}

//! The small machine between "would block" and "ready".
//!
//! The system tells once when a socket becomes ready, so it is remembered until an operation finds the socket drained:
//! by an error that says so, or by fewer bytes than it had room for, which says it without another system call.

use std::{
    io,
    task::{Context, Poll, Waker},
};

use parking_lot::{MappedMutexGuard, Mutex, MutexGuard};

/// One of the two things a socket can be ready for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interest {
    Read,
    Write,
}

/// What is known of one socket.
#[derive(Debug)]
pub(crate) struct Readiness(Mutex<State>);

#[derive(Debug)]
struct State {
    sides: [Side; 2],
    /// No poller takes the socket, so nobody would be woken: every operation fails.
    failed: Option<io::ErrorKind>,
}

#[derive(Debug)]
struct Side {
    ready: bool,
    /// The other end will say no more, or nothing can be sent: an operation returns at once, for ever.
    closed: bool,
    /// Counts events, so that one that comes during an operation is not taken back by its result.
    events: u32,
    waker: Option<Waker>,
}

/// What was known when an operation began.
#[must_use = "report what the operation found"]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen(u32);

impl Seen {
    /// No event has come yet.
    pub(crate) const NOTHING: Self = Self(0);
}

impl Readiness {
    /// A socket nothing is known of: an operation is worth trying.
    pub(crate) fn new() -> Self {
        let side = || Side { ready: true, closed: false, events: 0, waker: None };
        Self(Mutex::new(State { sides: [side(), side()], failed: None }))
    }

    fn lock(&self, interest: Interest) -> MappedMutexGuard<'_, Side> {
        MutexGuard::map(self.0.lock(), |state| &mut state.sides[interest as usize])
    }

    /// Ready if an operation is worth trying; else whoever asked is woken when it is.
    pub(crate) fn poll_ready(&self, cx: &Context<'_>, interest: Interest) -> Poll<io::Result<Seen>> {
        let State { sides, failed } = &mut *self.0.lock();
        if let Some(failed) = *failed {
            return Poll::Ready(Err(failed.into()));
        }
        let side = &mut sides[interest as usize];
        if side.ready || side.closed {
            return Poll::Ready(Ok(Seen(side.events)));
        }
        side.wakes(cx.waker());
        Poll::Pending
    }

    /// An operation found the socket drained. Events that came since it began still count.
    pub(crate) fn drained(&self, interest: Interest, Seen(events): Seen) {
        let side = &mut *self.lock(interest);
        if side.events == events {
            side.ready = false;
        }
    }

    /// As [`drained`](Self::drained). Says whether another operation would have to wait; the caller is then woken when it
    /// would not.
    pub(crate) fn wait_for_more(&self, cx: &Context<'_>, interest: Interest, Seen(events): Seen) -> bool {
        let side = &mut *self.lock(interest);
        if side.events != events || side.closed {
            return false;
        }
        side.ready = false;
        side.wakes(cx.waker());
        true
    }

    /// An event came. Returns whom to wake.
    pub(crate) fn report(&self, interest: Interest, closed: bool) -> Option<Waker> {
        let side = &mut *self.lock(interest);
        side.ready = true;
        side.closed |= closed;
        side.events = side.events.wrapping_add(1);
        side.waker.take()
    }

    /// No poller takes the socket. Returns whom to wake.
    pub(crate) fn fail(&self, error: io::ErrorKind) -> [Option<Waker>; 2] {
        let state = &mut *self.0.lock();
        state.failed = Some(error);
        state.sides.each_mut().map(|side| side.waker.take())
    }
}

impl Default for Readiness {
    fn default() -> Self {
        Self::new()
    }
}

impl Side {
    fn wakes(&mut self, waker: &Waker) {
        match &mut self.waker {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Interest::{Read, Write};

    fn poll(readiness: &Readiness, interest: Interest) -> Poll<Seen> {
        let polled = readiness.poll_ready(&Context::from_waker(Waker::noop()), interest);
        polled.map(|seen| seen.expect("a poller takes it"))
    }

    fn seen(readiness: &Readiness, interest: Interest) -> Seen {
        match poll(readiness, interest) {
            Poll::Ready(seen) => seen,
            Poll::Pending => panic!("not ready"),
        }
    }

    #[test]
    fn drained_it_waits_for_an_event() {
        let readiness = Readiness::new();
        readiness.drained(Read, seen(&readiness, Read));
        assert!(poll(&readiness, Read).is_pending());
        assert!(readiness.report(Read, false).is_some(), "whoever waited is woken");
        assert!(poll(&readiness, Read).is_ready());
    }

    #[test]
    fn an_event_during_an_operation_is_not_lost() {
        let readiness = Readiness::new();
        let _ = readiness.report(Read, false);
        let before = seen(&readiness, Read);
        let _ = readiness.report(Read, false);
        readiness.drained(Read, before);
        assert!(poll(&readiness, Read).is_ready());
    }

    #[test]
    fn the_end_of_the_stream_stays_readable() {
        let readiness = Readiness::new();
        let _ = readiness.report(Read, true);
        readiness.drained(Read, seen(&readiness, Read));
        assert!(poll(&readiness, Read).is_ready());
    }

    #[test]
    fn the_two_sides_are_apart() {
        let readiness = Readiness::new();
        readiness.drained(Read, seen(&readiness, Read));
        readiness.drained(Write, seen(&readiness, Write));
        let _ = readiness.report(Write, false);
        assert!(poll(&readiness, Read).is_pending());
        assert!(poll(&readiness, Write).is_ready());
    }
}

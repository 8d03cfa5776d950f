//! The small machine between "would block" and "ready".
//!
//! The system tells once when a socket becomes ready, so it is remembered until an operation finds the socket drained:
//! by an error that says so, or by fewer bytes than it had room for, which says it without another system call.

use std::{
    io,
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;

/// One of the two things a socket can be ready for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interest {
    Read,
    Write,
}

/// What an event says of one of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    None,
    Ready,
    /// The other end will say no more, or nothing can be sent: an operation returns at once, for ever.
    Closed,
}

/// What is known of one socket. It is shared, and fills one line of the processor's caches with what that takes.
#[derive(Debug)]
pub(crate) struct Readiness(Mutex<State>);

#[derive(Debug)]
struct State {
    wakers: [Option<Waker>; 2],
    sides: [Side; 2],
}

#[derive(Debug)]
struct Side {
    known: Known,
    /// Counts events, so that one that comes during an operation is not taken back by its result.
    events: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Drained,
    Ready,
    /// For ever.
    Closed,
    /// No poller takes the socket, so nobody would be woken: every operation fails.
    Failed(io::ErrorKind),
}

/// What was known when an operation began.
#[must_use = "report what the operation found"]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen(u16);

impl Seen {
    /// No event has come yet.
    pub(crate) const NOTHING: Self = Self(0);
}

impl Readiness {
    /// A socket nothing is known of: an operation is worth trying.
    pub(crate) fn new() -> Self {
        let side = || Side { known: Known::Ready, events: 0 };
        Self(Mutex::new(State { wakers: [None, None], sides: [side(), side()] }))
    }

    /// Ready if an operation is worth trying; else whoever asked is woken when it is.
    pub(crate) fn poll_ready(&self, cx: &Context<'_>, interest: Interest) -> Poll<io::Result<Seen>> {
        let mut state = self.0.lock();
        let side = &state.sides[interest as usize];
        match side.known {
            Known::Ready | Known::Closed => Poll::Ready(Ok(Seen(side.events))),
            Known::Failed(error) => Poll::Ready(Err(error.into())),
            Known::Drained => {
                state.wakes(interest, cx.waker());
                Poll::Pending
            }
        }
    }

    /// An operation found the socket drained. Events that came since it began still count.
    pub(crate) fn drained(&self, interest: Interest, Seen(events): Seen) {
        let side = &mut self.0.lock().sides[interest as usize];
        if side.events == events && side.known == Known::Ready {
            side.known = Known::Drained;
        }
    }

    /// As [`drained`](Self::drained). Says whether another operation would have to wait; the caller is then woken when it
    /// would not.
    pub(crate) fn wait_for_more(&self, cx: &Context<'_>, interest: Interest, Seen(events): Seen) -> bool {
        let mut state = self.0.lock();
        let side = &mut state.sides[interest as usize];
        if side.events != events || !matches!(side.known, Known::Ready | Known::Drained) {
            return false;
        }
        side.known = Known::Drained;
        state.wakes(interest, cx.waker());
        true
    }

    /// An event came, with news of the two. Whom it wakes is `due`.
    pub(crate) fn report(&self, news: [News; 2], due: &mut Vec<Waker>) {
        let State { wakers, sides } = &mut *self.0.lock();
        for ((side, waker), news) in sides.iter_mut().zip(wakers).zip(news) {
            if news == News::None {
                continue;
            }
            side.hear(news);
            if let Some(waker) = waker.take() {
                due.push(waker);
            }
        }
    }

    /// No poller takes the socket. Whoever waits for it is `due`.
    pub(crate) fn fail(&self, error: io::ErrorKind, due: &mut Vec<Waker>) {
        let State { wakers, sides } = &mut *self.0.lock();
        sides.iter_mut().for_each(|side| side.known = Known::Failed(error));
        due.extend(wakers.iter_mut().filter_map(Option::take));
    }
}

impl Default for Readiness {
    fn default() -> Self {
        Self::new()
    }
}

impl State {
    fn wakes(&mut self, interest: Interest, waker: &Waker) {
        match &mut self.wakers[interest as usize] {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
    }
}

impl Side {
    fn hear(&mut self, news: News) {
        self.known = match (self.known, news) {
            (Known::Ready | Known::Drained, News::Ready) => Known::Ready,
            (Known::Ready | Known::Drained, _) => Known::Closed,
            (last, _) => last,
        };
        self.events = self.events.wrapping_add(1);
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

    /// Whether somebody is woken.
    fn report(readiness: &Readiness, interest: Interest, news: News) -> bool {
        let mut both = [News::None; 2];
        both[interest as usize] = news;
        let mut due = Vec::new();
        readiness.report(both, &mut due);
        !due.is_empty()
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
        assert!(report(&readiness, Read, News::Ready), "whoever waited is woken");
        assert!(poll(&readiness, Read).is_ready());
    }

    #[test]
    fn an_event_during_an_operation_is_not_lost() {
        let readiness = Readiness::new();
        report(&readiness, Read, News::Ready);
        let before = seen(&readiness, Read);
        report(&readiness, Read, News::Ready);
        readiness.drained(Read, before);
        assert!(poll(&readiness, Read).is_ready());
    }

    #[test]
    fn the_end_of_the_stream_stays_readable() {
        let readiness = Readiness::new();
        report(&readiness, Read, News::Closed);
        readiness.drained(Read, seen(&readiness, Read));
        assert!(poll(&readiness, Read).is_ready());
    }

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn it_fills_a_cache_line_with_the_two_counts_of_an_arc() {
        assert_eq!(size_of::<Readiness>() + 2 * size_of::<usize>(), 64);
    }

    #[test]
    fn the_two_sides_are_apart() {
        let readiness = Readiness::new();
        readiness.drained(Read, seen(&readiness, Read));
        readiness.drained(Write, seen(&readiness, Write));
        report(&readiness, Write, News::Ready);
        assert!(poll(&readiness, Read).is_pending());
        assert!(poll(&readiness, Write).is_ready());
    }
}

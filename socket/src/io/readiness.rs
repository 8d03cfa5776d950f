//! The small machine between "would block" and "ready".
//!
//! The system tells once when a socket becomes ready, so it is remembered until an operation finds the socket drained:
//! by an error that says so, or by fewer bytes than it had room for, which says it without another system call.

use std::{
    hint::cold_path,
    io,
    sync::atomic::{
        AtomicU32,
        Ordering::{Acquire, Release},
    },
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
pub(crate) struct Readiness {
    /// Changed under the lock; whoever only looks needs none.
    sides: [Side; 2],
    wakers: Mutex<Wakers>,
}

#[derive(Debug, Default)]
struct Wakers([Option<Waker>; 2]);

/// What is [`Known`], and above it a count of events, so that one that comes during an operation is not taken back by its
/// result; or the number of the error, where no poller takes the socket.
#[derive(Debug)]
struct Side(AtomicU32);

/// Bits of a [`Side`] that say what is known, and the least of its count.
const KNOWN: u32 = 0b11;
const EVENT: u32 = KNOWN + 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
enum Known {
    Drained,
    Ready,
    /// For ever.
    Closed,
    /// No poller takes the socket, so nobody would be woken: every operation fails.
    Failed,
}

/// What was known when an operation began.
#[must_use = "report what the operation found"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen(u32);

impl Seen {
    /// No event has come yet.
    pub(crate) const NOTHING: Self = Self(0);
}

impl Readiness {
    /// A socket nothing is known of: an operation is worth trying.
    pub(crate) fn new() -> Self {
        let side = || Side(AtomicU32::new(Known::Ready as u32));
        Self { sides: [side(), side()], wakers: Mutex::default() }
    }

    /// Ready if an operation is worth trying; else whoever asked is woken when it is.
    #[inline]
    pub(crate) fn poll_ready(&self, cx: &Context<'_>, interest: Interest) -> Poll<io::Result<Seen>> {
        // What comes while we look is found by the operation, or counts as one event more.
        match self.sides[interest as usize].look() {
            (Known::Ready | Known::Closed, seen) => Poll::Ready(Ok(seen)),
            _ => self.look_again(cx, interest),
        }
    }

    #[inline(never)]
    fn look_again(&self, cx: &Context<'_>, interest: Interest) -> Poll<io::Result<Seen>> {
        let side = &self.sides[interest as usize];
        let mut wakers = self.wakers.lock();
        match side.look() {
            (Known::Ready | Known::Closed, seen) => Poll::Ready(Ok(seen)),
            (Known::Failed, Seen(error)) => Poll::Ready(Err(match error / EVENT {
                0 => io::ErrorKind::Other.into(),
                error => io::Error::from_raw_os_error(error as i32),
            })),
            (Known::Drained, _) => {
                wakers.wakes(interest, cx.waker());
                Poll::Pending
            }
        }
    }

    /// An operation found the socket drained. Events that came since it began still count.
    pub(crate) fn drained(&self, interest: Interest, seen: Seen) {
        let _wakers = self.wakers.lock();
        self.sides[interest as usize].drain(seen);
    }

    /// An operation would have had to wait, so whatever was taken for a sign of the end was none.
    pub(crate) fn would_block(&self, interest: Interest, seen: Seen) {
        let _wakers = self.wakers.lock();
        let side = &self.sides[interest as usize];
        let (known, now) = side.look();
        if known != Known::Failed && now == seen {
            side.set(Known::Drained, seen.0);
        }
    }

    /// As [`drained`](Self::drained). Says whether another operation would have to wait; the caller is then woken when it
    /// would not.
    pub(crate) fn wait_for_more(&self, cx: &Context<'_>, interest: Interest, seen: Seen) -> bool {
        let mut wakers = self.wakers.lock();
        let waits = self.sides[interest as usize].drain(seen);
        if waits {
            wakers.wakes(interest, cx.waker());
        }
        waits
    }

    /// An event came, with news of the two. Whom it wakes is `due`.
    pub(crate) fn report(&self, news: [News; 2], due: &mut Vec<Waker>) {
        let mut wakers = self.wakers.lock();
        for ((side, waker), news) in self.sides.iter().zip(&mut wakers.0).zip(news) {
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
    pub(crate) fn fail(&self, error: &io::Error, due: &mut Vec<Waker>) {
        let mut wakers = self.wakers.lock();
        let error = error.raw_os_error().map_or(0, |error| error as u32 * EVENT);
        self.sides.iter().for_each(|side| side.set(Known::Failed, error));
        due.extend(wakers.0.iter_mut().filter_map(Option::take));
    }
}

impl Default for Readiness {
    fn default() -> Self {
        Self::new()
    }
}

impl Wakers {
    fn wakes(&mut self, interest: Interest, waker: &Waker) {
        match &mut self.0[interest as usize] {
            Some(known) => {
                cold_path();
                known.clone_from(waker);
            }
            none => *none = Some(waker.clone()),
        }
    }
}

impl Side {
    fn look(&self) -> (Known, Seen) {
        let side = self.0.load(Acquire);
        let known = match side & KNOWN {
            0 => Known::Drained,
            1 => Known::Ready,
            2 => Known::Closed,
            _ => Known::Failed,
        };
        (known, Seen(side & !KNOWN))
    }

    fn set(&self, known: Known, events: u32) {
        self.0.store(known as u32 | events, Release);
    }

    /// Under the lock: nothing is left, unless more has come. Says whether that is so, and an operation has to wait.
    fn drain(&self, Seen(events): Seen) -> bool {
        match self.look() {
            (Known::Ready | Known::Drained, Seen(now)) if now == events => {
                self.set(Known::Drained, events);
                true
            }
            _ => {
                cold_path();
                false
            }
        }
    }

    /// Under the lock.
    fn hear(&self, news: News) {
        let (known, Seen(events)) = self.look();
        let events = events.wrapping_add(EVENT);
        if matches!(known, Known::Ready | Known::Drained) && news == News::Ready {
            return self.set(Known::Ready, events);
        }
        cold_path();
        // What is above a failure is no count.
        if known != Known::Failed {
            self.set(Known::Closed, events);
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
    fn closed_is_for_ever_unless_an_operation_would_block() {
        let readiness = Readiness::new();
        report(&readiness, Read, News::Closed);
        readiness.drained(Read, seen(&readiness, Read));
        assert!(poll(&readiness, Read).is_ready(), "what is left is read without another event");
        readiness.would_block(Read, seen(&readiness, Read));
        assert!(poll(&readiness, Read).is_pending(), "else it would be tried for ever");
        assert!(report(&readiness, Read, News::Ready), "whoever waits is woken");
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

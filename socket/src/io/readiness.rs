//! The readiness of a socket: which operations are worth trying.
//!
//! The system reports once that a socket has become ready. The report is remembered until an operation finds
//! that nothing is left: by `EWOULDBLOCK`, or by fewer bytes than the buffer had room for, which needs no
//! further system call.

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

/// A direction in which a socket can be ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}

impl Direction {
    /// Has [`info`](riot_actor::process::info()) show what the running process waits for: one store.
    #[inline]
    fn note_wait(self) {
        match self {
            Self::Read => riot_actor::driver::note_read_wait(),
            Self::Write => riot_actor::driver::note_write_wait(),
        }
    }
}

/// The part of an event that concerns one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadyEvent {
    None,
    Ready,
    /// The peer sends no more, or nothing can be sent: an operation returns at once, for ever.
    Closed,
}

/// Tells whether the next operation would have to wait.
#[must_use = "if the next operation would block, the socket must be registered"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NextOperation {
    /// The next operation is worth trying.
    MayProceed,
    /// The next operation would block. The waker is woken when it would not.
    WouldBlock,
}

/// The readiness of one socket, in both directions. It is shared by the socket and its poller, and fills one
/// cache line together with the counts of an `Arc`.
#[derive(Debug)]
pub(crate) struct Readiness {
    /// Written under the lock, read without it.
    directions: [DirectionState; 2],
    wakers: Mutex<Wakers>,
}

#[derive(Debug, Default)]
struct Wakers([Option<Waker>; 2]);

/// The state of one direction: a [`ReadyState`] in the low bits, and above it the tick.
///
/// The tick counts events, so that an event which comes during an operation is not cleared by that
/// operation's result. In the state `Failed` the number of the error stands in its place.
#[derive(Debug)]
struct DirectionState(AtomicU32);

/// The bits of a [`DirectionState`] that hold the [`ReadyState`].
const STATE_MASK: u32 = 0b11;

/// The amount by which an event changes a tick.
const ONE_TICK: u32 = STATE_MASK + 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
enum ReadyState {
    NotReady,
    Ready,
    /// Ready for ever.
    Closed,
    /// No poller takes the socket, so no process would be woken: every operation fails.
    Failed,
}

/// The number of events that had come when an operation began.
#[must_use = "report the result of the operation"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tick(u32);

impl Tick {
    /// The tick before the first event.
    pub(crate) const FIRST: Self = Self(0);
}

impl Readiness {
    /// Returns the readiness of a new socket: operations are worth trying.
    pub(crate) fn new() -> Self {
        let direction = || DirectionState(AtomicU32::new(ReadyState::Ready as u32));
        Self { directions: [direction(), direction()], wakers: Mutex::default() }
    }

    /// Returns the tick if an operation is worth trying. Else registers the waker.
    #[inline]
    pub(crate) fn poll_ready(&self, cx: &Context<'_>, direction: Direction) -> Poll<io::Result<Tick>> {
        // An event that comes meanwhile is found by the operation, or changes the tick.
        match self.directions[direction as usize].load() {
            (ReadyState::Ready | ReadyState::Closed, tick) => Poll::Ready(Ok(tick)),
            _ => self.poll_ready_slow(cx, direction),
        }
    }

    #[inline(never)]
    fn poll_ready_slow(&self, cx: &Context<'_>, direction: Direction) -> Poll<io::Result<Tick>> {
        let state = &self.directions[direction as usize];
        let mut wakers = self.wakers.lock();
        match state.load() {
            (ReadyState::Ready | ReadyState::Closed, tick) => Poll::Ready(Ok(tick)),
            (ReadyState::Failed, Tick(error)) => Poll::Ready(Err(match error / ONE_TICK {
                0 => io::ErrorKind::Other.into(),
                error => io::Error::from_raw_os_error(error as i32),
            })),
            (ReadyState::NotReady, _) => {
                wakers.set(direction, cx.waker());
                direction.note_wait();
                Poll::Pending
            }
        }
    }

    /// Returns whether nothing can be sent any more: the peer has reset the connection or closed both
    /// directions. Else registers the waker for reading, since an event of that kind concerns both
    /// directions.
    pub(crate) fn poll_closed(&self, cx: &Context<'_>) -> Poll<()> {
        let mut wakers = self.wakers.lock();
        match self.directions[Direction::Write as usize].load() {
            (ReadyState::Closed | ReadyState::Failed, _) => Poll::Ready(()),
            (ReadyState::Ready | ReadyState::NotReady, _) => {
                wakers.set(Direction::Read, cx.waker());
                Direction::Read.note_wait();
                Poll::Pending
            }
        }
    }

    /// Clears the readiness after an operation that left nothing. An event that came since `tick` stays.
    pub(crate) fn clear_ready(&self, direction: Direction, tick: Tick) {
        let _wakers = self.wakers.lock();
        let _ = self.directions[direction as usize].clear(tick);
    }

    /// Clears the readiness after `EWOULDBLOCK`, even a `Closed`: the operation shows that it was wrong.
    pub(crate) fn clear_after_would_block(&self, direction: Direction, tick: Tick) {
        let _wakers = self.wakers.lock();
        let direction = &self.directions[direction as usize];
        let (state, now) = direction.load();
        if state != ReadyState::Failed && now == tick {
            direction.store(ReadyState::NotReady, tick.0);
        }
    }

    /// Clears the readiness as [`clear_ready`](Self::clear_ready) does, and registers the waker if the next
    /// operation would block.
    pub(crate) fn clear_and_wait(&self, cx: &Context<'_>, direction: Direction, tick: Tick) -> NextOperation {
        let mut wakers = self.wakers.lock();
        let next = self.directions[direction as usize].clear(tick);
        if next == NextOperation::WouldBlock {
            wakers.set(direction, cx.waker());
            direction.note_wait();
        }
        next
    }

    /// Records the two parts of an event. Wakers to be woken are pushed to `to_wake`.
    #[inline(always)] // perf: keep-alive, 2471 → 2455 instructions
    pub(crate) fn set_ready(&self, events: [ReadyEvent; 2], to_wake: &mut Vec<Waker>) {
        let mut wakers = self.wakers.lock();
        for ((direction, waker), event) in self.directions.iter().zip(&mut wakers.0).zip(events) {
            if event == ReadyEvent::None {
                continue;
            }
            direction.set_ready(event);
            if let Some(waker) = waker.take() {
                to_wake.push(waker);
            }
        }
    }

    /// Records that no poller takes the socket. Wakers to be woken are pushed to `to_wake`.
    pub(crate) fn fail(&self, error: &io::Error, to_wake: &mut Vec<Waker>) {
        let mut wakers = self.wakers.lock();
        let error = error.raw_os_error().map_or(0, |error| error as u32 * ONE_TICK);
        self.directions.iter().for_each(|direction| direction.store(ReadyState::Failed, error));
        to_wake.extend(wakers.0.iter_mut().filter_map(Option::take));
    }
}

impl Default for Readiness {
    fn default() -> Self {
        Self::new()
    }
}

impl Wakers {
    /// Registers `waker`. It is cloned under the lock, which the hot path of a connection takes: a clone
    /// before it would be made for nothing whenever an event has come. No waker but one that reads or writes
    /// its own transport while it is cloned or dropped can meet the lock.
    fn set(&mut self, direction: Direction, waker: &Waker) {
        match &mut self.0[direction as usize] {
            Some(known) => {
                cold_path();
                known.clone_from(waker);
            }
            none => *none = Some(waker.clone()),
        }
    }
}

impl DirectionState {
    fn load(&self) -> (ReadyState, Tick) {
        let bits = self.0.load(Acquire);
        let state = match bits & STATE_MASK {
            0 => ReadyState::NotReady,
            1 => ReadyState::Ready,
            2 => ReadyState::Closed,
            _ => ReadyState::Failed,
        };
        (state, Tick(bits & !STATE_MASK))
    }

    fn store(&self, state: ReadyState, tick: u32) {
        self.0.store(state as u32 | tick, Release);
    }

    /// Clears the readiness, unless an event has come since `tick`. The caller holds the lock.
    fn clear(&self, Tick(tick): Tick) -> NextOperation {
        match self.load() {
            (ReadyState::Ready | ReadyState::NotReady, Tick(now)) if now == tick => {
                self.store(ReadyState::NotReady, tick);
                NextOperation::WouldBlock
            }
            _ => {
                cold_path();
                NextOperation::MayProceed
            }
        }
    }

    /// Records an event. The caller holds the lock.
    fn set_ready(&self, event: ReadyEvent) {
        let (state, Tick(tick)) = self.load();
        let tick = tick.wrapping_add(ONE_TICK);
        if matches!(state, ReadyState::Ready | ReadyState::NotReady) && event == ReadyEvent::Ready {
            return self.store(ReadyState::Ready, tick);
        }
        cold_path();
        // In the state `Failed` the upper bits hold an error, not a tick.
        if state != ReadyState::Failed {
            self.store(ReadyState::Closed, tick);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Direction::{Read, Write};

    fn poll(readiness: &Readiness, direction: Direction) -> Poll<Tick> {
        let polled = readiness.poll_ready(&Context::from_waker(Waker::noop()), direction);
        polled.map(|tick| tick.expect("no poller has failed"))
    }

    /// Records an event, and returns whether a waker is woken.
    fn set_ready(readiness: &Readiness, direction: Direction, event: ReadyEvent) -> bool {
        let mut both = [ReadyEvent::None; 2];
        both[direction as usize] = event;
        let mut to_wake = Vec::new();
        readiness.set_ready(both, &mut to_wake);
        !to_wake.is_empty()
    }

    fn tick(readiness: &Readiness, direction: Direction) -> Tick {
        match poll(readiness, direction) {
            Poll::Ready(tick) => tick,
            Poll::Pending => panic!("not ready"),
        }
    }

    #[test]
    fn a_cleared_socket_waits_for_an_event() {
        let readiness = Readiness::new();
        readiness.clear_ready(Read, tick(&readiness, Read));
        assert!(poll(&readiness, Read).is_pending());
        assert!(set_ready(&readiness, Read, ReadyEvent::Ready), "the waiting process is woken");
        assert!(poll(&readiness, Read).is_ready());
    }

    #[test]
    fn closed_is_for_ever_unless_an_operation_would_block() {
        let readiness = Readiness::new();
        set_ready(&readiness, Read, ReadyEvent::Closed);
        readiness.clear_ready(Read, tick(&readiness, Read));
        assert!(poll(&readiness, Read).is_ready(), "the rest is read without another event");
        readiness.clear_after_would_block(Read, tick(&readiness, Read));
        assert!(poll(&readiness, Read).is_pending(), "else the operation would be tried for ever");
        assert!(set_ready(&readiness, Read, ReadyEvent::Ready), "the waiting process is woken");
        assert!(poll(&readiness, Read).is_ready());
    }

    #[test]
    fn an_event_during_an_operation_is_not_lost() {
        let readiness = Readiness::new();
        set_ready(&readiness, Read, ReadyEvent::Ready);
        let before = tick(&readiness, Read);
        set_ready(&readiness, Read, ReadyEvent::Ready);
        readiness.clear_ready(Read, before);
        assert!(poll(&readiness, Read).is_ready());
    }

    #[test]
    fn the_end_of_the_stream_stays_readable() {
        let readiness = Readiness::new();
        set_ready(&readiness, Read, ReadyEvent::Closed);
        readiness.clear_ready(Read, tick(&readiness, Read));
        assert!(poll(&readiness, Read).is_ready());
    }

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn it_fills_a_cache_line_with_the_two_counts_of_an_arc() {
        assert_eq!(size_of::<Readiness>() + 2 * size_of::<usize>(), 64);
    }

    #[test]
    fn a_close_is_noticed_by_a_process_that_does_not_read() {
        let readiness = Readiness::new();
        let poll_closed = || readiness.poll_closed(&Context::from_waker(Waker::noop()));
        assert!(poll_closed().is_pending());
        let mut to_wake = Vec::new();
        readiness.set_ready([ReadyEvent::Closed, ReadyEvent::Ready], &mut to_wake);
        assert_eq!(to_wake.len(), 1);
        assert!(poll_closed().is_pending(), "the peer still receives");
        readiness.set_ready([ReadyEvent::Closed; 2], &mut to_wake);
        assert_eq!(to_wake.len(), 2, "the process is woken");
        assert!(poll_closed().is_ready());
    }

    #[test]
    fn the_directions_are_independent() {
        let readiness = Readiness::new();
        readiness.clear_ready(Read, tick(&readiness, Read));
        readiness.clear_ready(Write, tick(&readiness, Write));
        set_ready(&readiness, Write, ReadyEvent::Ready);
        assert!(poll(&readiness, Read).is_pending());
        assert!(poll(&readiness, Write).is_ready());
    }
}

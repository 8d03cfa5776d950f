//! What a connection knows: its requests in order, its two directions, who waits for what.
//!
//! Everything here is one value behind one lock. The moves of reading are in `input`, those of answering in `answer`,
//! those of time in `deadlines`.

use std::{any::Any, hint::cold_path, net::SocketAddr, sync::Arc, task::Waker};

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use riot_flow::{Output, Wake};

use super::{
    HttpConfig,
    deadlines::Deadlines,
    exchange::{Answer, Exchange, Exchanges},
};
use crate::{Head, RequestError, parse::Scan};

/// The connection as its loops, its requests and their bodies share it.
///
/// Whoever holds the lock calls nobody else's code but wakers and the clock of `Date`, which must not come back here.
#[derive(Debug)]
pub(crate) struct Shared(Mutex<Inner>);

impl Shared {
    pub(crate) fn new(config: Arc<HttpConfig>) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Inner::new(config))))
    }

    /// Nothing under the lock panics half-way, so it is not poisoned.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock()
    }
}

/// What the reading loop's bytes are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// The head of a next request.
    Head,
    /// The body of the last request in the queue.
    Body,
    /// Nothing: they are dropped, so that the peer is not cut off before it has read its last answer.
    Discard {
        /// How many more.
        left: usize,
        /// Some came.
        seen: bool,
    },
    /// Nothing: they are another protocol's.
    Switched,
    /// Nothing, and no more are asked for.
    Closed,
}

/// Where the writing direction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writing {
    /// More answers may come.
    Open,
    /// What is queued is the last.
    Closing,
    /// What is queued is the last of this protocol.
    Switching,
}

/// A transport handed over after a switch of protocols.
pub(crate) type Offer = (Box<dyn Any + Send>, Bytes);

/// In the order of the fields, so that what every request touches is in as few cache lines as it takes.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Inner {
    pub(crate) config: Arc<HttpConfig>,
    pub(crate) reading: Reading,
    pub(crate) writing: Writing,
    /// The reading loop holds the beginning of a head.
    pub(crate) partial_head: bool,
    /// The last read left bytes for want of room. Until the reading loop has yielded it would wait for new ones, and
    /// there may be none.
    pub(crate) held_back: bool,
    /// The reading loop has yielded.
    pub(crate) reader_waits: bool,
    /// No further request is accepted.
    pub(crate) heads_over: bool,
    /// The peer may still be sending when the last answer leaves.
    pub(crate) linger: bool,
    /// The handler of the request under way is to finish, whatever becomes of the peer.
    pub(crate) kept: bool,
    pub(crate) next_needs_room: bool,
    /// That of the `Date` of answers until the writing loop comes for them, if it was waiting: what is made at once has
    /// the same. Counted from 1970; 0: the clock is to be asked.
    pub(crate) second: u32,
    /// Nobody drives the connection any more.
    pub(crate) driver_gone: bool,
    /// Invariants: only the first has a handler, only the last may still receive its body, and nothing stands behind a
    /// refusal.
    pub(crate) exchanges: Exchanges,
    /// Requests so far.
    pub(crate) requests: u64,
    /// Bytes received that no handler has taken. Invariant: the sum over `exchanges`.
    pub(crate) read_ahead: usize,
    /// Bytes ever queued, and ever sent or dropped: positions in the stream. Invariant: `left <= queued`.
    pub(crate) queued: u64,
    pub(crate) left: u64,
    /// Set: the transport failed when so much of the stream had left.
    pub(crate) lost_at: Option<u64>,
    pub(crate) scan: Scan,
    /// Bytes for the writing loop to fetch.
    pub(crate) output: Output,
    pub(crate) deadlines: Deadlines,
    /// Waits for the next request, and maybe for room to answer it.
    pub(crate) next: Wake,
    pub(crate) writer: Wake,
    pub(crate) reader: Wake,
    /// Runs the handlers, and ends the one under way when the peer is gone.
    pub(crate) gone: Option<Waker>,
    /// The address at the other end, where it was told.
    pub(crate) peer: Option<SocketAddr>,
    /// What most connections never have.
    pub(crate) rare: Option<Box<Rare>>,
}

/// See [`Inner::rare`].
#[derive(Debug, Default)]
pub(crate) struct Rare {
    /// Bytes that were queued and never left.
    pub(crate) undelivered: u64,
    /// The last body that failed, and why, for whoever still reads it.
    pub(crate) failure: Option<(u64, RequestError)>,
    /// The timer that acted last.
    pub(crate) timed_out: Option<&'static str>,
    pub(crate) offer: Option<Offer>,
    /// Waits for a piece of the first request's body.
    pub(crate) body: Option<Waker>,
    /// Waits until so much of the stream has left.
    pub(crate) flush: Option<(u64, Waker)>,
    /// Waits for the transport after a switch.
    pub(crate) switch: Option<Waker>,
    /// Wait for the end.
    pub(crate) closed: Vec<Waker>,
}

impl Inner {
    fn new(config: Arc<HttpConfig>) -> Self {
        Self {
            config,
            reading: Reading::Head,
            writing: Writing::Open,
            partial_head: false,
            held_back: false,
            reader_waits: false,
            heads_over: false,
            linger: true,
            kept: false,
            next_needs_room: false,
            driver_gone: false,
            exchanges: Exchanges::default(),
            requests: 0,
            read_ahead: 0,
            queued: 0,
            left: 0,
            lost_at: None,
            scan: Scan::default(),
            second: 0,
            output: Output::new(),
            deadlines: Deadlines::default(),
            next: Wake::new(),
            writer: Wake::new(),
            reader: Wake::new(),
            gone: None,
            peer: None,
            rare: None,
        }
    }

    pub(crate) fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// Bytes queued and not sent.
    pub(crate) fn pending(&self) -> u64 {
        self.queued - self.left
    }

    /// The writing loop has nothing left to do, ever.
    pub(crate) fn writer_is_done(&self) -> bool {
        self.writing != Writing::Open && self.pending() == 0
    }

    /// Both loops have nothing left to do, ever.
    pub(crate) fn is_over(&self) -> bool {
        self.writer_is_done() && matches!(self.reading, Reading::Closed | Reading::Switched)
    }

    /// The protocol was switched and its last byte has left.
    pub(crate) fn is_switched(&self) -> bool {
        self.writing == Writing::Switching && self.writer_is_done() && self.lost_at.is_none()
    }

    /// Whatever a handler still does, the peer will not see it.
    pub(crate) fn is_dead(&self) -> bool {
        self.lost_at.is_some() || (self.is_over() && !self.is_switched())
    }

    /// Nothing is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.exchanges.is_empty() && self.reading == Reading::Head && self.pending() == 0
    }

    /// The writing loop waits, unless there is something for it.
    pub(crate) fn yield_writer(&mut self, waker: &Waker) {
        if self.pending() > 0 || self.writer_is_done() {
            waker.wake_by_ref();
        } else {
            self.writer.register(waker);
        }
    }

    /// What is going on, in a word.
    pub(crate) fn activity(&self) -> &'static str {
        let first = self.exchanges.front();
        match (self.writing, first.map(|first| first.answer)) {
            (Writing::Switching, _) => "upgrading",
            (Writing::Closing, _) => "closing",
            (Writing::Open, Some(Answer::Streaming(_))) => "answering",
            (Writing::Open, Some(_)) => "handling",
            (Writing::Open, None) if self.pending() > 0 => "sending",
            (Writing::Open, None) if self.partial_head => "reading",
            (Writing::Open, None) => "idle",
        }
    }

    /// No further request will be handed over.
    pub(crate) fn requests_are_over(&self) -> bool {
        self.writing != Writing::Open
            || (self.exchanges.is_empty() && !matches!(self.reading, Reading::Head | Reading::Body))
    }

    /// The request with this number, if it is the one being handled.
    pub(crate) fn active(&mut self, id: u64) -> Option<&mut Exchange> {
        self.exchanges.front_mut().filter(|front| front.id == id && front.answer != Answer::Queued)
    }

    /// Hands the next request over, if there is one whose turn it is.
    pub(crate) fn hand_over(&mut self) -> Option<(u64, Head)> {
        let front = self.exchanges.front_mut().filter(|front| front.answer == Answer::Queued)?;
        let head = front.asked.head.take()?;
        front.answer = Answer::Waiting;
        self.kept = false;
        self.read_ahead -= head.bytes().len();
        let id = front.id;
        self.leave_briefly();
        Some((id, head))
    }

    /// Nobody will handle what has no handler: drops the requests from this place on.
    pub(crate) fn forget_from(&mut self, place: usize) {
        let receiving = self.reading == Reading::Body && self.exchanges.len() > place;
        self.exchanges.truncate(place);
        self.read_ahead = self.exchanges.kept();
        if receiving {
            self.discard();
        }
    }

    /// Looks at the first in the queue after it has changed.
    #[inline]
    pub(crate) fn advance(&mut self) {
        match self.exchanges.front() {
            Some(Exchange { answer: Answer::Queued, .. }) => match self.exchanges.refusal() {
                Some(error) => {
                    cold_path();
                    self.refuse(error);
                }
                None => self.wake_next(),
            },
            None if self.requests_are_over() => {
                cold_path();
                self.end();
            }
            _ => {}
        }
    }

    /// The first request is done with: answered, and its body received or dropped.
    pub(crate) fn pop(&mut self) {
        self.read_ahead -= self.exchanges.pop();
        if self.heads_over && self.exchanges.is_empty() && self.reading == Reading::Head {
            self.discard();
        }
        self.advance();
    }

    /// What is queued is the last; nobody waits for anything else any more.
    #[inline(never)]
    pub(crate) fn end(&mut self) {
        self.exchanges.clear();
        self.read_ahead = 0;
        if self.writing == Writing::Open {
            self.writing = Writing::Closing;
        }
        self.discard();
        self.wake_all();
    }

    /// Whatever else comes is dropped.
    pub(crate) fn discard(&mut self) {
        if matches!(self.reading, Reading::Head | Reading::Body) {
            self.reading =
                Reading::Discard { left: self.config.limits.max_linger_bytes, seen: self.partial_head };
            self.partial_head = false;
        }
    }

    /// Both directions end; what is queued is still sent.
    pub(crate) fn close(&mut self) {
        self.end();
        self.reading = Reading::Closed;
    }

    /// The transport failed: what is queued is lost.
    #[cold]
    pub(crate) fn lose(&mut self) {
        self.lost_at.get_or_insert(self.left);
        let lost = self.pending();
        self.rare().undelivered += lost;
        self.left = self.queued;
        self.output.clear();
        self.deadlines.written();
        self.close();
    }

    /// Ends in order: what was accepted is answered.
    pub(crate) fn drain(&mut self) {
        self.heads_over = true;
        if self.exchanges.is_empty() && matches!(self.reading, Reading::Head) {
            self.linger = false;
            self.end();
        } else if self.reading == Reading::Head {
            self.discard();
        }
    }

    /// Resumes the reading loop, if it has yielded; it presents again what it has.
    pub(crate) fn wake_reader(&mut self) {
        if std::mem::take(&mut self.reader_waits) {
            self.held_back = false;
            self.reader.wake_waiting();
        }
    }

    pub(crate) fn wake_next(&mut self) {
        self.next_needs_room = false;
        self.next.wake_waiting();
    }

    /// So many bytes have left.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.left += bytes as u64;
        if bytes > 0 {
            self.deadlines.written();
        }
        if self.rare.is_some() || self.next_needs_room {
            cold_path();
            self.wake_those_in_want_of_room();
        }
    }

    #[inline(never)]
    fn wake_those_in_want_of_room(&mut self) {
        if let Some(Rare { flush: Some((wanted, _)), .. }) = self.rare.as_deref()
            && *wanted <= self.left
        {
            self.wake_flush();
        }
        if self.next_needs_room && self.has_room() {
            self.wake_next();
        }
    }

    /// What waits to be sent is below the high-water mark (F10).
    pub(crate) fn has_room(&self) -> bool {
        self.pending() < self.config.limits.output_high_water_bytes as u64
    }

    pub(crate) fn wake_body(&mut self) {
        self.wake_rare(|rare| rare.body.take());
    }

    pub(crate) fn wake_flush(&mut self) {
        self.wake_rare(|rare| rare.flush.take().map(|(_, waker)| waker));
    }

    pub(crate) fn wake_switch(&mut self) {
        self.wake_rare(|rare| rare.switch.take());
    }

    fn wake_rare(&mut self, waker: impl FnOnce(&mut Rare) -> Option<Waker>) {
        if let Some(waker) = self.rare.as_deref_mut().and_then(waker) {
            waker.wake();
        }
    }

    fn wake_all(&mut self) {
        self.wake_reader();
        self.writer.wake_waiting();
        self.wake_next();
        self.wake_body();
        self.wake_flush();
        self.wake_switch();
    }

    /// Ends every call: ends what has come to its end, resumes the reading loop if it may go on, sets the timers.
    pub(crate) fn leave(&mut self) {
        let goes_on =
            self.writing == Writing::Open && self.reading == Reading::Head && self.lost_at.is_none();
        if !goes_on || self.reader_waits {
            cold_path();
            self.move_on();
        }
        self.set_timers();
    }

    #[inline(never)]
    fn move_on(&mut self) {
        if self.writer_is_done()
            && let Reading::Discard { left, seen } = self.reading
            && (left == 0 || !(self.linger || seen))
        {
            self.reading = Reading::Closed;
        }
        if self.is_over() {
            self.wake_all();
        }
        if self.is_dead() {
            let closed = self.rare.as_mut().map(|rare| std::mem::take(&mut rare.closed)).unwrap_or_default();
            self.gone.take().into_iter().chain(closed).for_each(Waker::wake);
        }
        if self.reader_waits && self.may_read() {
            self.wake_reader();
        }
    }
}

impl Inner {
    /// Ends a call of the application. Most change nothing that is not looked at again when their output is fetched.
    pub(crate) fn leave_briefly(&mut self) {
        let timed = self.config.timeouts.handler.is_some() || self.reading != Reading::Head;
        if timed || self.reader_waits || self.writing != Writing::Open {
            cold_path();
            self.leave_at_length();
        }
    }

    #[inline(never)]
    fn leave_at_length(&mut self) {
        self.leave();
    }
}

/// Keeps `waker` in `slot`; clones it only if it is another one.
pub(crate) fn register(slot: &mut Option<Waker>, waker: &Waker) {
    match slot {
        Some(old) => old.clone_from(waker),
        none => *none = Some(waker.clone()),
    }
}

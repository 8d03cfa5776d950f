//! What a connection knows: its requests in order, its two directions, who waits for what.
//!
//! Everything here is one value behind one lock. The moves of reading are in `input`, those of answering in `answer`,
//! those of time in `deadlines`.

use std::{
    any::Any,
    hint::cold_path,
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use riot_flow::{Output, WakerSlot};

use super::{
    codec::request::HeadScanner,
    queue::{Exchange, ExchangeQueue, ResponseState},
    timers::Timers,
};
use crate::{Head, HttpConfig, RequestError, UpgradeError};

/// The connection as its loops, its exchanges and their bodies share it.
///
/// Code that holds the lock calls nothing of a user's but wakers and the clock of `Date`, which must not come back here.
#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    /// The address at the other end, if it is known. Outside the lock: it never changes.
    peer: Option<SocketAddr>,
}

impl Shared {
    pub(crate) fn new(config: Arc<HttpConfig>, peer: Option<SocketAddr>) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State::new(config)), peer })
    }

    /// Locks the state. Nothing under the lock panics half-way, so it is never poisoned.
    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    #[inline]
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        self.peer
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
    Upgraded,
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
    Upgrading,
}

/// A transport handed over after a switch of protocols.
pub(crate) type Offer = (Box<dyn Any + Send>, Bytes);

/// In the order of the fields, so that what every request touches is in as few cache lines as it takes.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct State {
    pub(crate) config: Arc<HttpConfig>,
    pub(crate) reading: Reading,
    pub(crate) writing: Writing,
    /// The reading loop holds the beginning of a head.
    pub(crate) partial_head: bool,
    /// The last read left bytes for want of room. Until the reading loop has yielded it would wait for new ones, and
    /// there may be none.
    pub(crate) backpressured: bool,
    /// The reading loop has yielded.
    pub(crate) reader_waits: bool,
    /// No further request is accepted.
    pub(crate) no_more_requests: bool,
    /// The peer may still be sending when the last answer leaves.
    pub(crate) linger: bool,
    /// The handler of the request under way is to finish, whatever becomes of the peer.
    pub(crate) keep_handler: bool,
    pub(crate) next_needs_room: bool,
    /// That of the `Date` of answers until the writing loop comes for them, if it was waiting: what is made at once has
    /// the same. Counted from 1970; 0: the clock is to be asked.
    pub(crate) date_secs: u32,
    /// Nobody drives the connection any more.
    pub(crate) driver_gone: bool,
    /// Invariants: only the first has a handler, only the last may still receive its body, and nothing stands behind a
    /// refusal.
    pub(crate) exchanges: ExchangeQueue,
    /// Requests so far.
    pub(crate) requests: u64,
    /// Bytes received that no handler has taken. Invariant: the sum over `exchanges`.
    pub(crate) read_ahead: usize,
    /// Bytes ever queued, and ever sent or dropped: positions in the stream. Invariant: `left <= queued`.
    pub(crate) bytes_queued: u64,
    pub(crate) bytes_sent: u64,
    /// Set: the transport failed when so much of the stream had left.
    pub(crate) lost_at: Option<u64>,
    pub(crate) scan: HeadScanner,
    /// Bytes for the writing loop to fetch.
    pub(crate) output: Output,
    pub(crate) timers: Timers,
    /// Waits for the next request, and maybe for room to answer it.
    pub(crate) next_request: WakerSlot,
    pub(crate) writer: WakerSlot,
    pub(crate) reader: WakerSlot,
    /// Runs the handlers, and ends the one under way when the peer is gone.
    pub(crate) handler_waker: Option<Waker>,
    /// What most connections never have.
    pub(crate) cold: Option<Box<Cold>>,
}

/// See [`State::rare`].
#[derive(Debug, Default)]
pub(crate) struct Cold {
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
    pub(crate) upgrade: Option<Waker>,
    /// Wait for the end.
    pub(crate) closed: Vec<Waker>,
}

impl State {
    fn new(config: Arc<HttpConfig>) -> Self {
        Self {
            config,
            reading: Reading::Head,
            writing: Writing::Open,
            partial_head: false,
            backpressured: false,
            reader_waits: false,
            no_more_requests: false,
            linger: true,
            keep_handler: false,
            next_needs_room: false,
            driver_gone: false,
            exchanges: ExchangeQueue::default(),
            requests: 0,
            read_ahead: 0,
            bytes_queued: 0,
            bytes_sent: 0,
            lost_at: None,
            scan: HeadScanner::default(),
            date_secs: 0,
            output: Output::new(),
            timers: Timers::default(),
            next_request: WakerSlot::new(),
            writer: WakerSlot::new(),
            reader: WakerSlot::new(),
            handler_waker: None,
            cold: None,
        }
    }

    pub(crate) fn cold_mut(&mut self) -> &mut Cold {
        self.cold.get_or_insert_default()
    }

    /// Bytes queued and not sent.
    pub(crate) fn pending(&self) -> u64 {
        self.bytes_queued - self.bytes_sent
    }

    /// The writing loop has nothing left to do, ever.
    pub(crate) fn writer_is_done(&self) -> bool {
        self.writing != Writing::Open && self.pending() == 0
    }

    /// Both loops have nothing left to do, ever.
    pub(crate) fn is_closed(&self) -> bool {
        self.writer_is_done() && matches!(self.reading, Reading::Closed | Reading::Upgraded)
    }

    /// The protocol was switched and its last byte has left.
    pub(crate) fn is_upgraded(&self) -> bool {
        self.writing == Writing::Upgrading && self.writer_is_done() && self.lost_at.is_none()
    }

    /// Whatever a handler still does, the peer will not see it.
    pub(crate) fn peer_is_gone(&self) -> bool {
        self.lost_at.is_some() || (self.is_closed() && !self.is_upgraded())
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
        match (self.writing, first.map(|first| first.response)) {
            (Writing::Upgrading, _) => "upgrading",
            (Writing::Closing, _) => "closing",
            (Writing::Open, Some(ResponseState::Streaming(_))) => "answering",
            (Writing::Open, Some(_)) => "handling",
            (Writing::Open, None) if self.pending() > 0 => "sending",
            (Writing::Open, None) if self.partial_head => "reading",
            (Writing::Open, None) => "idle",
        }
    }

    /// No further request will be handed over.
    pub(crate) fn no_request_will_follow(&self) -> bool {
        self.writing != Writing::Open
            || (self.exchanges.is_empty() && !matches!(self.reading, Reading::Head | Reading::Body))
    }

    /// The request with this number, if it is the one being handled.
    pub(crate) fn active(&mut self, id: u64) -> Option<&mut Exchange> {
        self.exchanges.front_mut().filter(|front| front.id == id && front.response != ResponseState::Queued)
    }

    /// Hands the next request over, if there is one whose turn it is.
    pub(crate) fn hand_over(&mut self) -> Option<(u64, Head)> {
        let front = self.exchanges.front_mut().filter(|front| front.response == ResponseState::Queued)?;
        let head = front.request.head.take()?;
        front.response = ResponseState::Waiting;
        self.keep_handler = false;
        self.read_ahead -= head.bytes().len();
        let id = front.id;
        self.finish_call_fast();
        Some((id, head))
    }

    /// Nobody will handle what has no handler: drops the requests from this place on.
    pub(crate) fn truncate_requests(&mut self, place: usize) {
        let receiving = self.reading == Reading::Body && self.exchanges.len() > place;
        self.exchanges.truncate(place);
        self.read_ahead = self.exchanges.buffered_bytes();
        if receiving {
            self.discard();
        }
    }

    /// Looks at the first in the queue after it has changed.
    #[inline]
    pub(crate) fn advance(&mut self) {
        match self.exchanges.front() {
            Some(Exchange { response: ResponseState::Queued, .. }) => match self.exchanges.rejection() {
                Some(error) => {
                    cold_path();
                    self.respond_error_and_close(error);
                }
                None => self.wake_next(),
            },
            None if self.no_request_will_follow() => {
                cold_path();
                self.end();
            }
            _ => {}
        }
    }

    /// The first request is done with: answered, and its body received or dropped.
    pub(crate) fn pop(&mut self) {
        self.read_ahead -= self.exchanges.pop();
        if self.no_more_requests && self.exchanges.is_empty() && self.reading == Reading::Head {
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
    pub(crate) fn transport_failed(&mut self) {
        self.lost_at.get_or_insert(self.bytes_sent);
        let lost = self.pending();
        self.cold_mut().undelivered += lost;
        self.bytes_sent = self.bytes_queued;
        self.output.clear();
        self.timers.written();
        self.close();
    }

    /// Ends in order: what was accepted is answered.
    pub(crate) fn drain(&mut self) {
        self.no_more_requests = true;
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
            self.backpressured = false;
            self.reader.wake_waiting();
        }
    }

    pub(crate) fn wake_next(&mut self) {
        self.next_needs_room = false;
        self.next_request.wake_waiting();
    }

    /// So many bytes have left.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.bytes_sent += bytes as u64;
        if bytes > 0 {
            self.timers.written();
        }
        if self.cold.is_some() || self.next_needs_room {
            cold_path();
            self.sent_slow();
        }
    }

    #[inline(never)]
    fn sent_slow(&mut self) {
        if let Some(Cold { flush: Some((wanted, _)), .. }) = self.cold.as_deref()
            && *wanted <= self.bytes_sent
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
        self.wake_cold(|cold| cold.body.take());
    }

    pub(crate) fn wake_flush(&mut self) {
        self.wake_cold(|cold| cold.flush.take().map(|(_, waker)| waker));
    }

    pub(crate) fn wake_upgrade(&mut self) {
        self.wake_cold(|cold| cold.upgrade.take());
    }

    fn wake_cold(&mut self, waker: impl FnOnce(&mut Cold) -> Option<Waker>) {
        if let Some(waker) = self.cold.as_deref_mut().and_then(waker) {
            waker.wake();
        }
    }

    fn wake_all(&mut self) {
        self.wake_reader();
        self.writer.wake_waiting();
        self.wake_next();
        self.wake_body();
        self.wake_flush();
        self.wake_upgrade();
    }

    /// Ends every call: ends what has come to its end, resumes the reading loop if it may go on, sets the timers.
    pub(crate) fn finish_call(&mut self) {
        let goes_on =
            self.writing == Writing::Open && self.reading == Reading::Head && self.lost_at.is_none();
        if !goes_on || self.reader_waits {
            cold_path();
            self.advance_shutdown();
        }
        self.set_timers();
    }

    #[inline(never)]
    fn advance_shutdown(&mut self) {
        if self.writer_is_done()
            && let Reading::Discard { left, seen } = self.reading
            && (left == 0 || !(self.linger || seen))
        {
            self.reading = Reading::Closed;
        }
        if self.is_closed() {
            self.wake_all();
        }
        if self.peer_is_gone() {
            let closed = self.cold.as_mut().map(|cold| std::mem::take(&mut cold.closed)).unwrap_or_default();
            self.handler_waker.take().into_iter().chain(closed).for_each(Waker::wake);
        }
        if self.reader_waits && self.may_read() {
            self.wake_reader();
        }
    }
}

impl State {
    /// Ends a call of the application. Most change nothing that is not looked at again when their output is fetched.
    pub(crate) fn finish_call_fast(&mut self) {
        let timed = self.config.timeouts.handler.is_some() || self.reading != Reading::Head;
        if timed || self.reader_waits || self.writing != Writing::Open {
            cold_path();
            self.finish_call_slow();
        }
    }

    #[inline(never)]
    fn finish_call_slow(&mut self) {
        self.finish_call();
    }
}

/// What became of bytes that were to be flushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FlushState {
    Sent,
    Lost,
}

/// What handlers wait for.
impl State {
    /// Lets the handler under way run to its end whatever becomes of the peer.
    pub(crate) fn keep_handler(&mut self, id: u64) {
        if self.active(id).is_some() {
            self.keep_handler = true;
        }
    }

    /// Ready when the peer is gone, unless the handler under way is kept.
    #[inline]
    pub(crate) fn poll_peer_gone(&mut self, waker: &Waker) -> Poll<()> {
        if self.keep_handler {
            return Poll::Pending;
        }
        if self.peer_is_gone() {
            return Poll::Ready(());
        }
        register(&mut self.handler_waker, waker);
        Poll::Pending
    }

    /// Ready when the peer is gone.
    pub(crate) fn poll_closed(&mut self, waker: &Waker) -> Poll<()> {
        if self.peer_is_gone() {
            return Poll::Ready(());
        }
        let closed = &mut self.cold_mut().closed;
        if !closed.iter().any(|known| known.will_wake(waker)) {
            closed.push(waker.clone());
        }
        Poll::Pending
    }

    /// Ready when everything before `position` has been sent, or is lost.
    pub(crate) fn poll_flush(&mut self, position: u64, cx: &mut Context<'_>) -> Poll<FlushState> {
        if self.bytes_sent < position {
            self.cold_mut().flush = Some((position, cx.waker().clone()));
            return Poll::Pending;
        }
        let lost = self.lost_at.is_some_and(|lost_at| lost_at < position);
        Poll::Ready(if lost { FlushState::Lost } else { FlushState::Sent })
    }

    /// Ready when the driver has handed the transport over after a switch of protocols, or never will.
    pub(crate) fn poll_transport(&mut self, waker: &Waker) -> Poll<Result<Offer, UpgradeError>> {
        if let Some(offer) = self.cold_mut().offer.take() {
            return Poll::Ready(Ok(offer));
        }
        if self.lost_at.is_some() || self.driver_gone {
            return Poll::Ready(Err(UpgradeError::Closed));
        }
        register(&mut self.cold_mut().upgrade, waker);
        Poll::Pending
    }

    /// No process takes requests any more: the one under way is still answered.
    pub(crate) fn requests_dropped(&mut self) {
        if self.writing == Writing::Open {
            let under_way =
                self.exchanges.front().is_some_and(|first| first.response != ResponseState::Queued);
            self.truncate_requests(usize::from(under_way));
            self.drain();
            self.finish_call();
        }
    }
}

/// Keeps `waker` in `slot`; clones it only if it is another one.
pub(crate) fn register(slot: &mut Option<Waker>, waker: &Waker) {
    match slot {
        Some(old) => old.clone_from(waker),
        none => *none = Some(waker.clone()),
    }
}

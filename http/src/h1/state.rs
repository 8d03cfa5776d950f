//! The state of a connection: its exchanges, its two directions, and the wakers of what waits.
//!
//! Everything is one value behind one lock. The moves of reading are in `read`, those of responding in
//! `respond`, those of time in `timers`.

use std::{any::Any, hint::cold_path, sync::Arc, task::Waker, time::Instant};

use bytes::Bytes;
use riot_flow::{Output, WakerSlot};

use super::{
    codec::{framing::UpgradeOffer, request::HeadScanner},
    queue::{Exchange, ExchangeQueue, ResponseState},
    timers::Timers,
    traces::Traces,
};
use crate::{Head, HttpConfig, RequestError, wakers::WaitList};

use super::{failure::Failure, request_note::RequestNote};

/// The state of the receiving direction: what received bytes are for. The legal moves are in
/// [`Reading::MOVES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// The head of the next request.
    Head,
    /// The head of the next request, while a drain is announced or under way: a response that no request
    /// stands behind is the last.
    LastHead,
    /// The body of the last request in the queue.
    Body,
    /// Bytes are dropped, so that the peer is not cut off before it has read its last response.
    Discard {
        /// Bytes that may still be dropped.
        left: usize,
        /// Whether any were.
        seen: bool,
    },
    /// Bytes belong to another protocol.
    Upgraded,
    /// Nothing more is read.
    Closed,
}

impl Reading {
    /// Returns whether the head of a request is expected.
    pub(crate) fn is_head(self) -> bool {
        matches!(self, Self::Head | Self::LastHead)
    }
}

/// The state of the sending direction. The legal moves are in [`Writing::MOVES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writing {
    /// More responses may follow.
    Open,
    /// The queued bytes are the last.
    Closing,
    /// The queued bytes are the last of this protocol.
    Upgrading,
}

/// The bytes that may follow the head of a request on the connection, beside the next request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Follows {
    Nothing,
    Body,
    /// Another protocol that the request offers with `Upgrade`; it has no body.
    Switch,
}

/// The transport that a driver hands over after a switch of protocols, with the bytes read and not consumed.
pub(crate) type Offer = (Box<dyn Any + Send>, Bytes);

/// The state of a connection.
///
/// perf: the fields are laid out in this order, so that what every request touches is in the fewest cache
/// lines (`cold lines a request` of `cargo xtask bench figures`).
#[derive(Debug)]
#[repr(C)] // perf: cache lines missed, 1 000 active, 27.5 → 26.4, with the other three on this path
pub(crate) struct State {
    pub(crate) config: Arc<HttpConfig>,
    pub(crate) reading: Reading,
    pub(crate) writing: Writing,
    /// The reader holds the beginning of a head.
    pub(crate) partial_head: bool,
    /// The last read consumed part of its input because a limit was reached. The reader must yield and
    /// present the rest again; waiting for new bytes could hang.
    pub(crate) backpressured: bool,
    /// The reader has yielded.
    pub(crate) reader_waits: bool,
    /// No further request is accepted, because nothing handles requests any more.
    pub(crate) no_more_requests: bool,
    /// A response that no request stands behind is the last.
    pub(crate) last_next: bool,
    /// The peer may still be sending when the last response leaves.
    pub(crate) linger: bool,
    /// The handler under way runs to its end whatever becomes of the peer.
    pub(crate) keep_handler: bool,
    /// The next request waits until fewer bytes than the high-water mark are pending.
    pub(crate) next_needs_room: bool,
    /// Unix seconds for `Date`, shared by responses written in one batch; 0 = unknown.
    pub(crate) date_secs: u32,
    /// The driver has been dropped.
    pub(crate) driver_gone: bool,
    /// Something is to be reported: a handler that failed, see [`Cold::failure`], or what was noted of
    /// requests that are watched, see [`Cold::traces`].
    pub(crate) unreported: bool,
    /// Tasks are to be woken when the lock is released: see [`Cold::woken`].
    pub(crate) has_woken: bool,
    /// Invariants: only the first exchange has a handler, only the last may still receive its body, and
    /// nothing stands behind a rejected request.
    pub(crate) exchanges: ExchangeQueue,
    /// Requests received, rejected ones included.
    pub(crate) requests: u64,
    /// Bytes received that no handler has taken. Invariant: the sum over `exchanges`.
    pub(crate) read_ahead: usize,
    /// Bytes ever queued, and ever sent or dropped: positions in the stream. Invariant: `bytes_sent <=
    /// bytes_queued`.
    pub(crate) bytes_queued: u64,
    pub(crate) bytes_sent: u64,
    /// The position in the stream at which the transport failed, if it did.
    pub(crate) lost_at: Option<u64>,
    pub(crate) scan: HeadScanner,
    /// Bytes for the writer to fetch.
    pub(crate) output: Output,
    pub(crate) timers: Timers,
    /// Waits for the next request, and for room for its response.
    pub(crate) next_request: WakerSlot,
    pub(crate) writer: WakerSlot,
    pub(crate) reader: WakerSlot,
    /// The task that runs the handlers. It is woken when the peer is gone, to drop the handler under way.
    pub(crate) handler_waker: Option<Waker>,
    /// State that most connections never need.
    pub(crate) cold: Option<Box<Cold>>,
    /// The request handed over last.
    pub(crate) note: RequestNote,
}

/// See [`State::cold`].
#[derive(Debug, Default)]
pub(crate) struct Cold {
    /// Bytes that were queued and never sent.
    pub(crate) undelivered: u64,
    /// The last body that failed, by its exchange, for the handler that still reads it.
    pub(crate) body_error: Option<(u64, RequestError)>,
    /// The last thing that was refused to a handler, or that it failed to do, by its exchange.
    pub(crate) failure: Option<(u64, Failure)>,
    /// The protocols that the request under way offers, as a list.
    pub(crate) offered: Vec<u8>,
    /// The error by which the peer broke the protocol, if it did.
    pub(crate) protocol_error: Option<RequestError>,
    /// The timer that expired last.
    pub(crate) timed_out: Option<&'static str>,
    pub(crate) offer: Option<Offer>,
    /// The failure is to be reported.
    pub(crate) failure_is_due: bool,
    /// The last request that was cut.
    pub(crate) cut: Option<u64>,
    /// The traces of requests that are watched.
    pub(crate) traces: Traces,
    /// The drain that is under way.
    pub(crate) drain: Option<Drain>,
    /// The last exchange whose response is a stream of events that a drain ends.
    pub(crate) event_stream: Option<u64>,
    /// Waits for a piece of the first request's body.
    pub(crate) body: Option<Waker>,
    /// Waits until this much of the stream has been sent.
    pub(crate) flush: Option<(u64, Waker)>,
    /// Waits for the transport after a switch of protocols.
    pub(crate) upgrade: Option<Waker>,
    /// Wait for the end of the connection, or for a drain.
    pub(crate) endings: WaitList,
    /// Wakers to be woken when the lock is released.
    pub(crate) woken: Vec<Waker>,
}

/// A connection that ends in order.
#[derive(Debug)]
pub(crate) struct Drain {
    /// The instant at which the connection is cut, if there is one.
    pub(crate) deadline: Option<Instant>,
    /// Requests answered since the drain began.
    pub(crate) served: u64,
    /// Bytes came for which it was too late.
    pub(crate) crossed: bool,
}

impl State {
    pub(super) fn new(config: Arc<HttpConfig>) -> Self {
        Self {
            config,
            reading: Reading::Head,
            writing: Writing::Open,
            partial_head: false,
            backpressured: false,
            reader_waits: false,
            no_more_requests: false,
            last_next: false,
            linger: true,
            keep_handler: false,
            next_needs_room: false,
            driver_gone: false,
            unreported: false,
            has_woken: false,
            note: RequestNote::default(),
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

    /// Returns the bytes queued and not sent.
    pub(crate) fn pending(&self) -> u64 {
        self.bytes_queued - self.bytes_sent
    }

    /// Returns whether the writer has nothing left to do, ever.
    pub(crate) fn writer_is_done(&self) -> bool {
        self.writing != Writing::Open && self.pending() == 0
    }

    /// Returns whether both directions have nothing left to do, ever.
    pub(crate) fn is_closed(&self) -> bool {
        self.writer_is_done() && matches!(self.reading, Reading::Closed | Reading::Upgraded)
    }

    /// Returns whether the protocol was switched and its last byte has been sent.
    pub(crate) fn is_upgraded(&self) -> bool {
        self.writing == Writing::Upgrading && self.writer_is_done() && self.lost_at.is_none()
    }

    /// Returns whether the peer will see nothing of what a handler still does.
    pub(crate) fn peer_is_gone(&self) -> bool {
        self.lost_at.is_some() || (self.is_closed() && !self.is_upgraded())
    }

    /// Returns whether nothing is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.exchanges.is_empty() && self.reading.is_head() && self.pending() == 0
    }

    /// Registers the writer, unless there is something for it.
    pub(crate) fn yield_writer(&mut self, waker: &Waker) {
        if self.pending() > 0 || self.writer_is_done() {
            waker.wake_by_ref();
        } else {
            self.writer.register(waker);
        }
    }

    /// Returns what the connection is doing, in one word.
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

    /// Returns whether no further request will be handed over.
    pub(crate) fn no_request_will_follow(&self) -> bool {
        self.writing != Writing::Open
            || (self.exchanges.is_empty() && !(self.reading.is_head() || self.reading == Reading::Body))
    }

    /// Returns the exchange with this number, if it is the one being handled.
    pub(crate) fn active(&mut self, id: u64) -> Option<&mut Exchange> {
        self.exchanges.front_mut().filter(|front| front.id == id && front.response != ResponseState::Queued)
    }

    /// Hands the next request over, if its turn has come.
    pub(crate) fn hand_over(&mut self) -> Option<(u64, Head)> {
        let front = self.exchanges.front_mut().filter(|front| front.response == ResponseState::Queued)?;
        let head = front.request.head.take()?;
        front.move_response(ResponseState::Waiting);
        self.keep_handler = false;
        self.read_ahead -= head.bytes().len();
        self.note.set(head.bytes());
        let id = front.id;
        self.finish_call_fast();
        Some((id, head))
    }

    /// Begins to handle the request that was handed over; returns what follows its head.
    #[inline]
    pub(crate) fn begin_handling(&mut self, id: u64) -> Follows {
        let follows = self.follows(id);
        if self.cold.is_some() {
            cold_path();
            self.trace_handler(id);
        }
        follows
    }

    /// Returns what follows the head of the request that was handed over.
    #[inline]
    pub(crate) fn follows(&self, id: u64) -> Follows {
        match self.exchanges.front() {
            Some(front) if front.id == id && !front.request.traits.is_simple => {
                cold_path();
                let traits = front.request.traits;
                match (front.request.body.is_some(), traits.upgrade) {
                    (true, _) => Follows::Body,
                    (false, UpgradeOffer::Complete) if !traits.is_connect => Follows::Switch,
                    _ => Follows::Nothing,
                }
            }
            _ => Follows::Nothing,
        }
    }

    /// Drops the requests from this place on: no handler will take them.
    pub(crate) fn truncate_requests(&mut self, place: usize) {
        let receiving = self.reading == Reading::Body && self.exchanges.len() > place;
        self.exchanges.truncate(place);
        self.truncate_traces();
        self.read_ahead = self.exchanges.buffered_bytes();
        if receiving {
            self.discard();
        }
    }

    /// Acts on the first exchange after the queue has changed.
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

    /// Removes the first exchange: it was answered, and its body was received or dropped.
    pub(crate) fn pop(&mut self) {
        self.read_ahead -= self.exchanges.pop();
        if self.no_more_requests && self.exchanges.is_empty() && self.reading.is_head() {
            self.discard();
        }
        self.advance();
    }

    /// Makes what is queued the last, and wakes everything that waits.
    #[inline(never)]
    pub(crate) fn end(&mut self) {
        self.end_traces();
        self.exchanges.clear();
        self.read_ahead = 0;
        if self.writing == Writing::Open {
            self.move_writing(Writing::Closing);
        }
        self.discard();
        self.wake_all();
    }

    /// Drops whatever else is received.
    pub(crate) fn discard(&mut self) {
        if self.reading.is_head() || self.reading == Reading::Body {
            self.note_crossing(self.partial_head);
            self.move_reading(Reading::Discard {
                left: self.config.limits.max_linger_bytes,
                seen: self.partial_head,
            });
            self.partial_head = false;
        }
    }

    /// Ends both directions; what is queued is still sent.
    pub(crate) fn close(&mut self) {
        self.end();
        self.move_reading(Reading::Closed);
    }

    /// Records that the transport failed: what is queued is lost.
    #[cold]
    pub(crate) fn transport_failed(&mut self) {
        self.lost_at.get_or_insert(self.bytes_sent);
        let lost = self.pending();
        if lost > 0 {
            self.lose_responses();
        }
        self.cold_mut().undelivered += lost;
        self.bytes_sent = self.bytes_queued;
        self.output.clear();
        self.timers.nothing_to_write();
        self.close();
    }

    /// Lets the response that no request stands behind be the last.
    pub(crate) fn announce_end(&mut self) {
        self.last_next = true;
        if self.reading == Reading::Head {
            self.move_reading(Reading::LastHead);
        }
    }

    /// Ends in order: what was accepted is answered, and a request that arrives soon is served as the last.
    pub(crate) fn drain(&mut self, deadline: Option<Instant>) {
        if self.is_draining() {
            return;
        }
        self.announce_end();
        let cold = self.cold_mut();
        cold.drain = Some(Drain { deadline, served: 0, crossed: false });
        let endings = cold.endings.take();
        self.wake_unlocked(endings);
        self.limit_event_stream();
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.cold.as_ref().is_some_and(|cold| cold.drain.is_some())
    }

    /// Returns whether the connection ends in order, or has ended.
    pub(crate) fn is_ending(&self) -> bool {
        self.is_draining() || self.driver_gone || self.peer_is_gone()
    }

    /// Records, of a connection that is drained, that bytes came for which it was too late.
    pub(crate) fn note_crossing(&mut self, crossed: bool) {
        if crossed && let Some(drain) = self.cold.as_mut().and_then(|cold| cold.drain.as_mut()) {
            drain.crossed = true;
        }
    }

    /// Accepts no more requests: nothing would handle them.
    pub(super) fn refuse_requests(&mut self) {
        self.no_more_requests = true;
        if self.exchanges.is_empty() && self.reading.is_head() {
            self.linger = false;
            self.end();
        } else if self.reading.is_head() {
            self.discard();
        }
    }

    /// Resumes the reader if it has yielded; it presents its leftover again.
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

    /// Records that bytes have been sent.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.bytes_sent += bytes as u64;
        if bytes > 0 {
            self.timers.written();
        }
        if self.cold.is_some() || self.next_needs_room {
            cold_path();
            self.sent_slow(bytes);
        }
    }

    #[inline(never)]
    fn sent_slow(&mut self, bytes: usize) {
        self.credit_writing(bytes);
        if self.has_traces() {
            self.settle_traces();
        }
        if let Some(Cold { flush: Some((wanted, _)), .. }) = self.cold.as_deref()
            && *wanted <= self.bytes_sent
        {
            self.wake_flush();
        }
        if self.next_needs_room && self.has_room() {
            self.wake_next();
        }
    }

    /// Returns whether fewer bytes wait to be sent than the high-water mark. Rule F10 of
    /// [`riot_flow::contract`].
    pub(crate) fn has_room(&self) -> bool {
        self.pending() < self.config.limits.output_high_water_bytes as u64
    }
}

//! The moves of reading: bytes become requests and bodies.

use std::hint::cold_path;
use std::time::Instant;

use bytes::Bytes;
use riot_flow::ReadOperation;

use super::{
    cache::request_heads::{self, Lookup},
    codec::{
        framing::{Framing, RequestTraits, UpgradeOffer},
        request::{self, ScanResult},
    },
    queue::{PendingRequest, ResponseState},
    request_body::{BodyProgress, RequestBody},
    state::{Reading, State, Writing},
};
use crate::{Head, RequestError, observe::CutReason};

/// Bounds the input that is copied once for all requests in it, in bytes; 16 KiB.
const MAX_SHARED_BYTES: usize = 16 * 1024;

/// The smallest piece that is kept without a copy, in bytes; 8 KiB, since a small piece would keep a whole
/// block alive.
const MIN_KEPT_BYTES: usize = 8 * 1024;

/// The bytes that the reader presents, and how many of them are consumed.
pub(crate) struct Input<'a> {
    bytes: &'a [u8],
    consumed: usize,
    /// The presented bytes, if they can be kept without a copy.
    whole: Option<&'a Bytes>,
    /// A copy of the bytes from this position on.
    shared: Option<(usize, Bytes)>,
}

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, consumed: 0, whole: None, shared: None }
    }

    /// Wraps bytes that can be kept without a copy.
    fn whole(bytes: &'a Bytes) -> Self {
        Self { whole: Some(bytes), ..Self::new(bytes) }
    }

    /// Returns whether a piece of this length can be kept without a copy.
    pub(crate) fn keeps(&self, bytes: usize) -> bool {
        self.whole.is_some() && bytes >= MIN_KEPT_BYTES
    }

    /// Returns the bytes that are not consumed.
    pub(crate) fn rest(&self) -> &'a [u8] {
        &self.bytes[self.consumed..]
    }

    pub(crate) fn skip(&mut self, bytes: usize) {
        self.consumed += bytes;
    }

    /// Consumes bytes and keeps them. A pipeline costs one copy and one allocation, as a single request does.
    pub(crate) fn take(&mut self, bytes: usize) -> Bytes {
        let rest = self.rest();
        let (from, to) = (self.consumed, self.consumed + bytes);
        self.consumed = to;
        if let Some(whole) = self.whole.filter(|_| bytes >= MIN_KEPT_BYTES) {
            return whole.slice(from..to);
        }
        if let Some((start, shared)) = &self.shared {
            return shared.slice(from - start..to - start);
        }
        if bytes == rest.len() || rest.len() > MAX_SHARED_BYTES {
            return Bytes::copy_from_slice(&rest[..bytes]);
        }
        let shared = Bytes::copy_from_slice(rest);
        let taken = shared.slice(..bytes);
        self.shared = Some((from, shared));
        taken
    }
}

impl State {
    /// Returns what the reader does next. Changes nothing.
    pub(crate) fn read_operation(&self) -> ReadOperation {
        if self.reading == Reading::Head && !self.backpressured && !self.has_read_enough() {
            return ReadOperation::Read;
        }
        self.read_operation_slow()
    }

    #[inline(never)]
    fn read_operation_slow(&self) -> ReadOperation {
        match self.reading {
            Reading::Closed => ReadOperation::Close,
            Reading::Upgraded if self.is_upgraded() => ReadOperation::Close,
            Reading::Head | Reading::LastHead | Reading::Body if self.backpressured => ReadOperation::Yield,
            _ if self.may_read() => ReadOperation::Read,
            _ => ReadOperation::Yield,
        }
    }

    /// Returns whether nothing stops the reader.
    #[inline]
    pub(crate) fn may_read(&self) -> bool {
        match self.reading {
            Reading::Head | Reading::LastHead | Reading::Body => !self.is_paused(),
            Reading::Discard { left, .. } => left > 0,
            Reading::Upgraded => self.is_upgraded(),
            Reading::Closed => true,
        }
    }

    /// Returns whether enough has been read ahead, or what follows may be another protocol.
    pub(crate) fn is_paused(&self) -> bool {
        match self.reading {
            Reading::Head | Reading::LastHead => self.has_read_enough(),
            Reading::Body => {
                let incoming = self.exchanges.last().and_then(|(last, _)| last.body.as_ref());
                let wanted = incoming.is_some_and(|incoming| !incoming.is_dropped());
                wanted && self.read_ahead >= self.config.limits.window_bytes
            }
            _ => false,
        }
    }

    /// Returns whether no further head may be read for now.
    #[inline]
    fn has_read_enough(&self) -> bool {
        let limits = &self.config.limits;
        self.exchanges.len() >= limits.max_pipeline
            || self.read_ahead >= limits.window_bytes
            || self.exchanges.last_may_upgrade()
    }

    /// Returns whether the reader may look for the end of input behind the offer of a switch.
    pub(crate) fn may_read_ahead(&self) -> bool {
        self.reading.is_head() && self.exchanges.last_may_upgrade()
    }

    /// Consumes bytes, and returns how many.
    #[inline]
    pub(crate) fn read(&mut self, bytes: &[u8], now: Instant) -> usize {
        self.read_input(Input::new(bytes), now)
    }

    /// Consumes bytes that can be kept without a copy, and returns how many.
    pub(crate) fn read_bytes(&mut self, bytes: &Bytes, now: Instant) -> usize {
        self.read_input(Input::whole(bytes), now)
    }

    #[inline]
    fn read_input(&mut self, input: Input<'_>, now: Instant) -> usize {
        self.timers.enter(now);
        let consumed = self.consume(input);
        self.finish_call();
        consumed
    }

    /// Consumes the last bytes, and returns how many.
    pub(crate) fn read_eof(&mut self, bytes: &[u8], now: Instant) -> usize {
        self.timers.enter(now);
        let consumed = self.consume(Input::new(bytes));
        // A leftover that waits for room may hold whole requests: it is presented again when there is room.
        if consumed == bytes.len() || !self.is_paused() {
            self.input_ended(bytes.len() - consumed);
        }
        self.finish_call();
        consumed
    }

    fn consume(&mut self, mut input: Input<'_>) -> usize {
        while if self.reading.is_head() {
            self.read_heads(&mut input)
        } else {
            cold_path();
            self.consume_slow(&mut input)
        } {}
        let left = !input.rest().is_empty();
        self.backpressured = left && self.is_paused();
        self.partial_head = left && !self.backpressured && self.reading.is_head();
        input.consumed
    }

    /// Consumes what is not a head; returns whether to continue behind it.
    #[inline(never)]
    fn consume_slow(&mut self, input: &mut Input<'_>) -> bool {
        match self.reading {
            Reading::Body => return self.read_body(input),
            Reading::Discard { left, seen } => {
                let here = input.rest().len();
                self.note_crossing(here > 0);
                input.skip(here);
                self.move_reading(Reading::Discard {
                    left: left.saturating_sub(here),
                    seen: seen || here > 0,
                });
            }
            Reading::Closed => input.skip(input.rest().len()),
            Reading::Head | Reading::LastHead | Reading::Upgraded => {}
        }
        false
    }

    /// Reads heads while heads are expected; returns whether something else is expected.
    #[inline]
    fn read_heads(&mut self, input: &mut Input<'_>) -> bool {
        while !input.rest().is_empty() && !self.has_read_enough() {
            let cached = match self.scan.is_fresh() {
                true => request_heads::lookup(input.rest(), &self.config),
                false => Lookup::Missing,
            };
            match cached {
                Lookup::Simple(head) => {
                    let bytes = head.bytes().len();
                    self.accept(head, Framing::SIMPLE, bytes, input);
                }
                Lookup::Framed(head, framing) => {
                    let bytes = head.bytes().len();
                    self.accept_slow(head, framing, bytes, input);
                }
                Lookup::Missing if self.read_head(input) => {}
                Lookup::Missing => return false,
            }
            if !self.reading.is_head() {
                return true;
            }
        }
        false
    }

    /// Reads one head; returns whether it was complete.
    fn read_head(&mut self, input: &mut Input<'_>) -> bool {
        if self.scan.is_fresh()
            && let Some((head, framing)) = request_heads::parse_uncached(input.rest(), &self.config)
        {
            let bytes = head.bytes().len();
            self.accept(head, framing, bytes, input);
            return true;
        }
        self.read_head_slow(input)
    }

    /// Reads a head that arrives in pieces, or that the fast path does not accept.
    #[inline(never)]
    fn read_head_slow(&mut self, input: &mut Input<'_>) -> bool {
        let found = self.scan.find(input.rest(), &self.config.limits);
        let result = match found {
            Ok(ScanResult::Incomplete) => return false,
            Ok(ScanResult::EmptyLine(bytes)) => {
                input.skip(bytes);
                return true;
            }
            Ok(ScanResult::Head { bytes, fields, lines }) => {
                let scheme = self.config.scheme;
                request::parse_slow(&input.rest()[..bytes], fields, lines, scheme)
                    .map(|(head, framing)| (head, framing, bytes))
            }
            Err(error) => Err(error),
        };
        match result {
            Ok((head, framing, bytes)) => self.accept(head, framing, bytes, input),
            Err(error) => self.reject(error, input.rest().starts_with(b"HEAD ")),
        }
        true
    }

    /// Accepts the head that stands in the first `bytes` bytes of the input. A head that was changed may be
    /// longer or shorter.
    #[inline(always)] // perf: keep-alive, 2453 → 2433 instructions
    fn accept(
        &mut self,
        head: Head,
        Framing { length, traits }: Framing,
        bytes: usize,
        input: &mut Input<'_>,
    ) {
        self.timers.head_read();
        if !traits.is_simple || self.config.limits.max_requests.is_some() {
            cold_path();
            return self.accept_slow(head, Framing { length, traits }, bytes, input);
        }
        self.enqueue(PendingRequest { head, body: None, traits }, bytes, input);
    }

    /// Accepts a head that a body follows, or after which the connection may not go on.
    #[inline(never)]
    fn accept_slow(&mut self, head: Head, framing: Framing, bytes: usize, input: &mut Input<'_>) {
        let Framing { length, mut traits } = framing;
        self.timers.head_read();
        let limits = &self.config.limits;
        let incoming = match RequestBody::new(length, limits.max_chunk_extra_bytes, limits.max_body_bytes) {
            Ok(incoming) => incoming,
            Err(error) => return self.reject(error, traits.is_head),
        };
        traits.keep_alive &= limits.max_requests.is_none_or(|max| self.requests + 1 < max);
        traits.is_simple &= traits.keep_alive;
        if incoming.is_some() {
            self.move_reading(Reading::Body);
        }
        if traits.upgrade == UpgradeOffer::Complete {
            let offered: Vec<_> = head.headers().get_all("upgrade").collect();
            self.cold_mut().offered = offered.join(&b","[..]);
        }
        self.enqueue(PendingRequest { head, body: incoming, traits }, bytes, input);
        // What follows the offer of a switch may be another protocol.
        if self.reading.is_head() && !traits.keep_alive && traits.upgrade != UpgradeOffer::Complete {
            self.discard();
        }
    }

    #[inline(always)] // perf: 16 pipelined, 801 → 790 instructions
    fn enqueue(&mut self, request: PendingRequest, bytes: usize, input: &mut Input<'_>) {
        input.skip(bytes);
        self.read_ahead += request.head.bytes().len();
        self.push(request);
    }

    /// Records that the peer has broken the protocol. One that is too slow is counted by its timer.
    fn note_protocol_error(&mut self, error: RequestError) {
        if error != RequestError::TooSlow {
            self.cold_mut().protocol_error = Some(error);
        }
    }

    /// Queues the rejection of bytes that are not a request; nothing behind them is read.
    #[cold]
    pub(crate) fn reject(&mut self, error: RequestError, is_head: bool) {
        self.note_protocol_error(error);
        self.discard();
        let traits = RequestTraits { is_head, minor: 1, ..RequestTraits::default() };
        self.requests += 1;
        self.exchanges.push(self.requests, PendingRequest { traits, ..PendingRequest::default() });
        if self.config.watch.is_on() {
            self.begin_trace();
        }
        self.exchanges.reject_last(error);
        self.advance_if_first();
    }

    /// Queues a request, numbered in the order of arrival.
    #[inline(always)] // perf: keep-alive, 30 instructions less
    fn push(&mut self, request: PendingRequest) {
        self.requests += 1;
        let is_first = self.exchanges.push(self.requests, request);
        if self.config.watch.is_on() {
            cold_path();
            self.begin_trace();
        }
        if is_first {
            self.advance();
        }
    }

    /// Acts on the last request if it is the first: it is new, or has been rejected.
    #[inline]
    fn advance_if_first(&mut self) {
        if self.exchanges.len() == 1 {
            self.advance();
        }
    }

    /// Reads the body of the last request; returns whether to continue behind it.
    #[inline(never)]
    fn read_body(&mut self, input: &mut Input<'_>) -> bool {
        let room = self.config.limits.window_bytes.saturating_sub(self.read_ahead);
        let drain_max = self.config.limits.max_drain_bytes;
        let before = input.consumed;
        let Some(incoming) = self.exchanges.last_body() else { return false };
        let kept = incoming.buffered();
        let result = incoming.receive(input, room);
        self.read_ahead += incoming.buffered() - kept;
        if incoming.dropped() > drain_max {
            self.end();
            return true;
        }
        self.timers.body_read(input.consumed - before);
        match result {
            Err(error) => {
                self.fail_body(error);
                true
            }
            Ok(progress) => {
                if self.exchanges.len() == 1 {
                    self.wake_body();
                }
                if progress == BodyProgress::Complete {
                    self.body_ended();
                }
                progress == BodyProgress::Complete
            }
        }
    }

    fn body_ended(&mut self) {
        let Some((last, answer)) = self.exchanges.last() else { return };
        let (keep_alive, answered) = (last.traits.keep_alive, answer == ResponseState::Complete);
        self.move_reading(if self.last_next { Reading::LastHead } else { Reading::Head });
        if !keep_alive || self.no_more_requests {
            self.discard();
        }
        if answered {
            self.pop();
        }
    }

    /// Records that the body of the last request cannot be read to its end.
    #[cold]
    pub(crate) fn fail_body(&mut self, error: RequestError) {
        self.note_protocol_error(error);
        self.discard();
        let Some((_, answer)) = self.exchanges.last() else { return };
        let id = self.requests;
        match answer {
            ResponseState::Queued => {
                self.read_ahead -= self.exchanges.reject_last(error);
                self.advance_if_first();
            }
            ResponseState::Waiting => self.respond_error_and_close(error),
            ResponseState::Streaming(_) | ResponseState::Complete => {
                if error != RequestError::TooSlow {
                    self.cut(CutReason::Malformed);
                }
                self.end();
            }
        }
        self.cold_mut().body_error = Some((id, error));
        self.wake_body();
    }

    /// Handles the end of input, which came after `partial` bytes of a head.
    fn input_ended(&mut self, partial: usize) {
        match self.reading {
            Reading::Head | Reading::LastHead if partial > 0 => self.reject(RequestError::Truncated, false),
            Reading::Body => self.fail_body(RequestError::Truncated),
            _ => {}
        }
        if self.reading != Reading::Upgraded {
            self.partial_head = false;
            self.move_reading(Reading::Closed);
        }
        if self.exchanges.is_empty() && self.writing == Writing::Open {
            self.end();
        }
        self.wake_next();
    }
}

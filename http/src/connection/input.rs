//! The moves of reading: bytes become requests and bodies.

use std::hint::cold_path;
use std::time::Instant;

use bytes::Bytes;
use riot_flow::ReadOperation;

use super::{
    exchange::{Answer, Asked},
    incoming::{Incoming, Progress},
    state::{Inner, Reading, Writing},
};
use crate::{
    Head, RequestError,
    framing::{BodyLength, Framing, Terms},
    known,
    parse::{self, Found},
};

/// Input up to this size is copied once for all requests in it.
const SHARED_MAX: usize = 16 * 1024;

/// Pieces from this size on are kept where they are, if they can be.
const KEPT_MIN: usize = 8 * 1024;

/// Bytes presented by the reading loop, and how many of them are consumed.
pub(crate) struct Input<'a> {
    bytes: &'a [u8],
    consumed: usize,
    /// The same, to be kept.
    whole: Option<&'a Bytes>,
    /// A copy of the bytes from this place on.
    shared: Option<(usize, Bytes)>,
}

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, consumed: 0, whole: None, shared: None }
    }

    /// Of bytes that need not be copied to be kept.
    fn whole(bytes: &'a Bytes) -> Self {
        Self { whole: Some(bytes), ..Self::new(bytes) }
    }

    /// A piece of so many bytes can be kept where it is.
    pub(crate) fn keeps(&self, bytes: usize) -> bool {
        self.whole.is_some() && bytes >= KEPT_MIN
    }

    /// What is not consumed.
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
        if let Some(whole) = self.whole.filter(|_| bytes >= KEPT_MIN) {
            return whole.slice(from..to);
        }
        if let Some((start, shared)) = &self.shared {
            return shared.slice(from - start..to - start);
        }
        if bytes == rest.len() || rest.len() > SHARED_MAX {
            return Bytes::copy_from_slice(&rest[..bytes]);
        }
        let shared = Bytes::copy_from_slice(rest);
        let taken = shared.slice(..bytes);
        self.shared = Some((from, shared));
        taken
    }
}

impl Inner {
    /// What the reading loop does next. Changes nothing.
    pub(crate) fn read_operation(&self) -> ReadOperation {
        if self.reading == Reading::Head && !self.held_back && !self.is_full() {
            return ReadOperation::Read;
        }
        self.read_otherwise_operation()
    }

    #[inline(never)]
    fn read_otherwise_operation(&self) -> ReadOperation {
        match self.reading {
            Reading::Closed => ReadOperation::Close,
            Reading::Switched if self.is_switched() => ReadOperation::Close,
            Reading::Head | Reading::Body if self.held_back => ReadOperation::Yield,
            _ if self.may_read() => ReadOperation::Read,
            _ => ReadOperation::Yield,
        }
    }

    /// Nothing is in the reading loop's way, were it to ask.
    #[inline]
    pub(crate) fn may_read(&self) -> bool {
        match self.reading {
            Reading::Head | Reading::Body => !self.is_paused(),
            Reading::Discard { left, .. } => left > 0,
            Reading::Switched => self.is_switched(),
            Reading::Closed => true,
        }
    }

    /// Enough has been read ahead (F10, H1), or what follows may be another protocol (F12).
    pub(crate) fn is_paused(&self) -> bool {
        match self.reading {
            Reading::Head => self.is_full(),
            Reading::Body => {
                let incoming = self.exchanges.last().and_then(|(last, _)| last.incoming.as_ref());
                let wanted = incoming.is_some_and(|incoming| !incoming.is_dropped());
                wanted && self.read_ahead >= self.config.limits.window_bytes
            }
            _ => false,
        }
    }

    /// The same where it is a head's turn.
    #[inline]
    fn is_full(&self) -> bool {
        let limits = &self.config.limits;
        self.exchanges.len() >= limits.max_pipeline
            || self.read_ahead >= limits.window_bytes
            || self.exchanges.may_end_in_a_switch()
    }

    /// Takes bytes; says how many were consumed.
    #[inline]
    pub(crate) fn read(&mut self, bytes: &[u8], now: Instant) -> usize {
        self.read_input(Input::new(bytes), now)
    }

    /// Takes bytes that need not be copied.
    pub(crate) fn read_bytes(&mut self, bytes: &Bytes, now: Instant) -> usize {
        self.read_input(Input::whole(bytes), now)
    }

    #[inline]
    fn read_input(&mut self, input: Input<'_>, now: Instant) -> usize {
        self.deadlines.enter(now);
        let consumed = self.consume(input);
        self.leave();
        consumed
    }

    /// The same at the end of input.
    pub(crate) fn read_eof(&mut self, bytes: &[u8], now: Instant) -> usize {
        self.deadlines.enter(now);
        let consumed = self.consume(Input::new(bytes));
        // What waits for room may hold whole requests: it is presented again when there is room.
        if consumed == bytes.len() || !self.is_paused() {
            self.input_ended(bytes.len() - consumed);
        }
        self.leave();
        consumed
    }

    fn consume(&mut self, mut input: Input<'_>) -> usize {
        while if self.reading == Reading::Head {
            self.read_heads(&mut input)
        } else {
            cold_path();
            self.read_otherwise(&mut input)
        } {}
        let left = !input.rest().is_empty();
        self.held_back = left && self.is_paused();
        self.partial_head = left && !self.held_back && self.reading == Reading::Head;
        input.consumed
    }

    /// Reads what is no head; says whether to go on behind it.
    #[inline(never)]
    fn read_otherwise(&mut self, input: &mut Input<'_>) -> bool {
        match self.reading {
            Reading::Body => return self.read_body(input),
            Reading::Discard { left, seen } => {
                let here = input.rest().len();
                input.skip(here);
                self.reading = Reading::Discard { left: left.saturating_sub(here), seen: seen || here > 0 };
            }
            Reading::Closed => input.skip(input.rest().len()),
            Reading::Head | Reading::Switched => {}
        }
        false
    }

    /// Reads heads, as long as it is their turn; says whether it is another's.
    #[inline]
    fn read_heads(&mut self, input: &mut Input<'_>) -> bool {
        while !input.rest().is_empty() && !self.is_full() {
            let known = if self.scan.is_fresh() { known::head(input.rest(), &self.config) } else { None };
            match known {
                Some(head) => self.accept(head, input),
                None if self.read_head(input) => {}
                None => return false,
            }
            if self.reading != Reading::Head {
                return true;
            }
        }
        false
    }

    /// Reads one head; says whether it was all there.
    #[inline(never)]
    fn read_head(&mut self, input: &mut Input<'_>) -> bool {
        if self.scan.is_fresh()
            && let Some(head) = known::other_head(input.rest(), &self.config)
        {
            self.accept(head, input);
            return true;
        }
        self.search_head(input)
    }

    /// The same for a head that comes in pieces, or looks odd.
    #[inline(never)]
    fn search_head(&mut self, input: &mut Input<'_>) -> bool {
        let found = self.scan.find(input.rest(), &self.config.limits);
        let result = match found {
            Ok(Found::Incomplete) => return false,
            Ok(Found::EmptyLine(bytes)) => {
                input.skip(bytes);
                return true;
            }
            Ok(Found::Head { bytes, fields, lines }) => parse::head(&input.rest()[..bytes], fields, lines),
            Err(error) => Err(error),
        };
        match result {
            Ok(head) => self.accept(head, input),
            Err(error) => self.reject(error, input.rest().starts_with(b"HEAD ")),
        }
        true
    }

    /// The next head, which is what the input begins with.
    #[inline(always)]
    fn accept(&mut self, head: Head, input: &mut Input<'_>) {
        let Framing { length, terms } = head.framing();
        self.deadlines.head_read();
        if !terms.plain || self.config.limits.max_requests.is_some() {
            cold_path();
            return self.accept_by_rules(head, length, terms, input);
        }
        self.enqueue(Asked { head, incoming: None, terms }, input);
    }

    /// The same if a body follows, or the connection may not go on.
    #[inline(never)]
    fn accept_by_rules(&mut self, head: Head, length: BodyLength, mut terms: Terms, input: &mut Input<'_>) {
        let limits = &self.config.limits;
        let incoming = match Incoming::new(length, limits.max_chunk_extra_bytes, limits.max_body_bytes) {
            Ok(incoming) => incoming,
            Err(error) => return self.reject(error, terms.is_head),
        };
        terms.keep_alive &= limits.max_requests.is_none_or(|max| self.requests + 1 < max);
        terms.plain &= terms.keep_alive;
        if incoming.is_some() {
            self.reading = Reading::Body;
        }
        self.enqueue(Asked { head, incoming, terms }, input);
        if self.reading == Reading::Head && !terms.keep_alive {
            self.discard();
        }
    }

    #[inline(always)]
    fn enqueue(&mut self, asked: Asked, input: &mut Input<'_>) {
        let bytes = asked.head.bytes().len();
        input.skip(bytes);
        self.read_ahead += bytes;
        self.push(asked);
    }

    /// Queues the refusal of what is no request; nothing behind it is read.
    #[cold]
    pub(crate) fn reject(&mut self, error: RequestError, is_head: bool) {
        self.discard();
        let terms = Terms { is_head, minor: 1, ..Terms::default() };
        self.requests += 1;
        self.exchanges.push(self.requests, Asked { terms, ..Asked::default() });
        self.exchanges.refuse_last(error);
        self.last_changed();
    }

    /// There is one request more, numbered as they are counted.
    #[inline]
    fn push(&mut self, asked: Asked) {
        self.requests += 1;
        if self.exchanges.push(self.requests, asked) {
            self.advance();
        }
    }

    /// The last request is new, or has become one that the connection answers itself.
    #[inline]
    fn last_changed(&mut self) {
        if self.exchanges.len() == 1 {
            self.advance();
        }
    }

    /// Reads the body of the last request; says whether to go on behind it.
    #[inline(never)]
    fn read_body(&mut self, input: &mut Input<'_>) -> bool {
        let room = self.config.limits.window_bytes.saturating_sub(self.read_ahead);
        let drain_max = self.config.limits.max_drain_bytes;
        let before = input.consumed;
        let Some(incoming) = self.exchanges.last_incoming() else { return false };
        let kept = incoming.buffered();
        let result = incoming.receive(input, room);
        self.read_ahead += incoming.buffered() - kept;
        if incoming.dropped() > drain_max {
            self.end();
            return true;
        }
        self.deadlines.body_read(input.consumed - before);
        match result {
            Err(error) => {
                self.fail_body(error);
                true
            }
            Ok(progress) => {
                if self.exchanges.len() == 1 {
                    self.wake_body();
                }
                if progress == Progress::Complete {
                    self.body_ended();
                }
                progress == Progress::Complete
            }
        }
    }

    fn body_ended(&mut self) {
        let Some((last, answer)) = self.exchanges.last() else { return };
        let (keep_alive, answered) = (last.terms.keep_alive, answer == Answer::Complete);
        self.reading = Reading::Head;
        if !keep_alive || self.heads_over {
            self.discard();
        }
        if answered {
            self.pop();
        }
    }

    /// The body of the last request cannot be read to its end.
    #[cold]
    pub(crate) fn fail_body(&mut self, error: RequestError) {
        self.discard();
        let Some((_, answer)) = self.exchanges.last() else { return };
        let id = self.requests;
        match answer {
            Answer::Queued => {
                self.read_ahead -= self.exchanges.refuse_last(error);
                self.last_changed();
            }
            Answer::Waiting => self.refuse(error),
            Answer::Streaming(_) | Answer::Complete => self.end(),
        }
        self.rare().failure = Some((id, error));
        self.wake_body();
    }

    /// The input ended with so many bytes of a head.
    fn input_ended(&mut self, partial: usize) {
        match self.reading {
            Reading::Head if partial > 0 => self.reject(RequestError::Truncated, false),
            Reading::Body => self.fail_body(RequestError::Truncated),
            _ => {}
        }
        if self.reading != Reading::Switched {
            self.partial_head = false;
            self.reading = Reading::Closed;
        }
        if self.exchanges.is_empty() && self.writing == Writing::Open {
            self.end();
        }
        self.wake_next();
    }
}

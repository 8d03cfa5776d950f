//! The body of a request on its way in: what arrived and was not taken, and where it ends.

use std::{
    collections::VecDeque,
    task::{Poll, Waker},
};

use bytes::{Bytes, BytesMut};

use super::{
    codec::{
        chunked::{ChunkStep, Decoder},
        framing::BodyLength,
    },
    queue::ResponseState,
    read::Input,
    state::State,
    waits::replace,
};
use crate::{BodyError, Headers, RequestError};

/// The smallest piece that is kept by itself, in bytes; 1 KiB. Smaller ones are copied together, so that a
/// body in tiny chunks costs little more than its bytes.
const MIN_PIECE_BYTES: usize = 1024;

#[derive(Debug)]
pub(crate) struct RequestBody {
    decoder: BodyDecoder,
    /// Pieces not taken, oldest first; then `tail`, where small pieces are collected.
    pieces: VecDeque<Bytes>,
    tail: BytesMut,
    /// Invariant: the bytes in `pieces` and `tail`.
    buffered: usize,
    received: u64,
    max: Option<u64>,
    complete: bool,
    /// Set when no handler wants the body any more; counts the bytes dropped.
    dropped: Option<u64>,
    trailers: Option<Headers>,
}

#[derive(Debug)]
enum BodyDecoder {
    Fixed(u64),
    Chunked(Decoder),
}

/// The progress of receiving a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyProgress {
    /// More bytes are needed, or room for them.
    Waiting,
    Complete,
}

impl RequestBody {
    /// Creates the state for a body of this length; returns none if there is no body.
    pub(crate) fn new(
        length: BodyLength,
        extra_max: usize,
        max: Option<u64>,
    ) -> Result<Option<Box<Self>>, RequestError> {
        let decoder = match length {
            BodyLength::Fixed(0) => return Ok(None),
            BodyLength::Fixed(bytes) if max.is_some_and(|max| bytes > max) => {
                return Err(RequestError::BodyTooLarge);
            }
            BodyLength::Fixed(bytes) => BodyDecoder::Fixed(bytes),
            BodyLength::Chunked => BodyDecoder::Chunked(Decoder::new(extra_max)),
        };
        let (pieces, tail) = (VecDeque::new(), BytesMut::new());
        let (buffered, received, complete, dropped, trailers) = (0, 0, false, None, None);
        Ok(Some(Box::new(Self {
            decoder,
            pieces,
            tail,
            buffered,
            received,
            max,
            complete,
            dropped,
            trailers,
        })))
    }

    pub(crate) fn buffered(&self) -> usize {
        self.buffered
    }

    /// Returns the bytes received, without those of the chunked coding.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.complete
    }

    pub(crate) fn is_dropped(&self) -> bool {
        self.dropped.is_some()
    }

    /// Returns the bytes dropped.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.unwrap_or(0)
    }

    /// Returns the bytes known to be missing.
    pub(crate) fn missing(&self) -> u64 {
        match self.decoder {
            BodyDecoder::Fixed(left) => left,
            BodyDecoder::Chunked(_) => 0,
        }
    }

    /// Receives from `input`. Keeps at most `room` bytes more, except for a piece that needs no copy.
    pub(crate) fn receive(
        &mut self,
        input: &mut Input<'_>,
        mut room: usize,
    ) -> Result<BodyProgress, RequestError> {
        loop {
            let here = match &mut self.decoder {
                BodyDecoder::Fixed(0) => return Ok(self.finish()),
                BodyDecoder::Fixed(left) => {
                    usize::try_from(*left).unwrap_or(usize::MAX).min(input.rest().len())
                }
                BodyDecoder::Chunked(decoder) => {
                    let (used, step) = decoder.step(input.rest())?;
                    input.skip(used);
                    match step {
                        ChunkStep::More => return Ok(BodyProgress::Waiting),
                        ChunkStep::Data(bytes) => bytes,
                        ChunkStep::End => {
                            self.trailers = decoder.trailers();
                            return Ok(self.finish());
                        }
                    }
                }
            };
            // A piece that needs no copy has room if there is any: it is in memory already.
            let whole = self.is_dropped() || (room > 0 && input.keeps(here));
            let bytes = if whole { here } else { here.min(room) };
            if bytes == 0 {
                return Ok(BodyProgress::Waiting);
            }
            self.received += bytes as u64;
            if self.max.is_some_and(|max| self.received > max) {
                return Err(RequestError::BodyTooLarge);
            }
            match &mut self.decoder {
                BodyDecoder::Fixed(left) => *left -= bytes as u64,
                BodyDecoder::Chunked(decoder) => decoder.take(bytes),
            }
            match &mut self.dropped {
                Some(dropped) => {
                    *dropped += bytes as u64;
                    input.skip(bytes);
                }
                None => {
                    room = room.saturating_sub(bytes);
                    self.keep(input, bytes);
                }
            }
        }
    }

    /// Takes the oldest piece.
    pub(crate) fn pop(&mut self) -> Option<Bytes> {
        let piece = match self.pieces.pop_front() {
            Some(piece) => piece,
            None if self.tail.is_empty() => return None,
            None => self.tail.split().freeze(),
        };
        self.buffered -= piece.len();
        Some(piece)
    }

    /// Drops what was received and what will be: no handler wants it any more.
    pub(crate) fn discard_rest(&mut self) {
        self.dropped = Some(self.buffered as u64);
        self.pieces = VecDeque::new();
        self.tail = BytesMut::new();
        self.buffered = 0;
    }

    pub(crate) fn trailers(&self) -> Option<&Headers> {
        self.trailers.as_ref()
    }

    fn keep(&mut self, input: &mut Input<'_>, bytes: usize) {
        if bytes < MIN_PIECE_BYTES {
            self.tail.extend_from_slice(&input.rest()[..bytes]);
            input.skip(bytes);
        } else {
            if !self.tail.is_empty() {
                self.pieces.push_back(self.tail.split().freeze());
            }
            self.pieces.push_back(input.take(bytes));
        }
        self.buffered += bytes;
    }

    fn finish(&mut self) -> BodyProgress {
        self.complete = true;
        BodyProgress::Complete
    }
}

/// The outcome of reading a body.
#[derive(Debug)]
pub(crate) enum Chunk {
    Data(Bytes),
    /// The end, with the trailer fields if there were any.
    End(Option<Headers>),
}

impl State {
    /// Takes the oldest piece of the body of the request under way.
    pub(crate) fn poll_chunk(
        &mut self,
        id: u64,
        waker: &mut Option<Waker>,
    ) -> Poll<Result<Chunk, BodyError>> {
        if let Some((failed, error)) = self.cold.as_ref().and_then(|cold| cold.body_error)
            && failed == id
        {
            return Poll::Ready(Err(BodyError::Request(error)));
        }
        self.invite_body(id);
        let Some(exchange) = self.active(id).filter(|exchange| exchange.response != ResponseState::Complete)
        else {
            return Poll::Ready(Err(BodyError::Closed));
        };
        let Some(body) = exchange.request.body.as_mut() else { return Poll::Ready(Ok(Chunk::End(None))) };
        if let Some(piece) = body.pop() {
            self.read_ahead -= piece.len();
            self.finish_call();
            return Poll::Ready(Ok(Chunk::Data(piece)));
        }
        if body.is_complete() {
            return Poll::Ready(Ok(Chunk::End(body.trailers().cloned())));
        }
        replace(&mut self.cold_mut().body, waker);
        self.finish_call();
        Poll::Pending
    }
}

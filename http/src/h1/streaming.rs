//! The moves of a response whose body is written in pieces.

use std::task::{Poll, Waker};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};

use super::{
    codec::{
        chunked,
        response::{self, LengthLine},
    },
    failure::Failure,
    queue::{BodyRemaining, ResponseState},
    respond::{ResponseFields, declared, write_bytes},
    state::State,
};
use crate::{RespondError, WriteError, message::ResponseHead};

impl State {
    /// Begins a response whose body is written in pieces.
    pub(crate) fn respond_streaming(
        &mut self,
        id: u64,
        head: &ResponseHead<'_>,
    ) -> Result<BodyRemaining, RespondError> {
        let (line, left, close) = self.frame_streaming(id, head).map_err(|error| self.refuse(id, error))?;
        let close = self.write_head(head, line, close);
        let exchange = self.exchanges.active_mut();
        exchange.move_response(ResponseState::Streaming(left));
        exchange.request.traits.keep_alive &= !close;
        if head.is_event_stream() {
            self.cold_mut().event_stream = Some(id);
            self.limit_event_stream();
        }
        self.finish_call();
        Ok(left)
    }

    /// Returns how the head of a response frames a body that is written in pieces, what may be written, and
    /// whether the response is the last.
    fn frame_streaming(
        &mut self,
        id: u64,
        head: &ResponseHead<'_>,
    ) -> Result<(LengthLine, BodyRemaining, bool), RespondError> {
        let status = head.status;
        let exchange = self.unanswered(id, status)?;
        let ResponseFields { length, mut close } = declared(head)?;
        let (line, left) = match length {
            _ if status == StatusCode::NO_CONTENT => (LengthLine::None, BodyRemaining::Nothing),
            _ if status == StatusCode::RESET_CONTENT => (LengthLine::Length(0), BodyRemaining::Nothing),
            length if exchange.request.traits.is_head || status == StatusCode::NOT_MODIFIED => {
                (length.map_or(LengthLine::None, LengthLine::Length), BodyRemaining::Nothing)
            }
            Some(length) => (LengthLine::Length(length), BodyRemaining::Bytes(length)),
            None if exchange.request.traits.minor > 0 => (LengthLine::Chunked, BodyRemaining::Chunks),
            None => {
                close = true;
                (LengthLine::None, BodyRemaining::UntilClose)
            }
        };
        Ok((line, left, close))
    }

    /// Writes a piece of the body.
    ///
    /// Bytes that are not queued stay with the caller, see [`write_bytes`].
    pub(crate) fn write(&mut self, id: u64, data: &mut Bytes) -> Result<(), WriteError> {
        let exchange = self.active(id).ok_or(WriteError::Closed)?;
        let ResponseState::Streaming(left) = &mut exchange.response else { return Err(WriteError::Closed) };
        match left {
            BodyRemaining::Nothing => {}
            BodyRemaining::Bytes(left) if data.len() as u64 > *left => {
                self.note_failure(id, Failure::Write(WriteError::TooLong));
                return Err(WriteError::TooLong);
            }
            BodyRemaining::Bytes(left) => {
                *left -= data.len() as u64;
                self.trace_body(data.len() as u64);
                self.emit(|output| write_bytes(output, data));
            }
            BodyRemaining::Chunks => {
                self.trace_body(data.len() as u64);
                self.emit(|output| chunked::write_chunk(output, data));
            }
            BodyRemaining::UntilClose => {
                self.trace_body(data.len() as u64);
                self.emit(|output| write_bytes(output, data));
            }
        }
        Ok(())
    }

    /// Ends the body. A body shorter than declared is cut off together with the connection.
    pub(crate) fn finish(
        &mut self,
        id: u64,
        trailers: &[(HeaderName, HeaderValue)],
    ) -> Result<(), WriteError> {
        let exchange = self.active(id).ok_or(WriteError::Closed)?;
        let ResponseState::Streaming(left) = exchange.response else { return Err(WriteError::Closed) };
        let close = !exchange.request.traits.keep_alive;
        match left {
            BodyRemaining::Bytes(1..) => {
                self.fail(id, Failure::Write(WriteError::TooShort));
                self.end();
                self.finish_call();
                return Err(WriteError::TooShort);
            }
            BodyRemaining::Chunks if trailers.is_empty() => {
                self.emit(chunked::write_end);
                self.finish_response(close);
            }
            BodyRemaining::Chunks => {
                self.emit(|output| response::trailers(output, trailers.iter()));
                self.finish_response(close);
            }
            _ => self.finish_response(close),
        }
        self.finish_call();
        Ok(())
    }

    /// Lets the body that is being written outlast a drain up to its deadline, although it is a stream of
    /// events.
    pub(crate) fn keep_on_drain(&mut self, id: u64) {
        if let Some(cold) = &mut self.cold {
            cold.event_stream.take_if(|stream| *stream == id);
        }
    }

    /// Returns whether a stream of events is being written that a drain ends.
    pub(super) fn has_event_stream(&self) -> bool {
        let stream = self.cold.as_ref().and_then(|cold| cold.event_stream);
        self.exchanges.front().is_some_and(|front| {
            Some(front.id) == stream && matches!(front.response, ResponseState::Streaming(_))
        })
    }

    /// Ends the stream of events that is being written. Its client connects again by itself.
    pub(super) fn end_event_stream(&mut self) {
        if !self.has_event_stream() {
            return;
        }
        match self.exchanges.active_mut().response {
            ResponseState::Streaming(BodyRemaining::Chunks) => self.emit(chunked::write_end),
            ResponseState::Streaming(BodyRemaining::Bytes(1..)) => return,
            _ => {}
        }
        self.finish_response(true);
    }

    /// Ready below the high-water mark, or when waiting is pointless.
    pub(crate) fn poll_room(&mut self, id: u64, waker: &mut Option<Waker>) -> Poll<()> {
        let high = self.config.limits.output_high_water_bytes as u64;
        if self.has_room() || self.active(id).is_none() {
            return Poll::Ready(());
        }
        // Wake at half the mark, so that there is room for more than one byte.
        let target = self.bytes_queued - high / 2;
        self.register_flush(target, waker);
        Poll::Pending
    }
}

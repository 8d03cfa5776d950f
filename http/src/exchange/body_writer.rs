//! The body of a response, written in pieces.

use std::{
    fmt,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

use super::handle::ExchangeHandle;
use crate::{WriteError, h1::FlushState};

/// The body of a response, written in pieces.
///
/// Dropped without [`close`](Self::close), the body is cut off, and the peer can tell that it is incomplete.
///
/// ```
/// use riot_http::{Reqd, Response, WriteError};
///
/// async fn count(reqd: Reqd) -> Result<(), WriteError> {
///     let Ok(mut body) = reqd.respond_with_streaming(Response::ok()) else { return Ok(()) };
///     for number in 0..1_000 {
///         body.write(format!("{number}\n")).await?;
///     }
///     body.close()
/// }
/// # let _ = count;
/// ```
pub struct BodyWriter {
    handle: ExchangeHandle,
    closed: bool,
}

impl BodyWriter {
    pub(super) fn new(handle: ExchangeHandle) -> Self {
        Self { handle, closed: false }
    }

    /// Writes a piece, once fewer bytes than the high-water mark wait to be sent
    /// ([`Limits::output_high_water_bytes`](crate::Limits::output_high_water_bytes)).
    ///
    /// # Errors
    /// If the client is gone, or the piece is longer than was declared; see [`WriteError`].
    ///
    /// # Cancel safety
    /// If the future is dropped before it is ready, nothing has been written.
    pub async fn write(&mut self, piece: impl Into<Bytes>) -> Result<(), WriteError> {
        let piece = piece.into();
        std::future::poll_fn(|context| self.poll_ready(context)).await;
        self.handle.write(piece)
    }

    /// Ready when a piece may be written below the high-water mark, or will be refused.
    pub fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.handle.poll_ready(context)
    }

    /// Lets a stream of events go on when the server drains; see
    /// [`EventWriter::keep_on_drain`](crate::EventWriter::keep_on_drain). Other bodies always go on.
    pub fn keep_on_drain(&self) {
        self.handle.keep_on_drain();
    }

    /// Waits until everything written so far has been sent.
    ///
    /// # Cancel safety
    /// It may be dropped at any time.
    pub async fn flush(&mut self) -> Flushed {
        let position = self.handle.written_position();
        match std::future::poll_fn(|context| self.handle.poll_flush(position, context)).await {
            FlushState::Sent => Flushed::Written,
            FlushState::Lost => Flushed::Closed,
        }
    }

    /// Ends the body.
    ///
    /// # Errors
    /// If the client is gone, or the body is shorter than was declared.
    pub fn close(self) -> Result<(), WriteError> {
        self.close_with_trailers(&[])
    }

    /// Ends the body with trailer fields (RFC 9112 §7.1.2). They are sent only after a chunked body.
    ///
    /// # Errors
    /// As [`close`](Self::close).
    pub fn close_with_trailers(mut self, trailers: &[(HeaderName, HeaderValue)]) -> Result<(), WriteError> {
        self.closed = true;
        self.handle.finish(trailers)
    }
}

impl Drop for BodyWriter {
    fn drop(&mut self) {
        if !self.closed {
            self.handle.abort();
        }
    }
}

impl fmt::Debug for BodyWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyWriter").finish_non_exhaustive()
    }
}

/// The outcome of waiting for bytes to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flushed {
    /// The bytes have been sent.
    Written,
    /// The bytes will never be sent.
    Closed,
}

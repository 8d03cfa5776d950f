//! Bodies: the one of a request, to be read, and the one of a response, to be written.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue};

use crate::{
    BodyError, Headers, WriteError,
    connection::{
        exchange::Answer,
        state::{Shared, register},
    },
};

/// The body of a request.
///
/// What is not taken stays at the peer: at most [`Limits::window_bytes`](crate::Limits::window_bytes) are kept here.
/// A peer that waits for `100 Continue` gets it when the body is first asked for (RFC 9110 §10.1.1).
pub struct Body(
    /// None: there is no body. Most requests have none, and are handed about.
    Option<Box<Unread>>,
);

struct Unread {
    shared: Arc<Shared>,
    id: u64,
    trailers: Option<Headers>,
    /// Its last frame has been given out.
    ended: bool,
}

impl Body {
    /// That of a request which has none.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    #[inline(never)]
    pub(crate) fn of(shared: Arc<Shared>, id: u64) -> Self {
        Self(Some(Box::new(Unread { shared, id, trailers: None, ended: false })))
    }

    /// There is nothing in it, and never was.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The next piece; none at the end.
    ///
    /// # Errors
    /// If the body cannot be read to its end; see [`BodyError`].
    ///
    /// # Cancel safety
    /// Dropped before it is ready, it has taken nothing.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, BodyError> {
        std::future::poll_fn(|context| self.poll_chunk(context)).await
    }

    /// As [`chunk`](Self::chunk).
    pub fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        let Some(unread) = &mut self.0 else { return Poll::Ready(Ok(None)) };
        let id = unread.id;
        let mut inner = unread.shared.lock();
        if let Some((failed, error)) = inner.rare.as_ref().and_then(|rare| rare.failure)
            && failed == id
        {
            return Poll::Ready(Err(BodyError::Request(error)));
        }
        inner.invite_body(id);
        let Some(exchange) = inner.active(id).filter(|exchange| exchange.answer != Answer::Complete) else {
            return Poll::Ready(Err(BodyError::Closed));
        };
        let Some(incoming) = exchange.asked.incoming.as_mut() else { return Poll::Ready(Ok(None)) };
        if let Some(piece) = incoming.pop() {
            inner.read_ahead -= piece.len();
            inner.leave();
            return Poll::Ready(Ok(Some(piece)));
        }
        if incoming.is_complete() {
            unread.trailers = incoming.trailers().cloned();
            return Poll::Ready(Ok(None));
        }
        register(&mut inner.rare().body, context.waker());
        inner.leave();
        Poll::Pending
    }

    /// All of it, if it is no larger than `limit` bytes.
    ///
    /// # Errors
    /// If it is larger, or cannot be read to its end; see [`BodyError`].
    pub async fn bytes(&mut self, limit: usize) -> Result<Bytes, BodyError> {
        let Some(first) = self.chunk().await? else { return Ok(Bytes::new()) };
        if first.len() > limit {
            return Err(BodyError::TooLarge(limit));
        }
        let Some(second) = self.chunk().await? else { return Ok(first) };
        let mut all = BytesMut::from(first);
        let mut next = Some(second);
        while let Some(piece) = next {
            if piece.len() > limit - all.len() {
                return Err(BodyError::TooLarge(limit));
            }
            all.extend_from_slice(&piece);
            next = self.chunk().await?;
        }
        Ok(all.freeze())
    }

    /// All of it as JSON, if it is no larger than `limit` bytes.
    ///
    /// # Errors
    /// If it cannot be read, or is not the JSON of a `T`.
    #[cfg(feature = "json")]
    pub async fn json<T: serde::de::DeserializeOwned>(
        &mut self,
        limit: usize,
    ) -> Result<T, crate::JsonError> {
        Ok(serde_json::from_slice(&self.bytes(limit).await?)?)
    }

    /// The fields behind a chunked body (RFC 9112 §7.1.2), once [`chunk`](Self::chunk) has said that it is at its
    /// end. They are never merged into those of the head.
    #[must_use]
    pub fn trailers(&self) -> Option<&Headers> {
        self.0.as_ref()?.trailers.as_ref()
    }
}

/// For whatever reads bodies of this kind. Its trailers are the last frame.
impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if this.is_end_stream() {
            return Poll::Ready(None);
        }
        let Poll::Ready(piece) = this.poll_chunk(context) else { return Poll::Pending };
        if let Some(unread) = &mut this.0 {
            unread.ended = !matches!(piece, Ok(Some(_)));
        }
        Poll::Ready(match piece {
            Ok(Some(piece)) => Some(Ok(http_body::Frame::data(piece))),
            Ok(None) => this.trailers().map(|trailers| Ok(http_body::Frame::trailers(trailers.to_map()))),
            Err(error) => Some(Err(error)),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|unread| unread.ended)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("is_empty", &self.is_empty()).finish_non_exhaustive()
    }
}

/// The body of a response, written bit by bit.
///
/// Dropped without [`close`](Self::close) it is cut off, and the peer can tell that it is.
pub struct BodyWriter {
    shared: Arc<Shared>,
    id: u64,
    closed: bool,
}

impl BodyWriter {
    pub(crate) fn new(shared: Arc<Shared>, id: u64) -> Self {
        Self { shared, id, closed: false }
    }

    /// Writes a piece, once what waits to be sent is below the mark
    /// ([`Limits::output_high_water_bytes`](crate::Limits::output_high_water_bytes)).
    ///
    /// # Errors
    /// If nobody takes it any more, or it is more than was declared; see [`WriteError`].
    ///
    /// # Cancel safety
    /// Dropped before it is ready, it has written nothing.
    pub async fn write(&mut self, piece: impl Into<Bytes>) -> Result<(), WriteError> {
        let piece = piece.into();
        std::future::poll_fn(|context| self.poll_ready(context)).await;
        self.shared.lock().write(self.id, piece)
    }

    /// Ready when a piece may be written without piling up, or will be refused.
    pub fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.shared.lock().poll_room(self.id, context)
    }

    /// Waits until everything written so far has left (F14).
    pub async fn flush(&mut self) -> Flushed {
        let target = self.shared.lock().queued;
        std::future::poll_fn(|context| {
            let mut inner = self.shared.lock();
            if inner.left < target {
                inner.rare().flush = Some((target, context.waker().clone()));
                return Poll::Pending;
            }
            let lost = inner.lost_at.is_some_and(|lost_at| lost_at < target);
            Poll::Ready(if lost { Flushed::Closed } else { Flushed::Written })
        })
        .await
    }

    /// Ends the body.
    ///
    /// # Errors
    /// If nobody takes it any more, or it is shorter than was declared.
    pub fn close(self) -> Result<(), WriteError> {
        self.close_with_trailers(&[])
    }

    /// Ends the body with these fields behind it (RFC 9112 §7.1.2). They are only sent behind a chunked body.
    ///
    /// # Errors
    /// As [`close`](Self::close).
    pub fn close_with_trailers(mut self, trailers: &[(HeaderName, HeaderValue)]) -> Result<(), WriteError> {
        self.closed = true;
        self.shared.lock().finish(self.id, trailers)
    }
}

impl Drop for BodyWriter {
    fn drop(&mut self) {
        if !self.closed {
            self.shared.lock().abort(self.id);
        }
    }
}

impl fmt::Debug for BodyWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyWriter").finish_non_exhaustive()
    }
}

/// What became of bytes that were waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flushed {
    /// They have left.
    Written,
    /// They never will.
    Closed,
}

//! The body of a request.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};

use super::handle::ExchangeHandle;
use crate::{BodyError, Headers, h1::Chunk};

/// The body of a request.
///
/// Data that is not taken stays at the peer: at most [`Limits::window_bytes`](crate::Limits::window_bytes)
/// are buffered. A peer that waits for `100 Continue` gets it when the body is first read (RFC 9110 §10.1.1).
///
/// ```
/// use riot_http::{Request, Response};
///
/// async fn length(mut request: Request) -> Response {
///     match request.body().bytes(64 * 1024).await {
///         Ok(bytes) => Response::text(bytes.len().to_string()),
///         Err(error) => Response::text(error.to_string()).status(riot_http::http::StatusCode::BAD_REQUEST),
///     }
/// }
/// # let _ = length;
/// ```
pub struct Body(
    /// Boxed, and none without a body: most requests have none, and pass through several hands.
    Option<Box<BodyReader>>,
);

struct BodyReader {
    handle: ExchangeHandle,
    trailers: Option<Headers>,
    /// The last frame has been returned.
    ended: bool,
}

impl Body {
    /// Creates the body of a request that has none.
    pub(super) fn none() -> Self {
        Self(None)
    }

    #[inline(never)]
    pub(super) fn new(handle: ExchangeHandle) -> Self {
        Self(Some(Box::new(BodyReader { handle, trailers: None, ended: false })))
    }

    /// Returns whether the request has no body.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Returns the next piece, or none at the end.
    ///
    /// # Errors
    /// If the body cannot be read to its end; see [`BodyError`].
    ///
    /// # Cancel safety
    /// If the future is dropped before it is ready, nothing has been taken.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, BodyError> {
        std::future::poll_fn(|context| self.poll_chunk(context)).await
    }

    /// Polls for the next piece; see [`chunk`](Self::chunk).
    pub fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        let Some(reader) = &mut self.0 else { return Poll::Ready(Ok(None)) };
        reader.handle.poll_chunk(cx).map_ok(|chunk| match chunk {
            Chunk::Data(piece) => Some(piece),
            Chunk::End(trailers) => {
                reader.trailers = trailers;
                None
            }
        })
    }

    /// Returns the whole body, if it is no larger than `limit` bytes.
    ///
    /// # Errors
    /// If the body is larger, or cannot be read to its end; see [`BodyError`].
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

    /// Parses the whole body as JSON, if it is no larger than `limit` bytes.
    ///
    /// # Errors
    /// If the body cannot be read, or is not the JSON of a `T`.
    #[cfg(feature = "json")]
    pub async fn json<T: serde::de::DeserializeOwned>(
        &mut self,
        limit: usize,
    ) -> Result<T, crate::JsonError> {
        Ok(serde_json::from_slice(&self.bytes(limit).await?)?)
    }

    /// Returns the trailer fields of a chunked body (RFC 9112 §7.1.2), once [`chunk`](Self::chunk) has
    /// returned the end. They are never merged into those of the head.
    #[must_use]
    pub fn trailers(&self) -> Option<&Headers> {
        self.0.as_ref()?.trailers.as_ref()
    }
}

/// Makes the body readable by other libraries. Trailers are its last frame.
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

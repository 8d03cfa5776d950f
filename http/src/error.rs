//! Errors, and the status each one deserves.

use http::StatusCode;

/// Why the connection itself answers a request, in place of its handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// It is not HTTP, or not in the one way everybody reads alike (RFC 9112 §2.2, §3.2, §5, §6.3, §11).
    #[error("{0}")]
    Malformed(&'static str),
    /// The request line is longer than [`Limits::max_line_bytes`](crate::Limits::max_line_bytes).
    #[error("the request line is too long")]
    LineTooLong,
    /// The head passes one of the bounds in [`Limits`](crate::Limits).
    #[error("the header section is too large")]
    HeadTooLarge,
    /// The body is larger than [`Limits::max_body_bytes`](crate::Limits::max_body_bytes).
    #[error("the body is too large")]
    BodyTooLarge,
    /// Neither HTTP/1.0 nor HTTP/1.1.
    #[error("this version of HTTP is not supported")]
    Version,
    /// An `Expect` other than `100-continue` (RFC 9110 §10.1.1).
    #[error("the expectation cannot be met")]
    Expectation,
    /// A transfer coding other than `chunked` (RFC 9112 §6.1).
    #[error("the transfer coding is not supported")]
    Coding,
    /// The request did not come in time.
    #[error("the request took too long")]
    TooSlow,
    /// The input ended in the middle of it.
    #[error("the request ended too early")]
    Truncated,
    /// The handler did not answer in time.
    #[error("the answer took too long")]
    HandlerTooSlow,
    /// The handler panicked, or ended without an answer.
    #[error("something went wrong here")]
    HandlerFailed,
}

impl RequestError {
    /// The status the peer is told.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(_) | Self::Truncated => StatusCode::BAD_REQUEST,
            Self::LineTooLong => StatusCode::URI_TOO_LONG,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::Expectation => StatusCode::EXPECTATION_FAILED,
            Self::Coding => StatusCode::NOT_IMPLEMENTED,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::HandlerTooSlow => StatusCode::SERVICE_UNAVAILABLE,
            Self::HandlerFailed => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// Why a request's body cannot be read (further).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The peer sent something that is no body, too slowly, or not to its end. It has been told; nothing can be
    /// answered any more unless the answer has begun.
    #[error("the body cannot be read: {0}")]
    Request(#[from] RequestError),
    /// It is larger than the bound asked for. What is left of it has not been read.
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    /// The connection is gone, or the answer is complete and the rest of the body was dropped.
    #[error("the connection has no use for the body any more")]
    Closed,
}

/// Why an answer was not accepted. Nothing of it has been sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RespondError {
    /// This request has its answer already.
    #[error("the request has been answered already")]
    Answered,
    /// The connection is gone, or has answered for itself: the body was malformed, or time was up.
    #[error("the connection has no use for an answer any more")]
    Closed,
    /// `1xx` is no final answer; see [`Reqd::early_hints`](crate::Reqd::early_hints) and
    /// [`Reqd::respond_with_upgrade`](crate::Reqd::respond_with_upgrade).
    #[error("an informational status is no final answer")]
    Informational,
    /// The response declares a `Content-Length` that is no number, or not the length of its body.
    #[error("the declared length is not the length of the body")]
    Length,
    /// The switch was not asked for, its body is unread, or its status is neither 101 nor, for `CONNECT`, 2xx.
    #[error("the protocol cannot be switched here")]
    Upgrade,
}

/// Why a piece of a streamed body was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The connection is gone, or has aborted this answer.
    #[error("the connection takes no more of this body")]
    Closed,
    /// It is more than the `Content-Length` of the response leaves room for. Nothing of it was sent.
    #[error("the body is longer than its declared length")]
    TooLong,
    /// It ended before the `Content-Length` of the response was reached; the connection has been cut off.
    #[error("the body is shorter than its declared length")]
    TooShort,
}

/// Why a transport was not handed over after a switch of protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpgradeError {
    /// The connection was lost before the switch had been sent.
    #[error("the connection was lost before the protocol was switched")]
    Closed,
    /// Whoever drives the connection uses another type of transport.
    #[error("the transport is of another type")]
    Transport,
}

/// A field name or value with octets that have no place in one (RFC 9110 §5.1, §5.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the field has octets that have no place in one")]
pub struct InvalidHeader;

/// Why a body is not the JSON asked for.
#[cfg(feature = "json")]
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// It could not be read.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// It is not JSON, or not of that shape. 400 or 422 says so.
    #[error("the body is not the JSON asked for: {0}")]
    Json(#[from] serde_json::Error),
}

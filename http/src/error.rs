//! The errors of this crate: one type per operation.

use http::StatusCode;

/// The reason for which the connection itself answers a request, in place of its handler.
///
/// ```
/// use riot_http::{RequestError, http::StatusCode};
/// assert_eq!(RequestError::LineTooLong.status(), StatusCode::URI_TOO_LONG);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The bytes are not HTTP, or could be read in two ways (RFC 9112 §2.2, §3.2, §5, §6.3, §11).
    #[error("{0}")]
    Malformed(&'static str),
    /// The request line is longer than [`Limits::max_line_bytes`](crate::Limits::max_line_bytes).
    #[error("the request line is too long")]
    LineTooLong,
    /// The head exceeds one of the bounds in [`Limits`](crate::Limits).
    #[error("the header section is too large")]
    HeadTooLarge,
    /// The body is larger than [`Limits::max_body_bytes`](crate::Limits::max_body_bytes).
    #[error("the body is too large")]
    BodyTooLarge,
    /// The major version is another one than that of HTTP/1.1.
    #[error("this version of HTTP is not supported")]
    Version,
    /// The target is a URI whose scheme is not served here; see
    /// [`HttpConfig::scheme`](crate::HttpConfig::scheme) (RFC 9110 §7.4).
    #[error("the target is not served by this connection")]
    Misdirected,
    /// The request has `Upgrade` without `Connection: upgrade`, and its handler tried to switch and gave no
    /// other response (RFC 9110 §7.8).
    #[error("the request has Upgrade without Connection: upgrade")]
    Upgrade,
    /// The request has an `Expect` other than `100-continue` (RFC 9110 §10.1.1).
    #[error("the expectation cannot be met")]
    Expectation,
    /// The request has a transfer coding other than `chunked` (RFC 9112 §6.1).
    #[error("the transfer coding is not supported")]
    Coding,
    /// The request did not arrive in time; see [`Timeouts`](crate::Timeouts).
    #[error("the request took too long")]
    TooSlow,
    /// The input ended in the middle of the request.
    #[error("the request ended too early")]
    Truncated,
    /// The handler did not respond in time; see
    /// [`Timeouts::handler_timeout`](crate::Timeouts::handler_timeout).
    #[error("the response took too long")]
    HandlerTooSlow,
    /// The handler panicked, or ended without a response.
    #[error("the server failed to answer the request")]
    HandlerFailed,
    /// The server was stopped, and its deadline came before the response.
    #[error("the server was stopped")]
    Stopped,
}

impl RequestError {
    /// Returns the name of the bound that the request exceeds, if it does.
    pub(crate) fn limit(&self) -> Option<&'static str> {
        match self {
            Self::LineTooLong => Some("max_line_bytes"),
            Self::HeadTooLarge => Some("max_head_bytes"),
            Self::BodyTooLarge => Some("max_body_bytes"),
            _ => None,
        }
    }

    /// Returns the status that the client is told.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(_) | Self::Truncated | Self::Upgrade => StatusCode::BAD_REQUEST,
            Self::LineTooLong => StatusCode::URI_TOO_LONG,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::Expectation => StatusCode::EXPECTATION_FAILED,
            Self::Coding => StatusCode::NOT_IMPLEMENTED,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::HandlerTooSlow | Self::Stopped => StatusCode::SERVICE_UNAVAILABLE,
            Self::HandlerFailed => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// The error of a handler: any error, or a text. See [`Handler`](crate::Handler) for what becomes of it.
pub type HandlerError = Box<dyn std::error::Error + Send + Sync>;

/// The error of reading a request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// The client sent a malformed body, sent it too slowly, or did not send all of it. It has been told so,
    /// unless the response had begun; no other response can be given.
    #[error("the request body is invalid or incomplete")]
    Request(#[source] RequestError),
    /// The body is larger than the bound the reader asked for. The rest of it has not been read.
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    /// The connection is gone, or the response is complete and the rest of the body was dropped.
    #[error("the body is no longer available")]
    Closed,
}

/// The error of giving a response. Nothing of the response has been sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RespondError {
    /// The connection is gone, or has responded itself: the body was malformed, or a timer expired. No
    /// response can be given.
    #[error("the connection accepts no response any more")]
    Closed,
    /// A status `1xx` is not a final response; see [`Reqd::early_hints`](crate::Reqd::early_hints) and
    /// [`Reqd::respond_with_upgrade`](crate::Reqd::respond_with_upgrade).
    #[error("an informational status is not a final response")]
    Informational,
    /// The response declares a `Content-Length` that is not a number, or not the length of its body.
    #[error("the declared length is not the length of the body")]
    Length,
    /// The request offers no other protocol (it has no `Upgrade`, or is one of HTTP/1.0, whose `Upgrade` is
    /// ignored), or the status does not fit: a switch is 101 or, to `CONNECT`, 2xx. Answer in HTTP, with 426
    /// if another protocol is needed.
    #[error("the request offers no other protocol, or the status does not switch to one")]
    Upgrade,
    /// The request has `Upgrade` without `Connection: upgrade` (RFC 9110 §7.8). Unless another response is
    /// given, the connection answers with 400.
    #[error("the request has Upgrade without Connection: upgrade")]
    NoUpgradeOption,
    /// The response names a protocol in `Upgrade` that the request does not offer, or none although the
    /// request offers several. Answer in HTTP.
    #[error("the response names no protocol that the request offers")]
    UnofferedProtocol,
    /// The body of the request has to be read to its end before the protocol is switched.
    #[error("the body of the request is unread")]
    UnreadBody,
}

/// The error of writing a piece of a streamed body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The connection is gone, or has aborted this response.
    #[error("the connection accepts no more of this body")]
    Closed,
    /// The piece is longer than the `Content-Length` of the response allows. Nothing of the piece was sent.
    #[error("the body is longer than its declared length")]
    TooLong,
    /// The body ended before its `Content-Length` was reached; the connection has been closed.
    #[error("the body is shorter than its declared length")]
    TooShort,
}

/// The error of taking a transport over after a switch of protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UpgradeError {
    /// The connection was lost before the response had been sent.
    #[error("the connection was lost before the protocol was switched")]
    Closed,
    /// The driver of the connection hands over another type of transport.
    #[error("the transport is of another type")]
    Transport,
}

/// The error of a field name or value that contains an octet not allowed there (RFC 9110 §5.1, §5.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the field contains an octet that is not allowed")]
pub struct InvalidHeader;

/// The error of reading a body as JSON.
#[cfg(feature = "json")]
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// The body could not be read.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The body is not JSON, or not of that shape. Respond with 400 or 422.
    #[error("the body is not the expected JSON")]
    Json(#[from] serde_json::Error),
}

//! The trace of one request: what its connection notes of it.

use std::{borrow::Cow, fmt, sync::Arc, time::Instant};

use http::{Method, StatusCode, Version};

/// The pattern of a router that a request matched, such as `/users/{id}`. Metrics count by it, since paths
/// are without bound.
///
/// A handler gives it to [`Reqd::set_route`](crate::Reqd::set_route). A tower service puts it into the
/// extensions of its response; for axum, this layer does:
///
/// ```
/// # #[cfg(feature = "axum")]
/// # {
/// use axum::{extract::{MatchedPath, Request}, middleware::Next, response::Response};
/// use riot_http::Route;
///
/// async fn name_route(path: Option<MatchedPath>, request: Request, next: Next) -> Response {
///     let mut response = next.run(request).await;
///     path.map(|path| response.extensions_mut().insert(Route::new(path.as_str().to_owned())));
///     response
/// }
/// # let router: axum::Router = axum::Router::new().layer(axum::middleware::from_fn(name_route));
/// # drop(router);
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Route(Cow<'static, str>);

impl Route {
    /// Names a route. What is longer than 256 bytes is cut.
    ///
    /// ```
    /// assert_eq!(riot_http::Route::new("/users/{id}").as_str(), "/users/{id}");
    /// ```
    #[must_use]
    pub fn new(pattern: impl Into<Cow<'static, str>>) -> Self {
        const MAX_BYTES: usize = 256;
        let pattern = pattern.into();
        if pattern.len() <= MAX_BYTES {
            return Self(pattern);
        }
        Self(pattern[..pattern.floor_char_boundary(MAX_BYTES)].to_owned().into())
    }

    /// Returns the pattern.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The reason for which a request was cut: its response was not sent as a whole, or its connection gave it in
/// place of the handler.
///
/// ```
/// assert_eq!(riot_http::CutReason::TimedOut("write_stall").name(), "timeout");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CutReason {
    /// The client had gone before it had its response.
    ClientGone,
    /// The timer of this name expired; see [`Timeouts`](crate::Timeouts).
    TimedOut(&'static str),
    /// The handler panicked.
    Panicked,
    /// The handler ended before the body of its response was complete.
    Unfinished,
    /// The rest of the request was malformed, when the response had begun.
    Malformed,
    /// The deadline of a drain came.
    Drained,
    /// The Connector was ended by an exit signal.
    Killed,
}

impl CutReason {
    /// The number of reasons.
    pub(crate) const COUNT: usize = 7;

    /// The names of all reasons, by their indexes.
    pub(crate) const NAMES: [&str; Self::COUNT] =
        ["client_gone", "timeout", "panic", "unfinished", "malformed", "drain", "killed"];

    pub(crate) fn index(self) -> usize {
        match self {
            Self::ClientGone => 0,
            Self::TimedOut(_) => 1,
            Self::Panicked => 2,
            Self::Unfinished => 3,
            Self::Malformed => 4,
            Self::Drained => 5,
            Self::Killed => 6,
        }
    }

    /// Returns the name: `client_gone`, `timeout` for all timers, `panic`, `unfinished`, `malformed`,
    /// `drain` or `killed`.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES[self.index()]
    }
}

/// The notes that a connection makes of one request.
#[derive(Clone, Debug)]
pub(crate) struct RequestTrace {
    /// The number of the request on its connection, from 1.
    pub(crate) number: u64,
    /// The method. None of bytes that are no request.
    pub(crate) method: Option<Method>,
    pub(crate) path: Arc<str>,
    pub(crate) version: Version,
    pub(crate) route: Option<Route>,
    /// The head was complete.
    pub(crate) head_at: Instant,
    /// The handler got the request.
    pub(crate) handler_at: Option<Instant>,
    /// The head of the response was given.
    pub(crate) answered_at: Option<Instant>,
    pub(crate) first_byte_at: Option<Instant>,
    pub(crate) last_byte_at: Option<Instant>,
    pub(crate) status: Option<StatusCode>,
    pub(crate) body_received: u64,
    pub(crate) body_sent: u64,
    pub(crate) cut: Option<CutReason>,
    /// The switch to another protocol, if there was one.
    pub(crate) switch: Option<Switch>,
    /// The start of the request has been reported.
    pub(crate) is_reported: bool,
    /// The position in the stream of the first byte of the response.
    pub(crate) begins: u64,
    /// The position behind the last byte, once the response is whole.
    pub(crate) ends: Option<u64>,
}

/// A switch to another protocol.
#[derive(Clone, Debug)]
pub(crate) struct Switch {
    pub(crate) protocol: Option<String>,
    /// The way of the switch, in a word.
    pub(crate) by: &'static str,
}

/// The stage of a request that is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TraceStage {
    Started,
    Answered,
    Ended,
}

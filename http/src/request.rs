//! A request: its head as it came, and its body.

use std::{fmt, net::SocketAddr, ops::Range};

use bytes::Bytes;
use http::{Method, Version};

use crate::{Body, Headers, parse::RequestLine};

/// The head of a request: one copy of the bytes received, and where things are in it.
#[derive(Clone)]
pub struct Head {
    line: RequestLine,
    /// Invariant: they hold the whole checked head, to the empty line.
    headers: Headers,
}

impl Head {
    /// `bytes` are the whole head that `line` was found in.
    pub(crate) fn from_checked(line: RequestLine, bytes: Bytes) -> Self {
        let (start, end) = (line.end as usize, bytes.len() - 2);
        Self { line, headers: Headers::from_checked(bytes, start, end) }
    }

    /// The method, in the case it came in: methods are case-sensitive (RFC 9110 §9.1).
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.line.method
    }

    /// The request target as received: a path, an absolute URI, an authority, or `*` (RFC 9112 §3.2).
    #[must_use]
    pub fn target(&self) -> &str {
        self.text(&self.line.target)
    }

    /// The path of the target, nothing decoded: `/` if an absolute URI has none, `*` for the whole server, empty for
    /// `CONNECT`.
    #[must_use]
    pub fn path(&self) -> &str {
        match self.text(&self.line.path) {
            "" if self.line.method != Method::CONNECT => "/",
            path => path,
        }
    }

    /// What follows the `?`, nothing decoded.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.line.query.as_ref().map(|range| self.text(range))
    }

    /// HTTP/1.0 or HTTP/1.1.
    #[must_use]
    pub fn version(&self) -> Version {
        if self.line.minor == 0 { Version::HTTP_10 } else { Version::HTTP_11 }
    }

    /// The fields.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// Bytes of the whole head.
    pub(crate) fn len(&self) -> usize {
        self.headers.head().len()
    }

    fn text(&self, range: &Range<u32>) -> &str {
        std::str::from_utf8(&self.headers.head()[range.start as usize..range.end as usize])
            .unwrap_or_default()
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Head");
        debug
            .field("method", self.method())
            .field("target", &self.target())
            .field("version", &self.version());
        debug.field("headers", &self.headers).finish()
    }
}

/// A request as a [`Service`](crate::Service) gets it.
#[derive(Debug)]
pub struct Request {
    head: Head,
    body: Body,
    peer: Option<SocketAddr>,
}

impl Request {
    pub(crate) fn new(head: Head, body: Body, peer: Option<SocketAddr>) -> Self {
        Self { head, body, peer }
    }

    /// The address at the other end of the connection, if it is known and an internet address.
    #[must_use]
    pub fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// The whole head.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The method; see [`Head::method`].
    #[must_use]
    pub fn method(&self) -> &Method {
        self.head.method()
    }

    /// The target as received; see [`Head::target`].
    #[must_use]
    pub fn target(&self) -> &str {
        self.head.target()
    }

    /// The path; see [`Head::path`].
    #[must_use]
    pub fn path(&self) -> &str {
        self.head.path()
    }

    /// The query; see [`Head::query`].
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.head.query()
    }

    /// HTTP/1.0 or HTTP/1.1.
    #[must_use]
    pub fn version(&self) -> Version {
        self.head.version()
    }

    /// The fields.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        self.head.headers()
    }

    /// The body, to be read.
    pub fn body(&mut self) -> &mut Body {
        &mut self.body
    }

    /// Head and body, apart.
    #[must_use]
    pub fn into_parts(self) -> (Head, Body) {
        (self.head, self.body)
    }
}

//! A request: its head and its body.

use std::net::SocketAddr;

use http::{Method, Version};

use super::{DrainSignal, handle::ExchangeHandle};
use crate::{Body, Head, Headers};

/// A request as a [`Service`](crate::Service) gets it.
///
/// ```
/// use riot_http::{Request, Response};
///
/// async fn target(request: Request) -> Response {
///     Response::text(format!("{} {} for {:?}", request.method(), request.path(), request.peer()))
/// }
/// # let _ = target;
/// ```
#[derive(Debug)]
pub struct Request {
    head: Head,
    body: Body,
    exchange: ExchangeHandle,
}

impl Request {
    #[inline]
    pub(super) fn new(head: Head, body: Body, exchange: ExchangeHandle) -> Self {
        Self { head, body, exchange }
    }

    /// Returns the address at the other end of the connection, if it is known and an internet address.
    #[must_use]
    pub fn peer(&self) -> Option<SocketAddr> {
        self.exchange.peer()
    }

    /// Returns a future that is ready once the connection drains, so that a long poll can answer early.
    pub fn drain_signal(&self) -> DrainSignal {
        DrainSignal::new(self.exchange.clone())
    }

    /// Returns the head.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Returns the method; see [`Head::method`].
    #[must_use]
    pub fn method(&self) -> &Method {
        self.head.method()
    }

    /// Returns the target as received; see [`Head::target`].
    #[must_use]
    pub fn target(&self) -> &str {
        self.head.target()
    }

    /// Returns the path; see [`Head::path`].
    #[must_use]
    pub fn path(&self) -> &str {
        self.head.path()
    }

    /// Returns the query; see [`Head::query`].
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.head.query()
    }

    /// Returns the authority that the request is for; see [`Head::authority`].
    #[must_use]
    pub fn authority(&self) -> Option<&str> {
        self.head.authority()
    }

    /// Returns the version of HTTP; see [`Head::version`].
    #[must_use]
    pub fn version(&self) -> Version {
        self.head.version()
    }

    /// Returns the fields; see [`Head::headers`].
    #[must_use]
    pub fn headers(&self) -> &Headers {
        self.head.headers()
    }

    /// Returns the body, to be read.
    pub fn body(&mut self) -> &mut Body {
        &mut self.body
    }

    /// Splits into head and body.
    #[must_use]
    pub fn into_parts(self) -> (Head, Body) {
        (self.head, self.body)
    }
}

//! A request: its head, and its body.

use std::net::SocketAddr;

use http::{Method, Version};

use crate::{Body, Head, Headers};

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

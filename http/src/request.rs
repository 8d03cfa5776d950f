//! A request: its head as it came, and its body.

use std::{cell::RefCell, fmt, mem, net::SocketAddr, ops::Range, sync::Arc};

use bytes::Bytes;
use http::{Method, Version};

use crate::{Body, Headers, parse::RequestLine};

/// The head of a request: one copy of the bytes received, and where things are in it.
///
/// It is carried from hand to hand, so it is small: a pointer to where it is.
pub struct Head(Kept);

enum Kept {
    /// Several requests have it: see [`known`](crate::known).
    Shared(Arc<Parts>),
    Alone(Box<Parts>),
    /// In a head that is being dropped.
    Gone,
}

struct Parts {
    line: RequestLine,
    /// Invariant: they hold the whole checked head, to the empty line.
    headers: Headers,
}

thread_local! {
    /// Places of heads that are gone, the last one on top.
    static SPARE: RefCell<Vec<Box<Parts>>> = const { RefCell::new(Vec::new()) };
}

/// So many are kept at most.
const SPARE_MAX: usize = 64;

impl Parts {
    fn new(line: RequestLine, bytes: Bytes) -> Self {
        let (start, end) = (line.end as usize, bytes.len() - 2);
        Self { line, headers: Headers::from_checked(bytes, start, end) }
    }
}

impl Head {
    /// `bytes` are the whole head that `line` was found in.
    pub(crate) fn from_checked(line: RequestLine, bytes: Bytes) -> Self {
        let parts = Parts::new(line, bytes);
        // Nothing is found where the thread is about to end.
        match SPARE.try_with(|spare| spare.borrow_mut().pop()) {
            Ok(Some(mut place)) => {
                *place = parts;
                Self(Kept::Alone(place))
            }
            _ => Self(Kept::Alone(Box::new(parts))),
        }
    }

    /// The same; a clone of it costs a count.
    pub(crate) fn shared(line: RequestLine, bytes: Bytes) -> Self {
        Self(Kept::Shared(Arc::new(Parts::new(line, bytes))))
    }

    #[inline]
    fn parts(&self) -> &Parts {
        match &self.0 {
            Kept::Shared(parts) => parts,
            Kept::Alone(parts) => parts,
            Kept::Gone => unreachable!("it is here until it is dropped"),
        }
    }

    /// The whole head.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.parts().headers.head()
    }

    /// The method, in the case it came in: methods are case-sensitive (RFC 9110 §9.1).
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.parts().line.method
    }

    /// The request target as received: a path, an absolute URI, an authority, or `*` (RFC 9112 §3.2).
    #[must_use]
    pub fn target(&self) -> &str {
        self.text(&self.parts().line.target)
    }

    /// The path of the target, nothing decoded: `/` if an absolute URI has none, `*` for the whole server, empty for
    /// `CONNECT`.
    #[must_use]
    pub fn path(&self) -> &str {
        let line = &self.parts().line;
        match self.text(&line.path) {
            "" if line.method != Method::CONNECT => "/",
            path => path,
        }
    }

    /// What follows the `?`, nothing decoded.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.parts().line.query.as_ref().map(|range| self.text(range))
    }

    /// HTTP/1.0 or HTTP/1.1.
    #[must_use]
    pub fn version(&self) -> Version {
        if self.parts().line.minor == 0 { Version::HTTP_10 } else { Version::HTTP_11 }
    }

    /// The fields.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.parts().headers
    }

    fn text(&self, range: &Range<u32>) -> &str {
        std::str::from_utf8(&self.bytes()[range.start as usize..range.end as usize]).unwrap_or_default()
    }
}

impl Clone for Head {
    fn clone(&self) -> Self {
        match &self.0 {
            Kept::Shared(parts) => Self(Kept::Shared(parts.clone())),
            _ => Self::from_checked(self.parts().line.clone(), self.headers().whole().clone()),
        }
    }
}

impl Drop for Head {
    fn drop(&mut self) {
        if let Kept::Alone(mut place) = mem::replace(&mut self.0, Kept::Gone) {
            // The place alone is kept.
            place.headers = Headers::default();
            place.line.method = Method::GET;
            let _ = SPARE.try_with(|spare| {
                let mut spare = spare.borrow_mut();
                if spare.len() < SPARE_MAX {
                    spare.push(place);
                }
            });
        }
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Head");
        debug
            .field("method", self.method())
            .field("target", &self.target())
            .field("version", &self.version());
        debug.field("headers", self.headers()).finish()
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

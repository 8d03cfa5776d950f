//! The head of a request as it came, and how it is carried about.

use std::{fmt, ops::Range};

use bytes::Bytes;
use http::{Method, Version};

use crate::{
    Headers, known,
    parse::RequestLine,
    spare::{self, Spare},
};

/// The head of a request: one copy of the bytes received, and where things are in it.
///
/// It is carried from hand to hand, so it is small: a pointer to where it is.
pub struct Head(
    /// None in one that is being dropped.
    Option<Box<Parts>>,
);

#[derive(Clone)]
pub(crate) struct Parts {
    line: RequestLine,
    /// Invariant: they hold the whole checked head, to the empty line.
    headers: Headers,
    /// The bytes up to the end of the target as the text they are, where it was made for many requests.
    text: Option<Box<str>>,
}

thread_local! {
    /// Places of heads that are gone.
    static PLACES: Spare<Box<Parts>> = const { Spare::new(64) };
}

impl Parts {
    /// `bytes` are the whole head that `line` was found in.
    pub(crate) fn new(line: RequestLine, bytes: Bytes) -> Self {
        let (start, end) = (line.end as usize, bytes.len() - 2);
        Self { line, headers: Headers::from_checked(bytes, start, end), text: None }
    }

    /// The same, for many requests.
    pub(crate) fn for_many(line: RequestLine, bytes: Bytes) -> Self {
        let text = std::str::from_utf8(&bytes[..line.target.end as usize]).ok().map(Box::from);
        Self { text, ..Self::new(line, bytes) }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.headers.head()
    }
}

impl Head {
    /// `bytes` are the whole head that `line` was found in.
    pub(crate) fn from_checked(line: RequestLine, bytes: Bytes) -> Self {
        Self::new(Parts::new(line, bytes))
    }

    fn new(parts: Parts) -> Self {
        match spare::take(&PLACES) {
            Some(mut place) => {
                *place = parts;
                Self::whole(place)
            }
            None => Self::whole(Box::new(parts)),
        }
    }

    pub(crate) fn whole(parts: Box<Parts>) -> Self {
        Self(Some(parts))
    }

    #[inline]
    fn parts(&self) -> &Parts {
        self.0.as_ref().expect("it is here until it is dropped")
    }

    /// The whole head.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.parts().bytes()
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
        let range = range.start as usize..range.end as usize;
        match &self.parts().text {
            Some(text) => &text[range],
            None => std::str::from_utf8(&self.bytes()[range]).unwrap_or_default(),
        }
    }
}

impl Clone for Head {
    fn clone(&self) -> Self {
        Self::new(self.parts().clone())
    }
}

impl Drop for Head {
    fn drop(&mut self) {
        let Some(place) = self.0.take() else { return };
        // The same may come again; else the place alone is kept.
        let Some(mut place) = known::take_back(place) else { return };
        place.headers = Headers::default();
        place.text = None;
        place.line.method = Method::GET;
        spare::leave(&PLACES, place);
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

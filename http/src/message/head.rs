//! The head of a request as it came, and how it is carried about.

use std::fmt;

use http::{Method, Version};

use super::{Headers, Range, head_pool};

/// The head of a request: one copy of the bytes received, and where things are in it.
///
/// It is carried from hand to hand, so it is small: a pointer to where it is.
pub struct Head(
    /// None in one that is being dropped, and where there is none.
    Option<Box<HeadData>>,
);

/// The first line of a head.
#[derive(Clone, Default)]
pub(crate) struct RequestLine {
    pub(crate) method: Method,
    /// Where in the target, which is ASCII, the path is. A `?` and the query may follow, nothing else.
    pub(crate) path: Range,
    /// Where in the head the line ends, and the field lines begin.
    pub(crate) end: u32,
}

#[derive(Clone, Default)]
pub(crate) struct HeadData {
    line: RequestLine,
    version: Version,
    /// As received.
    target: String,
    /// Invariant: they hold the whole checked head, to the empty line.
    headers: Headers,
    /// Which of those that are [known] this is; 0 if it is none.
    cache_id: u64,
}

impl HeadData {
    pub(crate) fn bytes(&self) -> &[u8] {
        self.headers.head()
    }

    pub(crate) fn cache_id(&self) -> u64 {
        self.cache_id
    }

    /// Returns the bytes of memory kept with this head.
    pub(super) fn capacity(&self) -> usize {
        self.target.capacity() + self.headers.capacity()
    }

    /// The same; it is known by this number.
    pub(crate) fn with_cache_id(&self, number: u64) -> Self {
        Self { cache_id: number, ..self.clone() }
    }
}

impl Head {
    /// `bytes` are the whole head that the others were found in.
    #[inline]
    pub(crate) fn new(line: RequestLine, version: Version, target: &str, bytes: &[u8]) -> Self {
        let mut place = head_pool::take();
        let HeadData { headers, cache_id: number, .. } = &mut *place;
        headers.fill(bytes, line.end as usize, bytes.len() - 2);
        *number = 0;
        place.target.clear();
        place.target.push_str(target);
        (place.line, place.version) = (line, version);
        Self::from_data(place)
    }

    pub(crate) fn from_data(parts: Box<HeadData>) -> Self {
        Self(Some(parts))
    }

    /// None, in no more room than one.
    pub(crate) const fn none() -> Self {
        Self(None)
    }

    /// Takes it away, if it is one.
    pub(crate) fn take(&mut self) -> Option<Self> {
        self.0.take().map(Self::from_data)
    }

    #[inline]
    pub(crate) fn data(&self) -> &HeadData {
        self.0.as_ref().expect("it is here until it is dropped")
    }

    /// The whole head; nothing, if there is none.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |parts| parts.bytes())
    }

    /// The method, in the case it came in: methods are case-sensitive (RFC 9110 §9.1).
    #[inline]
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.data().line.method
    }

    /// The request target as received: a path, an absolute URI, an authority, or `*` (RFC 9112 §3.2).
    #[must_use]
    pub fn target(&self) -> &str {
        &self.data().target
    }

    /// The path of the target, nothing decoded: `/` if an absolute URI has none, `*` for the whole server, empty for
    /// `CONNECT`.
    #[inline]
    #[must_use]
    pub fn path(&self) -> &str {
        let HeadData { line, target, .. } = self.data();
        if line.path.len() == target.len() {
            return target; // It is nothing else.
        }
        match &target[line.path.start as usize..line.path.end as usize] {
            "" if line.method != Method::CONNECT => "/",
            path => path,
        }
    }

    /// What follows the `?`, nothing decoded.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        let HeadData { line, target, .. } = self.data();
        target.get(line.path.end as usize + 1..)
    }

    /// HTTP/1.0 or HTTP/1.1.
    #[must_use]
    pub fn version(&self) -> Version {
        self.data().version
    }

    /// The fields.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.data().headers
    }
}

impl Clone for Head {
    fn clone(&self) -> Self {
        Self::from_data(Box::new(self.data().clone()))
    }
}

impl Drop for Head {
    #[inline]
    fn drop(&mut self) {
        if let Some(place) = self.0.take() {
            head_pool::put(place);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn head(target: &str, field: &str) -> Head {
        let text = format!("GET {target} HTTP/1.1\r\n{field}\r\n\r\n");
        let end = text.find(field).expect("it is there") as u32;
        let line = RequestLine { method: Method::GET, path: 0..target.len() as u32, end };
        Head::new(line, Version::HTTP_11, target, text.as_bytes())
    }

    #[test]
    fn the_place_of_one_that_is_gone_says_nothing_of_it() {
        let first = head("/first/and/longer", "authorization: x");
        let place: *const HeadData = first.data();
        let kept = first.clone();
        drop(first);
        let second = head("/second", "b: c");
        assert_eq!(second.data() as *const HeadData, place);
        assert_eq!((second.target(), second.path(), second.headers().len()), ("/second", "/second", 1));
        assert_eq!((second.headers().get("authorization"), second.headers().get_str("b")), (None, Some("c")));
        assert_eq!((kept.path(), kept.headers().get_str("authorization")), ("/first/and/longer", Some("x")));
    }

    #[test]
    fn much_room_is_not_kept() {
        let large = head("/", &format!("a: {}", "b".repeat(head_pool::MAX_POOLED_BYTES)));
        drop(large);
        assert!(head("/", "a: b").data().headers.capacity() <= head_pool::MAX_POOLED_BYTES);
    }
}

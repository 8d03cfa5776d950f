//! The head of a request.

use std::fmt;

use http::{Method, Version};

use super::{Headers, Range, head_pool, headers::list_elements};

/// The head of a request: one copy of the bytes received, and the positions of its parts.
///
/// It is as small as a pointer, because it passes through several hands.
///
/// ```
/// use riot_http::{Reqd, Response};
///
/// async fn describe(reqd: Reqd) {
///     let head = reqd.request();
///     let text = format!("{} {} {:?}", head.method(), head.path(), head.headers().get_str("user-agent"));
///     let _ = reqd.respond_with_string(Response::ok(), text);
/// }
/// ```
pub struct Head(
    /// The head is absent only while it is dropped, and in an empty slot.
    Option<Box<HeadData>>,
);

/// The first line of a head.
#[derive(Clone, Default)]
pub(crate) struct RequestLine {
    pub(crate) method: Method,
    /// The position of the path in the target, which is ASCII. A `?` and the query may follow, nothing else.
    pub(crate) path: Range,
    /// The position in the head where the line ends and the field lines begin.
    pub(crate) end: u32,
}

#[derive(Clone, Default)]
pub(crate) struct HeadData {
    line: RequestLine,
    version: Version,
    /// The target as received.
    target: String,
    /// Invariant: they hold the whole checked head, up to the empty line.
    headers: Headers,
    /// Identifies the cached head that this is a copy of; 0 if it is no copy.
    cache_id: u64,
}

impl HeadData {
    pub(crate) fn bytes(&self) -> &[u8] {
        self.headers.head()
    }

    pub(crate) fn line(&self) -> &RequestLine {
        &self.line
    }

    pub(crate) fn cache_id(&self) -> u64 {
        self.cache_id
    }

    /// Returns the bytes of memory kept with this head.
    pub(super) fn capacity(&self) -> usize {
        self.target.capacity() + self.headers.capacity()
    }

    /// Returns a copy under a cache id.
    pub(crate) fn with_cache_id(&self, number: u64) -> Self {
        Self { cache_id: number, ..self.clone() }
    }
}

impl Head {
    /// Creates a head. `bytes` is the whole head, in which the other parts were found.
    #[inline(always)] // perf: no two requests alike, 5402 → 5337 instructions
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

    /// Creates an empty slot, as large as a head.
    pub(crate) const fn none() -> Self {
        Self(None)
    }

    /// Takes the head out of the slot, if there is one.
    pub(crate) fn take(&mut self) -> Option<Self> {
        self.0.take().map(Self::from_data)
    }

    #[inline]
    pub(crate) fn data(&self) -> &HeadData {
        self.0.as_ref().expect("it is here until it is dropped")
    }

    /// Returns the bytes of the whole head; none in an empty slot.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |parts| parts.bytes())
    }

    /// Returns the method as received: methods are case-sensitive (RFC 9110 §9.1).
    #[inline]
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.data().line.method
    }

    /// Returns the request target as received: a path, an absolute URI, an authority, or `*` (RFC 9112 §3.2).
    #[must_use]
    pub fn target(&self) -> &str {
        &self.data().target
    }

    /// Returns the path of the target, not decoded: `/` if an absolute URI has none, `*` for the whole
    /// server, empty for `CONNECT`.
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

    /// Returns what follows the `?` of the target, not decoded.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        let HeadData { line, target, .. } = self.data();
        target.get(line.path.end as usize + 1..)
    }

    /// Returns the authority that the request is for, `host [":" port]`: that of the target where it has one,
    /// else the value of `Host` (RFC 9112 §3.3). None if `Host` is empty, or absent as in HTTP/1.0.
    ///
    /// ```
    /// # use riot_http::Head;
    /// fn is_for(head: &Head, host: &str) -> bool {
    ///     // Hosts have no case.
    ///     head.authority().is_some_and(|authority| authority.eq_ignore_ascii_case(host))
    /// }
    /// # let _ = is_for;
    /// ```
    #[must_use]
    pub fn authority(&self) -> Option<&str> {
        if *self.method() == Method::CONNECT {
            return Some(self.target());
        }
        // The authority of a target in absolute-form has replaced it.
        self.headers().get_str("host").filter(|host| !host.is_empty())
    }

    /// Returns the protocols that the request offers to go on in, the preferred one first: the elements of
    /// `Upgrade`. HTTP/1.0 offers none (RFC 9110 §7.8).
    ///
    /// ```
    /// # use riot_http::Head;
    /// fn offers_websocket(head: &Head) -> bool {
    ///     head.offered_protocols().any(|protocol| protocol.eq_ignore_ascii_case("websocket"))
    /// }
    /// # let _ = offers_websocket;
    /// ```
    pub fn offered_protocols(&self) -> impl Iterator<Item = &str> {
        let is_1_0 = self.version() == Version::HTTP_10;
        let fields = self.headers().get_all("upgrade").filter(move |_| !is_1_0);
        fields.flat_map(list_elements).filter_map(|protocol| std::str::from_utf8(protocol).ok())
    }

    /// Returns the version of HTTP: 1.0 or 1.1. A request with a higher minor version is one of HTTP/1.1 (RFC
    /// 9110 §2.5).
    #[must_use]
    pub fn version(&self) -> Version {
        self.data().version
    }

    /// Returns the fields as received, except that `Host` has the authority of a target in absolute-form (RFC
    /// 9112 §3.2.2).
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

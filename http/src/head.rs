//! The head of a request as it came, and how it is carried about.

use std::fmt;

use http::{Method, Version};

use crate::{
    Headers,
    framing::Framing,
    known,
    parse::RequestLine,
    spare::{self, Spare},
};

/// The head of a request: one copy of the bytes received, and where things are in it.
///
/// It is carried from hand to hand, so it is small: a pointer to where it is.
pub struct Head(
    /// None in one that is being dropped, and where there is none.
    Option<Box<Parts>>,
);

#[derive(Clone, Default)]
pub(crate) struct Parts {
    line: RequestLine,
    framing: Framing,
    /// As received.
    target: String,
    /// Invariant: they hold the whole checked head, to the empty line.
    headers: Headers,
    /// Which of those that are [known] this is; 0 if it is none.
    number: u64,
}

thread_local! {
    /// Places of heads that are gone, with the room they had.
    static PLACES: Spare<Box<Parts>> = const { Spare::new(64) };
}

/// A place with more room than this is not kept.
const ROOM_MAX: usize = 4 * 1024;

impl Parts {
    pub(crate) fn bytes(&self) -> &[u8] {
        self.headers.head()
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The same; it is known by this number.
    pub(crate) fn numbered(&self, number: u64) -> Self {
        Self { number, ..self.clone() }
    }
}

impl Head {
    /// `bytes` are the whole head that the others were found in.
    #[inline]
    pub(crate) fn new(line: RequestLine, framing: Framing, target: &str, bytes: &[u8]) -> Self {
        let mut place = spare::take(&PLACES).unwrap_or_default();
        let Parts { headers, number, .. } = &mut *place;
        headers.fill(bytes, line.end as usize, bytes.len() - 2);
        *number = 0;
        place.target.clear();
        place.target.push_str(target);
        (place.line, place.framing) = (line, framing);
        Self::whole(place)
    }

    pub(crate) fn whole(parts: Box<Parts>) -> Self {
        Self(Some(parts))
    }

    /// None, in no more room than one.
    pub(crate) const fn none() -> Self {
        Self(None)
    }

    /// Takes it away, if it is one.
    pub(crate) fn take(&mut self) -> Option<Self> {
        self.0.take().map(Self::whole)
    }

    #[inline]
    pub(crate) fn parts(&self) -> &Parts {
        self.0.as_ref().expect("it is here until it is dropped")
    }

    /// What it says about the bytes behind it.
    pub(crate) fn framing(&self) -> Framing {
        self.parts().framing
    }

    /// The whole head; nothing, if there is none.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |parts| parts.bytes())
    }

    /// The method, in the case it came in: methods are case-sensitive (RFC 9110 §9.1).
    #[inline]
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.parts().line.method
    }

    /// The request target as received: a path, an absolute URI, an authority, or `*` (RFC 9112 §3.2).
    #[must_use]
    pub fn target(&self) -> &str {
        &self.parts().target
    }

    /// The path of the target, nothing decoded: `/` if an absolute URI has none, `*` for the whole server, empty for
    /// `CONNECT`.
    #[inline]
    #[must_use]
    pub fn path(&self) -> &str {
        let Parts { line, target, .. } = self.parts();
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
        let Parts { line, target, .. } = self.parts();
        target.get(line.path.end as usize + 1..)
    }

    /// HTTP/1.0 or HTTP/1.1.
    #[must_use]
    pub fn version(&self) -> Version {
        if self.parts().framing.terms.minor == 0 { Version::HTTP_10 } else { Version::HTTP_11 }
    }

    /// The fields.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.parts().headers
    }
}

impl Clone for Head {
    fn clone(&self) -> Self {
        Self::whole(Box::new(self.parts().clone()))
    }
}

impl Drop for Head {
    #[inline]
    fn drop(&mut self) {
        if let Some(place) = self.0.take() {
            leave(place);
        }
    }
}

/// Keeps what a head that is gone leaves: the same may come again; else the place alone.
#[inline(never)]
fn leave(place: Box<Parts>) {
    if let Some(place) = known::take_back(place)
        && place.target.capacity() + place.headers.capacity() <= ROOM_MAX
    {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn head(target: &str, field: &str) -> Head {
        let text = format!("GET {target} HTTP/1.1\r\n{field}\r\n\r\n");
        let end = text.find(field).expect("it is there") as u32;
        let line = RequestLine { method: Method::GET, path: 0..target.len() as u32, end };
        Head::new(line, Framing::default(), target, text.as_bytes())
    }

    #[test]
    fn the_place_of_one_that_is_gone_says_nothing_of_it() {
        let first = head("/first/and/longer", "authorization: x");
        let place: *const Parts = first.parts();
        let kept = first.clone();
        drop(first);
        let second = head("/second", "b: c");
        assert_eq!(second.parts() as *const Parts, place);
        assert_eq!((second.target(), second.path(), second.headers().len()), ("/second", "/second", 1));
        assert_eq!((second.headers().get("authorization"), second.headers().get_str("b")), (None, Some("c")));
        assert_eq!((kept.path(), kept.headers().get_str("authorization")), ("/first/and/longer", Some("x")));
    }

    #[test]
    fn much_room_is_not_kept() {
        let large = head("/", &format!("a: {}", "b".repeat(ROOM_MAX)));
        drop(large);
        assert!(head("/", "a: b").parts().headers.capacity() <= ROOM_MAX);
    }
}

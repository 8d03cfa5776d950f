//! The fields of a head: slices of its bytes, found when they are asked for.
//!
//! They are checked when the head is parsed. No map is built, since most handlers look at one or two fields.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};
use memchr::memchr;

/// The fields of a head or of a trailer section, in the order received.
///
/// ```
/// use riot_http::Request;
///
/// fn accepts_json(request: &Request) -> bool {
///     request.headers().get_str("accept").is_some_and(|value| value.contains("application/json"))
/// }
/// # let _ = accepts_json;
/// ```
#[derive(Clone, Default)]
pub struct Headers {
    /// A whole head, or the field lines alone.
    bytes: Vec<u8>,
    /// The position of the fields. Invariant: lines as in RFC 9112 §5 without folding, each ended by CR LF.
    start: u32,
    end: u32,
}

impl Headers {
    /// Wraps field lines, which must have been checked.
    pub(crate) fn from_checked(lines: Vec<u8>) -> Self {
        Self { start: 0, end: lines.len() as u32, bytes: lines }
    }

    /// Fills in the lines from `start` to `end` of a head, which must have been checked. The memory is used
    /// again.
    pub(crate) fn fill(&mut self, head: &[u8], start: usize, end: usize) {
        self.bytes.clear();
        self.bytes.extend_from_slice(head);
        (self.start, self.end) = (start as u32, end as u32);
    }

    /// Returns the bytes of the whole head.
    pub(crate) fn head(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the bytes of memory held.
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Returns the value of the first field of this name, in any case.
    ///
    /// For a field that may occur several times use [`get_all`](Self::get_all).
    #[must_use]
    pub fn get(&self, name: impl AsRef<str>) -> Option<&[u8]> {
        self.values(name.as_ref().as_bytes()).next()
    }

    /// Returns the first value of this name, if it is UTF-8.
    #[must_use]
    pub fn get_str(&self, name: impl AsRef<str>) -> Option<&str> {
        std::str::from_utf8(self.get(name)?).ok()
    }

    /// Returns the values of all fields of this name, in any case, in order.
    pub fn get_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + 'a {
        self.values(name.as_bytes())
    }

    /// Returns the values of a name. Only lines with a colon at the right position are compared.
    fn values<'a, 'n>(&'a self, name: &'n [u8]) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        let mut rest = &self.bytes[self.start as usize..self.end as usize];
        let lines = std::iter::from_fn(move || {
            let (line, after) = rest.split_at(memchr(b'\n', rest)? + 1);
            rest = after;
            Some(line)
        });
        lines.filter_map(move |line| {
            let (key, value) = line.split_at_checked(name.len())?;
            let is_it =
                value.first() == Some(&b':') && key.eq_ignore_ascii_case(name) && !name.contains(&b':');
            is_it.then(|| trim(&value[1..value.len() - 2]))
        })
    }

    /// Returns all fields: name and value as received, without the space around the value.
    #[must_use]
    pub fn iter(&self) -> Iter<'_> {
        Iter { lines: self.lines() }
    }

    fn lines(&self) -> Lines<'_> {
        Lines(&self.bytes[self.start as usize..self.end as usize])
    }

    /// Copies the fields into the map that other libraries use. Credentials are marked as sensitive, so that
    /// the map does not show them.
    #[must_use]
    pub fn to_map(&self) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in self {
            // Both were checked by the same rules.
            if let (Ok(key), Ok(mut value)) =
                (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value))
            {
                value.set_sensitive(is_secret(name));
                map.append(key, value);
            }
        }
        map
    }

    /// Returns the number of fields.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines().count()
    }

    /// Returns whether there are no fields.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }
}

/// Fields with credentials, whose values are shown as `***`.
const SECRET_FIELDS: [&str; 9] = [
    "authorization",
    "proxy-authorization",
    "authentication-info",
    "proxy-authentication-info",
    "cookie",
    "set-cookie",
    "x-api-key",
    "x-auth-token",
    "x-csrf-token",
];

/// Returns whether the field carries credentials.
pub(crate) fn is_secret(name: &str) -> bool {
    SECRET_FIELDS.iter().any(|secret| name.eq_ignore_ascii_case(secret))
}

/// A value as it is shown: `***` in place of credentials, and text with its control characters escaped.
pub(crate) struct ShownValue<'a> {
    pub(crate) value: &'a [u8],
    pub(crate) is_secret: bool,
}

impl fmt::Debug for ShownValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_secret {
            true => f.write_str("***"),
            false => String::from_utf8_lossy(self.value).fmt(f),
        }
    }
}

/// Shows all fields, with `***` in place of credentials.
impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().fmt(f)
    }
}

/// Shows the fields that are left, with `***` in place of credentials.
impl fmt::Debug for Iter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |(name, value)| (name, ShownValue { value, is_secret: is_secret(name) });
        f.debug_map().entries(self.clone().map(shown)).finish()
    }
}

impl<'a> IntoIterator for &'a Headers {
    type Item = (&'a str, &'a [u8]);
    type IntoIter = Iter<'a>;
    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// An iterator over [`Headers`].
#[derive(Clone)]
pub struct Iter<'a> {
    lines: Lines<'a>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a str, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, value) = self.lines.next()?;
        Some((std::str::from_utf8(name).ok()?, value))
    }
}

/// An iterator over the fields, with names as bytes.
#[derive(Clone)]
struct Lines<'a>(&'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let end = memchr(b'\n', self.0)?;
        let (line, rest) = self.0.split_at(end + 1);
        self.0 = rest;
        let colon = memchr(b':', line)?;
        Some((&line[..colon], trim(&line[colon + 1..line.len() - 2])))
    }
}

/// Removes optional whitespace, space and tab, around a value (RFC 9110 §5.6.3).
pub(crate) fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Returns the elements of a list; empty ones are skipped (RFC 9110 §5.6.1).
pub(crate) fn list_elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(trim).filter(|element| !element.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers() -> Headers {
        Headers::from_checked(b"Host: a\r\nX-B:\t two  \r\nx-b:\r\nC:\xffd\r\n".to_vec())
    }

    #[test]
    fn names_have_no_case() {
        assert_eq!(headers().get("HOST"), Some(&b"a"[..]));
        for name in ["hos", "host:", "", ":", "x-b:\t two", "c\r\n"] {
            assert_eq!(headers().get(name), None, "{name:?}");
        }
        let colons = Headers::from_checked(b"a:b:c\r\n".to_vec());
        assert_eq!((colons.get("a"), colons.get("a:b")), (Some(&b"b:c"[..]), None));
    }

    #[test]
    fn values_come_in_order_without_the_space_around_them() {
        assert_eq!(headers().get_all("X-B").collect::<Vec<_>>(), [&b"two"[..], b""]);
        assert_eq!(headers().len(), 4);
        assert_eq!(headers().iter().last(), Some(("C", &b"\xffd"[..])));
    }

    #[test]
    fn a_value_that_is_no_text_is_kept_as_it_came() {
        assert_eq!(headers().get_str("c"), None);
        assert_eq!(headers().get("c"), Some(&b"\xffd"[..]));
    }
}

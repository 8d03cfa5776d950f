//! Request heads: bytes in, a head or the reason of a rejection out.
//!
//! The slow path searches a head for its end first, line by line, and checks bounds and line ends on the way.
//! The search remembers how far it got, so bytes that trickle in are looked at once. Then httparse reads the
//! head. A head that arrives in one piece, as nearly all do, is parsed without the search.

use std::mem::MaybeUninit;

use http::{Method, Version};
use memchr::memchr;

use super::{
    framing::{self, Framing},
    table::{ByteTable, is_token_byte, leading},
};
use crate::{
    Head, Limits, RequestError, Scheme,
    message::{Range, RequestLine},
};

/// Bounds the fields that are parsed without an allocation; 100.
const HEADERS_ON_STACK: usize = 100;

/// How far an incomplete head has been searched.
#[derive(Debug, Default)]
pub(crate) struct HeadScanner {
    /// Invariant: no line feed between `line` and here.
    scanned: usize,
    /// The start of the line being searched.
    line: usize,
    /// The number of lines before it.
    lines: usize,
    /// The start of the first field line.
    fields: usize,
}

/// The outcome of a search at the front of the input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ScanResult {
    /// The head is not complete.
    Incomplete,
    /// An empty line before a request, to be skipped (RFC 9112 §2.2); its length.
    EmptyLine(usize),
    /// A complete head.
    Head { bytes: usize, fields: usize, lines: usize },
}

impl HeadScanner {
    /// Returns whether nothing has been searched yet.
    pub(crate) fn is_fresh(&self) -> bool {
        self.scanned == 0
    }

    /// Continues the search. `input` starts where it started the last time. Unless the result is
    /// `Incomplete`, the next search is a new one.
    pub(crate) fn find(&mut self, input: &[u8], limits: &Limits) -> Result<ScanResult, RequestError> {
        loop {
            let newline = memchr(b'\n', &input[self.scanned..]).map(|at| self.scanned + at);
            let end = newline.unwrap_or(input.len());
            self.check_line(&input[self.line..end], end, limits)?;
            let Some(newline) = newline else {
                self.scanned = input.len();
                return Ok(ScanResult::Incomplete);
            };
            if newline == self.line || input[newline - 1] != b'\r' {
                return Err(RequestError::Malformed("a line ends without a carriage return"));
            }
            let (empty, next) = (newline - 1 == self.line, newline + 1);
            if empty && self.lines == 0 {
                *self = Self::default();
                return Ok(ScanResult::EmptyLine(next));
            }
            if empty {
                let (fields, lines) = (self.fields, self.lines - 1);
                *self = Self::default();
                return Ok(ScanResult::Head { bytes: next, fields, lines });
            }
            if self.lines == 0 {
                self.fields = next;
            }
            (self.scanned, self.line, self.lines) = (next, next, self.lines + 1);
        }
    }

    /// Checks the bounds of a line, which may still grow. `end` is the position in the head where it ends so
    /// far.
    fn check_line(&self, line: &[u8], end: usize, limits: &Limits) -> Result<(), RequestError> {
        if self.lines == 0 {
            if line.first().is_some_and(|&byte| byte != b'\r' && !is_token_byte(byte)) {
                return Err(RequestError::Malformed("this is no request"));
            }
            if line.len() > limits.max_line_bytes + 1 {
                let method_ends = memchr(b' ', &line[..limits.max_line_bytes]).is_some();
                let long_method = RequestError::Malformed("the method is too long");
                return Err(if method_ends { RequestError::LineTooLong } else { long_method });
            }
        } else if line.len() > limits.max_header_bytes + 1
            || (self.lines > limits.max_headers && line.len() > 1)
        {
            return Err(RequestError::HeadTooLarge);
        }
        if end >= limits.max_head_bytes { Err(RequestError::HeadTooLarge) } else { Ok(()) }
    }
}

/// Parses a complete head that [`HeadScanner`] found. `fields` is where its field lines start, and `lines`
/// their number. `scheme` is that of the targets that the connection may be asked for.
///
/// The head returned can differ from the bytes in two places: a minor version above 1 reads as 1 (RFC 9110
/// §2.5), and `Host` has the authority of a target in absolute-form (RFC 9112 §3.2.2).
pub(crate) fn parse_slow(
    bytes: &[u8],
    fields: usize,
    lines: usize,
    scheme: Scheme,
) -> Result<(Head, Framing), RequestError> {
    let mut on_stack = [const { MaybeUninit::uninit() }; HEADERS_ON_STACK];
    let mut on_heap = Vec::new();
    let room = if lines <= HEADERS_ON_STACK {
        &mut on_stack[..]
    } else {
        on_heap.resize_with(lines, MaybeUninit::uninit);
        &mut on_heap[..]
    };
    let mut parsed = httparse::Request::new(&mut []);
    match parsed.parse_with_uninit_headers(bytes, room) {
        Ok(httparse::Status::Complete(end)) if end == bytes.len() => {
            let (head, framing) = read(&parsed, bytes, fields)?;
            match parsed.path.and_then(absolute_form).filter(|_| *head.method() != Method::CONNECT) {
                Some(target) => Ok((target.replace_host(&head, &parsed, scheme)?, framing)),
                None => Ok((head, framing)),
            }
        }
        Ok(_) => Err(RequestError::Malformed("the head is invalid")),
        Err(httparse::Error::Version) if has_higher_minor(&bytes[..fields]) => {
            let mut lowered = bytes.to_vec();
            lowered[fields - 3] = b'1';
            parse_slow(&lowered, fields, lines, scheme)
        }
        Err(error) => Err(reason(error, &bytes[..fields])),
    }
}

/// Returns whether a request line ends in a version of HTTP/1 above 1.1.
fn has_higher_minor(line: &[u8]) -> bool {
    matches!(line, [.., b' ', b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'2'..=b'9', b'\r', b'\n'])
}

/// Parses a head without searching for its end first, if it is complete and clearly valid, as most are. None
/// says nothing about the head: [`HeadScanner`] and [`parse_slow`] decide.
pub(crate) fn parse(input: &[u8], limits: &Limits) -> Option<(Head, Framing)> {
    if !input.first().is_some_and(|&byte| is_token_byte(byte)) {
        return None;
    }
    let mut room = [const { MaybeUninit::uninit() }; HEADERS_ON_STACK];
    let mut parsed = httparse::Request::new(&mut []);
    let Ok(httparse::Status::Complete(end)) = parsed.parse_with_uninit_headers(input, &mut room) else {
        return None;
    };
    // Targets in other forms have rules of their own.
    if !parsed.path?.starts_with('/') {
        return None;
    }
    if end > limits.max_head_bytes
        || parsed.headers.len() > limits.max_headers
        || !input[..end].ends_with(b"\r\n\r\n")
    {
        return None;
    }
    let (mut line, mut bytes_max) = (0, limits.max_line_bytes);
    for field in parsed.headers.iter() {
        // Each name follows a line end, where httparse would accept a bare line feed.
        let next = offset(input, field.name);
        if input[next - 2] != b'\r' || next - line > bytes_max + 2 {
            return None;
        }
        (line, bytes_max) = (next, limits.max_header_bytes);
    }
    if line == 0 || end - 2 - line > bytes_max + 2 {
        return None;
    }
    let fields = offset(input, parsed.headers.first()?.name);
    read(&parsed, &input[..end], fields).ok()
}

#[inline]
fn read(
    parsed: &httparse::Request<'_, '_>,
    bytes: &[u8],
    fields: usize,
) -> Result<(Head, Framing), RequestError> {
    let (Some(method), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version) else {
        return Err(RequestError::Malformed("the head is invalid"));
    };
    let method = match method {
        "GET" => Method::GET,
        "POST" => Method::POST,
        other => Method::from_bytes(other.as_bytes())
            .map_err(|_| RequestError::Malformed("the method has octets that have no place in one"))?,
    };
    let path = self::path(&method, target.as_bytes())
        .ok_or(RequestError::Malformed("the request target is invalid"))?;
    let framing =
        framing::of_request(&method, minor, parsed.headers.iter().map(|field| (field.name, field.value)))?;
    let line = RequestLine { method, path, end: fields as u32 };
    let version = if minor == 0 { Version::HTTP_10 } else { Version::HTTP_11 };
    Ok((Head::new(line, version, target, bytes), framing))
}

/// Returns the position of `part` in `whole`, of which it is a slice.
fn offset(whole: &[u8], part: &str) -> usize {
    part.as_ptr() as usize - whole.as_ptr() as usize
}

fn reason(error: httparse::Error, line: &[u8]) -> RequestError {
    RequestError::Malformed(match error {
        httparse::Error::HeaderName => "a field name is invalid",
        httparse::Error::HeaderValue => "a field value is invalid",
        httparse::Error::Version => return version(line),
        httparse::Error::TooManyHeaders => return RequestError::HeadTooLarge,
        httparse::Error::Token => "the request line is invalid",
        _ => "the head is invalid",
    })
}

/// Tells an unsupported version from a malformed one.
fn version(line: &[u8]) -> RequestError {
    match line.strip_suffix(b"\r\n").and_then(|line| line.rsplit(|&byte| byte == b' ').next()) {
        Some([b'H', b'T', b'T', b'P', b'/', major, b'.', minor])
            if major.is_ascii_digit() && minor.is_ascii_digit() && *major != b'1' =>
        {
            RequestError::Version
        }
        _ => RequestError::Malformed("the version is invalid"),
    }
}

/// Finds the path of a target, if the target is valid (RFC 9112 §3.2).
#[inline]
fn path(method: &Method, target: &[u8]) -> Option<Range> {
    let is_path = target.first() == Some(&b'/') && method != Method::CONNECT;
    let start = if is_path { 0 } else { parse_non_origin_form(method, target)? };
    let end = start + leading(&target[start..], &PATH_BYTES);
    let is_valid = match &target[end..] {
        [] => true,
        [b'?', query @ ..] => query.iter().all(|&byte| is_target_byte(byte)),
        _ => false,
    };
    is_valid.then_some(start as u32..end as u32)
}

/// Finds the start of the path of a target in absolute-, authority- or asterisk-form; at its end if it has
/// none.
#[inline(never)]
fn parse_non_origin_form(method: &Method, target: &[u8]) -> Option<usize> {
    let all = |bytes: &[u8]| bytes.iter().all(|&byte| is_target_byte(byte));
    if method == Method::CONNECT {
        return (all(target) && framing::is_authority(target)).then_some(target.len());
    }
    if method == Method::OPTIONS && target == b"*" {
        return Some(0);
    }
    let path = absolute_form(std::str::from_utf8(target).ok()?)?.path;
    all(&target[..path]).then_some(path)
}

/// Returns whether the byte may stand in a target: visible ASCII, and no fragment.
const fn is_target_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'#'
}

/// The bytes of a target that do not end its path.
static PATH_BYTES: ByteTable = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte] = (is_target_byte(byte as u8) && byte as u8 != b'?') as u8;
        byte += 1;
    }
    table
};

/// The parts of a target in absolute-form.
struct AbsoluteForm<'a> {
    scheme: &'a str,
    authority: &'a str,
    /// The start of the path in the target.
    path: usize,
}

/// Returns the parts of a target that is an absolute URI with a host and without a user.
fn absolute_form(target: &str) -> Option<AbsoluteForm<'_>> {
    let (scheme, rest) = target.split_once("://")?;
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let authority = &rest[..rest.find(['/', '?']).unwrap_or(rest.len())];
    let path = scheme.len() + 3 + authority.len();
    let is_valid = is_scheme && framing::is_uri_authority(authority.as_bytes());
    is_valid.then_some(AbsoluteForm { scheme, authority, path })
}

impl AbsoluteForm<'_> {
    /// Returns the head with the target's authority in the place of `Host` (RFC 9112 §3.2.2), if the scheme
    /// is one that the connection may be asked for (RFC 9110 §7.4).
    fn replace_host(
        &self,
        head: &Head,
        parsed: &httparse::Request<'_, '_>,
        scheme: Scheme,
    ) -> Result<Head, RequestError> {
        if !scheme.includes(self.scheme) {
            return Err(RequestError::Misdirected);
        }
        let line = head.data().line().clone();
        let mut bytes = head.bytes()[..line.end as usize].to_vec();
        let mut add = |name: &str, value: &[u8]| {
            for part in [name.as_bytes(), b": ", value, b"\r\n"] {
                bytes.extend_from_slice(part);
            }
        };
        let is_host = |field: &httparse::Header<'_>| field.name.eq_ignore_ascii_case("host");
        if !parsed.headers.iter().any(is_host) {
            add("Host", self.authority.as_bytes());
        }
        for field in parsed.headers.iter() {
            add(field.name, if is_host(field) { self.authority.as_bytes() } else { field.value });
        }
        bytes.extend_from_slice(b"\r\n");
        Ok(Head::new(line, head.version(), head.target(), &bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn find(input: &[u8]) -> Result<ScanResult, RequestError> {
        HeadScanner::default().find(input, &Limits::new())
    }

    fn parse(input: &str) -> Result<Head, RequestError> {
        match find(input.as_bytes())? {
            ScanResult::Head { bytes, fields, lines } => {
                let quick = super::parse(input.as_bytes(), &Limits::new());
                let parsed = parse_slow(&input.as_bytes()[..bytes], fields, lines, Scheme::Http);
                assert!(quick.is_none() || parsed.is_ok(), "too quick: {input:?}");
                parsed.map(|(head, _)| head)
            }
            other => panic!("{other:?} in {input:?}"),
        }
    }

    fn parse_line(line: &str) -> Result<Head, RequestError> {
        parse(&format!("{line}\r\nHost: a\r\n\r\n"))
    }

    #[test]
    fn a_head_is_found_however_it_trickles_in() {
        let input = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nrest";
        let mut scan = HeadScanner::default();
        for end in 0..27 {
            assert_eq!(scan.find(&input[..end], &Limits::new()), Ok(ScanResult::Incomplete), "{end}");
        }
        let head = ScanResult::Head { bytes: 27, fields: 16, lines: 1 };
        assert_eq!(scan.find(&input[..27], &Limits::new()), Ok(head));
        assert_eq!(find(b"\r\nGET"), Ok(ScanResult::EmptyLine(2)));
    }

    #[test]
    fn bounds_hold_before_the_line_is_complete() {
        let long = |start: &str, bytes| find(format!("{start}{}", "a".repeat(bytes)).as_bytes());
        assert_eq!(long("GET /", 8000), Err(RequestError::LineTooLong));
        assert!(matches!(long("", 8002), Err(RequestError::Malformed(_))), "a method that long");
        assert_eq!(long("GET / HTTP/1.1\r\nA: ", 8192), Err(RequestError::HeadTooLarge));
        let fields = |count| find(format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(count)).as_bytes());
        assert!(fields(100).is_ok());
        assert_eq!(fields(101), Err(RequestError::HeadTooLarge));
        let large = format!("GET / HTTP/1.1\r\n{}", format!("A: {}\r\n", "b".repeat(8000)).repeat(9));
        assert_eq!(find(large.as_bytes()), Err(RequestError::HeadTooLarge));
    }

    #[test]
    fn line_ends_are_carriage_return_and_line_feed() {
        for input in [
            "GET / HTTP/1.1\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\n\r\n",
            "\nGET / HTTP/1.1\r\n",
            "\0",
            "\x16\x03\x01",
        ] {
            assert!(matches!(find(input.as_bytes()), Err(RequestError::Malformed(_))), "{input:?}");
        }
        for input in [
            "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nB: c\r\r\n\r\n",
            "\r\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        ] {
            assert!(matches!(parse(input), Err(RequestError::Malformed(_))), "{input:?}");
        }
    }

    #[test]
    fn fields_that_two_readers_may_read_differently_are_refused() {
        for line in [
            "A : b",
            " A: b",
            "\tA: b",
            "A: b\r\n c",
            "A\0: b",
            "A: b\0",
            "A",
            ": b",
            "A: b\x01",
            "A: \x7f",
            "A(: b",
        ] {
            let result = parse(&format!("GET / HTTP/1.1\r\nHost: a\r\n{line}\r\n\r\n"));
            assert!(matches!(result, Err(RequestError::Malformed(_))), "{line:?} gives {result:?}");
        }
    }

    #[test]
    fn targets_come_in_four_forms() {
        let cases = [
            ("GET /a/b?c=d HTTP/1.1", "/a/b", Some("c=d")),
            ("GET /? HTTP/1.1", "/", Some("")),
            ("GET http://a HTTP/1.1", "/", None),
            ("GET HTTP://A:80?b HTTP/1.1", "/", Some("b")),
            ("GET http://a/b HTTP/1.0", "/b", None),
            ("OPTIONS * HTTP/1.1", "*", None),
            ("CONNECT a:443 HTTP/1.1", "", None),
        ];
        for (line, path, query) in cases {
            let head = parse_line(line).unwrap_or_else(|error| panic!("{line}: {error}"));
            assert_eq!((head.path(), head.query()), (path, query), "{line}");
            assert_eq!(head.target(), line.split(' ').nth(1).unwrap());
        }
        for line in [
            "GET * HTTP/1.1",
            "OPTIONS *a HTTP/1.1",
            "GET a:80 HTTP/1.1",
            "GET ?a HTTP/1.1",
            "GET /a#b HTTP/1.1",
            "GET http://:80/ HTTP/1.1",
            "GET http://a:8x/ HTTP/1.1",
            "CONNECT / HTTP/1.1",
            "CONNECT a HTTP/1.1",
            "GET http://u@a/ HTTP/1.1",
            "GET /\u{e9} HTTP/1.1",
            "GET / b HTTP/1.1",
            "GET  / HTTP/1.1",
            "GET /",
        ] {
            assert!(matches!(parse_line(line), Err(RequestError::Malformed(_))), "{line}");
        }
    }

    #[test]
    fn versions() {
        for line in ["GET / HTTP/2.0", "GET / HTTP/9.9", "GET / HTTP/0.9"] {
            assert_eq!(parse_line(line).unwrap_err(), RequestError::Version, "{line}");
        }
        for line in ["GET / HTTP/1", "GET / http/1.1", "GET / HTTP/1.10", "GET / HTTP/11", "GET / HTTP/1.1 "]
        {
            assert!(matches!(parse_line(line), Err(RequestError::Malformed(_))), "{line}");
        }
    }

    #[test]
    fn more_fields_than_fit_on_the_stack() {
        let input = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "A: b\r\n".repeat(500));
        let limits = Limits::new().max_headers(1000);
        let Ok(ScanResult::Head { bytes, fields, lines }) =
            HeadScanner::default().find(input.as_bytes(), &limits)
        else {
            panic!("a head");
        };
        let (head, _) = parse_slow(&input.as_bytes()[..bytes], fields, lines, Scheme::Http).unwrap();
        assert_eq!(head.headers().len(), 501);
    }

    proptest! {
        /// Compares the fast path with the slow one.
        #[test]
        fn what_is_read_quickly_is_read_alike(
            lines in prop::collection::vec(
                "(GET|Host|A|[A-Za-z/ :]{1,6})(: ?| / HTTP/1.[01]|[ -~]{0,4})[a-z0-9]{0,9}",
                1..6,
            ),
            ends in prop::collection::vec(
                prop_oneof![8 => Just("\r\n"), 1 => Just("\n"), 1 => Just("\r\r\n")],
                6,
            ),
            host in any::<bool>(),
        ) {
            let mut input = if host { "GET / HTTP/1.1\r\nHost: a\r\n".to_owned() } else { String::new() };
            lines.iter().zip(&ends).for_each(|(line, end)| { input.push_str(line); input.push_str(end); });
            input.push_str(ends[5]);
            let limits = Limits::new().max_line_bytes(24).max_header_bytes(14);
            let limits = limits.max_headers(5).max_head_bytes(80);
            let careful = match HeadScanner::default().find(input.as_bytes(), &limits) {
                Ok(ScanResult::Head { bytes, fields, lines }) => {
                    parse_slow(&input.as_bytes()[..bytes], fields, lines, Scheme::Http).ok()
                }
                _ => None,
            };
            let quick = super::parse(input.as_bytes(), &limits);
            let said = |(head, framing): &(Head, Framing)| {
                (*framing, head.bytes().to_vec(), format!("{head:?} {}", head.path()))
            };
            if let Some(quick) = &quick {
                prop_assert_eq!(Some(said(quick)), careful.as_ref().map(said));
            } else {
                let has_fields = careful.is_some_and(|(head, _)| !head.headers().is_empty());
                prop_assert!(!has_fields, "not quick: {:?}", input);
            }
        }
    }
}

//! Conditional requests (RFC 9110 §13) and ranges (§14): what a request wants of a file.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderValue, Method, header};

use super::{Response, file::value};
use crate::{Head, message::list_elements};

/// Bounds the ranges of one request; 16. A request with more gets the whole file.
const MAX_RANGES: usize = 16;

/// The last second that `Last-Modified` can say: that of a year with four digits.
const LAST_SECOND: u64 = 253_402_300_799;

/// The validators of a file, which conditions and ranges refer to.
#[derive(Debug)]
pub(super) struct Validators {
    pub(super) length: u64,
    /// The time of modification, in whole seconds as `Last-Modified` says it.
    modified: SystemTime,
    /// The file may change again within the second that its date names, so that the date does not tell the
    /// two apart (RFC 9110 §8.8.2.2).
    date_is_weak: bool,
    /// The entity tag, with its quotes and, if it is weak, its prefix.
    pub(super) tag: String,
}

#[derive(Debug, PartialEq)]
pub(super) enum Decision {
    Whole,
    Range {
        first: u64,
        last: u64,
    },
    /// Two or more ranges, in the order asked for: first and last byte of each.
    Ranges(Vec<(u64, u64)>),
    NotModified,
    Failed,
    Unsatisfiable,
}

impl Validators {
    /// Creates the validators of a file that was modified at a time before or after `now`.
    pub(super) fn new(length: u64, modified: SystemTime, now: SystemTime, tag: String) -> Self {
        let second = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let modified_second = second(modified).min(LAST_SECOND);
        Self {
            length,
            modified: UNIX_EPOCH + Duration::from_secs(modified_second),
            date_is_weak: second(now) <= modified_second,
            tag,
        }
    }

    /// Adds the fields that every response with the file or a part of it has. A date in the future is
    /// replaced when the response is sent (RFC 9110 §8.8.2.1).
    pub(super) fn describe(&self, response: Response, media_type: Option<&'static str>) -> Response {
        let modified = value(httpdate::fmt_http_date(self.modified));
        let response = self.identify(response).header(header::LAST_MODIFIED, modified);
        match media_type {
            Some(media_type) => response.header(header::CONTENT_TYPE, HeaderValue::from_static(media_type)),
            None => response,
        }
    }

    /// Adds the fields that are enough for a client that knows the file: a 304 and a 206 to `If-Range` have
    /// no others (RFC 9110 §15.3.7, §15.4.5).
    pub(super) fn identify(&self, response: Response) -> Response {
        response
            .header(header::ETAG, value(self.tag.clone()))
            .header(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"))
    }

    /// Decides in the order of RFC 9110 §13.2.2.
    pub(super) fn decide(&self, head: &Head) -> Decision {
        let headers = head.headers();
        if matches!(*head.method(), Method::CONNECT | Method::OPTIONS | Method::TRACE) {
            // They select no representation (RFC 9110 §13.2.1).
            return Decision::Whole;
        }
        let is_get = matches!(*head.method(), Method::GET | Method::HEAD);
        if headers.get("if-match").is_some() {
            if !self.is_in(head, "if-match", true) {
                return Decision::Failed;
            }
        } else if let Some(date) = date(head, "if-unmodified-since")
            && self.modified > date
        {
            return Decision::Failed;
        }
        if headers.get("if-none-match").is_some() {
            if self.is_in(head, "if-none-match", false) {
                return if is_get { Decision::NotModified } else { Decision::Failed };
            }
        } else if let Some(date) = date(head, "if-modified-since").filter(|_| is_get)
            && self.modified <= date
        {
            return Decision::NotModified;
        }
        // A range applies to GET alone (RFC 9110 §14.2).
        if *head.method() != Method::GET {
            return Decision::Whole;
        }
        let same = match (headers.get("if-range"), single(head, "if-range")) {
            (None, _) => true,
            (Some(tag), Some(_)) if tag.starts_with(b"\"") => tag == self.tag.as_bytes(),
            (Some(_), _) => !self.date_is_weak && date(head, "if-range") == Some(self.modified),
        };
        match single(head, "range").filter(|_| same) {
            Some(range) => self.range(range),
            None => Decision::Whole,
        }
    }

    /// Returns whether a field that lists entity tags names this one. Weak tags match only where that is
    /// enough (§8.8.3.2).
    fn is_in(&self, head: &Head, name: &str, strong: bool) -> bool {
        head.headers().get_all(name).flat_map(list_elements).any(|tag| {
            let ours = self.tag.as_bytes();
            match strong {
                _ if tag == b"*" => true,
                true => tag == ours && !ours.starts_with(b"W/"),
                false => strip_weak(tag) == strip_weak(ours),
            }
        })
    }

    /// Parses ranges of bytes (RFC 9110 §14.1.2). Other units, malformed ranges, and more or larger ranges
    /// than an honest client needs are ignored, as a server may (§14.2, §17.15).
    fn range(&self, range: &str) -> Decision {
        let Some(list) =
            range.get(..6).filter(|unit| unit.eq_ignore_ascii_case("bytes=")).map(|_| &range[6..])
        else {
            return Decision::Whole;
        };
        let mut ranges = Vec::new();
        let (mut asked, elements) = (0, list_elements(list.as_bytes()));
        for element in elements {
            asked += 1;
            match std::str::from_utf8(element).ok().and_then(|element| self.element(element)) {
                Some(part) if asked <= MAX_RANGES => ranges.extend(part),
                _ => return Decision::Whole,
            }
        }
        if asked == 0 {
            return Decision::Whole;
        }
        let total: u64 = ranges.iter().map(|(first, last)| last - first + 1).sum();
        match ranges[..] {
            [] => Decision::Unsatisfiable,
            [(first, last)] => Decision::Range { first, last },
            _ if total > self.length => Decision::Whole,
            _ => Decision::Ranges(ranges),
        }
    }

    /// Parses one element of the list: first and last byte, or nothing if the file has none of them. Returns
    /// none if it is malformed.
    #[expect(clippy::option_option, reason = "malformed, beyond the end, or a range")]
    fn element(&self, element: &str) -> Option<Option<(u64, u64)>> {
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            // A number too large to parse is beyond the end as well.
            digits.then(|| text.parse().unwrap_or(u64::MAX))
        };
        let (first, last) = element.split_once('-')?;
        let (first, last) = match (first, number(first), last, number(last)) {
            ("", _, _, Some(0)) => return Some(None),
            ("", _, _, Some(suffix)) => (self.length.saturating_sub(suffix), u64::MAX),
            (_, Some(first), "", _) => (first, u64::MAX),
            (_, Some(first), _, Some(last)) if first <= last => (first, last),
            _ => return None,
        };
        Some((first < self.length).then(|| (first, last.min(self.length - 1))))
    }
}

fn strip_weak(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

/// Returns the value of a field that is there once; a field of this kind has no list.
fn single<'a>(head: &'a Head, name: &str) -> Option<&'a str> {
    let headers = head.headers();
    let mut values = headers.get_all(name);
    match (values.next(), values.next()) {
        (Some(_), None) => headers.get_str(name),
        _ => None,
    }
}

fn date(head: &Head, name: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(single(head, name)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Http1, HttpConfig};
    use riot_flow::Flow;
    use std::{
        sync::Arc,
        task::{Context, Poll, Waker},
        time::Instant,
    };

    /// Returns what is decided for a request with these fields, of a file with 100 bytes.
    fn decide(method: &str, fields: &str) -> Decision {
        let (mut connection, mut requests) = Http1::new(Arc::new(HttpConfig::new()));
        let request = format!("{method} / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        connection.read(request.as_bytes(), Instant::now());
        let Poll::Ready(Some(reqd)) = requests.poll_next(&mut Context::from_waker(Waker::noop())) else {
            panic!("no request: {request}")
        };
        about().decide(reqd.request())
    }

    fn about() -> Validators {
        let modified = UNIX_EPOCH + Duration::from_millis(784_111_777_500);
        Validators::new(100, modified, modified + Duration::from_secs(1), "\"tag\"".into())
    }

    const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
    const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";

    #[test]
    fn ranges() {
        let part = |first, last| Decision::Range { first, last };
        let cases = [
            ("bytes=0-0", part(0, 0)),
            ("bytes=10-19", part(10, 19)),
            ("bytes=90-", part(90, 99)),
            ("bytes=90-1000", part(90, 99)),
            ("bytes=-10", part(90, 99)),
            ("bytes=-1000", part(0, 99)),
            ("BYTES=1-2", part(1, 2)),
            ("bytes=0-99999999999999999999999", part(0, 99)),
            ("bytes=100-", Decision::Unsatisfiable),
            ("bytes=99999999999999999999999-", Decision::Unsatisfiable),
            ("bytes=-0", Decision::Unsatisfiable),
            ("bytes=2-1", Decision::Whole),
            ("bytes=0-1,5-6", Decision::Ranges(vec![(0, 1), (5, 6)])),
            ("bytes=90-, 0-0 , -5", Decision::Ranges(vec![(90, 99), (0, 0), (95, 99)])),
            ("bytes=0-1,100-", part(0, 1)),
            ("bytes=100-,200-", Decision::Unsatisfiable),
            ("bytes=0-60,10-70", Decision::Whole),
            ("bytes=0-1,,5-6", Decision::Ranges(vec![(0, 1), (5, 6)])),
            ("bytes=,0-1 ,", part(0, 1)),
            ("bytes=,", Decision::Whole),
            ("bytes=0-1,b", Decision::Whole),
            (
                "bytes=0-0,1-1,2-2,3-3,4-4,5-5,6-6,7-7,8-8,9-9,10-10,11-11,12-12,13-13,14-14,15-15,16-16",
                Decision::Whole,
            ),
            ("bytes=", Decision::Whole),
            ("bytes=-", Decision::Whole),
            ("bytes=+1-2", Decision::Whole),
            ("bytes=a-b", Decision::Whole),
            ("lines=1-2", Decision::Whole),
            ("é", Decision::Whole),
        ];
        for (range, decision) in cases {
            assert_eq!(decide("GET", &format!("Range: {range}\r\n")), decision, "{range}");
        }
        assert_eq!(decide("HEAD", "Range: bytes=0-1\r\n"), Decision::Whole);
        let about = Validators::new(0, UNIX_EPOCH, SystemTime::now(), "\"tag\"".into());
        assert_eq!(about.range("bytes=0-"), Decision::Unsatisfiable);
        assert_eq!(about.range("bytes=-5"), Decision::Unsatisfiable);
    }

    #[test]
    fn conditions() {
        let tag = about().tag;
        let cases = [
            (format!("If-None-Match: {tag}"), Decision::NotModified),
            (format!("If-None-Match: \"x\", W/{tag}"), Decision::NotModified),
            ("If-None-Match: *".into(), Decision::NotModified),
            ("If-None-Match: \"x\"".into(), Decision::Whole),
            (format!("If-None-Match: \"x\"\r\nIf-Modified-Since: {LATER}"), Decision::Whole),
            (format!("If-Modified-Since: {MODIFIED}"), Decision::NotModified),
            (format!("If-Modified-Since: {LATER}"), Decision::NotModified),
            (format!("If-Modified-Since: {EARLIER}"), Decision::Whole),
            ("If-Modified-Since: yesterday".into(), Decision::Whole),
            (format!("If-Match: {tag}"), Decision::Whole),
            (format!("If-Match: W/{tag}"), Decision::Failed),
            ("If-Match: *".into(), Decision::Whole),
            ("If-Match: \"x\"".into(), Decision::Failed),
            (format!("If-Unmodified-Since: {MODIFIED}"), Decision::Whole),
            (format!("If-Unmodified-Since: {EARLIER}"), Decision::Failed),
            (format!("If-Range: {tag}\r\nRange: bytes=0-1"), Decision::Range { first: 0, last: 1 }),
            (format!("If-Range: W/{tag}\r\nRange: bytes=0-1"), Decision::Whole),
            ("If-Range: \"x\"\r\nRange: bytes=0-1".into(), Decision::Whole),
            (format!("If-Range: {MODIFIED}\r\nRange: bytes=0-1"), Decision::Range { first: 0, last: 1 }),
            (format!("If-Range: {LATER}\r\nRange: bytes=0-1"), Decision::Whole),
        ];
        for (fields, decision) in cases {
            assert_eq!(decide("GET", &format!("{fields}\r\n")), decision, "{fields}");
        }
        assert_eq!(decide("PUT", &format!("If-None-Match: {tag}\r\n")), Decision::Failed);
    }
}

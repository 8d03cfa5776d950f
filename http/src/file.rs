//! Files as answers: conditions (RFC 9110 §13) and ranges (§14), sent by the system where it can.
//!
//! Sending blocks the worker for as long as the system takes to fetch a piece: microseconds out of its cache, more if the
//! disk has to turn. Who serves what lies on slow disks reads it in a thread and streams it.

use std::{
    fs::File,
    hash::Hasher,
    io,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::{HeaderValue, Method, StatusCode, header};
use riot_flow::FilePart;

use crate::{Head, Response, framing};

/// Up to here reading and sending head and body together is cheaper than a system call for each of them.
const PIECE_BYTES: usize = 64 * 1024;

/// More ranges in one request are nobody's honest wish.
const RANGES_MAX: usize = 16;

impl Response {
    /// The file at `path`, for this request: 200, or 206 with the ranges it asks for, or 304, 412 or 416 as its
    /// conditions say. The media type follows from the extension; a field `Content-Type` set afterwards replaces it.
    ///
    /// The path is taken as it is. One made out of a request's target has to be checked before: see
    /// [`safe_path`](crate::safe_path).
    ///
    /// ```no_run
    /// # use riot_http::{Request, Response};
    /// async fn logo(request: Request) -> Response {
    ///     Response::file(request.head(), "static/logo.png").unwrap_or_else(|_| Response::not_found())
    /// }
    /// ```
    ///
    /// # Errors
    /// Those of the system; [`io::ErrorKind::IsADirectory`] if it is no file.
    pub fn file(head: &Head, path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let about = About::new(metadata.len(), metadata.modified().unwrap_or(UNIX_EPOCH));
        let response = |status| about.describe(Response::new(status), media_type(path));
        Ok(match about.decide(head) {
            Decision::NotModified => about.describe(Response::new(StatusCode::NOT_MODIFIED), None),
            Decision::Failed => Response::new(StatusCode::PRECONDITION_FAILED),
            Decision::Unsatisfiable => Response::new(StatusCode::RANGE_NOT_SATISFIABLE)
                .header(header::CONTENT_RANGE, value(format!("bytes */{}", about.length))),
            Decision::Whole => contents(response(StatusCode::OK), head, file, 0, about.length)?,
            Decision::Range { first, last } => {
                let range = value(format!("bytes {first}-{last}/{}", about.length));
                let response = response(StatusCode::PARTIAL_CONTENT).header(header::CONTENT_RANGE, range);
                contents(response, head, file, first, last - first + 1)?
            }
            Decision::Ranges(ranges) => {
                let response = about.describe(Response::new(StatusCode::PARTIAL_CONTENT), None);
                Multipart::new(&about, media_type(path)).answer(response, file, ranges)
            }
        })
    }
}

/// A path below a folder, out of the path of a request: decoded, and only if it stays below. None if it does not, or
/// names something hidden, or is no text.
///
/// ```
/// use riot_http::safe_path;
/// assert_eq!(safe_path("/css/the%20style.css").unwrap().to_str(), Some("css/the style.css"));
/// assert_eq!(safe_path("/../etc/passwd"), None);
/// assert_eq!(safe_path("/%2e%2e/etc/passwd"), None);
/// assert_eq!(safe_path("/a%2fb"), None);
/// ```
#[must_use]
pub fn safe_path(path: &str) -> Option<std::path::PathBuf> {
    let mut safe = std::path::PathBuf::new();
    for segment in path.strip_prefix('/')?.split('/').filter(|segment| !segment.is_empty()) {
        let decoded = decode(segment)?;
        let hidden = decoded.starts_with('.');
        if hidden || decoded.contains(['/', '\\', '\0', ':']) {
            return None;
        }
        safe.push(decoded);
    }
    Some(safe)
}

/// Resolves percent-encoding (RFC 3986 §2.1).
fn decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(if byte == b'%' {
            let mut digit = || bytes.next().and_then(|digit| char::from(digit).to_digit(16));
            (digit()? * 16 + digit()?) as u8
        } else {
            byte
        });
    }
    String::from_utf8(decoded).ok()
}

/// So many bytes of a file from `first` on. A small part is read at once, to leave in one write with its head.
fn contents(response: Response, head: &Head, file: File, first: u64, length: u64) -> io::Result<Response> {
    let length = usize::try_from(length).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    let part = FilePart::new(file, first, length);
    if length > PIECE_BYTES || *head.method() == Method::HEAD {
        return Ok(response.body_file(part));
    }
    Ok(response.body(part.to_vec()?))
}

/// What conditions and ranges are about.
#[derive(Debug)]
struct About {
    length: u64,
    /// In whole seconds, as `Last-Modified` says it.
    modified: SystemTime,
    /// Quotes included.
    tag: String,
}

#[derive(Debug, PartialEq)]
enum Decision {
    Whole,
    Range {
        first: u64,
        last: u64,
    },
    /// Two or more, in the order asked for: first and last byte of each.
    Ranges(Vec<(u64, u64)>),
    NotModified,
    Failed,
    Unsatisfiable,
}

impl About {
    fn new(length: u64, modified: SystemTime) -> Self {
        let since = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
        let tag = format!("\"{:x}-{:x}\"", since.as_nanos(), length);
        Self { length, modified: UNIX_EPOCH + Duration::from_secs(since.as_secs()), tag }
    }

    fn describe(&self, response: Response, media_type: Option<&'static str>) -> Response {
        let response = response
            .header(header::ETAG, value(self.tag.clone()))
            .header(header::LAST_MODIFIED, value(httpdate::fmt_http_date(self.modified)))
            .header(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        match media_type {
            Some(media_type) => response.header(header::CONTENT_TYPE, HeaderValue::from_static(media_type)),
            None => response,
        }
    }

    /// In the order of RFC 9110 §13.2.2.
    fn decide(&self, head: &Head) -> Decision {
        let headers = head.headers();
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
        // A range is for GET alone (RFC 9110 §14.2).
        if *head.method() != Method::GET {
            return Decision::Whole;
        }
        let same = match headers.get("if-range") {
            None => true,
            Some(tag) if tag.starts_with(b"\"") => tag == self.tag.as_bytes(),
            Some(_) => date(head, "if-range") == Some(self.modified),
        };
        match headers.get_str("range").filter(|_| same) {
            Some(range) => self.range(range),
            None => Decision::Whole,
        }
    }

    /// A field that lists entity tags names this one. Weak tags match only where that is enough (§8.8.3.2).
    fn is_in(&self, head: &Head, name: &str, strong: bool) -> bool {
        head.headers().get_all(name).flat_map(framing::elements).any(|tag| {
            let weak = tag.strip_prefix(b"W/");
            tag == b"*" || (if strong { tag } else { weak.unwrap_or(tag) }) == self.tag.as_bytes()
        })
    }

    /// Ranges of bytes (RFC 9110 §14.1.2). Other units, what is malformed, and more or larger ranges than an honest
    /// client has a use for are left aside, as a server may (§14.2, §17.15).
    fn range(&self, range: &str) -> Decision {
        let Some(list) =
            range.get(..6).filter(|unit| unit.eq_ignore_ascii_case("bytes=")).map(|_| &range[6..])
        else {
            return Decision::Whole;
        };
        let mut ranges = Vec::new();
        for (nth, element) in list.split(',').enumerate() {
            match self.element(element.trim()) {
                Some(_) if nth >= RANGES_MAX => return Decision::Whole,
                Some(part) => ranges.extend(part),
                None => return Decision::Whole,
            }
        }
        let total: u64 = ranges.iter().map(|(first, last)| last - first + 1).sum();
        match ranges[..] {
            [] => Decision::Unsatisfiable,
            [(first, last)] => Decision::Range { first, last },
            _ if total > self.length => Decision::Whole,
            _ => Decision::Ranges(ranges),
        }
    }

    /// One element of the list: first and last byte, or nothing if the file has none of them. None if it is malformed.
    #[expect(clippy::option_option, reason = "malformed, beyond the end, or a range")]
    fn element(&self, element: &str) -> Option<Option<(u64, u64)>> {
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            // A number beyond all numbers is beyond the end as well.
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

/// Several parts of a file in one answer (RFC 9110 §14.6).
struct Multipart<'a> {
    about: &'a About,
    boundary: String,
    media_type: Option<&'static str>,
}

impl<'a> Multipart<'a> {
    /// The boundary follows from the file, so that an answer is the same whenever it is asked for; a file that holds it
    /// does so by a chance of one in 2^64.
    fn new(about: &'a About, media_type: Option<&'static str>) -> Self {
        let mut hash = std::hash::DefaultHasher::new();
        hash.write(about.tag.as_bytes());
        Self { about, boundary: format!("part-{:016x}", hash.finish()), media_type }
    }

    fn begin(&self, (first, last): (u64, u64)) -> String {
        let Self { about, boundary, media_type } = self;
        let media_type =
            media_type.map(|media_type| format!("Content-Type: {media_type}\r\n")).unwrap_or_default();
        format!(
            "\r\n--{boundary}\r\n{media_type}Content-Range: bytes {first}-{last}/{}\r\n\r\n",
            about.length
        )
    }

    fn answer(self, response: Response, file: File, ranges: Vec<(u64, u64)>) -> Response {
        let file = Arc::new(file);
        let parts: Vec<_> = ranges.into_iter().map(|range| (self.begin(range), range)).collect();
        let end = format!("\r\n--{}--\r\n", self.boundary);
        let length = |(begin, (first, last)): &(String, (u64, u64))| begin.len() as u64 + last - first + 1;
        let total = parts.iter().map(length).sum::<u64>() + end.len() as u64;
        let response = response
            .header(header::CONTENT_TYPE, value(format!("multipart/byteranges; boundary={}", self.boundary)))
            .header(header::CONTENT_LENGTH, HeaderValue::from(total));
        response.stream(move |mut body| async move {
            for (begin, (first, last)) in parts {
                if body.write(begin).await.is_err() {
                    return;
                }
                let mut next = first;
                while next <= last {
                    let piece = usize::try_from(last - next + 1).unwrap_or(usize::MAX).min(PIECE_BYTES);
                    // A file that has become shorter is cut off; the client sees that something is missing.
                    let Ok(bytes) = FilePart::new(file.clone(), next, piece).to_vec() else { return };
                    if body.write(bytes).await.is_err() {
                        return;
                    }
                    next += piece as u64;
                }
            }
            if body.write(end).await.is_ok() {
                let _ = body.close();
            }
        })
    }
}

fn date(head: &Head, name: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(head.headers().get_str(name)?).ok()
}

fn value(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("digits and dates are text")
}

/// The media types a site is made of; whatever else a file may be, it is bytes.
fn media_type(path: &Path) -> Option<&'static str> {
    let extension = path.extension().and_then(|extension| extension.to_str()).map(str::to_ascii_lowercase);
    Some(match extension.as_deref().unwrap_or_default() {
        "html" | "htm" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "txt" | "md" => "text/plain; charset=utf-8",
        "csv" => "text/csv; charset=utf-8",
        "xml" => "application/xml",
        "json" | "map" => "application/json",
        "wasm" => "application/wasm",
        "pdf" => "application/pdf",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "avif" => "image/avif",
        "ico" => "image/x-icon",
        "woff" => "font/woff",
        "woff2" => "font/woff2",
        "mp3" => "audio/mpeg",
        "mp4" => "video/mp4",
        "webm" => "video/webm",
        _ => "application/octet-stream",
    })
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

    /// What is decided of a request with these fields; the file has 100 bytes.
    fn decide(method: &str, fields: &str) -> Decision {
        let (mut connection, mut requests) = Http1::new(Arc::new(HttpConfig::new()));
        let request = format!("{method} / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        connection.read(request.as_bytes(), Instant::now());
        let Poll::Ready(Some(reqd)) = requests.poll_next(&mut Context::from_waker(Waker::noop())) else {
            panic!("no request: {request}")
        };
        about().decide(reqd.request())
    }

    fn about() -> About {
        About::new(100, UNIX_EPOCH + Duration::from_millis(784_111_777_500))
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
            ("bytes=0-1,,5-6", Decision::Whole),
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
        let about = About::new(0, UNIX_EPOCH);
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

    #[test]
    fn no_path_leads_out() {
        for path in [
            "/..",
            "/a/../../b",
            "/%2E%2e/a",
            "/.git/config",
            "/a%00",
            "/a%2f..%2fb",
            "/c:/x",
            "/a\\b",
            "/%f",
            "/%ff",
            "a",
        ] {
            assert_eq!(safe_path(path), None, "{path}");
        }
        assert_eq!(safe_path("/").unwrap(), Path::new(""));
        assert_eq!(safe_path("//a//b/").unwrap(), Path::new("a/b"));
    }
}

//! Files as responses, with conditions (RFC 9110 §13) and ranges (§14), sent by the system where it can.
//!
//! Sending blocks the worker for as long as the system takes to fetch a piece: microseconds from its cache,
//! more if the disk has to be read. Serve files on slow disks by reading them in a thread and streaming them.

use std::{fs::File, hash::Hasher, io, path::Path, sync::Arc, time::UNIX_EPOCH};

use http::{HeaderValue, Method, StatusCode, header};
use riot_flow::FilePart;

use super::{
    Response,
    conditional::{Decision, Validators},
};
use crate::Head;

/// The size up to which head and body are read and sent together, in bytes; 64 KiB. Below it that is cheaper
/// than a system call for each.
const PIECE_BYTES: usize = 64 * 1024;

impl Response {
    /// Serves the file at `path` for this request: 200, or 206 with the ranges it asks for, or 304, 412 or
    /// 416 as its conditions say. The media type follows from the extension; a field `Content-Type` set
    /// afterwards replaces it.
    ///
    /// The path is used as it is. A path made from a request's target has to be checked first: see
    /// [`safe_path`](crate::safe_path).
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
        let about = Validators::new(metadata.len(), metadata.modified().unwrap_or(UNIX_EPOCH));
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

/// Converts the path of a request to a relative path below a folder: decoded, and only if it stays below.
/// Returns none if it does not, or names a hidden file, or is not UTF-8.
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

/// Responds with `length` bytes of a file from `first` on. A small part is read at once, to leave in one
/// write with its head.
fn contents(response: Response, head: &Head, file: File, first: u64, length: u64) -> io::Result<Response> {
    let length = usize::try_from(length).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    let part = FilePart::new(file, first, length);
    if length > PIECE_BYTES || *head.method() == Method::HEAD {
        return Ok(response.body_file(part));
    }
    Ok(response.body(part.to_vec()?))
}

/// Several parts of a file in one response (RFC 9110 §14.6).
struct Multipart<'a> {
    about: &'a Validators,
    boundary: String,
    media_type: Option<&'static str>,
}

impl<'a> Multipart<'a> {
    /// Creates the parts. The boundary follows from the file, so that a response is the same whenever it is
    /// asked for; a file contains it with a probability of one in 2^64.
    fn new(about: &'a Validators, media_type: Option<&'static str>) -> Self {
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

pub(super) fn value(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("digits and dates are text")
}

/// Returns the media type of a file by its extension. Any other file is bytes.
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

//! Files as responses, with conditions (RFC 9110 §13) and ranges (§14), sent by the system where it can.
//!
//! Opening, reading and sending block the worker for as long as the system takes to fetch a piece:
//! microseconds from its cache, more if the disk has to be read. [`Response::file_from_disk`] opens and reads
//! in another thread.

use std::{fs::File, hash::Hasher, path::Path, sync::Arc, time::SystemTime};

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use riot_flow::FilePart;

use super::{
    FileError, Response,
    conditional::{Decision, Validators},
    opened_file::{Contents, MAX_READ_BYTES, OpenedFile},
};
use crate::Head;

impl Response {
    /// Serves the file at `path` for this request: 200, or 206 with the ranges it asks for, or 304, 412 or
    /// 416 as its conditions say. The media type follows from the extension; a field `Content-Type` set
    /// afterwards replaces it.
    ///
    /// The path is used as it is, and symbolic links are followed wherever they lead. A path made from a
    /// request's target has to be checked first: see [`safe_path`](crate::safe_path), and
    /// [`Folder`](crate::Folder) for links.
    ///
    /// The entity tag of a file of up to 64 KiB follows from its contents. That of a larger one follows from
    /// its times, and is weak in the first two seconds after a change. A date is no strong validator within
    /// its own second (RFC 9110 §8.8.2.2).
    ///
    /// ```no_run
    /// # use riot_http::{FileError, Request, Response};
    /// async fn logo(request: Request) -> Result<Response, FileError> {
    ///     Response::file(request.head(), "static/logo.png")
    /// }
    /// ```
    ///
    /// # Errors
    /// [`FileError`] says which status fits: 404 if there is no regular file, also for a folder, a pipe, a
    /// socket and a device, none of which is waited for; 503 if the program has no descriptor left.
    pub fn file(head: &Head, path: impl AsRef<Path>) -> Result<Self, FileError> {
        let path = path.as_ref();
        Self::opened_file(head, path, OpenedFile::open(path)?)
    }

    /// Serves a file as [`file`](Self::file) does, but opens and reads it in another thread (see
    /// [`blocking`](riot_actor::runtime::blocking)), so that a slow disk or a network file system keeps no
    /// worker. It costs two changes of threads. A body of more than 64 KiB is still read while it is sent.
    ///
    /// ```no_run
    /// # use riot_http::{FileError, Request, Response};
    /// async fn archived(request: Request) -> Result<Response, FileError> {
    ///     Response::file_from_disk(request.head(), "/archive/1998.pdf").await
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`file`](Self::file).
    ///
    /// # Panics
    /// Panics outside a process.
    ///
    /// # Cancel safety
    /// If the future is dropped before it is ready, the file is opened and closed for nothing.
    #[cfg(feature = "driver")]
    pub async fn file_from_disk(head: &Head, path: impl AsRef<Path>) -> Result<Self, FileError> {
        let (head, path) = (head.clone(), path.as_ref().to_path_buf());
        riot_actor::runtime::blocking(move || Self::file(&head, path)).await
    }

    pub(super) fn opened_file(head: &Head, path: &Path, file: OpenedFile) -> Result<Self, FileError> {
        let (contents, about) = file.examine(SystemTime::now())?;
        let response = |status| about.describe(Self::new(status), media_type(path));
        Ok(match about.decide(head) {
            Decision::NotModified => about.identify(Self::new(StatusCode::NOT_MODIFIED)),
            Decision::Failed => Self::new(StatusCode::PRECONDITION_FAILED),
            Decision::Unsatisfiable => Self::new(StatusCode::RANGE_NOT_SATISFIABLE)
                .header(header::CONTENT_RANGE, value(format!("bytes */{}", about.length))),
            Decision::Whole => body(response(StatusCode::OK), head, contents, 0, about.length)?,
            Decision::Range { first, last } => {
                let range = value(format!("bytes {first}-{last}/{}", about.length));
                let response = match head.headers().get("if-range") {
                    // The client has the other fields already.
                    Some(_) => about.identify(Self::new(StatusCode::PARTIAL_CONTENT)),
                    None => response(StatusCode::PARTIAL_CONTENT),
                };
                let response = response.header(header::CONTENT_RANGE, range);
                body(response, head, contents, first, last - first + 1)?
            }
            Decision::Ranges(ranges) => {
                let response = about.describe(Self::new(StatusCode::PARTIAL_CONTENT), None);
                Multipart::new(&about, media_type(path)).answer(response, contents, ranges)
            }
        })
    }
}

/// Gives the response `length` bytes of a file from `first` on.
fn body(
    response: Response,
    head: &Head,
    contents: Contents,
    first: u64,
    length: u64,
) -> Result<Response, FileError> {
    let too_large = || FileError::Io(std::io::ErrorKind::FileTooLarge.into());
    let length = usize::try_from(length).map_err(|_| too_large())?;
    Ok(match contents {
        Contents::Read(bytes) => {
            let first = usize::try_from(first).map_err(|_| too_large())?;
            response.body(bytes.slice(first..first + length))
        }
        Contents::Unread(file) => {
            let part = FilePart::new(file, first, length);
            // A small part leaves in one write with its head.
            match length as u64 <= MAX_READ_BYTES && *head.method() != Method::HEAD {
                true => response.body(part.to_vec()?),
                false => response.body_file(part),
            }
        }
    })
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

    fn answer(self, response: Response, contents: Contents, ranges: Vec<(u64, u64)>) -> Response {
        let source = Source::new(contents);
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
                    let piece = (last - next + 1).min(MAX_READ_BYTES);
                    // A file that has become shorter is cut off; the client sees that something is missing.
                    let Some(bytes) = source.piece(next, piece as usize) else { return };
                    if body.write(bytes).await.is_err() {
                        return;
                    }
                    next += piece;
                }
            }
            if body.write(end).await.is_ok() {
                let _ = body.close();
            }
        })
    }
}

/// Where the parts of one response come from.
enum Source {
    Bytes(Bytes),
    File(Arc<File>),
}

impl Source {
    fn new(contents: Contents) -> Self {
        match contents {
            Contents::Read(bytes) => Self::Bytes(bytes),
            Contents::Unread(file) => Self::File(Arc::new(file)),
        }
    }

    /// Returns `length` bytes from `first` on, or none if they are not there any more.
    fn piece(&self, first: u64, length: usize) -> Option<Bytes> {
        match self {
            Self::Bytes(bytes) => {
                let first = usize::try_from(first).ok()?;
                Some(bytes.slice(first..first + length))
            }
            Self::File(file) => FilePart::new(file.clone(), first, length).to_vec().ok().map(Bytes::from),
        }
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

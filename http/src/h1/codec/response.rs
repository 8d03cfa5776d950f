//! Response heads as bytes.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use riot_flow::Output;

use crate::h1::cache::{WorkerCache, date};

/// How a head frames the body behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LengthLine {
    /// The head says nothing: there is no body, or it ends with the connection.
    None,
    Length(u64),
    Chunked,
}

/// The `Connection` line of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectionLine {
    None,
    Close,
    KeepAlive,
    Upgrade,
    CloseUpgrade,
    KeepAliveUpgrade,
}

impl ConnectionLine {
    /// Returns the line of a head that has `Upgrade`, whose sender has to name it here (RFC 9110 §7.8).
    fn with_upgrade(self) -> Self {
        match self {
            Self::None | Self::Upgrade => Self::Upgrade,
            Self::Close | Self::CloseUpgrade => Self::CloseUpgrade,
            Self::KeepAlive | Self::KeepAliveUpgrade => Self::KeepAliveUpgrade,
        }
    }
}

/// The lines that the connection adds to the fields of a response.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Added<'a> {
    pub(crate) length: LengthLine,
    pub(crate) connection: ConnectionLine,
    /// The complete `Server` line.
    pub(crate) server: Option<&'a Bytes>,
    /// The time for `Date`, in seconds since 1970.
    pub(crate) unix_secs: u64,
}

/// Appends the head of a final response, or of a switch of protocols. A `Last-Modified` after the second
/// `latest` is replaced by the date of the message (RFC 9110 §8.8.2.1).
pub(crate) fn head<'a>(
    output: &mut Output,
    status: StatusCode,
    fields: impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)>,
    added: Added<'_>,
    latest: u64,
) {
    append(output, |head| {
        status_line(head, status);
        let (mut dated, mut served, mut connection) = (false, false, added.connection);
        for (name, value) in fields {
            if is_framing(name) {
                continue;
            }
            dated |= name == header::DATE;
            served |= name == header::SERVER;
            if name == header::UPGRADE {
                connection = connection.with_upgrade();
            }
            match name == header::LAST_MODIFIED && is_later(value, latest) {
                true => date::with_line(added.unix_secs, |line| {
                    head.extend_from_slice(b"last-modified");
                    head.extend_from_slice(&line[b"Date".len()..]);
                }),
                false => field(head, name, value),
            }
        }
        if !dated {
            date::with_line(added.unix_secs, |line| head.extend_from_slice(line));
        }
        if let Some(server) = added.server.filter(|_| !served) {
            head.extend_from_slice(server);
        }
        last_lines(head, added.length, connection);
    });
}

/// Bounds the scratch memory that a worker keeps; 8 KiB.
const MAX_SCRATCH_BYTES: usize = 8 * 1024;

/// Composes bytes in the worker's scratch memory, and appends them.
fn append(output: &mut Output, compose: impl FnOnce(&mut Vec<u8>)) {
    WorkerCache::with(|cache| {
        let scratch = &mut *cache.scratch.borrow_mut();
        scratch.clear();
        compose(scratch);
        output.write(scratch);
        if scratch.capacity() > MAX_SCRATCH_BYTES {
            *scratch = Vec::new();
        }
    });
}

/// Appends the last lines of a head.
pub(crate) fn last_lines(head: &mut Vec<u8>, length: LengthLine, connection: ConnectionLine) {
    match length {
        LengthLine::Length(length) => {
            head.extend_from_slice(b"content-length: ");
            head.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
            head.extend_from_slice(b"\r\n");
        }
        LengthLine::Chunked => head.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        LengthLine::None => {}
    }
    head.extend_from_slice(match connection {
        ConnectionLine::None => b"\r\n",
        ConnectionLine::Close => b"connection: close\r\n\r\n",
        ConnectionLine::KeepAlive => b"connection: keep-alive\r\n\r\n",
        ConnectionLine::Upgrade => b"connection: upgrade\r\n\r\n",
        ConnectionLine::CloseUpgrade => b"connection: close, upgrade\r\n\r\n",
        ConnectionLine::KeepAliveUpgrade => b"connection: keep-alive, upgrade\r\n\r\n",
    });
}

/// Appends an informational response (RFC 9110 §15.2), which has neither date nor framing.
pub(crate) fn interim<'a>(
    output: &mut Output,
    status: StatusCode,
    fields: impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)>,
) {
    append(output, |head| {
        status_line(head, status);
        fields.filter(|(name, _)| !is_framing(name)).for_each(|(name, value)| field(head, name, value));
        head.extend_from_slice(b"\r\n");
    });
}

/// Appends trailer fields and the end of a chunked body. Fields that may not be trailers are left out (RFC
/// 9110 §6.5.1).
pub(crate) fn trailers<'a>(output: &mut Output, fields: impl Iterator<Item = &'a (HeaderName, HeaderValue)>) {
    append(output, |end| {
        end.extend_from_slice(b"0\r\n");
        for (name, value) in fields.filter(|(name, _)| !is_framing(name) && *name != header::HOST) {
            field(end, name, value);
        }
        end.extend_from_slice(b"\r\n");
    });
}

/// Returns whether the value is a date after this second.
#[cold]
fn is_later(value: &HeaderValue, unix_secs: u64) -> bool {
    let date = value.to_str().ok().and_then(|text| httpdate::parse_http_date(text).ok());
    date.is_some_and(|date| crate::config::unix_secs(date) > unix_secs)
}

/// Returns whether only the connection writes this field.
fn is_framing(name: &HeaderName) -> bool {
    [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION].contains(name)
        || name == "keep-alive"
}

pub(crate) fn field(head: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    head.extend_from_slice(name.as_str().as_bytes());
    head.extend_from_slice(b": ");
    head.extend_from_slice(value.as_bytes());
    head.extend_from_slice(b"\r\n");
}

pub(crate) fn status_line(head: &mut Vec<u8>, status: StatusCode) {
    let known: &[u8] = match status {
        StatusCode::OK => b"HTTP/1.1 200 OK\r\n",
        StatusCode::CONTINUE => b"HTTP/1.1 100 Continue\r\n",
        StatusCode::NO_CONTENT => b"HTTP/1.1 204 No Content\r\n",
        StatusCode::NOT_MODIFIED => b"HTTP/1.1 304 Not Modified\r\n",
        StatusCode::NOT_FOUND => b"HTTP/1.1 404 Not Found\r\n",
        _ => {
            head.extend_from_slice(b"HTTP/1.1 ");
            head.extend_from_slice(status.as_str().as_bytes());
            head.extend_from_slice(b" ");
            head.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
            b"\r\n"
        }
    };
    head.extend_from_slice(known);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(
        status: u16,
        fields: &[(HeaderName, HeaderValue)],
        length: LengthLine,
        connection: ConnectionLine,
    ) -> String {
        let mut output = Output::new();
        let added = Added { length, connection, server: None, unix_secs: 0 };
        let fields = fields.iter().map(|(name, value)| (name, value));
        head(&mut output, StatusCode::from_u16(status).unwrap(), fields, added, 0);
        String::from_utf8(output.slices().to_vec()).unwrap()
    }

    #[test]
    fn what_frames_the_message_is_written_once() {
        let fields = [
            (header::CONTENT_LENGTH, HeaderValue::from_static("7")),
            (header::TRANSFER_ENCODING, HeaderValue::from_static("gzip")),
            (header::ETAG, HeaderValue::from_static("x")),
        ];
        assert_eq!(
            encode(200, &fields, LengthLine::Length(5), ConnectionLine::Close),
            "HTTP/1.1 200 OK\r\netag: x\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
             content-length: 5\r\nconnection: close\r\n\r\n"
        );
    }

    #[test]
    fn any_status_has_a_line() {
        let lines = encode(299, &[], LengthLine::None, ConnectionLine::None);
        assert!(lines.starts_with("HTTP/1.1 299 \r\n"), "{lines}");
        assert!(
            encode(418, &[], LengthLine::None, ConnectionLine::None)
                .starts_with("HTTP/1.1 418 I'm a teapot\r\n")
        );
    }

    #[test]
    fn a_head_that_is_kept_is_the_one_that_would_be_written() {
        let types = [None, Some(HeaderValue::from_static("a/b")), Some(HeaderValue::from_static("a/c"))];
        let servers = [Bytes::from_static(b"server: a\r\n"), Bytes::from_static(b"server: b\r\n")];
        for change in 0..200_u64 {
            // Each part differs from the one before at some time, and stays the same at some.
            let status = [StatusCode::OK, StatusCode::NOT_FOUND][(change / 3 % 2) as usize];
            let content_type = types[(change / 5 % 3) as usize].as_ref();
            let server = [None, Some(&servers[0]), Some(&servers[1])][(change / 7 % 3) as usize];
            let added = || Added {
                // Some go on as the one before did, and some as the one before that.
                length: [LengthLine::None, LengthLine::Chunked, LengthLine::Length(change / 4)]
                    [(change / 4 % 3) as usize],
                connection: [ConnectionLine::None, ConnectionLine::Close, ConnectionLine::KeepAlive]
                    [(change / 8 % 3) as usize],
                server,
                unix_secs: change / 10,
            };
            let (mut kept, mut written) = (Output::new(), Output::new());
            crate::h1::cache::response_heads::head(&mut kept, status, content_type, added());
            let fields = content_type.into_iter().map(|value| (&header::CONTENT_TYPE, value));
            head(&mut written, status, fields, added(), 0);
            assert_eq!(kept.slices().to_vec(), written.slices().to_vec());
        }
    }
}

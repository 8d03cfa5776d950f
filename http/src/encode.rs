//! A head as bytes, straight into the output.

use std::cell::RefCell;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use riot_flow::Output;

use crate::date;

/// How the body behind a head is framed, as the head says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LengthLine {
    /// Not at all: there is none, or it ends with the connection.
    None,
    Length(u64),
    Chunked,
}

/// What a head says about the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectionLine {
    None,
    Close,
    KeepAlive,
    Upgrade,
}

/// What the connection adds to the fields of a response.
#[derive(Debug)]
pub(crate) struct Added<'a> {
    pub(crate) length: LengthLine,
    pub(crate) connection: ConnectionLine,
    /// The line, whole.
    pub(crate) server: Option<&'a Bytes>,
    /// When it is, in seconds since 1970.
    pub(crate) second: u64,
}

/// Appends the head of a final answer, or of a switch of protocols.
#[inline(never)]
pub(crate) fn head<'a>(
    output: &mut Output,
    status: StatusCode,
    fields: impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)>,
    added: Added<'_>,
) {
    status_line(output, status);
    let (mut dated, mut served) = (false, false);
    for (name, value) in fields {
        if is_framing(name) {
            continue;
        }
        dated |= name == header::DATE;
        served |= name == header::SERVER;
        field(output, name, value);
    }
    if !dated {
        date::with_line(added.second, |line| output.write(line));
    }
    if let Some(server) = added.server.filter(|_| !served) {
        output.write(server);
    }
    framing(output, added.length, added.connection);
}

/// What the heads of many answers begin with: all but how long the body is, and what becomes of the connection.
#[derive(Default)]
struct Beginning {
    status: StatusCode,
    content_type: Option<HeaderValue>,
    server: Option<Bytes>,
    second: u64,
    bytes: Vec<u8>,
    /// How the last one went on, and the whole of it once two went on alike.
    last: Option<(LengthLine, ConnectionLine)>,
    whole: Vec<u8>,
}

thread_local! {
    /// The last one, which most often is the next one too.
    static BEGINNING: RefCell<Beginning> = RefCell::default();
}

/// As [`head`], of a response with no field but maybe a content type.
pub(crate) fn plain_head(
    output: &mut Output,
    status: StatusCode,
    content_type: Option<&HeaderValue>,
    added: Added<'_>,
) {
    BEGINNING.with_borrow_mut(|kept| {
        if kept.second != added.second || kept.status != status || !kept.says(content_type, added.server) {
            kept.begin(status, content_type, added.server, added.second);
        }
        let end = (added.length, added.connection);
        if kept.last == Some(end) && !kept.whole.is_empty() {
            output.write(&kept.whole);
        } else {
            kept.go_on(output, end);
        }
    });
}

impl Beginning {
    fn says(&self, content_type: Option<&HeaderValue>, server: Option<&Bytes>) -> bool {
        let type_is = match (&self.content_type, content_type) {
            (Some(one), Some(other)) => alike(one.as_bytes(), other.as_bytes()),
            (None, None) => true,
            _ => false,
        };
        type_is
            && match (&self.server, server) {
                (Some(one), Some(other)) => alike(one, other),
                (None, None) => !self.bytes.is_empty(),
                _ => false,
            }
    }

    /// From now on it is this one.
    #[inline(never)]
    fn begin(
        &mut self,
        status: StatusCode,
        content_type: Option<&HeaderValue>,
        server: Option<&Bytes>,
        second: u64,
    ) {
        let mut written = Output::new();
        status_line(&mut written, status);
        if let Some(content_type) = content_type {
            field(&mut written, &header::CONTENT_TYPE, content_type);
        }
        date::with_line(second, |line| written.write(line));
        if let Some(server) = server {
            written.write(server);
        }
        let bytes = written.slices().to_vec();
        let (content_type, server) = (content_type.cloned(), server.cloned());
        *self = Self { status, content_type, server, second, bytes, last: None, whole: Vec::new() };
    }

    /// Writes it and goes on like this.
    #[inline(never)]
    fn go_on(&mut self, output: &mut Output, (length, connection): (LengthLine, ConnectionLine)) {
        if self.last.replace((length, connection)) == Some((length, connection)) {
            let mut end = Output::new();
            framing(&mut end, length, connection);
            self.whole = [&self.bytes[..], &end.slices().to_vec()].concat();
            return output.write(&self.whole);
        }
        self.whole.clear();
        output.write(&self.bytes);
        framing(output, length, connection);
    }
}

/// The same bytes. Most are even in the same place, and that is seen at once.
#[inline]
fn alike(one: &[u8], other: &[u8]) -> bool {
    std::ptr::eq(one, other) || one == other
}

/// The last lines of a head.
#[inline(never)]
fn framing(output: &mut Output, length: LengthLine, connection: ConnectionLine) {
    match (length, connection) {
        (LengthLine::Length(length), connection) => {
            let mut line = *b"content-length: 18446744073709551615\r\n\r\n";
            let (digits, mut number) = (b"content-length: ".len(), itoa::Buffer::new());
            let number = number.format(length).as_bytes();
            let end = digits + number.len();
            line[digits..end].copy_from_slice(number);
            line[end..end + 4].copy_from_slice(b"\r\n\r\n");
            // Most heads end here.
            let last = if connection == ConnectionLine::None { 4 } else { 2 };
            output.write(&line[..end + last]);
        }
        (LengthLine::Chunked, ConnectionLine::None) => output.write(b"transfer-encoding: chunked\r\n\r\n"),
        (LengthLine::Chunked, _) => output.write(b"transfer-encoding: chunked\r\n"),
        (LengthLine::None, ConnectionLine::None) => output.write(b"\r\n"),
        (LengthLine::None, _) => {}
    }
    match connection {
        ConnectionLine::None => {}
        ConnectionLine::Close => output.write(b"connection: close\r\n\r\n"),
        ConnectionLine::KeepAlive => output.write(b"connection: keep-alive\r\n\r\n"),
        ConnectionLine::Upgrade => output.write(b"connection: upgrade\r\n\r\n"),
    }
}

/// Appends an informational answer (RFC 9110 §15.2): it has neither date nor framing.
pub(crate) fn interim<'a>(
    output: &mut Output,
    status: StatusCode,
    fields: impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)>,
) {
    status_line(output, status);
    fields.filter(|(name, _)| !is_framing(name)).for_each(|(name, value)| field(output, name, value));
    output.write(b"\r\n");
}

/// Appends trailer fields and the end of a chunked body. Fields that may not be trailers are left out (RFC 9110 §6.5.1).
pub(crate) fn trailers<'a>(output: &mut Output, fields: impl Iterator<Item = &'a (HeaderName, HeaderValue)>) {
    output.write(b"0\r\n");
    for (name, value) in fields.filter(|(name, _)| !is_framing(name) && *name != header::HOST) {
        field(output, name, value);
    }
    output.write(b"\r\n");
}

/// The fields that only the connection writes.
fn is_framing(name: &HeaderName) -> bool {
    [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION].contains(name)
        || name == "keep-alive"
}

fn field(output: &mut Output, name: &HeaderName, value: &HeaderValue) {
    output.write(name.as_str().as_bytes());
    output.write(b": ");
    output.write(value.as_bytes());
    output.write(b"\r\n");
}

fn status_line(output: &mut Output, status: StatusCode) {
    let known: &[u8] = match status {
        StatusCode::OK => b"HTTP/1.1 200 OK\r\n",
        StatusCode::CONTINUE => b"HTTP/1.1 100 Continue\r\n",
        StatusCode::NO_CONTENT => b"HTTP/1.1 204 No Content\r\n",
        StatusCode::NOT_MODIFIED => b"HTTP/1.1 304 Not Modified\r\n",
        StatusCode::NOT_FOUND => b"HTTP/1.1 404 Not Found\r\n",
        _ => {
            output.write(b"HTTP/1.1 ");
            output.write(status.as_str().as_bytes());
            output.write(b" ");
            output.write(status.canonical_reason().unwrap_or_default().as_bytes());
            b"\r\n"
        }
    };
    output.write(known);
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
        let added = Added { length, connection, server: None, second: 0 };
        let fields = fields.iter().map(|(name, value)| (name, value));
        head(&mut output, StatusCode::from_u16(status).unwrap(), fields, added);
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
            "HTTP/1.1 200 OK\r\netag: x\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\ncontent-length: 5\r\nconnection: close\r\n\r\n"
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
            // Everything differs from the one before at some time, and nothing at some.
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
                second: change / 10,
            };
            let (mut kept, mut written) = (Output::new(), Output::new());
            plain_head(&mut kept, status, content_type, added());
            let fields = content_type.into_iter().map(|value| (&header::CONTENT_TYPE, value));
            head(&mut written, status, fields, added());
            assert_eq!(kept.slices().to_vec(), written.slices().to_vec());
        }
    }
}

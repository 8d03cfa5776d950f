//! A head as bytes, straight into the output.

use std::cell::RefCell;
use std::hint::cold_path;

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
#[derive(Clone, Copy, Debug)]
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
    append(output, |head| {
        status_line(head, status);
        let (mut dated, mut served) = (false, false);
        for (name, value) in fields {
            if is_framing(name) {
                continue;
            }
            dated |= name == header::DATE;
            served |= name == header::SERVER;
            field(head, name, value);
        }
        if !dated {
            date::with_line(added.second, |line| head.extend_from_slice(line));
        }
        if let Some(server) = added.server.filter(|_| !served) {
            head.extend_from_slice(server);
        }
        last_lines(head, added.length, added.connection);
    });
}

/// A head as it was written last, to be written again.
struct Kept {
    status: StatusCode,
    content_type: Option<HeaderValue>,
    server: Option<Bytes>,
    second: u64,
    length: LengthLine,
    connection: ConnectionLine,
    /// The head. Empty: there is none yet.
    bytes: Vec<u8>,
    /// How much of it says nothing of the body's length and of the connection.
    begun: usize,
}

thread_local! {
    /// The next one is most often the same, or differs in its last lines.
    static KEPT: RefCell<Kept> = const { RefCell::new(Kept::NONE) };
    /// Where other heads are put together.
    static ROOM: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// More room than this is not kept.
const ROOM_MAX: usize = 8 * 1024;

/// Has bytes put together, and appends them.
fn append(output: &mut Output, compose: impl FnOnce(&mut Vec<u8>)) {
    ROOM.with_borrow_mut(|room| {
        room.clear();
        compose(room);
        output.write(room);
        if room.capacity() > ROOM_MAX {
            *room = Vec::new();
        }
    });
}

/// As [`head`], of a response with no field but maybe a content type.
pub(crate) fn plain(
    output: &mut Output,
    status: StatusCode,
    content_type: Option<&HeaderValue>,
    added: Added<'_>,
) {
    KEPT.with_borrow_mut(|kept| kept.write(output, status, content_type, added, &[]));
}

/// The same of 200 on a connection that goes on, and with the body behind it.
#[inline(never)]
pub(crate) fn plain_answer(
    output: &mut Output,
    content_type: Option<&HeaderValue>,
    server: Option<&Bytes>,
    second: u64,
    body: &[u8],
) {
    let (length, connection) = (LengthLine::Length(body.len() as u64), ConnectionLine::None);
    let added = Added { length, connection, server, second };
    KEPT.with_borrow_mut(|kept| kept.write(output, StatusCode::OK, content_type, added, body));
}

impl Kept {
    const NONE: Self = Self {
        status: StatusCode::OK,
        content_type: None,
        server: None,
        second: 0,
        length: LengthLine::None,
        connection: ConnectionLine::None,
        bytes: Vec::new(),
        begun: 0,
    };

    #[inline(always)]
    fn write(
        &mut self,
        output: &mut Output,
        status: StatusCode,
        content_type: Option<&HeaderValue>,
        added: Added<'_>,
        body: &[u8],
    ) {
        if !(self.ends_like(added) && self.begins_like(status, content_type, added)) {
            cold_path();
            self.become_like(status, content_type, added);
        }
        output.write_both(&self.bytes, body);
    }

    #[inline]
    fn ends_like(&self, added: Added<'_>) -> bool {
        self.length == added.length && self.connection == added.connection
    }

    #[inline]
    fn begins_like(&self, status: StatusCode, content_type: Option<&HeaderValue>, added: Added<'_>) -> bool {
        self.second == added.second
            && self.status == status
            && alike(
                self.content_type.as_ref().map(HeaderValue::as_bytes),
                content_type.map(HeaderValue::as_bytes),
            )
            && alike(self.server.as_deref(), added.server.map(|server| &server[..]))
            && self.begun > 0
    }

    /// From now on it is this one.
    #[inline(never)]
    fn become_like(&mut self, status: StatusCode, content_type: Option<&HeaderValue>, added: Added<'_>) {
        if self.begins_like(status, content_type, added) {
            self.bytes.truncate(self.begun);
        } else {
            let mut bytes = std::mem::take(&mut self.bytes);
            bytes.clear();
            status_line(&mut bytes, status);
            if let Some(content_type) = content_type {
                field(&mut bytes, &header::CONTENT_TYPE, content_type);
            }
            date::with_line(added.second, |line| bytes.extend_from_slice(line));
            bytes.extend_from_slice(added.server.map_or(&[], |server| &server[..]));
            let (content_type, server) = (content_type.cloned(), added.server.cloned());
            let (second, begun) = (added.second, bytes.len());
            *self = Self { status, content_type, server, second, bytes, begun, ..Self::NONE };
        }
        (self.length, self.connection) = (added.length, added.connection);
        last_lines(&mut self.bytes, added.length, added.connection);
    }
}

/// The same bytes. Most are even in the same place, and that is seen at once.
#[inline]
fn alike(one: Option<&[u8]>, other: Option<&[u8]>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => std::ptr::eq(one, other) || one == other,
        (None, None) => true,
        _ => false,
    }
}

/// The last lines of a head.
fn last_lines(head: &mut Vec<u8>, length: LengthLine, connection: ConnectionLine) {
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
    });
}

/// Appends an informational answer (RFC 9110 §15.2): it has neither date nor framing.
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

/// Appends trailer fields and the end of a chunked body. Fields that may not be trailers are left out (RFC 9110 §6.5.1).
pub(crate) fn trailers<'a>(output: &mut Output, fields: impl Iterator<Item = &'a (HeaderName, HeaderValue)>) {
    append(output, |end| {
        end.extend_from_slice(b"0\r\n");
        for (name, value) in fields.filter(|(name, _)| !is_framing(name) && *name != header::HOST) {
            field(end, name, value);
        }
        end.extend_from_slice(b"\r\n");
    });
}

/// The fields that only the connection writes.
fn is_framing(name: &HeaderName) -> bool {
    [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION].contains(name)
        || name == "keep-alive"
}

fn field(head: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    head.extend_from_slice(name.as_str().as_bytes());
    head.extend_from_slice(b": ");
    head.extend_from_slice(value.as_bytes());
    head.extend_from_slice(b"\r\n");
}

fn status_line(head: &mut Vec<u8>, status: StatusCode) {
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
            plain(&mut kept, status, content_type, added());
            let fields = content_type.into_iter().map(|value| (&header::CONTENT_TYPE, value));
            head(&mut written, status, fields, added());
            assert_eq!(kept.slices().to_vec(), written.slices().to_vec());
        }
    }
}

//! The head that a worker has written last, to be written again.
//!
//! Most responses of a server have the same head, or one that differs in its last lines only.

use std::hint::cold_path;

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use riot_flow::Output;

use super::{WorkerCache, date};
use crate::h1::codec::response::{self, Added, ConnectionLine, LengthLine};

/// A head as it was written last, to be written again.
pub(super) struct ResponseHeadCache {
    status: StatusCode,
    content_type: Option<HeaderValue>,
    server: Option<Bytes>,
    second: u64,
    length: LengthLine,
    connection: ConnectionLine,
    /// The head; empty before the first.
    bytes: Vec<u8>,
    /// The length of the part that depends neither on the body's length nor on the connection.
    prefix_len: usize,
}

/// Appends the head of a response that has no field but perhaps a content type. The bytes are those that
/// [`response::head`] writes.
pub(crate) fn head(
    output: &mut Output,
    status: StatusCode,
    content_type: Option<&HeaderValue>,
    added: Added<'_>,
) {
    WorkerCache::with(|cache| {
        cache.response_head.borrow_mut().write(output, status, content_type, added, &[])
    });
}

/// Appends a 200 response, head and body, on a connection that goes on.
pub(crate) fn simple_response(
    output: &mut Output,
    content_type: Option<&HeaderValue>,
    server: Option<&Bytes>,
    second: u64,
    body: &[u8],
) {
    let (length, connection) = (LengthLine::Length(body.len() as u64), ConnectionLine::None);
    let added = Added { length, connection, server, unix_secs: second };
    WorkerCache::with(|cache| {
        cache.response_head.borrow_mut().write(output, StatusCode::OK, content_type, added, body)
    });
}

impl ResponseHeadCache {
    pub(super) const EMPTY: Self = Self {
        status: StatusCode::OK,
        content_type: None,
        server: None,
        second: 0,
        length: LengthLine::None,
        connection: ConnectionLine::None,
        bytes: Vec::new(),
        prefix_len: 0,
    };

    #[inline(always)] // perf: keep-alive, 2479 → 2433 instructions
    fn write(
        &mut self,
        output: &mut Output,
        status: StatusCode,
        content_type: Option<&HeaderValue>,
        added: Added<'_>,
        body: &[u8],
    ) {
        if !(self.suffix_matches(added) && self.prefix_matches(status, content_type, added)) {
            cold_path();
            self.rebuild(status, content_type, added);
        }
        output.write_pair(&self.bytes, body);
    }

    #[inline]
    fn suffix_matches(&self, added: Added<'_>) -> bool {
        self.length == added.length && self.connection == added.connection
    }

    #[inline]
    fn prefix_matches(
        &self,
        status: StatusCode,
        content_type: Option<&HeaderValue>,
        added: Added<'_>,
    ) -> bool {
        self.second == added.unix_secs
            && self.status == status
            && same_bytes(
                self.content_type.as_ref().map(HeaderValue::as_bytes),
                content_type.map(HeaderValue::as_bytes),
            )
            && same_bytes(self.server.as_deref(), added.server.map(|server| &server[..]))
            && self.prefix_len > 0
    }

    /// Replaces the cached head.
    #[inline(never)]
    fn rebuild(&mut self, status: StatusCode, content_type: Option<&HeaderValue>, added: Added<'_>) {
        if self.prefix_matches(status, content_type, added) {
            self.bytes.truncate(self.prefix_len);
        } else {
            let mut bytes = std::mem::take(&mut self.bytes);
            bytes.clear();
            response::status_line(&mut bytes, status);
            if let Some(content_type) = content_type {
                response::field(&mut bytes, &header::CONTENT_TYPE, content_type);
            }
            date::with_line(added.unix_secs, |line| bytes.extend_from_slice(line));
            bytes.extend_from_slice(added.server.map_or(&[], |server| &server[..]));
            let (content_type, server) = (content_type.cloned(), added.server.cloned());
            let (second, begun) = (added.unix_secs, bytes.len());
            *self = Self { status, content_type, server, second, bytes, prefix_len: begun, ..Self::EMPTY };
        }
        (self.length, self.connection) = (added.length, added.connection);
        response::last_lines(&mut self.bytes, added.length, added.connection);
    }
}

/// Returns whether both are the same bytes. Most are even in the same place, which is seen at once.
#[inline]
fn same_bytes(one: Option<&[u8]>, other: Option<&[u8]>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => std::ptr::eq(one, other) || one == other,
        (None, None) => true,
        _ => false,
    }
}

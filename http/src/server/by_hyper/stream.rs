//! The transport in the hands of hyper, and then of the upgraded protocol.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use ::hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use ::hyper_util::rt::TokioIo;
use bytes::{Buf, Bytes};
use riot_actor::time::{Sleep, sleep};
use riot_socket::Connection;

use super::shared::{HiddenEnd, HyperConnection, ReadableAs};

/// A connection by the traits of hyper. It may be polled in any thread, such as in a task of tokio's.
///
/// hyper gets the head of one request and nothing behind it before the upgrade. So it waits for input as long
/// as the request is under way, and the client is watched: its bytes are kept here for the upgraded protocol,
/// and the end of what it sends is hidden for a time, since hyper would drop the request.
pub(super) struct HyperStream {
    /// Invariant: there until the drop.
    io: Option<TokioIo<Connection>>,
    /// The rest of the head.
    head: Bytes,
    /// Bytes that came behind the head, for the upgraded protocol.
    kept: Bytes,
    input: InputState,
    // Dropped after the connection.
    shared: DropNote,
}

enum InputState {
    Open,
    Ended {
        /// Bounds how long that is hidden.
        hidden: Option<Sleep>,
    },
}

/// Records that the stream was dropped.
struct DropNote(Arc<HyperConnection>);

impl Drop for DropNote {
    fn drop(&mut self) {
        self.0.stream_dropped();
    }
}

/// Bounds the bytes that are kept for the upgraded protocol, and a read of them, in bytes; 8 KiB, as few
/// protocols speak before they are answered. Beyond it the rest stays with the system.
const MAX_KEPT_BYTES: usize = 8 * 1024;

impl HyperStream {
    pub(super) fn new(connection: Connection, head: Vec<u8>, shared: Arc<HyperConnection>) -> Self {
        Self {
            io: Some(TokioIo::new(connection)),
            head: head.into(),
            kept: Bytes::new(),
            input: InputState::Open,
            shared: DropNote(shared),
        }
    }

    fn io(&mut self) -> io::Result<Pin<&mut TokioIo<Connection>>> {
        self.io.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Waits beside a request under way. Ready without an error when hyper is to see the end of the input.
    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while matches!(self.input, InputState::Open) {
            let room = MAX_KEPT_BYTES - self.kept.len();
            if room == 0 {
                return self.io()?.get_mut().inner_mut().poll_closed_in_time(cx);
            }
            let mut bytes = [0; MAX_KEPT_BYTES];
            match ready!(self.poll_piece(cx, &mut bytes[..room]))? {
                0 => self.input = InputState::Ended { hidden: None },
                read => self.kept = [&self.kept[..], &bytes[..read]].concat().into(),
            }
        }
        let InputState::Ended { hidden } = &mut self.input else { return Poll::Pending };
        let HiddenEnd::For(time) = self.shared.0.hides_end() else { return Poll::Pending };
        ready!(Pin::new(hidden.get_or_insert_with(|| sleep(time))).poll(cx));
        self.io()?.inner().count_timeout("half_closed");
        Poll::Ready(Ok(()))
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>, bytes: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut piece = ReadBuf::new(bytes);
        ready!(self.io()?.poll_read(cx, piece.unfilled()))?;
        Poll::Ready(Ok(piece.filled().len()))
    }
}

/// Gives `buffer` as many of `bytes` as it takes.
fn give(bytes: &mut Bytes, buffer: &mut ReadBufCursor<'_>) {
    let given = bytes.len().min(buffer.remaining());
    buffer.put_slice(&bytes[..given]);
    bytes.advance(given);
}

impl Read for HyperStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.head.is_empty() {
            give(&mut this.head, &mut buffer);
            return Poll::Ready(Ok(()));
        }
        match this.shared.0.readable_as(cx) {
            ReadableAs::Http => this.poll_waiting(cx),
            ReadableAs::Nothing => Poll::Pending,
            ReadableAs::Upgraded if this.kept.is_empty() => this.io()?.poll_read(cx, buffer),
            ReadableAs::Upgraded => {
                give(&mut this.kept, &mut buffer);
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl Write for HyperStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().io()?.poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().io()?.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().io()?.poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().io()?.poll_write_vectored(cx, slices)
    }
}

/// Gives the connection back behind a response that is no switch.
impl Drop for HyperStream {
    fn drop(&mut self) {
        if let Some(io) = self.io.take() {
            self.shared.0.give_back(io.into_inner());
        }
    }
}

//! The transport in the hands of hyper, and then of the upgraded protocol.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use ::hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use ::hyper_util::rt::TokioIo;
use riot_actor::time::{Sleep, sleep};
use riot_socket::Connection;

use super::shared::{EndOfInput, HyperConnection};

/// A connection by the traits of hyper. It may be polled in any thread, such as in a task of tokio's. While a
/// request is under way it hides that the client has ended its side: hyper would drop the request.
pub(super) struct HyperStream {
    io: TokioIo<Connection>,
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

/// Bounds a read while hyper speaks HTTP, in bytes; 8 KiB, the size of hyper's first buffer. The bytes are
/// copied once more.
const PIECE_BYTES: usize = 8 * 1024;

impl HyperStream {
    pub(super) fn new(connection: Connection, shared: Arc<HyperConnection>) -> Self {
        Self { io: TokioIo::new(connection), input: InputState::Open, shared: DropNote(shared) }
    }

    fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBufCursor<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut bytes = [0; PIECE_BYTES];
        let room = buffer.remaining().min(PIECE_BYTES);
        let mut piece = ReadBuf::new(&mut bytes[..room]);
        ready!(Pin::new(&mut self.io).poll_read(cx, piece.unfilled()))?;
        buffer.put_slice(piece.filled());
        Poll::Ready(Ok(piece.filled().len()))
    }

    /// Ready when the end of the input is to be seen.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let InputState::Ended { hidden } = &mut self.input else { return Poll::Ready(()) };
        match self.shared.0.end_of_input(cx) {
            EndOfInput::Shown => Poll::Ready(()),
            EndOfInput::Hidden => Poll::Pending,
            EndOfInput::HiddenFor(time) => Pin::new(hidden.get_or_insert_with(|| sleep(time))).poll(cx),
        }
    }
}

impl Read for HyperStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.shared.0.is_upgraded() {
            return Pin::new(&mut this.io).poll_read(cx, buffer);
        }
        if matches!(this.input, InputState::Open) {
            if buffer.remaining() == 0 || ready!(this.poll_piece(cx, &mut buffer))? > 0 {
                return Poll::Ready(Ok(()));
            }
            this.input = InputState::Ended { hidden: None };
        }
        this.poll_end(cx).map(Ok)
    }
}

impl Write for HyperStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write_vectored(cx, slices)
    }
}

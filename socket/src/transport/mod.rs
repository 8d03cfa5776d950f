//! The trait: what a connection is made of, whatever carries it.

mod address;
mod connect;
pub(crate) mod inherited;
pub mod memory;
pub(crate) mod options;
pub(crate) mod tcp;
#[cfg(feature = "tls")]
pub mod tls;
pub(crate) mod unix;

use std::{
    fs::File,
    io::{self, IoSlice},
    sync::Arc,
    task::{Context, Poll},
};

pub use std::net::Shutdown;

pub use self::address::Address;
use self::options::Options;
use crate::io::send_file::poll_copy;
pub use crate::io::source::ReadOutcome;

/// A stream of bytes in both directions. The two directions are independent and may be used by two processes at once;
/// each direction by one.
pub trait Transport: Send + Sync + 'static {
    /// Receives into `buffer`; `Ok(0)` is the end of what the peer sends.
    ///
    /// # Errors
    /// Those of the connection.
    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Receives into `buffer` as [`poll_read`](Self::poll_read) does, and reports whether the next read would have to
    /// wait. If it would, `cx` is registered already: the task is woken when bytes arrive, as if that read had been
    /// tried. By default nothing is known about the next read.
    ///
    /// # Errors
    /// Those of the connection.
    fn poll_read_hint(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<ReadOutcome>> {
        self.poll_read(cx, buffer).map_ok(|bytes| ReadOutcome { bytes, would_block_next: false })
    }

    /// Sends some of `slices`, from their start, and says how much.
    ///
    /// # Errors
    /// Those of the connection.
    fn poll_write(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>>;

    /// Sends up to `length` bytes of `file` from `offset` on, and says how much; 0 at the end of the file. The file's own
    /// position is neither used nor changed. TCP and Unix sockets have the system do it (sendfile(2), Linux), so the
    /// bytes never come here; by default they are read and written. Either way a worker waits for as long as the disk
    /// takes, if what is asked for is not in memory.
    ///
    /// # Errors
    /// Those of the connection, and of the file.
    fn poll_send_file(
        &self,
        cx: &mut Context<'_>,
        file: &File,
        offset: u64,
        length: usize,
    ) -> Poll<io::Result<usize>> {
        poll_copy(file, offset, length, |slices| self.poll_write(cx, slices))
    }

    /// Sends what [`poll_write`](Self::poll_write) has taken and still holds back, as one that encrypts may. Whoever
    /// writes and then waits for something else flushes in between.
    ///
    /// # Errors
    /// Those of the connection.
    fn poll_flush(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Whether it may hold back what [`poll_write`](Self::poll_write) has taken. One that never does is spared being asked
    /// to flush; whoever does not say is asked.
    fn is_buffered(&self) -> bool {
        true
    }

    /// Ends the sending direction in the transport's own manner, once everything it has taken has left.
    ///
    /// # Errors
    /// Those of the connection; that it is gone already is none.
    fn poll_close(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.poll_flush(cx) {
            Poll::Ready(Ok(())) => Poll::Ready(self.shutdown(Shutdown::Write)),
            other => other,
        }
    }

    /// The address of this side.
    ///
    /// # Errors
    /// Those of the system.
    fn local_address(&self) -> io::Result<Address>;

    /// Ends one direction or both, at once. What has left still arrives; what is held back may not, see
    /// [`poll_close`](Self::poll_close).
    ///
    /// # Errors
    /// Those of the connection; that it is gone already is none.
    fn shutdown(&self, side: Shutdown) -> io::Result<()>;
}

/// What accepts connections.
pub trait Listen: Send + Sync + 'static {
    /// Takes the next connection.
    ///
    /// # Errors
    /// Those of accept(2); most of them belong to one connection and say nothing of the next.
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Arc<dyn Transport>, Address)>>;

    /// Where it listens.
    ///
    /// # Errors
    /// Those of the system.
    fn local_address(&self) -> io::Result<Address>;

    /// Whether its connections are sockets of the system. Then every worker gets its poller before the first of them is
    /// accepted: later there may be no descriptor left for one.
    fn uses_poller(&self) -> bool {
        false
    }
}

/// Where a listener comes from. Binding again gives the same address: another socket if that can be, else an error.
pub trait Bind: Send + Sync + 'static {
    /// Binds and listens.
    ///
    /// # Errors
    /// Those of bind(2) and listen(2).
    fn bind(&self) -> io::Result<Arc<dyn Listen>>;

    /// Options for what is bound from now on. What knows none ignores them.
    fn set_options(&self, _options: Options) {}
}

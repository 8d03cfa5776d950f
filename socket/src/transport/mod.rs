//! Transports: streams of bytes with a peer, listeners, and addresses to bind.
//!
//! The traits stand in this file; each transport has a file or folder: [`tcp`], [`unix`], [`memory`], `tls`
//! around another one, [`inherited`] listening sockets, which [`listening`] checks. [`connect`] connects by
//! name, which [`lookup`] looks up; [`options`] configure sockets; [`accept_queue`] empties the queue of a
//! listener that closes.
//!
//! Invariant: transports know neither connections nor servers. Both use them through the traits.

mod accept_queue;
mod address;
mod connect;
pub(crate) mod inherited;
mod listening;
mod lookup;
pub mod memory;
pub(crate) mod options;
mod socket_transport;
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

use self::options::Options;
pub use self::{accept_queue::AcceptQueue, address::Address};
use crate::io::send_file::poll_copy;
pub use crate::io::source::ReadOutcome;

/// A stream of bytes in both directions. The directions are independent: two processes may use them at once,
/// one each.
///
/// ```
/// use std::{io::{self, IoSlice}, net::Shutdown, sync::Arc, task::{Context, Poll}};
/// use riot_socket::{Address, Transport};
///
/// /// Counts nothing, changes nothing: a transport around another.
/// struct Plain(Arc<dyn Transport>);
/// impl Transport for Plain {
///     fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
///         self.0.poll_read(cx, buffer)
///     }
///     fn poll_write(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
///         self.0.poll_write(cx, slices)
///     }
///     fn local_address(&self) -> io::Result<Address> {
///         self.0.local_address()
///     }
///     fn shutdown(&self, side: Shutdown) -> io::Result<()> {
///         self.0.shutdown(side)
///     }
/// }
/// ```
pub trait Transport: Send + Sync + 'static {
    /// Receives into `buffer`. `Ok(0)` is the end of the peer's stream.
    ///
    /// # Errors
    /// Those of the connection.
    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Receives into `buffer` as [`poll_read`](Self::poll_read) does, and reports whether the next read would
    /// have to wait. If it would, `cx` is registered already: the task is woken when bytes arrive, as if that
    /// read had been tried. By default nothing is known about the next read.
    ///
    /// # Errors
    /// Those of the connection.
    fn poll_read_hint(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<ReadOutcome>> {
        self.poll_read(cx, buffer).map_ok(|bytes| ReadOutcome { bytes, would_block_next: false })
    }

    /// Sends some of `slices`, from their start, and returns the number of bytes.
    ///
    /// # Errors
    /// Those of the connection.
    fn poll_write(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>>;

    /// Sends up to `length` bytes of `file` from `offset` on, and returns the number; 0 at the end of the
    /// file.
    ///
    /// The file's own position is neither used nor changed. TCP and Unix sockets use sendfile(2) on Linux, so
    /// the bytes never enter the program; by default they are read and written. Either way the worker waits
    /// for the disk if the bytes are not in memory.
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

    /// Sends the bytes that [`poll_write`](Self::poll_write) has taken and buffered, as a transport that
    /// encrypts may. A caller that writes and then waits for something else must flush in between.
    ///
    /// # Errors
    /// Those of the connection.
    fn poll_flush(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Returns whether [`poll_write`](Self::poll_write) may buffer bytes; default true. A transport that
    /// never buffers is not asked to flush.
    fn is_buffered(&self) -> bool {
        true
    }

    /// Ends the sending direction in the transport's own manner, after all buffered bytes have been sent.
    ///
    /// # Errors
    /// Those of the connection. A connection that is closed already is no error.
    fn poll_close(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.poll_flush(cx) {
            Poll::Ready(Ok(())) => Poll::Ready(self.shutdown(Shutdown::Write)),
            other => other,
        }
    }

    /// Waits until the peer has reset the connection, or has closed both directions, without reading: bytes
    /// that have come stay where they are. The end of what the peer sends is no close: it may still receive.
    ///
    /// The waker takes the place of that of [`poll_read`](Self::poll_read), so a process that waits for the
    /// close does not read meanwhile. It may be woken too early when bytes come. By default a transport
    /// cannot tell, and this is never ready.
    fn poll_closed(&self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }

    /// Makes the next operation of each direction ask the system, although no event has reported that it may
    /// proceed. A caller that gives up because of a timer does this first: bytes may have arrived while the
    /// program was stopped or its workers were busy, before their event is seen. By default nothing is to be
    /// done.
    fn assume_ready(&self) {}

    /// Makes the close of the connection a reset: bytes that the system has taken and the peer has not are
    /// dropped, and the peer learns that it was cut off. Without this the system may keep such bytes for
    /// minutes after the close, for a peer that takes none. A caller that cuts a connection calls this before
    /// it drops it. By default nothing is done, and memory transports have nothing left after a close.
    fn reset_on_close(&self) {}

    /// Returns the address of this side.
    ///
    /// # Errors
    /// Those of the system.
    fn local_address(&self) -> io::Result<Address>;

    /// Ends one direction or both, at once. Sent bytes still arrive; buffered ones may not, see
    /// [`poll_close`](Self::poll_close).
    ///
    /// # Errors
    /// Those of the connection. A connection that is closed already is no error.
    fn shutdown(&self, side: Shutdown) -> io::Result<()>;
}

/// A bound listener, which accepts connections.
///
/// ```
/// # let reason = riot_actor::run(async {
/// use riot_socket::{Bind, Listen, memory::Listener};
///
/// let listener = Listener::new();
/// let bound = listener.bind()?;
/// let _client = listener.connect()?;
/// let (transport, peer) = std::future::poll_fn(|cx| bound.poll_accept(cx)).await?;
/// println!("{peer} connected to {}", transport.local_address()?);
/// # Ok::<(), riot_actor::Reason>(())
/// # });
/// # assert_eq!(reason, riot_actor::Reason::Normal);
/// ```
pub trait Listen: Send + Sync + 'static {
    /// Accepts the next connection.
    ///
    /// # Errors
    /// Those of accept(2). Most of them concern one connection, and the next accept may succeed.
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Arc<dyn Transport>, Address)>>;

    /// Returns the address it listens on.
    ///
    /// # Errors
    /// Those of the system.
    fn local_address(&self) -> io::Result<Address>;

    /// Lets no further client into the queue, if that is possible, and returns the state of the queue. The
    /// caller accepts the clients that are left and drops the listener. By default the queue stays
    /// [open](AcceptQueue::Open).
    fn close_queue(&self) -> AcceptQueue {
        AcceptQueue::Open
    }

    /// Returns whether its connections are sockets of the system, which need a poller; default false. If so,
    /// every worker gets its poller before the first client is accepted: later there may be no descriptor
    /// left for one.
    fn uses_poller(&self) -> bool {
        false
    }
}

/// An address to bind. Binding again gives the same address: with another socket if possible, else an error.
///
/// ```
/// use riot_socket::{Bind, memory::Listener};
///
/// let listener = Listener::new();
/// let bound = listener.bind()?;
/// assert!(listener.bind().is_err(), "it is in use");
/// drop(bound);
/// assert!(listener.bind().is_ok());
/// # Ok::<(), std::io::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be bound",
    label = "a server listens on this",
    note = "bind an address with `Server::bind`; or listen on a `UnixBind`, an `OpenSocket` or a `Listener`"
)]
pub trait Bind: Send + Sync + 'static {
    /// Binds and listens.
    ///
    /// # Errors
    /// Those of bind(2) and listen(2).
    fn bind(&self) -> io::Result<Arc<dyn Listen>>;

    /// Sets the options of sockets that are bound from now on. By default they are ignored.
    fn set_options(&self, _options: Options) {}
}

//! Unix streams and listeners.

use std::{
    fmt, io,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use parking_lot::Mutex;
use riot_actor::sleep;
use socket2::{Domain, SockRef, Socket, Type};

use super::{UnixAddress, socket_file::SocketFile};
use crate::{
    io::{readiness::Direction, source::IoSource},
    transport::{
        AcceptQueue, Address, Listen, Shutdown, Transport,
        listening::{self, Family},
        socket_transport::impl_socket_transport,
    },
};

/// The first and the longest pause between two attempts to connect while the backlog is full. The longest one
/// bounds the delay of a client behind a burst, at 20 system calls a second.
const MIN_PAUSE: Duration = Duration::from_millis(1);
const MAX_PAUSE: Duration = Duration::from_millis(50);

/// A connection over a Unix socket, for one or two processes: reading and writing are independent.
///
/// ```
/// use riot_socket::{Connection, UnixStream};
///
/// # let reason = riot_actor::run(async {
/// let (here, there) = UnixStream::pair()?;
/// let (mut here, mut there) = (Connection::try_from(here)?, Connection::try_from(there)?);
/// here.write_all(b"hello").await?;
/// let mut buffer = [0; 5];
/// there.read_exact(&mut buffer).await?;
/// # Ok::<(), riot_actor::Reason>(())
/// # });
/// # assert_eq!(reason, riot_actor::Reason::Normal);
/// ```
pub struct UnixStream(IoSource<mio::net::UnixStream>);

impl UnixStream {
    /// Wraps a connected socket.
    ///
    /// # Errors
    /// Those of the system.
    pub fn from_std(stream: std::os::unix::net::UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self(IoSource::new(mio::net::UnixStream::from_std(stream))))
    }

    /// Returns the two ends of a connection.
    ///
    /// # Errors
    /// Those of socketpair(2).
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = mio::net::UnixStream::pair()?;
        Ok((Self(IoSource::new(one)), Self(IoSource::new(other))))
    }

    /// Connects to a path or an abstract name. While the backlog of the listener is full, it is tried again
    /// after a pause, of 1 ms at first and 50 ms at most. That may last for ever; put a
    /// [`timeout`](riot_actor::timeout) around it.
    ///
    /// # Errors
    /// Those of connect(2).
    ///
    /// # Cancel safety
    /// If the future is dropped before it is ready, the attempt is given up.
    ///
    /// # Panics
    /// Panics outside a process.
    pub async fn connect(address: impl Into<UnixAddress>) -> io::Result<Self> {
        let address = address.into().to_system()?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
        let mut pause = MIN_PAUSE;
        loop {
            match socket.connect(&address) {
                // The backlog is full, and no event reports when it has room.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(pause).await,
                Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
                _ => break,
            }
            pause = (pause * 2).min(MAX_PAUSE);
        }
        let stream = Self::from_std(socket.into())?;
        let outcome = |socket: &mio::net::UnixStream| match socket.take_error()? {
            Some(error) => Err(error),
            None => socket.peer_addr(),
        };
        stream.0.connected(outcome).await?;
        Ok(stream)
    }

    /// Returns the address of the peer.
    ///
    /// # Errors
    /// Those of the system.
    pub fn peer_addr(&self) -> io::Result<UnixAddress> {
        self.0.get().peer_addr().map(|address| UnixAddress::from_system(&address))
    }

    /// Returns the address of this side.
    ///
    /// # Errors
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<UnixAddress> {
        self.0.get().local_addr().map(|address| UnixAddress::from_system(&address))
    }
}

impl fmt::Debug for UnixStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.get().fmt(f)
    }
}

impl_socket_transport!(UnixStream, Address::Unix);

/// A listening Unix socket. If it was bound to a path by [`UnixBind`](crate::UnixBind), its file is removed
/// when it is dropped.
///
/// ```
/// use riot_socket::UnixListener;
///
/// # let folder = std::env::temp_dir().join(format!("riot-unix-listener-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// # let path = folder.join("socket");
/// let listener = UnixListener::from_std(std::os::unix::net::UnixListener::bind(&path)?)?;
/// assert_eq!(listener.local_addr()?, path.into());
/// # std::fs::remove_dir_all(folder)?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct UnixListener {
    /// The file of the socket, if the listener created it. Dropped before the socket.
    pub(super) file: Mutex<Option<SocketFile>>,
    pub(super) socket: IoSource<mio::net::UnixListener>,
    /// Another process may accept from the socket too.
    pub(super) shared: bool,
}

impl UnixListener {
    /// Wraps a listening socket, such as one inherited from a service manager. Its file stays when it is
    /// dropped. Another process may accept from the socket too, so [`close_queue`](Listen::close_queue)
    /// leaves its queue to that process.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] if the socket is of another kind or does not listen; those of the
    /// system.
    pub fn from_std(listener: std::os::unix::net::UnixListener) -> io::Result<Self> {
        listening::check(&listener, Family::Unix)?;
        listener.set_nonblocking(true)?;
        let socket = IoSource::new(mio::net::UnixListener::from_std(listener));
        Ok(Self { file: Mutex::new(None), socket, shared: true })
    }

    /// Returns the address it listens on.
    ///
    /// # Errors
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<UnixAddress> {
        self.socket.get().local_addr().map(|address| UnixAddress::from_system(&address))
    }
}

impl fmt::Debug for UnixListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket.get().fmt(f)
    }
}

impl Listen for UnixListener {
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Arc<dyn Transport>, Address)>> {
        let accept = mio::net::UnixListener::accept;
        self.socket.poll(cx, Direction::Read, accept, |_| false).map_ok(|(stream, peer)| {
            let transport: Arc<dyn Transport> = Arc::new(UnixStream(IoSource::new(stream)));
            (transport, Address::Unix(UnixAddress::from_system(&peer)))
        })
    }

    /// Removes the file, and lets connect(2) fail: shutdown(2) of the receiving side does that to a listening
    /// Unix socket, while clients in the queue can still be accepted.
    fn close_queue(&self) -> AcceptQueue {
        if self.shared {
            return AcceptQueue::Shared;
        }
        drop(self.file.lock().take());
        match SockRef::from(self.socket.get()).shutdown(Shutdown::Read) {
            Ok(()) => AcceptQueue::Closed,
            Err(_) => AcceptQueue::Open,
        }
    }

    fn uses_poller(&self) -> bool {
        true
    }

    fn local_address(&self) -> io::Result<Address> {
        self.local_addr().map(Address::Unix)
    }
}

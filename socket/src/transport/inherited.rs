//! Listening sockets that were opened before the program started: systemd's socket activation.

use std::{fmt, io, sync::Arc};

use listenfd::ListenFd;

use super::{Bind, Listen, tcp::TcpListener, unix::UnixListener};

/// The listening sockets that this program was started with, by sd_listen_fds(3): `LISTEN_FDS` is their
/// number, from descriptor 3 on, `LISTEN_PID` the process they are for, `LISTEN_FDNAMES` their names.
///
/// The first [`take`](Self::take) gets them. A service that is restarted gets the same sockets again, so no
/// client is refused meanwhile.
///
/// ```
/// use riot_socket::{Connection, Inherited, Server};
///
/// let mut sockets = Inherited::take()?;
/// let reason = riot_actor::run(async move {
///     let server = match sockets.next() {
///         Some(socket) => Server::listen(socket),
///         None => Server::bind("127.0.0.1:0")?, // started by hand
///     };
/// #     let _ = server;
///     Ok::<(), riot_actor::Reason>(())
/// });
/// # assert_eq!(reason, riot_actor::Reason::Normal);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Inherited {
    /// The sockets, in the order of their descriptors.
    sockets: std::collections::VecDeque<OpenSocket>,
}

impl Inherited {
    /// Takes all inherited sockets. There are none if nothing was handed over, or if the sockets are for
    /// another process. (A missing `LISTEN_PID` stands for any process.) Call this once, before other threads
    /// read the environment.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] if one of them is no stream socket of TCP or Unix.
    pub fn take() -> io::Result<Self> {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut descriptors = ListenFd::from_env();
        let sockets = (0..descriptors.len()).map(|index| {
            let name = names.next().filter(|name| !name.is_empty()).map(Into::into);
            let socket = match descriptors.take_tcp_listener(index) {
                Ok(listener) => listener.map(ListeningSocket::Tcp),
                Err(_) => descriptors.take_unix_listener(index)?.map(ListeningSocket::Unix),
            };
            let socket = socket.expect("each descriptor is taken once");
            Ok(OpenSocket { name, socket })
        });
        Ok(Self { sockets: sockets.collect::<io::Result<_>>()? })
    }

    /// Takes the socket of this name, which `FileDescriptorName=` of a systemd socket unit sets.
    pub fn named(&mut self, name: &str) -> Option<OpenSocket> {
        let position = self.sockets.iter().position(|socket| socket.name.as_deref() == Some(name))?;
        self.sockets.remove(position)
    }

    /// Returns the number of sockets left.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sockets.len()
    }

    /// Returns whether no socket is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }
}

/// Yields the sockets in the order in which they were handed over.
impl Iterator for Inherited {
    type Item = OpenSocket;

    fn next(&mut self) -> Option<OpenSocket> {
        self.sockets.pop_front()
    }
}

/// A listening socket that was opened elsewhere. Binding it again gives the same socket. The file of a Unix
/// socket stays when the server stops, since the server did not create it.
///
/// ```
/// use riot_socket::{OpenSocket, Server};
///
/// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// let server = Server::listen(OpenSocket::from(listener));
/// # drop(server);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct OpenSocket {
    name: Option<String>,
    socket: ListeningSocket,
}

enum ListeningSocket {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener),
}

impl OpenSocket {
    /// Returns the name of the socket, if it has one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

/// Wraps a listening socket of the standard library.
impl From<std::net::TcpListener> for OpenSocket {
    fn from(listener: std::net::TcpListener) -> Self {
        Self { name: None, socket: ListeningSocket::Tcp(listener) }
    }
}

/// Wraps a listening socket of the standard library.
impl From<std::os::unix::net::UnixListener> for OpenSocket {
    fn from(listener: std::os::unix::net::UnixListener) -> Self {
        Self { name: None, socket: ListeningSocket::Unix(listener) }
    }
}

impl Bind for OpenSocket {
    fn bind(&self) -> io::Result<Arc<dyn Listen>> {
        Ok(match &self.socket {
            ListeningSocket::Tcp(listener) => Arc::new(TcpListener::from_std(listener.try_clone()?)?),
            ListeningSocket::Unix(listener) => Arc::new(UnixListener::from_std(listener.try_clone()?)?),
        })
    }
}

impl fmt::Debug for OpenSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.as_deref().unwrap_or("-");
        match &self.socket {
            ListeningSocket::Tcp(listener) => write!(f, "OpenSocket({name}, {listener:?})"),
            ListeningSocket::Unix(listener) => write!(f, "OpenSocket({name}, {listener:?})"),
        }
    }
}

//! Listening sockets that whoever started the program has opened for it: systemd's socket activation.

use std::{fmt, io, sync::Arc};

use listenfd::ListenFd;

use super::{Bind, Listen, tcp::TcpListener, unix::UnixListener};

/// The listening sockets this program was started with, as sd_listen_fds(3) has it: `LISTEN_FDS` says how many there
/// are, from descriptor 3 on, `LISTEN_PID` for whom they are, `LISTEN_FDNAMES` what they are called.
///
/// They belong to whoever takes them first. A service that is restarted gets the same sockets again, so no client is
/// refused meanwhile.
///
/// ```
/// use riot_socket::{Connection, Inherited, Server};
///
/// let mut sockets = Inherited::take()?;
/// riot_actor::run(async move {
///     let server = match sockets.next() {
///         Some(socket) => Server::listen(socket),
///         None => Server::bind("127.0.0.1:0")?, // started by hand
///     };
/// #     let _ = server;
///     Ok::<(), riot_actor::Reason>(())
/// });
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Inherited {
    /// In the order of their descriptors.
    sockets: std::collections::VecDeque<OpenSocket>,
}

impl Inherited {
    /// Takes all there are; none where nothing was handed over, or it was meant for another process. (A missing
    /// `LISTEN_PID` stands for any process.) Call it once, before other threads read the environment.
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
            let socket = socket.expect("each is taken once");
            Ok(OpenSocket { name, socket })
        });
        Ok(Self { sockets: sockets.collect::<io::Result<_>>()? })
    }

    /// The socket of this name, as `FileDescriptorName=` of a systemd socket unit gives it.
    pub fn named(&mut self, name: &str) -> Option<OpenSocket> {
        let position = self.sockets.iter().position(|socket| socket.name.as_deref() == Some(name))?;
        self.sockets.remove(position)
    }

    /// How many are left.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sockets.len()
    }

    /// Whether none is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }
}

/// In the order they were handed over.
impl Iterator for Inherited {
    type Item = OpenSocket;

    fn next(&mut self) -> Option<OpenSocket> {
        self.sockets.pop_front()
    }
}

/// A listening socket that was there before the program. Bound again it is the same one; a Unix socket's file stays
/// when the server stops, since it is not the server's.
pub struct OpenSocket {
    name: Option<String>,
    socket: ListeningSocket,
}

enum ListeningSocket {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener),
}

impl OpenSocket {
    /// What it is called, if it has a name.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

/// A listening socket of the standard library, to be served as it is.
impl From<std::net::TcpListener> for OpenSocket {
    fn from(listener: std::net::TcpListener) -> Self {
        Self { name: None, socket: ListeningSocket::Tcp(listener) }
    }
}

/// A listening socket of the standard library, to be served as it is.
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

//! Listening sockets that were opened before the program started: systemd's socket activation.

use std::{fmt, io, sync::Arc};

use listenfd::ListenFd;

use super::{
    Address, Bind, Listen,
    listening::{self, Family},
    tcp::TcpListener,
    unix::{UnixAddress, UnixListener},
};

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
    /// [`io::ErrorKind::InvalidInput`] if one of them is no stream socket of TCP or Unix, or does not listen.
    /// The text names the descriptor and the reason.
    pub fn take() -> io::Result<Self> {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut descriptors = ListenFd::from_env();
        let sockets = (0..descriptors.len()).map(|index| {
            let name: Option<String> = names.next().filter(|name| !name.is_empty()).map(Into::into);
            let number = FIRST_DESCRIPTOR + index;
            let shown = name
                .as_ref()
                .map_or(format!("descriptor {number}"), |name| format!("descriptor {number} ({name})"));
            let socket = take_listener(&mut descriptors, index)
                .map_err(|error| io::Error::new(error.kind(), format!("{shown} is refused: {error}")))?;
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

/// The number of the first descriptor that is handed over (`SD_LISTEN_FDS_START`).
const FIRST_DESCRIPTOR: usize = 3;

/// Takes a descriptor, which must be a listening socket.
fn take_listener(descriptors: &mut ListenFd, index: usize) -> io::Result<ListeningSocket> {
    let taken = match descriptors.take_tcp_listener(index) {
        Ok(listener) => listener.map(ListeningSocket::Tcp),
        Err(_) => descriptors.take_unix_listener(index)?.map(ListeningSocket::Unix),
    };
    let socket = taken.expect("each descriptor is taken once");
    socket.check()?;
    Ok(socket)
}

/// Yields the sockets in the order in which they were handed over.
impl Iterator for Inherited {
    type Item = OpenSocket;

    fn next(&mut self) -> Option<OpenSocket> {
        self.sockets.pop_front()
    }
}

/// A listening socket that was opened elsewhere. Binding it again gives the same socket. A socket that does
/// not listen, or is of another kind, is refused when it is bound, so that the server does not start. The
/// file of a Unix socket stays when the server stops, since the server did not create it.
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

impl ListeningSocket {
    fn check(&self) -> io::Result<()> {
        match self {
            Self::Tcp(listener) => listening::check(listener, Family::Internet),
            Self::Unix(listener) => listening::check(listener, Family::Unix),
        }
    }
}

impl OpenSocket {
    /// Returns the name of the socket, if it has one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Returns the address that the socket listens on.
    ///
    /// # Errors
    /// Those of the system.
    pub fn address(&self) -> io::Result<Address> {
        match &self.socket {
            ListeningSocket::Tcp(listener) => listener.local_addr().map(Address::from),
            ListeningSocket::Unix(listener) => {
                listener.local_addr().map(|address| Address::Unix(UnixAddress::from_system(&address)))
            }
        }
    }

    /// Returns the socket if it listens on `address`, for programs that rely on what their service manager
    /// was configured with. Port 0 stands for any port, and the unspecified address (`0.0.0.0` or `::`) for
    /// any address of its family. (systemd: sd_is_socket_inet(3).)
    ///
    /// ```
    /// use std::net::SocketAddr;
    /// use riot_socket::OpenSocket;
    ///
    /// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// let any_port: SocketAddr = ([127, 0, 0, 1], 0).into();
    /// let socket = OpenSocket::from(listener).require(any_port)?;
    /// let ipv6: SocketAddr = "[::]:0".parse().expect("an address");
    /// assert!(socket.require(ipv6).is_err());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] if the family, the address, the port, the path or the name is another,
    /// or if the socket does not listen.
    pub fn require(self, address: impl Into<Address>) -> io::Result<Self> {
        self.socket.check()?;
        let (wanted, actual) = (address.into(), self.address()?);
        let agrees = match (&wanted, &actual) {
            (Address::Ip(wanted), Address::Ip(actual)) => {
                let any_ip = wanted.ip().is_unspecified() && wanted.is_ipv4() == actual.is_ipv4();
                (any_ip || wanted.ip() == actual.ip())
                    && (wanted.port() == 0 || wanted.port() == actual.port())
            }
            (wanted, actual) => wanted == actual,
        };
        if agrees {
            return Ok(self);
        }
        let text = format!("the socket listens on {actual}, not on {wanted}");
        Err(io::Error::new(io::ErrorKind::InvalidInput, text))
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

//! TCP streams and listeners.

use std::{
    fmt, io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use socket2::SockRef;

use super::{
    AcceptQueue, Address, Bind, Listen, Transport, accept_queue,
    address::canonical,
    listening::{self, Family},
    options::Options,
    socket_transport::impl_socket_transport,
};
use crate::io::{readiness::Direction, source::IoSource};

/// A TCP connection, for one or two processes: reading and writing are independent.
///
/// ```
/// # use riot_socket::{Options, TcpListener, TcpStream};
/// # let reason = riot_actor::run(async {
/// # let listener = TcpListener::bind("127.0.0.1:0".parse()?, &Options::new())?;
/// # let address = listener.local_addr()?;
/// use riot_socket::Connection;
///
/// let stream = TcpStream::connect(address).await?;
/// let mut connection = Connection::try_from(stream)?;
/// connection.write_all(b"hello").await?;
/// # Ok::<(), riot_actor::Reason>(())
/// # });
/// # assert_eq!(reason, riot_actor::Reason::Normal);
/// ```
pub struct TcpStream(IoSource<mio::net::TcpStream>);

impl TcpStream {
    /// Wraps a connected socket.
    ///
    /// # Errors
    /// Those of the system.
    pub fn from_std(stream: std::net::TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self(IoSource::new(mio::net::TcpStream::from_std(stream))))
    }

    /// Connects to an address.
    ///
    /// ```
    /// # use riot_socket::{Connection, Options, TcpListener, TcpStream};
    /// # let reason = riot_actor::run(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0".parse()?, &Options::new())?;
    /// # let address = listener.local_addr()?;
    /// let stream = TcpStream::connect(address).await?;
    /// println!("from {} to {}", stream.local_addr()?, stream.peer_addr()?);
    /// # Ok::<(), riot_actor::Reason>(())
    /// # });
    /// # assert_eq!(reason, riot_actor::Reason::Normal);
    /// ```
    ///
    /// # Errors
    /// Those of connect(2).
    ///
    /// # Cancel safety
    /// If the future is dropped before it is ready, the attempt is given up.
    ///
    /// # Panics
    /// Panics outside a process.
    pub async fn connect(address: SocketAddr) -> io::Result<Self> {
        Self::connect_with(address, &Options::new()).await
    }

    /// Connects to an address, with options. Waits as long as the system does.
    ///
    /// # Errors
    /// Those of connect(2), and of the options.
    ///
    /// # Cancel safety
    /// If the future is dropped before it is ready, the attempt is given up.
    ///
    /// # Panics
    /// Panics outside a process.
    pub async fn connect_with(address: SocketAddr, options: &Options) -> io::Result<Self> {
        let stream = Self(IoSource::new(mio::net::TcpStream::from_std(options.connect(address)?)));
        // The socket is connected once it is writable, has no error and has a peer.
        let outcome = |socket: &mio::net::TcpStream| match socket.take_error()? {
            Some(error) => Err(error),
            None => socket.peer_addr(),
        };
        stream.0.connected(outcome).await?;
        Ok(stream)
    }

    /// Returns the address of the peer, one of IPv4 also if the socket is one for both families.
    ///
    /// # Errors
    /// Those of the system.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.get().peer_addr().map(canonical)
    }

    /// Returns the address of this side, one of IPv4 also if the socket is one for both families.
    ///
    /// # Errors
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.get().local_addr().map(canonical)
    }
}

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.get().fmt(f)
    }
}

impl_socket_transport!(TcpStream, Address::Ip);

/// A listening TCP socket. Several processes may accept from it; they take turns.
///
/// ```
/// use riot_socket::{Listen, Options, TcpListener};
///
/// let listener = TcpListener::bind("127.0.0.1:0".parse()?, &Options::new().backlog(64))?;
/// assert_ne!(listener.local_addr()?.port(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TcpListener {
    socket: IoSource<mio::net::TcpListener>,
    /// Another process may accept from the socket too.
    shared: bool,
}

impl TcpListener {
    /// Binds and listens.
    ///
    /// # Errors
    /// Those of bind(2) and listen(2).
    pub fn bind(address: SocketAddr, options: &Options) -> io::Result<Self> {
        Ok(Self::from_listening(options.listen(address)?, false))
    }

    /// Wraps a listening socket, such as one inherited from a service manager. Another process may accept
    /// from the socket too, so [`close_queue`](Listen::close_queue) leaves its queue to that process.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] if the socket is of another kind or does not listen; those of the
    /// system.
    pub fn from_std(listener: std::net::TcpListener) -> io::Result<Self> {
        listening::check(&listener, Family::Internet)?;
        listener.set_nonblocking(true)?;
        Ok(Self::from_listening(listener, true))
    }

    fn from_listening(listener: std::net::TcpListener, shared: bool) -> Self {
        Self { socket: IoSource::new(mio::net::TcpListener::from_std(listener)), shared }
    }

    /// Returns the address it listens on.
    ///
    /// # Errors
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.get().local_addr()
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket.get().fmt(f)
    }
}

impl Listen for TcpListener {
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Arc<dyn Transport>, Address)>> {
        let accept = mio::net::TcpListener::accept;
        self.socket.poll(cx, Direction::Read, accept, |_| false).map_ok(|(stream, peer)| {
            let transport: Arc<dyn Transport> = Arc::new(TcpStream(IoSource::new(stream)));
            (transport, Address::from(peer))
        })
    }

    fn close_queue(&self) -> AcceptQueue {
        if self.shared {
            return AcceptQueue::Shared;
        }
        accept_queue::ignore_new_clients(SockRef::from(self.socket.get()));
        AcceptQueue::Open
    }

    fn uses_poller(&self) -> bool {
        true
    }

    fn local_address(&self) -> io::Result<Address> {
        self.local_addr().map(Address::Ip)
    }
}

/// A TCP address to bind. For port 0 the system chooses a port, and binding again asks for that one.
#[derive(Debug)]
pub(crate) struct TcpBind {
    candidates: Mutex<Vec<SocketAddr>>,
    next: NextCandidate,
    options: Mutex<Options>,
}

/// The errors after which the next candidate is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NextCandidate {
    AfterAnyError,
    /// Only if the system does not have the family of the address. Any other error concerns a part of what is
    /// asked for, so the rest alone would be less than that.
    WithoutFamily,
}

impl TcpBind {
    pub(crate) fn resolve(address: impl ToSocketAddrs, options: Options) -> io::Result<Self> {
        let candidates: Vec<_> = address.to_socket_addrs()?.collect();
        if candidates.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the name has no address"));
        }
        Ok(Self::new(candidates, NextCandidate::AfterAnyError, options))
    }

    /// Returns a port of every address of this machine: one socket for both families, or one for IPv4 where
    /// the system has no IPv6.
    pub(crate) fn every_address(port: u16, options: Options) -> Self {
        let candidates = [(Ipv6Addr::UNSPECIFIED, port).into(), (Ipv4Addr::UNSPECIFIED, port).into()];
        Self::new(candidates.into(), NextCandidate::WithoutFamily, options)
    }

    fn new(candidates: Vec<SocketAddr>, next: NextCandidate, options: Options) -> Self {
        Self { candidates: Mutex::new(candidates), next, options: Mutex::new(options) }
    }
}

impl Bind for TcpBind {
    fn bind(&self) -> io::Result<Arc<dyn Listen>> {
        let mut candidates = self.candidates.lock().unwrap_or_else(PoisonError::into_inner);
        let options = self.options.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut result = Err(io::Error::from(io::ErrorKind::AddrNotAvailable));
        for &candidate in &*candidates {
            let bound = TcpListener::bind(candidate, &options);
            let goes_on = match (&bound, self.next) {
                (Ok(_), _) => false,
                (Err(_), NextCandidate::AfterAnyError) => true,
                (Err(error), NextCandidate::WithoutFamily) => has_no_family(error),
            };
            result = bound.map_err(|error| {
                io::Error::new(error.kind(), format!("cannot listen on {candidate}: {}", describe(&error)))
            });
            if !goes_on {
                break;
            }
        }
        let listener = result?;
        *candidates = vec![listener.local_addr()?];
        Ok(Arc::new(listener))
    }

    fn set_options(&self, options: Options) {
        *self.options.lock().unwrap_or_else(PoisonError::into_inner) = options;
    }
}

/// Returns whether the system has no addresses of this family: it was built without the family, or the family
/// is turned off.
fn has_no_family(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL | libc::EPFNOSUPPORT | libc::EPROTONOSUPPORT)
    )
}

/// Returns the text of an error, in words that a user of the program understands.
fn describe(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "the address is in use".into(),
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        io::ErrorKind::AddrNotAvailable => "this machine has no such address".into(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn several(options: Options) -> io::Result<Vec<Arc<dyn Listen>>> {
        let address = TcpBind::resolve("127.0.0.1:0", options)?;
        (0..10).map(|_| address.bind()).collect()
    }

    #[test]
    fn b15_ten_listen_sockets_share_a_port() {
        let listeners = several(Options::new().reuse_port()).expect("they share");
        let addresses: Vec<_> = listeners
            .iter()
            .map(|listener| listener.local_address().expect("the listener is bound"))
            .collect();
        assert_eq!(addresses.len(), 10);
        assert!(addresses.iter().all(|address| *address == addresses[0]));
    }

    #[test]
    fn b19_ipv4_alone_is_served_only_where_the_system_has_no_ipv6() {
        let without: SocketAddr = "[2001:db8::1]:0".parse().expect("an address");
        let ipv4 = (Ipv4Addr::LOCALHOST, 0).into();
        let bind =
            |first| TcpBind::new(vec![first, ipv4], NextCandidate::WithoutFamily, Options::new()).bind();
        let listener = bind(without).expect("the next candidate is bound");
        assert!(listener.local_address().expect("it is bound").as_ip().is_some_and(|bound| bound.is_ipv4()));
        let in_use = listener.local_address().expect("it is bound").as_ip().expect("an internet address");
        let error = bind(in_use).map(drop).expect_err("the first candidate is in use");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(has_no_family(&io::Error::from_raw_os_error(libc::EAFNOSUPPORT)));
    }

    #[test]
    fn b15_many_listen_sockets_no_reuseport() {
        let alone = several(Options::new()).map(|_| ()).expect_err("they do not share");
        assert_eq!(alone.kind(), io::ErrorKind::AddrInUse);
    }
}

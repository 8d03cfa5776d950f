//! TCP, for processes.

use std::{
    fmt,
    fs::File,
    io,
    io::IoSlice,
    net::{Shutdown, SocketAddr, ToSocketAddrs},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use super::{Address, Bind, Listen, ReadOutcome, Transport, options::Options};
use crate::io::{readiness::Direction, send_file, source::IoSource};

/// A TCP connection, for one or two processes: reading and writing are independent of each other.
pub struct TcpStream(IoSource<mio::net::TcpStream>);

impl TcpStream {
    /// Takes over a connected socket.
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
    /// # riot_actor::run(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0".parse()?, &Options::new())?;
    /// # let address = listener.local_addr()?;
    /// let stream = TcpStream::connect(address).await?;
    /// println!("from {} to {}", stream.local_addr()?, stream.peer_addr()?);
    /// # Ok::<(), riot_actor::Reason>(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// Those of connect(2).
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the attempt is given up.
    ///
    /// # Panics
    /// Outside a process.
    pub async fn connect(address: SocketAddr) -> io::Result<Self> {
        Self::connect_with(address, &Options::new()).await
    }

    /// Connects to an address, with options set before. Waits as long as the system does.
    ///
    /// # Errors
    /// Those of connect(2), and of the options.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the attempt is given up.
    ///
    /// # Panics
    /// Outside a process.
    pub async fn connect_with(address: SocketAddr, options: &Options) -> io::Result<Self> {
        let stream = Self(IoSource::new(mio::net::TcpStream::from_std(options.connect(address)?)));
        // It is connected once it can be written to and has no error and a peer.
        let outcome = |socket: &mio::net::TcpStream| match socket.take_error()? {
            Some(error) => Err(error),
            None => socket.peer_addr(),
        };
        stream.0.connected(outcome).await?;
        Ok(stream)
    }

    /// The address of the other side.
    ///
    /// # Errors
    /// Those of the system.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.get().peer_addr()
    }

    /// The address of this side.
    ///
    /// # Errors
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.get().local_addr()
    }
}

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.get().fmt(f)
    }
}

impl Transport for TcpStream {
    fn is_buffered(&self) -> bool {
        false
    }

    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.0.poll_receive(cx, buffer)
    }

    fn poll_read_hint(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<ReadOutcome>> {
        self.0.poll_receive_hint(cx, buffer)
    }

    fn poll_write(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.0.poll_send(cx, slices)
    }

    #[cfg(target_os = "linux")]
    fn poll_send_file(
        &self,
        cx: &mut Context<'_>,
        file: &File,
        offset: u64,
        length: usize,
    ) -> Poll<io::Result<usize>> {
        send_file::poll_send(&self.0, cx, file, offset, length)
    }

    fn local_address(&self) -> io::Result<Address> {
        self.local_addr().map(Address::Ip)
    }

    fn shutdown(&self, side: Shutdown) -> io::Result<()> {
        match self.0.get().shutdown(side) {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            result => result,
        }
    }
}

/// A listening TCP socket. Several processes may accept from it; they take turns.
pub struct TcpListener(IoSource<mio::net::TcpListener>);

impl TcpListener {
    /// Binds and listens.
    ///
    /// # Errors
    /// Those of bind(2) and listen(2).
    pub fn bind(address: SocketAddr, options: &Options) -> io::Result<Self> {
        Ok(Self::from_listening(options.listen(address)?))
    }

    /// Takes over a listening socket, such as one inherited from a supervisor of services.
    ///
    /// # Errors
    /// Those of the system.
    pub fn from_std(listener: std::net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self::from_listening(listener))
    }

    fn from_listening(listener: std::net::TcpListener) -> Self {
        Self(IoSource::new(mio::net::TcpListener::from_std(listener)))
    }

    /// Where it listens.
    ///
    /// # Errors
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.get().local_addr()
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.get().fmt(f)
    }
}

impl Listen for TcpListener {
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Arc<dyn Transport>, Address)>> {
        self.0.poll(cx, Direction::Read, mio::net::TcpListener::accept, |_| false).map_ok(|(stream, peer)| {
            let transport: Arc<dyn Transport> = Arc::new(TcpStream(IoSource::new(stream)));
            (transport, Address::Ip(peer))
        })
    }

    fn uses_poller(&self) -> bool {
        true
    }

    fn local_address(&self) -> io::Result<Address> {
        self.local_addr().map(Address::Ip)
    }
}

/// A TCP address to bind. If its port is 0 the system chooses one, and binding again asks for that one.
#[derive(Debug)]
pub(crate) struct TcpBind {
    candidates: Mutex<Vec<SocketAddr>>,
    options: Mutex<Options>,
}

impl TcpBind {
    pub(crate) fn resolve(address: impl ToSocketAddrs, options: Options) -> io::Result<Self> {
        let candidates: Vec<_> = address.to_socket_addrs()?.collect();
        if candidates.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the name stands for no address"));
        }
        Ok(Self { candidates: Mutex::new(candidates), options: Mutex::new(options) })
    }
}

impl Bind for TcpBind {
    fn bind(&self) -> io::Result<Arc<dyn Listen>> {
        let mut candidates = self.candidates.lock().unwrap_or_else(PoisonError::into_inner);
        let options = self.options.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut result = Err(io::Error::from(io::ErrorKind::AddrNotAvailable));
        for &candidate in &*candidates {
            result = TcpListener::bind(candidate, &options).map_err(|error| {
                io::Error::new(error.kind(), format!("cannot listen on {candidate}: {}", describe(&error)))
            });
            if result.is_ok() {
                break;
            }
        }
        let listener = result?;
        *candidates = vec![listener.local_addr()?];
        Ok(Arc::new(listener))
    }

    /// All at the address the first one gets; the system spreads the clients over them.
    fn set_options(&self, options: Options) {
        *self.options.lock().unwrap_or_else(PoisonError::into_inner) = options;
    }
}

/// An error in words a user of the program understands.
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
        let listeners = several(Options::new().reuse_port(true)).expect("they share");
        let addresses: Vec<_> =
            listeners.iter().map(|listener| listener.local_address().expect("it has one")).collect();
        assert_eq!(addresses.len(), 10);
        assert!(addresses.iter().all(|address| *address == addresses[0]));
    }

    #[test]
    fn b15_many_listen_sockets_no_reuseport() {
        let alone = several(Options::new()).map(|_| ()).expect_err("they do not share");
        assert_eq!(alone.kind(), io::ErrorKind::AddrInUse);
    }
}

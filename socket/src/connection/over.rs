//! Connections over each transport: TCP, Unix sockets, memory.

use std::{io, sync::Arc};

use super::Connection;
use crate::transport::{
    Address,
    memory::Listener,
    options::Options,
    tcp::TcpStream,
    unix::{UnixAddress, UnixStream},
};

impl Connection {
    /// Connects over TCP to a name and port, as [`TcpStream::connect_host`] does with default options.
    ///
    /// ```no_run
    /// # use riot_socket::Connection;
    /// # let reason = riot_actor::run(async {
    /// let mut connection = Connection::connect("example.org:80").await?;
    /// connection.write_all(b"GET / HTTP/1.0\r\nHost: example.org\r\n\r\n").await?;
    /// let answer = connection.read_to_end(1024 * 1024).await?;
    /// # Ok::<(), riot_actor::Reason>(())
    /// # });
    /// # drop(reason);
    /// ```
    ///
    /// # Errors
    /// Those of [`TcpStream::connect_host`].
    ///
    /// # Panics
    /// Panics outside a process.
    pub async fn connect(host: &str) -> io::Result<Self> {
        TcpStream::connect_host(host, &Options::new()).await?.try_into()
    }

    /// Connects to a Unix socket; [`UnixBind`](crate::UnixBind) has an example.
    ///
    /// # Errors
    /// Those of connect(2).
    ///
    /// # Panics
    /// Panics outside a process.
    pub async fn connect_unix(address: impl Into<UnixAddress>) -> io::Result<Self> {
        UnixStream::connect(address).await?.try_into()
    }
}

/// Fails if the peer has left already.
impl TryFrom<TcpStream> for Connection {
    type Error = io::Error;

    fn try_from(stream: TcpStream) -> io::Result<Self> {
        let peer = Address::Ip(stream.peer_addr()?);
        Ok(Self::new(Arc::new(stream), peer))
    }
}

/// Fails if the peer has left already.
impl TryFrom<UnixStream> for Connection {
    type Error = io::Error;

    fn try_from(stream: UnixStream) -> io::Result<Self> {
        let peer = Address::Unix(stream.peer_addr()?);
        Ok(Self::new(Arc::new(stream), peer))
    }
}

impl Listener {
    /// Connects a client, which then waits to be accepted.
    ///
    /// # Errors
    /// [`io::ErrorKind::ConnectionRefused`] while the listener is not bound.
    pub fn connect(&self) -> io::Result<Connection> {
        let (client, address) = self.connect_stream()?;
        Ok(Connection::new(client, address))
    }
}

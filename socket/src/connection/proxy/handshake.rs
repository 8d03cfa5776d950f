//! The handshake that reads a PROXY header from a connection.

use std::{fmt, io};

use super::{Network, ProxyHeader, ProxyParseError};
use crate::{
    connection::{Connection, handshake::Handshake},
    transport::Address,
};

/// A handshake that reads a PROXY header at the start of every connection.
///
/// After it [`Connection::peer`] and [`Connection::local_address`] are those of the client, and [`ProxyInfo`]
/// has the whole header. No byte behind the header is lost. A malformed header closes the connection.
///
/// A client that can send a header can claim any address. So let only proxies connect, or [name
/// them](Self::from).
///
/// ```
/// use riot_socket::{Connection, Server, proxy::{ProxyInfo, ProxyProtocol}};
///
/// # let reason = riot_actor::run(async {
/// let server = Server::bind("127.0.0.1:0")?
///     .proxy_protocol(ProxyProtocol::required().from(["127.0.0.0/8".parse()?]))
///     .start_link(|connection: Connection| async move {
///         let proxy = &connection.get::<ProxyInfo>().expect("the header is there").proxy;
///         println!("{} by way of {proxy}", connection.peer());
///     })
///     .await?;
/// # server.stop(std::time::Duration::ZERO).await;
/// # Ok::<(), riot_actor::Reason>(())
/// # });
/// # assert_eq!(reason, riot_actor::Reason::Normal);
/// ```
#[derive(Clone, Debug)]
#[must_use = "this does nothing until it is given to `Server::proxy_protocol`"]
pub struct ProxyProtocol {
    required: bool,
    /// `None` if every peer may send a header.
    proxies: Option<Vec<Network>>,
    max_bytes: usize,
}

/// The PROXY header of a connection, which [`Connection::get`] returns; [`ProxyProtocol`] has an example.
///
/// ```
/// use riot_socket::{Connection, proxy::{ProxyHeader, ProxyInfo}};
///
/// /// A health check of the proxy gets no answer.
/// async fn serve(mut connection: Connection) -> std::io::Result<()> {
///     match connection.get::<ProxyInfo>() {
///         Some(ProxyInfo { header: ProxyHeader::Local, .. }) => Ok(()),
///         _ => connection.write_all(b"hello").await,
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyInfo {
    /// The header.
    pub header: ProxyHeader,
    /// The address of the proxy that sent it: the peer of the connection itself.
    pub proxy: Address,
}

impl ProxyProtocol {
    /// Returns a handshake that closes connections without a header.
    pub fn required() -> Self {
        Self { required: true, proxies: None, max_bytes: 4096 }
    }

    /// Returns a handshake for servers with and without proxies.
    ///
    /// Connections from `proxies` may begin with a header. All other connections, and those of proxies that
    /// begin with other bytes, are taken as they are. The handshake with a proxy waits for its first byte.
    ///
    /// ```
    /// use riot_socket::{Server, proxy::ProxyProtocol};
    ///
    /// let proxies = ["10.0.0.0/8".parse()?, "fd00::/8".parse()?];
    /// let server = Server::bind("127.0.0.1:0")?.proxy_protocol(ProxyProtocol::optional(proxies));
    /// # drop(server);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn optional(proxies: impl IntoIterator<Item = Network>) -> Self {
        Self { required: false, ..Self::required() }.from(proxies)
    }

    /// Sets the networks whose peers may send a header; default all. Peers over Unix sockets and in memory
    /// always may, since they are on this machine. Where a header is required, connections of other peers are
    /// closed at once.
    pub fn from(mut self, proxies: impl IntoIterator<Item = Network>) -> Self {
        self.proxies = Some(proxies.into_iter().collect());
        self
    }

    /// Bounds the bytes of a header; default 4096.
    ///
    /// # Panics
    /// Panics if `bytes` is zero.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        assert!(bytes > 0, "the bound of a PROXY header is zero");
        self.max_bytes = bytes;
        self
    }

    fn trusts(&self, peer: &Address) -> bool {
        match (&self.proxies, peer.as_ip()) {
            (Some(proxies), Some(peer)) => proxies.iter().any(|network| network.contains_peer(peer)),
            _ => true,
        }
    }

    /// Receives the header, and puts the bytes behind it back. Returns `None` if there is no header.
    async fn receive(&self, connection: &mut Connection) -> io::Result<Option<ProxyHeader>> {
        let (mut bytes, mut buffer) = (Vec::new(), [0; 512]);
        loop {
            match ProxyHeader::parse(&bytes) {
                Ok(Some((header, length))) => {
                    connection.put_back(&bytes[length..]);
                    return Ok(Some(header));
                }
                Ok(None) if bytes.len() >= self.max_bytes => {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "the PROXY header is too long"));
                }
                Err(ProxyParseError::NoHeader) if !self.required => {
                    connection.put_back(&bytes);
                    return Ok(None);
                }
                Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
                Ok(None) => {}
            }
            let room = buffer.len().min(self.max_bytes - bytes.len());
            match connection.read(&mut buffer[..room]).await? {
                0 if !self.required => {
                    // The peer sends no more. All of it belongs to the protocol.
                    connection.put_back(&bytes);
                    return Ok(None);
                }
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => bytes.extend_from_slice(&buffer[..read]),
            }
        }
    }
}

impl Handshake for ProxyProtocol {
    async fn handshake(&self, mut connection: Connection) -> io::Result<Connection> {
        let proxy = connection.peer().clone();
        if !self.trusts(&proxy) {
            if self.required {
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the peer is no known proxy"));
            }
            return Ok(connection);
        }
        let Some(header) = self.receive(&mut connection).await? else { return Ok(connection) };
        if let ProxyHeader::Proxied(proxied) = &header {
            connection.set_peer(proxied.addresses.source());
            connection.set_local_address(proxied.addresses.destination());
        }
        connection.insert(ProxyInfo { header, proxy });
        Ok(connection)
    }
}

impl fmt::Display for ProxyInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.header {
            ProxyHeader::Local => write!(f, "{} itself", self.proxy),
            ProxyHeader::Unknown => write!(f, "unknown client behind {}", self.proxy),
            ProxyHeader::Proxied(proxied) => {
                write!(f, "{} behind {}", proxied.addresses.source(), self.proxy)
            }
        }
    }
}

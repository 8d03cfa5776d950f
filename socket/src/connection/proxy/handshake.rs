//! Taking a PROXY header off a connection.

use std::{fmt, io};

use super::{Header, Network, ParseError};
use crate::{
    connection::{Connection, handshake::Handshake},
    transport::Address,
};

/// Expects a PROXY header at the start of every connection; after it [`Connection::peer`] and
/// [`Connection::local_address`] are those of the client, and [`ProxyInfo`] tells the rest. No byte behind the header is
/// lost. A malformed one closes the connection.
///
/// Whoever can send a header can claim to be anybody, so let only proxies connect, or say [who they are](Self::from).
///
/// ```
/// use riot_socket::{Connection, Server, proxy::{ProxyInfo, ProxyProtocol}};
///
/// # riot_actor::run(async {
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
/// ```
#[derive(Clone, Debug)]
#[must_use = "goes into `Server::proxy_protocol`"]
pub struct ProxyProtocol {
    required: bool,
    /// None: everybody is.
    proxies: Option<Vec<Network>>,
    bytes_max: usize,
}

/// What was said at the start of a connection, to be asked for by [`Connection::get`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyInfo {
    /// The header.
    pub header: Header,
    /// Who sent it: the peer of the connection itself.
    pub proxy: Address,
}

impl ProxyProtocol {
    /// Every connection begins with a header, or is closed.
    pub fn required() -> Self {
        Self { required: true, proxies: None, bytes_max: 4096 }
    }

    /// Connections from `proxies` may begin with a header; all others, and those of proxies that begin with something
    /// else, are taken as they are. A proxy is waited for until it has sent a byte.
    pub fn optional(proxies: impl IntoIterator<Item = Network>) -> Self {
        Self { required: false, ..Self::required() }.from(proxies)
    }

    /// Who may send a header; default anybody. Peers over Unix sockets, and in memory, always may: they are on this
    /// machine. Where a header is required, others are closed at once.
    pub fn from(mut self, proxies: impl IntoIterator<Item = Network>) -> Self {
        self.proxies = Some(proxies.into_iter().collect());
        self
    }

    /// Bytes a header may have; default 4096.
    pub fn bytes_max(mut self, bytes: usize) -> Self {
        self.bytes_max = bytes;
        self
    }

    fn trusts(&self, peer: &Address) -> bool {
        match (&self.proxies, peer.as_ip()) {
            (Some(proxies), Some(peer)) => proxies.iter().any(|network| network.contains_peer(peer)),
            _ => true,
        }
    }

    /// The header, its bytes read and what is behind them put back; none if there is none.
    async fn receive(&self, connection: &mut Connection) -> io::Result<Option<Header>> {
        let (mut bytes, mut buffer) = (Vec::new(), [0; 512]);
        loop {
            match Header::parse(&bytes) {
                Ok(Some((header, length))) => {
                    connection.put_back(&bytes[length..]);
                    return Ok(Some(header));
                }
                Ok(None) if bytes.len() >= self.bytes_max => {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "a PROXY header that is too long",
                    ));
                }
                Err(ParseError::NoHeader) if !self.required => {
                    connection.put_back(&bytes);
                    return Ok(None);
                }
                Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
                Ok(None) => {}
            }
            let room = buffer.len().min(self.bytes_max - bytes.len());
            match connection.read(&mut buffer[..room]).await? {
                0 if !self.required => {
                    // It has said all there is, and that is for the protocol.
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
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, "a peer that is no proxy"));
            }
            return Ok(connection);
        }
        let Some(header) = self.receive(&mut connection).await? else { return Ok(connection) };
        if let Header::Proxied(proxied) = &header {
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
            Header::Local => write!(f, "{} itself", self.proxy),
            Header::Unknown => write!(f, "somebody behind {}", self.proxy),
            Header::Proxied(proxied) => write!(f, "{} behind {}", proxied.addresses.source(), self.proxy),
        }
    }
}

//! The PROXY protocol: a proxy in front of the server names the client, before the client's first byte.
//!
//! Versions 1 and 2 as in HAProxy's `proxy-protocol.txt` (sections 2.1 and 2.2): reading, writing, and a
//! [handshake](ProxyProtocol) that takes the header off a connection.
//!
//! ```
//! use riot_socket::proxy::{Addresses, ProxyHeader, Proxied};
//!
//! let bytes = b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\nGET / HTTP/1.1\r\n";
//! let (header, length) = ProxyHeader::parse(bytes)?.expect("the header is complete");
//! let ProxyHeader::Proxied(Proxied { addresses: Addresses::V4 { source, .. }, .. }) = header else {
//!     panic!("the header names a client over IPv4")
//! };
//! assert_eq!(source, "192.0.2.1:56324".parse()?);
//! assert!(bytes[length..].starts_with(b"GET"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod handshake;
mod network;
mod tlv;
mod v1;
mod v2;

use std::net::{SocketAddrV4, SocketAddrV6};

pub use handshake::{ProxyInfo, ProxyProtocol};
pub use network::{Network, ParseNetworkError};
pub use tlv::{Ssl, SslClient, Tlv};

use crate::transport::{Address, unix::UnixAddress};

/// A PROXY header.
///
/// ```
/// use riot_socket::proxy::ProxyHeader;
///
/// let bytes = ProxyHeader::Unknown.to_v1().expect("version 1 can express it");
/// assert_eq!(bytes, b"PROXY UNKNOWN\r\n");
/// assert_eq!(ProxyHeader::parse(&bytes), Ok(Some((ProxyHeader::Unknown, 15))));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProxyHeader {
    /// The proxy connects for itself, as in a health check. (Version 2 only.)
    Local,
    /// The proxy connects for a client that it cannot or will not name.
    Unknown,
    /// The proxy connects for this client.
    Proxied(Proxied),
}

/// A client, as its proxy describes it.
///
/// ```
/// use riot_socket::proxy::{Addresses, Proxied, ProxyHeader, Tlv};
///
/// let (source, destination) = ("192.0.2.1:56324".parse()?, "198.51.100.7:443".parse()?);
/// let addresses = Addresses::V4 { source, destination };
/// let client = Proxied { addresses, datagram: false, tlvs: vec![Tlv::Authority(b"example.org".to_vec())] };
/// let bytes = ProxyHeader::Proxied(client).to_v2_with_checksum()?;
/// assert!(bytes.starts_with(b"\r\n\r\n\0\r\nQUIT\n"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxied {
    /// The source and the destination of the client's connection.
    pub addresses: Addresses,
    /// Whether the client sends datagrams; else it uses a stream such as TCP. (Version 2 only.)
    pub datagram: bool,
    /// Further facts about the client. (Version 2 only.)
    pub tlvs: Vec<Tlv>,
}

/// The two ends of a client's connection to the proxy.
///
/// ```
/// use riot_socket::{Address, proxy::Addresses};
///
/// let (source, destination) = ("192.0.2.1:56324".parse()?, "198.51.100.7:443".parse()?);
/// let addresses = Addresses::V4 { source, destination };
/// assert_eq!(addresses.source(), Address::Ip("192.0.2.1:56324".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are named by their meaning")]
pub enum Addresses {
    /// Addresses of IPv4.
    V4 { source: SocketAddrV4, destination: SocketAddrV4 },
    /// Addresses of IPv6. A header holds address and port only, neither flow information nor scope.
    V6 { source: SocketAddrV6, destination: SocketAddrV6 },
    /// Addresses of Unix sockets. (Version 2 only.)
    Unix { source: UnixAddress, destination: UnixAddress },
}

impl Addresses {
    /// Returns the address of the client, as one of IPv4 also if the proxy has mapped it into IPv6.
    #[must_use]
    pub fn source(&self) -> Address {
        match self {
            Self::V4 { source, .. } => Address::Ip((*source).into()),
            Self::V6 { source, .. } => std::net::SocketAddr::from(*source).into(),
            Self::Unix { source, .. } => Address::Unix(source.clone()),
        }
    }

    /// Returns the address that the client connected to, as one of IPv4 also if the proxy has mapped it into
    /// IPv6.
    #[must_use]
    pub fn destination(&self) -> Address {
        match self {
            Self::V4 { destination, .. } => Address::Ip((*destination).into()),
            Self::V6 { destination, .. } => std::net::SocketAddr::from(*destination).into(),
            Self::Unix { destination, .. } => Address::Unix(destination.clone()),
        }
    }
}

impl ProxyHeader {
    /// Returns the header at the start of `bytes` and its length, or `None` if it is not complete yet.
    /// Version 1 has at most 107 bytes; version 2 states its length, at most 64 KiB.
    ///
    /// # Errors
    /// [`ProxyParseError`] as soon as it is clear that this is no header or a malformed one. The server must
    /// not guess then, but close the connection.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, ProxyParseError> {
        match bytes.first() {
            None => Ok(None),
            Some(b'P') => v1::parse(bytes),
            Some(_) => v2::parse(bytes),
        }
    }

    /// Returns version 1 of the header, or `None` if version 1 cannot express it: a local connection,
    /// datagrams, Unix sockets, or TLVs.
    #[must_use]
    pub fn to_v1(&self) -> Option<Vec<u8>> {
        v1::build(self)
    }

    /// Returns version 2 of the header.
    ///
    /// # Errors
    /// [`HeaderTooLong`] if a part of it does not fit.
    pub fn to_v2(&self) -> Result<Vec<u8>, HeaderTooLong> {
        v2::build(self, v2::Checksum::None)
    }

    /// Returns version 2 of the header, with a CRC-32C of the whole.
    ///
    /// # Errors
    /// [`HeaderTooLong`] if a part of it does not fit.
    pub fn to_v2_with_checksum(&self) -> Result<Vec<u8>, HeaderTooLong> {
        v2::build(self, v2::Checksum::Crc32c)
    }
}

/// The error of parsing a PROXY header.
///
/// ```
/// use riot_socket::proxy::{ProxyHeader, ProxyParseError};
///
/// assert_eq!(ProxyHeader::parse(b"GET / HTTP/1.1\r\n"), Err(ProxyParseError::NoHeader));
/// assert_eq!(ProxyHeader::parse(b"PROXY TCP4 1.2.3.4\r\n"), Err(ProxyParseError::Malformed));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyParseError {
    /// The bytes do not begin like a header.
    #[error("no PROXY header")]
    NoHeader,
    /// A line of version 1 is malformed, or has no end.
    #[error("a malformed PROXY header of version 1")]
    Malformed,
    /// Another version than 2 follows the signature of version 2.
    #[error("a PROXY header of unknown version {0}")]
    Version(u8),
    /// The command is neither `LOCAL` nor `PROXY`.
    #[error("a PROXY header with unknown command {0}")]
    Command(u8),
    /// The family of addresses or the kind of transport is unknown.
    #[error("a PROXY header with unknown family {0:#04x}")]
    Family(u8),
    /// The header ends before its addresses do.
    #[error("a PROXY header too short for its addresses")]
    TooShort,
    /// A TLV is malformed, or longer than the header.
    #[error("a PROXY header with a malformed TLV")]
    Tlv,
    /// The CRC-32C does not match.
    #[error("a PROXY header with a wrong checksum")]
    Checksum,
}

/// The error of writing a header that is too long: a Unix path of more than 108 bytes, a unique id of more
/// than 128, or more than 64 KiB in all.
///
/// ```
/// use riot_socket::proxy::{Addresses, HeaderTooLong, Proxied, ProxyHeader, Tlv};
///
/// let addresses = Addresses::V4 { source: "192.0.2.1:1".parse()?, destination: "192.0.2.2:2".parse()? };
/// let tlvs = vec![Tlv::UniqueId(vec![0; 129])];
/// let header = ProxyHeader::Proxied(Proxied { addresses, datagram: false, tlvs });
/// assert_eq!(header.to_v2(), Err(HeaderTooLong));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value does not fit into a PROXY header")]
pub struct HeaderTooLong;

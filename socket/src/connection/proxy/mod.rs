//! The PROXY protocol: who a client is, told by the proxy in front of the server, before the client's first byte.
//!
//! Versions 1 and 2 as in HAProxy's `proxy-protocol.txt` (sections 2.1 and 2.2): reading, writing, and a
//! [handshake](ProxyProtocol) that takes the header off a connection.
//!
//! ```
//! use riot_socket::proxy::{Addresses, Header, Proxied};
//!
//! let bytes = b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\nGET / HTTP/1.1\r\n";
//! let Some((Header::Proxied(Proxied { addresses: Addresses::V4 { source, .. }, .. }), length)) = Header::parse(bytes)?
//! else {
//!     panic!("it is whole, and of IPv4")
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
pub use network::{Network, NoNetwork};
pub use tlv::{Ssl, SslClient, Tlv};

use crate::transport::{Address, unix::UnixAddress};

/// What a PROXY header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Header {
    /// The proxy speaks for itself, as it does to see whether the server is well. (Version 2 only.)
    Local,
    /// The proxy speaks for a client it cannot or will not name.
    Unknown,
    /// The proxy speaks for this client.
    Proxied(Proxied),
}

/// A client, as its proxy sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxied {
    /// Where it comes from, and where it went.
    pub addresses: Addresses,
    /// Whether it sends datagrams; TCP if not. (Version 2 only.)
    pub datagram: bool,
    /// What else is known. (Version 2 only.)
    pub tlvs: Vec<Tlv>,
}

/// Both ends of a client's connection to the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "where the client comes from, and where it went")]
pub enum Addresses {
    /// Over IPv4.
    V4 { source: SocketAddrV4, destination: SocketAddrV4 },
    /// Over IPv6. What a socket address has beyond address and port is no part of a header.
    V6 { source: SocketAddrV6, destination: SocketAddrV6 },
    /// Over a Unix socket. (Version 2 only.)
    Unix { source: UnixAddress, destination: UnixAddress },
}

impl Addresses {
    /// Where the client comes from.
    #[must_use]
    pub fn source(&self) -> Address {
        match self {
            Self::V4 { source, .. } => Address::Ip((*source).into()),
            Self::V6 { source, .. } => Address::Ip((*source).into()),
            Self::Unix { source, .. } => Address::Unix(source.clone()),
        }
    }

    /// Where it went.
    #[must_use]
    pub fn destination(&self) -> Address {
        match self {
            Self::V4 { destination, .. } => Address::Ip((*destination).into()),
            Self::V6 { destination, .. } => Address::Ip((*destination).into()),
            Self::Unix { destination, .. } => Address::Unix(destination.clone()),
        }
    }
}

impl Header {
    /// The header at the start of `bytes` and its length, or none if it is not all there yet. Version 1 has at most 107
    /// bytes; version 2 says how long it is, at most 64 KiB.
    ///
    /// # Errors
    /// [`ParseError`] as soon as it is clear that this is no header or a malformed one. Nobody may guess then: the
    /// connection has to be closed.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, ParseError> {
        match bytes.first() {
            None => Ok(None),
            Some(b'P') => v1::parse(bytes),
            Some(_) => v2::parse(bytes),
        }
    }

    /// Version 1 of the header; none if it has more to say than that has room for: no local connection, no datagrams,
    /// no Unix sockets, no TLVs.
    #[must_use]
    pub fn to_v1(&self) -> Option<Vec<u8>> {
        v1::build(self)
    }

    /// Version 2 of the header, with a CRC32c of itself if `checksum` is set.
    ///
    /// # Errors
    /// [`TooLong`] if a part of it does not fit where it belongs.
    pub fn to_v2(&self, checksum: bool) -> Result<Vec<u8>, TooLong> {
        v2::build(self, checksum)
    }
}

/// Why bytes are no PROXY header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// It does not begin like one.
    #[error("no PROXY header")]
    NoHeader,
    /// Version 1 with something in it that is not as it should be, or that does not end.
    #[error("a malformed PROXY header of version 1")]
    Malformed,
    /// A version that is not 2 behind the signature of version 2.
    #[error("a PROXY header of unknown version {0}")]
    Version(u8),
    /// Neither `LOCAL` nor `PROXY`.
    #[error("a PROXY header with unknown command {0}")]
    Command(u8),
    /// A family of addresses or a kind of transport there is not.
    #[error("a PROXY header with unknown family {0:#04x}")]
    Family(u8),
    /// It ends before its addresses do.
    #[error("a PROXY header too short for its addresses")]
    TooShort,
    /// What is behind the addresses does not add up.
    #[error("a PROXY header with a malformed TLV")]
    Tlv,
    /// Its CRC32c is another one.
    #[error("a PROXY header with a wrong checksum")]
    Checksum,
}

/// A part of a header that does not fit: a Unix path of more than 108 bytes, or more than 64 KiB in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it does not fit into a PROXY header")]
pub struct TooLong;

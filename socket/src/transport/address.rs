//! Addresses of all transports.

use std::{fmt, net::SocketAddr};

use super::unix::UnixAddress;

/// The address of one end of a connection.
///
/// ```
/// use riot_socket::Address;
///
/// let address = Address::from(std::net::SocketAddr::from(([127, 0, 0, 1], 80)));
/// assert_eq!(address.to_string(), "127.0.0.1:80");
/// assert_eq!(Address::Memory(3).to_string(), "memory:3");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Address {
    /// An internet address and port. A socket for both families reports the addresses of IPv4 as mapped into
    /// IPv6 (`::ffff:192.0.2.1`, RFC 4291 §2.5.5.2); streams, listeners and [`From`] show them as IPv4.
    Ip(SocketAddr),
    /// The address of a Unix socket.
    Unix(UnixAddress),
    /// The number of a client of a [memory listener](crate::memory::Listener).
    Memory(u64),
}

impl Address {
    /// Returns the internet address, if it is one.
    #[must_use]
    pub fn as_ip(&self) -> Option<SocketAddr> {
        match self {
            Self::Ip(address) => Some(*address),
            _ => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Unix(address) => address.fmt(f),
            Self::Memory(number) => write!(f, "memory:{number}"),
        }
    }
}

/// Converts an address. One of IPv4 that is mapped into IPv6 becomes one of IPv4.
///
/// ```
/// use riot_socket::Address;
///
/// let mapped: std::net::SocketAddr = "[::ffff:192.0.2.1]:80".parse()?;
/// assert_eq!(Address::from(mapped).to_string(), "192.0.2.1:80");
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Ip(canonical(address))
    }
}

impl From<UnixAddress> for Address {
    fn from(address: UnixAddress) -> Self {
        Self::Unix(address)
    }
}

/// Returns an address of IPv4 as such if it is mapped into IPv6; any other as it is, with its scope.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V6(v6) if v6.ip().to_ipv4_mapped().is_some() => {
            SocketAddr::new(address.ip().to_canonical(), address.port())
        }
        _ => address,
    }
}

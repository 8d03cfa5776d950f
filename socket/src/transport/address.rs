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
    /// An internet address and port.
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

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Ip(address)
    }
}

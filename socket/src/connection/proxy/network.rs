//! Networks: the ranges of addresses whose peers are proxies.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

/// A range of addresses, such as `10.0.0.0/8` or `fd00::/8`.
///
/// ```
/// use riot_socket::proxy::Network;
///
/// let network: Network = "10.1.0.0/16".parse()?;
/// assert!(network.contains("10.1.200.3".parse()?));
/// assert!(!network.contains("10.2.0.1".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Returns the network of the addresses whose first `prefix` bits are those of `address`.
    ///
    /// # Panics
    /// Panics if `prefix` is above the number of bits of the address.
    #[must_use]
    pub fn new(address: IpAddr, prefix: u8) -> Self {
        assert!(prefix <= bits(address), "{address} has no {prefix} bits");
        match address {
            // An IPv4 network that is written as mapped into IPv6.
            IpAddr::V6(v6) if prefix >= 96 && v6.to_ipv4_mapped().is_some() => {
                Self { address: address.to_canonical(), prefix: prefix - 96 }
            }
            _ => Self { address, prefix },
        }
    }

    /// Returns whether `address` is in the network. An IPv4 address may also be mapped into IPv6, as sockets
    /// for both families report it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let shared = |a: u128, b: u128, width: u8| {
            let different = (a ^ b).checked_shr(u32::from(width - self.prefix)).unwrap_or(0);
            different == 0
        };
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => shared(a.to_bits().into(), b.to_bits().into(), 32),
            (IpAddr::V6(a), IpAddr::V6(b)) => shared(a.to_bits(), b.to_bits(), 128),
            _ => false,
        }
    }

    pub(super) fn contains_peer(&self, peer: SocketAddr) -> bool {
        self.contains(peer.ip())
    }
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// Returns the network of one address.
impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        Self::new(address, bits(address))
    }
}

/// Parses `ADDRESS/PREFIX`, or one address.
impl FromStr for Network {
    type Err = ParseNetworkError;

    fn from_str(text: &str) -> Result<Self, ParseNetworkError> {
        let no_network = || ParseNetworkError(text.into());
        let Some((address, prefix)) = text.split_once('/') else {
            return text.parse::<IpAddr>().map(Self::from).map_err(|_| no_network());
        };
        let address: IpAddr = address.parse().map_err(|_| no_network())?;
        let prefix: u8 = prefix.parse().map_err(|_| no_network())?;
        if prefix > bits(address) {
            return Err(no_network());
        }
        Ok(Self::new(address, prefix))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// The error of parsing a [`Network`].
///
/// ```
/// use riot_socket::proxy::Network;
///
/// let error = "10.0.0.0/33".parse::<Network>().unwrap_err();
/// assert_eq!(error.to_string(), "`10.0.0.0/33` is no network: ADDRESS/PREFIX is expected");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no network: ADDRESS/PREFIX is expected")]
pub struct ParseNetworkError(String);

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(network: &str, address: &str) -> bool {
        let network: Network = network.parse().expect("a network");
        network.contains(address.parse().expect("an address"))
    }

    #[test]
    fn an_address_is_in_a_network_by_its_first_bits() {
        assert!(contains("10.0.0.0/8", "10.255.255.255"));
        assert!(!contains("10.0.0.0/8", "11.0.0.0"));
        assert!(contains("192.168.1.64/26", "192.168.1.127"));
        assert!(!contains("192.168.1.64/26", "192.168.1.128"));
        assert!(contains("0.0.0.0/0", "203.0.113.9") && !contains("0.0.0.0/0", "::1"));
        assert!(contains("::/0", "2001:db8::1") && contains("fd00::/8", "fdff::1"));
        assert!(contains("127.0.0.1", "127.0.0.1") && !contains("127.0.0.1", "127.0.0.2"));
        assert!(
            contains("10.0.0.0/8", "::ffff:10.0.0.1"),
            "the address is that of a socket for both families"
        );
        assert!(contains("::ffff:10.0.0.0/104", "10.255.255.255") && contains("::ffff:10.0.0.1", "10.0.0.1"));
        assert!(!contains("::ffff:10.0.0.0/104", "11.0.0.0"));
    }

    #[test]
    fn text_that_is_no_network_is_refused() {
        for text in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "10.0.0.0/", "10.0.0.0/-1", "example.org/8"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}

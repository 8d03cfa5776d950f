//! Connecting by name: the name is looked up in another thread, then its addresses are tried in turn.

use std::{io, net::SocketAddr};

use riot_actor::{time::TimedOut, timeout};

use super::{lookup::look_up, options::Options, tcp::TcpStream};

impl TcpStream {
    /// Connects to a name and port, such as `"example.org:80"`.
    ///
    /// The name is looked up in a thread of its own, beside those of
    /// [`blocking`](riot_actor::runtime::blocking). At most eight names are looked up at one time; the others
    /// wait. An attempt that is given up makes room for another.
    ///
    /// Then the addresses of the name are tried one after the other, IPv6 and IPv4 in turns, until one
    /// answers, each for [`Options::attempt_timeout`] at most.
    ///
    /// ```no_run
    /// use riot_socket::{Options, TcpStream};
    ///
    /// # let reason = riot_actor::run(async {
    /// let stream = TcpStream::connect_host("example.org:80", &Options::new()).await?;
    /// println!("connected to {}", stream.peer_addr()?);
    /// # Ok::<(), riot_actor::Reason>(())
    /// # });
    /// # drop(reason);
    /// ```
    ///
    /// # Errors
    /// If the name has no address; else the error of the last attempt, [`io::ErrorKind::TimedOut`] if it took
    /// too long.
    ///
    /// # Cancel safety
    /// If the future is dropped before it is ready, the attempt is given up.
    ///
    /// # Panics
    /// Panics outside a process.
    pub async fn connect_host(host: &str, options: &Options) -> io::Result<Self> {
        let addresses = look_up(host)
            .await
            .map_err(|error| io::Error::new(error.kind(), format!("cannot look up {host}: {error}")))?;
        let mut result = Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        for address in interleave_families(addresses) {
            let attempt = timeout(options.attempt_timeout, Self::connect_with(address, options));
            result = match attempt.await {
                Ok(result) => result,
                Err(TimedOut) => Err(io::ErrorKind::TimedOut.into()),
            };
            if result.is_ok() {
                return result;
            }
        }
        result.map_err(|error| io::Error::new(error.kind(), format!("cannot connect to {host}: {error}")))
    }
}

/// Returns the addresses of the two families in turns, beginning with that of the first, so that a family
/// without a route costs one attempt only. (RFC 8305 §4.)
fn interleave_families(addresses: Vec<SocketAddr>) -> impl Iterator<Item = SocketAddr> {
    let first_is_ipv6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_is_ipv6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    std::iter::from_fn(move || {
        let next = first.next().or_else(|| second.next());
        std::mem::swap(&mut first, &mut second);
        next
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interleaved(addresses: &[&str]) -> Vec<String> {
        let addresses = addresses.iter().map(|text| text.parse().expect("an address")).collect();
        interleave_families(addresses).map(|address| address.to_string()).collect()
    }

    #[test]
    fn the_families_are_tried_in_turns() {
        assert_eq!(
            interleaved(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1"]),
            ["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"]
        );
        assert_eq!(interleaved(&["1.1.1.1:1", "[::1]:1", "[::2]:1"]), ["1.1.1.1:1", "[::1]:1", "[::2]:1"]);
        assert_eq!(interleaved(&["1.1.1.1:1", "2.2.2.2:1"]), ["1.1.1.1:1", "2.2.2.2:1"]);
        assert!(interleaved(&[]).is_empty());
    }
}

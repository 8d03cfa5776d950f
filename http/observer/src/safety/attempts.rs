//! Failed logins, counted for each peer.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

/// The failed logins of a peer in [`WINDOW`] after which it is refused.
const MAX_FAILURES: u32 = 10;

/// The time in which failed logins are counted, from the first one on.
const WINDOW: Duration = Duration::from_secs(60);

/// Bounds the peers that are counted apart. All others are counted together, so that many addresses give no
/// more attempts than one.
const MAX_PEERS: usize = 1024;

/// A peer, as failed logins are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum PeerKey {
    /// An address, of IPv6 without its last 64 bits, which one client can choose.
    Ip(IpAddr),
    /// Peers without an internet address: they are on this machine.
    Local,
    /// Peers beyond the bound.
    Others,
}

impl PeerKey {
    fn of(peer: Option<SocketAddr>) -> Self {
        match peer.map(|peer| peer.ip().to_canonical()) {
            None => Self::Local,
            Some(IpAddr::V6(ip)) => Self::Ip(IpAddr::V6((ip.to_bits() >> 64 << 64).into())),
            Some(ip) => Self::Ip(ip),
        }
    }
}

/// Failures since an instant.
#[derive(Clone, Copy, Debug)]
struct Failures {
    since: Instant,
    count: u32,
}

impl Failures {
    fn left(&self, now: Instant) -> Duration {
        WINDOW.saturating_sub(now.saturating_duration_since(self.since))
    }
}

/// The failed logins of the last minute.
#[derive(Debug, Default)]
pub(super) struct Attempts(HashMap<PeerKey, Failures>);

impl Attempts {
    fn key(&self, peer: Option<SocketAddr>) -> PeerKey {
        let key = PeerKey::of(peer);
        if self.0.contains_key(&key) || self.0.len() < MAX_PEERS { key } else { PeerKey::Others }
    }

    /// Returns how long a peer has to wait, if it has failed too often.
    pub(super) fn blocked(&self, peer: Option<SocketAddr>, now: Instant) -> Option<Duration> {
        let failures = self.0.get(&self.key(peer))?;
        let left = failures.left(now);
        (failures.count >= MAX_FAILURES && !left.is_zero()).then_some(left)
    }

    /// Counts a failed login.
    pub(super) fn failed(&mut self, peer: Option<SocketAddr>, now: Instant) {
        if self.0.len() >= MAX_PEERS {
            self.0.retain(|_, failures| !failures.left(now).is_zero());
        }
        let key = self.key(peer);
        let failures = self.0.entry(key).or_insert(Failures { since: now, count: 0 });
        if failures.left(now).is_zero() {
            *failures = Failures { since: now, count: 0 };
        }
        failures.count = failures.count.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(last: u32) -> Option<SocketAddr> {
        Some((std::net::Ipv4Addr::from_bits(0x0a00_0000 + last), 1).into())
    }

    #[test]
    fn ob12_ten_failures_in_a_minute_block_a_peer_for_the_rest_of_it() {
        let (mut attempts, start) = (Attempts::default(), Instant::now());
        let after = |seconds: u64| start + Duration::from_secs(seconds);
        for second in 0..9 {
            attempts.failed(peer(1), after(second));
        }
        assert_eq!(attempts.blocked(peer(1), after(9)), None);
        attempts.failed(peer(1), after(9));
        assert_eq!(attempts.blocked(peer(1), after(9)), Some(Duration::from_secs(51)));
        assert_eq!((attempts.blocked(peer(2), after(9)), attempts.blocked(None, after(9))), (None, None));
        assert_eq!(attempts.blocked(peer(1), after(60)), None);
        attempts.failed(peer(1), after(60));
        assert_eq!(attempts.blocked(peer(1), after(60)), None, "the next minute counts anew");
    }

    #[test]
    fn ob12_many_addresses_give_no_more_attempts_than_one() {
        let (mut attempts, now) = (Attempts::default(), Instant::now());
        (0..100_000).for_each(|last| attempts.failed(peer(last), now));
        assert!(attempts.0.len() <= MAX_PEERS + 1);
        assert!(attempts.blocked(peer(200_000), now).is_some());
        let later = now + WINDOW;
        attempts.failed(peer(1), later);
        assert_eq!((attempts.0.len(), attempts.blocked(peer(200_000), later)), (1, None));
    }

    #[test]
    fn ob12_addresses_of_one_network_of_ipv6_are_one_peer() {
        let (mut attempts, now) = (Attempts::default(), Instant::now());
        let peer = |text: &str| Some(text.parse::<SocketAddr>().expect("an address"));
        (0..10).for_each(|nth| attempts.failed(peer(&format!("[2001:db8::{nth}]:1")), now));
        assert!(attempts.blocked(peer("[2001:db8::ffff]:1"), now).is_some());
        assert!(attempts.blocked(peer("[2001:db8:0:1::1]:1"), now).is_none());
    }
}

//! The options of TCP sockets, which are set before a socket is bound or connected.

use std::{io, net::SocketAddr, time::Duration};

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

/// The longest times that the system takes; see socket(7) and tcp(7).
const MAX_LINGER: Duration = Duration::from_secs(i32::MAX as u64);
const MAX_USER_TIMEOUT: Duration = Duration::from_millis(i32::MAX as u64);
const MAX_KEEPALIVE: Duration = Duration::from_secs(32_767);

/// The options of a TCP socket that listens or connects. Connections inherit those of the listening socket.
///
/// ```
/// use std::time::Duration;
/// use riot_socket::{KeepAlive, Options, Server};
///
/// let options = Options::new()
///     .backlog(4096)
///     .keepalive(KeepAlive::new().idle(Duration::from_secs(60)).probes(4))
///     .user_timeout(Duration::from_secs(30));
/// let server = Server::bind("127.0.0.1:0")?.options(options);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "options do nothing before a socket is bound or connected with them"]
pub struct Options {
    backlog: u32,
    nodelay: bool,
    reuse_address: bool,
    reuse_port: bool,
    ipv6_only: bool,
    keepalive: Option<KeepAlive>,
    linger: Option<Duration>,
    receive_buffer: Option<usize>,
    send_buffer: Option<usize>,
    tos: Option<u8>,
    user_timeout: Option<Duration>,
    from: Option<SocketAddr>,
    pub(crate) attempt_timeout: Duration,
}

impl Options {
    /// Returns the default options.
    pub fn new() -> Self {
        Self {
            backlog: 1024,
            nodelay: true,
            reuse_address: true,
            reuse_port: false,
            ipv6_only: false,
            keepalive: None,
            linger: None,
            receive_buffer: None,
            send_buffer: None,
            tos: None,
            user_timeout: None,
            from: None,
            attempt_timeout: Duration::from_secs(10),
        }
    }

    /// Sets the number of clients that wait in the system's backlog before it refuses more; default 1024.
    /// Only for listening.
    pub fn backlog(mut self, clients: u32) -> Self {
        self.backlog = clients;
        self
    }

    /// Lets the system delay small writes to collect them (Nagle's algorithm, no `TCP_NODELAY`). By default
    /// they are sent at once.
    pub fn nagle(mut self) -> Self {
        self.nodelay = false;
        self
    }

    /// Refuses an address that connections of an earlier socket still use (no `SO_REUSEADDR`). By default it
    /// is reused. Only for listening.
    pub fn no_reuse_address(mut self) -> Self {
        self.reuse_address = false;
        self
    }

    /// Lets several sockets share the port (`SO_REUSEPORT`). By default a port has one socket.
    pub fn reuse_port(mut self) -> Self {
        self.reuse_port = true;
        self
    }

    /// Limits a socket bound to an IPv6 address to IPv6 (`IPV6_V6ONLY`). By default it takes IPv4 clients
    /// too, whatever the system's own default is.
    pub fn ipv6_only(mut self) -> Self {
        self.ipv6_only = true;
        self
    }

    /// Makes the system probe silent peers (`SO_KEEPALIVE`); default off, since protocols have timers of
    /// their own.
    pub fn keepalive(mut self, keepalive: KeepAlive) -> Self {
        self.keepalive = Some(keepalive);
        self
    }

    /// Sets how long a close waits for unsent bytes (`SO_LINGER`), in whole seconds; default that of the
    /// system, at most 68 years. Zero resets the connection instead. Any other time makes the close wait, and
    /// the worker with it.
    pub fn linger(mut self, timeout: Duration) -> Self {
        self.linger = Some(timeout.min(MAX_LINGER));
        self
    }

    /// Sets the size of the system's receive buffer (`SO_RCVBUF`); default that of the system.
    pub fn receive_buffer(mut self, bytes: usize) -> Self {
        self.receive_buffer = Some(bytes);
        self
    }

    /// Sets the size of the system's send buffer (`SO_SNDBUF`); default that of the system.
    pub fn send_buffer(mut self, bytes: usize) -> Self {
        self.send_buffer = Some(bytes);
        self
    }

    /// Sets the type of service, or traffic class, of sent packets (`IP_TOS`, `IPV6_TCLASS`); default that of
    /// the system.
    pub fn tos(mut self, tos: u8) -> Self {
        self.tos = Some(tos);
        self
    }

    /// Sets how long sent bytes may stay unacknowledged before the connection fails (`TCP_USER_TIMEOUT`, in
    /// milliseconds, at most 24 days; Linux); default that of the system.
    pub fn user_timeout(mut self, timeout: Duration) -> Self {
        self.user_timeout = Some(timeout.min(MAX_USER_TIMEOUT));
        self
    }

    /// Sets the address to connect from; by default the system chooses it. Only for connecting.
    pub fn from(mut self, address: SocketAddr) -> Self {
        self.from = Some(address);
        self
    }

    /// Bounds the time of an attempt to connect to one address of a name, after which the next one is tried;
    /// default 10 s. Only for connecting by name, see [`Connection::connect`](crate::Connection::connect).
    ///
    /// # Panics
    /// Panics if `timeout` is zero.
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        assert!(!timeout.is_zero(), "the attempt timeout is zero");
        self.attempt_timeout = timeout;
        self
    }

    pub(crate) fn listen(&self, address: SocketAddr) -> io::Result<std::net::TcpListener> {
        let socket = self.socket(address)?;
        // Connections of a server that has just ended keep the port in use for a minute, which must not
        // prevent a start.
        socket.set_reuse_address(self.reuse_address)?;
        socket.set_reuse_port(self.reuse_port)?;
        if address.is_ipv6() {
            socket.set_only_v6(self.ipv6_only)?;
        }
        socket.bind(&address.into())?;
        socket.listen(i32::try_from(self.backlog).unwrap_or(i32::MAX))?;
        Ok(socket.into())
    }

    /// Begins to connect, without waiting.
    pub(crate) fn connect(&self, address: SocketAddr) -> io::Result<std::net::TcpStream> {
        let socket = self.socket(address)?;
        if let Some(from) = self.from {
            socket.set_reuse_port(self.reuse_port)?;
            socket.bind(&from.into())?;
        }
        match socket.connect(&address.into()) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
            _ => Ok(socket.into()),
        }
    }

    fn socket(&self, address: SocketAddr) -> io::Result<Socket> {
        let socket =
            Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
        socket.set_tcp_nodelay(self.nodelay)?;
        if let Some(keepalive) = &self.keepalive {
            socket.set_tcp_keepalive(&keepalive.0)?;
        }
        if let Some(linger) = self.linger {
            socket.set_linger(Some(linger))?;
        }
        if let Some(bytes) = self.receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        if let Some(bytes) = self.send_buffer {
            socket.set_send_buffer_size(bytes)?;
        }
        if let Some(tos) = self.tos {
            if address.is_ipv4() {
                socket.set_tos_v4(tos.into())?
            } else {
                socket.set_tclass_v6(tos.into())?;
                // For the IPv4 clients of a socket for both families. Systems other than Linux refuse it.
                let _ = socket.set_tos_v4(tos.into());
            }
        }
        #[cfg(target_os = "linux")]
        if let Some(timeout) = self.user_timeout {
            socket.set_tcp_user_timeout(Some(timeout))?;
        }
        Ok(socket)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

/// The probing of silent peers, in whole seconds from 1 to 32 767, the most that Linux takes; other times
/// become the nearest of these. Values that are not set are the system's.
///
/// ```
/// use std::time::Duration;
/// use riot_socket::{KeepAlive, Options};
///
/// let minute = KeepAlive::new().idle(Duration::from_secs(60)).interval(Duration::from_secs(10)).probes(4);
/// let options = Options::new().keepalive(minute);
/// # drop(options);
/// ```
#[derive(Clone, Debug)]
#[must_use = "a keep-alive does nothing until it is given to `Options::keepalive`"]
pub struct KeepAlive(TcpKeepalive);

impl KeepAlive {
    /// Returns the system's own values: on Linux, after two hours, nine probes 75 s apart.
    pub fn new() -> Self {
        Self(TcpKeepalive::new())
    }

    /// Sets the silence of a peer before the first probe (`TCP_KEEPIDLE`).
    pub fn idle(self, time: Duration) -> Self {
        Self(self.0.with_time(possible(time)))
    }

    /// Sets the time between two probes (`TCP_KEEPINTVL`).
    pub fn interval(self, time: Duration) -> Self {
        Self(self.0.with_interval(possible(time)))
    }

    /// Sets the number of unanswered probes after which the connection fails (`TCP_KEEPCNT`).
    pub fn probes(self, probes: u32) -> Self {
        Self(self.0.with_retries(probes))
    }
}

/// Returns the time for probes that is nearest to `time`.
fn possible(time: Duration) -> Duration {
    time.clamp(Duration::from_secs(1), MAX_KEEPALIVE)
}

impl Default for KeepAlive {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use socket2::SockRef;

    use super::*;

    #[test]
    fn every_option_reaches_the_listening_socket_and_its_connections() {
        let options = Options::new()
            .reuse_port()
            .keepalive(
                KeepAlive::new().idle(Duration::from_secs(31)).interval(Duration::from_secs(7)).probes(3),
            )
            .linger(Duration::ZERO)
            .receive_buffer(20_000)
            .send_buffer(30_000)
            .tos(0x10)
            .user_timeout(Duration::from_millis(12_345));
        let listener =
            options.listen("127.0.0.1:0".parse().expect("an address")).expect("the listener is bound");
        listener.set_nonblocking(false).expect("the socket can block");
        let address = listener.local_addr().expect("the socket has an address");
        let client = options.connect(address).expect("the connect begins");
        let (accepted, _) = listener.accept().expect("the accept succeeds");
        for socket in [SockRef::from(&listener), SockRef::from(&accepted), SockRef::from(&client)] {
            assert!(socket.tcp_nodelay().expect("nodelay"));
            assert!(socket.keepalive().expect("keepalive"));
            assert_eq!(socket.tcp_keepalive_time().expect("idle"), Duration::from_secs(31));
            assert_eq!(socket.tcp_keepalive_interval().expect("interval"), Duration::from_secs(7));
            assert_eq!(socket.tcp_keepalive_retries().expect("probes"), 3);
            assert_eq!(socket.linger().expect("linger"), Some(Duration::ZERO));
            // Linux doubles the value that is set.
            assert_eq!(socket.recv_buffer_size().expect("receive buffer") / 2, 20_000);
            assert_eq!(socket.send_buffer_size().expect("send buffer") / 2, 30_000);
            assert_eq!(socket.tos_v4().expect("tos"), 0x10);
            #[cfg(target_os = "linux")]
            let timeout = socket.tcp_user_timeout().expect("user timeout");
            #[cfg(target_os = "linux")]
            assert_eq!(timeout, Some(Duration::from_millis(12_345)));
        }
    }

    #[test]
    fn defaults_can_be_turned_off() {
        let options = Options::new().nagle().no_reuse_address();
        let listener =
            options.listen("127.0.0.1:0".parse().expect("an address")).expect("the listener is bound");
        let socket = SockRef::from(&listener);
        assert!(!socket.tcp_nodelay().expect("nodelay") && !socket.reuse_address().expect("reuse"));
    }

    #[test]
    fn b15_a_port_is_shared_only_by_sockets_that_ask_for_it() {
        let listen = |options: &Options, address: &str| options.listen(address.parse().expect("an address"));
        let address =
            |listener: &TcpListener| listener.local_addr().expect("the socket has an address").to_string();
        let sharing = Options::new().reuse_port();
        let first = listen(&sharing, "127.0.0.1:0").expect("the listener is bound");
        assert!(listen(&sharing, &address(&first)).is_ok());
        let alone = listen(&Options::new(), &address(&first)).expect_err("the port is not shared");
        assert_eq!(alone.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn a_client_can_choose_the_address_it_connects_from() {
        let listener =
            Options::new().listen("127.0.0.1:0".parse().expect("an address")).expect("the listener is bound");
        listener.set_nonblocking(false).expect("the socket can block");
        let options = Options::new().from("127.0.0.2:0".parse().expect("an address"));
        let _client = options
            .connect(listener.local_addr().expect("the socket has an address"))
            .expect("the connect begins");
        let (_, peer) = listener.accept().expect("the accept succeeds");
        assert_eq!(peer.ip().to_string(), "127.0.0.2");
    }
}

//! What is set before a socket is bound.

use std::{io, net::SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};

/// Options of a listening TCP socket. Those that matter to connections are inherited by them.
#[derive(Clone, Debug)]
#[must_use = "options do nothing before a listener is bound with them"]
pub struct Options {
    backlog: u32,
    nodelay: bool,
    reuse_port: bool,
    ipv6_only: bool,
    keepalive: bool,
}

impl Options {
    /// The defaults.
    pub fn new() -> Self {
        Self { backlog: 1024, nodelay: true, reuse_port: false, ipv6_only: false, keepalive: false }
    }

    /// Clients the system keeps waiting before it refuses more; default 1024.
    pub fn backlog(mut self, clients: u32) -> Self {
        self.backlog = clients;
        self
    }

    /// Whether small writes leave at once (`TCP_NODELAY`); default true.
    pub fn nodelay(mut self, nodelay: bool) -> Self {
        self.nodelay = nodelay;
        self
    }

    /// Whether several sockets may share the port (`SO_REUSEPORT`); default false.
    pub fn reuse_port(mut self, reuse: bool) -> Self {
        self.reuse_port = reuse;
        self
    }

    /// Whether a socket bound to an IPv6 address leaves IPv4 alone; default false.
    pub fn ipv6_only(mut self, only: bool) -> Self {
        self.ipv6_only = only;
        self
    }

    /// Whether the system probes silent peers (`SO_KEEPALIVE`); default false: protocols have timers of their own.
    pub fn keepalive(mut self, keepalive: bool) -> Self {
        self.keepalive = keepalive;
        self
    }

    pub(crate) fn listen(&self, address: SocketAddr) -> io::Result<std::net::TcpListener> {
        let socket =
            Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
        // Connections of a server that just ended keep the port busy for a minute; that is no reason not to start.
        socket.set_reuse_address(true)?;
        #[cfg(unix)]
        socket.set_reuse_port(self.reuse_port)?;
        if address.is_ipv6() {
            socket.set_only_v6(self.ipv6_only)?;
        }
        socket.set_tcp_nodelay(self.nodelay)?;
        socket.set_keepalive(self.keepalive)?;
        socket.bind(&address.into())?;
        socket.listen(i32::try_from(self.backlog).unwrap_or(i32::MAX))?;
        Ok(socket.into())
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

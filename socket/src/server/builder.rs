//! The builder of a server: its configuration, and its start.

use std::{fmt, io, net::ToSocketAddrs, path::Path, pin::Pin, sync::Arc, time::Duration};

use riot_actor::{Reason, process::Priority, runtime};
use riot_supervisor::{ChildId, ChildSpec, supervisor};

use super::{
    alarm::Alarm,
    handle::ServerHandle,
    log_levels::LogLevels,
    overflow::ConnectionOverflow,
    protocol::{self, DynProtocol, Protocol},
    state::Shared,
    tree,
};
#[cfg(feature = "tls")]
use crate::transport::tls::Tls;
use crate::{
    connection::{
        handshake::{Handshake, Handshakes},
        proxy::ProxyProtocol,
        timeouts::ConnectionTimeouts,
    },
    transport::{Address, Bind, options::Options, tcp::TcpBind, unix::UnixBind},
};

/// A hook that is called with every address a server listens on, before it accepts there.
pub(super) type OnListen = Arc<dyn Fn(&Address) -> io::Result<()> + Send + Sync>;

/// The builder of a server; [`start_link`](Self::start_link) starts it.
///
/// ```
/// use riot_socket::{Connection, Server};
/// # let reason = riot_actor::run(async {
/// let echo = Server::bind("127.0.0.1:0")?.start_link(|mut connection: Connection| async move {
///     let mut buffer = vec![0; 16 * 1024];
///     loop {
///         match connection.read(&mut buffer).await? {
///             0 => return std::io::Result::Ok(()),
///             read => connection.write_all(&buffer[..read]).await?,
///         }
///     }
/// }).await?;
/// println!("listening on {}", echo.local_addr());
/// # echo.stop(std::time::Duration::ZERO).await;
/// # Ok::<(), riot_actor::Reason>(())
/// # });
/// # assert_eq!(reason, riot_actor::Reason::Normal);
/// ```
#[must_use = "nothing listens before `start_link`"]
pub struct Server {
    bind: Box<dyn Bind>,
    config: Config,
}

#[derive(Clone)]
pub(super) struct Config {
    pub(super) name: Option<Arc<str>>,
    pub(super) acceptors: usize,
    pub(super) listeners: usize,
    pub(super) connection_supervisors: usize,
    pub(super) max_connections: usize,
    pub(super) overflow: ConnectionOverflow,
    pub(super) alarms: Vec<Alarm>,
    pub(super) on_listen: Option<OnListen>,
    pub(super) shutdown_timeout: Duration,
    pub(super) lame_duck_timeout: Duration,
    pub(super) drain_first_timeout: Duration,
    pub(super) log_levels: LogLevels,
    pub(super) priority: Priority,
    pub(super) handshakes: Handshakes,
    pub(super) handshake_timeout: Duration,
    pub(super) keeps_descriptor_limit: bool,
    pub(super) connection_timeouts: ConnectionTimeouts,
    #[cfg(feature = "tokio")]
    pub(super) is_inside_tokio: bool,
}

impl Server {
    /// Returns a server on a TCP address. Names are looked up by this call; the address is bound by
    /// [`start_link`](Self::start_link).
    ///
    /// # Errors
    /// If the name has no address.
    pub fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        Ok(Self::listen(TcpBind::resolve(address, Options::new())?))
    }

    /// Returns a server on a port of every address of this machine: IPv6 and IPv4 by one socket, or IPv4
    /// alone where the system has no IPv6. The peers of IPv4 clients are shown as addresses of IPv4. For port
    /// 0 the system chooses a port.
    ///
    /// ```
    /// # use riot_socket::{Connection, Server};
    /// # let reason = riot_actor::run(async {
    /// let server = Server::bind_port(0)
    ///     .start_link(|mut connection: Connection| async move { connection.write_all(b"hello").await })
    ///     .await?;
    /// let port = server.local_addr().port();
    /// let mut client = Connection::connect(&format!("127.0.0.1:{port}")).await?;
    /// assert_eq!(client.read_to_end(5).await?, b"hello");
    /// # server.stop(std::time::Duration::ZERO).await;
    /// # Ok::<(), riot_actor::Reason>(())
    /// # });
    /// # assert_eq!(reason, riot_actor::Reason::Normal);
    /// ```
    pub fn bind_port(port: u16) -> Self {
        Self::listen(TcpBind::every_address(port, Options::new()))
    }

    /// Returns a server on anything that can be bound, such as a [`UnixBind`] or a
    /// [memory listener](crate::memory::Listener).
    pub fn listen(bind: impl Bind) -> Self {
        Self { bind: Box::new(bind), config: Config::new() }
    }

    /// Returns a server on a Unix socket, whose file is removed when the server stops; [`UnixBind`] has more
    /// options.
    pub fn bind_unix(path: impl AsRef<Path>) -> Self {
        Self::listen(UnixBind::new(path.as_ref()))
    }

    /// Sets the options of the listening sockets, and of the connections, which inherit them.
    pub fn options(self, options: Options) -> Self {
        self.bind.set_options(options);
        self
    }

    /// Sets the number of listening sockets; default 1. Several share the port, and the system spreads the
    /// clients over them, which needs [`Options::reuse_port`]. Acceptors are spread over them too, so there
    /// should be as many at least.
    ///
    /// # Panics
    /// Panics if it is zero.
    pub fn listeners(mut self, listeners: usize) -> Self {
        assert!(listeners > 0, "the number of listeners is zero");
        self.config.listeners = listeners;
        self
    }

    /// Adds a hook that is called with the address of every listening socket before a client is accepted
    /// there, after the hooks added before.
    ///
    /// The hook runs in Acceptor.Sup, so it is called again when that is restarted. Its error is an error of
    /// the bind, and later hooks are not called. It must not block. (Ranch: `post_listen_callback`.)
    pub fn on_listen(mut self, hook: impl Fn(&Address) -> io::Result<()> + Send + Sync + 'static) -> Self {
        self.config.on_listen = Some(match self.config.on_listen.take() {
            None => Arc::new(hook),
            Some(before) => Arc::new(move |address| before(address).and_then(|()| hook(address))),
        });
        self
    }

    /// Sets the priority of the processes that accept and serve clients; normal by default. A server of high
    /// priority answers before the processes of others run, as a page for operators should.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.config.priority = priority;
        self
    }

    /// Sets the number of processes that accept; default 10, as in Ranch.
    ///
    /// # Panics
    /// Panics if it is zero.
    pub fn acceptors(mut self, acceptors: usize) -> Self {
        assert!(acceptors > 0, "the number of acceptors is zero");
        self.config.acceptors = acceptors;
        self
    }

    /// Sets the number of supervisors that connections are spread over; default one a core.
    ///
    /// # Panics
    /// Panics if it is zero.
    pub fn connection_supervisors(mut self, supervisors: usize) -> Self {
        assert!(supervisors > 0, "the number of connection supervisors is zero");
        self.config.connection_supervisors = supervisors;
        self
    }

    /// Bounds the connections at one time, exactly; default 16 384. [`overflow`](Self::overflow) decides what
    /// happens to more clients. Zero accepts none until the bound is
    /// [raised](crate::ServerHandle::set_max_connections).
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.config.max_connections = connections;
        self
    }

    /// Sets what happens to clients beyond `max_connections`; by default they wait.
    pub fn overflow(mut self, overflow: ConnectionOverflow) -> Self {
        self.config.overflow = overflow;
        self
    }

    /// Sets how long the reads and writes of a protocol may wait without a byte; by default 60 s between
    /// units, 30 s inside one, 30 s for a write, see [`ConnectionTimeouts`]. Flows, such as HTTP, have timers
    /// of their own.
    pub fn connection_timeouts(mut self, timeouts: ConnectionTimeouts) -> Self {
        self.config.connection_timeouts = timeouts;
        self
    }

    /// Leaves the program's limit of open files as it is. By default the first server of a program that
    /// listens on sockets of the system raises the soft limit to the hard one (`RLIMIT_NOFILE`), as far as
    /// the system allows it. Programs that it starts inherit the raised limit. Code that uses select(2) needs
    /// descriptors below 1024, so such a program has to keep the limit.
    ///
    /// If the limit has no room for the `max_connections` of all servers, a warning says so once.
    pub fn keep_descriptor_limit(mut self) -> Self {
        self.config.keeps_descriptor_limit = true;
        self
    }

    /// Adds an alarm, which calls back when there are many connections.
    pub fn alarm(mut self, alarm: Alarm) -> Self {
        self.config.alarms.push(alarm);
        self
    }

    /// Bounds how long connections may take to finish when the server ends: because its supervisor stops it,
    /// or because the runtime shuts down; default 15 s. Connections that have not finished are then killed.
    ///
    /// A server drains by itself wherever it was started, also in `main`. The lame duck comes before, and
    /// both together have to stay below the
    /// [`stop_timeout`](riot_actor::runtime::Config::stop_timeout) of the runtime. For the rules see
    /// [B12](crate::contract).
    ///
    /// A supervisor ends its servers one after the other, and so does the runtime, so that the times of
    /// several servers add up. A program that has them drain at one time calls [`ServerHandle::stop`] on each
    /// of them when [`shutdown_signal`](riot_actor::runtime::shutdown_signal) is ready.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.config.shutdown_timeout = timeout;
        self
    }

    /// Sets how long the server goes on as a lame duck before it drains; default zero.
    ///
    /// Meanwhile it accepts and serves clients, but every response says that it is the last of its
    /// connection, so that kept connections move to other servers. A load balancer that learns from a health
    /// check that this server is about to stop needs this time to send its clients elsewhere. When the
    /// runtime shuts down, the lame duck of every server begins at that moment.
    pub fn lame_duck_timeout(mut self, timeout: Duration) -> Self {
        self.config.lame_duck_timeout = timeout;
        self
    }

    /// Sets how long a client that has sent nothing yet is waited for when the server drains; default 1 s.
    pub fn drain_first_timeout(mut self, timeout: Duration) -> Self {
        self.config.drain_first_timeout = timeout;
        self
    }

    /// Sets the levels at which the server logs, by class of event.
    pub fn log_levels(mut self, levels: LogLevels) -> Self {
        self.config.log_levels = levels;
        self
    }

    /// Runs each Connector inside the tokio runtime of [`Config::tokio`](riot_actor::runtime::Config::tokio),
    /// so that libraries that need tokio work in the protocol. Each poll slice takes some 50 ns more.
    ///
    /// Without that runtime the server does not start.
    ///
    /// ```
    /// use std::time::Duration;
    /// use riot_actor::{Reason, runtime::Config};
    /// use riot_socket::{Connection, Server, memory::Listener};
    ///
    /// let reason = Config::new().tokio().run(async {
    ///     let listener = Listener::new();
    ///     let serve = |mut connection: Connection| async move {
    ///         tokio::time::sleep(Duration::from_millis(1)).await;
    ///         connection.write_all(b"hello").await
    ///     };
    ///     let server = Server::listen(listener.clone()).tokio().start_link(serve).await?;
    ///     assert_eq!(listener.connect()?.read_to_end(5).await?, b"hello");
    ///     server.stop(Duration::ZERO).await;
    ///     Ok::<(), Reason>(())
    /// });
    /// assert_eq!(reason?, Reason::Normal);
    /// # Ok::<(), riot_actor::runtime::RunError>(())
    /// ```
    #[cfg(feature = "tokio")]
    pub fn tokio(mut self) -> Self {
        self.config.is_inside_tokio = true;
        self
    }

    /// Names the server, as [`servers`](super::servers), crash reports and pages that show it do; by default
    /// it has its address as its name. Names need not differ.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.config.name = Some(name.into().into());
        self
    }

    /// Adds a handshake, which every connection passes before its protocol begins, after those added before.
    /// None by default.
    pub fn handshake(mut self, handshake: impl Handshake) -> Self {
        self.config.handshakes.push(handshake);
        self
    }

    /// Adds TLS to every connection, after the handshakes added before. If `tls` names no protocols for ALPN,
    /// those that the server's protocol [states](Protocol::alpn) are offered.
    #[cfg(feature = "tls")]
    pub fn tls(self, tls: Tls) -> Self {
        self.handshake(tls)
    }

    /// Reads a PROXY header from every connection, after the handshakes added before.
    pub fn proxy_protocol(self, proxy: ProxyProtocol) -> Self {
        self.handshake(proxy)
    }

    /// Bounds the time of all handshakes of a connection together, after which it is closed; default 5 s, as
    /// in Ranch.
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.config.handshake_timeout = timeout;
        self
    }

    /// Starts the server, linked to the caller. When this returns the server is bound and every acceptor
    /// accepts.
    ///
    /// # Errors
    /// [`ServerStartError::Bind`] if the address cannot be bound. After an error nothing is left
    /// of the server.
    ///
    /// # Panics
    /// Panics outside a process.
    // The type of the future does not name the protocol: a wrong one would be an error there as well.
    pub fn start_link(
        self,
        protocol: impl Protocol,
    ) -> Pin<Box<dyn Future<Output = Result<ServerHandle, ServerStartError>> + Send>> {
        Box::pin(self.protocol(protocol).start_link())
    }

    /// Returns the spec of the server as a child of a supervisor.
    ///
    /// ```
    /// use riot_socket::{Connection, Server};
    /// use riot_supervisor::Supervisor;
    ///
    /// # let reason = riot_actor::run(async {
    /// let greet = |mut connection: Connection| async move { connection.write_all(b"hello").await };
    /// let sup = Supervisor::one_for_one()
    ///     .child(Server::bind("127.0.0.1:0")?.child_spec("greeter", greet))
    ///     .start_link()
    ///     .await?;
    /// # sup.stop(riot_actor::Reason::Normal).await?;
    /// # Ok::<(), riot_actor::Reason>(())
    /// # });
    /// # assert_eq!(reason, riot_actor::Reason::Normal);
    /// ```
    pub fn child_spec(self, id: impl Into<ChildId>, protocol: impl Protocol) -> ChildSpec {
        self.protocol(protocol).child(id).0
    }

    /// Returns the spec of the server as a child of a supervisor, and a handle to it. The handle stays valid
    /// when the server is restarted. Counts and changed settings are kept too.
    pub fn child(self, id: impl Into<ChildId>, protocol: impl Protocol) -> (ChildSpec, ServerHandle) {
        self.protocol(protocol).child(id)
    }

    /// Gives the server its protocol, for a layer that starts it later.
    ///
    /// ```
    /// use riot_socket::{Connection, ReadyServer, Server};
    ///
    /// fn greeter() -> std::io::Result<ReadyServer> {
    ///     let greet = |mut connection: Connection| async move { connection.write_all(b"hello").await };
    ///     Ok(Server::bind("127.0.0.1:0")?.protocol(greet))
    /// }
    /// # let reason = riot_actor::run(async {
    /// let server = greeter()?.start_link().await?;
    /// # server.stop(std::time::Duration::ZERO).await;
    /// # Ok::<(), riot_actor::Reason>(())
    /// # });
    /// # assert_eq!(reason, riot_actor::Reason::Normal);
    /// ```
    pub fn protocol(mut self, protocol: impl Protocol) -> ReadyServer {
        self.config.handshakes.set_protocol_names(protocol.alpn());
        ReadyServer { server: self, protocol: protocol::erase(protocol) }
    }
}

/// A server with its protocol, whose type is erased.
///
/// See [`Server::protocol`] for an example.
#[must_use = "nothing listens before `start_link`"]
pub struct ReadyServer {
    server: Server,
    protocol: Arc<dyn DynProtocol>,
}

impl ReadyServer {
    /// Starts the tree; see [`Server::start_link`].
    ///
    /// # Errors
    /// If the address cannot be bound. No process is left behind then.
    ///
    /// # Panics
    /// Panics outside a process.
    pub async fn start_link(self) -> Result<ServerHandle, ServerStartError> {
        self.server.config.check_stop_timeout();
        let (shared, supervisors) = self.into_shared();
        match tree::tree(&shared, supervisors).start_link().await {
            Ok(_) => Ok(ServerHandle::new(shared)),
            // The error of the tree names the child that failed. The error of the bind names the address.
            Err(error) => Err(match shared.take_bind_error() {
                Some(error) => ServerStartError::Bind(error),
                None => ServerStartError::Supervisor(error.into()),
            }),
        }
    }

    /// Returns the spec of the server as a child of a supervisor, and a handle to it; see [`Server::child`].
    pub fn child(self, id: impl Into<ChildId>) -> (ChildSpec, ServerHandle) {
        let (shared, supervisors) = self.into_shared();
        let server = ServerHandle::new(shared.clone());
        (supervisor(id, move || tree::tree(&shared, supervisors).start_link()).untyped(), server)
    }

    fn into_shared(self) -> (Arc<Shared>, usize) {
        let Self { server: Server { bind, config }, protocol } = self;
        let supervisors = config.connection_supervisors;
        (Arc::new(Shared::new(bind, config, protocol)), supervisors)
    }
}

impl fmt::Debug for ReadyServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReadyServer").field(&self.server).finish()
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let config = &self.config;
        f.debug_struct("Server")
            .field("acceptors", &config.acceptors)
            .field("listeners", &config.listeners)
            .field("connection_supervisors", &config.connection_supervisors)
            .field("max_connections", &config.max_connections)
            .field("overflow", &config.overflow)
            .field("alarms", &config.alarms)
            .field("shutdown_timeout", &config.shutdown_timeout)
            .field("lame_duck_timeout", &config.lame_duck_timeout)
            .field("drain_first_timeout", &config.drain_first_timeout)
            .field("log_levels", &config.log_levels)
            .field("handshakes", &config.handshakes)
            .field("handshake_timeout", &config.handshake_timeout)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// Warns if the runtime would end before the connections have had their time.
    fn check_stop_timeout(&self) {
        let (needed, bound) =
            (self.lame_duck_timeout.saturating_add(self.shutdown_timeout), runtime::stop_timeout());
        if needed >= bound {
            riot_actor::log_event!(
                WARN,
                "riot::socket",
                "a drain may take {needed:?}, but the runtime stops after {bound:?}; see Config::stop_timeout"
            );
        }
    }

    pub(super) fn new() -> Self {
        Self {
            name: None,
            acceptors: 10,
            listeners: 1,
            connection_supervisors: std::thread::available_parallelism().map_or(1, usize::from),
            max_connections: 16 * 1024,
            overflow: ConnectionOverflow::Wait,
            alarms: Vec::new(),
            on_listen: None,
            shutdown_timeout: Duration::from_secs(15),
            lame_duck_timeout: Duration::ZERO,
            drain_first_timeout: Duration::from_secs(1),
            log_levels: LogLevels::new(),
            priority: Priority::Normal,
            handshakes: Handshakes::default(),
            handshake_timeout: Duration::from_secs(5),
            keeps_descriptor_limit: false,
            connection_timeouts: ConnectionTimeouts::new(),
            #[cfg(feature = "tokio")]
            is_inside_tokio: false,
        }
    }
}

/// The error of starting a server, or of [resuming](ServerHandle::resume) it.
///
/// ```
/// use riot_socket::{Connection, Server, ServerStartError, memory::Listener};
/// # let reason = riot_actor::run(async {
/// let listener = Listener::new();
/// listener.refuse_bind(Some(std::io::ErrorKind::AddrInUse));
/// let serve = |mut connection: Connection| async move { connection.flush().await };
/// let error = Server::listen(listener).start_link(serve).await.unwrap_err();
/// assert!(matches!(error, ServerStartError::Bind(error) if error.kind() == std::io::ErrorKind::AddrInUse));
/// # Ok::<(), riot_actor::Reason>(())
/// # });
/// # assert_eq!(reason, riot_actor::Reason::Normal);
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerStartError {
    /// The address could not be bound: it is in use, forbidden, or not of this machine.
    #[error(transparent)]
    Bind(io::Error),
    /// Another part of the tree failed to start.
    #[error("the server did not start: {0}")]
    Supervisor(Reason),
}

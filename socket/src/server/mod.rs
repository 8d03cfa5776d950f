//! The server: any protocol, with Ranch's tree around it.
//!
//! ```text
//! Server.Sup (rest_for_one)
//! ├── Connections.Sup.Sup (one_for_one)
//! │   └── Connections.Sup ×M    dynamic children; counts, drains
//! │       └── Connector         one a client; owns the connection; waits for Handshake; runs the protocol
//! └── Acceptor.Sup (one_for_one)  binds; bound again when restarted, while live connections stay
//!     └── Acceptor.Worker ×N
//! ```
//!
//! Connections hang below supervisors of their own, so an acceptor that crashes takes no client with it, and the
//! listening socket can be lost and bound again under live connections.

mod accept_error;
mod acceptor;
mod alarm;
mod connections;
mod connectors;
mod handle;
mod info;
mod overflow;
mod protocol;
mod reserve;
mod semaphore;
mod state;
mod table;
mod tree;

use std::{fmt, io, net::ToSocketAddrs, sync::Arc, time::Duration};

use riot_actor::Reason;
use riot_supervisor::{ChildId, ChildSpec, supervisor};

pub use alarm::{Alarm, AlarmEvent};
pub use handle::ServerHandle;
pub use info::{AcceptErrors, ConnectionInfo, CutConnection, Ended, ServerInfo, ServerState};
pub use overflow::ConnectionOverflow;
pub use protocol::{Protocol, supervised};
pub(crate) use semaphore::Permit;
use state::{OnListen, Shared};
pub use table::Load;
pub(crate) use table::Seat;

use crate::{
    Options,
    connection::handshake::{Handshake, Handshakes},
    transport::tcp::TcpAddress,
    transport::{Address, Bind},
};

/// A server that has not been started.
///
/// ```
/// use riot_socket::{Connection, Server};
/// # riot_actor::run(async {
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
/// ```
#[must_use = "nothing listens before `start_link`"]
pub struct Server {
    bind: Box<dyn Bind>,
    config: Config,
}

#[derive(Clone)]
struct Config {
    acceptors: usize,
    listeners: usize,
    connection_supervisors: usize,
    max_connections: usize,
    overflow: ConnectionOverflow,
    alarms: Vec<Alarm>,
    on_listen: Option<OnListen>,
    shutdown: Duration,
    handshakes: Handshakes,
    handshake_timeout: Duration,
}

impl Server {
    /// A server on a TCP address. Names are looked up here and now; the address is bound by [`start_link`](Self::start_link).
    ///
    /// # Errors
    /// If the name stands for no address.
    pub fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        Ok(Self::listen(TcpAddress::resolve(address, Options::new())?))
    }

    /// A server on anything that can be bound.
    pub fn listen(bind: impl Bind) -> Self {
        Self { bind: Box::new(bind), config: Config::new() }
    }

    /// Options of the listening sockets, and of the connections, which inherit them.
    pub fn options(self, options: Options) -> Self {
        self.bind.set_options(options);
        self
    }

    /// Sockets that listen, default 1. Several share the port, and the system spreads the clients over them: that needs
    /// [`Options::reuse_port`]. Acceptors are spread over them too, so have as many at least.
    ///
    /// # Panics
    /// If zero.
    pub fn listeners(mut self, listeners: usize) -> Self {
        assert!(listeners > 0, "something has to listen");
        self.config.listeners = listeners;
        self
    }

    /// What is called with the address of every listening socket before a client is accepted there; in Acceptor.Sup,
    /// so again when that is restarted. An error is an error of the bind. It must not block. (Ranch:
    /// `post_listen_callback`.)
    pub fn on_listen(mut self, hook: impl Fn(&Address) -> io::Result<()> + Send + Sync + 'static) -> Self {
        self.config.on_listen = Some(Arc::new(hook));
        self
    }

    /// Processes that accept; default 10, as Ranch's.
    ///
    /// # Panics
    /// If zero.
    pub fn acceptors(mut self, acceptors: usize) -> Self {
        assert!(acceptors > 0, "somebody has to accept");
        self.config.acceptors = acceptors;
        self
    }

    /// Supervisors the connections are spread over; default one a core.
    ///
    /// # Panics
    /// If zero.
    pub fn connection_supervisors(mut self, supervisors: usize) -> Self {
        assert!(supervisors > 0, "somebody has to supervise");
        self.config.connection_supervisors = supervisors;
        self
    }

    /// Connections there may be at once, exactly; default 16 384. What becomes of more clients is
    /// [`overflow`](Self::overflow)'s to say.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.config.max_connections = connections;
        self
    }

    /// What becomes of clients for whom there is no place; by default they wait.
    pub fn overflow(mut self, overflow: ConnectionOverflow) -> Self {
        self.config.overflow = overflow;
        self
    }

    /// Calls back when there are many connections; as often as there are alarms to add.
    pub fn alarm(mut self, alarm: Alarm) -> Self {
        self.config.alarms.push(alarm);
        self
    }

    /// How long connections may take to finish when a supervisor stops the server; default 15 s.
    pub fn shutdown(mut self, limit: Duration) -> Self {
        self.config.shutdown = limit;
        self
    }

    /// Something to be done on every connection before its protocol begins, after what was asked for before. None by
    /// default.
    pub fn handshake(mut self, handshake: impl Handshake) -> Self {
        self.config.handshakes.push(handshake);
        self
    }

    /// How long all the handshakes of a connection may take together, before it is closed; default 5 s, as Ranch's.
    pub fn handshake_timeout(mut self, limit: Duration) -> Self {
        self.config.handshake_timeout = limit;
        self
    }

    /// Starts the tree, linked to the caller. When this returns the server is bound and every acceptor accepts.
    ///
    /// # Errors
    /// [`ServerStartError::Bind`] if the address cannot be bound. Nothing is left behind.
    ///
    /// # Panics
    /// Outside a process.
    pub async fn start_link(self, protocol: impl Protocol) -> Result<ServerHandle, ServerStartError> {
        let (shared, supervisors) = self.into_shared(protocol);
        match tree::tree(&shared, supervisors).start_link().await {
            Ok(_) => Ok(ServerHandle::new(shared)),
            // The tree says which child failed; whoever started the server wants to know of the address.
            Err(error) => Err(match shared.take_bind_error() {
                Some(error) => ServerStartError::Bind(error),
                None => ServerStartError::Supervisor(error.into()),
            }),
        }
    }

    /// The server as a child of a supervisor of yours.
    pub fn child_spec(self, id: impl Into<ChildId>, protocol: impl Protocol) -> ChildSpec {
        self.child(id, protocol).0
    }

    /// The server as a child of a supervisor of yours, and a handle to it. The handle is good for the server whatever
    /// process it is: restarted, it keeps its counts and what was changed while it ran.
    pub fn child(self, id: impl Into<ChildId>, protocol: impl Protocol) -> (ChildSpec, ServerHandle) {
        let (shared, supervisors) = self.into_shared(protocol);
        let server = ServerHandle::new(shared.clone());
        (supervisor(id, move || tree::tree(&shared, supervisors).start_link()), server)
    }

    fn into_shared(self, protocol: impl Protocol) -> (Arc<Shared>, usize) {
        let supervisors = self.config.connection_supervisors;
        (Arc::new(Shared::new(self.bind, self.config, protocol::any(protocol))), supervisors)
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
            .field("shutdown", &config.shutdown)
            .field("handshakes", &config.handshakes)
            .field("handshake_timeout", &config.handshake_timeout)
            .finish_non_exhaustive()
    }
}

impl Config {
    fn new() -> Self {
        Self {
            acceptors: 10,
            listeners: 1,
            connection_supervisors: std::thread::available_parallelism().map_or(1, usize::from),
            max_connections: 16 * 1024,
            overflow: ConnectionOverflow::Wait,
            alarms: Vec::new(),
            on_listen: None,
            shutdown: Duration::from_secs(15),
            handshakes: Handshakes::default(),
            handshake_timeout: Duration::from_secs(5),
        }
    }
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerStartError {
    /// The address could not be bound: it is in use, forbidden, or not of this machine.
    #[error("{0}")]
    Bind(#[source] io::Error),
    /// Something else in the tree failed to start.
    #[error("the server did not start: {0}")]
    Supervisor(Reason),
}

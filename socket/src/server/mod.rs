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
mod connections;
mod handle;
mod limit;
mod shared;
mod tree;

use std::{fmt, future::Future, io, net::ToSocketAddrs, sync::Arc, time::Duration};

use riot_actor::{Outcome, Reason};
use riot_supervisor::{ChildId, ChildSpec, supervisor};

use crate::{
    Options,
    connection::Connection,
    handshake::{Handshake, Handshakes},
    tcp::TcpAddress,
    transport::Bind,
};
pub use handle::{ConnectionInfo, Cut, ServerInfo, ServerRef};
pub use shared::Crowd;
pub(crate) use shared::Seat;
use shared::Shared;

/// What is done with a connection: a process body that receives it. Any closure from [`Connection`] to a future is one.
pub trait Protocol: Send + Sync + 'static {
    /// Serves one client, in the client's own Connector process. When it returns the connection is closed.
    fn serve(&self, connection: Connection) -> impl Future<Output = Reason> + Send;
}

impl<F, S> Protocol for F
where
    F: Fn(Connection) -> S + Send + Sync + 'static,
    S: Future<Output: Outcome> + Send + 'static,
{
    fn serve(&self, connection: Connection) -> impl Future<Output = Reason> + Send {
        let serving = self(connection);
        async move { serving.await.into_reason() }
    }
}

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
    bind: Listening,
    config: Config,
}

enum Listening {
    Tcp(TcpAddress),
    Other(Box<dyn Bind>),
}

impl From<Listening> for Box<dyn Bind> {
    fn from(listening: Listening) -> Self {
        match listening {
            Listening::Tcp(address) => Box::new(address),
            Listening::Other(bind) => bind,
        }
    }
}

#[derive(Clone, Debug)]
struct Config {
    acceptors: usize,
    connection_supervisors: usize,
    max_connections: usize,
    shutdown: Duration,
    handshakes: Handshakes,
}

impl Server {
    /// A server on a TCP address. Names are looked up here and now; the address is bound by [`start_link`](Self::start_link).
    ///
    /// # Errors
    /// If the name stands for no address.
    pub fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        Ok(Self {
            bind: Listening::Tcp(TcpAddress::resolve(address, Options::new())?),
            config: Config::new(),
        })
    }

    /// A server on anything that can be bound.
    pub fn listen(bind: impl Bind) -> Self {
        Self { bind: Listening::Other(Box::new(bind)), config: Config::new() }
    }

    /// Options of the listening socket; only for TCP.
    pub fn options(mut self, options: Options) -> Self {
        self.bind = match self.bind {
            Listening::Tcp(address) => Listening::Tcp(address.with_options(options)),
            other => other,
        };
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

    /// Connections there may be at once, exactly; default 16 384. More clients wait in the system's backlog.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.config.max_connections = connections;
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
        self.config.handshakes.timeout = limit;
        self
    }

    /// Starts the tree, linked to the caller. When this returns the server is bound and every acceptor accepts.
    ///
    /// # Errors
    /// [`StartError::Bind`] if the address cannot be bound. Nothing is left behind.
    ///
    /// # Panics
    /// Outside a process.
    pub async fn start_link(self, protocol: impl Protocol) -> Result<ServerRef, StartError> {
        let shared = Arc::new(Shared::new(self.bind.into(), &self.config));
        let protocol = Arc::new(protocol);
        let started = tree::tree(&shared, &protocol, &self.config).start_link().await;
        match started {
            Ok(supervisor) => Ok(ServerRef::new(supervisor, shared)),
            // The tree says which child failed; whoever started the server wants to know of the address.
            Err(error) => Err(match shared.take_bind_error() {
                Some(error) => StartError::Bind(error),
                None => StartError::Supervisor(error.into()),
            }),
        }
    }

    /// The server as a child of a supervisor of yours.
    pub fn child_spec(self, id: impl Into<ChildId>, protocol: impl Protocol) -> ChildSpec {
        let shared = Arc::new(Shared::new(self.bind.into(), &self.config));
        let (protocol, config) = (Arc::new(protocol), self.config);
        supervisor(id, move || tree::tree(&shared, &protocol, &config).start_link())
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Config {
    fn new() -> Self {
        Self {
            acceptors: 10,
            connection_supervisors: std::thread::available_parallelism().map_or(1, usize::from),
            max_connections: 16 * 1024,
            shutdown: Duration::from_secs(15),
            handshakes: Handshakes::new(),
        }
    }
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address could not be bound: it is in use, forbidden, or not of this machine.
    #[error("{0}")]
    Bind(#[source] io::Error),
    /// Something else in the tree failed to start.
    #[error("the server did not start: {0}")]
    Supervisor(Reason),
}

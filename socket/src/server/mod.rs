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
mod limit;

use std::{
    fmt,
    future::{Future, poll_fn},
    io,
    net::{SocketAddr, ToSocketAddrs},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Poll, Waker},
    time::{Duration, Instant},
};

use riot_actor::{Outcome, Pid, Reason, SpawnOptions, call, join, now};
use riot_supervisor::{ChildSpec, Supervisor, SupervisorRef, supervisor, worker};

use crate::{
    Options,
    connection::Connection,
    tcp::TcpAddress,
    transport::{Address, Bind, Listen},
};
use limit::Limit;

/// What is done with a connection: a process body that receives it. Any closure from [`Connection`] to a future is one.
pub trait Protocol: Send + Sync + 'static {
    /// Serves one client, in the client's own Connector process. When it returns the connection is closed.
    fn serve(&self, connection: Connection) -> impl Future<Output: Outcome> + Send + 'static;
}

impl<F, S> Protocol for F
where
    F: Fn(Connection) -> S + Send + Sync + 'static,
    S: Future<Output: Outcome> + Send + 'static,
{
    fn serve(&self, connection: Connection) -> impl Future<Output: Outcome> + Send + 'static {
        self(connection)
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

#[derive(Clone, Debug)]
struct Config {
    acceptors: usize,
    connection_supervisors: usize,
    max_connections: usize,
    shutdown: Duration,
}

impl Server {
    /// A server on a TCP address. Names are looked up here and now; the address is bound by [`start_link`](Self::start_link).
    ///
    /// # Errors
    /// If the name stands for no address.
    pub fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        Ok(Self { bind: Listening::Tcp(TcpAddress::resolve(address, Options::new())?), config: Config::new() })
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

    /// Starts the tree, linked to the caller. When this returns the server is bound and every acceptor accepts.
    ///
    /// # Errors
    /// [`StartError::Bind`] if the address cannot be bound. Nothing is left behind.
    ///
    /// # Panics
    /// Outside a process.
    pub async fn start_link(self, protocol: impl Protocol) -> Result<ServerRef, StartError> {
        let shared = Arc::new(Shared::new(self.bind, &self.config));
        let protocol = Arc::new(protocol);
        let started = tree(&shared, &protocol, &self.config).start_link().await;
        match started {
            Ok(supervisor) => Ok(ServerRef { supervisor, shared }),
            Err(error) => Err(match shared.bind_error.lock().unwrap_or_else(PoisonError::into_inner).take() {
                Some(error) => StartError::Bind(error),
                None => StartError::Supervisor(error.into()),
            }),
        }
    }

    /// The server as a child of a supervisor of yours.
    #[must_use]
    pub fn child_spec(self, id: &str, protocol: impl Protocol) -> ChildSpec {
        let shared = Arc::new(Shared::new(self.bind, &self.config));
        let (protocol, config) = (Arc::new(protocol), self.config);
        supervisor(id, move || tree(&shared, &protocol, &config).start_link())
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

/// A connection that was killed because it had not finished when a drain had to end.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Cut {
    /// Its Connector.
    pub pid: Pid,
    /// The client.
    pub peer: Address,
    /// How long it had been connected.
    pub age: Duration,
}

/// A running server.
#[derive(Clone)]
pub struct ServerRef {
    supervisor: SupervisorRef,
    shared: Arc<Shared>,
}

/// What a server is doing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerInfo {
    /// Where it listens; none while it does not.
    pub address: Option<Address>,
    /// Connections there may be at once.
    pub max_connections: usize,
    /// Connections there are.
    pub active: usize,
    /// Connections there have been.
    pub accepted: u64,
    /// Connections that ended abnormally.
    pub crashed: u64,
    /// Accepts that failed.
    pub accept_errors: u64,
}

impl ServerRef {
    /// The top of its tree, Server.Sup.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.supervisor.pid()
    }

    /// Where it listens.
    ///
    /// # Panics
    /// If that is no internet address; see [`info`](Self::info).
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        let address = self.shared.address();
        address.and_then(|address| address.as_ip()).expect("the server listens on an internet address")
    }

    /// Changes how many connections there may be; clients that wait are served at once, none is sent away.
    pub fn set_max_connections(&self, connections: usize) {
        self.shared.limit.set_max(connections);
    }

    /// What it is doing.
    #[must_use]
    pub fn info(&self) -> ServerInfo {
        let counters = &self.shared.counters;
        ServerInfo {
            address: self.shared.address(),
            max_connections: self.shared.limit.max(),
            active: counters.active.load(Ordering::Relaxed),
            accepted: counters.accepted.load(Ordering::Relaxed),
            crashed: counters.crashed.load(Ordering::Relaxed),
            accept_errors: counters.accept_errors.load(Ordering::Relaxed),
        }
    }

    /// Stops in order: nothing more is accepted, idle connections end, busy ones finish; at the deadline the rest is
    /// killed. Returns what had to be.
    ///
    /// # Panics
    /// Outside a process.
    pub async fn stop(&self, limit: Duration) -> Vec<Cut> {
        let deadline = now().checked_add(limit).unwrap_or_else(|| now() + Duration::from_secs(u32::MAX.into()));
        let _ = self.supervisor.terminate_child("Acceptor.Sup").await;
        self.shared.clear_address();
        let supervisors = self.shared.present_connections_supervisors();
        // All are asked before any is waited for.
        let drains = supervisors.into_iter().map(|pid| {
            let drain = connections::Drain { deadline };
            Box::pin(async move { call::<_, Vec<Cut>>(pid, drain, None).await.unwrap_or_default() })
        });
        let cut = all(drains.collect()).await.concat();
        let _ = self.supervisor.stop(Reason::Shutdown, None).await;
        cut
    }
}

impl fmt::Debug for ServerRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerRef({})", self.pid())
    }
}

/// Awaits several futures side by side.
async fn all<F: Future + Unpin>(mut futures: Vec<F>) -> Vec<F::Output> {
    let mut done: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    poll_fn(|cx| {
        for (future, done) in futures.iter_mut().zip(&mut done) {
            if done.is_none()
                && let Poll::Ready(output) = std::pin::Pin::new(future).poll(cx)
            {
                *done = Some(output);
            }
        }
        if done.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}

/// What the processes of one server share.
pub(crate) struct Shared {
    bind: Box<dyn Bind>,
    limit: Arc<Limit>,
    /// Acceptors take turns at the listener: whom it wakes is one process.
    turn: Arc<Limit>,
    shutdown: Duration,
    counters: Counters,
    supervisors: Mutex<Vec<Place>>,
    acceptors: Mutex<Vec<Pid>>,
    address: Mutex<Option<Address>>,
    bind_error: Mutex<Option<io::Error>>,
    warned: Mutex<Option<Instant>>,
}

#[derive(Default)]
struct Counters {
    accepted: AtomicU64,
    active: AtomicUsize,
    crashed: AtomicU64,
    accept_errors: AtomicU64,
}

/// Where acceptors find a Connections.Sup, whichever it is now.
#[derive(Default)]
struct Place {
    pid: Option<Pid>,
    waiting: Vec<Waker>,
}

impl Shared {
    fn new(bind: Listening, config: &Config) -> Self {
        Self {
            bind: match bind {
                Listening::Tcp(address) => Box::new(address),
                Listening::Other(bind) => bind,
            },
            limit: Limit::new(config.max_connections),
            turn: Limit::new(1),
            shutdown: config.shutdown,
            counters: Counters::default(),
            supervisors: Mutex::new((0..config.connection_supervisors).map(|_| Place::default()).collect()),
            acceptors: Mutex::default(),
            address: Mutex::default(),
            bind_error: Mutex::default(),
            warned: Mutex::default(),
        }
    }

    fn address(&self) -> Option<Address> {
        self.address.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn clear_address(&self) {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(crate) fn set_connections_supervisor(&self, number: usize, pid: Pid) {
        let waiting = {
            let mut supervisors = self.supervisors.lock().unwrap_or_else(PoisonError::into_inner);
            let place = &mut supervisors[number];
            place.pid = Some(pid);
            std::mem::take(&mut place.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    /// The supervisor an acceptor gives its connections to; waits while it is being restarted.
    pub(crate) async fn connections_supervisor(&self, acceptor: usize) -> Pid {
        poll_fn(|cx| {
            let mut supervisors = self.supervisors.lock().unwrap_or_else(PoisonError::into_inner);
            let number = acceptor % supervisors.len();
            let place = &mut supervisors[number];
            match place.pid.filter(|&pid| riot_actor::is_alive(pid)) {
                Some(pid) => Poll::Ready(pid),
                None => {
                    place.waiting.push(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    fn present_connections_supervisors(&self) -> Vec<Pid> {
        let supervisors = self.supervisors.lock().unwrap_or_else(PoisonError::into_inner);
        supervisors.iter().filter_map(|place| place.pid).collect()
    }

    /// Binds, once the acceptors of the listener before have let go of it.
    async fn open(&self) -> io::Result<Arc<dyn Listen>> {
        let before = std::mem::take(&mut *self.acceptors.lock().unwrap_or_else(PoisonError::into_inner));
        join(&before).await;
        let listener = match self.bind.bind() {
            Ok(listener) => listener,
            Err(error) => {
                let (kind, text) = (error.kind(), error.to_string());
                *self.bind_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                return Err(io::Error::new(kind, text));
            }
        };
        *self.address.lock().unwrap_or_else(PoisonError::into_inner) = Some(listener.local_address()?);
        Ok(listener)
    }

    /// Says that accepting failed, at most once a second.
    pub(crate) fn warn_of(&self, error: &io::Error) {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.is_none_or(|before| now() - before >= Duration::from_secs(1)) {
            *warned = Some(now());
            drop(warned);
            tracing::warn!(target: "riot::socket", "accepting pauses: {error}");
        }
    }
}

fn tree<P: Protocol>(shared: &Arc<Shared>, protocol: &Arc<P>, config: &Config) -> Supervisor {
    let connections = {
        let (shared, protocol, supervisors) = (shared.clone(), protocol.clone(), config.connection_supervisors);
        move || connections_tree(&shared, &protocol, supervisors).start_link()
    };
    let acceptors = {
        let (shared, acceptors) = (shared.clone(), config.acceptors);
        move || acceptors_tree(shared.clone(), acceptors)
    };
    Supervisor::rest_for_one()
        .label("Server.Sup")
        .child(supervisor("Connections.Sup.Sup", connections))
        .child(supervisor("Acceptor.Sup", acceptors))
}

/// How many restarts a group of `children` like ones is allowed in five seconds. (Ranch: the same.)
fn intensity(children: usize) -> usize {
    1 + children.next_power_of_two().ilog2() as usize
}

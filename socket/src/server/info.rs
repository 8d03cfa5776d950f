//! The state and the statistics of a server and its connections, as handles return them.

use std::{collections::BTreeMap, time::Duration};

use riot_actor::{Pid, Reason, now};

use super::{accept_error::AcceptErrorKind, drain::DrainInfo};
use crate::{
    connection::{control::Status, disconnect::Disconnected, record::ConnectionRecord},
    transport::Address,
};

/// The state and the statistics of a server, as [`ServerHandle::info`](crate::ServerHandle::info) returns
/// them.
///
/// ```
/// use riot_socket::{Connection, Server, memory::Listener};
/// # let reason = riot_actor::run(async {
/// let listener = Listener::new();
/// let server = Server::listen(listener.clone())
///     .start_link(|mut connection: Connection| async move { connection.write_all(b"hello").await })
///     .await?;
/// listener.connect()?.read_to_end(5).await?;
/// server.wait_for_connections(|connections| connections == 0).await;
/// let info = server.info();
/// assert_eq!((info.accepted, info.active, info.bytes_sent), (1, 0, 5));
/// # server.stop(std::time::Duration::ZERO).await;
/// # Ok::<(), riot_actor::Reason>(())
/// # });
/// # assert_eq!(reason, riot_actor::Reason::Normal);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerInfo {
    /// The name: that which it was [given](crate::Server::name), or else its address.
    pub name: String,
    /// Whether the server accepts.
    pub state: ServerState,
    /// The drain that is under way; `None` if the server does not drain.
    pub drain: Option<DrainInfo>,
    /// The address that the server listens on; `None` while it does not listen.
    pub address: Option<Address>,
    /// The bound of connections.
    pub max_connections: usize,
    /// Live connections, without those that were [removed](crate::Connection::remove).
    pub active: usize,
    /// Live connections, removed ones included.
    pub all: usize,
    /// Connections that were ever accepted.
    pub accepted: u64,
    /// Clients that were sent away because the server was full; see
    /// [`ConnectionOverflow`](crate::ConnectionOverflow).
    pub refused: u64,
    /// Idle connections that were asked to finish for the sake of new clients.
    pub reaped: u64,
    /// Ended connections, by the way they ended.
    pub ended: EndCounts,
    /// Failed accepts.
    pub accept_errors: AcceptErrors,
    /// Connections whose handshake failed, timeouts excluded.
    pub handshake_errors: u64,
    /// Connections whose client broke the protocol, as far as protocols report it.
    pub protocol_errors: u64,
    /// Connections that a timer ended, by the name of the timer: `handshake`, and those of the protocol. The
    /// names of [raw connections](crate::ConnectionTimeouts) are `idle`, `read_stall` and `write_stall`;
    /// those of HTTP stand at `riot_http::Timeouts`.
    pub timeouts: BTreeMap<&'static str, u64>,
    /// Clients that have exceeded a bound, by its name: `max_connections`, counted once for each client that
    /// came while the server was full, and those of the protocol, such as `max_body_bytes`. All bounds
    /// of a head of HTTP count as `max_head_bytes`.
    pub limits: BTreeMap<&'static str, u64>,
    /// Bytes that all connections have received.
    pub bytes_received: u64,
    /// Bytes that all connections have sent.
    pub bytes_sent: u64,
    /// Bytes that ended connections were to send and did not, as far as their protocols report it.
    pub bytes_undelivered: u64,
}

/// The state of a server.
///
/// ```
/// use riot_socket::{Connection, Server, memory::Listener};
/// use riot_socket::ServerState;
/// # let reason = riot_actor::run(async {
/// let listener = Listener::new();
/// let server = Server::listen(listener.clone())
///     .start_link(|mut connection: Connection| async move { connection.write_all(b"hello").await })
///     .await?;
/// assert_eq!(server.info().state, ServerState::Running);
/// # server.stop(std::time::Duration::ZERO).await;
/// # Ok::<(), riot_actor::Reason>(())
/// # });
/// # assert_eq!(reason, riot_actor::Reason::Normal);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerState {
    /// Accepting connections.
    Running,
    /// [Suspended](crate::ServerHandle::suspend): not accepting, while connections go on.
    Suspended,
    /// About to drain: accepting, while responses say that they are the last of their connection. See
    /// [`Server::lame_duck_timeout`](crate::Server::lame_duck_timeout).
    LameDuck,
    /// Ending in order: not accepting, while connections finish.
    Draining,
    /// Not running: the server has ended, or is being restarted.
    Down,
}

/// The numbers of ended connections, by the way they ended.
///
/// ```
/// use riot_socket::{Connection, Server, memory::Listener};
/// # let reason = riot_actor::run(async {
/// let listener = Listener::new();
/// let server = Server::listen(listener.clone())
///     .start_link(|mut connection: Connection| async move { connection.write_all(b"hello").await })
///     .await?;
/// listener.connect()?.read_to_end(5).await?;
/// server.stop(std::time::Duration::from_secs(1)).await;
/// assert_eq!(server.info().ended.normal, 1);
/// # Ok::<(), riot_actor::Reason>(())
/// # });
/// # assert_eq!(reason, riot_actor::Reason::Normal);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndCounts {
    /// Connections that were served to their end.
    pub normal: u64,
    /// Connections that were asked to end, or whose handshake failed.
    pub shutdown: u64,
    /// Connections whose Connector ended with an error or a panic, disconnects excluded.
    pub crashed: u64,
    /// Connections whose peer had gone, and whose protocol ended with that error; see
    /// [`Disconnected`](crate::Disconnected).
    pub disconnected: u64,
    /// Connections that were killed: at the deadline of a stop, by another process, or with their supervisor.
    pub killed: u64,
}

impl EndCounts {
    /// Returns the number of all ended connections.
    #[must_use]
    pub fn total(&self) -> u64 {
        let Self { normal, shutdown, disconnected, crashed, killed } = self;
        normal + shutdown + disconnected + crashed + killed
    }

    pub(super) fn count(&mut self, reason: &Reason) {
        let counter = match reason {
            Reason::Normal => &mut self.normal,
            Reason::Killed | Reason::Kill => &mut self.killed,
            reason if Disconnected::is_detail_of(reason) => &mut self.disconnected,
            reason if reason.is_clean() => &mut self.shutdown,
            _ => &mut self.crashed,
        };
        *counter += 1;
    }
}

/// The numbers of failed accepts, by kind.
///
/// ```
/// use riot_socket::{Connection, Server, memory::Listener};
/// # let reason = riot_actor::run(async {
/// let listener = Listener::new();
/// let server = Server::listen(listener.clone())
///     .start_link(|mut connection: Connection| async move { connection.write_all(b"hello").await })
///     .await?;
/// listener.fail_accept(std::io::ErrorKind::ConnectionAborted.into());
/// listener.connect()?.read_to_end(5).await?;
/// server.wait_for_connections(|connections| connections == 0).await;
/// assert_eq!(server.info().accept_errors.connection, 1);
/// # server.stop(std::time::Duration::ZERO).await;
/// # Ok::<(), riot_actor::Reason>(())
/// # });
/// # assert_eq!(reason, riot_actor::Reason::Normal);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AcceptErrors {
    /// Errors of one connection, such as a client that left before it was accepted.
    pub connection: u64,
    /// Errors because the machine or the program had run out of descriptors or memory.
    pub exhausted: u64,
    /// Errors of the listening socket itself.
    pub listener: u64,
}

impl AcceptErrors {
    /// Returns the number of all failed accepts.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.connection + self.exhausted + self.listener
    }

    pub(super) fn count(&mut self, kind: AcceptErrorKind) {
        let counter = match kind {
            AcceptErrorKind::Connection => &mut self.connection,
            AcceptErrorKind::Exhausted => &mut self.exhausted,
            AcceptErrorKind::Listener => &mut self.listener,
        };
        *counter += 1;
    }
}

/// A live connection, as [`ServerHandle::connections`](crate::ServerHandle::connections) lists it.
///
/// ```
/// use riot_socket::{Connection, Server, memory::Listener};
/// # let reason = riot_actor::run(async {
/// let listener = Listener::new();
/// let server = Server::listen(listener.clone())
///     .start_link(|connection: Connection| async move {
///         std::future::pending::<()>().await;
///         drop(connection);
///     })
///     .await?;
/// let _client = listener.connect()?;
/// server.wait_for_connections(|connections| connections == 1).await;
/// riot_actor::sleep(std::time::Duration::from_millis(10)).await;
/// for connection in server.connections() {
///     println!("{} {}: {}", connection.pid, connection.peer, connection.state);
/// }
/// # server.stop(std::time::Duration::ZERO).await;
/// # Ok::<(), riot_actor::Reason>(())
/// # });
/// # assert_eq!(reason, riot_actor::Reason::Normal);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectionInfo {
    /// The pid of its Connector.
    pub pid: Pid,
    /// The address of the client.
    pub peer: Address,
    /// The time since it was accepted.
    pub age: Duration,
    /// The state in a word: `handshake`, `refused`, `open`, `finishing`, or that of its protocol.
    pub state: &'static str,
    /// Requests it has served; 0 for a protocol without requests.
    pub requests: u64,
    /// Bytes of its protocol that it has received, without those of TLS or other layers.
    pub bytes_received: u64,
    /// Bytes of its protocol that it has sent.
    pub bytes_sent: u64,
}

impl ConnectionInfo {
    /// Returns the information; `None` while the connection has no Connector yet.
    pub(super) fn of(record: &ConnectionRecord) -> Option<Self> {
        let pid = record.pid()?;
        let Status { state, requests } = record.status();
        let (bytes_received, bytes_sent) = record.bytes();
        let age = now() - record.since;
        Some(Self { pid, peer: record.peer(), age, state, requests, bytes_received, bytes_sent })
    }
}

/// A connection that was killed because it had not finished by the deadline of a drain.
///
/// ```
/// use riot_socket::{Connection, Server, memory::Listener};
/// use std::time::Duration;
/// # let reason = riot_actor::run(async {
/// let listener = Listener::new();
/// let server = Server::listen(listener.clone())
///     .start_link(|connection: Connection| async move {
///         std::future::pending::<()>().await;
///         drop(connection);
///     })
///     .await?;
/// let _client = listener.connect()?;
/// server.wait_for_connections(|connections| connections == 1).await;
/// for cut in server.stop(Duration::from_millis(10)).await.cut {
///     eprintln!("{} was cut after {:?}, in the state {}", cut.peer, cut.age, cut.state);
/// }
/// # server.stop(std::time::Duration::ZERO).await;
/// # Ok::<(), riot_actor::Reason>(())
/// # });
/// # assert_eq!(reason, riot_actor::Reason::Normal);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CutConnection {
    /// The pid of its Connector.
    pub pid: Pid,
    /// The address of the client.
    pub peer: Address,
    /// The time since it was accepted.
    pub age: Duration,
    /// The state in a word, when it was killed.
    pub state: &'static str,
    /// Requests it had served.
    pub requests: u64,
}

impl CutConnection {
    pub(super) fn of(pid: Pid, record: &ConnectionRecord) -> Self {
        let Status { state, requests } = record.status();
        Self { pid, peer: record.peer(), age: now() - record.since, state, requests }
    }
}

//! The handle of a server: its state, changes of its settings, and its end.

use std::{
    any::Any,
    fmt,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use riot_actor::{Pid, Reason, call, call::CallRequest, receive, sleep, spawn};
use riot_supervisor::{RestartChildError, SupervisorRef};

use super::{
    alarm::Alarm,
    builder::ServerStartError,
    drain::{DrainInfo, DrainPhase, DrainReport},
    drainer::DrainServer,
    info::{ConnectionInfo, ServerInfo, ServerState},
    protocol::{self, Protocol},
    reaper::ServerSet,
    state::Shared,
    tree::ACCEPTORS,
};
use crate::transport::{Address, options::Options};

/// The pause before a Drain.Worker that has just been killed is expected to have been replaced: 10 ms.
const REPLACED: Duration = Duration::from_millis(10);

/// A handle to a server. It stays valid when the server's processes are restarted. Cheap to clone.
///
/// The state of the server can be read from any thread. Changed settings are kept when the server is
/// restarted. Some apply at once, some when the server listens the next time, as after
/// [`suspend`](Self::suspend) and [`resume`](Self::resume).
///
/// ```
/// use std::time::Duration;
/// use riot_socket::{Connection, Server, ServerState};
///
/// # let reason = riot_actor::run(async {
/// let server = Server::bind("127.0.0.1:0")?
///     .start_link(|mut connection: Connection| async move { connection.write_all(b"hello").await })
///     .await?;
/// server.set_max_connections(100);
/// server.suspend().await;
/// assert_eq!(server.info().state, ServerState::Suspended);
/// server.resume().await?;
/// let report = server.stop(Duration::from_secs(5)).await;
/// assert!(report.cut.is_empty());
/// # Ok::<(), riot_actor::Reason>(())
/// # });
/// # assert_eq!(reason, riot_actor::Reason::Normal);
/// ```
#[derive(Clone)]
pub struct ServerHandle {
    shared: Arc<Shared>,
}

/// Returns the servers of the runtime that have been started and not stopped, in the order of their starts.
/// (Ranch: `info/0`.)
///
/// ```
/// use riot_socket::{Connection, Server, memory::Listener, servers};
///
/// # let reason = riot_actor::run(async {
/// let echo = |mut connection: Connection| async move { connection.write_all(b"hello").await };
/// let web = Server::listen(Listener::new()).name("web").start_link(echo).await?;
/// let all = servers();
/// assert_eq!(all.iter().map(|server| server.name()).collect::<Vec<_>>(), ["web"]);
/// assert_eq!(all[0].pid(), web.pid());
/// # web.stop(std::time::Duration::ZERO).await;
/// # Ok::<(), riot_actor::Reason>(())
/// # });
/// # assert_eq!(reason, riot_actor::Reason::Normal);
/// ```
///
/// # Panics
/// Panics outside a process.
#[must_use]
pub fn servers() -> Vec<ServerHandle> {
    let all = ServerSet::current().map_or_else(|_| Vec::new(), |set| set.servers());
    all.into_iter().map(ServerHandle::new).filter(|server| server.pid().is_some()).collect()
}

impl ServerHandle {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Returns the name that the server was [given](crate::Server::name), or else its address; an empty text
    /// while it has neither.
    #[must_use]
    pub fn name(&self) -> String {
        self.shared.name().as_deref().unwrap_or_default().to_owned()
    }

    /// Returns what the protocol of the server [shows](crate::Protocol::extension), such as its statistics,
    /// which `riot_http::stats` reads; none by default.
    #[must_use]
    pub fn extension(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        self.shared.protocol().extension()
    }

    /// Returns the pid of the top of the server's tree, Server.Sup, if it lives.
    #[must_use]
    pub fn pid(&self) -> Option<Pid> {
        self.shared.supervisor()
    }

    /// Returns the address that the server listens on; `None` while it does not listen.
    #[must_use]
    pub fn address(&self) -> Option<Address> {
        self.shared.address()
    }

    /// Returns the internet address that the server listens on.
    ///
    /// # Panics
    /// Panics if the server listens on another kind of address, or not at all; see
    /// [`address`](Self::address).
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        let address = self.shared.address();
        address.and_then(|address| address.as_ip()).expect("the server listens on an internet address")
    }

    /// Returns the state and the statistics of the server.
    #[must_use]
    pub fn info(&self) -> ServerInfo {
        let shared = &self.shared;
        let statistics = &shared.statistics;
        let (bytes_received, bytes_sent) = shared.bytes();
        let drain = shared.schedule().map(|schedule| {
            let records = shared.table.records();
            DrainInfo::new(&schedule, records.iter().map(|record| &**record))
        });
        let state = match (shared.supervisor(), drain.map(|drain| drain.phase)) {
            (None, _) => ServerState::Down,
            (Some(_), Some(DrainPhase::LameDuck)) => ServerState::LameDuck,
            (Some(_), Some(_)) => ServerState::Draining,
            (Some(_), None) if shared.suspended.load(Relaxed) => ServerState::Suspended,
            (Some(_), None) => ServerState::Running,
        };
        ServerInfo {
            name: self.name(),
            state,
            drain: drain.filter(|_| state != ServerState::Down),
            address: shared.address(),
            max_connections: shared.permits.max(),
            active: shared.load.active(),
            all: statistics.all(),
            accepted: statistics.accepted.load(Relaxed),
            refused: statistics.refused.load(Relaxed),
            reaped: statistics.reaped.load(Relaxed),
            ended: statistics.ended(),
            accept_errors: statistics.accept_errors(),
            handshake_errors: statistics.handshake_errors.load(Relaxed),
            protocol_errors: statistics.protocol_errors.load(Relaxed),
            timeouts: statistics.timeouts(),
            limits: statistics.limits(),
            bytes_received,
            bytes_sent,
            bytes_undelivered: statistics.undelivered.load(Relaxed),
        }
    }

    /// Returns the connections, in no order. Takes a short time for each.
    #[must_use]
    pub fn connections(&self) -> Vec<ConnectionInfo> {
        self.shared.connections()
    }

    /// Waits until the number of connections satisfies `wanted`, [removed](crate::Connection::remove) ones
    /// included. (Ranch: `wait_for_connections`.)
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn wait_for_connections(&self, wanted: impl Fn(usize) -> bool) {
        self.shared.statistics.wait_until(wanted).await;
    }

    /// Drains one connection, as [`stop`](Self::stop) does with all, but without a deadline. To end a
    /// connection at once in any case, kill its Connector.
    pub fn close(&self, connector: Pid) {
        if let Some(record) = self.shared.table.find(connector) {
            record.drain(None);
            record.finish_now();
        }
    }

    /// Releases the permit of a connection, as [`Connection::remove`](crate::Connection::remove) does.
    pub fn remove_connection(&self, connector: Pid) {
        self.shared.release_permit_of(connector);
    }

    /// Changes [`Server::max_connections`](crate::Server::max_connections), at once. Waiting clients are
    /// served if the bound is raised; no connection is closed if it is lowered.
    pub fn set_max_connections(&self, connections: usize) {
        self.shared.set_max_connections(connections);
    }

    /// Changes the protocol, for connections that are accepted from now on.
    pub fn set_protocol(&self, protocol: impl Protocol) {
        self.shared.set_protocol(protocol::erase(protocol));
    }

    /// Replaces the alarms, at once. Cooldowns of the earlier alarms are dropped.
    pub fn set_alarms(&self, alarms: Vec<Alarm>) {
        self.shared.alarms.set(alarms);
    }

    /// Changes [`Server::shutdown_timeout`](crate::Server::shutdown_timeout), at once.
    pub fn set_shutdown_timeout(&self, timeout: Duration) {
        self.shared.set_shutdown_timeout(timeout);
    }

    /// Changes [`Server::lame_duck_timeout`](crate::Server::lame_duck_timeout), for a drain that has not
    /// begun.
    pub fn set_lame_duck_timeout(&self, timeout: Duration) {
        self.shared.set_lame_duck_timeout(timeout);
    }

    /// Changes [`Server::handshake_timeout`](crate::Server::handshake_timeout), for connections that are
    /// accepted from now on.
    pub fn set_handshake_timeout(&self, timeout: Duration) {
        self.shared.set_handshake_timeout(timeout);
    }

    /// Changes [`Server::acceptors`](crate::Server::acceptors), from the next time the server listens.
    ///
    /// # Panics
    /// Panics if it is zero.
    pub fn set_acceptors(&self, acceptors: usize) {
        assert!(acceptors > 0, "the number of acceptors is zero");
        self.shared.set_acceptors(acceptors);
    }

    /// Changes [`Server::listeners`](crate::Server::listeners), from the next time the server listens.
    ///
    /// # Panics
    /// Panics if it is zero.
    pub fn set_listeners(&self, listeners: usize) {
        assert!(listeners > 0, "the number of listeners is zero");
        self.shared.set_listeners(listeners);
    }

    /// Changes [`Server::options`](crate::Server::options), from the next time the server listens.
    pub fn set_options(&self, options: Options) {
        self.shared.set_options(options);
    }

    /// Stops listening: the system refuses clients, and closes those in the backlog. Connections go on. A
    /// suspended server stays as it is.
    ///
    /// # Panics
    /// Panics outside a process.
    pub async fn suspend(&self) {
        if let Some(supervisor) = self.supervisor() {
            self.shared.suspended.store(true, Relaxed);
            let _ = supervisor.terminate_child(ACCEPTORS).await;
            self.shared.clear_address();
        }
    }

    /// Listens again, at the same address. A server that listens stays as it is.
    ///
    /// # Errors
    /// If the address cannot be bound, or the server has ended.
    ///
    /// # Panics
    /// Panics outside a process.
    pub async fn resume(&self) -> Result<(), ServerStartError> {
        let supervisor = self.supervisor().ok_or(ServerStartError::Supervisor(Reason::NoProc))?;
        match supervisor.restart_child(ACCEPTORS).await {
            Ok(_) | Err(RestartChildError::Running(_) | RestartChildError::Restarting) => Ok(()),
            Err(error) => Err(match self.shared.take_bind_error() {
                Some(error) => ServerStartError::Bind(error),
                None => ServerStartError::Supervisor(error.into()),
            }),
        }
    }

    /// Stops the server in order, in the phases of [`DrainPhase`](crate::DrainPhase): after the lame duck no
    /// client can connect any more, clients that have connected are served, and every connection finishes
    /// what it has begun. What has not finished `timeout` after the lame duck is killed, and listed in the
    /// report. [`info`](Self::info) shows how far the drain has come.
    ///
    /// If several processes stop the server, the earliest deadline holds, and the report goes to one of
    /// them. The others get an empty report at the same time.
    ///
    /// A handler that stops its own server and awaits the result waits for itself, and is cut at the
    /// deadline. Such a handler spawns a process that stops the server, or calls
    /// [`shutdown`](riot_actor::runtime::shutdown).
    ///
    /// # Cancel safety
    /// Once begun the stop goes on, also if the future is dropped or the caller ends.
    ///
    /// # Panics
    /// Panics outside a process.
    pub async fn stop(&self, timeout: Duration) -> DrainReport {
        struct StopServer;
        let server = self.clone();
        // The stop runs in a process of its own, so that the end of the caller does not interrupt it.
        let stopper = spawn(async move {
            let request = receive::<CallRequest<StopServer, DrainReport>>().await;
            let report = server.drain(timeout).await;
            if let Some(supervisor) = server.supervisor() {
                // A normal end, so that processes linked to the server go on.
                let _ = supervisor.stop(Reason::Normal).await;
            }
            request.reply.send(report);
        });
        call(stopper, StopServer, None).await.unwrap_or_default()
    }

    /// Drains the server. A Drain.Worker that was killed is replaced, and asked again.
    async fn drain(&self, timeout: Duration) -> DrainReport {
        while let (Some(_), Some(drainer)) = (self.shared.supervisor(), self.shared.drainer()) {
            match call(drainer, DrainServer { timeout }, None).await {
                Ok(report) => return report,
                Err(_) => sleep(REPLACED).await,
            }
        }
        DrainReport::default()
    }

    fn supervisor(&self) -> Option<SupervisorRef> {
        self.shared.supervisor().map(SupervisorRef::new)
    }
}

impl fmt::Debug for ServerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address() {
            Some(address) => write!(f, "ServerHandle({address})"),
            None => f.write_str("ServerHandle"),
        }
    }
}

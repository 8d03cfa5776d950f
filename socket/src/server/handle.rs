//! A running server, for whoever started it: what it is doing, what can be changed, and its end.

use std::{
    fmt,
    future::{Future, poll_fn},
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::Poll,
    time::Duration,
};

use riot_actor::{Pid, Reason, call, call::CallRequest, receive, spawn};
use riot_supervisor::{RestartChildError, SupervisorRef};

use super::{
    Alarm, Protocol, ServerStartError,
    connections::{Drain, later},
    info::{ConnectionInfo, CutConnection, ServerInfo, ServerState},
    protocol,
    state::Shared,
    tree::ACCEPTORS,
};
use crate::{Options, transport::Address};

/// A server, whichever processes it has at the moment.
///
/// What it is doing can be seen from any thread. What is changed here is kept when the server is restarted. Some of it applies at once, some when it listens the next
/// time, as after [`suspend`](Self::suspend) and [`resume`](Self::resume).
#[derive(Clone)]
pub struct ServerHandle {
    shared: Arc<Shared>,
}

impl ServerHandle {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The top of its tree, Server.Sup; none while there is none.
    #[must_use]
    pub fn pid(&self) -> Option<Pid> {
        self.shared.supervisor()
    }

    /// Where it listens; none while it does not.
    #[must_use]
    pub fn address(&self) -> Option<Address> {
        self.shared.address()
    }

    /// Where it listens.
    ///
    /// # Panics
    /// If that is no internet address, or it does not listen; see [`address`](Self::address).
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        let address = self.shared.address();
        address.and_then(|address| address.as_ip()).expect("the server listens on an internet address")
    }

    /// What it is doing.
    #[must_use]
    pub fn info(&self) -> ServerInfo {
        let shared = &self.shared;
        let counters = &shared.counters;
        let (bytes_received, bytes_sent) = shared.bytes();
        let state = match shared.supervisor() {
            None => ServerState::Down,
            Some(_) if shared.suspended.load(Relaxed) => ServerState::Suspended,
            Some(_) => ServerState::Running,
        };
        ServerInfo {
            state,
            address: shared.address(),
            max_connections: shared.limit.max(),
            active: counters.active.load(Relaxed),
            all: counters.all.load(Relaxed),
            accepted: counters.accepted.load(Relaxed),
            refused: counters.refused.load(Relaxed),
            ended: shared.ended(),
            accept_errors: shared.accept_errors(),
            handshake_errors: counters.handshake_errors.load(Relaxed),
            timeouts: shared.timeouts(),
            bytes_received,
            bytes_sent,
            bytes_undelivered: counters.undelivered.load(Relaxed),
        }
    }

    /// The connections there are, in no order. It takes a moment for each.
    #[must_use]
    pub fn connections(&self) -> Vec<ConnectionInfo> {
        self.shared.connections()
    }

    /// Waits until there are as many connections as `wanted` says, [removed](crate::Connection::remove) ones included.
    /// (Ranch: `wait_for_connections`.)
    ///
    /// # Cancel safety
    /// It changes nothing.
    pub async fn wait_for_connections(&self, wanted: impl Fn(usize) -> bool) {
        self.shared.watch(wanted).await;
    }

    /// Ends one connection in order, as [`stop`](Self::stop) does with all: idle it ends at once, busy it finishes.
    /// Killing its Connector ends it at once, whatever it does.
    pub fn close(&self, connector: Pid) {
        if let Some(entry) = self.shared.places.find(connector) {
            entry.drain();
        }
    }

    /// Takes a connection out of the number that is counted, as [`Connection::remove`](crate::Connection::remove) does.
    pub fn remove_connection(&self, connector: Pid) {
        if let Some(entry) = self.shared.places.find(connector) {
            self.shared.vacate(&entry);
        }
    }

    /// Changes how many connections there may be; clients that wait are served at once, none is sent away.
    pub fn set_max_connections(&self, connections: usize) {
        self.shared.limit.set_max(connections);
    }

    /// Changes what is done with connections that are made from now on.
    pub fn set_protocol(&self, protocol: impl Protocol) {
        self.shared.set_protocol(protocol::any(protocol));
    }

    /// Changes the alarms, at once; cooldowns of those before are forgotten.
    pub fn set_alarms(&self, alarms: Vec<Alarm>) {
        self.shared.alarms.set(alarms);
    }

    /// Changes [`Server::shutdown`](crate::Server::shutdown), at once.
    pub fn set_shutdown(&self, limit: Duration) {
        self.shared.set_shutdown(limit);
    }

    /// Changes [`Server::handshake_timeout`](crate::Server::handshake_timeout) for connections that are made from now
    /// on.
    pub fn set_handshake_timeout(&self, limit: Duration) {
        self.shared.set_handshake_timeout(limit);
    }

    /// Changes [`Server::acceptors`](crate::Server::acceptors), for when it listens the next time.
    ///
    /// # Panics
    /// If zero.
    pub fn set_acceptors(&self, acceptors: usize) {
        assert!(acceptors > 0, "somebody has to accept");
        self.shared.set_acceptors(acceptors);
    }

    /// Changes [`Server::listeners`](crate::Server::listeners), for when it listens the next time.
    ///
    /// # Panics
    /// If zero.
    pub fn set_listeners(&self, listeners: usize) {
        assert!(listeners > 0, "something has to listen");
        self.shared.set_listeners(listeners);
    }

    /// Changes [`Server::options`](crate::Server::options), for when it listens the next time.
    pub fn set_options(&self, options: Options) {
        self.shared.set_options(options);
    }

    /// Stops listening: clients are refused, and those that wait in the backlog are cut off by the system. Connections
    /// go on. If it is suspended already, nothing happens.
    ///
    /// # Panics
    /// Outside a process.
    pub async fn suspend(&self) {
        if let Some(supervisor) = self.supervisor() {
            self.shared.suspended.store(true, Relaxed);
            let _ = supervisor.terminate_child(ACCEPTORS).await;
            self.shared.clear_address();
        }
    }

    /// Listens again, at the same address. If it does already, nothing happens.
    ///
    /// # Errors
    /// If the address cannot be bound, or there is no such server any more.
    ///
    /// # Panics
    /// Outside a process.
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

    /// Stops in order: nothing more is accepted, idle connections end, busy ones finish; at the deadline the rest is
    /// killed. Returns what had to be. Stopped by several, each connection cut is told to one of them, and the earliest
    /// deadline holds.
    ///
    /// # Cancel safety
    /// Once begun it goes on, whatever becomes of the caller.
    ///
    /// # Panics
    /// Outside a process.
    pub async fn stop(&self, limit: Duration) -> Vec<CutConnection> {
        struct Begin;
        let server = self.clone();
        let deadline = later(limit);
        // In a process of its own, which nobody's end can interrupt.
        let stopper = spawn(async move {
            let request = receive::<CallRequest<Begin, Vec<CutConnection>>>().await;
            let cut = server.drain(Drain { deadline }).await;
            if let Some(supervisor) = server.supervisor() {
                // A normal end: whoever is linked to the server goes on.
                let _ = supervisor.stop(Reason::Normal).await;
            }
            request.reply.send(cut);
        });
        call(stopper, Begin, None).await.unwrap_or_default()
    }

    async fn drain(&self, drain: Drain) -> Vec<CutConnection> {
        if let Some(supervisor) = self.supervisor() {
            let _ = supervisor.terminate_child(ACCEPTORS).await;
            self.shared.clear_address();
        }
        // All are asked before any is waited for.
        let drains = self.shared.places.supervisors().into_iter().map(|pid| {
            Box::pin(async move { call::<_, Vec<CutConnection>>(pid, drain, None).await.unwrap_or_default() })
        });
        all(drains.collect()).await.concat()
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

/// Awaits several futures side by side.
async fn all<F: Future + Unpin>(mut futures: Vec<F>) -> Vec<F::Output> {
    let mut done: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    poll_fn(|cx| {
        for (future, done) in futures.iter_mut().zip(&mut done) {
            if done.is_none()
                && let Poll::Ready(output) = Pin::new(future).poll(cx)
            {
                *done = Some(output);
            }
        }
        if done.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}

//! A running server, for whoever started it: what it is doing, and its end.

use std::{
    fmt,
    future::{Future, poll_fn},
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::Poll,
    time::Duration,
};

use riot_actor::{Pid, Reason, call, now};
use riot_supervisor::SupervisorRef;

use super::{
    connections::{Close, Drain, List},
    shared::Shared,
    tree::ACCEPTORS,
};
use crate::transport::Address;

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

/// A connection there is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectionInfo {
    /// Its Connector.
    pub pid: Pid,
    /// The client.
    pub peer: Address,
    /// How long it has been connected.
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
    /// Connections whose handshake failed.
    pub handshake_errors: u64,
    /// Connections whose handshake took too long.
    pub handshake_timeouts: u64,
}

impl ServerRef {
    pub(super) fn new(supervisor: SupervisorRef, shared: Arc<Shared>) -> Self {
        Self { supervisor, shared }
    }

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
            handshake_errors: counters.handshake_errors.load(Ordering::Relaxed),
            handshake_timeouts: counters.handshake_timeouts.load(Ordering::Relaxed),
        }
    }

    /// The connections there are, in no order.
    ///
    /// # Panics
    /// Outside a process.
    pub async fn connections(&self) -> Vec<ConnectionInfo> {
        let lists = self.shared.present_connections_supervisors().into_iter().map(|pid| {
            Box::pin(async move { call::<_, Vec<ConnectionInfo>>(pid, List, None).await.unwrap_or_default() })
        });
        all(lists.collect()).await.concat()
    }

    /// Ends one connection in order, as [`stop`](Self::stop) does with all: idle it ends at once, busy it finishes.
    /// Killing its Connector ends it at once, whatever it does.
    ///
    /// # Panics
    /// Outside a process.
    pub fn close(&self, connector: Pid) {
        for supervisor in self.shared.present_connections_supervisors() {
            riot_actor::send(supervisor, Close(connector));
        }
    }

    /// Stops in order: nothing more is accepted, idle connections end, busy ones finish; at the deadline the rest is
    /// killed. Returns what had to be.
    ///
    /// # Panics
    /// Outside a process.
    pub async fn stop(&self, limit: Duration) -> Vec<Cut> {
        let deadline =
            now().checked_add(limit).unwrap_or_else(|| now() + Duration::from_secs(u32::MAX.into()));
        let _ = self.supervisor.terminate_child(ACCEPTORS).await;
        self.shared.clear_address();
        let supervisors = self.shared.present_connections_supervisors();
        // All are asked before any is waited for.
        let drains = supervisors.into_iter().map(|pid| {
            let drain = Drain { deadline };
            Box::pin(async move { call::<_, Vec<Cut>>(pid, drain, None).await.unwrap_or_default() })
        });
        let cut = all(drains.collect()).await.concat();
        // A normal end: whoever is linked to the server goes on.
        let _ = self.supervisor.stop(Reason::Normal, None).await;
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

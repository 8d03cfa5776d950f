//! Connections.Sup: a dynamic supervisor for Connectors, which it starts, counts, drains, and never restarts.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use riot_actor::{Exit, Pid, Reason, Request, SpawnOptions, exit, now, receive, select, send, timeout};

use super::{Cut, Protocol, limit::Permit, shared::Shared};
use crate::connection::{Connection, Entry};

/// A client that was let in.
pub(crate) struct Start {
    pub(crate) connection: Connection,
    pub(crate) permit: Permit,
}

/// Tells a Connector that the connection is its own now and that it may begin.
pub(crate) struct Handshake;

/// Asks all connections to finish, and to be killed at the deadline; answered when none is left.
pub(crate) struct Drain {
    pub(crate) deadline: Instant,
}

/// Asks for the connections there are.
pub(crate) struct List;

struct Child {
    entry: Arc<Entry>,
    /// The connection's place; given back when it has ended.
    _permit: Permit,
}

struct Connections<P> {
    shared: Arc<Shared>,
    protocol: Arc<P>,
    parent: Pid,
    children: HashMap<Pid, Child>,
    draining: bool,
}

/// The body of a Connections.Sup.
pub(crate) async fn run<P: Protocol>(
    shared: Arc<Shared>,
    protocol: Arc<P>,
    parent: Pid,
    number: usize,
) -> Reason {
    shared.set_connections_supervisor(number, riot_actor::this());
    let mut connections = Connections { shared, protocol, parent, children: HashMap::new(), draining: false };
    loop {
        receive! {
            Start { connection, permit } => connections.start(connection, permit),
            exit: Exit => if let Some(reason) = connections.ended(exit) {
                let deadline = now() + connections.shared.shutdown;
                connections.drain(deadline).await;
                return reason;
            },
            request: Request<Drain, Vec<Cut>> => {
                let cut = connections.drain(request.query.deadline).await;
                request.reply.send(cut);
            },
            request: Request<List, Vec<(Pid, Arc<Entry>)>> => {
                request.reply.send(connections.children.iter().map(|(&pid, child)| (pid, child.entry.clone())).collect());
            },
        }
    }
}

impl<P: Protocol> Connections<P> {
    /// The connection belongs to its Connector from the first moment; only then does that learn of it.
    fn start(&mut self, connection: Connection, permit: Permit) {
        let entry = connection.entry.clone();
        let protocol = self.protocol.clone();
        let connector = SpawnOptions::new().label("Connector").link().spawn(async move {
            let Handshake = receive().await;
            protocol.serve(connection).await
        });
        if self.draining {
            entry.drain();
        }
        self.children.insert(connector, Child { entry, _permit: permit });
        self.shared.counters.active.fetch_add(1, Ordering::Relaxed);
        send(connector, Handshake);
    }

    /// A connection has ended, or somebody wants this supervisor to: then why.
    fn ended(&mut self, exit: Exit) -> Option<Reason> {
        if exit.by_link
            && let Some(child) = self.children.remove(&exit.from)
        {
            self.shared.counters.active.fetch_sub(1, Ordering::Relaxed);
            if !exit.reason.is_clean() {
                self.shared.counters.crashed.fetch_add(1, Ordering::Relaxed);
            }
            drop(child);
            return None;
        }
        (exit.from == self.parent || exit.from.is_system()).then_some(exit.reason)
    }

    /// Asks every connection to finish, all at once, and kills what is left at the deadline.
    async fn drain(&mut self, deadline: Instant) -> Vec<Cut> {
        self.draining = true;
        self.children.values().for_each(|child| child.entry.drain());
        while !self.children.is_empty() {
            let left = deadline.saturating_duration_since(now());
            if !left.is_zero() && self.serve_until(left).await {
                continue;
            }
            break;
        }
        let cut: Vec<Cut> = self
            .children
            .iter()
            .map(|(&pid, child)| Cut { pid, peer: child.entry.peer.clone(), age: now() - child.entry.since })
            .collect();
        for &pid in self.children.keys() {
            exit(pid, Reason::Kill);
        }
        while !self.children.is_empty() {
            self.serve_until(Duration::MAX).await;
        }
        cut
    }

    /// Hears of one end, or takes in a client that was let in before; false if the time is over.
    async fn serve_until(&mut self, left: Duration) -> bool {
        let relevant = select(|message| message.is::<Exit>() || message.is::<Start>());
        let Ok(message) = timeout(left, relevant).await else { return false };
        match message.downcast::<Exit>() {
            // Who wants an end of this gets it: it is on its way.
            Ok(exit) => drop(self.ended(exit)),
            Err(message) => {
                if let Ok(Start { connection, permit }) = message.downcast() {
                    self.start(connection, permit);
                }
            }
        }
        true
    }
}

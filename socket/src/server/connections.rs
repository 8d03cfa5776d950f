//! Connections.Sup: a dynamic supervisor for Connectors, which it starts, counts, drains, and never restarts.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use riot_actor::{Exit, Pid, Reason, Request, SpawnOptions, exit, now, receive, select, send, timeout};

use super::{ConnectionInfo, Cut, Protocol, shared::Shared};
use crate::connection::{Connection, Entry};

/// A client that was let in.
pub(crate) struct Start {
    pub(crate) connection: Connection,
}

/// Tells a Connector that the connection is its own now and that it may begin.
pub(crate) struct Handshake;

/// Asks all connections to finish, and to be killed at the deadline; answered when none is left.
pub(crate) struct Drain {
    pub(crate) deadline: Instant,
}

/// Asks for the connections there are.
pub(crate) struct List;

/// Asks for an end of one connection.
pub(crate) struct Close(pub(crate) Pid);

struct Connections<P> {
    shared: Arc<Shared>,
    protocol: Arc<P>,
    parent: Pid,
    children: HashMap<Pid, Arc<Entry>>,
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
            Start { connection } => connections.start(connection),
            exit: Exit => if let Some(reason) = connections.ended(exit) {
                let deadline = now() + connections.shared.shutdown;
                connections.drain(deadline).await;
                return reason;
            },
            request: Request<Drain, Vec<Cut>> => {
                let cut = connections.drain(request.query.deadline).await;
                request.reply.send(cut);
            },
            request: Request<List, Vec<ConnectionInfo>> => request.reply.send(connections.list()),
            Close(connector) => if let Some(entry) = connections.children.get(&connector) {
                entry.drain();
            },
        }
    }
}

/// The body of a Connector. The connection is its own from the start, but it does nothing with it before it is told.
async fn connector<P: Protocol>(shared: Arc<Shared>, protocol: Arc<P>, mut connection: Connection) -> Reason {
    let Handshake = receive().await;
    if !shared.handshakes.is_empty() {
        // In a box: the protocol need not carry its room for as long as the connection lasts.
        connection = match Box::pin(shared.handshakes.run(connection)).await {
            Ok(connection) => connection,
            Err(failed) => return shared.give_up(failed),
        };
    }
    drop(shared);
    protocol.serve(connection).await
}

impl<P: Protocol> Connections<P> {
    /// The connection belongs to its Connector from the first moment; only then does that learn of it.
    fn start(&mut self, connection: Connection) {
        let entry = connection.entry.clone();
        let body = connector(self.shared.clone(), self.protocol.clone(), connection);
        let connector = SpawnOptions::new().label("Connector").link().spawn(body);
        if self.draining {
            entry.drain();
        }
        self.children.insert(connector, entry);
        send(connector, Handshake);
    }

    fn list(&self) -> Vec<ConnectionInfo> {
        let info = |(&pid, entry): (&Pid, &Arc<Entry>)| ConnectionInfo {
            pid,
            peer: entry.peer(),
            age: now() - entry.since,
        };
        self.children.iter().map(info).collect()
    }

    /// A connection has ended, or somebody wants this supervisor to: then why.
    fn ended(&mut self, exit: Exit) -> Option<Reason> {
        if exit.by_link && self.children.remove(&exit.from).is_some() {
            if !exit.reason.is_clean() {
                self.shared.counters.crashed.fetch_add(1, Ordering::Relaxed);
            }
            return None;
        }
        (exit.from == self.parent || exit.from.is_system()).then_some(exit.reason)
    }

    /// Asks every connection to finish, all at once, and kills what is left at the deadline.
    async fn drain(&mut self, deadline: Instant) -> Vec<Cut> {
        self.draining = true;
        self.children.values().for_each(|entry| entry.drain());
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
            .map(|(&pid, entry)| Cut { pid, peer: entry.peer(), age: now() - entry.since })
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
                if let Ok(Start { connection }) = message.downcast() {
                    self.start(connection);
                }
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use riot_actor::{monitor, simulation::Simulation, sleep, spawn, this};

    use super::*;
    use crate::{memory, server::Config, transport::Address};

    #[test]
    fn a_connector_waits_for_its_handshake() {
        Simulation::sweep(0..20, || async {
            let watcher = this();
            let protocol = Arc::new(move |_: Connection| async move { send(watcher, "serving") });
            let (_client, server) = memory::pair();
            let shared = Arc::new(Shared::new(Box::new(memory::Listener::new()), &Config::new()));
            let connector = spawn(connector(shared, protocol, Connection::new(server, Address::Memory(1))));
            sleep(Duration::from_secs(1)).await;
            assert_eq!(
                riot_actor::info(this()).expect("it runs").mailbox,
                0,
                "nothing is served before the handshake"
            );
            send(connector, Handshake);
            monitor(connector).down().await;
            assert_eq!(receive::<&str>().await, "serving");
        });
    }
}

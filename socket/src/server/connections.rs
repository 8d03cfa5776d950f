//! Connections.Sup: a dynamic supervisor for Connectors, which it starts, counts, drains, and never restarts.

use std::{
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use riot_actor::{
    Exit, Pid, Reason,
    call::{CallRequest, ReplyTo},
    exit,
    mailbox::{receive_if, select},
    now,
    process::SpawnOptions,
    receive, send, this, timeout,
};

use super::{
    alarm::Cooled,
    connectors::Children,
    info::CutConnection,
    overflow::{self, ConnectionOverflow},
    protocol::AnyProtocol,
    semaphore::Permit,
    state::Shared,
    table::Seat,
};
use crate::{
    connection::Connection,
    connection::control::{Entry, Stage},
};

/// A client that was let in: to be served, or to be told that there is no place.
pub(super) struct Start {
    /// In a box that goes as it is through the mailbox and into the Connector.
    connection: Box<Connection>,
}

impl Start {
    pub(super) fn serve(
        shared: &Arc<Shared>,
        connection: Connection,
        acceptor: usize,
        place: Permit,
    ) -> Self {
        let mut connection = Box::new(connection);
        let number = shared.places.of_acceptor(acceptor);
        connection.sit(Seat::new(shared, connection.entry(), number, place));
        Self { connection }
    }

    pub(super) fn refuse(
        shared: &Arc<Shared>,
        connection: Connection,
        acceptor: usize,
        place: Permit,
    ) -> Self {
        connection.entry().refuse();
        Self::serve(shared, connection, acceptor, place)
    }
}

/// Tells a Connector that the connection is its own now and that it may begin.
struct Handshake;

/// Asks all connections to finish, and to be killed at the deadline; answered when none is left.
#[derive(Clone, Copy)]
pub(super) struct Drain {
    pub(super) deadline: Instant,
}

struct Connections {
    shared: Arc<Shared>,
    parent: Pid,
    children: Children,
    draining: bool,
}

/// The body of a Connections.Sup.
pub(super) async fn run(shared: Arc<Shared>, parent: Pid, number: usize) -> Reason {
    shared.places.set_supervisor(number, this());
    let mut connections = Connections { shared, parent, children: Children::default(), draining: false };
    loop {
        receive! {
            Start { connection } => connections.start(connection),
            exit: Exit => if let Some(reason) = connections.ended(exit) {
                let deadline = later(connections.shared.shutdown());
                connections.drain(deadline, Vec::new()).await;
                return reason;
            },
            request: CallRequest<Drain, Vec<CutConnection>> => {
                connections.drain(request.query.deadline, vec![request.reply]).await;
            },
            cooled: Cooled => connections.cooled(cooled),
        }
    }
}

/// What a protocol made of a connection.
type Serving = Pin<Box<dyn Future<Output = Reason> + Send>>;

pin_project_lite::pin_project! {
    /// The body of a Connector. (What an `async` block awaits last has its own room in it, and what it needed before keeps
    /// its own as well.)
    #[project = ConnectorProjected]
    enum Connector<B> {
        Beginning { #[pin] begin: B },
        Serving { serving: Serving },
    }
}

impl<B: Future<Output = Result<Serving, Reason>>> Future for Connector<B> {
    type Output = Reason;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Reason> {
        loop {
            let begun = match self.as_mut().project() {
                ConnectorProjected::Serving { serving } => return serving.as_mut().poll(cx),
                ConnectorProjected::Beginning { begin } => ready!(begin.poll(cx)),
            };
            match begun {
                Ok(serving) => self.set(Self::Serving { serving }),
                Err(reason) => return Poll::Ready(reason),
            }
        }
    }
}

/// The connection is the Connector's own from the start, but it does nothing with it before it is told.
fn connector(
    shared: Arc<Shared>,
    protocol: Arc<dyn AnyProtocol>,
    connection: Box<Connection>,
) -> impl Future<Output = Reason> {
    Connector::Beginning { begin: begin(shared, protocol, connection) }
}

async fn begin(
    shared: Arc<Shared>,
    protocol: Arc<dyn AnyProtocol>,
    mut connection: Box<Connection>,
) -> Result<Serving, Reason> {
    let Handshake = receive().await;
    let entry = connection.entry().clone();
    if !shared.handshakes.is_empty() {
        if !entry.is_refused() {
            entry.reach(Stage::Handshake);
        }
        let handshakes = shared.handshakes.run(*connection, shared.handshake_timeout());
        connection = match Box::pin(handshakes).await {
            Ok(connection) => Box::new(connection),
            Err(failed) => return Err(shared.give_up(failed)),
        };
    }
    Ok(serve(&shared, &*protocol, &entry, connection))
}

/// Gives the connection to its protocol, or to what is said to those there is no place for.
#[expect(clippy::boxed_local, reason = "the box is gone after this, not after the connection")]
fn serve(shared: &Shared, protocol: &dyn AnyProtocol, entry: &Entry, connection: Box<Connection>) -> Serving {
    match &shared.overflow {
        ConnectionOverflow::Answer(answer) if entry.is_refused() => {
            Box::pin(overflow::answer(*connection, answer.clone()))
        }
        _ => {
            entry.reach(Stage::Serving);
            protocol.serve(*connection)
        }
    }
}

impl Connections {
    /// The connection belongs to its Connector from the first moment; only then does that learn of it.
    fn start(&mut self, connection: Box<Connection>) {
        let entry = connection.entry().clone();
        let body = connector(self.shared.clone(), self.shared.protocol(), connection);
        let connector = SpawnOptions::new().label("Connector").link().spawn(body);
        entry.belongs_to(connector);
        if self.draining {
            entry.drain();
        }
        let counted = !entry.is_refused();
        self.children.insert(connector, entry);
        send(connector, Handshake);
        if counted {
            let shared = &self.shared;
            shared.alarms.begun(shared.counters.active.load(Relaxed), this(), || shared.connections());
        }
    }

    fn cooled(&self, cooled: Cooled) {
        let shared = &self.shared;
        shared.alarms.cooled(cooled, shared.counters.active.load(Relaxed), this(), || shared.connections());
    }

    /// A connection has ended, or somebody wants this supervisor to: then why.
    fn ended(&mut self, exit: Exit) -> Option<Reason> {
        if exit.by_link
            && let Some(entry) = self.children.remove(&exit.from)
        {
            if !entry.is_refused() {
                self.shared.count_end(&exit.reason);
            }
            return None;
        }
        (exit.from == self.parent || exit.from.is_system()).then_some(exit.reason)
    }

    /// Asks every connection to finish, all at once, and kills what is left at the deadline. Whoever asks meanwhile
    /// can only make it end earlier.
    async fn drain(&mut self, mut deadline: Instant, mut asking: Vec<ReplyTo<Vec<CutConnection>>>) {
        self.draining = true;
        self.children.values().for_each(|entry| entry.drain());
        while !self.children.is_empty() {
            let left = deadline.saturating_duration_since(now());
            if left.is_zero() {
                break;
            }
            let relevant = select(|message| {
                message.is::<Exit>()
                    || message.is::<Start>()
                    || message.is::<CallRequest<Drain, Vec<CutConnection>>>()
            });
            let Ok(message) = timeout(left, relevant).await else { break };
            let message = match message.downcast::<CallRequest<Drain, Vec<CutConnection>>>() {
                Ok(request) => {
                    deadline = deadline.min(request.query.deadline);
                    asking.push(request.reply);
                    continue;
                }
                Err(message) => message,
            };
            match message.downcast::<Exit>() {
                // Who wants an end of this gets it: it is on its way.
                Ok(exit) => drop(self.ended(exit)),
                Err(message) => {
                    if let Ok(Start { connection }) = message.downcast() {
                        self.start(connection);
                    }
                }
            }
        }
        let cut: Vec<CutConnection> =
            self.children.iter().map(|(&pid, entry)| CutConnection::of(pid, entry)).collect();
        for &pid in self.children.keys() {
            exit(pid, Reason::Kill);
        }
        while !self.children.is_empty() {
            let exit = receive_if(|exit: &Exit| exit.by_link).await;
            self.ended(exit);
        }
        // What was cut is told once; others who asked learn that it is done.
        let mut cut = Some(cut);
        for reply in asking {
            reply.send(cut.take().unwrap_or_default());
        }
    }
}

impl Drop for Connections {
    /// It was killed: its children are too, and nobody hears of it.
    fn drop(&mut self) {
        let lost = self.children.values().filter(|entry| !entry.is_refused()).count();
        self.shared.count_lost(lost as u64);
    }
}

/// A time from now, however long.
pub(super) fn later(limit: Duration) -> Instant {
    now().checked_add(limit).unwrap_or_else(|| now() + Duration::from_secs(u32::MAX.into()))
}

#[cfg(test)]
mod tests {
    use riot_actor::{monitor, simulation::Simulation, sleep, spawn};

    use super::*;
    use crate::{
        server::{Config, protocol},
        transport::Address,
        transport::memory,
    };

    #[test]
    fn a_connector_waits_for_its_handshake() {
        Simulation::sweep(0..20, || async {
            let watcher = this();
            let protocol = protocol::any(move |_: Connection| async move { send(watcher, "serving") });
            let (_client, server) = memory::pair();
            let bind = Box::new(memory::Listener::new());
            let shared = Arc::new(Shared::new(bind, Config::new(), protocol.clone()));
            let connection = Box::new(Connection::new(server, Address::Memory(1)));
            let connector = spawn(connector(shared, protocol, connection));
            sleep(Duration::from_secs(1)).await;
            assert_eq!(
                riot_actor::process::info(this()).expect("it runs").mailbox,
                0,
                "nothing is served before the handshake"
            );
            send(connector, Handshake);
            monitor(connector).down().await;
            assert_eq!(receive::<&str>().await, "serving");
        });
    }
}

//! Connections.Sup: a dynamic supervisor of Connectors, which it starts, counts, drains, and never restarts.

use std::{
    sync::Arc,
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
    alarm::CooldownEnded,
    connector::{self, Begin},
    connectors::Connectors,
    drain::later,
    info::CutConnection,
    semaphore::Permit,
    state::Shared,
    telemetry::ConnectionStarted,
};
use crate::connection::{
    Connection,
    record::{ConnectionRecord, DrainStep},
};

/// Asks a Connections.Sup to start a Connector for an accepted client, which is served or refused.
pub(super) struct Start {
    /// Boxed, so that it moves as it is through the mailbox into the Connector.
    connection: Box<Connection>,
}

impl Start {
    pub(super) fn serve(
        shared: &Arc<Shared>,
        connection: Connection,
        acceptor: usize,
        permit: Permit,
    ) -> Self {
        let mut connection = Box::new(connection);
        let shard = shared.table.shard_of(acceptor);
        let membership = shared.admit(connection.record(), shard, permit);
        connection.join_server(membership);
        Self { connection }
    }

    pub(super) fn refuse(
        shared: &Arc<Shared>,
        connection: Connection,
        acceptor: usize,
        permit: Permit,
    ) -> Self {
        connection.record().refuse();
        Self::serve(shared, connection, acceptor, permit)
    }
}

/// Tells a Connections.Sup, and through it all connections, that a drain will follow.
#[derive(Clone, Copy)]
pub(super) struct AnnounceDrain;

/// Asks all connections to finish. Those left at the deadline are killed. Answered, as a call, when none is
/// left. Asked again, it can only move the deadline forward.
#[derive(Clone, Copy)]
pub(super) struct DrainConnections {
    pub(super) deadline: Instant,
    /// The time that a client has for its first bytes.
    pub(super) first_timeout: Duration,
}

/// The interval at which a drain looks at connections that have not been told of it: 50 ms.
const CHECK: Duration = Duration::from_millis(50);

struct Connections {
    shared: Arc<Shared>,
    parent: Pid,
    connectors: Connectors,
    phase: ConnectionsPhase,
    /// Connections that were cut while no caller waited to be told.
    untold_cut: Vec<CutConnection>,
}

/// The knowledge that the connections of a Connections.Sup have of a drain.
enum ConnectionsPhase {
    Serving,
    Announced,
    Draining(Draining),
}

/// A drain of connections.
struct Draining {
    deadline: Instant,
    first_timeout: Duration,
    /// Connections that have not been told, each with the instant at which they are.
    untold: Vec<(Arc<ConnectionRecord>, Instant)>,
}

impl Draining {
    fn new(DrainConnections { deadline, first_timeout }: DrainConnections) -> Self {
        Self { deadline, first_timeout, untold: Vec::new() }
    }

    /// Asks a connection to finish.
    fn add(&mut self, record: &Arc<ConnectionRecord>) {
        record.drain(Some(self.deadline));
        match record.drain_step() {
            DrainStep::Done => {}
            DrainStep::Now | DrainStep::Received => record.finish_now(),
            DrainStep::AfterFirst | DrainStep::AfterHandshake => {
                self.untold.push((record.clone(), later(now(), self.first_timeout)));
            }
        }
    }

    /// Tells the connections whose time has come.
    fn check(&mut self) {
        let first_timeout = self.first_timeout;
        self.untold.retain_mut(|(record, at)| !tell(record, at, first_timeout));
    }

    /// Returns the time until there is something to do.
    fn left(&self) -> Duration {
        let left = self.deadline.saturating_duration_since(now());
        if self.untold.is_empty() { left } else { left.min(CHECK) }
    }
}

/// Tells a connection if its time has come. Returns whether nothing is left to tell.
fn tell(record: &ConnectionRecord, at: &mut Instant, first_timeout: Duration) -> bool {
    match record.drain_step() {
        DrainStep::Done => return true,
        DrainStep::AfterHandshake => *at = later(now(), first_timeout),
        DrainStep::AfterFirst | DrainStep::Received if now() < *at => {}
        DrainStep::AfterFirst | DrainStep::Received | DrainStep::Now => {
            record.finish_now();
            return true;
        }
    }
    false
}

/// The body of a Connections.Sup.
pub(super) async fn run(shared: Arc<Shared>, parent: Pid, number: usize) -> Reason {
    shared.table.set_supervisor(number, this());
    // One that replaces a Connections.Sup that was killed joins the drain that is under way.
    let phase = match shared.schedule() {
        Some(_) => ConnectionsPhase::Announced,
        None => ConnectionsPhase::Serving,
    };
    let mut connections =
        Connections { shared, parent, connectors: Connectors::default(), phase, untold_cut: Vec::new() };
    loop {
        receive! {
            Start { connection } => {
                connections.start(connection);
                if let ConnectionsPhase::Draining(_) = connections.phase {
                    connections.finish(Vec::new()).await;
                }
            },
            exit: Exit => if let Some(reason) = connections.handle_exit(exit) {
                let request = connections.shared.drain_request();
                connections.drain(request, Vec::new()).await;
                return reason;
            },
            request: CallRequest<DrainConnections, Vec<CutConnection>> => {
                connections.drain(request.query, vec![request.reply]).await;
            },
            announce: AnnounceDrain => connections.announce(announce),
            request: DrainConnections => connections.drain(request, Vec::new()).await,
            ended: CooldownEnded => connections.end_cooldown(ended),
        }
    }
}

impl Connections {
    /// Starts a Connector. It is recorded as the owner of the connection before it may use it.
    fn start(&mut self, connection: Box<Connection>) {
        let record = connection.record().clone();
        let local = self.shared.watches::<ConnectionStarted>().then(|| connection.local_address().ok());
        let body = connector::body(self.shared.clone(), self.shared.protocol(), connection);
        let options = SpawnOptions::new().label("Connector").priority(self.shared.priority).link();
        #[cfg(feature = "tokio")]
        let options = if self.shared.is_inside_tokio { options.tokio() } else { options };
        let connector = options.spawn(body);
        record.set_owner(connector);
        if let Some(local) = local {
            self.shared.emit_started(connector, local, &record);
        }
        match &mut self.phase {
            ConnectionsPhase::Serving => {}
            ConnectionsPhase::Announced => record.announce_drain(),
            ConnectionsPhase::Draining(draining) => draining.add(&record),
        }
        let counted = !record.is_refused();
        self.connectors.insert(connector, record);
        send(connector, Begin);
        if counted {
            let shared = &self.shared;
            shared.alarms.check(shared.load.active(), this(), || shared.connections());
        }
    }

    fn end_cooldown(&self, ended: CooldownEnded) {
        let shared = &self.shared;
        shared.alarms.end_cooldown(ended, shared.load.active(), this(), || shared.connections());
    }

    /// Handles the end of a connection. Returns the reason if the exit asks this supervisor to end.
    fn handle_exit(&mut self, exit: Exit) -> Option<Reason> {
        if exit.by_link
            && let Some(record) = self.connectors.remove(&exit.from)
        {
            if !record.is_refused() {
                self.shared.statistics.count_end(&exit.reason);
                self.shared.emit_ended(exit.from, &exit.reason, &record);
            }
            #[cfg(feature = "tokio")]
            record.owner_exited();
            return None;
        }
        (exit.from == self.parent || exit.from.is_system()).then_some(exit.reason)
    }

    fn announce(&mut self, AnnounceDrain: AnnounceDrain) {
        if let ConnectionsPhase::Serving = self.phase {
            self.phase = ConnectionsPhase::Announced;
            self.connectors.values().for_each(|record| record.announce_drain());
        }
    }

    /// Asks every connection to finish, all at once, and kills those left at the deadline. A drain that is
    /// requested meanwhile can only move the deadline forward.
    async fn drain(&mut self, request: DrainConnections, callers: Vec<ReplyTo<Vec<CutConnection>>>) {
        match &mut self.phase {
            ConnectionsPhase::Draining(draining) => {
                draining.deadline = draining.deadline.min(request.deadline);
            }
            ConnectionsPhase::Serving | ConnectionsPhase::Announced => {
                let mut draining = Draining::new(request);
                self.connectors.values().for_each(|record| draining.add(record));
                self.phase = ConnectionsPhase::Draining(draining);
            }
        }
        self.finish(callers).await;
    }

    /// Waits until none of the connections that were asked to finish is left.
    async fn finish(&mut self, mut callers: Vec<ReplyTo<Vec<CutConnection>>>) {
        while !self.connectors.is_empty() {
            let ConnectionsPhase::Draining(draining) = &mut self.phase else { break };
            if draining.deadline <= now() {
                break;
            }
            let relevant = select(|message| {
                message.is::<Exit>()
                    || message.is::<Start>()
                    || message.is::<DrainConnections>()
                    || message.is::<CallRequest<DrainConnections, Vec<CutConnection>>>()
            });
            let Ok(message) = timeout(draining.left(), relevant).await else {
                draining.check();
                continue;
            };
            let message = match message.downcast::<CallRequest<DrainConnections, Vec<CutConnection>>>() {
                Ok(request) => {
                    draining.deadline = draining.deadline.min(request.query.deadline);
                    callers.push(request.reply);
                    continue;
                }
                Err(message) => message,
            };
            let message = match message.downcast::<DrainConnections>() {
                Ok(request) => {
                    draining.deadline = draining.deadline.min(request.deadline);
                    continue;
                }
                Err(message) => message,
            };
            match message.downcast::<Exit>() {
                // An exit that asks for the end of this supervisor needs no action: the end is on its way.
                Ok(exit) => drop(self.handle_exit(exit)),
                Err(message) => {
                    if let Ok(Start { connection }) = message.downcast() {
                        self.start(connection);
                    }
                }
            }
        }
        let cut = self.connectors.iter().map(|(&pid, record)| CutConnection::of(pid, record));
        self.untold_cut.extend(cut);
        for (&pid, record) in self.connectors.iter() {
            record.cut();
            exit(pid, Reason::Kill);
        }
        while !self.connectors.is_empty() {
            let exit = receive_if(|exit: &Exit| exit.by_link).await;
            self.handle_exit(exit);
        }
        // The last caller gets the cut connections: earlier ones were replaced by it.
        for reply in callers.into_iter().rev() {
            reply.send(std::mem::take(&mut self.untold_cut));
        }
    }
}

impl Drop for Connections {
    /// Counts the connections that are killed with this supervisor, and emits their ends: their exits reach
    /// no process.
    fn drop(&mut self) {
        let killed = self.connectors.values().filter(|record| !record.is_refused()).count();
        self.shared.statistics.count_killed(killed as u64);
        for (&pid, record) in self.connectors.iter() {
            self.shared.emit_ended(pid, &Reason::Killed, record);
        }
    }
}

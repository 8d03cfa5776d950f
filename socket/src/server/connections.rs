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
    info::CutConnection,
    semaphore::Permit,
    state::Shared,
};
use crate::connection::Connection;

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

/// Asks all connections to finish. Those left at the deadline are killed. Answered when none is left.
#[derive(Clone, Copy)]
pub(super) struct Drain {
    pub(super) deadline: Instant,
}

struct Connections {
    shared: Arc<Shared>,
    parent: Pid,
    connectors: Connectors,
    draining: bool,
}

/// The body of a Connections.Sup.
pub(super) async fn run(shared: Arc<Shared>, parent: Pid, number: usize) -> Reason {
    shared.table.set_supervisor(number, this());
    let mut connections = Connections { shared, parent, connectors: Connectors::default(), draining: false };
    loop {
        receive! {
            Start { connection } => connections.start(connection),
            exit: Exit => if let Some(reason) = connections.handle_exit(exit) {
                let deadline = deadline_in(connections.shared.shutdown_timeout());
                connections.drain(deadline, Vec::new()).await;
                return reason;
            },
            request: CallRequest<Drain, Vec<CutConnection>> => {
                connections.drain(request.query.deadline, vec![request.reply]).await;
            },
            ended: CooldownEnded => connections.end_cooldown(ended),
        }
    }
}

impl Connections {
    /// Starts a Connector. It is recorded as the owner of the connection before it may use it.
    fn start(&mut self, connection: Box<Connection>) {
        let record = connection.record().clone();
        let body = connector::body(self.shared.clone(), self.shared.protocol(), connection);
        let connector = SpawnOptions::new().label("Connector").link().spawn(body);
        record.set_owner(connector);
        if self.draining {
            record.drain();
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
            }
            return None;
        }
        (exit.from == self.parent || exit.from.is_system()).then_some(exit.reason)
    }

    /// Asks every connection to finish, all at once, and kills those left at the deadline. A drain that is
    /// requested meanwhile can only move the deadline forward.
    async fn drain(&mut self, mut deadline: Instant, mut callers: Vec<ReplyTo<Vec<CutConnection>>>) {
        self.draining = true;
        self.connectors.values().for_each(|record| record.drain());
        while !self.connectors.is_empty() {
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
                    callers.push(request.reply);
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
        let cut: Vec<CutConnection> =
            self.connectors.iter().map(|(&pid, record)| CutConnection::of(pid, record)).collect();
        for &pid in self.connectors.keys() {
            exit(pid, Reason::Kill);
        }
        while !self.connectors.is_empty() {
            let exit = receive_if(|exit: &Exit| exit.by_link).await;
            self.handle_exit(exit);
        }
        // The first caller gets the cut connections. The others learn that the drain is done.
        let mut cut = Some(cut);
        for reply in callers {
            reply.send(cut.take().unwrap_or_default());
        }
    }
}

impl Drop for Connections {
    /// Counts the connections that are killed with this supervisor: their exits reach no process.
    fn drop(&mut self) {
        let killed = self.connectors.values().filter(|record| !record.is_refused()).count();
        self.shared.statistics.count_killed(killed as u64);
    }
}

/// Returns the instant after `timeout`, however long that is.
pub(super) fn deadline_in(timeout: Duration) -> Instant {
    now().checked_add(timeout).unwrap_or_else(|| now() + Duration::from_secs(u32::MAX.into()))
}

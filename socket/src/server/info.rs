//! What a server and its connections are doing, for whoever looks.

use std::{collections::BTreeMap, time::Duration};

use riot_actor::{Pid, Reason, now};

use super::accept_error::Verdict;
use crate::{
    connection::control::{Entry, Status},
    transport::Address,
};

/// What a server is doing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerInfo {
    /// Whether it accepts.
    pub state: ServerState,
    /// Where it listens; none while it does not.
    pub address: Option<Address>,
    /// Connections there may be at once.
    pub max_connections: usize,
    /// Connections there are, without those that were [removed](crate::Connection::remove).
    pub active: usize,
    /// Connections there are, with those.
    pub all: usize,
    /// Connections there have been.
    pub accepted: u64,
    /// Clients that were sent away because there was no place; see [`ConnectionOverflow`](crate::ConnectionOverflow).
    pub refused: u64,
    /// How connections ended.
    pub ended: Ended,
    /// Accepts that failed.
    pub accept_errors: AcceptErrors,
    /// Connections whose handshake failed.
    pub handshake_errors: u64,
    /// Connections that were ended by a timer, by its name: `handshake`, and those of the protocol.
    pub timeouts: BTreeMap<&'static str, u64>,
    /// Bytes all its connections have received.
    pub bytes_received: u64,
    /// Bytes all its connections have sent.
    pub bytes_sent: u64,
    /// Bytes that were to be sent by connections that have ended, and were not, as far as their protocols know.
    pub bytes_undelivered: u64,
}

/// Whether a server accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerState {
    /// It does.
    Running,
    /// It was [suspended](crate::ServerHandle::suspend); the connections there are go on.
    Suspended,
    /// There is no such server at the moment.
    Down,
}

/// How connections ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ended {
    /// They were served, and done.
    pub normal: u64,
    /// They were asked to, or never got through their handshake.
    pub shutdown: u64,
    /// An error or a panic.
    pub crashed: u64,
    /// They were killed: at the deadline of a stop, by somebody, or with their supervisor.
    pub killed: u64,
}

impl Ended {
    pub(super) fn count(&mut self, reason: &Reason) {
        let counter = match reason {
            Reason::Normal => &mut self.normal,
            Reason::Killed | Reason::Kill => &mut self.killed,
            reason if reason.is_clean() => &mut self.shutdown,
            _ => &mut self.crashed,
        };
        *counter += 1;
    }
}

/// Accepts that failed, by what that meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AcceptErrors {
    /// One client's misfortune, such as one that left before it was accepted.
    pub connection: u64,
    /// The machine or the program had run out of descriptors or memory.
    pub exhausted: u64,
    /// The listening socket was no more.
    pub listener: u64,
}

impl AcceptErrors {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.connection + self.exhausted + self.listener
    }

    pub(super) fn count(&mut self, verdict: Verdict) {
        let counter = match verdict {
            Verdict::Skip => &mut self.connection,
            Verdict::Exhausted => &mut self.exhausted,
            Verdict::End => &mut self.listener,
        };
        *counter += 1;
    }
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
    /// What it is doing, in a word: `handshake`, `refused`, `open`, `finishing`, or what its protocol says.
    pub state: &'static str,
    /// Requests it has served, if its protocol serves such.
    pub requests: u64,
    /// Bytes it has received: those of its protocol, inside whatever a handshake put around them.
    pub bytes_received: u64,
    /// Bytes it has sent.
    pub bytes_sent: u64,
}

impl ConnectionInfo {
    /// None while it has no Connector yet.
    pub(super) fn of(entry: &Entry) -> Option<Self> {
        let pid = entry.pid()?;
        let Status { state, requests } = entry.status();
        let (bytes_received, bytes_sent) = entry.bytes();
        let age = now() - entry.since;
        Some(Self { pid, peer: entry.peer(), age, state, requests, bytes_received, bytes_sent })
    }
}

/// A connection that was killed because it had not finished when a drain had to end.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CutConnection {
    /// Its Connector.
    pub pid: Pid,
    /// The client.
    pub peer: Address,
    /// How long it had been connected.
    pub age: Duration,
    /// What it was doing, in a word.
    pub state: &'static str,
    /// Requests it had served.
    pub requests: u64,
}

impl CutConnection {
    pub(super) fn of(pid: Pid, entry: &Entry) -> Self {
        let Status { state, requests } = entry.status();
        Self { pid, peer: entry.peer(), age: now() - entry.since, state, requests }
    }
}

//! The events of servers and their connections.
//!
//! ```
//! use riot_actor::telemetry::attach;
//! use riot_socket::telemetry::{ConnectionEnded, ConnectionEnding};
//!
//! # let reason = riot_actor::run(async {
//! attach(|event: &ConnectionEnded| {
//!     if let ConnectionEnding::TimedOut(timer) = event.ending {
//!         println!("{} of {} timed out ({timer}) after {:?}", event.peer, event.server, event.age);
//!     }
//! });
//! # });
//! # assert_eq!(reason, riot_actor::Reason::Normal);
//! ```
//!
//! Handlers are attached as [`riot_actor::telemetry`] says. An event without a handler is not made. Every
//! [`ConnectionStarted`] is followed by one [`ConnectionEnded`] of the same connection. Clients that a full
//! server [refuses](crate::ConnectionOverflow) have neither.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use riot_actor::{
    Pid, Reason, built_in_events, now,
    telemetry::{BuiltInEvent, emit},
    this,
};

use super::state::Shared;
use crate::{
    connection::{
        Connection,
        disconnect::Disconnected,
        handshake::{HandshakeError, HandshakeFailed},
        proxy::ProxyInfo,
        record::ConnectionRecord,
    },
    transport::Address,
};

/// A server listens on an address.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ListenerStarted {
    /// The name of the server: that which it was given, or else its address.
    pub server: Arc<str>,
    /// The address.
    pub address: Address,
}

/// A server listens on an address no more.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ListenerStopped {
    /// The name of the server.
    pub server: Arc<str>,
    /// The address.
    pub address: Address,
    /// The reason.
    pub reason: ListenerStopReason,
}

/// The reason for which a server listens no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListenerStopReason {
    /// The server [is suspended](crate::ServerHandle::suspend).
    Suspended,
    /// The server drains.
    Draining,
    /// The processes that accept have ended: the server was stopped at once, or they crashed and bind again.
    Ended,
}

impl fmt::Display for ListenerStopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Suspended => "suspended",
            Self::Draining => "draining",
            Self::Ended => "ended",
        })
    }
}

/// A server failed to accept a client.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AcceptFailed {
    /// The name of the server.
    pub server: Arc<str>,
    /// The kind: `connection`, `exhausted` or `listener`, as in [`AcceptErrors`](crate::AcceptErrors).
    pub kind: &'static str,
    /// The text of the error.
    pub error: String,
}

/// A client was accepted, and has a Connector.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectionStarted {
    /// The name of the server.
    pub server: Arc<str>,
    /// The Connector.
    pub pid: Pid,
    /// The address of the peer: behind a PROXY header, that of the proxy.
    pub peer: Address,
    /// The address that the peer has connected to, if the transport knows it.
    pub local: Option<Address>,
}

/// The handshakes of a connection are done, or one has failed. A connection that is killed meanwhile, and one
/// of a server without handshakes, has no such event.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectionHandshake {
    /// The name of the server.
    pub server: Arc<str>,
    /// The Connector.
    pub pid: Pid,
    /// The address of the client, as far as it is known.
    pub peer: Address,
    /// The time that all handshakes took together.
    pub duration: Duration,
    /// The error, if one failed.
    pub error: Option<HandshakeError>,
    /// The TLS session, with its version and the names of ALPN and SNI, if there is one.
    #[cfg(feature = "tls")]
    pub tls: Option<crate::transport::tls::TlsInfo>,
    /// The PROXY header, if there was one.
    pub proxy: Option<ProxyInfo>,
}

/// A connection has ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectionEnded {
    /// The name of the server.
    pub server: Arc<str>,
    /// The Connector.
    pub pid: Pid,
    /// The address of the client.
    pub peer: Address,
    /// The way in which it ended.
    pub ending: ConnectionEnding,
    /// The time since it was accepted.
    pub age: Duration,
    /// Bytes of its protocol that it has received, without those of TLS or other layers.
    pub bytes_received: u64,
    /// Bytes of its protocol that it has sent.
    pub bytes_sent: u64,
    /// Requests that it has received; 0 for a protocol without requests.
    pub requests: u64,
}

/// The way in which a connection has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionEnding {
    /// The protocol has ended it in order.
    Done,
    /// The connection had been asked to finish: its server drained, a handle closed it, or it gave way to a
    /// new client.
    Drained,
    /// The peer left, which the protocol saw as an error.
    Disconnected,
    /// The timer of this name has ended it.
    TimedOut(&'static str),
    /// The peer broke the protocol.
    ProtocolError,
    /// A handshake failed, or an exit signal asked for the end.
    Shutdown,
    /// The Connector was killed: at the deadline of a drain, by another process, or with its supervisor.
    Killed,
    /// The Connector has crashed.
    Crashed,
}

impl ConnectionEnding {
    /// Returns the name, such as `protocol_error`; all timers have the name `timeout`.
    ///
    /// ```
    /// use riot_socket::telemetry::ConnectionEnding;
    /// assert_eq!(ConnectionEnding::TimedOut("idle").name(), "timeout");
    /// ```
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Drained => "drained",
            Self::Disconnected => "disconnected",
            Self::TimedOut(_) => "timeout",
            Self::ProtocolError => "protocol_error",
            Self::Shutdown => "shutdown",
            Self::Killed => "killed",
            Self::Crashed => "crashed",
        }
    }

    /// Returns how a Connector has ended that had this exit reason.
    fn of(reason: &Reason, record: &ConnectionRecord) -> Self {
        let note = record.end_note();
        match reason {
            Reason::Killed | Reason::Kill => Self::Killed,
            reason if !reason.is_clean() => Self::Crashed,
            _ if let Some(timer) = note.timed_out => Self::TimedOut(timer),
            _ if note.broke_protocol => Self::ProtocolError,
            reason if Disconnected::is_detail_of(reason) => Self::Disconnected,
            _ if record.drained().is_some() => Self::Drained,
            Reason::Normal => Self::Done,
            _ => Self::Shutdown,
        }
    }
}

/// A client met a bound of a server.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LimitHit {
    /// The name of the server.
    pub server: Arc<str>,
    /// The name of the bound: `max_connections`, or that of a limit of the protocol, such as
    /// `max_body_bytes`.
    pub limit: &'static str,
    /// The address of the client; none if it has not been accepted.
    pub peer: Option<Address>,
}

/// A timer ended a connection.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TimeoutHit {
    /// The name of the server.
    pub server: Arc<str>,
    /// The name of the timer, as in [`ServerInfo::timeouts`](crate::ServerInfo::timeouts).
    pub timer: &'static str,
    /// The address of the client.
    pub peer: Address,
}

built_in_events! {
    ListenerStarted: "listener.started", 24;
    ListenerStopped: "listener.stopped", 25;
    AcceptFailed: "accept.error", 26;
    ConnectionStarted: "connection.started", 27;
    ConnectionHandshake: "connection.handshake", 28;
    ConnectionEnded: "connection.ended", 29;
    LimitHit: "limit.hit", 30;
    TimeoutHit: "timeout.hit", 31;
    super::drain::ServerPhase: "server.phase", 32;
}

impl Shared {
    /// Emits an event, if it is watched. It is made only then, and gets the name of the server.
    #[inline]
    pub(super) fn emit<E: BuiltInEvent>(&self, event: impl FnOnce(Arc<str>) -> E) {
        if self.watches::<E>() {
            self.emit_slow(event);
        }
    }

    #[cold]
    fn emit_slow<E: BuiltInEvent>(&self, event: impl FnOnce(Arc<str>) -> E) {
        emit(&event(self.name_or_empty()));
    }

    /// Returns the name of the server; empty while it has none.
    pub(super) fn name_or_empty(&self) -> Arc<str> {
        self.name().unwrap_or_else(|| "".into())
    }

    pub(super) fn emit_started(&self, pid: Pid, local: Option<Address>, record: &ConnectionRecord) {
        self.emit(|server| ConnectionStarted { server, pid, peer: record.peer(), local });
    }

    /// Emits the result of the handshakes of the running Connector, which began at `since`.
    pub(super) fn emit_handshake(
        &self,
        since: Instant,
        record: &ConnectionRecord,
        result: &Result<Connection, HandshakeFailed>,
    ) {
        self.emit(|server| ConnectionHandshake {
            server,
            pid: this(),
            peer: record.peer(),
            duration: now().saturating_duration_since(since),
            error: result.as_ref().err().map(|failed| failed.error.clone()),
            #[cfg(feature = "tls")]
            tls: result.as_ref().ok().and_then(|connection| connection.get().cloned()),
            proxy: result.as_ref().ok().and_then(|connection| connection.get().cloned()),
        });
    }

    /// Emits the end of a connection, once its last word is said.
    #[inline]
    pub(super) fn emit_ended(&self, pid: Pid, reason: &Reason, record: &ConnectionRecord) {
        if self.watches::<ConnectionEnded>() && !record.is_refused() {
            self.emit_ended_slow(pid, reason, record);
        }
    }

    #[cold]
    fn emit_ended_slow(&self, pid: Pid, reason: &Reason, record: &ConnectionRecord) {
        let (server, peer) = (self.name_or_empty(), record.peer());
        let ending = ConnectionEnding::of(reason, record);
        let age = now().saturating_duration_since(record.since);
        let requests = record.requests();
        record.emit_at_end(move |(bytes_received, bytes_sent)| {
            emit(&ConnectionEnded { server, pid, peer, ending, age, bytes_received, bytes_sent, requests });
        });
    }
}

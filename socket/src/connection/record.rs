//! The record of a connection: the state that its owner, its server and its protocol share.

use std::{
    io,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use parking_lot::{Mutex, MutexGuard};
use riot_actor::{Pid, Reason, telemetry::add_crash_detail, time::now_coarse};

use super::{
    control::{Control, Status},
    disconnect::{Disconnected, LastError},
};
use crate::transport::{Address, Shutdown, Transport};

/// The record of one connection.
pub(crate) struct ConnectionRecord {
    pub(crate) since: Instant,
    /// The client is told that the server is full, instead of being served.
    refused: AtomicBool,
    received: AtomicU64,
    sent: AtomicU64,
    /// The last time that a half has sent bytes, in nanoseconds after `since`, plus one. Zero: never.
    sent_at: AtomicU64,
    undelivered: AtomicU64,
    last_error: LastError,
    state: Mutex<RecordState>,
}

struct RecordState {
    /// The Connector, once there is one.
    pid: Option<Pid>,
    peer: Address,
    stage: Stage,
    drained: bool,
    drain_target: DrainTarget,
}

/// The stage that a connection has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Accepted,
    Handshake,
    Serving,
}

/// The party that a drain is passed to, and that reports the status.
enum DrainTarget {
    /// No hook was set. The input of the transport is ended.
    Input(Arc<dyn Transport>),
    Hook(Option<Box<dyn FnOnce() + Send>>),
    Protocol(Weak<dyn Control>),
    /// The connection has been dropped.
    Released,
}

/// Adds to a counter that one process at a time writes. No atomic addition is needed, only a store that is
/// not torn.
fn count(counter: &AtomicU64, bytes: usize) {
    counter.store(counter.load(Relaxed) + bytes as u64, Relaxed);
}

impl ConnectionRecord {
    pub(crate) fn new(transport: Arc<dyn Transport>, peer: Address) -> Self {
        let state = RecordState {
            pid: None,
            peer,
            stage: Stage::Accepted,
            drained: false,
            drain_target: DrainTarget::Input(transport),
        };
        Self {
            since: riot_actor::now(),
            refused: AtomicBool::new(false),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            sent_at: AtomicU64::new(0),
            undelivered: AtomicU64::new(0),
            last_error: LastError::default(),
            state: Mutex::new(state),
        }
    }

    fn lock(&self) -> MutexGuard<'_, RecordState> {
        self.state.lock()
    }

    pub(crate) fn pid(&self) -> Option<Pid> {
        self.lock().pid
    }

    /// Sets the Connector that owns the connection.
    pub(crate) fn set_owner(&self, connector: Pid) {
        self.lock().pid = Some(connector);
    }

    /// Returns the peer, as far as it is known by now.
    pub(crate) fn peer(&self) -> Address {
        self.lock().peer.clone()
    }

    pub(crate) fn set_peer(&self, peer: &Address) {
        self.lock().peer.clone_from(peer);
    }

    pub(crate) fn set_stage(&self, stage: Stage) {
        self.lock().stage = stage;
    }

    /// Marks the connection as refused, so that it is not counted. Must be called before the record is
    /// shared.
    pub(crate) fn refuse(&self) {
        self.refused.store(true, Relaxed);
    }

    pub(crate) fn is_refused(&self) -> bool {
        self.refused.load(Relaxed)
    }

    pub(crate) fn received(&self, bytes: usize) {
        count(&self.received, bytes);
    }

    pub(crate) fn sent(&self, bytes: usize) {
        count(&self.sent, bytes);
    }

    /// Counts bytes that were sent by a half, beside which another process may read.
    pub(crate) fn sent_by_half(&self, bytes: usize) {
        count(&self.sent, bytes);
        let after = now_coarse().saturating_duration_since(self.since).as_nanos();
        self.sent_at.store(u64::try_from(after).map_or(u64::MAX, |after| after.saturating_add(1)), Relaxed);
    }

    /// Returns the last time that a half has sent bytes.
    pub(crate) fn last_sent(&self) -> Option<Instant> {
        let after = self.sent_at.load(Relaxed).checked_sub(1)?;
        self.since.checked_add(Duration::from_nanos(after))
    }

    /// Returns the bytes received and sent.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        (self.received.load(Relaxed), self.sent.load(Relaxed))
    }

    pub(crate) fn count_undelivered(&self, bytes: u64) {
        self.undelivered.fetch_add(bytes, Relaxed);
    }

    pub(crate) fn undelivered(&self) -> u64 {
        self.undelivered.load(Relaxed)
    }

    /// Remembers an error of the transport.
    #[cold]
    pub(crate) fn transport_failed(&self, kind: io::ErrorKind) {
        self.last_error.set(kind);
    }

    /// Returns the disconnect that a protocol has ended with, if the reason is one of its own transport.
    pub(crate) fn disconnect_in(&self, reason: &Reason) -> Option<Disconnected> {
        self.last_error.disconnect_in(reason)
    }

    /// Adds the client, the server and the age of the connection to the crash report of the running process.
    pub(crate) fn describe_crash(&self, server: Option<&Address>) {
        add_crash_detail("peer", &self.peer().to_string());
        if let Some(server) = server {
            add_crash_detail("server", &server.to_string());
        }
        let age = riot_actor::now().saturating_duration_since(self.since);
        add_crash_detail("age", &format!("{:.1}s", age.as_secs_f64()));
    }

    pub(crate) fn status(&self) -> Status {
        let without_requests = |state| Status { state, requests: 0 };
        if self.is_refused() {
            return without_requests("refused");
        }
        let state = self.lock();
        let drained = state.drained;
        let control = match (state.stage, &state.drain_target) {
            (Stage::Accepted, _) => return without_requests("accepted"),
            (Stage::Handshake, _) => return without_requests("handshake"),
            (Stage::Serving, DrainTarget::Protocol(control)) => control.upgrade(),
            (Stage::Serving, _) => None,
        };
        drop(state); // The protocol may use the connection in its answer.
        match control {
            Some(control) => control.status(),
            None if drained => without_requests("finishing"),
            None => without_requests("open"),
        }
    }

    /// Returns since when the connection has been idle, if it is and has not been asked to finish: since its
    /// last request, or since it was accepted, if no byte was received or sent.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        if self.is_refused() {
            return None;
        }
        let state = self.lock();
        let control = match &state.drain_target {
            _ if state.drained => return None,
            DrainTarget::Released => return None,
            DrainTarget::Protocol(control) => control.upgrade(),
            DrainTarget::Input(_) | DrainTarget::Hook(_) => None,
        };
        drop(state); // The protocol may use the connection in its answer.
        match self.bytes() {
            (0, 0) => Some(self.since),
            _ => control?.idle_since(),
        }
    }

    /// Asks the protocol to finish. Only the first call has an effect.
    pub(crate) fn drain(&self) {
        let mut state = self.lock();
        if std::mem::replace(&mut state.drained, true) {
            return;
        }
        match &mut state.drain_target {
            // The protocol reads the bytes that have come and then the end, as if the peer had left.
            DrainTarget::Input(transport) => {
                let transport = transport.clone();
                drop(state);
                let _ = transport.shutdown(Shutdown::Read);
            }
            DrainTarget::Hook(hook) => {
                let hook = hook.take();
                drop(state);
                if let Some(hook) = hook {
                    hook();
                }
            }
            DrainTarget::Protocol(control) => {
                let control = control.upgrade();
                drop(state);
                if let Some(control) = control {
                    control.drain();
                }
            }
            DrainTarget::Released => {}
        }
    }

    pub(crate) fn set_drain_hook(&self, hook: Box<dyn FnOnce() + Send>) {
        let mut state = self.lock();
        if state.drained {
            drop(state);
            return hook();
        }
        let before = std::mem::replace(&mut state.drain_target, DrainTarget::Hook(Some(hook)));
        drop(state);
        drop(before);
    }

    pub(crate) fn set_control(&self, control: Weak<dyn Control>) {
        let mut state = self.lock();
        let drained = state.drained;
        let before = std::mem::replace(&mut state.drain_target, DrainTarget::Protocol(control.clone()));
        drop(state);
        drop(before);
        if drained && let Some(control) = control.upgrade() {
            control.drain();
        }
    }

    /// Replaces the transport whose input a drain ends.
    pub(crate) fn set_transport(&self, transport: &Arc<dyn Transport>) {
        let mut state = self.lock();
        let drained = state.drained;
        let before = match &mut state.drain_target {
            DrainTarget::Input(input) => Some(std::mem::replace(input, transport.clone())),
            _ => None,
        };
        drop(state);
        if before.is_some() && drained {
            // The drain ended the input of the old transport; the new one ends in the same way.
            let _ = transport.shutdown(Shutdown::Read);
        }
    }

    /// Drops the transport, so that the connection closes when its owner drops it.
    pub(crate) fn release(&self) {
        let before = std::mem::replace(&mut self.lock().drain_target, DrainTarget::Released);
        drop(before);
    }
}

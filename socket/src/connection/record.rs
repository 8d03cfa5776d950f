//! The record of a connection: the state that its owner, its server and its protocol share.

use std::{
    hint::cold_path,
    io,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use parking_lot::{Mutex, MutexGuard};
#[cfg(feature = "tokio")]
use riot_actor::runtime::{Handle, RuntimeId};
use riot_actor::{Pid, Reason, process::contain, telemetry::add_crash_detail, time::now_coarse};
#[cfg(feature = "tokio")]
use std::sync::atomic::Ordering::SeqCst;

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
    /// Bytes came after a drained connection had ended its side.
    crossed: AtomicBool,
    /// Requests answered while the connection was drained.
    served: AtomicU32,
    /// Requests received, as far as the protocol has reported them at its end.
    requests: AtomicU32,
    /// Bytes received by handshakes.
    handshake_bytes: AtomicU32,
    received: AtomicU64,
    sent: AtomicU64,
    /// The last time that a half has sent bytes, in nanoseconds after `since`, plus one. Zero: never.
    sent_at: AtomicU64,
    undelivered: AtomicU64,
    last_error: LastError,
    /// The runtime in which the connection was made.
    #[cfg(feature = "tokio")]
    runtime: Option<RuntimeId>,
    /// The connection has been polled on a thread that is no worker.
    #[cfg(feature = "tokio")]
    is_abroad: AtomicBool,
    /// The Connector has exited.
    #[cfg(feature = "tokio")]
    owner_has_exited: AtomicBool,
    state: Mutex<RecordState>,
}

struct RecordState {
    /// The Connector, once there is one.
    pid: Option<Pid>,
    peer: Address,
    stage: Stage,
    drain: DrainState,
    drain_target: DrainTarget,
    /// The transport that a drain or a cut acts on, until the connection is dropped.
    transport: Option<Arc<dyn Transport>>,
    /// The facts of the end that are out of the ordinary, if there are some.
    end: Option<Box<UnusualEnd>>,
}

/// The facts of a connection's end that are out of the ordinary.
#[derive(Default)]
struct UnusualEnd {
    note: EndNote,
    /// The last word of the protocol is still being said, by another process than the Connector.
    is_last_word_due: bool,
    /// Emits the event of the end, when that is done.
    emit: Option<EmitEnd>,
}

/// Emits the event of a connection's end, with the bytes that were received and sent.
type EmitEnd = Box<dyn FnOnce((u64, u64)) + Send>;

/// The causes of a connection's end, as its protocol and its timers have reported them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct EndNote {
    pub(crate) timed_out: Option<&'static str>,
    pub(crate) broke_protocol: bool,
}

/// The knowledge that a connection has of a drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DrainState {
    /// Nothing.
    Unaware,
    /// A drain will follow.
    Announced,
    /// The connection finishes before the deadline, if there is one. A protocol that does not wait for its
    /// first request itself is told later.
    Draining { deadline: Option<Instant>, told: bool },
}

/// The record of a connection's time while it was drained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Drained {
    /// Requests that were answered.
    pub(crate) served: u64,
    /// Bytes came after the connection had ended its side.
    pub(crate) crossed: bool,
}

/// The next need of a connection that is drained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DrainStep {
    /// To be told now: its protocol has answered.
    Now,
    /// To be told now if the drain has just begun: it has received bytes.
    Received,
    /// To be told after the time that a client has for its first bytes.
    AfterFirst,
    /// To be looked at again: its handshakes are not done.
    AfterHandshake,
    /// Nothing: it has been told, or has ended.
    Done,
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
    Input,
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

/// Asks a protocol. The caller is a process of the server or any other one, which goes on if the protocol
/// panics, or if its destructor does: this may be the last hold of it.
fn ask<R>(control: Arc<dyn Control>, question: impl FnOnce(&dyn Control) -> R) -> Option<R> {
    contain(move || question(&*control))
}

/// Ends the input of a connection, whose transport may be a user's, as [`ask`] asks a protocol.
fn end_input(transport: Arc<dyn Transport>) {
    let _ = contain(move || transport.shutdown(Shutdown::Read).is_ok());
}

impl ConnectionRecord {
    pub(crate) fn new(transport: Arc<dyn Transport>, peer: Address) -> Self {
        let state = RecordState {
            pid: None,
            peer,
            stage: Stage::Accepted,
            drain: DrainState::Unaware,
            drain_target: DrainTarget::Input,
            transport: Some(transport),
            end: None,
        };
        Self {
            since: riot_actor::now(),
            refused: AtomicBool::new(false),
            crossed: AtomicBool::new(false),
            served: AtomicU32::new(0),
            requests: AtomicU32::new(0),
            handshake_bytes: AtomicU32::new(0),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            sent_at: AtomicU64::new(0),
            undelivered: AtomicU64::new(0),
            last_error: LastError::default(),
            #[cfg(feature = "tokio")]
            runtime: RuntimeId::current(),
            #[cfg(feature = "tokio")]
            is_abroad: AtomicBool::new(false),
            #[cfg(feature = "tokio")]
            owner_has_exited: AtomicBool::new(false),
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

    /// Sets the stage. A drain waits for the handshakes, and reaches a protocol when they are done.
    pub(crate) fn set_stage(&self, stage: Stage) {
        let mut state = self.lock();
        if state.stage == Stage::Handshake {
            let bytes = u32::try_from(self.bytes().0).unwrap_or(u32::MAX);
            self.handshake_bytes.store(bytes, Relaxed);
        }
        state.stage = stage;
        if stage == Stage::Serving && state.drain != DrainState::Unaware {
            cold_path();
            self.tell(state, false);
        }
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

    /// Returns whether any byte has been received since the handshakes.
    pub(crate) fn has_received(&self) -> bool {
        self.received.load(Relaxed) > u64::from(self.handshake_bytes.load(Relaxed))
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

    /// Returns the runtime to poll the connection with, on a thread that is no worker. From then on the end
    /// of the Connector ends the connection.
    #[cfg(feature = "tokio")]
    #[cold]
    pub(super) fn runtime_abroad(&self) -> Option<Handle> {
        self.is_abroad.store(true, SeqCst);
        if self.owner_has_exited.load(SeqCst) {
            self.end();
        }
        self.runtime?.handle()
    }

    /// Ends a connection that is polled on a thread that is no worker, because its Connector has exited.
    #[cfg(feature = "tokio")]
    pub(crate) fn owner_exited(&self) {
        self.owner_has_exited.store(true, SeqCst);
        if self.is_abroad.load(SeqCst) {
            self.end();
        }
    }

    #[cfg(feature = "tokio")]
    fn end(&self) {
        let transport = self.lock().transport.clone();
        if let Some(transport) = transport {
            // A transport may be a user's.
            let _ = contain(move || transport.shutdown(Shutdown::Both));
        }
    }

    /// Adds the client, the server and the age of the connection to the crash report of the running process.
    pub(crate) fn describe_crash(&self, server: Option<&str>) {
        add_crash_detail("peer", &self.peer().to_string());
        if let Some(server) = server {
            add_crash_detail("server", server);
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
        let drained = matches!(state.drain, DrainState::Draining { .. });
        let control = match (state.stage, &state.drain_target) {
            (Stage::Accepted, _) => return without_requests("accepted"),
            (Stage::Handshake, _) => return without_requests("handshake"),
            (Stage::Serving, DrainTarget::Protocol(control)) => control.upgrade(),
            (Stage::Serving, _) => None,
        };
        drop(state); // The protocol may use the connection in its answer.
        let state = if drained { "finishing" } else { "open" };
        control
            .and_then(|control| ask(control, |control| control.status()))
            .unwrap_or(without_requests(state))
    }

    /// Returns since when the connection has been idle, if it is and has not been asked to finish: since its
    /// last request, or since it was accepted, if no byte was received or sent.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        if self.is_refused() {
            return None;
        }
        let state = self.lock();
        let control = match &state.drain_target {
            _ if matches!(state.drain, DrainState::Draining { .. }) => return None,
            DrainTarget::Released => return None,
            DrainTarget::Protocol(control) => control.upgrade(),
            DrainTarget::Input | DrainTarget::Hook(_) => None,
        };
        drop(state); // The protocol may use the connection in its answer.
        match self.bytes() {
            (0, 0) => Some(self.since),
            _ => ask(control?, |control| control.idle_since()).flatten(),
        }
    }

    /// Ends an idle connection at once, for the sake of a new client.
    pub(crate) fn give_way(&self) {
        let input = {
            let state = self.lock();
            let ends_input = matches!(state.drain_target, DrainTarget::Input);
            state.transport.clone().filter(|_| ends_input)
        };
        self.drain(Some(riot_actor::now()));
        self.finish_now();
        if let Some(transport) = input {
            // The handshakes may not be done.
            end_input(transport);
        }
    }

    /// Makes the close of a connection that is about to be killed a reset.
    pub(crate) fn cut(&self) {
        let (transport, control) = {
            let state = self.lock();
            match &state.drain_target {
                DrainTarget::Protocol(control) => (None, control.upgrade()),
                _ => (state.transport.clone(), None),
            }
        };
        if let Some(transport) = transport {
            let _ = contain(move || transport.reset_on_close());
        }
        if let Some(control) = control {
            ask(control, |control| control.cut());
        }
    }

    /// Tells the protocol that a drain will follow.
    pub(crate) fn announce_drain(&self) {
        let mut state = self.lock();
        if state.drain == DrainState::Unaware {
            state.drain = DrainState::Announced;
            self.tell(state, false);
        }
    }

    /// Asks the protocol to finish before the deadline, if there is one. Only the first call has an effect.
    ///
    /// A protocol that cannot be told, or that does not wait for its first request itself, is told by
    /// [`finish_now`](Self::finish_now), when [`drain_step`](Self::drain_step) says so.
    pub(crate) fn drain(&self, deadline: Option<Instant>) {
        let mut state = self.lock();
        if !matches!(state.drain, DrainState::Draining { .. }) {
            state.drain = DrainState::Draining { deadline, told: false };
            self.tell(state, false);
        }
    }

    /// Returns what the drained connection needs next.
    pub(crate) fn drain_step(&self) -> DrainStep {
        let state = self.lock();
        if state.stage != Stage::Serving {
            return DrainStep::AfterHandshake;
        }
        let told = matches!(state.drain, DrainState::Draining { told: true, .. });
        let answered = || self.has_received() && self.bytes().1 > 0;
        match &state.drain_target {
            _ if told => DrainStep::Done,
            DrainTarget::Input if self.has_received() => DrainStep::Received,
            DrainTarget::Protocol(_) if answered() => DrainStep::Now,
            DrainTarget::Input | DrainTarget::Protocol(_) => DrainStep::AfterFirst,
            DrainTarget::Hook(_) | DrainTarget::Released => DrainStep::Done,
        }
    }

    /// Tells the drained connection, whatever it has received. A protocol that cannot be told reads the bytes
    /// that have come and then the end, as if the peer had left.
    pub(crate) fn finish_now(&self) {
        self.tell(self.lock(), true);
    }

    /// Passes on what the connection knows of a drain, if its protocol has begun and is to be told.
    fn tell(&self, mut state: MutexGuard<'_, RecordState>, now: bool) {
        let RecordState { drain, drain_target, transport, stage: Stage::Serving, .. } = &mut *state else {
            return;
        };
        match (drain, drain_target) {
            (DrainState::Announced, DrainTarget::Protocol(control)) => {
                let control = control.upgrade();
                drop(state); // The protocol may use the connection in its answer.
                if let Some(control) = control {
                    ask(control, |control| control.announce_drain());
                }
            }
            (DrainState::Draining { told, .. }, DrainTarget::Hook(hook)) => {
                *told = true;
                let (hook, transport) = (hook.take(), transport.clone());
                drop(state);
                if let Some(hook) = hook
                    && contain(hook).is_none()
                    && let Some(transport) = transport
                {
                    end_input(transport);
                }
            }
            (DrainState::Draining { told, .. }, DrainTarget::Input) if now && !*told => {
                *told = true;
                let transport = transport.clone();
                drop(state);
                if let Some(transport) = transport {
                    end_input(transport);
                }
            }
            (DrainState::Draining { told: false, deadline }, DrainTarget::Protocol(control)) => {
                let (deadline, control) = (*deadline, control.upgrade());
                drop(state);
                let Some(control) = control else { return };
                ask(control, |control| {
                    if now || self.has_received() || control.drains_fresh_connections() {
                        if let DrainState::Draining { told, .. } = &mut self.lock().drain {
                            *told = true;
                        }
                        control.drain(deadline);
                    }
                });
            }
            _ => {}
        }
    }

    /// Returns what the connection did while it was drained, if it was.
    pub(crate) fn drained(&self) -> Option<Drained> {
        let DrainState::Draining { .. } = self.lock().drain else { return None };
        let served = u64::from(self.served.load(Relaxed));
        Some(Drained { served, crossed: self.crossed.load(Relaxed) })
    }

    pub(crate) fn count_drained(&self, Drained { served, crossed }: Drained) {
        self.served.store(u32::try_from(served).unwrap_or(u32::MAX), Relaxed);
        self.crossed.store(crossed, Relaxed);
    }

    /// Keeps the number of requests received.
    pub(crate) fn set_requests(&self, requests: u64) {
        self.requests.store(u32::try_from(requests).unwrap_or(u32::MAX), Relaxed);
    }

    pub(crate) fn requests(&self) -> u64 {
        u64::from(self.requests.load(Relaxed))
    }

    /// Keeps the name of a timer that ends the connection.
    #[cold]
    pub(crate) fn note_timeout(&self, timer: &'static str) {
        self.lock().end.get_or_insert_default().note.timed_out = Some(timer);
    }

    /// Keeps that the peer has broken the protocol.
    #[cold]
    pub(crate) fn note_protocol_error(&self) {
        self.lock().end.get_or_insert_default().note.broke_protocol = true;
    }

    pub(crate) fn end_note(&self) -> EndNote {
        self.lock().end.as_ref().map_or(EndNote::default(), |end| end.note)
    }

    /// Lets the event of the connection's end wait for the protocol's last word, which another process says.
    #[cold]
    pub(crate) fn begin_last_word(&self) {
        self.lock().end.get_or_insert_default().is_last_word_due = true;
    }

    /// Emits the event of the connection's end, if it has waited for the last word.
    #[cold]
    pub(crate) fn end_last_word(&self) {
        let emit = self.lock().end.as_mut().and_then(|end| {
            end.is_last_word_due = false;
            end.emit.take()
        });
        if let Some(emit) = emit {
            emit(self.bytes());
        }
    }

    /// Emits the event of the connection's end, now or when its last word is said.
    pub(crate) fn emit_at_end(&self, emit: impl FnOnce((u64, u64)) + Send + 'static) {
        let mut state = self.lock();
        if let Some(end) = &mut state.end
            && end.is_last_word_due
        {
            end.emit = Some(Box::new(emit));
            return;
        }
        drop(state);
        emit(self.bytes());
    }

    pub(crate) fn set_drain_hook(&self, hook: Box<dyn FnOnce() + Send>) {
        self.set_drain_target(DrainTarget::Hook(Some(hook)));
    }

    pub(crate) fn set_control(&self, control: Weak<dyn Control>) {
        self.set_drain_target(DrainTarget::Protocol(control));
    }

    fn set_drain_target(&self, target: DrainTarget) {
        let mut state = self.lock();
        let before = std::mem::replace(&mut state.drain_target, target);
        if state.drain == DrainState::Unaware {
            drop(state);
        } else {
            cold_path();
            self.tell(state, false);
        }
        drop(before);
    }

    /// Replaces the transport that a drain or a cut acts on.
    pub(crate) fn set_transport(&self, transport: &Arc<dyn Transport>) {
        let before = self.lock().transport.replace(transport.clone());
        drop(before);
    }

    /// Drops the transport, so that the connection closes when its owner drops it.
    pub(crate) fn release(&self) {
        let before = {
            let mut state = self.lock();
            let target = std::mem::replace(&mut state.drain_target, DrainTarget::Released);
            (target, state.transport.take())
        };
        drop(before);
    }
}

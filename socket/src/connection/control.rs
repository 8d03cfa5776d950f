//! What a server knows of a connection, and can do about it, while a protocol has it.

use std::{
    fmt,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use parking_lot::{Mutex, MutexGuard};
use riot_actor::Pid;

use crate::{
    server::Permit,
    transport::{Address, Shutdown, Transport},
};

/// What a server asks of a protocol about one of its connections; see
/// [`Connection::controlled_by`](crate::Connection::controlled_by).
///
/// Called from any process; neither method may block.
pub trait Control: Send + Sync {
    /// Finish in order: at once if idle, else after what is under way. Called once.
    fn drain(&self);

    /// What it is doing.
    fn status(&self) -> Status;
}

/// What a protocol is doing with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// In a word, such as `idle`.
    pub state: &'static str,
    /// Requests it has served, if it serves such.
    pub requests: u64,
}

/// Counts what a protocol reads and writes when it uses the [transport](crate::Connection::transport) itself. Each
/// direction is counted by one process at a time.
#[derive(Clone)]
pub struct Meter(pub(crate) Arc<Entry>);

impl Meter {
    /// So many bytes came.
    pub fn received(&self, bytes: usize) {
        self.0.received(bytes);
    }

    /// So many bytes have left.
    pub fn sent(&self, bytes: usize) {
        self.0.sent(bytes);
    }

    /// So many bytes were to be sent and never will be.
    pub fn undelivered(&self, bytes: u64) {
        self.0.undelivered.fetch_add(bytes, Relaxed);
    }
}

/// One process counts: that takes no atomic operation, only one that is not torn.
fn count(counter: &AtomicU64, bytes: usize) {
    counter.store(counter.load(Relaxed) + bytes as u64, Relaxed);
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (received, sent) = self.0.bytes();
        write!(f, "Meter({received} received, {sent} sent)")
    }
}

/// One connection, as its server sees it.
pub(crate) struct Entry {
    pub(crate) since: Instant,
    /// It is told that there is no place for it.
    refused: AtomicBool,
    received: AtomicU64,
    sent: AtomicU64,
    pub(crate) undelivered: AtomicU64,
    state: Mutex<State>,
}

struct State {
    /// Its Connector, once there is one.
    pid: Option<Pid>,
    peer: Address,
    stage: Stage,
    drained: bool,
    control: By,
    /// Its place among those there may be at once.
    place: Option<Permit>,
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Accepted,
    Handshake,
    Serving,
}

/// Who ends the connection in order, and says what it is doing.
enum By {
    /// Nobody knows it: its input is ended.
    Input(Arc<dyn Transport>),
    Hook(Option<Box<dyn FnOnce() + Send>>),
    Protocol(Weak<dyn Control>),
    Nobody,
}

impl Entry {
    pub(crate) fn new(transport: Arc<dyn Transport>, peer: Address) -> Self {
        let state = State {
            pid: None,
            peer,
            stage: Stage::Accepted,
            drained: false,
            control: By::Input(transport),
            place: None,
        };
        Self {
            since: riot_actor::now(),
            refused: AtomicBool::new(false),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            undelivered: AtomicU64::new(0),
            state: Mutex::new(state),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    pub(crate) fn pid(&self) -> Option<Pid> {
        self.lock().pid
    }

    pub(crate) fn belongs_to(&self, connector: Pid) {
        self.lock().pid = Some(connector);
    }

    /// Who is at the other end, as far as is known by now.
    pub(crate) fn peer(&self) -> Address {
        self.lock().peer.clone()
    }

    pub(crate) fn set_peer(&self, peer: &Address) {
        self.lock().peer.clone_from(peer);
    }

    pub(crate) fn reach(&self, stage: Stage) {
        self.lock().stage = stage;
    }

    /// It is to be none of the connections there are; said before anybody else has it.
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

    /// Bytes received and sent.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        (self.received.load(Relaxed), self.sent.load(Relaxed))
    }

    pub(crate) fn occupy(&self, place: Permit) {
        self.lock().place = Some(place);
    }

    /// Its place, to be given back; once.
    pub(crate) fn vacate(&self) -> Option<Permit> {
        self.lock().place.take()
    }

    pub(crate) fn status(&self) -> Status {
        let simply = |state| Status { state, requests: 0 };
        if self.is_refused() {
            return simply("refused");
        }
        let state = self.lock();
        let drained = state.drained;
        let control = match (state.stage, &state.control) {
            (Stage::Accepted, _) => return simply("accepted"),
            (Stage::Handshake, _) => return simply("handshake"),
            (Stage::Serving, By::Protocol(control)) => control.upgrade(),
            (Stage::Serving, _) => None,
        };
        drop(state); // Whoever is asked may use the connection.
        match control {
            Some(control) => control.status(),
            None if drained => simply("finishing"),
            None => simply("open"),
        }
    }

    /// Asks the protocol to finish; once.
    pub(crate) fn drain(&self) {
        let mut state = self.lock();
        if std::mem::replace(&mut state.drained, true) {
            return;
        }
        match &mut state.control {
            // The protocol reads what has come and then the end, as if the peer had left.
            By::Input(transport) => {
                let transport = transport.clone();
                drop(state);
                let _ = transport.shutdown(Shutdown::Read);
            }
            By::Hook(hook) => {
                let hook = hook.take();
                drop(state);
                if let Some(hook) = hook {
                    hook();
                }
            }
            By::Protocol(control) => {
                let control = control.upgrade();
                drop(state);
                if let Some(control) = control {
                    control.drain();
                }
            }
            By::Nobody => {}
        }
    }

    pub(crate) fn drained_by_hook(&self, hook: Box<dyn FnOnce() + Send>) {
        let mut state = self.lock();
        if state.drained {
            drop(state);
            return hook();
        }
        let before = std::mem::replace(&mut state.control, By::Hook(Some(hook)));
        drop(state);
        drop(before);
    }

    pub(crate) fn controlled_by(&self, control: Weak<dyn Control>) {
        let mut state = self.lock();
        let drained = state.drained;
        let before = std::mem::replace(&mut state.control, By::Protocol(control.clone()));
        drop(state);
        drop(before);
        if drained && let Some(control) = control.upgrade() {
            control.drain();
        }
    }

    /// Another transport has taken the place of the one there was.
    pub(crate) fn carried_by(&self, transport: &Arc<dyn Transport>) {
        let mut state = self.lock();
        let drained = state.drained;
        let before = match &mut state.control {
            By::Input(input) => Some(std::mem::replace(input, transport.clone())),
            _ => None,
        };
        drop(state);
        if before.is_some() && drained {
            // It was asked to finish meanwhile; the new input ends as the old one did.
            let _ = transport.shutdown(Shutdown::Read);
        }
    }

    /// Forgets the transport, so that the connection closes when its owner drops it.
    pub(crate) fn release(&self) {
        let before = std::mem::replace(&mut self.lock().control, By::Nobody);
        drop(before);
    }
}

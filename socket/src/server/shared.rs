//! What the processes of one server have in common, whichever of them are there just now.

use std::{
    future::poll_fn,
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Poll, Waker},
    time::{Duration, Instant},
};

use riot_actor::{Pid, Reason, join, now};

use super::{
    Config,
    limit::{Limit, Permit},
};
use crate::{
    handshake::{HandshakeError, HandshakeFailed, Handshakes},
    transport::{Address, Bind, Listen},
};

/// What the processes of one server share.
pub(crate) struct Shared {
    bind: Box<dyn Bind>,
    pub(super) limit: Arc<Limit>,
    /// Acceptors take turns at the listener: whom it wakes is one process.
    pub(super) turn: Arc<Limit>,
    /// How long connections may take to finish.
    pub(super) shutdown: Duration,
    /// What is done on a connection before its protocol begins.
    pub(super) handshakes: Handshakes,
    pub(super) counters: Counters,
    supervisors: Mutex<Vec<Place>>,
    /// Acceptors of the listener that is open; some may have ended.
    acceptors: Mutex<Vec<Pid>>,
    address: Mutex<Option<Address>>,
    bind_error: Mutex<Option<io::Error>>,
    warned: Mutex<Option<Instant>>,
}

#[derive(Default)]
pub(super) struct Counters {
    pub(super) accepted: AtomicU64,
    pub(super) active: AtomicUsize,
    pub(super) crashed: AtomicU64,
    pub(super) accept_errors: AtomicU64,
    pub(super) handshake_errors: AtomicU64,
    pub(super) handshake_timeouts: AtomicU64,
}

/// Where acceptors find a Connections.Sup, whichever it is now.
#[derive(Default)]
struct Place {
    pid: Option<Pid>,
    waiting: Vec<Waker>,
}

impl Shared {
    pub(super) fn new(bind: Box<dyn Bind>, config: &Config) -> Self {
        Self {
            bind,
            limit: Limit::new(config.max_connections),
            turn: Limit::new(1),
            shutdown: config.shutdown,
            handshakes: config.handshakes.clone(),
            counters: Counters::default(),
            supervisors: Mutex::new((0..config.connection_supervisors).map(|_| Place::default()).collect()),
            acceptors: Mutex::default(),
            address: Mutex::default(),
            bind_error: Mutex::default(),
            warned: Mutex::default(),
        }
    }

    pub(super) fn address(&self) -> Option<Address> {
        self.address.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn clear_address(&self) {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(super) fn set_connections_supervisor(&self, number: usize, pid: Pid) {
        let waiting = {
            let mut supervisors = self.supervisors.lock().unwrap_or_else(PoisonError::into_inner);
            let place = &mut supervisors[number];
            place.pid = Some(pid);
            std::mem::take(&mut place.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    /// The supervisor an acceptor gives its connections to; waits while it is being restarted.
    pub(super) async fn connections_supervisor(&self, acceptor: usize) -> Pid {
        poll_fn(|cx| {
            let mut supervisors = self.supervisors.lock().unwrap_or_else(PoisonError::into_inner);
            let number = acceptor % supervisors.len();
            let place = &mut supervisors[number];
            match place.pid.filter(|&pid| riot_actor::is_alive(pid)) {
                Some(pid) => Poll::Ready(pid),
                None => {
                    place.waiting.push(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    pub(super) fn present_connections_supervisors(&self) -> Vec<Pid> {
        let supervisors = self.supervisors.lock().unwrap_or_else(PoisonError::into_inner);
        supervisors.iter().filter_map(|place| place.pid).collect()
    }

    /// Binds, once the acceptors of the listener before have let go of it.
    pub(super) async fn open(&self) -> io::Result<Arc<dyn Listen>> {
        let before = std::mem::take(&mut *self.acceptors.lock().unwrap_or_else(PoisonError::into_inner));
        join(&before).await;
        let listener = match self.bind.bind() {
            Ok(listener) => listener,
            Err(error) => {
                let (kind, text) = (error.kind(), error.to_string());
                *self.bind_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                return Err(io::Error::new(kind, text));
            }
        };
        *self.address.lock().unwrap_or_else(PoisonError::into_inner) = Some(listener.local_address()?);
        Ok(listener)
    }

    /// Remembers an acceptor of the listener that is open now.
    pub(super) fn add_acceptor(&self, pid: Pid) {
        self.acceptors.lock().unwrap_or_else(PoisonError::into_inner).push(pid);
    }

    pub(super) fn take_bind_error(&self) -> Option<io::Error> {
        self.bind_error.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// A connection is given up that could not begin; why, for its Connector to end with.
    pub(super) fn give_up(&self, failed: HandshakeFailed) -> Reason {
        let counter = match failed.error {
            HandshakeError::TimedOut => &self.counters.handshake_timeouts,
            _ => &self.counters.handshake_errors,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(target: "riot::socket", "{failed}");
        Reason::shutdown_with(failed)
    }

    /// Says that accepting failed, at most once a second.
    pub(super) fn warn_of(&self, error: &io::Error) {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.is_none_or(|before| now() - before >= Duration::from_secs(1)) {
            *warned = Some(now());
            drop(warned);
            tracing::warn!(target: "riot::socket", "accepting pauses: {error}");
        }
    }
}

/// A connection's place in the server: one of those there may be, and one of those there are.
pub(crate) struct Seat {
    shared: Arc<Shared>,
    _permit: Permit,
}

impl Seat {
    pub(super) fn new(shared: &Arc<Shared>, permit: Permit) -> Self {
        shared.counters.accepted.fetch_add(1, Ordering::Relaxed);
        shared.counters.active.fetch_add(1, Ordering::Relaxed);
        Self { shared: shared.clone(), _permit: permit }
    }
}

impl Seat {
    pub(crate) fn crowd(&self) -> Crowd {
        Crowd(self.shared.clone())
    }
}

/// How full a server is, for protocols that are less patient in a crowd.
#[derive(Clone)]
pub struct Crowd(Arc<Shared>);

impl Crowd {
    /// Connections there are.
    #[must_use]
    pub fn active(&self) -> usize {
        self.0.counters.active.load(Ordering::Relaxed)
    }

    /// Connections there may be.
    #[must_use]
    pub fn max(&self) -> usize {
        self.0.limit.max()
    }
}

impl std::fmt::Debug for Crowd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Crowd({} of {})", self.active(), self.max())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.shared.counters.active.fetch_sub(1, Ordering::Relaxed);
    }
}

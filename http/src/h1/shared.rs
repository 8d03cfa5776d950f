//! The lock of a connection's state, behind whose release tasks are woken.

use std::{
    fmt,
    hint::cold_path,
    net::SocketAddr,
    ops::{Deref, DerefMut},
    sync::Arc,
};

use parking_lot::{Mutex, MutexGuard};

use super::state::State;
use crate::{
    HttpConfig,
    observe::{Peer, RequestTrace, TraceStage},
    wakers::wake_each,
};

/// The connection as its loops, its exchanges and their bodies share it.
///
/// Code that holds the lock calls nothing of a user's but the clock of `Date`, which must not come back here.
/// Wakers that may be a user's are cloned before the lock is taken; those to be woken are kept in
/// [`Cold::woken`](super::state::Cold::woken) until it is released. The wakers of the two loops, of the next
/// request and of the task that runs the handlers are used under the lock: they are the driver's own.
pub(crate) struct Shared {
    state: Mutex<State>,
    /// The address at the other end, if it is known, and the Connector. Outside the lock: they never change.
    peer: Peer,
}

impl Shared {
    pub(crate) fn new(config: Arc<HttpConfig>, peer: Peer) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State::new(config)), peer })
    }

    /// Locks the state. Nothing under the lock panics half-way, so no caller sees a half-changed state.
    #[inline]
    pub(crate) fn lock(&self) -> StateGuard<'_> {
        StateGuard { state: self.state.lock() }
    }

    /// Locks the state for a call that wakes no task of a user.
    #[inline]
    pub(crate) fn lock_quiet(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    #[inline]
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        self.peer.address
    }

    /// Reports what was noted of watched requests. The caller holds no lock.
    #[cold]
    pub(crate) fn report(&self, reports: &[(TraceStage, RequestTrace)]) {
        if reports.is_empty() {
            return;
        }
        let config = self.state.lock().config.clone();
        if let Some(reporter) = config.watch.reporter() {
            for (stage, trace) in reports {
                reporter.report(*stage, trace, &self.peer);
            }
        }
    }
}

/// The lock of the state. Behind its release it wakes the tasks for which something has changed.
pub(crate) struct StateGuard<'a> {
    state: MutexGuard<'a, State>,
}

impl Deref for StateGuard<'_> {
    type Target = State;

    #[inline]
    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for StateGuard<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

impl Drop for StateGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.state.has_woken {
            cold_path();
            self.wake_unlocked();
        }
    }
}

impl StateGuard<'_> {
    #[inline(never)]
    fn wake_unlocked(&mut self) {
        self.state.has_woken = false;
        let woken = self.state.cold.as_mut().map(|cold| std::mem::take(&mut cold.woken)).unwrap_or_default();
        MutexGuard::unlocked(&mut self.state, || wake_each(woken));
    }
}

/// The state holds heads and bodies of clients, which may be confidential, so nothing of it is shown.
impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("peer", &self.peer.address).finish_non_exhaustive()
    }
}

//! The driver of a worker that has no poller: it spins for a moment, then sleeps until it is unparked.

use std::{
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use super::driver::{Driver, Unpark};
use crate::sync::{
    Condvar, Mutex,
    atomic::{AtomicBool, Ordering},
    lock,
};

/// How long an idle worker spins before it sleeps, provided its previous wait was this short.
///
/// Between two workers that wait for each other a sleep costs 20 us and more each way. (Erlang spins as well,
/// see `+sbwt`.) At most one wait in a row is spun for in vain, so an idle runtime uses no processor.
const MAX_SPIN: Duration = Duration::from_micros(40);

/// After an unsuccessful spin, sleep without spinning for this many short waits: on a busy machine the peer
/// may need this core.
const WAITS_PER_TRY: u32 = 64;

#[derive(Default)]
pub(crate) struct Parker {
    token: Arc<Token>,
    /// Whether there is another processor for the peer.
    spins: bool,
    /// Short waits until the next spin; none if the last wait was not short.
    next_spin: Option<u32>,
}

/// A permit that ends one wait.
#[derive(Default)]
struct Token {
    granted: AtomicBool,
    asleep: Mutex<bool>,
    changed: Condvar,
}

impl Parker {
    pub(crate) fn spinning(spins: bool) -> Self {
        Self { spins, ..Self::default() }
    }

    /// Spins for a while. Returns whether the token was granted.
    fn spin(&self, timeout: Option<Duration>, start: Instant) -> bool {
        let timeout = timeout.map_or(MAX_SPIN, |timeout| timeout.min(MAX_SPIN));
        while start.elapsed() < timeout {
            for _ in 0..16 {
                std::hint::spin_loop();
            }
            if self.token.take() {
                return true;
            }
        }
        false
    }
}

impl Token {
    fn take(&self) -> bool {
        self.granted.load(Ordering::Relaxed) && self.granted.swap(false, Ordering::AcqRel)
    }

    /// Sleeps until the token is granted.
    ///
    /// No grant is missed: a thread that grants does so first and then looks whether this one sleeps; this
    /// one says, under the same lock, that it sleeps and then looks whether the token is granted.
    fn sleep(&self, timeout: Option<Duration>) {
        let mut asleep = lock(&self.asleep);
        *asleep = true;
        if !self.granted.load(Ordering::Acquire) {
            asleep = match timeout {
                None => self.changed.wait(asleep).unwrap_or_else(PoisonError::into_inner),
                Some(timeout) => {
                    self.changed.wait_timeout(asleep, timeout).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        *asleep = false;
        self.granted.swap(false, Ordering::AcqRel);
    }
}

impl Driver for Parker {
    fn park(&mut self, timeout: Option<Duration>) {
        if self.token.take() || timeout == Some(Duration::ZERO) {
            return;
        }
        if !self.spins {
            return self.token.sleep(timeout);
        }
        let start = Instant::now();
        let mut waits = self.next_spin;
        if waits == Some(0) {
            if self.spin(timeout, start) {
                return;
            }
            waits = Some(WAITS_PER_TRY);
        }
        self.token.sleep(timeout);
        let was_short = start.elapsed() < 2 * MAX_SPIN;
        self.next_spin = was_short.then(|| waits.unwrap_or(1).saturating_sub(1));
    }

    fn dispatch(&mut self) {}

    fn unparker(&self) -> Arc<dyn Unpark> {
        self.token.clone()
    }
}

impl Unpark for Token {
    fn unpark(&self) {
        if self.granted.swap(true, Ordering::AcqRel) {
            return;
        }
        if *lock(&self.asleep) {
            self.changed.notify_one();
        }
    }
}

//! Who sleeps and who looks for work, so that a push wakes a worker when one is needed and else costs a load.
//!
//! No wake-up is lost: a pusher pushes first and then looks who sleeps; a sleeper says it sleeps first and then looks
//! at the queues. Both in one total order (`SeqCst`), so one of them sees the other.

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering::SeqCst, fence},
};

use crate::lock::lock;

pub(crate) struct Idle {
    /// The workers asleep, or about to be.
    sleepers: Mutex<Vec<usize>>,
    /// How many that are, to be read without the lock.
    sleeping: AtomicUsize,
    /// Workers awake without work: they will find what was pushed, nobody else has to be woken.
    searching: AtomicUsize,
}

impl Idle {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            sleepers: Mutex::new(Vec::with_capacity(workers)),
            sleeping: AtomicUsize::new(0),
            searching: AtomicUsize::new(0),
        }
    }

    /// A first look, without order: whoever falls asleep just now looks at the queues once more.
    pub(crate) fn is_anyone_asleep(&self) -> bool {
        self.sleeping.load(SeqCst) != 0
    }

    /// After a push: the worker to wake, if one has to be. It counts as searching from now on.
    pub(crate) fn wake_one(&self) -> Option<usize> {
        fence(SeqCst);
        if self.sleeping.load(SeqCst) == 0 || self.searching.load(SeqCst) != 0 {
            return None;
        }
        let mut sleepers = lock(&self.sleepers);
        if self.searching.load(SeqCst) != 0 {
            return None;
        }
        let worker = sleepers.pop()?;
        self.sleeping.store(sleepers.len(), SeqCst);
        self.searching.fetch_add(1, SeqCst);
        Some(worker)
    }

    /// Takes one certain worker out of its sleep; false if it is awake.
    pub(crate) fn unpark(&self, worker: usize) -> bool {
        fence(SeqCst);
        if self.sleeping.load(SeqCst) == 0 {
            return false;
        }
        let mut sleepers = lock(&self.sleepers);
        let Some(at) = sleepers.iter().position(|&sleeper| sleeper == worker) else { return false };
        sleepers.swap_remove(at);
        self.sleeping.store(sleepers.len(), SeqCst);
        self.searching.fetch_add(1, SeqCst);
        true
    }

    /// A worker ran out of work and begins to look; only half of them may look at a time.
    pub(crate) fn begin_search(&self, workers: usize) -> bool {
        if 2 * self.searching.load(SeqCst) >= workers.max(2) {
            return false;
        }
        self.searching.fetch_add(1, SeqCst);
        true
    }

    /// It has stopped looking. True if nobody else looks: if it found something there may be more, and if it found
    /// nothing it has to look once again, since pushes meanwhile relied on it.
    pub(crate) fn end_search(&self) -> bool {
        self.searching.fetch_sub(1, SeqCst) == 1
    }

    /// Says that a worker will sleep; it has to look at the queues once more after this.
    pub(crate) fn sleep(&self, worker: usize) {
        let mut sleepers = lock(&self.sleepers);
        sleepers.push(worker);
        self.sleeping.store(sleepers.len(), SeqCst);
        fence(SeqCst);
    }

    /// A worker is awake again. True if it woke by itself; false if it was woken, and so counts as searching.
    pub(crate) fn woke(&self, worker: usize) -> bool {
        let mut sleepers = lock(&self.sleepers);
        let Some(at) = sleepers.iter().position(|&sleeper| sleeper == worker) else { return false };
        sleepers.swap_remove(at);
        self.sleeping.store(sleepers.len(), SeqCst);
        true
    }
}

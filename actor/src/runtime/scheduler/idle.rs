//! Who sleeps and who looks for work, so that a push wakes a worker when one is needed and else costs a load.
//!
//! No wake-up is lost: a pusher pushes first and then looks who sleeps; a sleeper says it sleeps first and then looks
//! at the queues. Both in one total order (`SeqCst`), so one of them sees the other.

use crate::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering::SeqCst, fence},
    lock,
};

/// A worker, as far as its sleep is concerned.
pub(crate) trait Seeker {
    /// What it looks for.
    type Work;
    /// How many workers there are.
    fn workers(&self) -> usize;
    /// Looks for work wherever it may be.
    fn search(&self) -> Option<Self::Work>;
    /// Whether there is any this worker could do.
    fn any_work(&self) -> bool;
    /// What it holds from its sleep until it is up.
    type Parked<'a>
    where
        Self: 'a;
    /// Sleeps until something happens; or does not, if there is a reason to stay awake.
    fn park(&self, stay_awake: bool) -> Self::Parked<'_>;
    /// It is awake, and known to be: sees to what has happened.
    fn wake_up<'a>(&'a self, parked: Self::Parked<'a>);
}

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
    fn begin_search(&self, workers: usize) -> bool {
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

    /// What a worker whose own queue is empty does next: it looks for work elsewhere, or sleeps. Work, if it has found
    /// some; else it has to look at its own queue again. `searching` is whether this worker counts as one that looks.
    #[inline(never)]
    pub(crate) fn find_work<S: Seeker>(
        &self,
        worker: usize,
        seeker: &S,
        searching: &mut bool,
    ) -> Option<S::Work> {
        *searching = *searching || self.begin_search(seeker.workers());
        if *searching && let Some(work) = seeker.search() {
            return Some(work);
        }
        if std::mem::take(searching) && self.end_search() && seeker.any_work() {
            return None;
        }
        self.sleep(worker);
        let parked = seeker.park(seeker.any_work());
        // One that was woken is to look for what it was woken for.
        *searching = !self.woke(worker);
        seeker.wake_up(parked);
        None
    }

    /// A worker has found work. Whoever does lets the next one look for more: true if one is to be woken.
    pub(crate) fn found(&self, seeker: &impl Seeker, searching: &mut bool) -> bool {
        std::mem::take(searching) && self.end_search() && seeker.any_work()
    }

    /// Says that a worker will sleep; it has to look at the queues once more after this.
    fn sleep(&self, worker: usize) {
        let mut sleepers = lock(&self.sleepers);
        sleepers.push(worker);
        self.sleeping.store(sleepers.len(), SeqCst);
        fence(SeqCst);
    }

    /// A worker is awake again. True if it woke by itself; false if it was woken, and so counts as searching.
    fn woke(&self, worker: usize) -> bool {
        let mut sleepers = lock(&self.sleepers);
        let Some(at) = sleepers.iter().position(|&sleeper| sleeper == worker) else { return false };
        sleepers.swap_remove(at);
        self.sleeping.store(sleepers.len(), SeqCst);
        true
    }
}

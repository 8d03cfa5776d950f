//! Which workers sleep and which look for work, so that a push wakes a worker when one is needed, and else
//! costs a load.
//!
//! No wake-up is lost: a pusher pushes first and then looks for sleepers; a worker registers as a sleeper
//! first and then looks at the queues. Both are in one total order (`SeqCst`), so one of them sees the other.

use crate::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering::SeqCst, fence},
    lock,
};

/// A worker, as far as its sleep is concerned.
pub(crate) trait Seeker {
    type Work;
    /// Returns how many workers there are.
    fn workers(&self) -> usize;
    /// Looks for work in all queues.
    fn search(&self) -> Option<Self::Work>;
    /// Returns whether there is work that this worker could do.
    fn any_work(&self) -> bool;
    /// The state that the worker holds from its sleep until it is awake.
    type Parked<'a>
    where
        Self: 'a;
    /// Sleeps until something happens, unless there is a reason to stay awake.
    fn park(&self, stay_awake: bool) -> Self::Parked<'_>;
    /// Handles what has happened, when the worker is awake and known to be.
    fn wake_up<'a>(&'a self, parked: Self::Parked<'a>);
}

/// The result of the end of a search.
#[must_use = "the last searcher is responsible for pushes that relied on it"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SearchEnd {
    /// No other worker searches. If this one has found work there may be more; if not it must look once more,
    /// because pushes meanwhile relied on it.
    Last,
    OthersSearch,
}

/// How a sleep has ended.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Woken {
    /// By an event or a timer.
    ByItself,
    /// By another worker, so it counts as searching.
    ToSearch,
}

/// Whether another worker is to be woken.
#[must_use = "the caller must wake another worker"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WakeAnother {
    Yes,
    No,
}

pub(crate) struct Idle {
    /// The workers that sleep or are about to.
    sleepers: Mutex<Vec<usize>>,
    /// The number of sleepers, to be read without the lock.
    sleeping: AtomicUsize,
    /// Workers that are awake without work. They will find what was pushed, so no other has to be woken.
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

    /// Returns whether a worker sleeps, without order: one that falls asleep at the moment looks at the
    /// queues once more.
    pub(crate) fn is_anyone_asleep(&self) -> bool {
        self.sleeping.load(SeqCst) != 0
    }

    /// Returns the worker to unpark after a push, if one is needed. It counts as searching from now on.
    #[must_use = "the worker must be unparked"]
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

    /// Returns `worker`, to be unparked, if it sleeps. It counts as searching from now on.
    #[must_use = "the worker must be unparked"]
    pub(crate) fn wake(&self, worker: usize) -> Option<usize> {
        fence(SeqCst);
        if self.sleeping.load(SeqCst) == 0 {
            return None;
        }
        let mut sleepers = lock(&self.sleepers);
        let at = sleepers.iter().position(|&sleeper| sleeper == worker)?;
        sleepers.swap_remove(at);
        self.sleeping.store(sleepers.len(), SeqCst);
        self.searching.fetch_add(1, SeqCst);
        Some(worker)
    }

    /// Begins a search, unless half of the workers search already.
    fn begin_search(&self, workers: usize) -> bool {
        if 2 * self.searching.load(SeqCst) >= workers.max(2) {
            return false;
        }
        self.searching.fetch_add(1, SeqCst);
        true
    }

    pub(crate) fn end_search(&self) -> SearchEnd {
        if self.searching.fetch_sub(1, SeqCst) == 1 { SearchEnd::Last } else { SearchEnd::OthersSearch }
    }

    /// Looks for work elsewhere, or sleeps; for a worker whose own queue is empty.
    ///
    /// Returns work if it has found some. Otherwise the worker must look at its own queue again. `searching`
    /// says whether the worker counts as searching.
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
        if std::mem::take(searching) && self.end_search() == SearchEnd::Last && seeker.any_work() {
            return None;
        }
        self.register_sleeper(worker);
        let parked = seeker.park(seeker.any_work());
        // A worker that was woken looks for what it was woken for.
        *searching = self.unregister_sleeper(worker) == Woken::ToSearch;
        seeker.wake_up(parked);
        None
    }

    /// Handles that a worker has found work: the last searcher has another worker look for more.
    pub(crate) fn found(&self, seeker: &impl Seeker, searching: &mut bool) -> WakeAnother {
        let is_last = std::mem::take(searching) && self.end_search() == SearchEnd::Last;
        if is_last && seeker.any_work() { WakeAnother::Yes } else { WakeAnother::No }
    }

    /// Registers a worker that will sleep. It must look at the queues once more after this.
    fn register_sleeper(&self, worker: usize) {
        let mut sleepers = lock(&self.sleepers);
        sleepers.push(worker);
        self.sleeping.store(sleepers.len(), SeqCst);
        fence(SeqCst);
    }

    fn unregister_sleeper(&self, worker: usize) -> Woken {
        let mut sleepers = lock(&self.sleepers);
        let Some(at) = sleepers.iter().position(|&sleeper| sleeper == worker) else { return Woken::ToSearch };
        sleepers.swap_remove(at);
        self.sleeping.store(sleepers.len(), SeqCst);
        Woken::ByItself
    }
}

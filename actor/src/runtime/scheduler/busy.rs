//! How long each process has been polled, estimated by the watchdog: at each look it adds the time since
//! the last look to every process that runs.
//!
//! Nothing is done for it on a worker. A process has an entry from its first sample on; entries of
//! processes that have exited are swept when there are twice as many as at the last sweep.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    process::pid::{NumberMap, Peer, Pid},
    runtime::{handle::Handle, shared::Shared},
    sync::lock::lock,
};

/// A table of fewer entries is not swept.
const MIN_SWEPT: usize = 1024;

/// Entries that are removed under the lock at once.
const SWEPT_AT_ONCE: usize = 1024;

#[derive(Default)]
pub(crate) struct BusyTimes {
    entries: Mutex<BusyEntries>,
    /// How many ask for a look each millisecond.
    samplers: AtomicUsize,
}

#[derive(Default)]
struct BusyEntries {
    nanos: NumberMap<Peer, u64>,
    sweep_at: usize,
}

impl BusyTimes {
    /// Returns whether the watchdog is to look each millisecond.
    pub(super) fn is_sampled(&self) -> bool {
        self.samplers.load(Ordering::Relaxed) > 0
    }

    fn add(&self, pid: Pid, elapsed: Duration) {
        let nanos = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        let mut entries = lock(&self.entries);
        let entry = entries.nanos.entry(Peer::new(Some(pid))).or_default();
        *entry = entry.saturating_add(nanos);
    }

    fn of(&self, pid: Pid) -> Duration {
        let nanos = lock(&self.entries).nanos.get(&Peer::new(Some(pid))).copied();
        Duration::from_nanos(nanos.unwrap_or_default())
    }

    /// Returns the entries to be looked at, if there are many.
    fn to_be_swept(&self) -> Option<Vec<Peer>> {
        let entries = lock(&self.entries);
        let is_due = entries.nanos.len() >= entries.sweep_at.max(MIN_SWEPT);
        is_due.then(|| entries.nanos.keys().copied().collect())
    }
}

impl Shared {
    /// Returns an estimate of how long `pid` has been polled; none in a simulation.
    pub(crate) fn busy(&self, pid: Pid) -> Option<Duration> {
        self.scheduler().map(|_| self.busy_times.of(pid))
    }

    /// Adds the time since the last look to the process that has a slot.
    pub(super) fn add_busy(&self, index: u32, elapsed: Duration) {
        if let Some(pid) = self.pid_at(index) {
            self.busy_times.add(pid, elapsed);
        }
    }

    /// Removes the entries of processes that have exited, if there are many entries.
    pub(super) fn sweep_busy(&self) {
        let Some(all) = self.busy_times.to_be_swept() else { return };
        let is_dead = |peer: &Peer| !peer.in_runtime_of(self.system()).is_some_and(|pid| self.is_alive(pid));
        let dead: Vec<Peer> = all.into_iter().filter(is_dead).collect();
        for some in dead.chunks(SWEPT_AT_ONCE) {
            let mut entries = lock(&self.busy_times.entries);
            some.iter().for_each(|peer| _ = entries.nanos.remove(peer));
        }
        let mut entries = lock(&self.busy_times.entries);
        entries.sweep_at = 2 * entries.nanos.len();
    }
}

/// The time since the watchdog's last look, unless it has slept in between.
pub(super) struct LastLook(Option<Instant>);

impl LastLook {
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// Makes `now` the last look, and returns the time since the one before.
    pub(super) fn elapsed(&mut self, now: Instant) -> Option<Duration> {
        let before = self.0.replace(now)?;
        Some(now.saturating_duration_since(before))
    }
}

/// While this is held, the `busy` times of all processes are sampled each millisecond instead of each ten.
/// Made by [`Handle::sample_busy`].
#[must_use = "dropping it ends the sampling"]
#[derive(Debug)]
pub struct BusySampling(Handle);

impl Drop for BusySampling {
    fn drop(&mut self) {
        self.0.shared.busy_times.samplers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Handle {
    /// Has the `busy` times of all processes sampled each millisecond, as long as the result is held: an
    /// estimate becomes as good in a tenth of the time. The watchdog takes a few microseconds for a sample.
    ///
    /// In a simulation it has no effect.
    ///
    /// ```
    /// # use riot_actor::{process::info, run, runtime::Handle, this};
    /// # run(async {
    /// let sampling = Handle::current().sample_busy();
    /// assert!(info(this()).unwrap().busy.is_some());
    /// drop(sampling);
    /// # });
    /// ```
    pub fn sample_busy(&self) -> BusySampling {
        self.shared.busy_times.samplers.fetch_add(1, Ordering::Relaxed);
        BusySampling(self.clone())
    }
}

#[cfg(all(test, not(riot_loom)))]
mod tests {
    use super::*;
    use crate::{
        exit,
        process::{reason::Reason, wait, yield_now},
        runtime::context::with_shared,
        simulation::Simulation,
        spawn,
    };

    #[test]
    fn entries_of_processes_that_have_exited_are_swept_and_the_others_kept() {
        const MANY: usize = 4 * MIN_SWEPT;
        let millis = Duration::from_millis;
        let reason = Simulation::new(1).run(async move {
            let pids: Vec<Pid> = (0..MANY).map(|_| spawn(std::future::pending::<()>())).collect();
            yield_now().await;
            let len = || with_shared("test", |shared| lock(&shared.busy_times.entries).nanos.len());
            let of = |pid| with_shared("test", |shared| shared.busy_times.of(pid));
            with_shared("test", |shared| {
                (0..2).for_each(|_| pids.iter().for_each(|pid| shared.add_busy(pid.index(), millis(1))));
            });
            assert_eq!((len(), of(pids[0])), (MANY, millis(2)));
            for &pid in &pids[MANY / 4..] {
                let end = wait(pid);
                exit(pid, Reason::Kill);
                end.await;
            }
            with_shared("test", |shared| shared.sweep_busy());
            assert_eq!(len(), MANY / 4);
            assert_eq!((of(pids[0]), of(pids[MANY - 1])), (millis(2), Duration::ZERO));
            // A process in a slot that was used before begins anew.
            let next = spawn(std::future::pending::<()>());
            assert!(pids.iter().any(|pid| pid.index() == next.index()));
            assert_eq!(of(next), Duration::ZERO);
            // The next sweep is due when there are twice as many.
            with_shared("test", |shared| shared.add_busy(next.index(), millis(1)));
            exit(next, Reason::Kill);
            with_shared("test", |shared| shared.sweep_busy());
            assert_eq!(len(), MANY / 4 + 1);
        });
        assert_eq!(reason, Reason::Normal);
    }

    #[test]
    fn the_first_look_after_a_sleep_has_no_length() {
        let (mut look, now) = (LastLook::none(), Instant::now());
        assert_eq!(look.elapsed(now), None);
        assert_eq!(look.elapsed(now + Duration::from_millis(3)), Some(Duration::from_millis(3)));
        assert_eq!(look.elapsed(now), Some(Duration::ZERO));
    }
}

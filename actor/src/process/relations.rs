//! What ties a process to others, and what others note in its record.

use std::{collections::HashSet, hash::BuildHasherDefault, sync::Arc};

use crate::{
    pid::{NumberHasher, NumberMap, NumberSet, Pid},
    registry::Name,
    runtime::Shared,
    signal::{Ended, MonitorRef, Watcher},
    timer::TimerRef,
};

/// What ties a process to others. Many have none, so it has a place of its own.
#[derive(Default)]
pub(crate) struct Relations {
    pub(crate) links: NumberSet<Pid>,
    /// Whom it monitors.
    pub(crate) monitors: NumberMap<MonitorRef, Target>,
    /// Who hears of its end.
    pub(crate) watchers: NumberMap<MonitorRef, Watcher>,
    /// Who hears of it outside any mailbox.
    pub(crate) callbacks: Callbacks,
    pub(crate) names: Vec<Name>,
    /// Groups it is or was in, or watches.
    pub(crate) groups: Vec<Name>,
    /// Timers that will send to it.
    pub(crate) timers: HashSet<TimerRef, BuildHasherDefault<NumberHasher>>,
}

/// Pending calls and joins. One that is over is not taken out, which would cost it another lock, but swept when so many
/// have come that it costs each next to nothing.
#[derive(Default)]
pub(crate) struct Callbacks {
    all: Vec<Arc<dyn Ended>>,
    sweep_at: usize,
}

/// As many are kept before a sweep at least.
const SWEEP_MIN: usize = 16;

impl Callbacks {
    pub(crate) fn push(&mut self, callback: Arc<dyn Ended>) {
        if self.all.len() >= self.sweep_at.max(SWEEP_MIN) {
            self.all.retain(|callback| !callback.is_over());
            self.sweep_at = 2 * self.all.len();
        }
        self.all.push(callback);
    }
}

impl IntoIterator for Callbacks {
    type Item = Arc<dyn Ended>;
    type IntoIter = std::vec::IntoIter<Self::Item>;
    fn into_iter(self) -> Self::IntoIter {
        self.all.into_iter()
    }
}

/// Whom a monitor watches, and the name it was found by.
pub(crate) struct Target {
    pub(crate) pid: Option<Pid>,
    pub(crate) name: Option<Name>,
}

impl Relations {
    pub(crate) fn add_group(&mut self, group: &Name) {
        if !self.groups.contains(group) {
            self.groups.push(group.clone());
        }
    }
}

impl Shared {
    /// Notes something in the record of a process, for its release to see to; none if the process does not live. What
    /// it returns is dropped outside the lock.
    pub(crate) fn note<R>(&self, pid: Pid, note: impl FnOnce(&mut Relations) -> R) -> Option<R> {
        let slot = self.table.of(pid)?;
        let mut core = slot.lock_for(pid).filter(|core| core.is_live())?;
        Some(note(core.relations()))
    }

    /// Takes back what was noted of a process that has not been released.
    pub(crate) fn strike<R>(&self, pid: Pid, strike: impl FnOnce(&mut Relations) -> R) -> Option<R> {
        let slot = self.table.of(pid)?;
        let mut core = slot.lock_for(pid)?;
        core.relations.as_deref_mut().map(strike)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::exit::Reason;

    struct Call(AtomicBool);

    impl Ended for Call {
        fn ended(&self, _: &Reason) {}
        fn is_over(&self) -> bool {
            self.0.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn calls_that_are_over_are_swept_and_the_others_kept() {
        let mut callbacks = Callbacks::default();
        let live: Vec<_> = (0..10).map(|_| Arc::new(Call(AtomicBool::new(false)))).collect();
        live.iter().for_each(|call| callbacks.push(call.clone()));
        for _ in 0..10_000 {
            callbacks.push(Arc::new(Call(AtomicBool::new(true))));
            assert!(callbacks.all.len() <= 2 * live.len() + SWEEP_MIN);
        }
        assert_eq!(callbacks.all.iter().filter(|call| !call.is_over()).count(), live.len());
        assert!(live.iter().all(|call| Arc::strong_count(call) == 2));
    }
}

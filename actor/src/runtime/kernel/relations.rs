//! What ties a process to others, and what others note in its record.

use std::sync::Arc;

use crate::{
    call::CalleeExit,
    messages::capacity::Capacity,
    names::registry::Name,
    process::{
        pid::{NumberMap, Pid},
        reason::Reason,
        signal::{MonitorRef, OnExit, Watcher},
    },
    runtime::{kernel::link_set::LinkSet, shared::Shared},
    time::timers::TimerRef,
};

/// What ties a process to others. Many have none, so it has a place of its own.
#[derive(Default)]
pub(crate) struct Relations {
    pub(crate) links: LinkSet,
    /// Who hears of its end outside any mailbox.
    pub(crate) exit_hooks: ExitHooks,
    /// What few have that are linked or waited for.
    pub(crate) others: Option<Box<RareRelations>>,
}

#[derive(Default)]
pub(crate) struct RareRelations {
    /// Whom it monitors.
    pub(crate) monitors: NumberMap<MonitorRef, MonitorTarget>,
    /// Who hears of its end.
    pub(crate) watchers: NumberMap<MonitorRef, Watcher>,
    pub(crate) names: Vec<Name>,
    /// Groups it is or was in, or watches.
    pub(crate) groups: Vec<Name>,
    /// Timers that will send to it, and some that have.
    pub(crate) timers: ProcessTimers,
    /// How many messages may wait, if there is a bound.
    pub(crate) capacity: Option<Arc<Capacity>>,
}

/// Timers aimed at a process. One that is over is not taken out, which would cost it a lock and a search, but swept when
/// so many have come that it costs each next to nothing.
#[derive(Default)]
pub(crate) struct ProcessTimers {
    all: Vec<TimerRef>,
    sweep_at: usize,
}

impl ProcessTimers {
    /// Adds a timer; if it is time to sweep, all have to be mailbox_scanned through, without any lock, and
    /// [put back](Self::put_back).
    #[must_use]
    pub(crate) fn push(&mut self, timer: TimerRef) -> Option<Vec<TimerRef>> {
        self.all.push(timer);
        (self.all.len() >= self.sweep_at.max(SWEEP_MIN)).then(|| std::mem::take(&mut self.all))
    }

    pub(crate) fn put_back(&mut self, mut swept: Vec<TimerRef>) {
        swept.append(&mut self.all);
        self.sweep_at = 2 * swept.len();
        self.all = swept;
    }
}

impl IntoIterator for ProcessTimers {
    type Item = TimerRef;
    type IntoIter = std::vec::IntoIter<Self::Item>;
    fn into_iter(self) -> Self::IntoIter {
        self.all.into_iter()
    }
}

/// Pending calls and joins. One that is over is not taken out, which would cost it another lock, but swept when so many
/// have come that it costs each next to nothing.
#[derive(Default)]
pub(crate) struct ExitHooks {
    all: Vec<ExitHook>,
}

/// Who hears of an end outside any mailbox.
pub(crate) enum ExitHook {
    /// A process that waits for the reply to a call.
    Call(CalleeExit),
    Other(Arc<dyn OnExit>),
}

impl ExitHook {
    fn is_cancelled(&self, shared: &Shared) -> bool {
        match self {
            Self::Call(call) => call.is_cancelled(shared),
            // Where nobody else has it, whoever waited is gone, and has told so before.
            Self::Other(other) => Arc::strong_count(other) == 1 || other.is_cancelled(),
        }
    }

    pub(crate) fn tell(self, shared: &Shared, reason: &Reason) {
        match self {
            Self::Call(call) => call.settle(shared, reason.clone()),
            Self::Other(other) => other.exited(reason),
        }
    }
}

/// As many are kept before a sweep at least.
const SWEEP_MIN: usize = 16;

impl ExitHooks {
    pub(crate) fn push(&mut self, shared: &Shared, callback: Arc<dyn OnExit>) {
        self.add(shared, ExitHook::Other(callback));
    }

    pub(crate) fn take(&mut self) -> Vec<ExitHook> {
        std::mem::take(&mut self.all)
    }

    #[inline]
    pub(crate) fn push_in_place(&mut self, shared: &Shared, call: CalleeExit) {
        match self.all.last_mut() {
            // Of one that calls again, the call before is over.
            Some(ExitHook::Call(last)) if last.is_of_caller(&call) => *last = call,
            _ => self.add(shared, ExitHook::Call(call)),
        }
    }

    #[inline(never)]
    fn add(&mut self, shared: &Shared, callback: ExitHook) {
        if self.all.len() == self.all.capacity() {
            self.make_room(shared);
        }
        self.all.push(callback);
    }

    /// One waits for most of those that anybody waits for. Where many do, those that are over go first.
    fn make_room(&mut self, shared: &Shared) {
        let before = self.all.len();
        if before >= SWEEP_MIN {
            self.all.retain(|callback| !callback.is_cancelled(shared));
        }
        if 2 * self.all.len() > before || before == 0 {
            self.all.reserve_exact(before.max(1));
        }
    }
}

/// Whom a monitor watches, and the name it was found by.
pub(crate) struct MonitorTarget {
    pub(crate) pid: Option<Pid>,
    pub(crate) name: Option<Name>,
}

impl Relations {
    pub(crate) fn others(&mut self) -> &mut RareRelations {
        self.others.get_or_insert_default()
    }

    pub(crate) fn add_group(&mut self, group: &Name) {
        let groups = &mut self.others().groups;
        if !groups.contains(group) {
            groups.push(group.clone());
        }
    }
}

impl Shared {
    /// Notes something in the record of a process, for its release to see to; none if the process does not live. What
    /// it returns is dropped outside the lock.
    pub(crate) fn attach_relation<R>(&self, pid: Pid, note: impl FnOnce(&mut Relations) -> R) -> Option<R> {
        let slot = self.table.of(pid)?;
        let mut core = slot.lock_for(pid).filter(|core| core.is_live())?;
        Some(note(core.relations()))
    }

    /// Takes back what was noted of a process that has not been released.
    pub(crate) fn detach_relation<R>(&self, pid: Pid, strike: impl FnOnce(&mut Relations) -> R) -> Option<R> {
        let slot = self.table.of(pid)?;
        let mut core = slot.lock_for(pid)?;
        core.relations.as_deref_mut().map(strike)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    struct Call(AtomicBool);

    impl OnExit for Call {
        fn exited(&self, _: &Reason) {}
        fn is_cancelled(&self) -> bool {
            self.0.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn calls_that_are_over_are_swept_and_the_others_kept() {
        crate::run(async {
            crate::runtime::context::with_shared("test", |shared| {
                let mut exit_hooks = ExitHooks::default();
                let live: Vec<_> = (0..10).map(|_| Arc::new(Call(AtomicBool::new(false)))).collect();
                live.iter().for_each(|call| exit_hooks.push(shared, call.clone()));
                for _ in 0..10_000 {
                    exit_hooks.push(shared, Arc::new(Call(AtomicBool::new(true))));
                    assert!(exit_hooks.all.len() <= 4 * live.len() + SWEEP_MIN);
                }
                assert_eq!(
                    exit_hooks.all.iter().filter(|call| !call.is_cancelled(shared)).count(),
                    live.len()
                );
                assert!(live.iter().all(|call| Arc::strong_count(call) == 2));
            });
        });
    }

    #[test]
    fn timers_that_are_over_are_swept() {
        use crate::{messages::receive, run, this, time::send_after};
        run(async {
            let count = || {
                let pid = this();
                crate::runtime::context::with_shared("test", |shared| {
                    shared.detach_relation(pid, |relations| relations.others().timers.all.len()).unwrap_or(0)
                })
            };
            let hour = std::time::Duration::from_secs(3600);
            let live: Vec<_> = (0..10).map(|_| send_after(hour, this(), "late")).collect();
            for _ in 0..1000 {
                assert!(send_after(hour, this(), "never").cancel().is_some());
                assert!(count() <= 2 * live.len() + SWEEP_MIN);
            }
            // Those that run are still known, so they end with the process; a fired one is forgotten like others.
            assert!(live.iter().all(|timer| timer.read().is_some()));
            send_after(std::time::Duration::ZERO, this(), "now");
            assert_eq!(receive::<&str>().await, "now");
            assert!(live.into_iter().all(|timer| timer.cancel().is_some()));
        });
    }
}

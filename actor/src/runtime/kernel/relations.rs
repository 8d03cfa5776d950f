//! The relations of a process to others, and what else is attached to its record for the release to take
//! back.

use std::{collections::BTreeSet, sync::Arc};

use super::{exit_hooks::ExitHooks, link_set::LinkSet};
use crate::{
    messages::capacity::Capacity,
    names::name::Name,
    observe::crash_report::CrashDetail,
    process::{
        notice::MonitorRef,
        pid::{NumberMap, Pid},
    },
    runtime::shared::Shared,
    time::timer_ref::TimerRef,
};

/// The relations of a process. Many processes have none, so they are allocated with the first one. The memory
/// stays with the slot for its next process, if nothing but inline links was in it.
#[derive(Default)]
pub(crate) struct Relations {
    pub(crate) links: LinkSet,
    pub(crate) exit_hooks: ExitHooks,
    /// Relations that few processes have beside links and exit hooks.
    pub(crate) others: Option<Box<RareRelations>>,
}

#[derive(Default)]
pub(crate) struct RareRelations {
    /// The monitors that this process has on others.
    pub(crate) monitors: NumberMap<MonitorRef, MonitorTarget>,
    /// The watchers of this process.
    pub(crate) watchers: NumberMap<MonitorRef, Watcher>,
    pub(crate) names: Vec<Name>,
    /// Groups that the process is a member of or watches.
    pub(crate) groups: BTreeSet<Name>,
    pub(crate) timers: ProcessTimers,
    /// The numbers of tables that belong to the process.
    pub(crate) tables: Vec<u64>,
    /// The capacity of the mailbox, if it has one.
    pub(crate) capacity: Option<Arc<Capacity>>,
    pub(crate) crash_details: Vec<CrashDetail>,
    /// The process is asked to shut down before its descendants, and stops them itself.
    pub(crate) stops_its_children: bool,
}

/// The process that a monitor watches, and the name that it was found by.
pub(crate) struct MonitorTarget {
    pub(crate) pid: Option<Pid>,
    pub(crate) name: Option<Name>,
}

/// A watcher of the exit of a process.
pub(crate) enum Watcher {
    /// The process gets a [`Down`](crate::Down).
    Process(Pid),
    /// One-way link: the process receives our exit signal, and sends none back.
    OneWayLink(Pid),
    /// The function is called with the process given here and the one that exited. Must not block.
    Call(Pid, fn(&Shared, Pid, Pid)),
    /// The watcher with the same reference in the record of this process is removed.
    Counterpart(Pid),
}

/// The timers aimed at a process, which end with it. A timer that is over is not removed, which would cost it
/// a lock and a search. All of them are swept when the list is full, so that a sweep costs each timer next to
/// nothing.
#[derive(Default)]
pub(crate) struct ProcessTimers {
    all: Vec<TimerRef>,
    sweep_at: usize,
}

/// Shorter lists are not swept.
const MIN_SWEEP: usize = 16;

impl ProcessTimers {
    /// Adds a timer. If a sweep is due, returns all timers: the caller must look through them without any
    /// lock and [put them back](Self::put_back).
    #[must_use]
    pub(crate) fn push(&mut self, timer: TimerRef) -> Option<Vec<TimerRef>> {
        self.all.push(timer);
        (self.all.len() >= self.sweep_at.max(MIN_SWEEP)).then(|| std::mem::take(&mut self.all))
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
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

impl Relations {
    pub(crate) fn others(&mut self) -> &mut RareRelations {
        self.others.get_or_insert_default()
    }

    /// Returns whether there are none, and no memory for any.
    #[inline]
    pub(super) fn are_none(&self) -> bool {
        self.links.is_empty_inline() && self.exit_hooks.is_unused() && self.others.is_none()
    }

    /// Takes tables that have become far too large for what they hold, and puts small ones in their place.
    pub(crate) fn take_spare(&mut self) -> impl Sized + use<> {
        let links = self.links.take_spare();
        let others = self
            .others
            .as_mut()
            .map(|others| (take_spare_map(&mut others.monitors), take_spare_map(&mut others.watchers)));
        (links, others)
    }

    pub(crate) fn add_group(&mut self, group: &Name) {
        let groups = &mut self.others().groups;
        if !groups.contains(group) {
            groups.insert(group.clone());
        }
    }

    /// Removes the note of a group. The caller holds another clone of the name.
    pub(crate) fn remove_group(&mut self, group: &Name) {
        if let Some(others) = &mut self.others {
            others.groups.remove(group);
        }
    }
}

/// Entries that are moved into a smaller table under the lock of a record at most.
pub(super) const MAX_MOVED: usize = 256;

/// Moves a few entries out of a table with room for many more, and returns that table.
fn take_spare_map<K: Eq + std::hash::Hash, V>(map: &mut NumberMap<K, V>) -> Option<NumberMap<K, V>> {
    if map.len() > MAX_MOVED || map.capacity() < 4 * MAX_MOVED {
        return None;
    }
    let mut smaller = NumberMap::with_capacity_and_hasher(map.len(), Default::default());
    smaller.extend(map.drain());
    Some(std::mem::replace(map, smaller))
}

impl Shared {
    /// Attaches something to the record of a process, for its release to take back; none if the process does
    /// not live. The result is dropped outside the lock.
    pub(crate) fn attach_relation<R>(&self, pid: Pid, attach: impl FnOnce(&mut Relations) -> R) -> Option<R> {
        let slot = self.table.of(pid)?;
        let mut core = slot.lock_for(pid).filter(|core| core.is_live())?;
        Some(attach(core.relations()))
    }

    /// Detaches something from the record of a process; none if the process has been released or has no
    /// relations.
    pub(crate) fn detach_relation<R>(&self, pid: Pid, detach: impl FnOnce(&mut Relations) -> R) -> Option<R> {
        let slot = self.table.of(pid)?;
        let mut core = slot.lock_for(pid)?;
        core.relations.as_deref_mut().map(detach)
    }

    /// Adds a watcher to `pid`. Returns false if `pid` has been released.
    pub(crate) fn watch(&self, pid: Pid, reference: MonitorRef, watcher: Watcher) -> bool {
        let Some(slot) = self.table.of(pid) else { return false };
        let Some(mut core) = slot.lock_for(pid) else { return false };
        core.relations().others().watchers.insert(reference, watcher);
        true
    }

    pub(crate) fn remove_watcher(&self, pid: Pid, reference: MonitorRef) {
        let remove = |relations: &mut Relations| relations.others.as_mut()?.watchers.remove(&reference);
        self.detach_relation(pid, remove);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_that_are_over_are_swept() {
        use crate::{receive, run, this, time::send_after};
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
                assert!(count() <= 2 * live.len() + MIN_SWEEP);
            }
            // Running timers are kept, so they end with the process; a fired one is removed like a cancelled
            // one.
            assert!(live.iter().all(|timer| timer.read().is_some()));
            send_after(std::time::Duration::ZERO, this(), "now");
            assert_eq!(receive::<&str>().await, "now");
            assert!(live.into_iter().all(|timer| timer.cancel().is_some()));
        });
    }
}

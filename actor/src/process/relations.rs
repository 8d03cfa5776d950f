//! What ties a process to others, and what others note in its record.

use std::{collections::HashSet, hash::BuildHasherDefault};

use crate::{
    pid::{NumberHasher, NumberMap, NumberSet, Pid},
    registry::Name,
    runtime::Shared,
    signal::{MonitorRef, Watcher},
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
    pub(crate) names: Vec<Name>,
    /// Groups it is or was in, or watches.
    pub(crate) groups: Vec<Name>,
    /// Timers that will send to it.
    pub(crate) timers: HashSet<TimerRef, BuildHasherDefault<NumberHasher>>,
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

//! Signals between processes: exits, links and monitors, as they act on the records of both sides.

use super::{
    lifecycle::Condemned,
    process::Runnable,
    record::{Core, CoreGuard, Slot},
    relations::{MonitorTarget, Relations, Watcher},
};
use std::hint::cold_path;

use crate::{
    messages::message::Message,
    process::{
        notice::{Down, Exit, MonitorRef},
        pid::Pid,
        reason::Reason,
    },
    runtime::shared::Shared,
};

impl Slot {
    /// Handles the exit signal of a link.
    #[inline]
    fn linked_exit(&self, core: &mut Core, from: Pid, reason: &Reason) -> Option<Runnable> {
        if !core.trap_exit && matches!(reason, Reason::Normal) {
            return None;
        }
        self.linked_exit_slow(core, from, reason)
    }

    /// Handles the exit signal of a link that becomes a message or ends the process.
    #[inline(never)]
    fn linked_exit_slow(&self, core: &mut Core, from: Pid, reason: &Reason) -> Option<Runnable> {
        if !core.is_live() {
            return None;
        }
        // Cloned, so that the last reference to a user's value is not dropped under the lock.
        let reason = reason.clone();
        if core.trap_exit {
            return self.accept(core, Message::system(Exit { from, reason, by_link: true }));
        }
        self.end_by_signal(core, reason)
    }

    /// Condemns a live process by a signal.
    #[must_use = "a runnable process must be enqueued"]
    pub(crate) fn end_by_signal(&self, core: &mut Core, reason: Reason) -> Option<Runnable> {
        let Condemned::First = self.condemn(core, reason, true) else {
            unreachable!("a live process is not condemned")
        };
        self.wake(core)
    }
}

impl Shared {
    pub(crate) fn is_alive(&self, pid: Pid) -> bool {
        let Some(slot) = self.table.of(pid) else { return false };
        slot.lock_for(pid).is_some_and(|core| core.is_live())
    }

    /// Returns whether `pid` has not been released.
    pub(crate) fn is_present(&self, pid: Pid) -> bool {
        self.table.of(pid).is_some_and(|slot| slot.lock_for(pid).is_some())
    }

    /// Acts on a process that has not been released, and enqueues it if that made it runnable.
    pub(crate) fn act_on(&self, pid: Pid, act: impl FnOnce(&Slot, &mut Core) -> Option<Runnable>) {
        let Some(slot) = self.table.of(pid) else { return };
        let runnable = slot.lock_for(pid).and_then(|mut core| act(slot, &mut core));
        self.enqueue(runnable);
    }

    pub(crate) fn wake(&self, pid: Pid) {
        self.act_on(pid, Slot::wake);
    }

    /// Sends an explicit exit signal.
    pub(crate) fn exit(&self, to: Pid, from: Pid, reason: Reason) {
        // The reason is cloned, so that the last reference to a user's value is not dropped under the lock.
        self.act_on(to, |slot, core| match &reason {
            _ if !core.is_live() => None,
            Reason::Kill => slot.end_by_signal(core, Reason::Killed),
            _ if core.trap_exit => {
                slot.accept(core, Message::system(Exit { from, reason: reason.clone(), by_link: false }))
            }
            Reason::Normal if from != to => None,
            _ => slot.end_by_signal(core, reason.clone()),
        });
    }

    /// Fixes the cause of the running process.
    pub(crate) fn condemn_self(&self, this: Pid, reason: Reason) {
        let slot = self.table.slot(this.index());
        let refused = slot.condemn(&mut slot.lock(), reason, false).refused();
        drop(refused);
    }

    /// Sends the exit signal of a one-way link.
    pub(crate) fn exit_by_link(&self, to: Pid, from: Pid, reason: &Reason) {
        self.act_on(to, |slot, core| slot.linked_exit(core, from, reason));
    }

    /// Sends the exit signal of a link whose other side has exited. A link that was removed meanwhile sends
    /// none.
    pub(crate) fn link_fired(&self, to: Pid, from: Pid, reason: &Reason) {
        let noted = self.may_end_by_link(from, to);
        let (mut ended, mut ends_main) = (false, false);
        if let Some(slot) = self.table.of(to)
            && let Some(mut core) = slot.lock_for(to)
            && core.relations.as_mut().is_some_and(|relations| relations.links.remove(&from))
        {
            // As a rule the reason is a normal one, and ends nothing.
            let may_end = (noted || !matches!(reason, Reason::Normal)) && core.is_live();
            let runnable = slot.linked_exit(&mut core, from, reason);
            if may_end && !core.is_live() {
                ended = noted;
                ends_main = !noted && self.is_main(to);
            }
            drop(core);
            self.enqueue(runnable);
        }
        if noted && !ended {
            self.gave_up_elsewhere(to);
        }
        if ends_main {
            cold_path();
            self.link_ends_main(from, reason);
        }
    }

    pub(crate) fn down(&self, to: Pid, reference: MonitorRef, reason: &Reason) {
        self.act_on(to, |slot, core| {
            let others = core.relations.as_mut()?.others.as_mut()?;
            let MonitorTarget { pid, name } = others.monitors.remove(&reference)?;
            if !core.is_live() {
                return None;
            }
            slot.accept(core, Message::system(Down { reference, pid, name, reason: reason.clone() }))
        });
    }

    pub(crate) fn link(&self, this: Pid, other: Pid) {
        if this == other {
            return;
        }
        let mine = self.table.slot(this.index());
        if let Some(theirs) = self.table.of(other) {
            // Under both locks, so that a link is on both sides or on none.
            let (mut core, partner) = lock_both(mine, this, theirs, other);
            if let Some(mut partner) = partner {
                core.relations().links.insert(other);
                partner.relations().links.insert(this);
                return;
            }
            if core.relations.as_ref().is_some_and(|relations| relations.links.contains(&other)) {
                return; // The partner has just exited, and the signal of the existing link is on its way.
            }
        }
        let runnable = mine.linked_exit(&mut mine.lock(), other, &Reason::NoProc);
        self.enqueue(runnable);
    }

    pub(crate) fn unlink(&self, this: Pid, other: Pid) {
        if this == other {
            return;
        }
        let mine = self.table.slot(this.index());
        let remove = |core: &mut Core, pid: &Pid| {
            if let Some(relations) = &mut core.relations {
                relations.links.remove(pid);
            }
        };
        // A pid of another runtime has no links here.
        if let Some(theirs) = self.table.of(other) {
            let (mut core, partner) = lock_both(mine, this, theirs, other);
            remove(&mut core, &other);
            if let Some(mut partner) = partner {
                remove(&mut partner, &this);
            }
        }
    }

    pub(crate) fn monitor(&self, this: Pid, target: MonitorTarget, reference: MonitorRef) {
        let pid = target.pid;
        if pid == Some(this) {
            return; // It would fire when the watcher itself is gone.
        }
        self.table.slot(this.index()).lock().relations().others().monitors.insert(reference, target);
        if !pid.is_some_and(|pid| self.watch(pid, reference, Watcher::Process(this))) {
            self.down(this, reference, &Reason::NoProc);
        }
    }

    /// Removes a monitor. Returns false if its [`Down`] was sent, or the monitor is not one of `this`.
    pub(crate) fn demonitor(&self, this: Pid, reference: MonitorRef) -> bool {
        let remove = |relations: &mut Relations| relations.others.as_mut()?.monitors.remove(&reference);
        match self.detach_relation(this, remove).flatten() {
            Some(target) => {
                if let Some(pid) = target.pid {
                    self.remove_watcher(pid, reference);
                }
                true
            }
            None => false,
        }
    }
}

/// Locks the record of the caller and that of another process, which may have been released. The lower index
/// goes first.
fn lock_both<'a>(
    mine: &'a Slot,
    this: Pid,
    theirs: &'a Slot,
    other: Pid,
) -> (CoreGuard<'a>, Option<CoreGuard<'a>>) {
    if this.index() == other.index() {
        return (mine.lock(), None); // An earlier process in the caller's slot: released.
    }
    if this.index() < other.index() {
        let core = mine.lock();
        (core, theirs.lock_for(other))
    } else {
        let partner = theirs.lock_for(other);
        (mine.lock(), partner)
    }
}

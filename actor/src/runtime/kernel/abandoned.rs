//! Waits that are abandoned: the right to answer was dropped, so there will be no answer.
//!
//! The one that waits is told at once, unless the process that was to answer exits: then its exit is told,
//! which says more. A process may drop the right and exit in the same poll slice, by a panic that unwinds for
//! example, so what it drops itself is told at the end of the slice.

use super::{
    exit_hooks::ExitHook,
    process::{Process, SliceNotes},
    record::Slot,
};
use crate::{
    process::pid::Pid,
    runtime::{
        context::{self, Local},
        shared::Shared,
    },
};

impl Shared {
    /// Tells `waiter` that `awaited` will not answer it.
    #[cold]
    pub(crate) fn abandon_wait(&self, awaited: Pid, waiter: ExitHook) {
        let waiter = context::with_local(|local| match local {
            Some(local) if local.shared.id == self.id => local.keep_abandoned(awaited, waiter),
            _ => Some(waiter),
        });
        let Some(waiter) = waiter else { return };
        let is_live = |slot: &Slot| slot.lock_for(awaited).is_some_and(|core| core.is_live());
        if self.table.of(awaited).is_some_and(is_live) {
            waiter.abandon(self);
        }
    }
}

impl Local {
    /// Keeps `waiter` until the end of the poll slice, if `awaited` runs; gives it back otherwise.
    fn keep_abandoned(&self, awaited: Pid, waiter: ExitHook) -> Option<ExitHook> {
        let is_told_by_exit = self.with_running(|slot, running| {
            (running.pid == awaited).then(|| slot.is_condemned() || running.exits_soon)
        });
        match is_told_by_exit.flatten() {
            None => return Some(waiter),
            Some(true) => drop(waiter),
            Some(false) => {
                self.with_running(|_, running| running.notes.add(SliceNotes::REPLY_DROPPED));
                self.abandoned.borrow_mut().push((awaited, waiter));
            }
        }
        None
    }

    /// Tells those whom the running process has abandoned in this poll slice, and ends the slice.
    #[cold]
    pub(super) fn tell_abandoned(&self) -> Box<Process> {
        for waiter in self.take_abandoned() {
            waiter.abandon(&self.shared);
        }
        self.running.take().expect("it runs until its slice ends")
    }

    /// Forgets those whom the running process has abandoned in this poll slice: it exits, which is told.
    #[cold]
    pub(super) fn forget_abandoned(&self) {
        drop(self.take_abandoned());
    }

    fn take_abandoned(&self) -> Vec<ExitHook> {
        let pid = self.with_running(|_, running| {
            running.notes.remove(SliceNotes::REPLY_DROPPED);
            running.pid
        });
        let mut abandoned = self.abandoned.borrow_mut();
        // In a simulation processes that it interrupts have some, too.
        abandoned.extract_if(.., |(awaited, _)| Some(*awaited) == pid).map(|(_, waiter)| waiter).collect()
    }
}

/// Has the exit of the running process told to the callers whose requests it drops from here on, or has
/// dropped in this poll slice.
pub(crate) fn exits_soon() {
    context::with_local(|local| {
        let Some(local) = local else { return };
        local.with_running(|_, running| running.exits_soon = true);
        local.forget_abandoned();
    });
}

//! A short look at processes, for those that look at all of them often.

use std::ops::Range;

use super::{
    info::{ProcessState, mailbox_len, own_mailbox_len, state},
    pid::Pid,
    waiting::WaitingFor,
};
use crate::runtime::{kernel::lifecycle::Phase, shared::Shared};

/// The part of a summary that is read without an allocation.
#[derive(Clone, Debug)]
pub(crate) struct ProcessLook {
    pub(crate) pid: Pid,
    /// Messages in its mailbox.
    pub(crate) mailbox: usize,
    /// The await that it is parked in.
    pub(crate) waiting_for: Option<WaitingFor>,
}

impl Shared {
    /// Shows `f` every process in these slots, while no lock is held.
    pub(crate) fn looks_of(&self, slots: Range<u32>, mut f: impl FnMut(ProcessLook)) {
        for (index, slot) in self.table.slots_in(slots) {
            let core = slot.lock();
            if core.phase() == Phase::Free {
                continue;
            }
            let pid = Pid::new(self.id, core.generation, index);
            let mailbox = mailbox_len(&core, pid);
            let is_parked = state(slot, &core) == ProcessState::Waiting;
            let waiting_for = is_parked.then(|| self.waiting_for(slot, pid));
            drop(core);
            f(ProcessLook { pid, mailbox: mailbox + own_mailbox_len(pid), waiting_for });
        }
    }
}

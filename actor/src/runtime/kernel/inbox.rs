//! Messages into a record and out of it.

use super::{
    lifecycle::Phase,
    process::{Process, Runnable, SliceNotes},
    record::{Core, PRIORITY, Slot},
};
use crate::{
    messages::{
        mailbox::{Mailbox, Position},
        message::Message,
    },
    sync::atomic::Ordering,
};

impl Slot {
    /// Returns whether messages may have been accepted that the process has not drained. A message that is
    /// missed here is found when the process parks.
    pub(crate) fn has_arrivals(&self) -> bool {
        self.mirror().arrived.load(Ordering::Acquire)
    }

    /// Accepts a message. The process becomes runnable if it waits for messages.
    #[inline(always)] // perf: ring, 524 → 503 instructions; call, 1177 → 1154
    #[must_use = "a runnable process must be enqueued"]
    pub(crate) fn accept(&self, core: &mut Core, message: Message) -> Option<Runnable> {
        if core.phase() == Phase::Waiting && core.wants_messages {
            return self.hand_over(core, message);
        }
        // A scheduled process looks at its arrivals before it parks.
        core.arrivals.push(message);
        self.mirror().arrived.store(true, Ordering::Release);
        None
    }

    /// Accepts a message that stands before those without priority.
    #[cold]
    #[must_use = "a runnable process must be enqueued"]
    pub(crate) fn accept_priority(&self, core: &mut Core, message: Message) -> Option<Runnable> {
        if core.phase() == Phase::Waiting && core.wants_messages {
            let Runnable(mut process) = self.wake(core)?;
            process.mailbox.push_priority(message);
            core.mailbox_len += 1;
            return Some(Runnable(process));
        }
        core.arrivals.push_priority(message);
        self.mirror().arrived.store(true, Ordering::Release);
        let before = self.mirror().attention.load(Ordering::Relaxed);
        self.mirror().attention.store(before | PRIORITY, Ordering::Release);
        None
    }

    /// Moves the arrivals into the mailbox of the running process, so that those with priority are found
    /// first.
    #[cold]
    pub(crate) fn look_for_priority(&self, mailbox: &mut Mailbox) {
        let mut core = self.lock();
        self.drain_arrivals(&mut core, mailbox);
        let before = self.mirror().attention.load(Ordering::Relaxed);
        self.mirror().attention.store(before & !PRIORITY, Ordering::Release);
    }

    /// Wakes a process that waits for messages and puts this one into its mailbox, bypassing the arrivals.
    #[inline(always)] // perf: ring, 532 → 503 instructions; call, 1182 → 1154
    fn hand_over(&self, core: &mut Core, message: Message) -> Option<Runnable> {
        let Runnable(mut process) = self.wake(core)?;
        process.mailbox.push(message);
        core.mailbox_len += 1;
        Some(Runnable(process))
    }

    /// Takes the first message from `from` on that `wanted` accepts, out of the mailbox and the
    /// arrivals. If there is none, sets `from` to the end of the mailbox and has the next message wake the
    /// process.
    pub(crate) fn take(
        &self,
        process: &mut Process,
        from: &mut Position,
        mut wanted: impl FnMut(&Message) -> bool,
    ) -> Option<Message> {
        process.notes.add(SliceNotes::MAILBOX_SCANNED);
        loop {
            if let Some(message) = process.mailbox.take(from, &mut wanted) {
                return Some(message);
            }
            from.ordinary = from.ordinary.max(process.mailbox.ordinary_end());
            if !self.has_arrivals() {
                process.wants_messages = true;
                return None;
            }
            self.lock_and_drain_arrivals(&mut process.mailbox);
        }
    }

    /// Moves the arrivals into the mailbox of the running process.
    #[inline(never)]
    pub(crate) fn lock_and_drain_arrivals(&self, mailbox: &mut Mailbox) {
        self.drain_arrivals(&mut self.lock(), mailbox);
    }

    /// Moves the arrivals into the mailbox. The caller holds the lock, under which the mirror is exact.
    #[inline]
    pub(crate) fn drain_arrivals(&self, core: &mut Core, mailbox: &mut Mailbox) {
        if self.has_arrivals() {
            self.drain_arrivals_slow(core, mailbox);
        }
    }

    // perf: ring, 714 → 621 instructions, together with the other slow paths of a receive
    #[inline(never)]
    fn drain_arrivals_slow(&self, core: &mut Core, mailbox: &mut Mailbox) {
        core.arrivals.drain_into(mailbox);
        self.mirror().arrived.store(false, Ordering::Relaxed);
        core.mailbox_len = mailbox.len() as u32;
    }
}

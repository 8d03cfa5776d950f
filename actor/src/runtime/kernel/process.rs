//! A process as it is scheduled: its body, its mailbox, and what a poll slice needs.

use std::{
    any::Any,
    future::Future,
    pin::Pin,
    sync::{Arc, Weak},
    task::Waker,
};

use super::{
    locals::Locals,
    table::SlotPtr,
    waker::{self, ProcessWaker},
};
use crate::{
    messages::mailbox::Mailbox,
    process::{pid::Pid, priority::Priority, reason::Reason},
    runtime::shared::Shared,
    time::timer_ref::TimerRef,
};

pub(crate) type Body = Pin<Box<dyn Future<Output = Reason> + Send>>;

/// A process. It moves from its record to a run queue to a worker and back, and is owned by exactly one of
/// them.
///
/// It takes two cache lines; the second one is used only for messages.
#[repr(C, align(64))]
pub(crate) struct Process {
    /// Is absent while the process is polled, and in recycled memory.
    pub(crate) body: Option<Body>,
    /// The source of its wakers.
    pub(crate) source: Arc<ProcessWaker>,
    /// Points to the slot of its record. The memory of a process stays with its slot, so this never changes.
    pub(crate) slot_ptr: SlotPtr,
    pub(crate) pid: Pid,
    /// The budget left in the poll slice; every await that could complete at once spends one.
    pub(crate) reductions: u32,
    /// The worker that it must not leave.
    pub(crate) pinned: Option<u16>,
    pub(crate) priority: Priority,
    /// The mailbox has a capacity, which must be told of every message taken.
    pub(crate) bounded: bool,
    /// A receive found nothing in this poll, so the next message must wake the process.
    pub(crate) wants_messages: bool,
    /// Notes for the end of this poll slice.
    pub(crate) notes: SliceNotes,
    /// The process exits soon, so a request that it drops without a reply is told of the exit.
    pub(crate) exits_soon: bool,
    /// The extension has something for its owner. Otherwise it need not be looked at.
    pub(crate) extension_dirty: bool,
    /// The process has spawned others, so its release leaves a note of its parent for them.
    pub(crate) has_spawned: bool,
    /// The process-local values are being dropped, and none can be set.
    pub(crate) locals_closed: bool,
    pub(crate) mailbox: Mailbox,
    /// The one extension slot: state that a layer above keeps with the process, such as that of a generic
    /// server.
    pub(crate) extension: Option<Box<dyn Any + Send>>,
    /// Is allocated by the first call with a timeout, or the first process-local value.
    pub(crate) attached: Option<Box<Attached>>,
}

/// Notes for the end of a poll slice. As a rule there are none, which is one comparison.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct SliceNotes(u8);

impl SliceNotes {
    /// A receive has scanned the mailbox.
    pub(crate) const MAILBOX_SCANNED: Self = Self(1);
    /// The process has dropped the right to reply to a call, see [`abandoned`](super::abandoned).
    pub(crate) const REPLY_DROPPED: Self = Self(2);

    #[inline]
    pub(crate) fn add(&mut self, note: Self) {
        self.0 |= note.0;
    }

    #[inline]
    pub(crate) fn remove(&mut self, note: Self) {
        self.0 &= !note.0;
    }

    #[inline]
    pub(crate) fn has(self, note: Self) -> bool {
        self.0 & note.0 != 0
    }

    #[inline]
    pub(crate) fn are_any(self) -> bool {
        self.0 != 0
    }
}

/// State that not every process has.
#[derive(Debug, Default)]
pub(crate) struct Attached {
    /// When the timer fires, in nanoseconds of the runtime's clock; 0 if there is none.
    pub(crate) wakes_at: u64,
    /// The one timer that the process keeps to be woken, see [`call_timer`](crate::time::call_timer).
    pub(crate) wake_timer: Option<TimerRef>,
    pub(crate) locals: Locals,
}

/// A process that has become runnable. The caller must enqueue it after releasing the record's lock.
#[must_use = "a runnable process must be enqueued"]
pub(crate) struct Runnable(pub(crate) Box<Process>);

impl Drop for Process {
    /// Leaks the body and the local values of a process that was never released, because its runtime has
    /// ended: they are dropped in their own process or never.
    fn drop(&mut self) {
        std::mem::forget((self.body.take(), self.attached.take()));
    }
}

impl Process {
    pub(crate) fn new(shared: Weak<Shared>, pid: Pid, slot_ptr: SlotPtr) -> Box<Self> {
        let source = Arc::new(ProcessWaker::new(shared, pid));
        Box::new(Self {
            pid,
            slot_ptr,
            priority: Priority::Normal,
            pinned: None,
            mailbox: Mailbox::default(),
            bounded: false,
            extension: None,
            extension_dirty: false,
            attached: None,
            has_spawned: false,
            locals_closed: false,
            reductions: 0,
            wants_messages: false,
            notes: SliceNotes::default(),
            exits_soon: false,
            source,
            body: None,
        })
    }

    /// Returns whether `waker` wakes this process and nothing else.
    #[inline]
    pub(crate) fn is_waker(&self, waker: &Waker) -> bool {
        waker::is_of(waker, &self.source)
    }

    /// Makes a new process in the memory of a released one. Wakers of the old process that are still held
    /// keep the old source.
    pub(crate) fn recycle(mut self: Box<Self>, shared: &Arc<Shared>, pid: Pid) -> Box<Self> {
        self.pid = pid;
        match Arc::get_mut(&mut self.source) {
            Some(source) => source.set_generation(pid.generation()),
            None => self.source = Arc::new(ProcessWaker::new(Arc::downgrade(shared), pid)),
        }
        self
    }
}

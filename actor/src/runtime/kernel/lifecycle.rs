//! The phases of a process and the moves between them. No other file assigns a phase.
//!
//! ```text
//!          schedule_new
//!   Free ───────────────────────▶ Scheduled ◀─────── wake ──────┐
//!    ▲ └── hold_new ──▶ New ── start ─▶ │                       │
//!    │                                  ├───────── park ──▶ Waiting
//!    └──────── free ─────── Exiting ◀───┘ begin_exit
//! ```
//!
//! A move returns what its caller owes: a [`Runnable`] must be enqueued after the lock is released,
//! [`AfterPoll`] says what a worker does next, a refused [`Condemned`] reason must be dropped outside the
//! lock.

use std::hint::cold_path;

use super::{
    large_release::LARGE,
    observed::{WaitKind, note_wait, noted_wait},
    process::{Process, Runnable, SliceNotes},
    record::{CONDEMNED, Core, Slot},
};
use crate::{
    process::reason::Reason,
    sync::atomic::Ordering,
    testing::mutation::{Mutation, is_active},
};

/// The phase of the process in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The slot has no process.
    Free,
    /// The process is made and in no queue yet.
    New,
    /// The process is suspended and parked in its record.
    Waiting,
    /// The process is in one run queue or on one worker, which owns it and needs no lock to poll it.
    Scheduled,
    /// The body is being dropped; nothing schedules the process any more.
    Exiting,
}

/// The next step of a worker after a poll that did not complete the body.
#[must_use = "the worker must carry out the next step"]
pub(crate) enum AfterPoll {
    /// Poll again at once, because a message has arrived for a process that waits for one; or tell those whom
    /// the process has [abandoned](super::abandoned), and enqueue it.
    Again,
    /// Enqueue the process: it was woken, or has used its reductions.
    Queue,
    /// Park the process until it is woken.
    Park,
}

/// The result of [`Slot::condemn`].
#[must_use = "a refused reason holds a user's value, which must not be dropped under the lock"]
pub(crate) enum Condemned {
    /// The reason is the first cause.
    First,
    /// The process was condemned before. The reason is given back.
    Before(Reason),
}

impl Condemned {
    /// Returns the reason that came too late, if it did.
    pub(crate) fn refused(self) -> Option<Reason> {
        match self {
            Self::First => None,
            Self::Before(reason) => Some(reason),
        }
    }
}

/// The contents of the record of a process that begins to exit.
#[must_use = "what the record holds must be released before the exit is told"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holdings {
    /// Neither messages nor names, groups or timers. None can be added from here on.
    Nothing,
    /// Possibly some of them.
    Something,
    /// Too many of them, or of relations, for one poll slice.
    Much,
}

/// The result of [`Slot::begin_exit`].
#[must_use = "a refused reason holds a user's value, which must not be dropped under the lock"]
pub(crate) struct Exiting {
    pub(super) holdings: Holdings,
    pub(super) cause: Reason,
    /// The reason that the body ended with, if it came too late.
    pub(super) refused: Option<Reason>,
}

impl Core {
    /// Moves a free slot to a scheduled process. The caller must enqueue the process that it holds.
    pub(super) fn schedule_new(&mut self) {
        self.phase = Phase::Scheduled;
    }

    /// Moves a free slot to a new process that cannot run yet.
    pub(super) fn hold_new(&mut self, process: Box<Process>) {
        self.phase = Phase::New;
        self.parked = Some(process);
    }

    /// Frees the record for the next process.
    pub(super) fn free(&mut self) {
        self.phase = Phase::Free;
        self.generation = self.generation.wrapping_add(1);
        self.trap_exit = false;
        self.wants_messages = false;
        self.woken = false;
        self.mailbox_len = 0;
        self.condemned = false;
        self.caused_by_signal = false;
        self.bounded = false;
    }
}

impl Slot {
    /// Makes a held new process runnable.
    #[must_use = "a runnable process must be enqueued"]
    pub(super) fn start(&self, core: &mut Core) -> Option<Runnable> {
        core.phase = Phase::Waiting;
        self.wake(core)
    }

    /// Wakes the process: a waiting one becomes runnable with all that has arrived, a scheduled one is polled
    /// once more.
    #[inline]
    #[must_use = "a runnable process must be enqueued"]
    pub(crate) fn wake(&self, core: &mut Core) -> Option<Runnable> {
        if core.phase == Phase::Waiting {
            core.phase = Phase::Scheduled;
            core.wants_messages = false;
            let mut process = core.parked.take().expect("a waiting process is parked");
            self.drain_arrivals(core, &mut process.mailbox);
            process.priority = core.priority;
            return Some(Runnable(process));
        }
        if core.phase == Phase::Scheduled && !is_active(Mutation::WakeDropped) {
            core.woken = true;
            self.mirror().woken.store(true, Ordering::Relaxed);
        }
        None
    }

    /// Begins a poll, which answers all wake-ups until now.
    pub(crate) fn begin_poll(&self) {
        self.mirror().running.store(true, Ordering::Relaxed);
        note_wait(WaitKind::Foreign);
        // What a wake-up is for becomes visible under the lock. A wake-up that is missed here because the
        // mirror lags causes one extra poll.
        if self.mirror().woken.load(Ordering::Relaxed) {
            cold_path();
            let mut core = self.lock();
            core.woken = false;
            self.mirror().woken.store(false, Ordering::Relaxed);
        }
    }

    /// Decides what follows a poll that did not complete the body. The caller holds the lock.
    pub(crate) fn after_poll(&self, core: &mut Core, process: &mut Process) -> AfterPoll {
        self.mirror().running.store(false, Ordering::Relaxed);
        let arrived = process.wants_messages && self.has_arrivals();
        if arrived && !core.woken && process.reductions > 0 {
            cold_path();
            // The process waits for messages and has some: no need to go through a queue.
            self.drain_arrivals(core, &mut process.mailbox);
            process.wants_messages = false;
            process.reductions -= 1;
            return AfterPoll::Again;
        }
        if process.notes.are_any() {
            cold_path();
            if process.notes.has(SliceNotes::MAILBOX_SCANNED) {
                core.mailbox_len = process.mailbox.len() as u32;
            }
            if process.notes.has(SliceNotes::REPLY_DROPPED) {
                return AfterPoll::Again;
            }
        }
        if core.woken || arrived { AfterPoll::Queue } else { AfterPoll::Park }
    }

    /// Parks a scheduled process in its record. From here on it belongs to the thread that wakes it.
    pub(crate) fn park(&self, core: &mut Core, process: Box<Process>) {
        core.phase = Phase::Waiting;
        self.mirror().parked_in.store(noted_wait() as u8, Ordering::Relaxed);
        core.wants_messages = process.wants_messages;
        core.arrivals.shrink();
        let before = core.parked.replace(process);
        debug_assert!(before.is_none(), "a slot has one process");
    }

    /// Fixes why the process exits, unless an earlier cause has.
    pub(crate) fn condemn(&self, core: &mut Core, reason: Reason, by_signal: bool) -> Condemned {
        if core.condemned {
            return Condemned::Before(reason);
        }
        core.condemned = true;
        core.cause = Some(reason);
        core.caused_by_signal = by_signal;
        self.mirror().attention.store(CONDEMNED, Ordering::Release);
        Condemned::First
    }

    /// Moves a scheduled process to its release: because its body `ended`, or because it was condemned
    /// before. The first cause stands, and needs no place in the record from here on.
    #[inline]
    pub(crate) fn begin_exit(&self, core: &mut Core, ended: Option<Reason>) -> Exiting {
        core.phase = Phase::Exiting;
        let holdings = match &core.relations {
            _ if core.arrivals.len() > LARGE => Holdings::Much,
            Some(relations) if relations.are_many() => Holdings::Much,
            Some(relations) if relations.others.is_some() => Holdings::Something,
            _ if core.arrivals.is_empty() => Holdings::Nothing,
            _ => Holdings::Something,
        };
        match ended {
            Some(cause) if !core.condemned => {
                core.condemned = true;
                self.mirror().attention.store(CONDEMNED, Ordering::Release);
                Exiting { holdings, cause, refused: None }
            }
            refused => {
                cold_path();
                let cause = core.cause.take().expect("a condemned process has a cause");
                Exiting { holdings, cause, refused }
            }
        }
    }

    /// Resets what is beside the core for the next process. The caller holds the lock.
    pub(super) fn reset(&self) {
        self.close_open_wait();
        self.mirror().attention.store(0, Ordering::Release);
        self.mirror().arrived.store(false, Ordering::Release);
        self.mirror().woken.store(false, Ordering::Release);
        self.mirror().running.store(false, Ordering::Release);
        self.observed.reset();
    }
}

#[cfg(all(test, riot_loom))]
impl Slot {
    /// A slot whose process is scheduled, for the models.
    pub(crate) fn scheduled() -> Self {
        let slot = Self::new();
        slot.lock().schedule_new();
        slot
    }
}

//! The record of one process: everything that is known of it, under one lock.
//!
//! Because others act on a process here, under its lock, and before their call returns, signals stay in the
//! order in which they were sent, and "first cause wins" is decided by the order in which the lock was taken.
//! The lock is held for a few instructions.

use std::{borrow::Cow, panic::Location, sync::Arc};

use super::{
    lifecycle::Phase,
    observed::{FutureType, Observed, WaitKind},
    process::Process,
    relations::Relations,
};
use crate::{
    messages::{capacity::Capacity, mailbox::Arrivals},
    process::{
        pid::{Peer, Pid},
        priority::Priority,
        reason::Reason,
    },
    sync::{
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
        spin_lock::{SpinGuard, SpinLock},
    },
};

/// A slot of the process table. After the release of its process it is used for another one.
#[repr(C, align(64))]
pub(crate) struct Slot {
    /// Counts the in-place waits of the processes in this slot, see [`in_place`](super::in_place).
    pub(super) waits: AtomicU64,
    core: SpinLock<Core, StateMirror>,
    pub(crate) observed: Observed,
}

/// Mirrors of `Core` fields that can be read without the lock. Only the process itself reads them, except
/// `running`.
#[derive(Default)]
pub(crate) struct StateMirror {
    /// Says what the process must look at before it goes on: [`CONDEMNED`], which mirrors `core.condemned`,
    /// [`PRIORITY`] and [`INSPECTION`]. It changes under the lock.
    pub(super) attention: AtomicU8,
    /// Is set while `core.arrivals` is not empty.
    pub(super) arrived: AtomicBool,
    /// Mirrors `core.woken`.
    pub(super) woken: AtomicBool,
    /// Is set while a worker polls the process; for [`info`](crate::process::info()).
    pub(super) running: AtomicBool,
    /// The [`WaitKind`] that the process has parked with. Written and read under the lock.
    pub(super) parked_in: AtomicU8,
}

/// The process is condemned.
pub(super) const CONDEMNED: u8 = 1;
/// A message with priority may be among the arrivals.
pub(super) const PRIORITY: u8 = 2;
/// A question about the mailbox is to be answered at the beginning of a poll slice.
pub(super) const INSPECTION: u8 = 4;

pub(crate) type CoreGuard<'a> = SpinGuard<'a, Core, StateMirror>;

/// The part of a record that its lock guards.
///
/// Fields that a message or a poll slice uses stand first and share one cache line with the lock; the rest is
/// in a second line, and what is there for observers in a third. With many processes memory takes the time.
/// (A test checks the layout.)
// perf: ring, 597 → 589 instructions; an idle process, 413 → 378 bytes
#[repr(C)]
pub(crate) struct Core {
    pub(crate) generation: u32,
    pub(super) phase: Phase,
    pub(crate) trap_exit: bool,
    /// The process waits for messages: the next one makes it runnable.
    pub(super) wants_messages: bool,
    /// The process was woken while it was scheduled, so it is polled once more.
    pub(super) woken: bool,
    /// Messages in the mailbox of the process when it last stopped running.
    pub(crate) mailbox_len: u32,
    pub(crate) priority: Priority,
    /// The process has a cause to exit.
    pub(super) condemned: bool,
    /// The cause came from another process, so the crash report can tell a crash from its consequences.
    pub(super) caused_by_signal: bool,
    /// The mailbox has a capacity; it is in the relations.
    pub(super) bounded: bool,
    /// The process while it waits. In a free slot, the memory of the last process, to be recycled.
    pub(super) parked: Option<Box<Process>>,
    /// Messages accepted and not yet drained by the process. A message to a waiting process bypasses this
    /// queue.
    pub(crate) arrivals: Arrivals,
    /// The memory stays with the slot: in a free one, and with a process that has none yet, they are none.
    pub(crate) relations: Option<Box<Relations>>,
    pub(crate) parent: Peer,
    /// Why the process exits. Set once, by the first cause.
    pub(super) cause: Option<Reason>,
    pub(crate) label: Option<Cow<'static, str>>,
    /// When the process was spawned, in nanoseconds of the runtime's clock.
    pub(crate) born: u64,
    /// How many processes the runtime had spawned before this one.
    pub(crate) nth: u64,
    /// The type of the future that it was spawned with; none before the first process.
    pub(crate) future: Option<&'static FutureType>,
    /// The place in the program that spawned it; none where the runtime itself did.
    pub(crate) spawned_at: Option<&'static Location<'static>>,
}

impl Slot {
    pub(crate) fn new() -> Self {
        Self {
            waits: AtomicU64::new(0),
            core: SpinLock::new(Core {
                generation: 0,
                phase: Phase::Free,
                trap_exit: false,
                wants_messages: false,
                woken: false,
                mailbox_len: 0,
                priority: Priority::Normal,
                condemned: false,
                caused_by_signal: false,
                bounded: false,
                parked: None,
                arrivals: Arrivals::default(),
                relations: None,
                parent: Peer::NONE,
                cause: None,
                label: None,
                born: 0,
                nth: 0,
                future: None,
                spawned_at: None,
            }),
            observed: Observed::new(),
        }
    }

    #[inline]
    pub(super) fn mirror(&self) -> &StateMirror {
        &self.core.header
    }

    #[inline]
    pub(crate) fn lock(&self) -> CoreGuard<'_> {
        self.core.lock()
    }

    /// Locks the record of `pid`; none if `pid` has been released.
    #[inline]
    pub(crate) fn lock_for(&self, pid: Pid) -> Option<CoreGuard<'_>> {
        let core = self.lock();
        (core.generation == pid.generation() && core.phase != Phase::Free).then_some(core)
    }

    /// Takes the memory that a free slot keeps for its next process.
    pub(super) fn take_free_memory(&self) -> impl Sized + use<> {
        let mut core = self.lock();
        (core.phase == Phase::Free).then(|| (core.parked.take(), core.relations.take()))
    }

    /// Takes memory that a waiting process does not need, to be dropped outside the lock.
    pub(crate) fn take_spare_memory(&self) -> impl Sized + use<> {
        let mut core = self.lock();
        let core = &mut *core;
        let waits = core.phase == Phase::Waiting;
        let queues = core.parked.as_mut().filter(|_| waits).and_then(|process| process.mailbox.take_empty());
        let arrivals = core.arrivals.take_empty();
        let relations = core.relations.as_mut().map(|relations| relations.take_spare());
        let is_free = core.phase == Phase::Free;
        let unused = core.relations.take_if(|relations| !is_free && relations.are_none());
        (queues, arrivals, relations, unused)
    }

    pub(crate) fn is_condemned(&self) -> bool {
        self.mirror().attention.load(Ordering::Acquire) & CONDEMNED != 0
    }

    /// Returns whether the process must look at something before it goes on.
    #[inline]
    pub(crate) fn needs_attention(&self) -> bool {
        self.mirror().attention.load(Ordering::Acquire) != 0
    }

    /// Returns whether a message with priority may be among the arrivals.
    pub(crate) fn may_have_priority(&self) -> bool {
        self.mirror().attention.load(Ordering::Acquire) & PRIORITY != 0
    }

    pub(super) fn has_inspection(&self) -> bool {
        self.mirror().attention.load(Ordering::Acquire) & INSPECTION != 0
    }

    /// Has the process answer questions in its next poll slice. The caller holds the lock.
    pub(super) fn ask_for_inspection(&self) {
        let before = self.mirror().attention.load(Ordering::Relaxed);
        self.mirror().attention.store(before | INSPECTION, Ordering::Release);
    }

    /// Notes that the questions are being answered.
    pub(super) fn take_inspection(&self) {
        let _core = self.lock();
        let before = self.mirror().attention.load(Ordering::Relaxed);
        self.mirror().attention.store(before & !INSPECTION, Ordering::Release);
    }

    /// Returns the kind of wait that the process has parked in. The caller holds the lock.
    pub(super) fn parked_in(&self) -> WaitKind {
        WaitKind::from_bits(self.mirror().parked_in.load(Ordering::Relaxed))
    }

    pub(crate) fn is_running(&self) -> bool {
        self.mirror().running.load(Ordering::Relaxed)
    }
}

impl Core {
    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    pub(crate) fn is_condemned(&self) -> bool {
        self.condemned
    }

    pub(crate) fn is_live(&self) -> bool {
        self.phase != Phase::Free && !self.condemned
    }

    pub(crate) fn is_bounded(&self) -> bool {
        self.bounded
    }

    /// Returns the capacity of the mailbox; none if it is unbounded.
    pub(crate) fn capacity(&self) -> Option<&Arc<Capacity>> {
        if !self.bounded {
            return None;
        }
        self.relations.as_ref()?.others.as_ref()?.capacity.as_ref()
    }

    pub(crate) fn relations(&mut self) -> &mut Relations {
        self.relations.get_or_insert_default()
    }
}

#[cfg(all(test, not(riot_loom)))]
mod tests {
    use std::mem::{offset_of, size_of};

    use super::*;

    #[test]
    fn what_a_message_and_a_poll_slice_use_is_in_one_cache_line() {
        assert_eq!((size_of::<Slot>(), size_of::<Process>()), (192, 128));
        let before = offset_of!(Slot, observed) - size_of::<Core>();
        assert!(before + offset_of!(Core, cause) <= 64, "{before} and {}", offset_of!(Core, cause));
        assert_eq!(before + offset_of!(Core, future), 128);
        assert_eq!(offset_of!(Process, mailbox), 64);
    }

    #[test]
    fn the_memory_of_relations_is_recycled_empty_and_given_back() {
        use crate::{
            monitor,
            process::{info, yield_now},
            runtime::context::with_shared,
            simulation::Simulation,
            spawn, spawn_link, this,
        };
        /// Returns whether the slot of `pid` has relations, and whether they are none.
        fn relations(pid: Pid) -> (bool, bool) {
            with_shared("test", |shared| {
                let core = shared.table.slot(pid.index()).lock();
                let relations = core.relations.as_ref();
                (relations.is_some(), relations.is_none_or(|relations| relations.are_none()))
            })
        }
        let reason = Simulation::new(1).run(async {
            let main = this();
            let mut recycled = 0;
            for links in 1..40 {
                let monitors = links % 2 == 0;
                let before = spawn_link(async move {
                    if monitors {
                        monitor(main);
                    }
                    // Inline, few, and many.
                    (1..links).for_each(|_| _ = spawn_link(async { yield_now().await }));
                    yield_now().await;
                });
                // A wait would be an exit hook.
                while info(before).is_some() {
                    yield_now().await;
                }
                let (has_memory, are_none) = relations(before);
                assert!(are_none, "after {links} links");
                if monitors || links <= 3 {
                    assert_eq!(has_memory, !monitors, "after {links} links");
                }
                let next = spawn(std::future::pending::<()>());
                if next.index() == before.index() {
                    recycled += 1;
                    let next_info = info(next).expect("it waits for ever");
                    assert!(next_info.links.is_empty() && next_info.monitors.is_empty());
                    assert_eq!(relations(next), (has_memory, true));
                    yield_now().await;
                    with_shared("test", |shared| drop(shared.table.slot(next.index()).take_spare_memory()));
                    assert_eq!(relations(next), (false, true));
                }
                crate::exit(next, Reason::Kill);
                while info(next).is_some() {
                    yield_now().await;
                }
                with_shared("test", |shared| drop(shared.table.slot(before.index()).take_free_memory()));
                assert_eq!(relations(before), (false, true));
            }
            assert!(recycled > 0, "no slot was taken again");
        });
        assert_eq!(reason, Reason::Normal);
    }
}

//! In-place waits: a process waits for a value that another thread writes into a slot inside its own, pinned
//! future. Nothing is allocated for such a wait, and nothing counted.
//!
//! The record of a process has a counter, odd while a wait is open there. It goes up by one when a wait is
//! opened and when it is closed, and never back. A writer writes under the lock of that record, and only if
//! the counter still has the number of its wait; writing closes the wait. So a process has at most one open
//! wait, a slot is written at most once, and it is not written after its wait was closed by the process
//! itself.
//!
//! This file has the part that does not depend on the type of the value: why there will be none. As a rule
//! that is the exit of the process that was to write it. (With an allocation and reference counts a call took
//! 1 860 instructions, in place 1 515.)
#![expect(unsafe_code, reason = "see the proofs")]

use std::{ptr::NonNull, task::Waker};

use super::{process::Runnable, record::Slot};
use crate::guard;
use crate::{
    process::{pid::Pid, reason::Reason},
    runtime::shared::{self, Shared},
    sync::{atomic::Ordering, cell::UnsafeCell},
};

/// Identifies one in-place wait of one process. No other wait ever has this id.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WaitId {
    number: u64,
    owner: WaitOwner,
}

/// The slot of a waiting process: its runtime and its index in one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct WaitOwner(u64);

impl WaitOwner {
    #[inline]
    fn of(pid: Pid) -> Self {
        Self(u64::from(pid.runtime.get()) << 32 | u64::from(pid.index()))
    }

    #[inline]
    fn runtime(self) -> u32 {
        (self.0 >> 32) as u32
    }

    #[inline]
    fn index(self) -> u32 {
        self.0 as u32
    }
}

/// The result of closing a wait.
#[must_use = "a wait that was closed before may have been written"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CloseWait {
    /// This call has closed the wait: nothing was written, and nothing will be.
    Closed,
    /// The wait was closed before, by a writer or by the release of its process.
    ClosedBefore,
}

/// Why a wait was settled without a value.
pub(crate) enum NoValue {
    /// The process that was to write one has exited.
    Exit(Reason),
    /// The right to write one was dropped.
    Abandoned,
}

/// Where the end of a wait without a value is written: the part of a wait's slot that does not depend on the
/// type of the value.
pub(crate) struct ExitSlot {
    /// The process that is to write.
    awaited: Pid,
    no_value: UnsafeCell<Option<NoValue>>,
    /// Is woken in addition to the process, if the wait is not polled by the process alone.
    waker: UnsafeCell<Option<Waker>>,
}

impl ExitSlot {
    pub(crate) fn new(awaited: Pid) -> Self {
        Self { awaited, no_value: UnsafeCell::new(None), waker: UnsafeCell::new(None) }
    }

    /// Returns the process that is to write.
    #[inline]
    pub(crate) fn awaited(&self) -> Pid {
        self.awaited
    }

    /// Returns the right to write an exit here.
    ///
    /// # Safety
    /// The slot is pinned and outlives the closing of `wait`.
    pub(crate) unsafe fn writer(&self, wait: WaitId) -> ExitWriter {
        ExitWriter { wait, slot: NonNull::from(self) }
    }

    /// Takes why there is no value, if that was written.
    ///
    /// # Safety
    /// The wait is closed, and the caller has seen that.
    pub(crate) unsafe fn take_no_value(&self) -> Option<NoValue> {
        // SAFETY:
        // 1. A writer has seen the wait open under the record's lock and closes it before it releases the
        //    lock.
        // 2. The caller has seen the wait closed (acquire), so that write, if any, has happened before.
        // 3. No writer writes from here on, so nothing else accesses the cell.
        self.no_value.with_mut(|no_value| unsafe { (*no_value).take() })
    }

    /// Takes the waker.
    ///
    /// # Safety
    /// The caller holds the lock of the record, and the wait is open.
    pub(crate) unsafe fn take_waker(&self) -> Option<Waker> {
        // SAFETY:
        // 1. The cell is accessed only here and in `WaitId::also_wake`, each time under the lock of the
        //    record.
        // 2. The caller holds that lock.
        self.waker.with_mut(|waker| unsafe { (*waker).take() })
    }
}

/// The right to write into the slot of a wait that there will be no value.
#[derive(Clone, Copy)]
pub(crate) struct ExitWriter {
    wait: WaitId,
    slot: NonNull<ExitSlot>,
}

// SAFETY:
// 1. The pointer is used only under the lock of the waiting process's record, while the wait is open.
// 2. What is written there, a `NoValue`, is `Send`; what is taken, a `Waker`, is `Send`.
unsafe impl Send for ExitWriter {}

impl ExitWriter {
    /// Returns the right to write into `slot`.
    ///
    /// # Safety
    /// The slot is pinned, and outlives the closing of `wait`.
    pub(crate) unsafe fn of(wait: WaitId, slot: NonNull<ExitSlot>) -> Self {
        Self { wait, slot }
    }

    /// Writes why there is no value if the wait is open; drops that otherwise.
    pub(crate) fn write(&self, shared: &Shared, no_value: NoValue) {
        shared.settle_wait(self.wait, no_value, |no_value| {
            // SAFETY:
            // 1. `settle_wait` calls this under the lock of the record while the wait is open.
            // 2. So the slot exists (`ExitSlot::writer`), is not read, and is not written by another thread.
            unsafe {
                let slot = self.slot.as_ref();
                slot.no_value.with_mut(|cell| cell.write(Some(no_value)));
                slot.take_waker()
            }
        });
    }

    /// Returns the process that is to write a value; none if the wait is closed.
    pub(crate) fn awaited(&self, shared: &Shared) -> Option<Pid> {
        let slot = shared.table.slot(self.wait.owner.index());
        let _core = slot.lock();
        if !slot.is_wait_open(self.wait.number) {
            return None;
        }
        // SAFETY: the wait is open and this thread holds the lock, so the slot exists (`ExitSlot::writer`).
        Some(unsafe { self.slot.as_ref() }.awaited)
    }

    /// Returns whether both are for waits of one process. A process has one open wait at a time.
    pub(crate) fn is_of_same_process(&self, other: &Self) -> bool {
        self.wait.owner == other.wait.owner
    }

    pub(crate) fn is_cancelled(&self, shared: &Shared) -> bool {
        !shared.table.slot(self.wait.owner.index()).is_wait_open(self.wait.number)
    }
}

impl WaitId {
    /// Opens a wait of `owner`, the process that runs in `slot`; none if it has an open one.
    pub(crate) fn open(slot: &Slot, owner: Pid) -> Option<Self> {
        let number = slot.open_wait()?;
        Some(Self { number, owner: WaitOwner::of(owner) })
    }

    /// Returns whether `pid` has the slot of the waiting process. (A later process in that slot finds the
    /// wait closed.)
    #[inline]
    pub(crate) fn is_of(self, pid: Pid) -> bool {
        self.owner == WaitOwner::of(pid)
    }

    /// Returns whether the wait is open. `slot` is the slot where it was opened.
    pub(crate) fn is_open(self, slot: &Slot) -> bool {
        slot.is_wait_open(self.number)
    }

    pub(crate) fn close(self) -> CloseWait {
        let close = |shared: &Shared| {
            let slot = shared.table.slot(self.owner.index());
            let _core = slot.lock();
            slot.close_wait(self.number)
        };
        self.with_runtime(close).unwrap_or(CloseWait::ClosedBefore)
    }

    /// Shows `f` the pid of the waiting process; none if the wait is closed.
    pub(crate) fn with_owner<T>(self, f: impl FnOnce(&Shared, Pid) -> T) -> Option<T> {
        let find = |shared: &Shared| {
            let slot = shared.table.slot(self.owner.index());
            let core = slot.lock();
            let owner = Pid::new(shared.id, core.generation, self.owner.index());
            let is_open = slot.is_wait_open(self.number);
            drop(core);
            is_open.then(|| f(shared, owner))
        };
        self.with_runtime(find).flatten()
    }

    /// Has `waker` woken in addition when the wait is settled. Returns false if the wait is closed.
    pub(crate) fn also_wake(self, exit: &ExitSlot, waker: &Waker) -> bool {
        // A waker is code of a user: it is cloned, and the one before is dropped, outside the lock.
        let mut waker = Some(waker.clone());
        let replace = |shared: &Shared| {
            let slot = shared.table.slot(self.owner.index());
            let _core = slot.lock();
            let is_open = slot.is_wait_open(self.number);
            if is_open {
                // SAFETY: the wait is open and this thread holds the lock, see `ExitSlot::take_waker`.
                exit.waker.with_mut(|cell| unsafe { waker = std::mem::replace(&mut *cell, waker.take()) });
            }
            is_open
        };
        self.with_runtime(replace).unwrap_or(false)
    }

    /// Shows `f` the runtime of the waiting process, unless that is gone.
    pub(crate) fn with_runtime<T>(self, f: impl FnOnce(&Shared) -> T) -> Option<T> {
        shared::with_runtime(self.owner.runtime(), f)
    }
}

impl Slot {
    /// Opens a wait; none if one is open. Only the process itself opens one.
    pub(crate) fn open_wait(&self) -> Option<u64> {
        let number = self.waits.load(Ordering::Relaxed);
        if number % 2 == 1 {
            return None;
        }
        self.waits.store(number + 1, Ordering::Release);
        Some(number + 1)
    }

    #[inline]
    pub(crate) fn is_wait_open(&self, number: u64) -> bool {
        self.waits.load(Ordering::Acquire) == number
    }

    /// Closes a wait. The caller holds the lock.
    #[inline]
    pub(crate) fn close_wait(&self, number: u64) -> CloseWait {
        if !self.is_wait_open(number) {
            return CloseWait::ClosedBefore;
        }
        self.waits.store(number + 1, Ordering::Release);
        CloseWait::Closed
    }

    /// Closes the wait that a released process has left open, if any. The caller holds the lock.
    pub(super) fn close_open_wait(&self) {
        let number = self.waits.load(Ordering::Relaxed);
        if number % 2 == 1 {
            let _closed = self.close_wait(number);
        }
    }

    /// The part of [`Shared::settle_wait`] that acts on the record; none if the wait was closed.
    #[inline]
    pub(crate) fn settle_wait<A, T>(
        &self,
        number: u64,
        value: A,
        write: impl FnOnce(A) -> T,
    ) -> Option<(T, Option<Runnable>)> {
        let mut core = self.lock();
        if !self.is_wait_open(number) {
            // The value is a user's and must not be dropped under the lock.
            drop(core);
            let _ = guard::contain(|| drop(value));
            return None;
        }
        let written = write(value);
        let _closed = self.close_wait(number);
        Some((written, self.wake(&mut core)))
    }
}

impl Shared {
    /// Writes `value` if the wait is open, closes the wait and wakes the process; drops `value` otherwise.
    #[inline]
    pub(crate) fn settle_wait<A>(&self, wait: WaitId, value: A, write: impl FnOnce(A) -> Option<Waker>) {
        let slot = self.table.slot(wait.owner.index());
        let Some((waker, runnable)) = slot.settle_wait(wait.number, value, write) else { return };
        self.enqueue(runnable);
        if let Some(waker) = waker {
            guard::wake(waker);
        }
    }
}

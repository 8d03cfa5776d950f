//! A place for the answer to a call, within the future that waits for it: for a call nothing has to be made, and nothing
//! counted. (With a box, and counts of who has it, a call took 1 860 instructions, and with this 1 515.)
//!
//! The record of the process that calls has a number, odd while a call of its is open, which goes up by one with each
//! beginning and each end of one, and never back. Who answers does so under the lock of that record, and only if the number is
//! still that of the call.
#![expect(unsafe_code, reason = "see the proofs")]

use std::{marker::PhantomPinned, num::NonZeroU32, ptr::NonNull, task::Waker};

use super::oneshot::{Wait, exit_of};
use crate::{
    process::{pid::Pid, reason::Reason},
    runtime::{
        context,
        kernel::record::{Runnable, Slot},
        shared::Shared,
    },
    sync::{atomic::Ordering, cell::UnsafeCell},
};

/// Names one call of one process; no other call ever has this name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallId {
    number: u64,
    caller: Caller,
}

/// The place of a process: its runtime and its index in one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Caller(u64);

impl Caller {
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

/// Where the answer comes. It is written to while its call is open, and read when it is not.
#[repr(C)]
pub(crate) struct ReplySlot<R> {
    /// What does not depend on the type of the reply.
    others: ExitSlot,
    reply: UnsafeCell<Option<R>>,
    /// ExitSlot write to where it is.
    _pinned: PhantomPinned,
}

struct ExitSlot {
    /// Why whoever was asked has ended.
    end: UnsafeCell<Option<Reason>>,
    /// Who waits, if it is not just the process that calls.
    waker: UnsafeCell<Option<Waker>>,
}

// SAFETY: through a shared reference to it nothing can be reached.
unsafe impl<R: Send> Sync for ReplySlot<R> {}

/// What a call came to.
pub(crate) enum Settled<R> {
    Reply(R),
    /// Whoever was asked has ended.
    Exit(Reason),
    /// CallerExited will answer: the process that called has ended.
    CallerExited,
}

impl<R> ReplySlot<R> {
    pub(crate) fn new() -> Self {
        let others = ExitSlot { end: UnsafeCell::new(None), waker: UnsafeCell::new(None) };
        Self { others, reply: UnsafeCell::new(None), _pinned: PhantomPinned }
    }

    /// The right to write a reply here.
    ///
    /// # Safety
    /// The place is pinned, and is there until the call is closed.
    pub(crate) unsafe fn reply_handle(&self, call: CallId) -> ReplyHandle<R> {
        ReplyHandle { call, place: NonNull::from(self) }
    }

    /// The right to say that nobody will reply any more.
    ///
    /// # Safety
    /// As for [`replier`](Self::replier).
    pub(crate) unsafe fn callee_exit(&self, call: CallId) -> CalleeExit {
        CalleeExit { call, place: NonNull::from(&self.others) }
    }

    /// What came.
    ///
    /// # Safety
    /// The call is closed, and who asks has seen that.
    pub(crate) unsafe fn take(&self) -> Settled<R> {
        // SAFETY: whoever writes has seen the call open under the lock, and closes it there, or it was closed without
        // them. So they have written before it was closed, which we have seen, and nobody writes from here on.
        let reply = self.reply.with_mut(|reply| unsafe { (*reply).take() });
        if let Some(reply) = reply {
            return Settled::Reply(reply);
        }
        // SAFETY: the same.
        let end = self.others.end.with_mut(|end| unsafe { (*end).take() });
        end.map_or(Settled::CallerExited, Settled::Exit)
    }
}

/// Who may reply to a call, once: the first answer is the last.
pub(crate) struct ReplyHandle<R> {
    call: CallId,
    place: NonNull<ReplySlot<R>>,
}

// SAFETY: it carries a reply to another thread, and can do nothing without the lock.
unsafe impl<R: Send> Send for ReplyHandle<R> {}
// SAFETY: the same.
unsafe impl<R: Send> Sync for ReplyHandle<R> {}

impl<R> ReplyHandle<R> {
    /// Replies, if the call is open; else the reply is dropped.
    #[inline]
    pub(crate) fn settle(&self, reply: R) {
        self.call.with_runtime(|shared| {
            shared.settle_call(self.call, reply, |reply| {
                // SAFETY: the call is open, and cannot be closed meanwhile, so the place is there, and nobody reads it;
                // nobody else writes, because of the lock.
                unsafe {
                    let place = self.place.as_ref();
                    place.reply.with_mut(|place| place.write(Some(reply)));
                    place.others.take_waker()
                }
            });
        });
    }
}

/// Who is to tell the end of a process to one that waits for a reply of it.
pub(crate) struct CalleeExit {
    call: CallId,
    place: NonNull<ExitSlot>,
}

// SAFETY: as for a `ReplyHandle`.
unsafe impl Send for CalleeExit {}

impl CalleeExit {
    pub(crate) fn settle(&self, shared: &Shared, reason: Reason) {
        shared.settle_call(self.call, reason, |reason| {
            // SAFETY: as for a reply.
            unsafe {
                let others = self.place.as_ref();
                others.end.with_mut(|end| end.write(Some(reason)));
                others.take_waker()
            }
        });
    }

    /// Whether both are for calls of one process. Such a process has one call open at a time.
    pub(crate) fn is_of_caller(&self, other: &Self) -> bool {
        self.call.caller == other.call.caller
    }

    pub(crate) fn is_cancelled(&self, shared: &Shared) -> bool {
        !shared.table.slot(self.call.caller.index()).is_call_open(self.call.number)
    }
}

impl ExitSlot {
    /// # Safety
    /// Under the lock of the record, while the call is open.
    unsafe fn take_waker(&self) -> Option<Waker> {
        // SAFETY: nobody reads or writes it but here and in `wake_also`.
        self.waker.with_mut(|waker| unsafe { (*waker).take() })
    }
}

impl CallId {
    /// Begins a call of the process that runs at `slot`; none if one is open there.
    pub(crate) fn open(slot: &Slot, caller: Pid) -> Option<Self> {
        let number = slot.open_call()?;
        Some(Self { number, caller: Caller::of(caller) })
    }

    /// Whether a process has the place of the caller. (One that has it later finds the call closed.)
    #[inline]
    pub(crate) fn is_of(self, pid: Pid) -> bool {
        self.caller == Caller::of(pid)
    }

    /// The end of the caller; none if it has come, or the call is closed.
    pub(crate) fn exit_of_caller(self) -> Option<Wait> {
        let find = |shared: &Shared| {
            let slot = shared.table.slot(self.caller.index());
            let core = slot.lock();
            let caller = Pid::new(shared.id, core.generation, self.caller.index());
            let is_open = slot.is_call_open(self.number);
            drop(core);
            is_open.then(|| exit_of(shared, caller))
        };
        self.with_runtime(find).flatten()
    }

    /// Whether the call is open. `slot` is where it was opened.
    pub(crate) fn is_open(self, slot: &Slot) -> bool {
        slot.is_call_open(self.number)
    }

    /// Closes the call; false if it was closed before.
    pub(crate) fn close(self) -> bool {
        let close = |shared: &Shared| {
            let slot = shared.table.slot(self.caller.index());
            let _core = slot.lock();
            slot.close_call(self.number)
        };
        self.with_runtime(close).unwrap_or(false)
    }

    /// Has `waker` woken, too, when the call is closed by an answer; false if it is closed.
    pub(crate) fn wake_also<R>(self, place: &ReplySlot<R>, waker: &Waker) -> bool {
        // A waker is somebody else's code: it is cloned, and the one before dropped, while the lock is not held.
        let mut waker = Some(waker.clone());
        let leave = |shared: &Shared| {
            let slot = shared.table.slot(self.caller.index());
            let _core = slot.lock();
            let is_open = slot.is_call_open(self.number);
            if is_open {
                // SAFETY: the call is open, and the lock is ours.
                place
                    .others
                    .waker
                    .with_mut(|place| unsafe { waker = std::mem::replace(&mut *place, waker.take()) });
            }
            is_open
        };
        self.with_runtime(leave).unwrap_or(false)
    }

    /// Shows `f` the runtime of the caller, unless that is gone.
    fn with_runtime<T>(self, f: impl FnOnce(&Shared) -> T) -> Option<T> {
        context::with_local(|local| match local {
            Some(local) if local.shared.id.get() == self.caller.runtime() => Some(f(&local.shared)),
            _ => {
                crate::runtime::shared::find(NonZeroU32::new(self.caller.runtime())?).map(|shared| f(&shared))
            }
        })
    }
}

impl Slot {
    /// What [`Shared::settle_call`] does to a record.
    #[inline]
    pub(crate) fn settle_call<A, T>(
        &self,
        number: u64,
        answer: A,
        write: impl FnOnce(A) -> T,
    ) -> Option<(T, Option<Runnable>)> {
        let mut core = self.lock();
        if !self.is_call_open(number) {
            // What is in an answer is a user's, and not dropped under the lock.
            drop(core);
            drop(answer);
            return None;
        }
        let written = write(answer);
        self.close_call(number);
        Some((written, self.wake(&mut core)))
    }

    /// By the process itself, which has the only way to open one.
    pub(crate) fn open_call(&self) -> Option<u64> {
        let number = self.calls.load(Ordering::Relaxed);
        if number % 2 == 1 {
            return None;
        }
        self.calls.store(number + 1, Ordering::Release);
        Some(number + 1)
    }

    #[inline]
    pub(crate) fn is_call_open(&self, number: u64) -> bool {
        self.calls.load(Ordering::Acquire) == number
    }

    /// Under the lock.
    #[inline]
    pub(crate) fn close_call(&self, number: u64) -> bool {
        let was_open = self.is_call_open(number);
        if was_open {
            self.calls.store(number + 1, Ordering::Release);
        }
        was_open
    }

    /// Closes what a process that is released has left open. Under the lock.
    pub(crate) fn close_calls(&self) {
        let number = self.calls.load(Ordering::Relaxed);
        if number % 2 == 1 {
            self.close_call(number);
        }
    }
}

impl Shared {
    /// Has an answer written to where it belongs, if the call is open, and closes it; who waits is woken.
    #[inline]
    fn settle_call<A>(&self, call: CallId, answer: A, write: impl FnOnce(A) -> Option<Waker>) {
        let slot = self.table.slot(call.caller.index());
        let Some((waker, runnable)) = slot.settle_call(call.number, answer, write) else { return };
        self.enqueue(runnable);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

//! The slot for a reply inside the future that waits for it: an [in-place
//! wait](crate::runtime::kernel::in_place) for a value of any type.
#![expect(unsafe_code, reason = "see the proofs")]

use std::{marker::PhantomPinned, ptr::NonNull};

use super::oneshot::{Wait, exit_of};
use crate::{
    guard::Contained,
    process::{pid::Pid, reason::Reason},
    runtime::kernel::{
        exit_hooks::ExitHook,
        in_place::{ExitSlot, ExitWriter, NoValue, WaitId},
    },
    sync::cell::UnsafeCell,
};

/// Where a reply is written. Other threads write while the wait is open, and its future reads when it is
/// closed.
//
// Aliasing: the future that contains the slot is polled through `Pin<&mut _>` while another thread may write
// here. That is sound because the slot is accessed only through shared references and its cells, and because
// `PhantomPinned` makes it, and every future that contains it, `!Unpin`: a `&mut` to a type that is `!Unpin`
// does not claim to be the only reference.
#[repr(C)] // perf: gen_server call, 1795 → 1790 instructions
pub(super) struct ReplySlot<R> {
    exit: ExitSlot,
    reply: UnsafeCell<Option<R>>,
    _pinned: PhantomPinned,
}

// SAFETY:
// 1. A shared reference gives access to the cells only through unsafe functions.
// 2. Those move an `R` from thread to thread, which `R: Send` allows, and never share one.
unsafe impl<R: Send> Sync for ReplySlot<R> {}

/// How a call was settled.
pub(super) enum Settled<R> {
    Reply(R),
    /// The callee has exited.
    Exit(Reason),
    /// The right to reply was dropped.
    Dropped,
    /// The caller has exited, so no reply will come.
    CallerExited,
}

impl<R> ReplySlot<R> {
    pub(super) fn new(callee: Pid) -> Self {
        Self { exit: ExitSlot::new(callee), reply: UnsafeCell::new(None), _pinned: PhantomPinned }
    }

    pub(super) fn exit(&self) -> &ExitSlot {
        &self.exit
    }

    /// Returns the right to write a reply here.
    ///
    /// # Safety
    /// The slot is pinned and outlives the closing of `wait`.
    pub(super) unsafe fn handle(&self, wait: WaitId) -> ReplyHandle<R> {
        ReplyHandle { wait, slot: NonNull::from(self) }
    }

    /// Returns the right to write the exit of the callee here.
    ///
    /// # Safety
    /// The slot is pinned and outlives the closing of `wait`.
    pub(super) unsafe fn exit_writer(&self, wait: WaitId) -> ExitWriter {
        // SAFETY: the caller keeps the promise that `writer` asks for: `exit` is a part of the slot.
        unsafe { self.exit.writer(wait) }
    }

    /// Takes what was written.
    ///
    /// # Safety
    /// The wait is closed, and the caller has seen that.
    pub(super) unsafe fn take(&self) -> Settled<R> {
        // SAFETY:
        // 1. A writer has seen the wait open under the record's lock and closes it before it releases the
        //    lock.
        // 2. The caller has seen the wait closed (acquire), so that write, if any, has happened before.
        // 3. No writer writes from here on, so nothing else accesses the cell.
        let reply = self.reply.with_mut(|reply| unsafe { (*reply).take() });
        if let Some(reply) = reply {
            return Settled::Reply(reply);
        }
        // SAFETY: the caller keeps the promise that `take_no_value` asks for.
        match unsafe { self.exit.take_no_value() } {
            Some(NoValue::Exit(reason)) => Settled::Exit(reason),
            Some(NoValue::Abandoned) => Settled::Dropped,
            None => Settled::CallerExited,
        }
    }
}

/// The right to reply to a call, once: the first reply closes the wait.
pub(super) struct ReplyHandle<R> {
    wait: WaitId,
    slot: NonNull<ReplySlot<R>>,
}

impl<R> Clone for ReplyHandle<R> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<R> Copy for ReplyHandle<R> {}

// SAFETY:
// 1. The pointer is used only under the lock of the caller's record, while the wait is open.
// 2. What is written there, an `R`, is `Send`; what is taken, a `Waker`, is `Send`.
unsafe impl<R: Send> Send for ReplyHandle<R> {}
// SAFETY: a shared handle can do no more than an owned one, and does it under the lock.
unsafe impl<R: Send> Sync for ReplyHandle<R> {}

impl<R> ReplyHandle<R> {
    /// Writes the reply if the wait is open; drops it otherwise.
    #[inline]
    pub(super) fn settle(&self, reply: R) {
        // Dropped inside a guard, also if the runtime is gone.
        let reply = Contained::new(reply);
        self.wait.with_runtime(|shared| {
            shared.settle_wait(self.wait, reply, |reply| {
                // SAFETY:
                // 1. `settle_wait` calls this under the lock of the record while the wait is open.
                // 2. So the slot exists (`ReplySlot::handle`), is not read, and is not written by another
                //    thread.
                unsafe {
                    let slot = self.slot.as_ref();
                    slot.reply.with_mut(|cell| cell.write(Some(reply.into_inner())));
                    slot.exit.take_waker()
                }
            });
        });
    }

    /// Tells the caller that there will be no reply, if it waits for one.
    #[cold]
    pub(super) fn abandon(&self) {
        self.wait.with_runtime(|shared| {
            // SAFETY:
            // 1. The exit slot is the first field of the `repr(C)` slot, so it has the same address.
            // 2. `ReplySlot::handle` was promised that the slot is pinned and outlives the closing of `wait`.
            let writer = unsafe { ExitWriter::of(self.wait, self.slot.cast()) };
            if let Some(callee) = writer.awaited(shared) {
                shared.abandon_wait(callee, ExitHook::InPlace(writer));
            }
        });
    }
}

/// Waits for the exit of the caller of `wait`; none if the wait is closed.
pub(super) fn exit_of_caller(wait: WaitId) -> Option<Wait> {
    wait.with_owner(exit_of)
}

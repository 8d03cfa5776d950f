//! What wakes a process, from any thread and however long it is kept. It holds no body and no message; of a process that
//! is gone it wakes nothing.
//!
//! A process is polled with a waker that counts for nothing, so that a turn, and a life, that keeps none pays for none.
#![expect(unsafe_code, reason = "see the proofs")]

use std::{
    hint::cold_path,
    mem::ManuallyDrop,
    ptr,
    sync::{Arc, Weak},
    task::{RawWaker, RawWakerVTable, Waker},
};

use crate::{
    process::pid::Pid,
    runtime::{context, shared::Shared},
};

/// With the counts before it, as many bytes as a power of two: allocators are quick to find those.
pub(crate) struct ProcessWaker {
    shared: Weak<Shared>,
    generation: u32,
    index: u32,
}

impl ProcessWaker {
    pub(crate) fn new(shared: Weak<Shared>, pid: Pid) -> Self {
        Self { shared, generation: pid.generation(), index: pid.index() }
    }

    /// For another process in the same place.
    pub(crate) fn set_generation(&mut self, generation: u32) {
        self.generation = generation;
    }

    fn wake(&self) {
        context::with_local(|local| match local {
            // On a thread of the runtime its record is at hand; elsewhere it has to be kept alive meanwhile.
            Some(local) if Arc::as_ptr(&local.shared) == self.shared.as_ptr() => self.wake_in(&local.shared),
            _ => {
                cold_path();
                if let Some(shared) = self.shared.upgrade() {
                    self.wake_in(&shared);
                }
            }
        });
    }

    fn wake_in(&self, shared: &Shared) {
        shared.wake(Pid::new(shared.id, self.generation, self.index));
    }
}

/// A waker that counts for nothing; a clone of it has a share of its own.
///
/// # Safety
/// While it is used, `source` or a clone of it is kept.
pub(crate) unsafe fn borrowed(source: &Arc<ProcessWaker>) -> ManuallyDrop<Waker> {
    let raw = RawWaker::new(Arc::as_ptr(source).cast(), &VTABLE);
    // SAFETY: the functions of the table do what is asked of them for a pointer to an `Arc`'s `ProcessWaker`, of which a
    // waker owns one count. This one does not, but is never dropped, and the caller keeps the count meanwhile.
    ManuallyDrop::new(unsafe { Waker::from_raw(raw) })
}

/// Whether this is a waker of that source.
#[inline]
pub(crate) fn is_of(waker: &Waker, source: &Arc<ProcessWaker>) -> bool {
    waker.data() == Arc::as_ptr(source).cast() && ptr::eq(waker.vtable(), &VTABLE)
}

static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_waker);

// SAFETY, of all four: `data` was an `Arc<ProcessWaker>`'s pointer from the beginning, of which the waker it is called for
// owns a count, or, for those that take it by reference, lends one that is owned elsewhere meanwhile.

unsafe fn clone(data: *const ()) -> RawWaker {
    unsafe { Arc::increment_strong_count(data.cast::<ProcessWaker>()) };
    RawWaker::new(data, &VTABLE)
}

unsafe fn wake(data: *const ()) {
    let source = unsafe { Arc::from_raw(data.cast::<ProcessWaker>()) };
    source.wake();
}

unsafe fn wake_by_ref(data: *const ()) {
    let source = unsafe { &*data.cast::<ProcessWaker>() };
    source.wake();
}

unsafe fn drop_waker(data: *const ()) {
    drop(unsafe { Arc::from_raw(data.cast::<ProcessWaker>()) });
}

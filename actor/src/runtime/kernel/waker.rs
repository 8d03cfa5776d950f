//! The wakers of a process. A waker can be kept by any thread for any time: it holds neither the body nor a
//! message, and wakes nothing once its process is released.
//!
//! Polling uses a borrowed waker without a reference count; a poll that clones no waker does no atomic
//! counting.
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

/// The source of the wakers of one process.
///
/// With the two counts of its `Arc` it takes 32 bytes: allocators are quick to find a power of two.
pub(crate) struct ProcessWaker {
    shared: Weak<Shared>,
    generation: u32,
    index: u32,
}

/// A `Waker` is `Send + Sync`, and so must be what its pointer leads to.
const fn assert_send_sync<T: Send + Sync>() {}
const _: () = assert_send_sync::<ProcessWaker>();

impl ProcessWaker {
    pub(crate) fn new(shared: Weak<Shared>, pid: Pid) -> Self {
        Self { shared, generation: pid.generation(), index: pid.index() }
    }

    /// Makes this the source of the next process in the same slot.
    pub(crate) fn set_generation(&mut self, generation: u32) {
        self.generation = generation;
    }

    fn wake(&self) {
        context::with_local(|local| match local {
            // On a thread of the runtime its `Shared` is at hand; elsewhere it must be kept alive meanwhile.
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

/// Returns a waker that owns no count of `source`; a clone of it does.
///
/// # Safety
/// While the waker is used, the caller keeps `source` or a clone of it.
pub(crate) unsafe fn borrowed(source: &Arc<ProcessWaker>) -> ManuallyDrop<Waker> {
    let raw = RawWaker::new(Arc::as_ptr(source).cast(), &VTABLE);
    // SAFETY:
    // 1. The functions of the table keep the contract of `RawWaker` for a pointer to the `ProcessWaker` of an
    //    `Arc`, of which a waker owns one count; they are thread-safe because `ProcessWaker` is `Send +
    //    Sync`, asserted above.
    // 2. This waker owns no count, but it is never dropped.
    // 3. The caller keeps a count while the waker is used.
    ManuallyDrop::new(unsafe { Waker::from_raw(raw) })
}

/// Returns whether `waker` is one of `source`.
#[inline]
pub(crate) fn is_of(waker: &Waker, source: &Arc<ProcessWaker>) -> bool {
    waker.data() == Arc::as_ptr(source).cast() && ptr::eq(waker.vtable(), &VTABLE)
}

/// Returns the process that `waker` wakes; none if it is one of something else, or of another runtime.
pub(crate) fn process_of(waker: &Waker, shared: &Shared) -> Option<Pid> {
    if !ptr::eq(waker.vtable(), &VTABLE) {
        return None;
    }
    // SAFETY: premises 1 and 2 of `VTABLE`: the waker is borrowed, and so a count is owned meanwhile.
    let source = unsafe { &*waker.data().cast::<ProcessWaker>() };
    let is_here = ptr::eq(source.shared.as_ptr(), shared);
    is_here.then(|| Pid::new(shared.id, source.generation, source.index))
}

/// The functions of a process's wakers. All four rest on these premises:
/// 1. `data` came from an `Arc<ProcessWaker>` by `Arc::as_ptr` or from `clone` below.
/// 2. The waker that a function is called for owns one count of it; a borrowed one stands for a count that is
///    owned elsewhere for as long as the waker is used, and is passed to `clone` and `wake_by_ref` only.
static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_waker);

unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: premises 1 and 2 of `VTABLE`: a count exists, so it can be incremented; the new waker owns the
    // new count.
    unsafe { Arc::increment_strong_count(data.cast::<ProcessWaker>()) };
    RawWaker::new(data, &VTABLE)
}

unsafe fn wake(data: *const ()) {
    // SAFETY: premises 1 and 2 of `VTABLE`: the waker owned a count, which this call takes over.
    let source = unsafe { Arc::from_raw(data.cast::<ProcessWaker>()) };
    source.wake();
}

unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: premises 1 and 2 of `VTABLE`: a count is owned during the call, so the source exists.
    let source = unsafe { &*data.cast::<ProcessWaker>() };
    source.wake();
}

unsafe fn drop_waker(data: *const ()) {
    // SAFETY: premises 1 and 2 of `VTABLE`: the waker owned a count, which this call takes over and drops.
    drop(unsafe { Arc::from_raw(data.cast::<ProcessWaker>()) });
}

//! The LIFO slot: the process woken last, which its worker runs next.
#![expect(unsafe_code, reason = "see the proofs")]

use std::{cell::Cell, marker::PhantomData, ptr};

use crate::sync::{
    Arc,
    atomic::{AtomicPtr, Ordering},
};

/// The worker's side of the slot. There is one, so a worker that finds the slot empty may fill it with a
/// plain store: no other thread ever puts anything in.
// perf: ring, 1013 → 686 instructions, together with the spin lock and messages without a box
pub(super) struct LifoSlot<T> {
    inner: Arc<LifoSlotInner<T>>,
    /// Whether there is no other worker, so that taking needs no exchange.
    // perf: pingpong, 1216 → 1211 instructions
    single_worker: bool,
    /// Can be sent to another thread, and not be used by two.
    _not_shared: PhantomData<Cell<()>>,
}

/// The other workers' side. They take the process if its worker is held up.
pub(super) struct LifoStealer<T> {
    inner: Arc<LifoSlotInner<T>>,
    /// Whether there is no other worker, so that nothing is taken.
    single_worker: bool,
}

struct LifoSlotInner<T> {
    /// Null, or a pointer from `Box::into_raw`. A thread that exchanges it for null owns the box.
    pointer: AtomicPtr<T>,
    _owns: PhantomData<Box<T>>,
}

// SAFETY: the slot passes boxes from thread to thread, which `T: Send` allows, and gives no reference to a
// `T`.
unsafe impl<T: Send> Send for LifoSlotInner<T> {}
// SAFETY: a shared slot can do no more than pass boxes, each to one thread.
unsafe impl<T: Send> Sync for LifoSlotInner<T> {}

impl<T> LifoSlot<T> {
    pub(super) fn new(single_worker: bool) -> Self {
        let inner = Arc::new(LifoSlotInner { pointer: AtomicPtr::new(ptr::null_mut()), _owns: PhantomData });
        Self { inner, single_worker, _not_shared: PhantomData }
    }

    pub(super) fn stealer(&self) -> LifoStealer<T> {
        LifoStealer { inner: self.inner.clone(), single_worker: self.single_worker }
    }

    /// Puts a box into the slot, and returns the one before.
    #[inline]
    pub(super) fn replace(&self, next: Box<T>) -> Option<Box<T>> {
        let next = Box::into_raw(next);
        if !self.inner.is_taken() {
            // Only this thread makes it anything but null, so it has stayed null.
            self.inner.pointer.store(next, Ordering::Release);
            return None;
        }
        let before = self.inner.pointer.swap(next, Ordering::AcqRel);
        // SAFETY: the pointer came from `Box::into_raw`, and the exchange gave it to this thread alone.
        (!before.is_null()).then(|| unsafe { Box::from_raw(before) })
    }

    #[inline]
    pub(super) fn take(&self) -> Option<Box<T>> {
        let pointer = self.inner.pointer.load(Ordering::Relaxed);
        if pointer.is_null() {
            return None;
        }
        if self.single_worker {
            self.inner.pointer.store(ptr::null_mut(), Ordering::Relaxed);
            // SAFETY: the pointer came from `Box::into_raw`, and without other workers only this thread takes
            // it.
            return Some(unsafe { Box::from_raw(pointer) });
        }
        let pointer = self.inner.pointer.swap(ptr::null_mut(), Ordering::Acquire);
        // SAFETY: the pointer came from `Box::into_raw`, and the exchange gave it to this thread alone.
        (!pointer.is_null()).then(|| unsafe { Box::from_raw(pointer) })
    }

    #[inline]
    pub(super) fn is_taken(&self) -> bool {
        self.inner.is_taken()
    }
}

impl<T> LifoStealer<T> {
    pub(super) fn take(&self) -> Option<Box<T>> {
        let pointer = self.inner.pointer.load(Ordering::Relaxed);
        if pointer.is_null() || self.single_worker {
            return None;
        }
        let taken = self.inner.pointer.compare_exchange(
            pointer,
            ptr::null_mut(),
            Ordering::Acquire,
            Ordering::Relaxed,
        );
        // SAFETY: the pointer came from `Box::into_raw`, and the exchange gave it to this thread alone. If it
        // was taken and put back between load and exchange, it is as valid as before.
        taken.ok().map(|pointer| unsafe { Box::from_raw(pointer) })
    }

    pub(super) fn is_taken(&self) -> bool {
        self.inner.is_taken()
    }
}

impl<T> LifoSlotInner<T> {
    #[inline]
    fn is_taken(&self) -> bool {
        !self.pointer.load(Ordering::Relaxed).is_null()
    }
}

impl<T> Drop for LifoSlotInner<T> {
    fn drop(&mut self) {
        let pointer = self.pointer.swap(ptr::null_mut(), Ordering::Acquire);
        if !pointer.is_null() {
            // SAFETY: the pointer came from `Box::into_raw`, and the slot is not used again.
            drop(unsafe { Box::from_raw(pointer) });
        }
    }
}

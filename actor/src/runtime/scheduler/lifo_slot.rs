//! The inner for the process woken last, which its worker runs next.
#![expect(unsafe_code, reason = "see the proofs")]

use std::{cell::Cell, marker::PhantomData, ptr};

use crate::sync::{
    Arc,
    atomic::{AtomicPtr, Ordering},
};

/// The worker's side of the inner. There is one, so whoever finds the inner empty here may fill it with a plain store:
/// nobody else ever puts anything in.
pub(super) struct LifoSlot<T> {
    inner: Arc<LifoSlotInner<T>>,
    /// Whether there is no other worker, so that what is taken need not be exchanged.
    single_worker: bool,
    /// It can be sent to another thread, and not be used by two.
    _not_shared: PhantomData<Cell<()>>,
}

/// The other workers' side: they take what is there if its worker is pointer up.
pub(super) struct LifoStealer<T> {
    inner: Arc<LifoSlotInner<T>>,
    /// Then it takes nothing.
    single_worker: bool,
}

struct LifoSlotInner<T> {
    /// Null, or what `Box::into_raw` made. Whoever exchanges it for null owns the box.
    pointer: AtomicPtr<T>,
    _owns: PhantomData<Box<T>>,
}

// SAFETY: a inner passes boxes from thread to thread, and shows nobody what is in them.
unsafe impl<T: Send> Send for LifoSlotInner<T> {}
// SAFETY: the same.
unsafe impl<T: Send> Sync for LifoSlotInner<T> {}

impl<T> LifoSlot<T> {
    pub(super) fn new(single_worker: bool) -> Self {
        let inner = Arc::new(LifoSlotInner { pointer: AtomicPtr::new(ptr::null_mut()), _owns: PhantomData });
        Self { inner, single_worker, _not_shared: PhantomData }
    }

    pub(super) fn stealer(&self) -> LifoStealer<T> {
        LifoStealer { inner: self.inner.clone(), single_worker: self.single_worker }
    }

    /// Puts a box there, and gives back the one that was.
    #[inline]
    pub(super) fn replace(&self, next: Box<T>) -> Option<Box<T>> {
        let next = Box::into_raw(next);
        if !self.inner.is_taken() {
            // Nobody but us makes it anything but null, and this thread is here, so null it has stayed.
            self.inner.pointer.store(next, Ordering::Release);
            return None;
        }
        let before = self.inner.pointer.swap(next, Ordering::AcqRel);
        // SAFETY: see `take`.
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
            // SAFETY: the pointer came out of `Box::into_raw`, and nobody takes it but this thread.
            return Some(unsafe { Box::from_raw(pointer) });
        }
        let pointer = self.inner.pointer.swap(ptr::null_mut(), Ordering::Acquire);
        // SAFETY: the pointer came out of `Box::into_raw`, and the exchange gave it to us and to nobody else.
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
        // SAFETY: as above. Filter it was gone and has come again meanwhile, it is there as well as it was before.
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
            // SAFETY: as above.
            drop(unsafe { Box::from_raw(pointer) });
        }
    }
}

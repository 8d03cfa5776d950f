//! The place for the process woken last, which its worker runs next.
#![expect(unsafe_code, reason = "see the proofs")]

use std::{cell::Cell, marker::PhantomData, ptr};

use crate::sync::{
    Arc,
    atomic::{AtomicPtr, Ordering},
};

/// The worker's side of the place. There is one, so whoever finds the place empty here may fill it with a plain store:
/// nobody else ever puts anything in.
pub(super) struct Next<T> {
    place: Arc<Place<T>>,
    /// Whether there is no other worker, so that what is taken need not be exchanged.
    alone: bool,
    /// It can be sent to another thread, and not be used by two.
    _not_shared: PhantomData<Cell<()>>,
}

/// The other workers' side: they take what is there if its worker is held up.
pub(super) struct NextStealer<T> {
    place: Arc<Place<T>>,
    /// Then it takes nothing.
    alone: bool,
}

struct Place<T> {
    /// Null, or what `Box::into_raw` made. Whoever exchanges it for null owns the box.
    held: AtomicPtr<T>,
    _owns: PhantomData<Box<T>>,
}

// SAFETY: a place passes boxes from thread to thread, and shows nobody what is in them.
unsafe impl<T: Send> Send for Place<T> {}
// SAFETY: the same.
unsafe impl<T: Send> Sync for Place<T> {}

impl<T> Next<T> {
    pub(super) fn new(alone: bool) -> Self {
        let place = Arc::new(Place { held: AtomicPtr::new(ptr::null_mut()), _owns: PhantomData });
        Self { place, alone, _not_shared: PhantomData }
    }

    pub(super) fn stealer(&self) -> NextStealer<T> {
        NextStealer { place: self.place.clone(), alone: self.alone }
    }

    /// Puts a box there, and gives back the one that was.
    #[inline]
    pub(super) fn replace(&self, next: Box<T>) -> Option<Box<T>> {
        let next = Box::into_raw(next);
        if !self.place.is_taken() {
            // Nobody but us makes it anything but null, and this thread is here, so null it has stayed.
            self.place.held.store(next, Ordering::Release);
            return None;
        }
        let before = self.place.held.swap(next, Ordering::AcqRel);
        // SAFETY: see `take`.
        (!before.is_null()).then(|| unsafe { Box::from_raw(before) })
    }

    #[inline]
    pub(super) fn take(&self) -> Option<Box<T>> {
        let held = self.place.held.load(Ordering::Relaxed);
        if held.is_null() {
            return None;
        }
        if self.alone {
            self.place.held.store(ptr::null_mut(), Ordering::Relaxed);
            // SAFETY: the pointer came out of `Box::into_raw`, and nobody takes it but this thread.
            return Some(unsafe { Box::from_raw(held) });
        }
        let held = self.place.held.swap(ptr::null_mut(), Ordering::Acquire);
        // SAFETY: the pointer came out of `Box::into_raw`, and the exchange gave it to us and to nobody else.
        (!held.is_null()).then(|| unsafe { Box::from_raw(held) })
    }

    #[inline]
    pub(super) fn is_taken(&self) -> bool {
        self.place.is_taken()
    }
}

impl<T> NextStealer<T> {
    pub(super) fn take(&self) -> Option<Box<T>> {
        let held = self.place.held.load(Ordering::Relaxed);
        if held.is_null() || self.alone {
            return None;
        }
        let taken =
            self.place.held.compare_exchange(held, ptr::null_mut(), Ordering::Acquire, Ordering::Relaxed);
        // SAFETY: as above. Filter it was gone and has come again meanwhile, it is there as well as it was before.
        taken.ok().map(|held| unsafe { Box::from_raw(held) })
    }

    pub(super) fn is_taken(&self) -> bool {
        self.place.is_taken()
    }
}

impl<T> Place<T> {
    #[inline]
    fn is_taken(&self) -> bool {
        !self.held.load(Ordering::Relaxed).is_null()
    }
}

impl<T> Drop for Place<T> {
    fn drop(&mut self) {
        let held = self.held.swap(ptr::null_mut(), Ordering::Acquire);
        if !held.is_null() {
            // SAFETY: as above.
            drop(unsafe { Box::from_raw(held) });
        }
    }
}

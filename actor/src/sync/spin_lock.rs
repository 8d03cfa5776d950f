//! A lock that is held for a few instructions, never while code of a user runs, and never across a sleep.
//!
//! Taking it is one exchange and letting go a plain store, where the standard library's takes two exchanges; a message
//! between two processes passes two such locks. Who finds it taken tries again for a while, and then lets another thread
//! have the processor: the one that holds it may have been interrupted.
#![expect(unsafe_code, reason = "see the proofs")]

use std::{
    cell::UnsafeCell,
    ops::{Deref, DerefMut},
};

use crate::sync::{
    RawLock,
    atomic::{AtomicBool, Ordering},
    back_off,
};

/// A lock around a `T`, and a `B` that may be mailbox_scanned at without it. They lie in memory as they stand here, so that what is
/// used together is together.
#[repr(C)]
pub(crate) struct SpinLock<T, B = ()> {
    raw: RawLock,
    pub(crate) header: B,
    value: UnsafeCell<T>,
}

// SAFETY: the value is only reached through a guard, of which there is one at a time (see [`RawSpin`]), and whatever happened
// to it under one guard happened before the next: as good as sending it from thread to thread.
unsafe impl<T: Send, B: Sync> Sync for SpinLock<T, B> {}

impl<T, B: Default> SpinLock<T, B> {
    pub(crate) fn new(value: T) -> Self {
        Self { raw: RawLock::new(), header: B::default(), value: UnsafeCell::new(value) }
    }

    #[inline]
    pub(crate) fn lock(&self) -> SpinGuard<'_, T, B> {
        self.raw.lock();
        SpinGuard { lock: self }
    }
}

pub(crate) struct SpinGuard<'a, T, B = ()> {
    lock: &'a SpinLock<T, B>,
}

// SAFETY: a shared guard gives shared references to the value and nothing else.
unsafe impl<T: Sync, B: Sync> Sync for SpinGuard<'_, T, B> {}

impl<T, B> Deref for SpinGuard<'_, T, B> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: this is the one guard there is, and it is borrowed for as long as the reference lives.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T, B> DerefMut for SpinGuard<'_, T, B> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and borrowed by nobody else.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T, B> Drop for SpinGuard<'_, T, B> {
    #[inline]
    fn drop(&mut self) {
        self.lock.raw.unlock();
    }
}

/// Lets one thread in at a time: there is a model of it in `models.rs`.
pub(crate) struct RawSpin(AtomicBool);

impl RawSpin {
    pub(crate) fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// Returns when nobody else is in; what they did before they left has happened.
    #[inline]
    pub(crate) fn lock(&self) {
        if !self.try_lock() {
            self.lock_slow();
        }
    }

    #[inline]
    fn try_lock(&self) -> bool {
        self.0.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    #[cold]
    fn lock_slow(&self) {
        let mut tries = 0;
        loop {
            back_off(&mut tries);
            // A look first: an exchange would take the memory away from whoever is in.
            if !self.0.load(Ordering::Relaxed) && self.try_lock() {
                return;
            }
        }
    }

    /// Only for whoever is in.
    #[inline]
    pub(crate) fn unlock(&self) {
        self.0.store(false, Ordering::Release);
    }
}

//! A spin lock for sections of a few instructions, in which no code of a user runs and no thread sleeps.
//!
//! Locking is one exchange and unlocking a plain store, where the standard library's mutex takes two
//! exchanges; a message between two processes passes two such locks. A thread that finds the lock taken spins
//! for a while and then yields the processor, because the holder may have been preempted.
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

/// A lock around a `T`, with a header `H` that can be read without it. They are laid out in this order, so
/// that what is used together is together.
// perf: ring, 1013 → 686 instructions, together with the LIFO slot and messages without a box
#[repr(C)]
pub(crate) struct SpinLock<T, H = ()> {
    raw: RawLock,
    pub(crate) header: H,
    value: UnsafeCell<T>,
}

// SAFETY:
// 1. The value is reached only through a guard, and the raw lock admits one guard at a time.
// 2. What happened under one guard happened before the next one (release and acquire), as if the value were
// sent from thread to thread, which `T: Send` allows.
// 3. The header is shared, which `H: Sync` allows.
unsafe impl<T: Send, H: Sync> Sync for SpinLock<T, H> {}

impl<T, H: Default> SpinLock<T, H> {
    pub(crate) fn new(value: T) -> Self {
        Self { raw: RawLock::new(), header: H::default(), value: UnsafeCell::new(value) }
    }

    #[inline]
    pub(crate) fn lock(&self) -> SpinGuard<'_, T, H> {
        self.raw.lock();
        SpinGuard { lock: self }
    }
}

pub(crate) struct SpinGuard<'a, T, H = ()> {
    lock: &'a SpinLock<T, H>,
}

// SAFETY: a shared guard gives shared references to the value and nothing else, which `T: Sync` allows.
unsafe impl<T: Sync, H: Sync> Sync for SpinGuard<'_, T, H> {}

impl<T, H> Deref for SpinGuard<'_, T, H> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: this is the only guard, and it is borrowed for as long as the reference lives.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T, H> DerefMut for SpinGuard<'_, T, H> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: this is the only guard, and it is borrowed exclusively for as long as the reference lives.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T, H> Drop for SpinGuard<'_, T, H> {
    #[inline]
    fn drop(&mut self) {
        self.lock.raw.unlock();
    }
}

/// A lock without a value. `testing/loom_models.rs` has a model of it.
pub(crate) struct RawSpin(AtomicBool);

impl RawSpin {
    pub(crate) fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// Waits until the lock is free and takes it. What happened before it was released has happened before
    /// this returns.
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
            // Load first: an exchange would take the cache line away from the holder.
            if !self.0.load(Ordering::Relaxed) && self.try_lock() {
                return;
            }
        }
    }

    /// Releases the lock. Only the holder may call this.
    #[inline]
    pub(crate) fn unlock(&self) {
        self.0.store(false, Ordering::Release);
    }
}

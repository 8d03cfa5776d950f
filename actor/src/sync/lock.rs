//! Locking without poison: no code of a user runs under a mutex of this crate, so a panic cannot leave its
//! value half changed.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex, whether it is poisoned or not.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

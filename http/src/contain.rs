//! The guard around code of users that runs outside a handler.
//!
//! It is that of the protocol alone, which knows no runtime; what a panic means is the caller's to say.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs code of a user; none if it panics. The payload of the panic is a value of the user's, which may panic
/// when it is dropped, and so may the payload of that panic: the last one is leaked.
pub(crate) fn contain<R>(f: impl FnOnce() -> R) -> Option<R> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(value) => Some(value),
        Err(payload) => {
            if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
                std::mem::forget(again);
            }
            None
        }
    }
}

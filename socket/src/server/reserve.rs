//! A spare descriptor for the moment when no other is left.

use std::{
    fs::File,
    sync::{Mutex, PoisonError},
};

/// The spare descriptor. With it a waiting client can be accepted and sent away although the program has run
/// out of descriptors.
#[derive(Debug)]
pub(super) struct Reserve(Mutex<Option<File>>);

impl Reserve {
    pub(super) fn new() -> Self {
        Self(Mutex::new(take()))
    }

    /// Closes the descriptor while `work` runs, and opens one again.
    pub(super) fn lend<T>(&self, work: impl FnOnce() -> T) -> T {
        let mut reserve = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *reserve = None;
        let done = work();
        *reserve = take();
        done
    }
}

/// Opens a descriptor. Without one the server starts all the same, since there may be one later.
fn take() -> Option<File> {
    File::open(if cfg!(windows) { "NUL" } else { "/dev/null" }).ok()
}

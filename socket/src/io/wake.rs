//! Waking wakers that may be a user's.

use std::task::Waker;

use riot_actor::process::contain;

/// Wakes wakers. Each may be a user's: a panic in one is reported, and the others are woken all the same.
/// Must be called while no lock is held.
pub(crate) fn wake_all(wakers: impl IntoIterator<Item = Waker>) {
    let mut wakers = wakers.into_iter();
    while contain(|| wakers.by_ref().for_each(Waker::wake)).is_none() {}
}

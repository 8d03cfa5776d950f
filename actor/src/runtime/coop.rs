//! Giving way: what every await of this project passes before it completes.
//!
//! For authors of futures that complete without waiting, such as reads of a socket that always has bytes.

use std::{
    future::poll_fn,
    hint::cold_path,
    task::{Context, Poll},
};

use crate::runtime::{
    context,
    kernel::record::{Process, Slot},
};

/// Spends one unit of the running process's turn. `Pending` when the turn is used up (the process is queued again
/// behind the ready ones), and for good once the process is condemned. `Ready` outside a process.
pub fn poll_proceed(cx: &mut Context<'_>) -> Poll<()> {
    context::with_local(|local| {
        let Some(local) = local else { return Poll::Ready(()) };
        local.with_running(|slot, running| proceed(slot, running, cx)).unwrap_or(Poll::Ready(()))
    })
}

#[inline]
pub(crate) fn proceed(slot: &Slot, running: &mut Process, cx: &mut Context<'_>) -> Poll<()> {
    if slot.is_condemned() {
        cold_path();
        return Poll::Pending;
    }
    if running.reductions == 0 {
        cold_path();
        cx.waker().wake_by_ref();
        return Poll::Pending;
    }
    running.reductions -= 1;
    Poll::Ready(())
}

/// `Pending`, for good, once the running process is condemned; costs nothing of its turn.
pub(crate) fn poll_live() -> Poll<()> {
    context::with_local(|local| {
        let Some(local) = local else { return Poll::Ready(()) };
        match local.with_running(|slot, _| slot.is_condemned()) {
            Some(true) => Poll::Pending,
            _ => Poll::Ready(()),
        }
    })
}

/// Lets the other ready processes of the same priority run first.
pub async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return poll_live();
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

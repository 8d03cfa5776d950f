//! Cooperative scheduling: the reductions that every await of this crate spends before it completes.

use std::{
    future::poll_fn,
    hint::cold_path,
    task::{Context, Poll},
};

use super::{
    context,
    kernel::{process::Process, record::Slot},
};

/// Spends one reduction of the running process.
///
/// Is pending once the poll slice has none left (the process is enqueued again behind the runnable ones), and
/// for good once the process is condemned. Is ready outside a process.
///
/// ```
/// # use std::future::poll_fn;
/// # riot_actor::run(async {
/// for _ in 0..5_000 {
///     poll_fn(riot_actor::coop::poll_proceed).await; // gives way every 2 000 times
/// }
/// # });
/// ```
#[inline] // perf: keep-alive request, 2487 → 2462 instructions
pub fn poll_proceed(cx: &mut Context<'_>) -> Poll<()> {
    let proceed = context::with_local(|local| {
        let Some(local) = local else { return Proceed::Go };
        local.with_running(spend).unwrap_or(Proceed::Go)
    });
    proceed.poll(cx)
}

/// Whether the running process may complete an await.
#[must_use = "an exhausted poll slice must be continued: call `wake_if_exhausted`"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proceed {
    Go,
    /// The process receives nothing more.
    Condemned,
    /// The poll slice has no reductions left. The caller must wake the task's waker, but not while the
    /// running process is borrowed: a waker of a user may call anything.
    Exhausted,
}

impl Proceed {
    #[inline]
    fn poll(self, cx: &mut Context<'_>) -> Poll<()> {
        if self == Self::Go {
            return Poll::Ready(());
        }
        cold_path();
        self.wake_if_exhausted(cx);
        Poll::Pending
    }

    /// Has the task polled again in its next poll slice. Call it while the running process is not borrowed.
    #[inline]
    pub(crate) fn wake_if_exhausted(self, cx: &mut Context<'_>) {
        if self == Self::Exhausted {
            cold_path();
            cx.waker().wake_by_ref();
        }
    }
}

/// Spends one reduction of a process.
#[inline]
pub(crate) fn spend(slot: &Slot, running: &mut Process) -> Proceed {
    if slot.needs_attention() {
        cold_path();
        return attend(slot, running);
    }
    spend_one(running)
}

#[inline]
fn spend_one(running: &mut Process) -> Proceed {
    if running.reductions == 0 {
        cold_path();
        return Proceed::Exhausted;
    }
    running.reductions -= 1;
    Proceed::Go
}

/// Does what the process must do before it goes on, and spends one reduction.
#[cold]
#[inline(never)]
fn attend(slot: &Slot, running: &mut Process) -> Proceed {
    if slot.is_condemned() {
        return Proceed::Condemned;
    }
    if slot.may_have_priority() {
        slot.look_for_priority(&mut running.mailbox);
    }
    spend_one(running)
}

/// Returns whether the poll slice has reductions left. Outside a process it always has.
pub(crate) fn has_reductions() -> bool {
    let has = context::with_local(|local| local?.with_running(|_, running| running.reductions > 0));
    has.unwrap_or(true)
}

/// Is pending, for good, once the running process is condemned. Spends no reduction.
pub(crate) fn poll_live() -> Poll<()> {
    context::with_local(|local| {
        let Some(local) = local else { return Poll::Ready(()) };
        match local.with_running(|slot, _| slot.is_condemned()) {
            Some(true) => Poll::Pending,
            _ => Poll::Ready(()),
        }
    })
}

/// Lets the other runnable processes of the same priority run first.
///
/// ```
/// # riot_actor::run(async {
/// riot_actor::process::yield_now().await;
/// # });
/// ```
///
/// # Cancel safety
/// Dropping the future has no effect.
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

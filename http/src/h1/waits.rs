//! The waits of handlers: for the peer, for a flush, for the transport after a switch.

use std::{
    num::NonZeroU64,
    task::{Poll, Waker},
};

use super::{
    queue::ResponseState,
    shared::Shared,
    state::{Offer, State, Writing},
};
use crate::UpgradeError;

/// The outcome of a flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FlushState {
    Sent,
    Lost,
}

impl State {
    /// Lets the handler under way run to its end whatever becomes of the peer.
    pub(crate) fn keep_handler(&mut self, id: u64) {
        if self.active(id).is_some() {
            self.keep_handler = true;
        }
    }

    /// Ready when the peer is gone, unless the handler under way is kept.
    #[inline]
    pub(crate) fn poll_peer_gone(&mut self, waker: &Waker) -> Poll<()> {
        if self.keep_handler {
            return Poll::Pending;
        }
        if self.peer_is_gone() {
            return Poll::Ready(());
        }
        register(&mut self.handler_waker, waker);
        Poll::Pending
    }

    /// Ready when the peer is gone.
    pub(crate) fn poll_closed(&mut self, wait: &mut Wait<'_>) -> Poll<()> {
        if self.peer_is_gone() {
            return Poll::Ready(());
        }
        self.register_ending(wait)
    }

    /// Ready when the connection ends in order, or has ended.
    pub(crate) fn poll_drain(&mut self, wait: &mut Wait<'_>) -> Poll<()> {
        if self.is_ending() {
            return Poll::Ready(());
        }
        self.register_ending(wait)
    }

    fn register_ending(&mut self, Wait { key, waker }: &mut Wait<'_>) -> Poll<()> {
        self.cold_mut().endings.register(key, waker);
        Poll::Pending
    }

    /// Frees the slot of a wait for the end. The result is to be dropped outside the lock.
    pub(crate) fn forget_ending(&mut self, key: NonZeroU64) -> Option<Waker> {
        self.cold.as_mut()?.endings.remove(key)
    }

    /// Ready when everything before `position` has been sent, or is lost.
    pub(crate) fn poll_flush(&mut self, position: u64, waker: &mut Option<Waker>) -> Poll<FlushState> {
        if self.bytes_sent < position {
            self.register_flush(position, waker);
            return Poll::Pending;
        }
        let lost = self.lost_at.is_some_and(|lost_at| lost_at < position);
        Poll::Ready(if lost { FlushState::Lost } else { FlushState::Sent })
    }

    /// Registers `waker`, if there is one, for the time when all before `position` has been sent. The waker
    /// before it is left there.
    pub(crate) fn register_flush(&mut self, position: u64, waker: &mut Option<Waker>) {
        if let Some(new) = waker.take() {
            let before = self.cold_mut().flush.replace((position, new));
            *waker = before.map(|(_, waker)| waker);
        }
    }

    /// Ready when the driver has handed the transport over after a switch of protocols, or never will.
    pub(crate) fn poll_transport(&mut self, waker: &mut Option<Waker>) -> Poll<Result<Offer, UpgradeError>> {
        if let Some(offer) = self.cold_mut().offer.take() {
            return Poll::Ready(Ok(offer));
        }
        if self.lost_at.is_some() || self.driver_gone {
            return Poll::Ready(Err(UpgradeError::Closed));
        }
        replace(&mut self.cold_mut().upgrade, waker);
        Poll::Pending
    }

    /// No process takes requests any more: the one under way is still answered.
    pub(crate) fn requests_dropped(&mut self) {
        if self.writing == Writing::Open {
            let under_way =
                self.exchanges.front().is_some_and(|first| first.response != ResponseState::Queued);
            self.truncate_requests(usize::from(under_way));
            self.refuse_requests();
            self.finish_call();
        }
    }
}

/// A wait for the end of a connection: its slot, and the waker of this poll, if it is to be registered.
pub(crate) struct Wait<'a> {
    pub(crate) key: &'a mut Option<NonZeroU64>,
    pub(crate) waker: Option<Waker>,
}

impl Shared {
    /// Polls for the end of the connection by `poll`, with a slot of its own.
    pub(crate) fn poll_ending(
        &self,
        key: &mut Option<NonZeroU64>,
        waker: &Waker,
        poll: fn(&mut State, &mut Wait<'_>) -> Poll<()>,
    ) -> Poll<()> {
        let mut wait = Wait { key, waker: Some(waker.clone()) };
        // What is left of the waker is dropped outside the lock.
        poll(&mut self.lock_quiet(), &mut wait)
    }
}

/// Polls without a waker, and once more with one that was cloned outside the lock if the first poll is
/// pending. What is left of the waker is dropped outside the lock as well.
pub(crate) fn poll_unlocked<T>(
    waker: &Waker,
    mut poll: impl FnMut(&mut Option<Waker>) -> Poll<T>,
) -> Poll<T> {
    let polled = poll(&mut None);
    if polled.is_ready() {
        return polled;
    }
    poll(&mut Some(waker.clone()))
}

/// Puts `waker` into `slot`, if there is one; the waker before it is left there.
pub(crate) fn replace(slot: &mut Option<Waker>, waker: &mut Option<Waker>) {
    if waker.is_some() {
        std::mem::swap(slot, waker);
    }
}

/// Keeps `waker` in `slot`; clones it only if the slot holds another one. For wakers of the driver alone.
fn register(slot: &mut Option<Waker>, waker: &Waker) {
    match slot {
        Some(old) => old.clone_from(waker),
        none => *none = Some(waker.clone()),
    }
}

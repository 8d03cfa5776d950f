//! The waits of handlers: for the peer, for a flush, for the transport after a switch.

use std::task::{Context, Poll, Waker};

use super::{
    queue::ResponseState,
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
    pub(crate) fn poll_closed(&mut self, waker: &Waker) -> Poll<()> {
        if self.peer_is_gone() {
            return Poll::Ready(());
        }
        self.register_ending(waker);
        Poll::Pending
    }

    /// Ready when the connection ends in order, or has ended.
    pub(crate) fn poll_drain(&mut self, waker: &Waker) -> Poll<()> {
        if self.is_ending() {
            return Poll::Ready(());
        }
        self.register_ending(waker);
        Poll::Pending
    }

    fn register_ending(&mut self, waker: &Waker) {
        let endings = &mut self.cold_mut().endings;
        if !endings.iter().any(|known| known.will_wake(waker)) {
            endings.push(waker.clone());
        }
    }

    /// Ready when everything before `position` has been sent, or is lost.
    pub(crate) fn poll_flush(&mut self, position: u64, cx: &mut Context<'_>) -> Poll<FlushState> {
        if self.bytes_sent < position {
            self.cold_mut().flush = Some((position, cx.waker().clone()));
            return Poll::Pending;
        }
        let lost = self.lost_at.is_some_and(|lost_at| lost_at < position);
        Poll::Ready(if lost { FlushState::Lost } else { FlushState::Sent })
    }

    /// Ready when the driver has handed the transport over after a switch of protocols, or never will.
    pub(crate) fn poll_transport(&mut self, waker: &Waker) -> Poll<Result<Offer, UpgradeError>> {
        if let Some(offer) = self.cold_mut().offer.take() {
            return Poll::Ready(Ok(offer));
        }
        if self.lost_at.is_some() || self.driver_gone {
            return Poll::Ready(Err(UpgradeError::Closed));
        }
        register(&mut self.cold_mut().upgrade, waker);
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

/// Keeps `waker` in `slot`; clones it only if the slot holds another one.
pub(crate) fn register(slot: &mut Option<Waker>, waker: &Waker) {
    match slot {
        Some(old) => old.clone_from(waker),
        none => *none = Some(waker.clone()),
    }
}

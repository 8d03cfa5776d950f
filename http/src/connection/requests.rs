//! The application's side of a connection: its requests as they come, and its end.

use std::{
    future::poll_fn,
    hint::cold_path,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use super::{
    Reqd,
    exchange::Answer,
    state::{Shared, Writing, register},
};

/// The requests of one connection, one after the other (H1).
///
/// The next comes when the one before it has been answered and its body has been read or dropped. Dropped, it lets
/// the request under way finish and takes no more.
#[derive(Debug)]
pub struct Requests {
    shared: Arc<Shared>,
}

impl Requests {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The same, each of them knowing that it came from this address.
    #[must_use]
    pub fn from_peer(self, peer: Option<SocketAddr>) -> Self {
        self.shared.lock().peer = peer;
        self
    }

    /// The next request; none when the connection will bring no more.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, it has taken nothing.
    pub async fn next(&mut self) -> Option<Reqd> {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// As [`next`](Self::next). Ready at once if a request waits and there is room to answer it.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Reqd>> {
        let mut inner = self.shared.lock();
        if inner.requests_are_over() {
            cold_path();
            return Poll::Ready(None);
        }
        if inner.has_room() {
            if let Some((id, head)) = inner.hand_over() {
                let has_body = inner.active(id).is_some_and(|exchange| exchange.asked.incoming.is_some());
                drop(inner);
                let reqd = Reqd::new(self.shared.clone(), id, head, has_body);
                return Poll::Ready(Some(reqd));
            }
        } else {
            inner.next_needs_room = true;
        }
        inner.next.register(context.waker());
        Poll::Pending
    }

    /// As [`closed`](Self::closed), unless the handler under way is to finish whatever becomes of the client.
    pub(crate) fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.shared.lock();
        if inner.kept {
            return Poll::Pending;
        }
        if inner.is_dead() {
            return Poll::Ready(());
        }
        register(&mut inner.gone, context.waker());
        Poll::Pending
    }

    /// Ready when the peer is gone, or both directions are closed: whatever a handler still does, nobody will see it
    /// (H12). A peer that only stopped sending is not gone.
    pub fn closed(&self) -> Closed {
        Closed { shared: self.shared.clone() }
    }
}

impl Drop for Requests {
    fn drop(&mut self) {
        let mut inner = self.shared.lock();
        if inner.writing == Writing::Open {
            let waiting =
                usize::from(inner.exchanges.front().is_some_and(|first| first.answer != Answer::Queued));
            inner.forget_from(waiting);
            inner.drain();
            inner.leave();
        }
    }
}

/// The end of a connection, to be waited for; see [`Requests::closed`].
#[derive(Debug)]
#[must_use = "it is to be awaited"]
pub struct Closed {
    shared: Arc<Shared>,
}

impl Future for Closed {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.shared.lock();
        if inner.is_dead() {
            return Poll::Ready(());
        }
        let closed = &mut inner.rare().closed;
        if !closed.iter().any(|waker| waker.will_wake(context.waker())) {
            closed.push(context.waker().clone());
        }
        Poll::Pending
    }
}

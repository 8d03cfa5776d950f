//! The requests of a connection, for whatever runs their handlers.

use std::{
    future::poll_fn,
    hint::cold_path,
    net::SocketAddr,
    num::NonZeroU64,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use super::{Reqd, failed_request::FailedRequest, handle::ExchangeHandle};
use crate::{
    HandlerError, Http1, HttpConfig,
    h1::{Shared, State},
    observe::Peer,
};

/// The requests of a connection, in the order in which they came.
///
/// The next one is ready when the response to the one before it is complete. Dropped, it lets the request
/// under way finish and accepts no more.
#[derive(Debug)]
pub struct Requests {
    shared: Arc<Shared>,
}

impl Http1 {
    /// Creates the flow for a connection just opened, and the requests that will come on it.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use riot_http::{Http1, HttpConfig};
    /// let (flow, requests) = Http1::new(Arc::new(HttpConfig::new()));
    /// # let _ = (flow, requests);
    /// ```
    #[must_use]
    pub fn new(config: Arc<HttpConfig>) -> (Self, Requests) {
        Self::for_peer(config, None)
    }

    /// Creates the flow as [`new`](Self::new) does; its requests report `peer` as their [peer](Reqd::peer).
    #[must_use]
    pub fn for_peer(config: Arc<HttpConfig>, peer: Option<SocketAddr>) -> (Self, Requests) {
        let peer = Peer {
            address: peer,
            #[cfg(feature = "driver")]
            connector: None,
        };
        Self::for_connection(config, peer)
    }

    /// Creates the flow for a connection of a server.
    pub(crate) fn for_connection(config: Arc<HttpConfig>, peer: Peer) -> (Self, Requests) {
        let shared = Shared::new(config, peer);
        (Self::with_state(shared.clone()), Requests { shared })
    }
}

impl Requests {
    /// Returns the next request, or none when the connection will bring no more.
    ///
    /// # Cancel safety
    /// If the future is dropped before it is ready, nothing has been taken.
    pub async fn next(&mut self) -> Option<Reqd> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Polls for the next request; see [`next`](Self::next). Ready at once if a request waits and there is
    /// room for its response.
    #[inline]
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Reqd>> {
        let mut state = self.shared.lock();
        if state.unreported {
            cold_path();
            drop(state);
            self.report(None);
            state = self.shared.lock();
        }
        if state.no_request_will_follow() {
            cold_path();
            return Poll::Ready(None);
        }
        if state.has_room() {
            if let Some((id, head)) = state.hand_over() {
                let follows = state.begin_handling(id);
                if state.unreported {
                    cold_path();
                    drop(state);
                    self.report_traces();
                } else {
                    drop(state);
                }
                let handle = ExchangeHandle::new(self.shared.clone(), id);
                return Poll::Ready(Some(Reqd::new(handle, head, follows)));
            }
        } else {
            state.next_needs_room = true;
        }
        state.next_request.register(cx.waker());
        Poll::Pending
    }

    /// Reports the failure of the handler that ran last: the error that it returned, else what the connection
    /// knows. Reports nothing if there is neither.
    #[cold]
    pub(crate) fn report(&self, error: Option<HandlerError>) {
        let mut state = self.shared.lock();
        let (failure, note, has_switched) = (state.take_failure(), state.note, state.has_switched());
        let reports = state.take_reports();
        state.unreported = false;
        let config = state.config.clone();
        drop(state);
        let about = FailedRequest {
            peer: self.shared.peer(),
            note,
            has_switched,
            #[cfg(feature = "driver")]
            levels: config.log_levels,
        };
        match (error, failure) {
            (Some(error), failure) => {
                if about.report_error(error, failure) {
                    config.counters.count_handler_error();
                }
            }
            (None, Some(failure)) => {
                about.report_failure(failure);
                config.counters.count_handler_error();
            }
            (None, None) => {}
        }
        self.shared.report(&reports);
    }

    /// Reports what was noted of watched requests, and leaves the failure of a handler for later.
    #[cold]
    fn report_traces(&self) {
        let mut state = self.shared.lock();
        let reports = state.take_reports();
        state.unreported = state.cold.as_ref().is_some_and(|cold| cold.failure_is_due);
        drop(state);
        self.shared.report(&reports);
    }

    /// Adds the request that was handed over last to the crash report of the running process, if there is
    /// one.
    #[cold]
    pub(crate) fn describe_crash(&self) {
        #[cfg(feature = "driver")]
        {
            let (method, path) = self.shared.lock().note.method_and_path();
            riot_actor::telemetry::add_crash_detail("request", &format!("{method} {path}"));
        }
    }

    /// Ready as [`closed`](Self::closed) is, unless the handler under way runs to its end in any case.
    pub(crate) fn poll_peer_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.shared.lock_quiet();
        let polled = state.poll_peer_gone(cx.waker());
        if state.unreported {
            cold_path();
            drop(state);
            self.report_traces();
        }
        polled
    }

    /// Waits until the peer is gone or both directions are closed: whatever a handler still does, the client
    /// will not see it. A peer that only stopped sending is not gone.
    pub fn closed(&self) -> Closed {
        Closed { shared: self.shared.clone(), key: None }
    }
}

impl Drop for Requests {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.requests_dropped();
        if state.unreported {
            cold_path();
            drop(state);
            self.report(None);
        }
    }
}

/// A future that is ready when its connection has ended; see [`Requests::closed`].
#[derive(Debug)]
#[must_use = "futures do nothing unless they are awaited"]
pub struct Closed {
    shared: Arc<Shared>,
    /// The slot of its wait.
    key: Option<NonZeroU64>,
}

impl Drop for Closed {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            let waker = self.shared.lock_quiet().forget_ending(key);
            drop(waker);
        }
    }
}

impl Future for Closed {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { shared, key } = self.get_mut();
        shared.poll_ending(key, cx.waker(), State::poll_closed)
    }
}

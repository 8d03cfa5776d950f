//! The signal by which a handler learns of a drain.

use std::{
    fmt,
    num::NonZeroU64,
    pin::Pin,
    task::{Context, Poll},
};

use super::handle::ExchangeHandle;
#[cfg(feature = "hyper-upgrade")]
use crate::wakers::{WaitList, wake_each};

/// A future that is ready once the connection of a request drains: the server stops, or the connection has
/// reached its age. It is ready too once the connection has ended.
///
/// A handler that waits for something, such as a long poll, waits for this too, and answers early. Clones
/// may be awaited in any process or thread.
///
/// ```
/// use std::{future::poll_fn, pin::{Pin, pin}, task::Poll};
/// use riot_http::{Request, Response};
///
/// /// Answers when there is news, or when the server is about to stop.
/// async fn long_poll(request: Request, news: impl Future<Output = String>) -> Response {
///     let (mut drain, mut news) = (request.drain_signal(), pin!(news));
///     poll_fn(|cx| match Pin::new(&mut drain).poll(cx) {
///         Poll::Ready(()) => Poll::Ready(Response::text("no news")),
///         Poll::Pending => news.as_mut().poll(cx).map(Response::text),
///     })
///     .await
/// }
/// # let _ = |request| long_poll(request, std::future::pending());
/// ```
///
/// # Cancel safety
/// Dropping it changes nothing.
#[must_use = "it has to be awaited to wait"]
pub struct DrainSignal {
    source: SignalSource,
    /// The slot of its wait.
    key: Option<NonZeroU64>,
}

/// A clone waits in a slot of its own.
impl Clone for DrainSignal {
    fn clone(&self) -> Self {
        Self { source: self.source.clone(), key: None }
    }
}

impl Drop for DrainSignal {
    fn drop(&mut self) {
        let Some(key) = self.key else { return };
        match &self.source {
            SignalSource::Exchange(exchange) => exchange.forget_drain(key),
            #[cfg(feature = "hyper-upgrade")]
            SignalSource::Flag(flag) => flag.forget(key),
        }
    }
}

/// The part of the server that knows of the drain.
#[derive(Clone)]
enum SignalSource {
    Exchange(ExchangeHandle),
    /// The connection is no longer one of our protocol.
    #[cfg(feature = "hyper-upgrade")]
    Flag(std::sync::Arc<DrainFlag>),
}

/// A drain of a connection that is served by another implementation of HTTP.
#[cfg(feature = "hyper-upgrade")]
#[derive(Default)]
pub(crate) struct DrainFlag(parking_lot::Mutex<(bool, WaitList)>);

#[cfg(feature = "hyper-upgrade")]
impl DrainFlag {
    /// Records that the connection drains, or has ended.
    pub(crate) fn set(&self) {
        let wakers = {
            let (is_set, waiting) = &mut *self.0.lock();
            *is_set = true;
            waiting.take()
        };
        wake_each(wakers);
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.lock().0
    }

    fn poll(&self, key: &mut Option<NonZeroU64>, cx: &Context<'_>) -> Poll<()> {
        // A waker is code of a user, so it is cloned and dropped outside the lock.
        let mut waker = Some(cx.waker().clone());
        let (is_set, waiting) = &mut *self.0.lock();
        if *is_set {
            return Poll::Ready(());
        }
        waiting.register(key, &mut waker);
        Poll::Pending
    }

    fn forget(&self, key: NonZeroU64) {
        let waker = self.0.lock().1.remove(key);
        drop(waker);
    }
}

impl DrainSignal {
    pub(super) fn new(exchange: ExchangeHandle) -> Self {
        Self { source: SignalSource::Exchange(exchange), key: None }
    }

    #[cfg(feature = "hyper-upgrade")]
    pub(crate) fn of_flag(flag: std::sync::Arc<DrainFlag>) -> Self {
        Self { source: SignalSource::Flag(flag), key: None }
    }

    /// Returns whether the connection drains, or has ended.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        match &self.source {
            SignalSource::Exchange(exchange) => exchange.is_ending(),
            #[cfg(feature = "hyper-upgrade")]
            SignalSource::Flag(flag) => flag.is_set(),
        }
    }
}

impl Future for DrainSignal {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { source, key } = self.get_mut();
        match source {
            SignalSource::Exchange(exchange) => exchange.poll_drain(key, cx.waker()),
            #[cfg(feature = "hyper-upgrade")]
            SignalSource::Flag(flag) => flag.poll(key, cx),
        }
    }
}

impl fmt::Debug for DrainSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DrainSignal({})", if self.is_draining() { "draining" } else { "waiting" })
    }
}

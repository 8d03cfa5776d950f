//! The signal by which a handler learns of a drain.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use super::handle::ExchangeHandle;

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
#[derive(Clone)]
#[must_use = "it has to be awaited to wait"]
pub struct DrainSignal {
    source: SignalSource,
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
pub(crate) struct DrainFlag(parking_lot::Mutex<(bool, Vec<std::task::Waker>)>);

#[cfg(feature = "hyper-upgrade")]
impl DrainFlag {
    /// Records that the connection drains, or has ended.
    pub(crate) fn set(&self) {
        let wakers = {
            let (is_set, wakers) = &mut *self.0.lock();
            *is_set = true;
            std::mem::take(wakers)
        };
        wakers.into_iter().for_each(std::task::Waker::wake);
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.lock().0
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        // A waker is code of a user, so it is cloned outside the lock.
        let waker = cx.waker().clone();
        let (is_set, wakers) = &mut *self.0.lock();
        if *is_set {
            return Poll::Ready(());
        }
        if !wakers.iter().any(|known| known.will_wake(&waker)) {
            wakers.push(waker);
        }
        Poll::Pending
    }
}

impl DrainSignal {
    pub(super) fn new(exchange: ExchangeHandle) -> Self {
        Self { source: SignalSource::Exchange(exchange) }
    }

    #[cfg(feature = "hyper-upgrade")]
    pub(crate) fn of_flag(flag: std::sync::Arc<DrainFlag>) -> Self {
        Self { source: SignalSource::Flag(flag) }
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
        match &self.source {
            SignalSource::Exchange(exchange) => exchange.poll_drain(cx.waker()),
            #[cfg(feature = "hyper-upgrade")]
            SignalSource::Flag(flag) => flag.poll(cx),
        }
    }
}

impl fmt::Debug for DrainSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DrainSignal({})", if self.is_draining() { "draining" } else { "waiting" })
    }
}

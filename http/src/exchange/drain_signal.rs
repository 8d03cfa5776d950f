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
    exchange: ExchangeHandle,
}

impl DrainSignal {
    pub(super) fn new(exchange: ExchangeHandle) -> Self {
        Self { exchange }
    }

    /// Returns whether the connection drains, or has ended.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.exchange.is_ending()
    }
}

impl Future for DrainSignal {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.exchange.poll_drain(cx.waker())
    }
}

impl fmt::Debug for DrainSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DrainSignal({})", if self.is_draining() { "draining" } else { "waiting" })
    }
}

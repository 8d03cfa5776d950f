//! Runs a handler for the requests of a connection.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use super::Handler;
use crate::{HandlerError, Reqd, Requests};

/// The fate of a handler whose client is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WhenPeerIsGone {
    /// The handler is dropped where it awaits.
    #[cfg_attr(not(feature = "driver"), expect(dead_code, reason = "the server of `driver` chooses it"))]
    DropHandler,
    /// The handler runs to its end.
    KeepHandler,
}

/// Handles the requests of a connection, one after the other, until it brings no more.
///
/// A connection that waits for its next request keeps no memory for a handler whose future is larger than 256
/// bytes: memory for such a future is allocated for every request.
///
/// # Panics
/// Panics if the handler panics. A driver that catches the panic tells the connection with
/// [`report_error`](riot_flow::Flow::report_error).
pub fn serve_requests<H: Handler>(requests: Requests, handler: &H) -> impl Future<Output = ()> + Send {
    serve(requests, handler, WhenPeerIsGone::KeepHandler)
}

/// Handles the requests of a connection as [`serve_requests`] does; `when_gone` decides about the handler
/// under way.
pub(super) fn serve<H: Handler>(
    requests: Requests,
    handler: &H,
    when_gone: WhenPeerIsGone,
) -> impl Future<Output = ()> + Send {
    Serve { requests, handle: |reqd| handler.handle(reqd), handling: None, when_gone }
}

/// Bounds the size of a handler's future whose memory is kept for the next request, in bytes; 256.
const MAX_KEPT_BYTES: usize = 256;

struct Serve<F, H> {
    requests: Requests,
    handle: F,
    /// The memory of the handler's future.
    handling: Option<Pin<Box<Option<H>>>>,
    when_gone: WhenPeerIsGone,
}

impl<F, H> Future for Serve<F, H>
where
    F: Fn(Reqd) -> H + Unpin,
    H: Future<Output = Result<(), HandlerError>>,
{
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { requests, handle, handling, when_gone } = &mut *self;
        loop {
            if let Some(place) = handling
                && let Some(future) = place.as_mut().as_pin_mut()
            {
                match future.poll(cx) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(error)) => requests.report(Some(error)),
                    Poll::Pending => {
                        return match when_gone {
                            WhenPeerIsGone::DropHandler => requests.poll_peer_gone(cx),
                            WhenPeerIsGone::KeepHandler => Poll::Pending,
                        };
                    }
                }
                if size_of::<H>() > MAX_KEPT_BYTES {
                    *handling = None;
                } else {
                    place.set(None);
                }
            }
            let Some(reqd) = ready!(requests.poll_next(cx)) else { return Poll::Ready(()) };
            let describe = DescribeOnPanic(requests);
            let future = Some(handle(reqd));
            std::mem::forget(describe);
            match handling {
                Some(place) => place.set(future),
                None => *handling = Some(Box::pin(future)),
            }
        }
    }
}

/// Describes the request in the crash report of the process if a panic unwinds.
struct DescribeOnPanic<'a>(&'a Requests);

impl Drop for DescribeOnPanic<'_> {
    fn drop(&mut self) {
        self.0.describe_crash();
    }
}

/// Describes the request under way in the crash report of a process that ends by a panic of the handler's
/// future, or by an exit signal.
impl<F, H> Drop for Serve<F, H> {
    fn drop(&mut self) {
        if self.handling.as_ref().is_some_and(|place| place.is_some()) {
            std::hint::cold_path();
            self.requests.describe_crash();
        }
    }
}

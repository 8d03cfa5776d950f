//! What answers requests: a handler, which holds the request and its answer, or a service, which maps one to the
//! other.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use crate::{IntoResponse, Reqd, Request, Requests};

/// Answers requests however it likes.
///
/// Any `Fn(Reqd) -> impl Future` is one, whether the future gives `()` or a `Result`, whose error is dropped: a
/// request nobody answered is answered with 500.
pub trait Handler: Send + Sync + 'static {
    /// Handles one request.
    fn handle(&self, reqd: Reqd) -> impl Future<Output = ()> + Send;
}

impl<F, Fut> Handler for F
where
    F: Fn(Reqd) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: HandlerOutput> + Send,
{
    fn handle(&self, reqd: Reqd) -> impl Future<Output = ()> + Send {
        Handling { future: self(reqd) }
    }
}

pin_project_lite::pin_project! {
    /// The future of a handler, without what it gives. (An `async` block around it would have room for it twice.)
    struct Handling<F> {
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for Handling<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.project().future.poll(cx).map(drop)
    }
}

/// What the future of a handler may give.
pub trait HandlerOutput {}
impl HandlerOutput for () {}
impl<E> HandlerOutput for Result<(), E> {}

/// Maps a request to a response. Any `Fn(Request) -> impl Future` that gives an [`IntoResponse`] is one.
pub trait Service: Send + Sync + 'static {
    /// What it answers with.
    type Response: IntoResponse;

    /// Answers one request.
    fn call(&self, request: Request) -> impl Future<Output = Self::Response> + Send;
}

impl<F, Fut> Service for F
where
    F: Fn(Request) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: IntoResponse> + Send,
{
    type Response = Fut::Output;

    fn call(&self, request: Request) -> impl Future<Output = Fut::Output> + Send {
        self(request)
    }
}

/// A service as a handler.
///
/// ```
/// use riot_http::{Request, Response, service};
/// let handler = service(|request: Request| async move { Response::text(request.target().to_owned()) });
/// # let _ = handler;
/// ```
#[must_use]
pub fn service<S: Service>(service: S) -> ServiceHandler<S> {
    ServiceHandler(service)
}

/// See [`service()`].
#[derive(Clone, Debug)]
pub struct ServiceHandler<S>(S);

impl<S: Service> Handler for ServiceHandler<S> {
    async fn handle(&self, reqd: Reqd) {
        let (request, responder) = reqd.into_parts();
        let response = self.0.call(request).await.into_response();
        // What cannot be sent is answered by the responder's drop, if anything can.
        if let Ok(Some(streaming)) = responder.begin(response) {
            streaming.await;
        }
    }
}

/// Handles the requests of a connection, one after the other, until it brings no more.
///
/// A connection that waits for its next request holds nothing for a handler whose future is larger than 256 bytes: that
/// has its place made for every request.
///
/// # Panics
/// If the handler does. Whoever catches that tells the connection with
/// [`report_error`](riot_flow::Flow::report_error).
pub fn serve_requests<H: Handler>(requests: Requests, handler: &H) -> impl Future<Output = ()> + Send {
    serve(requests, handler, false)
}

/// The same; if `cancel` says so only as long as the client is there, or a request's handler is to finish without it
/// (H12).
pub(crate) fn serve<H: Handler>(
    requests: Requests,
    handler: &H,
    cancel: bool,
) -> impl Future<Output = ()> + Send {
    Serve { requests, handle: |reqd| handler.handle(reqd), handling: None, cancel }
}

/// A handler's future up to this size, in bytes, leaves its place to the next one.
const KEEP_MAX: usize = 256;

struct Serve<F, H> {
    requests: Requests,
    handle: F,
    /// The place of the handler's future.
    handling: Option<Pin<Box<Option<H>>>>,
    cancel: bool,
}

impl<F, H> Future for Serve<F, H>
where
    F: Fn(Reqd) -> H + Unpin,
    H: Future<Output = ()>,
{
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { requests, handle, handling, cancel } = &mut *self;
        loop {
            if let Some(place) = handling
                && let Some(future) = place.as_mut().as_pin_mut()
            {
                if future.poll(cx).is_pending() {
                    return if *cancel { requests.poll_gone(cx) } else { Poll::Pending };
                }
                if size_of::<H>() > KEEP_MAX {
                    *handling = None;
                } else {
                    place.set(None);
                }
            }
            let Some(reqd) = ready!(requests.poll_next(cx)) else { return Poll::Ready(()) };
            let future = Some(handle(reqd));
            match handling {
                Some(place) => place.set(future),
                None => *handling = Some(Box::pin(future)),
            }
        }
    }
}

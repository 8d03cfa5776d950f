//! What answers requests: a handler, which holds the request and its answer, or a service, which maps one to the
//! other.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use crate::{IntoResponse, Reqd, Request, Responded};

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
impl HandlerOutput for Responded {}
impl<T: HandlerOutput, E> HandlerOutput for Result<T, E> {}

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
        let (request, mut responder) = reqd.into_parts();
        let response = self.0.call(request).await.into_response();
        // What cannot be sent is answered by the responder's drop, if anything can.
        if let Ok(Some(streaming)) = responder.begin(response) {
            streaming.await;
        }
    }
}

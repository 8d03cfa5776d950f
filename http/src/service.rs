//! What answers requests: a handler, which holds the request and its answer, or a service, which maps one to the
//! other.

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
    Fut: Future<Output: Outcome> + Send,
{
    fn handle(&self, reqd: Reqd) -> impl Future<Output = ()> + Send {
        let future = self(reqd);
        async move {
            future.await;
        }
    }
}

/// What the future of a handler may give.
pub trait Outcome {}
impl Outcome for () {}
impl<E> Outcome for Result<(), E> {}

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
        let _ = responder.respond(response).await;
    }
}

/// Handles the requests of a connection, one after the other, until it brings no more.
///
/// # Panics
/// If the handler does. Whoever catches that tells the connection with
/// [`report_error`](riot_flow::Flow::report_error).
pub async fn serve_requests(mut requests: Requests, handler: &impl Handler) {
    while let Some(reqd) = requests.next().await {
        handler.handle(reqd).await;
    }
}

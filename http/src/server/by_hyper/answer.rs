//! The router as a service of hyper.

use std::{
    convert::Infallible,
    future::poll_fn,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Instant,
};

use ::axum::{
    Router,
    extract::ConnectInfo,
    response::{IntoResponse, Response},
};
use ::hyper::body::Incoming;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use riot_actor::{process::catch_panic, time::sleep_until};
use tower_service::Service as _;

use super::shared::HyperConnection;
use crate::{exchange::DrainSignal, message::is_secret};

/// Answers hyper's request with a router, to which it is as the requests of
/// [`TowerHandler`](crate::TowerHandler).
pub(super) struct RouterService {
    pub(super) router: Router,
    pub(super) shared: Arc<HyperConnection>,
    pub(super) peer: Option<SocketAddr>,
    pub(super) server_name: Option<HeaderValue>,
    /// The end of the handler's time.
    pub(super) deadline: Option<Instant>,
}

impl RouterService {
    fn add_extensions(&self, request: &mut http::Request<Incoming>) {
        for (name, value) in request.headers_mut() {
            if is_secret(name.as_str()) {
                value.set_sensitive(true);
            }
        }
        let extensions = request.extensions_mut();
        extensions.insert(DrainSignal::of_flag(self.shared.drain_flag()));
        if let Some(peer) = self.peer {
            extensions.insert(peer);
            extensions.insert(ConnectInfo(peer));
        }
    }
}

impl ::hyper::service::Service<http::Request<Incoming>> for RouterService {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn call(&self, mut request: http::Request<Incoming>) -> Self::Future {
        let (shared, server_name) = (self.shared.clone(), self.server_name.clone());
        self.add_extensions(&mut request);
        let is_connect = *request.method() == http::Method::CONNECT;
        let (mut router, deadline) = (self.router.clone(), self.deadline);
        // The router is called inside, so that a panic in it is caught.
        let answered = catch_panic(async move { router.call(request).await });
        Box::pin(async move {
            let mut response = match in_time(answered, deadline).await {
                Some(Ok(Ok(response))) => response,
                Some(Ok(Err(never))) => match never {},
                Some(Err(panic)) => {
                    shared.keep_panic(panic.to_string());
                    StatusCode::INTERNAL_SERVER_ERROR.into_response()
                }
                None => {
                    shared.handler_is_too_slow();
                    StatusCode::SERVICE_UNAVAILABLE.into_response()
                }
            };
            if let Some(name) = server_name {
                response.headers_mut().entry(header::SERVER).or_insert(name);
            }
            let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS
                || (is_connect && response.status().is_success());
            if switches {
                shared.switch_begins();
            } else {
                end_connection(response.headers_mut());
                shared.response_begins();
            }
            Ok(response)
        })
    }
}

/// Returns the output of `answered`; none if it is not ready at `deadline`.
async fn in_time<F: Future>(answered: F, deadline: Option<Instant>) -> Option<F::Output> {
    let Some(deadline) = deadline else { return Some(answered.await) };
    let (mut answered, mut timer) = (pin!(answered), sleep_until(deadline));
    poll_fn(|cx| match answered.as_mut().poll(cx) {
        Poll::Ready(answer) => Poll::Ready(Some(answer)),
        Poll::Pending => Pin::new(&mut timer).poll(cx).map(|()| None),
    })
    .await
}

/// Makes a response the last. One that names protocols has the option for that as well (RFC 9110 §7.8).
fn end_connection(headers: &mut HeaderMap) {
    let options = if headers.contains_key(header::UPGRADE) { "close, upgrade" } else { "close" };
    headers.insert(header::CONNECTION, HeaderValue::from_static(options));
}

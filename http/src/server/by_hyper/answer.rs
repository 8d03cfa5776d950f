//! The router as a service of hyper.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use ::axum::{
    Router,
    body::Body,
    extract::ConnectInfo,
    response::{IntoResponse, Response},
};
use ::hyper::body::Incoming;
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use http_body::{Frame, SizeHint};
use riot_actor::process::catch_panic;
use tower_service::Service as _;

use super::shared::HyperConnection;
use crate::{exchange::DrainSignal, message::is_secret};

/// Answers hyper's requests with a router, to which they are as the requests of
/// [`TowerHandler`](crate::TowerHandler).
pub(super) struct RouterService {
    router: Router,
    shared: Arc<HyperConnection>,
    peer: Option<SocketAddr>,
    server_name: Option<HeaderValue>,
}

impl RouterService {
    pub(super) fn new(
        router: Router,
        shared: Arc<HyperConnection>,
        peer: Option<SocketAddr>,
        server_name: Option<HeaderValue>,
    ) -> Self {
        Self { router, shared, peer, server_name }
    }

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
    type Response = http::Response<WatchedBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, mut request: http::Request<Incoming>) -> Self::Future {
        let (shared, server_name) = (self.shared.clone(), self.server_name.clone());
        shared.request_begins();
        self.add_extensions(&mut request);
        let is_connect = *request.method() == http::Method::CONNECT;
        let mut router = self.router.clone();
        // The router is called inside, so that a panic in it is caught.
        let answered = catch_panic(async move { router.call(request).await });
        Box::pin(async move {
            let mut response = match answered.await {
                Ok(Ok(response)) => response,
                Ok(Err(never)) => match never {},
                Err(panic) => {
                    shared.keep_panic(panic.to_string());
                    StatusCode::INTERNAL_SERVER_ERROR.into_response()
                }
            };
            if let Some(name) = server_name {
                response.headers_mut().entry(header::SERVER).or_insert(name);
            }
            let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS
                || (is_connect && response.status().is_success());
            Ok(watched(response, shared, switches))
        })
    }
}

fn watched(
    mut response: Response,
    shared: Arc<HyperConnection>,
    switches: bool,
) -> http::Response<WatchedBody> {
    let note = if switches {
        shared.switch_begins();
        None
    } else {
        if shared.is_last_response() {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        shared.response_begins();
        Some(EndNote(shared))
    };
    response.map(|body| WatchedBody { body, _note: note })
}

/// The body of a response. When it is dropped, the response has ended.
pub(super) struct WatchedBody {
    body: Body,
    _note: Option<EndNote>,
}

struct EndNote(Arc<HyperConnection>);

impl Drop for EndNote {
    fn drop(&mut self) {
        self.0.response_ended();
    }
}

impl http_body::Body for WatchedBody {
    type Data = Bytes;
    type Error = ::axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ::axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

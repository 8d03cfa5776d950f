//! axum's router as a tower service with the client's address.

use std::{
    convert::Infallible,
    net::SocketAddr,
    task::{Context, Poll},
};

use ::axum::{Router, extract::ConnectInfo, response::Response, routing::future::RouteFuture};
use riot_actor::{
    process::try_this,
    runtime::{enter_tokio, has_tokio},
};
use tower_service::Service;

use crate::Body;

/// The tower service of [`Server::axum`](crate::Server::axum): an axum router whose requests have the
/// client's address as [`ConnectInfo<SocketAddr>`](ConnectInfo) in their extensions. Clients of Unix sockets
/// have none.
///
/// ```
/// use axum::{Router, routing::get};
/// use riot_http::{AxumService, TowerHandler};
///
/// let router = Router::new().route("/", get(|| async { "hello" }));
/// let handler = TowerHandler::new(AxumService::new(router));
/// # let _ = handler;
/// ```
#[derive(Clone, Debug)]
pub struct AxumService(Router);

impl AxumService {
    /// Makes a service of a router, which has all its state. Its layers are applied now: inside tokio, where
    /// this is called in a process whose runtime has one.
    #[must_use]
    pub fn new(router: Router) -> Self {
        // Once, as by axum's own server: else layers are applied anew for every request.
        let finish = || router.with_state(());
        Self(if try_this().is_some() && has_tokio() { enter_tokio(finish) } else { finish() })
    }
}

impl Service<http::Request<Body>> for AxumService {
    type Response = Response;
    type Error = Infallible;
    type Future = RouteFuture<Infallible>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<http::Request<Body>>::poll_ready(&mut self.0, cx)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> RouteFuture<Infallible> {
        if let Some(peer) = request.extensions().get::<SocketAddr>().copied() {
            request.extensions_mut().insert(ConnectInfo(peer));
        }
        self.0.call(request)
    }
}

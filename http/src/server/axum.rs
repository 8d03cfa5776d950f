//! axum's router as a tower service with the client's address.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::Once,
    task::{Context, Poll},
};

use ::axum::{Router, extract::ConnectInfo, response::Response, routing::future::RouteFuture};
use riot_actor::{
    process::try_this,
    runtime::{enter_tokio, has_tokio},
};
use riot_socket::{ChildId, ChildSpec, ServerHandle, ServerStartError};
use tower_service::Service;

use crate::{Body, Server, Serving};

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
pub struct AxumService(pub(super) Router);

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

/// Says once what is missing where a service answers 426: axum's `WebSocketUpgrade` does, because only hyper
/// makes what it needs. Requests that hyper serves do not come here.
#[cold]
pub(super) fn warn_of_upgrades() {
    static WARNED: Once = Once::new();
    WARNED.call_once(|| {
        riot_actor::log_event!(
            WARN,
            "riot::http",
            "a service has answered 426: axum's WebSocketUpgrade needs `.axum(router).upgrade_by_hyper()`, \
             of the feature `hyper-upgrade`; see TOKIO.md of riot-http"
        );
    });
}

/// A server of an axum router, ready to be started; see [`Server::axum`].
///
/// ```
/// use axum::{Router, routing::get};
/// use riot_http::{Server, supervisor::Supervisor};
///
/// # fn main() -> std::io::Result<()> {
/// let router = Router::new().route("/", get(|| async { "hello" }));
/// // As a child of a supervisor; `start_link` starts it alone.
/// let spec = Server::bind("127.0.0.1:0")?.axum(router).child_spec("http");
/// let supervisor = Supervisor::one_for_one().child(spec);
/// # drop(supervisor);
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing listens before `start_link`"]
#[derive(Debug)]
pub struct AxumServing {
    server: Server,
    service: AxumService,
    #[cfg(feature = "hyper-upgrade")]
    upgrades_by_hyper: bool,
}

impl AxumServing {
    pub(super) fn new(server: Server, service: AxumService) -> Self {
        Self {
            server,
            service,
            #[cfg(feature = "hyper-upgrade")]
            upgrades_by_hyper: false,
        }
    }

    /// Lets hyper serve the requests that ask for an upgrade, so that axum's `WebSocketUpgrade`,
    /// `hyper::upgrade::on`, and libraries that use it, such as fastwebsockets, work unchanged.
    ///
    /// Such a request offers a protocol other than `h2c` with `Upgrade` and `Connection: upgrade`, and has no
    /// body. Its head is checked against this server's [`Limits`](crate::Limits) as every other one. Then
    /// hyper answers it by the same router, in the client's Connector. If the answer is no switch, it has
    /// `Connection: close` and the connection ends, so every request is checked against all limits. All other
    /// requests never touch hyper.
    ///
    /// - From then on the timeouts of raw connections apply, as after every upgrade
    ///   ([`ConnectionTimeouts`](riot_socket::ConnectionTimeouts)): without a byte in either direction for
    ///   60 s the connection is closed, also while a handler waits. Of [`Timeouts`](crate::Timeouts) those of
    ///   the handler, of half-closed connections and of lingering apply; the minimum rate of writing and the
    ///   age do not.
    /// - Up to 8 KiB that a client sends behind its request, before it is answered, are read and kept for the
    ///   upgraded protocol. Behind more the end of what it sends is not seen; a reset is.
    /// - The Connector stays until the upgraded stream is dropped, wherever that is, and the stream ends when
    ///   the Connector does. So the connection counts for `max_connections`, and `ServerHandle::connections`
    ///   lists it, in the state `hyper`.
    /// - When the server drains, the input of an upgraded stream ends. At the deadline it is cut.
    /// - The requests have no [`OnUpgrade`](crate::OnUpgrade) of this crate, but hyper's.
    ///
    /// ```
    /// use axum::{Router, extract::Request, http::StatusCode, routing::get};
    /// use riot_http::Server;
    ///
    /// // A handler as for `axum::serve`: any of hyper's upgrades.
    /// async fn shout(request: Request) -> (StatusCode, [(&'static str, &'static str); 2]) {
    ///     tokio::spawn(async move {
    ///         if let Ok(upgraded) = hyper::upgrade::on(request).await {
    ///             // Reads and writes by the traits of hyper.
    ///             drop(upgraded);
    ///         }
    ///     });
    ///     (StatusCode::SWITCHING_PROTOCOLS, [("connection", "upgrade"), ("upgrade", "shout")])
    /// }
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let router = Router::new().route("/", get(shout));
    /// let server = Server::bind("127.0.0.1:0")?.axum(router).upgrade_by_hyper();
    /// # drop(server);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "hyper-upgrade")]
    pub fn upgrade_by_hyper(mut self) -> Self {
        self.upgrades_by_hyper = true;
        self
    }

    /// Starts the tree, as [`Serving::start_link`] does.
    ///
    /// # Errors
    /// If the address cannot be bound, or the runtime has no tokio. No process is left behind then.
    ///
    /// # Panics
    /// Panics outside a process.
    pub async fn start_link(self) -> Result<ServerHandle, ServerStartError> {
        Serving::from(self).start_link().await
    }

    /// Returns the spec of a child that runs the server under a supervisor.
    pub fn child_spec(self, id: impl Into<ChildId>) -> ChildSpec {
        Serving::from(self).child_spec(id)
    }

    /// Returns the spec of a child that runs the server under a supervisor, and a handle to the server; see
    /// [`Serving::child`].
    pub fn child(self, id: impl Into<ChildId>) -> (ChildSpec, ServerHandle) {
        Serving::from(self).child(id)
    }
}

impl From<AxumServing> for Serving {
    fn from(serving: AxumServing) -> Self {
        #[cfg(feature = "hyper-upgrade")]
        if serving.upgrades_by_hyper {
            let handler =
                super::by_hyper::UpgradesByHyper::new(serving.service, serving.server.http_config());
            return serving.server.handler(handler);
        }
        serving.server.tower(serving.service)
    }
}

//! The server: a handler or a service in, a supervised tree out.

use std::{
    fmt, io,
    net::ToSocketAddrs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::HeaderValue;
use riot_flow::drive_to_completion;
use riot_socket::{
    Bind, ChildId, ChildSpec, ConnectionOverflow, Handshake, Options, Protocol, ServerHandle,
    ServerStartError, UnixBind, proxy::ProxyProtocol,
};

use crate::{
    Handler, Http1, HttpConfig, Limits, RequestError, Response, Service, ServiceHandler, Timeouts, service,
    service::serve,
};

/// Serves HTTP on `port` of every address of this machine, and answers with `handler`. The tree is linked to the
/// caller, and accepts when this returns.
///
/// ```no_run
/// use riot_http::{Reqd, Response};
///
/// riot_actor::run(async {
///     riot_http::start_link(2112, |reqd: Reqd| async move {
///         reqd.respond_with_string(Response::ok(), "Hello, World!")
///     }).await?;
///     std::future::pending::<Result<(), riot_http::ServerStartError>>().await
/// });
/// ```
///
/// # Errors
/// If the port cannot be bound.
///
/// # Panics
/// Outside a process.
pub async fn start_link(port: u16, handler: impl Handler) -> Result<ServerHandle, ServerStartError> {
    let server = Server::bind(("0.0.0.0", port)).map_err(ServerStartError::Bind)?;
    server.handler(handler).start_link().await
}

/// A server that does not know yet what to answer.
///
/// ```
/// use std::time::Duration;
/// use riot_http::{Limits, Request, Response, Server};
///
/// # riot_actor::run(async {
/// let server = Server::bind("127.0.0.1:0")?
///     .acceptors(10)
///     .max_connections(10_000)
///     .limits(Limits::new().max_head_bytes(16 * 1024))
///     .service(|request: Request| async move { Response::text(format!("you asked for {}", request.target())) })
///     .start_link()
///     .await?;
/// println!("listening on {}", server.local_addr());
/// # server.stop(Duration::ZERO).await;
/// # Ok::<(), riot_actor::Reason>(())
/// # });
/// ```
#[derive(Debug)]
#[must_use = "nothing listens before `start_link`"]
pub struct Server {
    server: riot_socket::Server,
    config: HttpConfig,
    cancel: bool,
}

fn config() -> HttpConfig {
    HttpConfig::new().random(riot_actor::runtime::random)
}

impl Server {
    /// A server on a TCP address; names are looked up here and now.
    ///
    /// # Errors
    /// If the name stands for no address.
    pub fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        Ok(Self { server: riot_socket::Server::bind(address)?, config: config(), cancel: true })
    }

    /// A server on anything that can be bound.
    pub fn listen(bind: impl Bind) -> Self {
        Self { server: riot_socket::Server::listen(bind), config: config(), cancel: true }
    }

    /// A server on a Unix socket, whose file is removed when it stops.
    pub fn bind_unix(path: impl AsRef<Path>) -> Self {
        Self::listen(UnixBind::new(path.as_ref()))
    }

    /// Processes that accept; default 10.
    pub fn acceptors(mut self, acceptors: usize) -> Self {
        self.server = self.server.acceptors(acceptors);
        self
    }

    /// Connections there may be at once; default 16 384.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.server = self.server.max_connections(connections);
        self
    }

    /// What becomes of clients for whom there is no place; by default they wait. See also [`busy`](Self::busy).
    pub fn overflow(mut self, overflow: ConnectionOverflow) -> Self {
        self.server = self.server.overflow(overflow);
        self
    }

    /// Clients for whom there is no place are answered with 503 and told to come back after `retry`, in whole seconds
    /// (RFC 9110 §10.2.3), instead of waiting.
    pub fn busy(self, retry: Duration) -> Self {
        let seconds = retry.as_secs().max(1);
        let answer = format!(
            "HTTP/1.1 503 Service Unavailable\r\nretry-after: {seconds}\r\nconnection: close\r\n\
             content-length: 0\r\n\r\n"
        );
        self.overflow(ConnectionOverflow::Answer(answer.into()))
    }

    /// Changes what is below HTTP: any setting of [`riot_socket::Server`].
    ///
    /// ```
    /// use riot_http::Server;
    /// use riot_socket::{Alarm, Options};
    /// # fn main() -> std::io::Result<()> {
    /// let server = Server::bind("127.0.0.1:0")?.socket(|socket| {
    ///     let alarm = Alarm::new("nearly full", 9_000, |raised| async move { eprintln!("{}", raised.active) });
    ///     socket.options(Options::new().reuse_port()).listeners(4).alarm(alarm)
    /// });
    /// # drop(server);
    /// # Ok(())
    /// # }
    /// ```
    pub fn socket(mut self, change: impl FnOnce(riot_socket::Server) -> riot_socket::Server) -> Self {
        self.server = change(self.server);
        self
    }

    /// Options of the listening socket.
    pub fn options(mut self, options: Options) -> Self {
        self.server = self.server.options(options);
        self
    }

    /// How long connections may take to finish when a supervisor stops the server; default 15 s.
    pub fn shutdown(mut self, limit: Duration) -> Self {
        self.server = self.server.shutdown_timeout(limit);
        self
    }

    /// Something to be done on every connection before its first request; see
    /// [`Handshake`](riot_socket::Handshake).
    pub fn handshake(mut self, handshake: impl Handshake) -> Self {
        self.server = self.server.handshake(handshake);
        self
    }

    /// Takes a PROXY header off every connection: a request's peer is then the client, not the proxy in between.
    pub fn proxy_protocol(self, proxy: ProxyProtocol) -> Self {
        self.handshake(proxy)
    }

    /// Speaks TLS on every connection, after what was asked for before this; by ALPN it is `http/1.1`, unless said
    /// otherwise.
    #[cfg(feature = "tls")]
    pub fn tls(self, tls: riot_socket::tls::Tls) -> Self {
        let named = !tls.config().alpn_protocols.is_empty();
        self.handshake(if named { tls } else { tls.alpn(["http/1.1"]) })
    }

    /// How long all the handshakes of a connection may take together, before it is closed; default 5 s.
    pub fn handshake_timeout(mut self, limit: Duration) -> Self {
        self.server = self.server.handshake_timeout(limit);
        self
    }

    /// Bounds of what clients may send.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.config = self.config.limits(limits);
        self
    }

    /// Timers of a connection.
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.config = self.config.timeouts(timeouts);
        self
    }

    /// What is answered where the connection answers for itself; see [`HttpConfig::error_page`].
    ///
    /// ```
    /// use riot_http::{RequestError, Response, Server};
    /// # fn main() -> std::io::Result<()> {
    /// let server = Server::bind("127.0.0.1:0")?
    ///     .error_page(|error: &RequestError| Response::html(format!("<h1>{}</h1><p>{error}", error.status())));
    /// # drop(server);
    /// # Ok(())
    /// # }
    /// ```
    pub fn error_page(mut self, page: impl Fn(&RequestError) -> Response + Send + Sync + 'static) -> Self {
        self.config = self.config.error_page(page);
        self
    }

    /// What answers say in `Server`; nothing by default.
    pub fn server_name(mut self, name: HeaderValue) -> Self {
        self.config = self.config.server_name(name);
        self
    }

    /// Whether a handler whose client has gone is dropped where it awaits; it is by default. Otherwise it runs to its
    /// end, and learns from its next answer or piece of a body that nobody takes it any more. A single request is
    /// protected by [`Responder::keep_handler`](crate::Responder::keep_handler).
    pub fn cancel_handlers(mut self, cancel: bool) -> Self {
        self.cancel = cancel;
        self
    }

    /// Answers with a handler, which holds the request and its answer.
    pub fn handler<H: Handler>(self, handler: H) -> Serving<H> {
        let Self { server, config, cancel } = self;
        Serving { server, config: Arc::new(config), handler: Arc::new(handler), cancel }
    }

    /// Answers with a tower service, such as an axum `Router`; see [`TowerHandler`](crate::TowerHandler).
    #[cfg(feature = "tower")]
    pub fn tower<S, B>(self, service: S) -> Serving<crate::TowerHandler<S>>
    where
        crate::TowerHandler<S>: Handler,
        S: tower_service::Service<http::Request<crate::Body>, Response = http::Response<B>>,
    {
        self.handler(crate::TowerHandler::new(service))
    }

    /// Answers with a service, which maps a request to a response.
    pub fn service<S: Service>(self, service: S) -> Serving<ServiceHandler<S>> {
        self.handler(self::service(service))
    }
}

/// A server that knows what to answer.
#[must_use = "nothing listens before `start_link`"]
pub struct Serving<H> {
    server: riot_socket::Server,
    config: Arc<HttpConfig>,
    handler: Arc<H>,
    cancel: bool,
}

impl<H: Handler> Serving<H> {
    /// Starts the tree, linked to the caller. When this returns the server is bound and accepts.
    ///
    /// # Errors
    /// If the address cannot be bound. Nothing is left behind.
    ///
    /// # Panics
    /// Outside a process.
    pub async fn start_link(self) -> Result<ServerHandle, ServerStartError> {
        let (server, protocol) = self.into_protocol();
        server.start_link(protocol).await
    }

    /// The server as a child of a supervisor of yours.
    pub fn child_spec(self, id: impl Into<ChildId>) -> ChildSpec {
        self.child(id).0
    }

    /// The server as a child of a supervisor of yours, and a handle to it; see
    /// [`riot_socket::Server::child`].
    pub fn child(self, id: impl Into<ChildId>) -> (ChildSpec, ServerHandle) {
        let (server, protocol) = self.into_protocol();
        server.child(id, protocol)
    }

    /// What a Connector runs: the handler's process is the client's own.
    fn into_protocol(self) -> (riot_socket::Server, impl Protocol) {
        let Self { server, config, handler, cancel } = self;
        let first = AtomicBool::new(true);
        let protocol = move |connection: riot_socket::Connection| {
            let (flow, requests) = Http1::new(config.clone());
            let requests = requests.from_peer(connection.peer().as_ip());
            if let Some(load) = connection.load().filter(|_| first.swap(false, Ordering::Relaxed)) {
                config.overload_check(move || load.active() * 5 > load.max().saturating_mul(4));
            }
            let handler = handler.clone();
            drive_to_completion(connection, flow, async move { serve(requests, &*handler, cancel).await })
        };
        (server, protocol)
    }
}

impl<H> fmt::Debug for Serving<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serving")
            .field("server", &self.server)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

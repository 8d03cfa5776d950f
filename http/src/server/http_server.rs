//! The server: a handler or a service in, a supervised tree out.

use std::{
    any::Any,
    io,
    net::ToSocketAddrs,
    path::Path,
    pin::Pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::HeaderValue;
use riot_actor::{Reason, telemetry::Watched, this};
use riot_flow::drive_to_completion;
use riot_socket::{
    Bind, ChildId, ChildSpec, Connection, ConnectionOverflow, Handshake, Options, Protocol, ReadyServer,
    ServerHandle, ServerStartError, UnixBind, proxy::ProxyProtocol,
};

use super::{
    Handler, ServiceFunction,
    serve::{WhenPeerIsGone, serve},
    stats::Stats,
    telemetry::{self, ServerReporter, Timings},
};
use crate::{
    Http1, HttpConfig, Limits, RequestError, Response, Scheme, Timeouts,
    observe::{Interest, Peer, WhenNoted},
};

/// Serves HTTP on `port` of every address of this machine, of IPv6 and IPv4, and answers with `handler`; see
/// [`Server::bind_port`]. The tree is linked to the caller, and accepts connections when this returns.
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
/// Panics outside a process.
// The type of the future does not name the handler: a wrong one would be an error there as well.
pub fn start_link(
    port: u16,
    handler: impl Handler,
) -> Pin<Box<dyn Future<Output = Result<ServerHandle, ServerStartError>> + Send>> {
    Box::pin(Server::bind_port(port).handler(handler).start_link())
}

/// A server without a handler yet. It is built in steps and started by [`Serving::start_link`].
///
/// ```
/// use std::time::Duration;
/// use riot_http::{Limits, Response, Server};
///
/// # riot_actor::run(async {
/// let server = Server::bind("127.0.0.1:0")?
///     .acceptors(10)
///     .max_connections(10_000)
///     .limits(Limits::new().max_head_bytes(16 * 1024))
///     .service(|request| async move { Response::text(request.target().to_owned()) })
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
    when_gone: WhenPeerIsGone,
}

/// A server that has been given what answers: none, since that is a [`Serving`].
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "this server does not know what to answer: call .service(..), .handler(..) or .axum(..)",
    label = "it is started here",
    note = "a service is `async fn(Request) -> impl IntoResponse`: `.service(|request| async move {{ .. }})`"
)]
pub trait KnowsWhatToAnswer<'a> {}

fn config() -> HttpConfig {
    HttpConfig::new().random(riot_actor::runtime::random)
}

impl Server {
    /// Creates a server on a TCP address. A name is looked up now.
    ///
    /// # Errors
    /// If the name has no address.
    pub fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        riot_socket::Server::bind(address).map(Self::new)
    }

    /// Creates a server on a port of every address of this machine: IPv6 and IPv4 by one socket, or IPv4
    /// alone where the system has no IPv6. The peers of IPv4 clients are shown as addresses of IPv4. For port
    /// 0 the system chooses a port.
    pub fn bind_port(port: u16) -> Self {
        Self::new(riot_socket::Server::bind_port(port))
    }

    /// Creates a server on anything that can be bound.
    pub fn listen(bind: impl Bind) -> Self {
        Self::new(riot_socket::Server::listen(bind))
    }

    fn new(server: riot_socket::Server) -> Self {
        Self { server, config: config(), when_gone: WhenPeerIsGone::DropHandler }
    }

    /// Creates a server on a Unix socket, whose file is removed when it stops. A
    /// [`UnixBind`](riot_socket::UnixBind) given to [`listen`](Self::listen) has more options, such as the
    /// permissions of the file.
    pub fn bind_unix(path: impl AsRef<Path>) -> Self {
        Self::listen(UnixBind::new(path.as_ref()))
    }

    /// Answers clients beyond [`max_connections`](Self::max_connections) with 503, instead of letting them
    /// wait, and tells them to come back after `retry`, in whole seconds (RFC 9110 §10.2.3).
    pub fn busy(self, retry: Duration) -> Self {
        let seconds = retry.as_secs().max(1);
        let answer = format!(
            "HTTP/1.1 503 Service Unavailable\r\nretry-after: {seconds}\r\nconnection: close\r\n\
             content-length: 0\r\n\r\n"
        );
        self.overflow(ConnectionOverflow::Answer(answer.into()))
    }

    /// Lets the connection that has been idle longest give way to a client beyond
    /// [`max_connections`](Self::max_connections): one that waits for its next request, or for its first; see
    /// [`ConnectionOverflow::ReapOldestIdle`].
    pub fn reap_oldest_idle(self) -> Self {
        self.overflow(ConnectionOverflow::ReapOldestIdle)
    }

    /// Changes what is below HTTP: any setting of [`riot_socket::Server`].
    ///
    /// Settings that concern HTTP as well are made by this builder: [`log_levels`](Self::log_levels), `tls`,
    /// and [`Timeouts::drain_first_timeout`], which replaces the one of the socket server.
    /// [`ConnectionTimeouts`](riot_socket::ConnectionTimeouts) apply to a connection after an upgrade only.
    ///
    /// ```
    /// use riot_http::Server;
    /// use riot_socket::{Alarm, Options};
    /// # fn main() -> std::io::Result<()> {
    /// let server = Server::bind("127.0.0.1:0")?.socket(|socket| {
    ///     let alarm = Alarm::new("nearly full", 9_000, |event| async move {
    ///         eprintln!("{}", event.active);
    ///     });
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

    /// Expects a PROXY header on every connection. The peer of a request is then the client, not the proxy in
    /// between.
    pub fn proxy_protocol(self, proxy: ProxyProtocol) -> Self {
        self.handshake(proxy)
    }

    /// Speaks TLS on every connection, after the handshakes added before this. ALPN offers every version of
    /// HTTP that this server speaks, which are [`Http1::ALPN`], unless `tls` names other protocols. A client
    /// that offers only others, such as `h2`, is refused with the alert `no_application_protocol` (RFC 7301
    /// §3.2). The [scheme](Self::scheme) becomes [`Scheme::Https`].
    ///
    /// ```no_run
    /// use riot_http::{Server, socket::tls::{Certificate, Tls}};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let tls = Tls::new(Certificate::load("chain.pem", "key.pem")?);
    /// let server = Server::bind_port(443).tls(tls);
    /// # drop(server);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: riot_socket::tls::Tls) -> Self {
        self.config = self.config.scheme(Scheme::Https);
        self.handshake(tls)
    }

    /// Sets the scheme of the URIs that are served; see [`HttpConfig::scheme`].
    pub fn scheme(mut self, scheme: Scheme) -> Self {
        self.config = self.config.scheme(scheme);
        self
    }

    /// Sets the bounds of what clients may send.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.config = self.config.limits(limits);
        self
    }

    /// Sets the timers of a connection.
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.config = self.config.timeouts(timeouts);
        self
    }

    /// Sets how errors that the connection answers itself are rendered; see [`HttpConfig::error_page`].
    ///
    /// ```
    /// use riot_http::{RequestError, Response, Server};
    /// # fn main() -> std::io::Result<()> {
    /// let server = Server::bind("127.0.0.1:0")?
    ///     .error_page(|error: &RequestError| Response::html(format!("<h1>{}</h1>", error.status())));
    /// # drop(server);
    /// # Ok(())
    /// # }
    /// ```
    pub fn error_page(mut self, page: impl Fn(&RequestError) -> Response + Send + Sync + 'static) -> Self {
        self.config = self.config.error_page(page);
        self
    }

    /// Names the server, as [`riot_socket::servers`], crash reports and pages that show it do; by default it
    /// has its address as its name.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.server = self.server.name(name);
        self
    }

    /// Sets the levels at which the server logs, by class of event; see [`riot_socket::LogLevels`].
    ///
    /// ```
    /// use riot_http::{Server, actor::log::LogLevel, socket::LogLevels};
    /// # fn main() -> std::io::Result<()> {
    /// let levels = LogLevels::new().timeout(LogLevel::Info).handler_error(LogLevel::Error);
    /// let server = Server::bind("127.0.0.1:0")?.log_levels(levels);
    /// # drop(server);
    /// # Ok(())
    /// # }
    /// ```
    pub fn log_levels(mut self, levels: riot_socket::LogLevels) -> Self {
        self.config = self.config.log_levels(levels);
        self.server = self.server.log_levels(levels);
        self
    }

    /// Sets when requests are noted, for [events](super::telemetry) and [histograms](super::stats()); by
    /// default while somebody reads.
    ///
    /// ```
    /// use riot_http::{Server, telemetry::Timings};
    /// # fn main() -> std::io::Result<()> {
    /// let server = Server::bind("127.0.0.1:0")?.timings(Timings::Always);
    /// # drop(server);
    /// # Ok(())
    /// # }
    /// ```
    pub fn timings(mut self, timings: Timings) -> Self {
        self.config.watch.timings = match timings {
            Timings::WhenRead => WhenNoted::Read,
            Timings::Always => WhenNoted::Always,
            Timings::Off => WhenNoted::Never,
        };
        self
    }

    /// Sets the value of `Server` in every response; the field is absent by default.
    pub fn server_name(mut self, name: HeaderValue) -> Self {
        self.config = self.config.server_name(name);
        self
    }

    /// Lets every handler run to its end even if its client disconnects. By default such a handler is dropped
    /// where it awaits. A handler that is kept learns of the disconnection from its response, or from the
    /// next piece of a body. For a single request: [`Reqd::keep_handler`](crate::Reqd::keep_handler).
    pub fn keep_handlers(mut self) -> Self {
        self.when_gone = WhenPeerIsGone::KeepHandler;
        self
    }

    /// Does not compile: a server is given what answers first, with [`service`](Self::service),
    /// [`handler`](Self::handler), `tower` or `axum`.
    ///
    /// ```compile_fail
    /// # async fn start() -> Result<(), riot_actor::Reason> {
    /// riot_http::Server::bind("127.0.0.1:0")?.start_link().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// None.
    pub fn start_link<'a>(self) -> std::future::Ready<Result<ServerHandle, ServerStartError>>
    where
        Self: KnowsWhatToAnswer<'a>,
    {
        unreachable!("no server knows what to answer")
    }

    /// Does not compile, for the same reason as [`start_link`](Self::start_link); see
    /// [`Serving::child_spec`].
    pub fn child_spec<'a>(self, _id: impl Into<ChildId>) -> ChildSpec
    where
        Self: KnowsWhatToAnswer<'a>,
    {
        unreachable!("no server knows what to answer")
    }

    /// Does not compile, for the same reason as [`start_link`](Self::start_link); see [`Serving::child`].
    pub fn child<'a>(self, _id: impl Into<ChildId>) -> (ChildSpec, ServerHandle)
    where
        Self: KnowsWhatToAnswer<'a>,
    {
        unreachable!("no server knows what to answer")
    }

    /// Answers requests with a handler, which holds the request and its response.
    pub fn handler(self, handler: impl Handler) -> Serving {
        let Self { server, config, when_gone } = self;
        let server = server.drain_first_timeout(config.drain_first_timeout());
        let (config, handler) = (Arc::new(config), Arc::new(handler));
        let listening = handler.clone();
        let server = server.on_listen(move |address| listening.on_listen(address));
        let stats = Arc::new(Stats::new(&config));
        let first = AtomicBool::new(true);
        Serving(server.protocol(HttpProtocol { config, handler, when_gone, stats, first }))
    }

    /// Runs all handlers inside the tokio runtime of [`Config::tokio`](riot_actor::runtime::Config::tokio),
    /// so that libraries that need tokio work in them: timers, sockets, tasks, database drivers, HTTP
    /// clients. Each poll slice of a connection takes some 50 ns more.
    ///
    /// Without that runtime the server does not start. Processes that a handler starts are not inside tokio
    /// unless [they say so](riot_actor::process::SpawnOptions::tokio).
    ///
    /// ```
    /// use std::time::Duration;
    /// use riot_actor::{Reason, runtime::Config};
    /// use riot_http::{Reqd, Response, Server};
    ///
    /// async fn answer(reqd: Reqd) {
    ///     tokio::time::sleep(Duration::from_millis(1)).await;
    ///     let _ = reqd.respond_with_string(Response::ok(), "hello");
    /// }
    ///
    /// let reason = Config::new().tokio().run(async {
    ///     let server = Server::bind("127.0.0.1:0")?.tokio().handler(answer).start_link().await?;
    ///     server.stop(Duration::ZERO).await;
    ///     Ok::<(), Reason>(())
    /// });
    /// assert_eq!(reason?, Reason::Normal);
    /// # Ok::<(), riot_actor::runtime::RunError>(())
    /// ```
    #[cfg(feature = "tokio")]
    pub fn tokio(mut self) -> Self {
        self.server = self.server.tokio();
        self
    }

    /// Answers requests with a tower service inside tokio: [`tokio`](Self::tokio), then
    /// [`tower`](Self::tower).
    #[cfg(all(feature = "tower", feature = "tokio"))]
    pub fn tower_tokio<S: super::TowerService<B>, B>(self, service: S) -> Serving {
        self.tokio().tower(service)
    }

    /// Answers requests with an axum router inside tokio. Its handlers and layers run unchanged: tokio's
    /// timers, tasks, sockets and files, `TimeoutLayer`, `ServeDir`, `Sse::keep_alive`, and
    /// `ConnectInfo<SocketAddr>` with the client's address, also behind the PROXY protocol.
    ///
    /// One line differs from `axum::serve`:
    ///
    /// ```
    /// use axum::{Router, extract::ConnectInfo, routing::get};
    /// use std::{net::SocketAddr, time::Duration};
    /// use riot_actor::{Reason, runtime::Config};
    /// use riot_http::Server;
    ///
    /// let router = Router::new().route("/", get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move {
    ///     tokio::time::sleep(Duration::from_millis(1)).await;
    ///     format!("hello, {peer}")
    /// }));
    /// let reason = Config::new().tokio().run(async {
    ///     let server = Server::bind("127.0.0.1:0")?.axum(router).start_link().await?;
    ///     server.stop(Duration::ZERO).await;
    ///     Ok::<(), Reason>(())
    /// });
    /// assert_eq!(reason?, Reason::Normal);
    /// # Ok::<(), riot_actor::runtime::RunError>(())
    /// ```
    #[cfg(feature = "axum")]
    pub fn axum(self, router: ::axum::Router) -> super::AxumServing {
        super::AxumServing::new(self.tokio(), super::AxumService::new(router))
    }

    #[cfg(feature = "hyper-upgrade")]
    pub(super) fn http_config(&self) -> &HttpConfig {
        &self.config
    }

    /// Answers requests with a tower service, such as an axum `Router`; see
    /// [`TowerHandler`](super::TowerHandler).
    #[cfg(feature = "tower")]
    pub fn tower<S: super::TowerService<B>, B>(self, service: S) -> Serving {
        self.handler(service.into_handler())
    }

    /// Answers requests with a service, which maps a request to a response: any function or closure from a
    /// [`Request`](crate::Request) to a future of an [`IntoResponse`](crate::IntoResponse). A type that
    /// implements [`Service`](crate::Service) is given as `.handler(service(value))`, by
    /// [`service()`](crate::service()).
    ///
    /// ```
    /// use riot_http::{Response, Server};
    /// # fn main() -> std::io::Result<()> {
    /// let server = Server::bind("127.0.0.1:0")?
    ///     .service(|request| async move { Response::text(request.target().to_owned()) });
    /// # drop(server);
    /// # Ok(())
    /// # }
    /// ```
    pub fn service<Fut>(self, service: impl ServiceFunction<Fut>) -> Serving {
        self.handler(super::service(service))
    }
}

/// Implements settings of [`riot_socket::Server`] for [`Server`]. Other ones are reached by
/// [`Server::socket`].
macro_rules! socket_settings {
    ($($(#[$doc:meta])* $setting:ident($value:ident: $type:ty);)*) => {
        impl Server {$(
            $(#[$doc])*
            pub fn $setting(mut self, $value: $type) -> Self {
                self.server = self.server.$setting($value);
                self
            }
        )*}
    };
}

socket_settings! {
    /// Sets the number of processes that accept connections; 10 by default.
    ///
    /// # Panics
    /// Panics if it is zero.
    acceptors(acceptors: usize);

    /// Bounds the connections open at once; 16 384 by default.
    max_connections(connections: usize);

    /// Sets what happens to clients beyond [`max_connections`](Self::max_connections); by default they wait.
    /// See also [`busy`](Self::busy).
    overflow(overflow: ConnectionOverflow);

    /// Sets the options of the listening socket.
    options(options: Options);

    /// Bounds how long connections may take to finish when the server ends: because its supervisor stops it,
    /// or because the runtime shuts down; 15 s by default. Connections that have not finished are then
    /// killed. A server drains by itself wherever it was started, also in `main`; see
    /// [`riot_socket::Server::shutdown_timeout`].
    shutdown_timeout(timeout: Duration);

    /// Sets how long the server goes on as a lame duck before it drains; zero by default. Meanwhile clients
    /// are served, and every response has `Connection: close`. See
    /// [`riot_socket::Server::lame_duck_timeout`].
    lame_duck_timeout(timeout: Duration);

    /// Adds work to be done on every connection before its first request; see
    /// [`Handshake`](riot_socket::Handshake).
    handshake(handshake: impl Handshake);

    /// Bounds how long all handshakes of a connection may take together; 5 s by default. Then the connection
    /// is closed.
    handshake_timeout(timeout: Duration);
}

/// A server with its handler, ready to be started.
///
/// ```
/// use riot_http::{Reqd, Response, Server};
/// use riot_supervisor::Supervisor;
///
/// # riot_actor::run(async {
/// let serving = Server::bind("127.0.0.1:0")?
///     .handler(|reqd: Reqd| async move { reqd.respond_with_string(Response::ok(), "hello") });
/// // As a child of a supervisor; `start_link` starts it alone.
/// let (spec, server) = serving.child("http");
/// let supervisor = Supervisor::one_for_one().child(spec).start_link().await?;
/// println!("listening on {}", server.local_addr());
/// # let _ = supervisor;
/// # Ok::<(), riot_actor::Reason>(())
/// # });
/// ```
#[must_use = "nothing listens before `start_link`"]
#[derive(Debug)]
pub struct Serving(ReadyServer);

impl Serving {
    /// Starts the tree, linked to the caller. When this returns, the server is bound and accepts connections.
    ///
    /// # Errors
    /// If the address cannot be bound. No process is left behind then.
    ///
    /// # Panics
    /// Panics outside a process.
    pub async fn start_link(self) -> Result<ServerHandle, ServerStartError> {
        self.0.start_link().await
    }

    /// Returns the spec of a child that runs the server under a supervisor.
    pub fn child_spec(self, id: impl Into<ChildId>) -> ChildSpec {
        self.child(id).0
    }

    /// Returns the spec of a child that runs the server under a supervisor, and a handle to the server; see
    /// [`riot_socket::Server::child`].
    pub fn child(self, id: impl Into<ChildId>) -> (ChildSpec, ServerHandle) {
        self.0.child(id)
    }
}

/// The protocol that a Connector runs.
struct HttpProtocol<H> {
    config: Arc<HttpConfig>,
    handler: Arc<H>,
    when_gone: WhenPeerIsGone,
    stats: Arc<Stats>,
    /// No connection has been served yet.
    first: AtomicBool,
}

impl<H> HttpProtocol<H> {
    /// Lets the connections of the server ask it for its load, and report what they note of requests.
    #[cold]
    fn begin(&self, connection: &Connection) {
        let Some(load) = connection.load() else { return };
        self.config.overload_check(move || load.is_overloaded());
        telemetry::register_events();
        let (watched, stats) = (Watched::current(), self.stats.clone());
        let server = connection.server_name().unwrap_or_else(|| "".into());
        self.config.watch.set_reporter(ServerReporter { server, stats, watched: watched.clone() });
        let config: Weak<HttpConfig> = Arc::downgrade(&self.config);
        watched.follow(Interest::ANY, config);
    }
}

impl<H: Handler> Protocol for HttpProtocol<H> {
    fn serve(&self, connection: Connection) -> impl Future<Output = Reason> + Send + 'static {
        let Self { config, handler, when_gone, first, .. } = self;
        if first.load(Ordering::Relaxed) && first.swap(false, Ordering::Relaxed) {
            self.begin(&connection);
        }
        let peer = Peer { address: connection.peer().as_ip(), connector: Some(this()) };
        let (flow, requests) = Http1::for_connection(config.clone(), peer);
        let (handler, when_gone) = (handler.clone(), *when_gone);
        drive_to_completion(connection, flow, async move { serve(requests, &*handler, when_gone).await })
    }

    fn alpn(&self) -> &'static [&'static str] {
        Http1::ALPN
    }

    fn extension(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        Some(self.stats.clone())
    }
}

//! The observer: what it shows, to whom, and where it listens.

use std::{fmt, io, net::ToSocketAddrs, path::Path, sync::Arc};

use riot_actor::process::Priority;
use riot_http::{Handler, Head, Server, ServerHandle, ServerStartError, Serving};
use riot_socket::{Bind, ChildId, ChildSpec};

use crate::{
    core::Core,
    health::{Health, checked_path},
    metrics::{MetricsResult, MetricsWriter},
    mount::ObserverMount,
    safety::ControlToken,
};

/// The path of the observer on its own listener.
const OWN_PREFIX: &str = "/observer";

/// The connections of the observer's own listener; 256. Those that are idle longest give way.
const MAX_CONNECTIONS: usize = 256;

/// Shows a running program: metrics, health, and what runs.
///
/// Nothing is shown unless the program says where: on a [listener of its own](Self::listen), below a path of
/// a [server](Self::mount), or as a tower service. Without authentication only this machine is answered.
///
/// | path | what |
/// |---|---|
/// | `/livez`, `/readyz` | [`Health`]; needs no authentication |
/// | `/metrics` | OpenMetrics 1.0 or Prometheus text 0.0.4, as `Accept` says |
/// | `/observer` | the page, for browsers; else the paths that there are |
/// | `/observer/api/1/…` | views of the running program as JSON |
///
/// On a listener of its own all of it is there, and below `/observer` once more. Mounted below a prefix,
/// everything lies below that (`/observer/metrics`), so that no route of the application is taken;
/// [`at_root`](Self::at_root) answers the first three at the root as well.
///
/// ```
/// use riot_observer::{Health, Observer};
/// use riot_supervisor::Supervisor;
///
/// # riot_actor::run(async {
/// let health = Health::new().readiness("db", || async { true });
/// let observer = Observer::new().health(&health).listen("127.0.0.1:0")?;
/// let supervisor = Supervisor::one_for_one().child(observer.child_spec("observer")).start_link().await?;
/// # supervisor.stop(riot_actor::Reason::Normal).await?;
/// # Ok::<(), riot_actor::Reason>(())
/// # });
/// ```
///
/// # Safety of what is shown
///
/// - Without [`auth`](Self::auth), [`basic_auth`](Self::basic_auth) or [`bearer`](Self::bearer) a server does
///   not start with it, unless it listens on loopback, a Unix socket or in memory. Requests of other
///   machines, as the PROXY protocol or a router above tell their address, get 403, which is logged once; so
///   do requests for a host other than `localhost`, `127.0.0.1` and `[::1]`, because a web page can have a
///   name of its own stand for this machine.
/// - After 10 failed logins in a minute a peer gets 429 for the rest of it.
/// - No response has query strings, passwords, keys or certificates, and none may be framed. Only the page
///   may run a script: its own.
#[must_use = "nothing is shown before it listens or is mounted"]
pub struct Observer {
    core: Core,
    server: Option<Server>,
    is_at_root: bool,
}

impl Default for Observer {
    fn default() -> Self {
        Self::new()
    }
}

impl Observer {
    /// Returns an observer that shows health without checks of the program, and metrics, to this machine.
    pub fn new() -> Self {
        Self { core: Core::default(), server: None, is_at_root: false }
    }

    /// Shows this health instead of one without checks.
    pub fn health(mut self, health: &Health) -> Self {
        self.core.health = health.clone();
        self
    }

    /// Adds metrics of the program. The function is called at each scrape, in the process that answers it, so
    /// it must not block: it reads counters. Its error is logged and ends its own part alone, and so does a
    /// panic. See [`MetricsWriter`] for what it can write.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU64, Ordering};
    /// use riot_observer::Observer;
    ///
    /// static ORDERS: AtomicU64 = AtomicU64::new(0);
    /// let observer = Observer::new().metrics(|out| {
    ///     out.counter("orders_total", &[("shop", "7")], ORDERS.load(Ordering::Relaxed))
    /// });
    /// # let _ = observer;
    /// ```
    pub fn metrics<R: MetricsResult>(
        mut self,
        source: impl Fn(&mut MetricsWriter) -> R + Send + Sync + 'static,
    ) -> Self {
        self.core.metrics.add_source(source);
        self
    }

    /// Serves requests that `judge` accepts, by their head: a field that a proxy has set, a session's cookie.
    /// A request has to pass one of the forms of authentication. One that panics accepts nothing. It must not
    /// block.
    ///
    /// ```
    /// use riot_observer::Observer;
    /// let observer = Observer::new().auth(|head| head.headers().get("x-verified-user").is_some());
    /// # let _ = observer;
    /// ```
    pub fn auth(mut self, judge: impl Fn(&Head) -> bool + Send + Sync + 'static) -> Self {
        self.core.access.add_judge(judge);
        self
    }

    /// Serves requests with these credentials of HTTP's scheme `Basic` (RFC 7617), which browsers ask for.
    /// They are compared in constant time. Without TLS the network can read them.
    ///
    /// # Panics
    /// Panics if the user has a colon in its name, or the password is empty.
    pub fn basic_auth(mut self, user: &str, password: &str) -> Self {
        self.core.access.add_basic(user, password);
        self
    }

    /// Serves requests with this token of HTTP's scheme `Bearer` (RFC 6750), as Prometheus sends it. It is
    /// compared in constant time. Without TLS the network can read it.
    ///
    /// # Panics
    /// Panics if it is empty or has characters other than visible ASCII.
    pub fn bearer(mut self, token: &str) -> Self {
        self.core.access.add_bearer(token);
        self
    }

    /// Lets requests change the program. Such a request is a `POST` with the token that is made here at
    /// random and read at `api/1/token`, as `X-Riot-Token`, and must not come from a page of another origin.
    /// Each is logged with its peer. By default the observer only reads.
    ///
    /// | body of `POST api/1/control` | what happens |
    /// |---|---|
    /// | `{"action": "kill", "pid": …}` | the process is killed |
    /// | `{"action": "exit", "pid": …, "reason": …}` | the process gets an exit signal with this reason |
    /// | `{"action": "close", "pid": …}` | the connection of this Connector finishes |
    /// | `{"action": "suspend", "server": …}` | the server stops listening |
    /// | `{"action": "resume", "server": …}` | it listens again |
    /// | `{"action": "set_max_connections", "server": …, "value": …}` | the bound of its connections changes |
    /// | `{"action": "drain", "server": …, "timeout_ms": …}` | it stops in order |
    ///
    /// # Panics
    /// Panics if the system has no randomness.
    pub fn with_controls(mut self) -> Self {
        self.core.controls = Some(ControlToken::new());
        self
    }

    /// Answers `/metrics` and the paths of health at the root as well, where the observer is
    /// [mounted](Self::mount).
    pub fn at_root(mut self) -> Self {
        self.is_at_root = true;
        self
    }

    /// Gives the observer a listener of its own on a TCP address. A name is looked up now. It answers when
    /// the servers of the program are full, and its processes have high priority. It has 256 connections at
    /// most, of which the one that is idle longest gives way.
    ///
    /// # Errors
    /// If the name has no address.
    pub fn listen(self, address: impl ToSocketAddrs) -> io::Result<Self> {
        Ok(self.with_server(Server::bind(address)?))
    }

    /// Gives the observer a listener of its own on a Unix socket, whose file is removed when it stops; see
    /// [`listen`](Self::listen).
    pub fn listen_unix(self, path: impl AsRef<Path>) -> Self {
        self.with_server(Server::bind_unix(path))
    }

    /// Gives the observer a listener of its own on anything that can be bound; see [`listen`](Self::listen).
    pub fn listen_on(self, bind: impl Bind) -> Self {
        self.with_server(Server::listen(bind))
    }

    fn with_server(mut self, server: Server) -> Self {
        let server = server.name("observer").acceptors(2).max_connections(MAX_CONNECTIONS).reap_oldest_idle();
        let server = server.socket(|socket| socket.connection_supervisors(1).priority(Priority::High));
        self.server = Some(server);
        self
    }

    /// Starts the observer on its own listener, linked to the caller.
    ///
    /// # Errors
    /// If the address cannot be bound, or other machines reach it and the observer asks for no
    /// authentication.
    ///
    /// # Panics
    /// Panics outside a process, and without a [listener](Self::listen).
    pub async fn start_link(self) -> Result<ServerHandle, ServerStartError> {
        self.serving().start_link().await
    }

    /// Returns the spec of the observer on its own listener as a child of a supervisor.
    ///
    /// # Panics
    /// Panics without a [listener](Self::listen).
    pub fn child_spec(self, id: impl Into<ChildId>) -> ChildSpec {
        self.serving().child_spec(id)
    }

    /// Returns the spec of the observer on its own listener as a child of a supervisor, and a handle to its
    /// server.
    ///
    /// # Panics
    /// Panics without a [listener](Self::listen).
    pub fn child(self, id: impl Into<ChildId>) -> (ChildSpec, ServerHandle) {
        self.serving().child(id)
    }

    fn serving(self) -> Serving {
        let Self { core, server, .. } = self;
        let server = server.expect("the observer has no listener: call .listen(..), or .mount(..) it");
        let app = |reqd: riot_http::Reqd| async move { reqd.respond(riot_http::Response::not_found()).await };
        server.handler(ObserverMount::new(Arc::new(core), OWN_PREFIX, true, app))
    }

    /// Returns a handler that answers requests below `prefix`, and passes every other one on to `app`. The
    /// handler has to be given to a server as it is, or by a wrapper that passes
    /// [`on_listen`](Handler::on_listen) on: else an observer without authentication learns too late where it
    /// is reached, and refuses requests instead of the start.
    ///
    /// ```
    /// use riot_http::{Reqd, Response, Server};
    /// use riot_observer::Observer;
    ///
    /// # riot_actor::run(async {
    /// let answer = |reqd: Reqd| async move { reqd.respond_with_string(Response::ok(), "hello") };
    /// let observer = Observer::new().basic_auth("ops", "correct horse");
    /// let handler = observer.mount("/observer", answer);
    /// let server = Server::bind("127.0.0.1:0")?.handler(handler).start_link().await?;
    /// # server.stop(std::time::Duration::ZERO).await;
    /// # Ok::<(), riot_actor::Reason>(())
    /// # });
    /// ```
    ///
    /// # Panics
    /// Panics if the prefix is not `/` and letters, digits, `/`, `_` and `-`, or ends with `/`; and if the
    /// observer has a [listener](Self::listen) of its own.
    pub fn mount(self, prefix: &str, app: impl Handler) -> impl Handler {
        let prefix = checked_path(prefix);
        assert!(!prefix.ends_with('/'), "the prefix ends with `/`: {prefix:?}");
        let Self { core, is_at_root, .. } = self.without_listener();
        ObserverMount::new(Arc::new(core), &prefix, is_at_root, app)
    }

    /// Returns the observer as a tower service that answers every request, for axum's
    /// `Router::nest_service("/observer", observer.tower())`. It has to run in a server of this library,
    /// since it shows the runtime that it runs in; elsewhere it answers 503.
    ///
    /// The service does not know where its server listens, so without authentication it refuses each request
    /// of another machine.
    ///
    /// ```
    /// use axum::{Router, routing::get};
    /// use riot_observer::Observer;
    ///
    /// let observer = Observer::new().bearer("8c1d6ab17f5d").tower();
    /// let router: Router =
    ///     Router::new().route("/", get(|| async { "hello" })).nest_service("/observer", observer);
    /// # let _ = router;
    /// ```
    ///
    /// # Panics
    /// Panics if the observer has a [listener](Self::listen) of its own.
    #[cfg(feature = "tower")]
    pub fn tower(self) -> crate::ObserverService {
        crate::ObserverService::new(Arc::new(self.without_listener().core))
    }

    fn without_listener(self) -> Self {
        assert!(self.server.is_none(), "the observer has a listener of its own: mount another observer");
        self
    }
}

/// Shows how the observer is set up, and no secret.
impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { core, server, is_at_root } = self;
        f.debug_struct("Observer")
            .field("core", core)
            .field("server", server)
            .field("is_at_root", is_at_root)
            .finish()
    }
}

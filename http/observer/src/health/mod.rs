//! Liveness and readiness: `check` runs a program's own checks, `state` knows how far the program is,
//! `report` writes what is answered, `mount` puts the paths before another handler.
//!
//! **Invariant:** nothing here waits for a check longer than its timeout, and liveness asks no check.

mod check;
mod mount;
mod report;
mod state;

use std::{net::SocketAddr, sync::Arc};

use riot_http::Head;

use crate::message::{Reply, refuse_writes};
use check::Check;
pub use check::CheckResult;
use report::Question;
pub use state::HealthState;

/// Answers whether the program lives, at `/livez`, and whether it wants clients, at `/readyz`: with 200 `ok`
/// or with 503.
///
/// - `/livez` asks only whether the workers make progress
///   ([`workers_alive`](riot_actor::stats::workers_alive), within 2 s). Checks of the program never influence
///   it: else a database that is away would have the program restarted.
/// - `/readyz` is 200 in the state [`Ready`](HealthState::Ready) if all [checks](Self::readiness) pass. It is
///   503 from the first instant of a shutdown on, while clients are still served.
///
/// `?verbose` lists what was asked, in the form of Kubernetes, and so does a response with 503;
/// `?exclude=NAME` leaves a check out. Why something failed is shown to peers on this machine alone, and to
/// those that an [`Observer`](crate::Observer) has authenticated. Responses have `Cache-Control: no-store`.
/// Health needs no authentication.
///
/// Clones share their checks and the cached results.
///
/// ```
/// use riot_http::{Reqd, Response, Server};
/// use riot_observer::Health;
///
/// # riot_actor::run(async {
/// let health = Health::new().readiness("db", || async { true });
/// let answer = |reqd: Reqd| async move { reqd.respond_with_string(Response::ok(), "hello") };
/// // GET /livez and /readyz are answered here, everything else by `answer`.
/// let server = Server::bind("127.0.0.1:0")?.handler(health.mount(answer)).start_link().await?;
/// # server.stop(std::time::Duration::ZERO).await;
/// # Ok::<(), riot_actor::Reason>(())
/// # });
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Health {
    checks: Vec<Arc<Check>>,
    servers: Vec<String>,
    live_path: String,
    ready_path: String,
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

/// Bounds the bytes of a check's name; 64, as in the names of Kubernetes' labels.
const MAX_NAME_BYTES: usize = 64;

impl Health {
    /// Returns a health without checks of the program, at `/livez` and `/readyz`.
    pub fn new() -> Self {
        Self {
            checks: Vec::new(),
            servers: Vec::new(),
            live_path: "/livez".into(),
            ready_path: "/readyz".into(),
        }
    }

    /// Adds a check, which `/readyz` asks. It returns `true`, `Ok` or nothing if the program can serve
    /// clients, else `false` or an error, which is shown to peers on this machine.
    ///
    /// A check runs in a process of its own, labelled `HealthCheck`, for 2 s at most; then it has failed and
    /// is dropped. One that panics has failed. A result is kept for 1 s, in which further requests get it.
    /// The checks of a request run at the same time. A check is asked only in the state
    /// [`Ready`](HealthState::Ready).
    ///
    /// # Panics
    /// Panics if the name is taken, or not of 1 to 64 letters, digits, `.`, `_` and `-`.
    pub fn readiness<F, R>(mut self, name: &str, check: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = R> + Send + 'static,
        R: CheckResult,
    {
        let fits = |letter: u8| letter.is_ascii_alphanumeric() || b"._-".contains(&letter);
        assert!(
            (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(fits),
            "the name of a check has 1 to 64 letters, digits, `.`, `_` and `-`: {name:?}"
        );
        assert!(
            name != report::STATE && self.checks.iter().all(|check| check.name() != name),
            "there is a check named {name:?}"
        );
        self.checks.push(Arc::new(Check::new(name, check)));
        self
    }

    /// Names a server that has to accept clients before the program is [ready](HealthState::Ready), by the
    /// name that it was [given](riot_http::Server::name). By default all servers have to that have been
    /// started; a program that starts them in `main` names them, so that it is not ready before they are
    /// started.
    pub fn server(mut self, name: impl Into<String>) -> Self {
        self.servers.push(name.into());
        self
    }

    /// Sets the path of liveness; `/livez` by default.
    ///
    /// # Panics
    /// Panics if it is not `/` and letters, digits, `/`, `_` and `-`, or is the path of readiness.
    pub fn live_path(mut self, path: &str) -> Self {
        self.live_path = checked_path(path);
        self.check_paths()
    }

    /// Sets the path of readiness; `/readyz` by default.
    ///
    /// # Panics
    /// Panics if it is not `/` and letters, digits, `/`, `_` and `-`, or is the path of liveness.
    pub fn ready_path(mut self, path: &str) -> Self {
        self.ready_path = checked_path(path);
        self.check_paths()
    }

    fn check_paths(self) -> Self {
        assert!(self.live_path != self.ready_path, "liveness and readiness are both at {:?}", self.live_path);
        self
    }

    /// Returns how far the program is.
    ///
    /// ```
    /// use riot_observer::{Health, HealthState};
    /// # riot_actor::run(async {
    /// assert_eq!(Health::new().state(), HealthState::Ready);
    /// assert_eq!(Health::new().server("web").state(), HealthState::Starting);
    /// # });
    /// ```
    ///
    /// # Panics
    /// Panics outside a process.
    #[must_use]
    pub fn state(&self) -> HealthState {
        HealthState::now(&self.servers)
    }

    /// Returns whether a path is one of this health's.
    pub(crate) fn answers(&self, path: &str) -> bool {
        path == self.live_path || path == self.ready_path
    }

    /// Answers a request for a path of this health's. `is_trusted` says that the peer may see why a check
    /// failed.
    pub(crate) async fn answer(&self, head: &Head, path: &str, is_trusted: bool) -> Reply {
        if let Some(refusal) = refuse_writes(head) {
            return refusal;
        }
        let question = Question::of(head, is_trusted);
        if path == self.live_path { report::liveness(&question) } else { self.readyz(&question).await }
    }

    async fn readyz(&self, question: &Question<'_>) -> Reply {
        let state = self.state();
        let mut results = Vec::new();
        if state == HealthState::Ready {
            let asked = self.checks.iter().filter(|check| !question.excludes(check.name()));
            // All begin before one is waited for.
            let begun: Vec<_> = asked.map(|check| (check, check.begin())).collect();
            for (check, begun) in begun {
                results.push((check.name(), check.finish(begun).await));
            }
        }
        let names: Vec<&str> = self.checks.iter().map(|check| check.name()).collect();
        report::readiness(question, state, &results, &names)
    }
}

/// Returns whether a peer is this machine: a loopback address, or no internet address at all.
pub(crate) fn is_local(peer: Option<SocketAddr>) -> bool {
    peer.is_none_or(|peer| peer.ip().to_canonical().is_loopback())
}

/// Returns a path that requests can be compared with.
///
/// # Panics
/// Panics if it is not `/` and letters, digits, `/`, `_` and `-`.
pub(crate) fn checked_path(path: &str) -> String {
    let fits = |letter: u8| letter.is_ascii_alphanumeric() || b"/_-".contains(&letter);
    assert!(
        path.starts_with('/') && path.bytes().all(fits),
        "a path is `/` and letters, digits, `/`, `_` and `-`: {path:?}"
    );
    path.to_owned()
}

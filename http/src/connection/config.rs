//! What is the same for all connections of a server.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::HeaderValue;

use super::deadlines::{Nanos, nanos};
use crate::{Limits, RequestError, Response, Timeouts, date};

fn by_chance() -> u64 {
    RandomState::new().hash_one(())
}

/// How long a connection may be idle at first: where nobody knows whether there are many of them, and where somebody does.
fn idle_nanos(timeouts: &Timeouts) -> (Option<Nanos>, Option<Nanos>) {
    let idle = timeouts.idle.map(nanos);
    let crowded = timeouts.overloaded_idle.map(nanos).into_iter().chain(idle).min();
    (idle, crowded)
}

type ErrorPage = dyn Fn(&RequestError) -> Response + Send + Sync;

/// Bounds, timers, a name and a clock; shared by the connections of a server.
pub struct HttpConfig {
    pub(crate) limits: Limits,
    /// Which limits they are; 0 are the defaults. Two that are alike may have two numbers.
    pub(crate) limits_number: u64,
    pub(crate) timeouts: Timeouts,
    idle_nanos: (Option<Nanos>, Option<Nanos>),
    /// The `Server` line of every answer.
    pub(crate) server_line: Option<Bytes>,
    /// None: the system's.
    clock: Option<Box<dyn Fn() -> SystemTime + Send + Sync>>,
    /// What the connection's own answers say.
    pub(crate) error_page: Option<Box<ErrorPage>>,
    /// Where what is left to chance is taken from.
    pub(crate) random: fn() -> u64,
    /// Whether there are so many connections that idle ones had better leave.
    pub(crate) crowded: OnceLock<Box<dyn Fn() -> bool + Send + Sync>>,
}

impl HttpConfig {
    /// Every limit and timeout on, no `Server` field, the system's clock.
    #[must_use]
    pub fn new() -> Self {
        let (limits, timeouts) = (Limits::new(), Timeouts::new());
        Self {
            limits,
            limits_number: 0,
            idle_nanos: idle_nanos(&timeouts),
            timeouts,
            server_line: None,
            clock: None,
            error_page: None,
            random: by_chance,
            crowded: OnceLock::new(),
        }
    }

    /// Other bounds.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        static NUMBERS: AtomicU64 = AtomicU64::new(1);
        self.limits = limits;
        self.limits_number = NUMBERS.fetch_add(1, Relaxed);
        self
    }

    /// Other timers.
    #[must_use]
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.idle_nanos = idle_nanos(&timeouts);
        self.timeouts = timeouts;
        self
    }

    /// What answers say in `Server` (RFC 9110 §10.2.4); nothing by default.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<Option<HeaderValue>>) -> Self {
        self.server_line = name.into().map(|name| [b"server: ", name.as_bytes(), b"\r\n"].concat().into());
        self
    }

    /// Where `Date` is taken from, in place of the system's clock: one that is wound by hand, for instance.
    #[must_use]
    pub fn clock(mut self, clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        self.clock = Some(Box::new(clock));
        self
    }

    /// What is answered where the connection answers for itself: to what is no request, takes too long, or whose
    /// handler failed. Fields and body are the response's; the status is the [error's](RequestError::status). Without it
    /// the answer is a line of text. (http/af: `error_handler`.)
    ///
    /// Called while the connection waits, so it must not block or use it. If it panics, or gives a body that is not known
    /// as a whole, the line of text is sent.
    #[must_use]
    pub fn error_page(mut self, page: impl Fn(&RequestError) -> Response + Send + Sync + 'static) -> Self {
        self.error_page = Some(Box::new(page));
        self
    }

    /// Where what is left to chance is taken from: the jitter of [`Timeouts::age`]. A [`Server`](crate::Server) takes it
    /// from its runtime, so that a simulation repeats it.
    #[must_use]
    pub fn random(mut self, random: fn() -> u64) -> Self {
        self.random = random;
        self
    }

    /// The second that it is, counted from 1970.
    pub(crate) fn second(&self) -> u64 {
        if self.clock.is_some() { self.second_told() } else { date::this_second() }
    }

    #[cold]
    fn second_told(&self) -> u64 {
        self.clock.as_ref().map_or(0, |clock| date::second(clock()))
    }

    /// The answer to this error, and its body.
    pub(crate) fn refusal(&self, error: RequestError) -> (Response, Bytes) {
        let page = self.error_page.as_ref();
        let own = page.and_then(|page| {
            let mut response = catch_unwind(AssertUnwindSafe(|| page(&error))).ok()?;
            let body = response.take_body().into_bytes()?;
            Some((response, body))
        });
        let (response, body) = own.unwrap_or_else(|| {
            let text = format!("{}: {error}\n", error.status());
            (Response::text(""), text.into())
        });
        (response.status(error.status()), body)
    }

    /// Says, when asked, whether there are so many connections that idle ones end after
    /// [`Timeouts::overloaded_idle`]. The first that is set stays; a [`Server`](crate::Server) sets its own: 80 % of
    /// the connections there may be.
    pub fn crowded(&self, crowded: impl Fn() -> bool + Send + Sync + 'static) {
        let _ = self.crowded.set(Box::new(crowded));
    }

    /// As [`idle_step`](Self::idle_step) when a connection has just become idle; asked for every request.
    pub(crate) fn idle_first(&self) -> Option<Nanos> {
        let (idle, overloaded_idle) = self.idle_nanos;
        if self.crowded.get().is_some() { overloaded_idle } else { idle }
    }

    /// How long a connection that has been idle for `spent` is left alone; nothing if that was all.
    pub(crate) fn idle_step(&self, spent: Duration) -> Option<Duration> {
        let Timeouts { idle, overloaded_idle, .. } = self.timeouts;
        let left = idle.map(|idle| idle.saturating_sub(spent));
        let crowded = overloaded_idle.filter(|_| self.crowded.get().is_some());
        match (left, crowded) {
            (Some(left), Some(crowded)) => Some(left.min(crowded)),
            (left, crowded) => left.or(crowded),
        }
    }

    pub(crate) fn is_crowded(&self) -> bool {
        self.crowded.get().is_some_and(|crowded| crowded())
    }
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for HttpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("HttpConfig");
        debug.field("limits", &self.limits).field("timeouts", &self.timeouts);
        debug.field("server_line", &self.server_line.as_deref().map(String::from_utf8_lossy));
        debug.finish_non_exhaustive()
    }
}

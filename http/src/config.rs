//! The configuration that all connections of a server share.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};

use crate::{
    Limits, RequestError, Timeouts,
    contain::contain,
    message::ResponseHead,
    observe::{Counters, Watch},
    timeouts::{Nanos, nanos},
};

/// Returns the time in seconds since 1970, from a clock that is some milliseconds late and costs a fifth.
#[cfg(target_os = "linux")]
pub(crate) fn coarse_unix_secs() -> u64 {
    use rustix::time::{ClockId, clock_gettime};
    clock_gettime(ClockId::RealtimeCoarse).tv_sec.try_into().unwrap_or(0)
}

/// Returns the time in seconds since 1970.
#[cfg(not(target_os = "linux"))]
pub(crate) fn coarse_unix_secs() -> u64 {
    unix_secs(SystemTime::now())
}

/// Converts a time to seconds since 1970; an earlier time is 0.
pub(crate) fn unix_secs(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn random_from_std() -> u64 {
    RandomState::new().hash_one(())
}

/// Returns how long a connection may be idle at first: without an overload check, and with one.
fn idle_nanos(timeouts: &Timeouts) -> (Option<Nanos>, Option<Nanos>) {
    let idle = timeouts.idle_timeout.map(nanos);
    let crowded = timeouts.overloaded_idle_timeout.map(nanos).into_iter().chain(idle).min();
    (idle, crowded)
}

/// Renders the response for an error. Returns none if the body is not known as a whole.
type ErrorPage = dyn Fn(&RequestError) -> Option<ErrorResponse> + Send + Sync;

/// The response that a connection gives itself.
pub(crate) struct ErrorResponse {
    pub(crate) status: StatusCode,
    pub(crate) content_type: Option<HeaderValue>,
    pub(crate) others: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Bytes,
}

impl ErrorResponse {
    pub(crate) fn head(&self) -> ResponseHead<'_> {
        ResponseHead { status: self.status, content_type: self.content_type.as_ref(), others: &self.others }
    }
}

/// The scheme of the URIs that a connection serves. It matters where the target of a request is a whole URI.
///
/// ```
/// use riot_http::{HttpConfig, Scheme};
/// // TLS ends at a gateway, which passes on what it got over HTTP as well.
/// let config = HttpConfig::new().scheme(Scheme::Either);
/// # let _ = config;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scheme {
    /// `http`.
    #[default]
    Http,
    /// `https`: the connection is secured by TLS.
    Https,
    /// Both: a trusted gateway ends TLS before this server.
    Either,
}

impl Scheme {
    /// Returns whether URIs with this scheme, in any case, are served.
    pub(crate) fn includes(self, scheme: &str) -> bool {
        let is = |name| scheme.eq_ignore_ascii_case(name);
        match self {
            Self::Http => is("http"),
            Self::Https => is("https"),
            Self::Either => is("http") || is("https"),
        }
    }
}

/// The configuration that the connections of a server share: bounds, timers, a name and a clock.
pub struct HttpConfig {
    pub(crate) limits: Limits,
    /// Identifies the limits for caches; 0 are the defaults. Equal limits may have two ids.
    pub(crate) limits_id: u64,
    pub(crate) timeouts: Timeouts,
    pub(crate) scheme: Scheme,
    idle_nanos: (Option<Nanos>, Option<Nanos>),
    /// The complete `Server` line of every response.
    pub(crate) server_line: Option<Bytes>,
    /// Replaces the system's clock, if set.
    clock: Option<Box<dyn Fn() -> SystemTime + Send + Sync>>,
    /// Renders the responses that the connection gives itself, if set.
    pub(crate) error_page: Option<Box<ErrorPage>>,
    /// The levels at which handlers are logged that have ended with an error.
    #[cfg(feature = "driver")]
    pub(crate) log_levels: riot_socket::LogLevels,
    /// The source of random numbers.
    pub(crate) random: fn() -> u64,
    /// Tells whether requests are watched.
    pub(crate) watch: Watch,
    pub(crate) counters: Counters,
    /// Tells whether the server is overloaded, so that idle connections end earlier.
    pub(crate) overload_check: OnceLock<Box<dyn Fn() -> bool + Send + Sync>>,
}

impl HttpConfig {
    /// Returns a configuration with every limit and timeout on, no `Server` field, and the system's clock.
    #[must_use]
    pub fn new() -> Self {
        let (limits, timeouts) = (Limits::new(), Timeouts::new());
        Self {
            limits,
            limits_id: 0,
            idle_nanos: idle_nanos(&timeouts),
            timeouts,
            scheme: Scheme::Http,
            server_line: None,
            clock: None,
            error_page: None,
            #[cfg(feature = "driver")]
            log_levels: riot_socket::LogLevels::new(),
            random: random_from_std,
            watch: Watch::default(),
            counters: Counters::default(),
            overload_check: OnceLock::new(),
        }
    }

    /// Sets the bounds.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        static NUMBERS: AtomicU64 = AtomicU64::new(1);
        self.limits = limits;
        self.limits_id = NUMBERS.fetch_add(1, Relaxed);
        self
    }

    /// Sets the timers.
    #[must_use]
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.idle_nanos = idle_nanos(&timeouts);
        self.timeouts = timeouts;
        self
    }

    /// Sets the value of `Server` in every response (RFC 9110 §10.2.4); the field is absent by default.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<Option<HeaderValue>>) -> Self {
        self.server_line = name.into().map(|name| [b"server: ", name.as_bytes(), b"\r\n"].concat().into());
        self
    }

    /// Sets the scheme of the URIs that are served; [`Scheme::Http`] by default. A request whose target is a
    /// URI with another one is answered with 421 (RFC 9110 §7.4). A [`Server`](crate::Server) with TLS serves
    /// [`Scheme::Https`].
    #[must_use]
    pub fn scheme(mut self, scheme: Scheme) -> Self {
        self.scheme = scheme;
        self
    }

    /// Sets the clock of `Date`, in place of the system's. A test sets a clock that stands still.
    #[must_use]
    pub fn clock(mut self, clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        self.clock = Some(Box::new(clock));
        self
    }

    /// Sets the source of random numbers, which the jitter of [`Timeouts::age_timeout`] uses. A
    /// [`Server`](crate::Server) takes it from its runtime, so that a simulation repeats it.
    #[must_use]
    pub fn random(mut self, random: fn() -> u64) -> Self {
        self.random = random;
        self
    }

    /// Sets the levels at which handlers are logged that have ended with an error.
    #[cfg(feature = "driver")]
    pub(crate) fn log_levels(mut self, levels: riot_socket::LogLevels) -> Self {
        self.log_levels = levels;
        self
    }

    /// Returns how long a client has for its first request when the server drains.
    #[cfg(feature = "driver")]
    pub(crate) fn drain_first_timeout(&self) -> Duration {
        self.timeouts.drain_first_timeout
    }

    /// Returns the time in seconds since 1970.
    pub(crate) fn unix_secs(&self) -> u64 {
        if self.clock.is_some() { self.date_from_clock() } else { coarse_unix_secs() }
    }

    /// Returns the last second that is not in the future where `Date` says `second`. Times of files are those
    /// of the system's clock, whatever clock `Date` has.
    pub(crate) fn latest_date(&self, second: u64) -> u64 {
        if self.clock.is_some() { second.max(coarse_unix_secs()) } else { second }
    }

    #[cold]
    fn date_from_clock(&self) -> u64 {
        self.clock.as_ref().map_or(0, |clock| unix_secs(clock()))
    }

    /// Renders the response for an error the connection answers itself.
    pub(crate) fn error_response(&self, error: RequestError) -> ErrorResponse {
        let page = self.error_page.as_ref();
        let own = page.and_then(|page| contain(|| page(&error)).flatten());
        own.unwrap_or_else(|| ErrorResponse {
            status: error.status(),
            content_type: Some(HeaderValue::from_static("text/plain; charset=utf-8")),
            others: Vec::new(),
            body: format!("{}: {error}\n", error.status()).into(),
        })
    }

    /// Sets the check that tells whether the server is overloaded, so that idle connections end after
    /// [`Timeouts::overloaded_idle_timeout`]. The first check set stays. A [`Server`](crate::Server) sets its
    /// own: more than 80 % of the connections allowed, or the program had run out of descriptors in the last
    /// 10 s; see [`Load::is_overloaded`](riot_socket::Load::is_overloaded).
    pub fn overload_check(&self, crowded: impl Fn() -> bool + Send + Sync + 'static) {
        let _ = self.overload_check.set(Box::new(crowded));
    }

    /// Returns what [`idle_step`](Self::idle_step) does when a connection has just become idle. It is asked
    /// for every request.
    pub(crate) fn idle_first(&self) -> Option<Nanos> {
        let (idle, overloaded_idle) = self.idle_nanos;
        if self.overload_check.get().is_some() { overloaded_idle } else { idle }
    }

    /// Returns how long a connection that has been idle for `spent` is left alone; zero if that was all.
    pub(crate) fn idle_step(&self, spent: Duration) -> Option<Duration> {
        let Timeouts { idle_timeout: idle, overloaded_idle_timeout: overloaded_idle, .. } = self.timeouts;
        let left = idle.map(|idle| idle.saturating_sub(spent));
        let crowded = overloaded_idle.filter(|_| self.overload_check.get().is_some());
        match (left, crowded) {
            (Some(left), Some(crowded)) => Some(left.min(crowded)),
            (left, crowded) => left.or(crowded),
        }
    }

    pub(crate) fn is_overloaded(&self) -> bool {
        self.overload_check.get().is_some_and(|crowded| crowded())
    }
}

#[cfg(feature = "driver")]
impl riot_actor::telemetry::Follower for HttpConfig {
    fn set_watched(&self, is_watched: bool) {
        self.watch.set_handled(is_watched);
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
        debug.field("limits", &self.limits).field("timeouts", &self.timeouts).field("scheme", &self.scheme);
        debug.field("server_line", &self.server_line.as_deref().map(String::from_utf8_lossy));
        debug.finish_non_exhaustive()
    }
}

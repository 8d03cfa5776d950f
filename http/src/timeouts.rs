//! The timers of a connection: what each waits for, its default, and what happens then.

use std::time::Duration;

/// The timers of one connection. All are on by default, except the handler's and the connection's age.
///
/// Durations bound phases of a connection. A connection's clock may be up to about 10 ms late.
///
/// | timer | default | what the client gets | name |
/// |---|---|---|---|
/// | [head](Self::head_timeout) | 10 s | 408 | `head` |
/// | [idle](Self::idle_timeout) | 60 s, [15 s](Self::overloaded_idle_timeout) in a full server | the end | `idle` |
/// | [body](Self::body_idle_timeout) | 30 s, [240 B/s](Self::min_body_rate) | 408 | `body` |
/// | [handler](Self::handler_timeout) | off | 503 | `handler` |
/// | [write stall](Self::write_stall_timeout) | 30 s | a reset | `write_stall` |
/// | [write rate](Self::min_write_rate) | 240 B/s | a reset | `write_rate` |
/// | [half closed](Self::half_closed_timeout) | 10 s | the end | `half_closed` |
/// | [age](Self::age_timeout) | off | a last response with `Connection: close`, or the end | `age` |
/// | [linger](Self::linger_timeout) | 1 s | the end | |
///
/// A response whose head has been sent is cut off in place of a 408 or 503. The name is the key in
/// `ServerInfo::timeouts` of `riot-socket`, and stands in the line of the log (`LogLevels::timeout`). The
/// handshake before the first request has a bound of its own (`Server::handshake_timeout`, 5 s, `handshake`).
///
/// ```
/// use std::time::Duration;
/// use riot_http::Timeouts;
/// let timeouts = Timeouts::new()
///     .idle_timeout(Duration::from_secs(15))
///     .handler_timeout(Duration::from_secs(30))
///     .without_write_stall_timeout();
/// # let _ = timeouts;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    pub(crate) head_timeout: Option<Duration>,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) overloaded_idle_timeout: Option<Duration>,
    pub(crate) body_idle_timeout: Option<Duration>,
    pub(crate) handler_timeout: Option<Duration>,
    pub(crate) write_stall_timeout: Option<Duration>,
    pub(crate) age_timeout: Option<Duration>,
    pub(crate) half_closed_timeout: Option<Duration>,
    pub(crate) min_body_rate: Option<u32>,
    pub(crate) min_write_rate: Option<u32>,
    pub(crate) linger_timeout: Duration,
    pub(crate) drain_first_timeout: Duration,
    pub(crate) drain_idle_timeout: Option<Duration>,
}

fn checked(timeout: Duration, name: &str) -> Option<Duration> {
    assert!(!timeout.is_zero(), "riot_http: {name} must be longer than zero");
    Some(timeout)
}

impl Timeouts {
    /// Returns the defaults.
    #[must_use]
    pub fn new() -> Self {
        Self {
            head_timeout: Some(Duration::from_secs(10)),
            idle_timeout: Some(Duration::from_secs(60)),
            overloaded_idle_timeout: Some(Duration::from_secs(15)),
            body_idle_timeout: Some(Duration::from_secs(30)),
            handler_timeout: None,
            write_stall_timeout: Some(Duration::from_secs(30)),
            age_timeout: None,
            half_closed_timeout: Some(Duration::from_secs(10)),
            min_body_rate: Some(240),
            min_write_rate: Some(240),
            linger_timeout: Duration::from_secs(1),
            drain_first_timeout: Duration::from_secs(1),
            drain_idle_timeout: Some(Duration::from_millis(500)),
        }
    }

    /// From the first byte of a head to its last; 10 s by default. Then 408 (RFC 9110 §15.5.9).
    ///
    /// # Panics
    /// Panics if `timeout` is zero.
    #[must_use]
    pub fn head_timeout(mut self, timeout: Duration) -> Self {
        self.head_timeout = checked(timeout, "head_timeout");
        self
    }

    /// Switches the head timeout off.
    #[must_use]
    pub fn without_head_timeout(mut self) -> Self {
        self.head_timeout = None;
        self
    }

    /// Between requests, and before the first; 60 s by default. Then the connection closes without a
    /// response.
    ///
    /// # Panics
    /// Panics if `timeout` is zero.
    #[must_use]
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = checked(timeout, "idle_timeout");
        self
    }

    /// Switches the idle timeout off.
    #[must_use]
    pub fn without_idle_timeout(mut self) -> Self {
        self.idle_timeout = None;
        self
    }

    /// Replaces the idle timeout while the server is more than 80 % full or out of descriptors; 15 s by
    /// default. It is checked each time it has passed, so that connections are freed soon once they are
    /// needed.
    ///
    /// # Panics
    /// Panics if `timeout` is zero.
    #[must_use]
    pub fn overloaded_idle_timeout(mut self, timeout: Duration) -> Self {
        self.overloaded_idle_timeout = checked(timeout, "overloaded_idle_timeout");
        self
    }

    /// Switches the overloaded idle timeout off.
    #[must_use]
    pub fn without_overloaded_idle_timeout(mut self) -> Self {
        self.overloaded_idle_timeout = None;
        self
    }

    /// Between two pieces of a body that a handler waits for; 30 s by default. Then 408, or a response that
    /// is cut off if it had begun.
    ///
    /// # Panics
    /// Panics if `timeout` is zero.
    #[must_use]
    pub fn body_idle_timeout(mut self, timeout: Duration) -> Self {
        self.body_idle_timeout = checked(timeout, "body_idle_timeout");
        self
    }

    /// Switches the body idle timeout off.
    #[must_use]
    pub fn without_body_idle_timeout(mut self) -> Self {
        self.body_idle_timeout = None;
        self
    }

    /// From handing a request over to the end of its response; off by default, since the library cannot know
    /// how long work takes. Then 503, or a response that is cut off if it had begun.
    ///
    /// # Panics
    /// Panics if `timeout` is zero.
    #[must_use]
    pub fn handler_timeout(mut self, timeout: Duration) -> Self {
        self.handler_timeout = checked(timeout, "handler_timeout");
        self
    }

    /// Bounds how long a peer may accept nothing of what is to be sent; 30 s by default. Then the connection
    /// is dropped.
    ///
    /// # Panics
    /// Panics if `timeout` is zero.
    #[must_use]
    pub fn write_stall_timeout(mut self, timeout: Duration) -> Self {
        self.write_stall_timeout = checked(timeout, "write_stall_timeout");
        self
    }

    /// Switches the write stall timeout off.
    #[must_use]
    pub fn without_write_stall_timeout(mut self) -> Self {
        self.write_stall_timeout = None;
        self
    }

    /// Bounds how long the exchanges under way may take after the peer has stopped sending; 10 s by default.
    /// Then the handler is cancelled, unless it is [kept](crate::Reqd::keep_handler), and the connection is
    /// dropped.
    ///
    /// A peer that only stops sending cannot be told from one that has closed the connection, until something
    /// is sent to it. Without this bound a long poll, or a stream without events, would outlive its client
    /// for ever. A response whose last byte has been handed over by its handler is not bounded by this timer.
    ///
    /// # Panics
    /// Panics if `timeout` is zero.
    #[must_use]
    pub fn half_closed_timeout(mut self, timeout: Duration) -> Self {
        self.half_closed_timeout = checked(timeout, "half_closed_timeout");
        self
    }

    /// Switches the half-closed timeout off.
    #[must_use]
    pub fn without_half_closed_timeout(mut self) -> Self {
        self.half_closed_timeout = None;
        self
    }

    /// Bounds the life of a connection, less up to a tenth at random, so that connections opened together do
    /// not end together; off by default. Then the connection finishes the request under way and closes.
    ///
    /// # Panics
    /// Panics if `timeout` is zero.
    #[must_use]
    pub fn age_timeout(mut self, timeout: Duration) -> Self {
        self.age_timeout = checked(timeout, "age_timeout");
        self
    }

    /// The lowest rate at which a body may arrive while a handler waits for it, in bytes a second; 240 by
    /// default. The peer may fall behind by [`body_idle_timeout`](Self::body_idle_timeout); then the same
    /// happens as there.
    ///
    /// # Panics
    /// Panics if `bytes` is zero.
    #[must_use]
    pub fn min_body_rate(mut self, bytes: u32) -> Self {
        assert!(bytes > 0, "riot_http: min_body_rate must be greater than zero");
        self.min_body_rate = Some(bytes);
        self
    }

    /// Lets bodies arrive at any rate.
    #[must_use]
    pub fn without_min_body_rate(mut self) -> Self {
        self.min_body_rate = None;
        self
    }

    /// The lowest rate at which a peer may accept what is to be sent, while bytes wait for it, in bytes a
    /// second; 240 by default. The peer may fall behind by
    /// [`write_stall_timeout`](Self::write_stall_timeout), so the rate is an average over that time; then the
    /// connection is dropped. Without that timeout there is no lowest rate either.
    ///
    /// # Panics
    /// Panics if `bytes` is zero.
    #[must_use]
    pub fn min_write_rate(mut self, bytes: u32) -> Self {
        assert!(bytes > 0, "riot_http: min_write_rate must be greater than zero");
        self.min_write_rate = Some(bytes);
        self
    }

    /// Lets peers accept bytes at any rate.
    #[must_use]
    pub fn without_min_write_rate(mut self) -> Self {
        self.min_write_rate = None;
        self
    }

    /// Bounds how long the peer may take to close after the last response; 1 s by default (RFC 9112 §9.6).
    /// Zero closes at once.
    #[must_use]
    pub fn linger_timeout(mut self, timeout: Duration) -> Self {
        self.linger_timeout = timeout;
        self
    }

    /// Sets how long a connection on which nothing has been received yet is kept when the server drains; 1 s
    /// by default. A request in this time is served as the last, and says so (RFC 9112 §9.6).
    #[must_use]
    pub fn drain_first_timeout(mut self, timeout: Duration) -> Self {
        self.drain_first_timeout = timeout;
        self
    }

    /// Sets how long a connection between two requests is kept when the server drains; 500 ms by default,
    /// less up to a half at random, so that clients do not all connect again at the same moment. A request in
    /// this time is served as the last, and says so (RFC 9112 §9.6).
    #[must_use]
    pub fn drain_idle_timeout(mut self, timeout: Duration) -> Self {
        self.drain_idle_timeout = Some(timeout);
        self
    }

    /// Keeps a connection between two requests, when the server drains, until it has had its last response,
    /// its idle timeout has passed, or the drain ends.
    #[must_use]
    pub fn drain_idle_forever(mut self) -> Self {
        self.drain_idle_timeout = None;
        self
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self::new()
    }
}

/// Nanoseconds since a connection was first told the time. Half the size of an
/// [`Instant`](std::time::Instant), and compared at once.
pub(crate) type Nanos = u64;

/// The first number that is not a time.
pub(crate) const UNSET: Nanos = 1 << 63;

/// Converts a duration; one of more than a century counts as a century.
pub(crate) fn nanos(time: Duration) -> Nanos {
    Nanos::try_from(time.as_nanos()).map_or(UNSET >> 1, |nanos| nanos.min(UNSET >> 1))
}

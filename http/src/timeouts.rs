//! Every timer of a connection: what it waits for, its default, and why.

use std::time::Duration;

/// The timers of one connection. Each setter takes a [`Duration`], or `None` to switch its timer off.
///
/// ```
/// use std::time::Duration;
/// let timeouts = riot_http::Timeouts::new().idle(Duration::from_secs(15)).handler(Duration::from_secs(30));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    pub(crate) head: Option<Duration>,
    pub(crate) idle: Option<Duration>,
    pub(crate) overloaded_idle: Option<Duration>,
    pub(crate) body_idle: Option<Duration>,
    pub(crate) min_body_rate: Option<u32>,
    pub(crate) handler: Option<Duration>,
    pub(crate) write_stall: Option<Duration>,
    pub(crate) linger: Duration,
    pub(crate) age: Option<Duration>,
}

impl Timeouts {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self {
            head: Some(Duration::from_secs(10)),
            idle: Some(Duration::from_secs(60)),
            overloaded_idle: Some(Duration::from_secs(15)),
            body_idle: Some(Duration::from_secs(30)),
            min_body_rate: Some(240),
            handler: None,
            write_stall: Some(Duration::from_secs(30)),
            linger: Duration::from_secs(1),
            age: None,
        }
    }

    /// From the first byte of a head to its last; 10 s by default. Then 408 (RFC 9110 §15.5.9).
    #[must_use]
    pub fn head(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.head = time.into();
        self
    }

    /// Between requests, and before the first; 60 s by default. Then the connection closes without a word.
    #[must_use]
    pub fn idle(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.idle = time.into();
        self
    }

    /// The same when the server is more than 80 % full; 15 s by default. It is looked at each time so much has
    /// passed, so that places are found soon once they are needed.
    #[must_use]
    pub fn overloaded_idle(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.overloaded_idle = time.into();
        self
    }

    /// Between two pieces of a body that is waited for; 30 s by default. Then 408, or an aborted answer.
    #[must_use]
    pub fn body_idle(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.body_idle = time.into();
        self
    }

    /// How fast a body has to come while it is waited for, in bytes a second; 240 by default. The peer may fall
    /// behind by [`body_idle`](Self::body_idle); then as there.
    #[must_use]
    pub fn min_body_rate(mut self, bytes: impl Into<Option<u32>>) -> Self {
        self.min_body_rate = bytes.into().filter(|&rate| rate > 0);
        self
    }

    /// From handing a request over to the end of its answer; off by default, for the library cannot know how long
    /// work takes. Then 503, or an aborted answer.
    #[must_use]
    pub fn handler(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.handler = time.into();
        self
    }

    /// How long a peer may take nothing of what is to be sent; 30 s by default. Then the connection is dropped.
    #[must_use]
    pub fn write_stall(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.write_stall = time.into();
        self
    }

    /// How long the peer may take to close after the last answer; 1 s by default (RFC 9112 §9.6).
    #[must_use]
    pub fn linger(mut self, time: Duration) -> Self {
        self.linger = time;
        self
    }

    /// A connection's whole life, less up to a tenth by chance so that connections opened together do not end
    /// together; off by default. Then it ends in order.
    #[must_use]
    pub fn age(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.age = time.into();
        self
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self::new()
    }
}

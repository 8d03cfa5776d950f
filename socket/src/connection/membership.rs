//! The hook through which a connection belongs to a server, and the server's load as its connections see it.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use riot_actor::{log::LogLevel, now};

use super::{record::ConnectionRecord, timeouts::ConnectionTimeouts};

/// A server, as far as its connections know it.
pub(crate) trait Owner: Send + Sync {
    /// Returns the load of the server.
    fn load(&self) -> &Load;

    /// Returns the name of the server, if it has one by now.
    fn name(&self) -> Option<Arc<str>>;

    /// Releases the permit of a member, so that another client can be accepted. Only the first call has an
    /// effect.
    fn release_permit(&self, key: MemberKey);

    /// Returns how long reads and writes may wait without a byte.
    fn timeouts(&self) -> ConnectionTimeouts;

    /// Returns the level at which a client that leaves is logged.
    fn level_of_clients_gone(&self) -> LogLevel;

    /// Counts and logs a connection that a timer ended.
    fn count_timeout(&self, timer: &'static str, record: &ConnectionRecord);

    /// Counts and logs a connection whose client broke the protocol.
    fn count_protocol_error(&self, error: &str, record: &ConnectionRecord);

    /// Counts a connection whose client has exceeded a bound.
    fn count_limit(&self, limit: &'static str, record: &ConnectionRecord);

    /// Removes a member at the end of its connection.
    fn remove(&self, key: MemberKey, record: &ConnectionRecord);
}

/// The slot of a member in the table of its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MemberKey {
    pub(crate) shard: u32,
    pub(crate) slot: u32,
}

/// The membership of a connection in a server. The last holder of the connection [ends](Self::end) it.
pub(crate) struct Membership {
    owner: Arc<dyn Owner>,
    key: MemberKey,
}

impl Membership {
    pub(crate) fn new(owner: Arc<dyn Owner>, key: MemberKey) -> Self {
        Self { owner, key }
    }

    pub(super) fn load(&self) -> Load {
        self.owner.load().clone()
    }

    pub(super) fn server_name(&self) -> Option<Arc<str>> {
        self.owner.name()
    }

    pub(super) fn release_permit(&self) {
        self.owner.release_permit(self.key);
    }

    pub(super) fn timeouts(&self) -> ConnectionTimeouts {
        self.owner.timeouts()
    }

    pub(super) fn level_of_clients_gone(&self) -> LogLevel {
        self.owner.level_of_clients_gone()
    }

    pub(super) fn count_timeout(&self, timer: &'static str, record: &ConnectionRecord) {
        self.owner.count_timeout(timer, record);
    }

    pub(super) fn count_protocol_error(&self, error: &str, record: &ConnectionRecord) {
        self.owner.count_protocol_error(error, record);
    }

    pub(super) fn count_limit(&self, limit: &'static str, record: &ConnectionRecord) {
        self.owner.count_limit(limit, record);
    }

    pub(super) fn end(&self, record: &ConnectionRecord) {
        self.owner.remove(self.key, record);
    }
}

/// The load of a server, for protocols that are less patient while it is high. Cheap to clone.
///
/// ```
/// use riot_socket::{Connection, memory::Listener, Server};
///
/// # let reason = riot_actor::run(async {
/// let listener = Listener::new();
/// let server = Server::listen(listener.clone())
///     .max_connections(100)
///     .start_link(|mut connection: Connection| async move {
///         let load = connection.load().expect("the connection belongs to a server");
///         assert_eq!((load.active(), load.max()), (1, 100));
///         connection.write_all(b"hello").await
///     })
///     .await?;
/// assert_eq!(listener.connect()?.read_to_end(5).await?, b"hello");
/// # server.stop(std::time::Duration::ZERO).await;
/// # Ok::<(), riot_actor::Reason>(())
/// # });
/// # assert_eq!(reason, riot_actor::Reason::Normal);
/// ```
#[derive(Clone)]
pub struct Load(Arc<LoadCounters>);

struct LoadCounters {
    active: AtomicUsize,
    max: AtomicUsize,
    created: Instant,
    /// The last time that the program had run out of descriptors, in milliseconds after `created`, plus one.
    /// Zero: never.
    exhausted: AtomicU64,
}

/// The time for which a server counts as overloaded after the program had run out of descriptors: 10 s.
const EXHAUSTED_FOR: Duration = Duration::from_secs(10);

impl Load {
    pub(crate) fn new(max: usize) -> Self {
        Self(Arc::new(LoadCounters {
            active: AtomicUsize::new(0),
            max: AtomicUsize::new(max),
            created: now(),
            exhausted: AtomicU64::new(0),
        }))
    }

    /// Returns whether idle connections should end earlier than usual: more than 80 % of the bound are there,
    /// or the program had run out of descriptors in the last 10 s.
    #[must_use]
    pub fn is_overloaded(&self) -> bool {
        self.active().saturating_mul(5) > self.max().saturating_mul(4) || self.is_exhausted()
    }

    fn is_exhausted(&self) -> bool {
        match self.0.exhausted.load(Relaxed) {
            0 => false,
            last => self.age() < Duration::from_millis(last - 1).saturating_add(EXHAUSTED_FOR),
        }
    }

    pub(crate) fn set_exhausted(&self) {
        let now = u64::try_from(self.age().as_millis()).unwrap_or(u64::MAX - 1);
        self.0.exhausted.store(now.saturating_add(1), Relaxed);
    }

    fn age(&self) -> Duration {
        now().saturating_duration_since(self.0.created)
    }

    /// Returns the number of connections, without those that were [removed](crate::Connection::remove).
    #[must_use]
    pub fn active(&self) -> usize {
        self.0.active.load(Relaxed)
    }

    /// Returns the bound of connections.
    #[must_use]
    pub fn max(&self) -> usize {
        self.0.max.load(Relaxed)
    }

    pub(crate) fn inc(&self) {
        self.0.active.fetch_add(1, Relaxed);
    }

    pub(crate) fn dec(&self) {
        self.0.active.fetch_sub(1, Relaxed);
    }

    pub(crate) fn set_max(&self, max: usize) {
        self.0.max.store(max, Relaxed);
    }
}

impl fmt::Debug for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Load({} of {})", self.active(), self.max())
    }
}

//! The hook through which a connection belongs to a server, and the server's load as its connections see it.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use super::record::ConnectionRecord;

/// A server, as far as its connections know it.
pub(crate) trait Owner: Send + Sync {
    /// Returns the load of the server.
    fn load(&self) -> &Load;

    /// Releases the permit of a member, so that another client can be accepted. Only the first call has an
    /// effect.
    fn release_permit(&self, key: MemberKey);

    /// Counts a connection that a timer ended.
    fn count_timeout(&self, timer: &'static str);

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

    pub(super) fn release_permit(&self) {
        self.owner.release_permit(self.key);
    }

    pub(super) fn count_timeout(&self, timer: &'static str) {
        self.owner.count_timeout(timer);
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
}

impl Load {
    pub(crate) fn new(max: usize) -> Self {
        Self(Arc::new(LoadCounters { active: AtomicUsize::new(0), max: AtomicUsize::new(max) }))
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

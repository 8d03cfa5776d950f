//! Several equal supervisors under one name, so that no single process does all the starting and stopping.
//!
//! A key always leads to the same partition: a number `k` to partition `k` modulo their number, any other key
//! by a hash that depends on the key alone.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use riot_actor::{Pid, name::Name, whereis};

use crate::{Supervisor, SupervisorRef, SupervisorStartError, constructors::supervisor};

/// The builder of a number of equal supervisors; [`start_link`](Self::start_link) starts their processes.
///
/// ```
/// use riot_actor::{run, Reason};
/// use riot_supervisor::{Partitioned, Supervisor, process};
///
/// let reason = run(async {
///     let pools = Partitioned::new("jobs", 4, Supervisor::dynamic).start_link().await?;
///     let job = process("job", || std::future::pending::<()>()).temporary();
///     let pool = pools.by_hash("customer 42").expect("none is restarting");
///     pool.start_child(job).await?;
///     assert_eq!(pools.by_hash("customer 42").expect("none is restarting").pid(), pool.pid());
///     Ok::<_, Reason>(())
/// });
/// # assert_eq!(reason, Reason::Normal);
/// ```
#[must_use = "nothing is supervised before `start_link`"]
pub struct Partitioned {
    name: Name,
    count: usize,
    describe: Arc<dyn Fn() -> Supervisor + Send + Sync>,
}

impl fmt::Debug for Partitioned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Partitioned")
            .field("name", &self.name)
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

impl Partitioned {
    /// Returns the builder of `count` supervisors, each described by `describe`, under a supervisor with the
    /// name `name`. The partitions themselves are named `name/0`, `name/1` and so on.
    ///
    /// # Panics
    /// Panics if `count` is zero.
    pub fn new(
        name: impl Into<Name>,
        count: usize,
        describe: impl Fn() -> Supervisor + Send + Sync + 'static,
    ) -> Self {
        assert!(count > 0, "the number of partitions is zero");
        Self { name: name.into(), count, describe: Arc::new(describe) }
    }

    /// Starts all partitions, linked to the caller.
    ///
    /// # Errors
    /// See [`SupervisorStartError`].
    ///
    /// # Panics
    /// Panics outside a process.
    pub async fn start_link(self) -> Result<Partitions, SupervisorStartError> {
        let names: Arc<[Name]> =
            (0..self.count).map(|nth| Name::from(format!("{}/{nth}", self.name))).collect();
        let mut top = Supervisor::one_for_one().name(self.name);
        for (nth, name) in names.iter().enumerate() {
            let (name, describe) = (name.clone(), self.describe.clone());
            top = top.child(supervisor(nth, move || describe().name(name.clone()).start_link()));
        }
        let top = top.start_link().await?;
        Ok(Partitions { top, names })
    }
}

/// The running partitions of a [`Partitioned`]. Cheap to clone.
///
/// ```
/// # use riot_actor::{run, Reason};
/// use riot_supervisor::{Partitioned, Supervisor};
/// # let reason = run(async {
/// let pools = Partitioned::new("pools", 4, Supervisor::dynamic).start_link().await?;
/// assert_eq!(pools.by_number(6), pools.by_number(2));
/// assert_eq!(pools.top().count_children().await?.supervisors, pools.count());
/// # Ok::<_, Reason>(())
/// # });
/// # assert_eq!(reason, Reason::Normal);
/// ```
#[derive(Clone, Debug)]
pub struct Partitions {
    top: SupervisorRef,
    names: Arc<[Name]>,
}

impl Partitions {
    /// Returns the supervisor above all partitions.
    #[must_use]
    pub fn top(&self) -> SupervisorRef {
        self.top
    }

    /// Returns the number of partitions, which never changes.
    #[must_use]
    pub fn count(&self) -> usize {
        self.names.len()
    }

    /// Returns the partition of a number, at `key` modulo their number; `None` while it restarts.
    ///
    /// # Panics
    /// Panics outside a process.
    #[must_use]
    pub fn by_number(&self, key: usize) -> Option<SupervisorRef> {
        whereis(&self.names[key % self.names.len()]).map(SupervisorRef::new)
    }

    /// Returns the partition of any other key; `None` while it restarts.
    ///
    /// # Panics
    /// Panics outside a process.
    #[must_use]
    pub fn by_hash(&self, key: impl Hash) -> Option<SupervisorRef> {
        let mut hasher = Fnv(0xcbf2_9ce4_8422_2325);
        key.hash(&mut hasher);
        self.by_number((hasher.finish() % self.names.len() as u64) as usize)
    }
}

impl crate::IntoChild for Partitions {
    type Ref = SupervisorRef;

    fn into_child(self) -> Option<Pid> {
        Some(self.top.pid())
    }
}

/// The hash FNV-1a. It has no random state, so a key leads to the same partition in every run.
struct Fnv(u64);

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    fn finish(&self) -> u64 {
        self.0
    }
}

//! Several supervisors in the place of one, so that no single process does all the starting and stopping.
//!
//! A key always leads to the same partition: a number `k` to the one at `k` modulo their number, anything else by a hash
//! that depends on the key alone.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use riot_actor::{Pid, name::Name, whereis};

use crate::{Supervisor, SupervisorRef, SupervisorStartError, constructors::supervisor};

/// A number of equal supervisors to be; [`start_link`](Self::start_link) makes them processes.
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
    /// `count` supervisors, each as `describe` says, under a supervisor that has the name. The partitions themselves are
    /// named `name/0`, `name/1` and so on.
    ///
    /// # Panics
    /// If `count` is zero.
    pub fn new(
        name: impl Into<Name>,
        count: usize,
        describe: impl Fn() -> Supervisor + Send + Sync + 'static,
    ) -> Self {
        assert!(count > 0, "a key has to lead somewhere");
        Self { name: name.into(), count, describe: Arc::new(describe) }
    }

    /// Starts them all, linked to the caller.
    ///
    /// # Errors
    /// See [`SupervisorStartError`].
    ///
    /// # Panics
    /// Outside a process.
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

/// Running partitions. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Partitions {
    top: SupervisorRef,
    names: Arc<[Name]>,
}

impl Partitions {
    /// The supervisor above all partitions.
    #[must_use]
    pub fn top(&self) -> SupervisorRef {
        self.top
    }

    /// How many there are; that never changes.
    #[must_use]
    pub fn count(&self) -> usize {
        self.names.len()
    }

    /// The partition of a number: that at `key` modulo their number; none while it restarts.
    ///
    /// # Panics
    /// Outside a process, as [`by_hash`](Self::by_hash).
    #[must_use]
    pub fn by_number(&self, key: usize) -> Option<SupervisorRef> {
        whereis(self.names[key % self.names.len()].as_str()).map(SupervisorRef::new)
    }

    /// The partition of any other key; none while it restarts.
    #[must_use]
    pub fn by_hash(&self, key: impl Hash) -> Option<SupervisorRef> {
        let mut hasher = Fnv(0xcbf2_9ce4_8422_2325);
        key.hash(&mut hasher);
        self.by_number((hasher.finish() % self.names.len() as u64) as usize)
    }
}

impl crate::IntoChild for Partitions {
    fn into_child(self) -> Option<Pid> {
        Some(self.top.pid())
    }
}

/// FNV-1a: without random state, so that a key leads to the same place in every run.
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

//! Tables: keys and values that one process owns and all read, without a message.
//!
//! A table belongs to the process that makes it, and ends with it, unless it has an heir. Reads go on while
//! others write; a value is shown, compared and dropped while no lock is held. (OTP: ets.)
//!
//! ```
//! use riot_actor::{process::wait, run, spawn, table::{Table, TableError}};
//!
//! run(async {
//!     let sessions = Table::<String, u32>::new("sessions").max_entries(100_000);
//!     sessions.insert("joe".to_owned(), 7)?;
//!     let reader = sessions.reference();
//!     let other = spawn(async move { assert_eq!(reader.get("joe"), Some(7)) });
//!     assert!(wait(other).await.is_clean());
//!     Ok::<(), TableError<u32>>(())
//! });
//! ```
//!
//! A table is not found by its name, which is for those who look at the system: give its
//! [`reference`](Table::reference) to those who need it. One that outlives the processes that use it is made
//! where a supervisor is, in `Supervisor::init` of riot-supervisor, and its reference goes to the children.
//!
//! `shards` holds the entries, `reference` the operations and who may use them, `registry` the tables of a
//! runtime and the end of their owners.
//!
//! **Invariant:** no code of a user runs under a lock, except the closure of an update under a lock that
//! writes alone take.

#[cfg(all(test, riot_loom))]
mod models;
mod reference;
mod registry;
mod shards;

use std::{
    fmt,
    hash::{BuildHasher, Hash, RandomState},
    ops::Deref,
    sync::Arc,
};

use reference::TableCore;
pub use reference::{TableError, TableRef};
pub(crate) use registry::Tables;
pub use registry::{TableInfo, tables};
use shards::Shards;

use crate::{names::name::Name, process::pid::Pid, runtime::context, sync::atomic::Ordering};

/// Entries that a table may have by default: four for each of the 16 384 connections that a server accepts
/// by default.
pub const MAX_ENTRIES: usize = 65_536;

/// A table in the hands of its owner, which also sets what it may do. All that [`TableRef`] does it does,
/// too.
///
/// Dropping this changes nothing: the table ends with its owner. See the [module](self) for an example.
pub struct Table<K, V>(TableRef<K, V>);

impl<K, V> fmt::Debug for Table<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Table({:?})", self.name())
    }
}

impl<K, V> Deref for Table<K, V> {
    type Target = TableRef<K, V>;
    fn deref(&self) -> &TableRef<K, V> {
        &self.0
    }
}

impl<K, V> Table<K, V>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    /// Makes a table that belongs to the running process. The name is for observers; several tables may
    /// have the same one.
    ///
    /// # Panics
    /// Panics outside a process.
    pub fn new(name: impl Into<Name>) -> Self {
        let (owner, name) = (crate::this(), name.into());
        context::with_shared("Table::new", |shared| {
            let simulated = shared.simulated().map(|queue| queue.random());
            // Every `RandomState` has keys of its own.
            let seed = simulated.unwrap_or_else(|| RandomState::new().hash_one(()));
            let make = || Arc::new(TableCore::new(name, owner, Shards::new(seed, MAX_ENTRIES)));
            Self(TableRef(shared.tables.add(shared, owner, make)))
        })
    }

    /// Bounds the number of entries, by default to [`MAX_ENTRIES`], 65 536. A value for one key more is
    /// refused with [`TableError::Full`]; entries that are there stay.
    ///
    /// # Panics
    /// Panics if `entries` is zero.
    #[must_use = "the table is in the result"]
    pub fn max_entries(self, entries: usize) -> Self {
        assert!(entries > 0, "a table must accept at least one entry");
        self.0.0.shards.set_max_entries(entries);
        self
    }

    /// Sets the process that the table belongs to when its owner has exited. It gets a [`TableTransfer`],
    /// before links and monitors of the owner are told. If it has exited itself, the table ends. The new
    /// owner has to set an heir of its own.
    #[must_use = "the table is in the result"]
    pub fn heir(self, heir: Pid) -> Self {
        let core = &self.0.0;
        core.set_heir(Some(heir).filter(|heir| heir.runtime == core.maker.runtime));
        self
    }

    /// Lets all processes and threads write to the table. By default only the owner may.
    #[must_use = "the table is in the result"]
    pub fn public(self) -> Self {
        self.0.0.is_public.store(true, Ordering::Relaxed);
        self
    }

    /// Returns a reference for other processes and threads.
    #[must_use]
    pub fn reference(&self) -> TableRef<K, V> {
        self.0.clone()
    }
}

impl<K, V> From<Table<K, V>> for TableRef<K, V> {
    fn from(table: Table<K, V>) -> Self {
        table.0
    }
}

/// The message that the heir of a table gets when it has become the owner.
///
/// ```
/// use riot_actor::{receive, run, spawn, table::{Table, TableTransfer}, this};
///
/// run(async {
///     let main = this();
///     let maker = spawn(async move {
///         let table = Table::<u8, &str>::new("letters").heir(main);
///         table.insert(1, "a").expect("it is the owner");
///     });
///     let TableTransfer { table, from, .. } = receive::<TableTransfer<u8, &str>>().await;
///     assert_eq!((table.name().as_str(), table.get(&1), from), ("letters", Some("a"), maker));
///     assert_eq!(table.insert(2, "b"), Ok(()));
/// });
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct TableTransfer<K, V> {
    /// The table, with all its entries.
    pub table: Table<K, V>,
    /// The owner before, which exits.
    pub from: Pid,
}

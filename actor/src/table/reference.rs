//! The reference to a table, by which all processes and threads read it, and those that may write to it.

use std::{borrow::Borrow, fmt, hash::Hash, sync::Arc};

use super::shards::{IfPresent, RefusedWrite, Shards};
use crate::{
    guard::Contained,
    names::name::Name,
    process::pid::{Peer, Pid},
    runtime::context,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

/// A reference to a table. `Clone`, and of use to every process and thread.
///
/// Reading needs no message and waits for no other process. Once the table has ended, reads give none and
/// writes give [`TableError::Gone`]. See the [module](super) for an example.
pub struct TableRef<K, V>(pub(super) Arc<TableCore<K, V>>);

impl<K, V> Clone for TableRef<K, V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K, V> fmt::Debug for TableRef<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TableRef({:?})", self.0.name)
    }
}

/// Why a table was not written to.
///
/// ```
/// # use riot_actor::{process::wait, run, spawn, table::{Table, TableError}};
/// # run(async {
/// let table = Table::<u8, &str>::new("letters").max_entries(1);
/// table.insert(1, "a")?;
/// assert_eq!(table.insert(2, "b"), Err(TableError::Full("b")));
/// let reference = table.reference();
/// let other = spawn(async move { assert_eq!(reference.insert(1, "c"), Err(TableError::NotOwner)) });
/// assert!(wait(other).await.is_clean());
/// # Ok::<(), TableError<&str>>(())
/// # });
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TableError<V> {
    /// The table has as many entries as it may have. The value is given back. Remove others first, or set a
    /// higher bound.
    Full(V),
    /// The owner of the table has exited, and no heir has it.
    Gone,
    /// The caller is not the owner, and the table is not [`public`](super::Table::public). Ask the owner.
    NotOwner,
    /// A destructor has written while a panic unwinds out of the closure of an [`update`](TableRef::update),
    /// where a second panic would abort the program. Write after the update.
    InUpdate,
}

impl<V> fmt::Display for TableError<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "the table is full",
            Self::Gone => "the table has ended with its owner",
            Self::NotOwner => "only the owner of the table may write to it",
            Self::InUpdate => "the closure of an update unwinds, and must not write",
        })
    }
}

/// Leaves the value out, so that results are unwrapped whatever the value is.
impl<V> fmt::Debug for TableError<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::Gone => "Gone",
            Self::NotOwner => "NotOwner",
            Self::InUpdate => "InUpdate",
        })
    }
}

impl<V> std::error::Error for TableError<V> {}

impl<V> From<RefusedWrite<V>> for TableError<V> {
    fn from(refused: RefusedWrite<V>) -> Self {
        match refused {
            RefusedWrite::Closed => Self::Gone,
            RefusedWrite::Full(value) => Self::Full(value),
            RefusedWrite::InUpdate => Self::InUpdate,
        }
    }
}

/// A table with all that belongs to it.
pub(super) struct TableCore<K, V> {
    pub(super) name: Name,
    /// The maker, whose runtime is that of the owner and the heir.
    pub(super) maker: Pid,
    /// The process that may write; none when the table has ended.
    owner: AtomicU64,
    heir: AtomicU64,
    pub(super) is_public: AtomicBool,
    pub(super) shards: Shards<K, V>,
}

impl<K, V> TableCore<K, V> {
    pub(super) fn new(name: Name, maker: Pid, shards: Shards<K, V>) -> Self {
        Self {
            name,
            maker,
            owner: AtomicU64::new(Peer::new(Some(maker)).bits()),
            heir: AtomicU64::new(Peer::NONE.bits()),
            is_public: AtomicBool::new(false),
            shards,
        }
    }

    pub(super) fn owner(&self) -> Option<Pid> {
        Peer::from_bits(self.owner.load(Ordering::Acquire)).in_runtime_of(self.maker)
    }

    pub(super) fn set_owner(&self, owner: Option<Pid>) {
        self.owner.store(Peer::new(owner).bits(), Ordering::Release);
    }

    pub(super) fn heir(&self) -> Option<Pid> {
        Peer::from_bits(self.heir.load(Ordering::Acquire)).in_runtime_of(self.maker)
    }

    pub(super) fn set_heir(&self, heir: Option<Pid>) {
        self.heir.store(Peer::new(heir).bits(), Ordering::Release);
    }

    fn check_writer<E>(&self) -> Result<(), TableError<E>> {
        if self.is_public.load(Ordering::Relaxed) {
            return Ok(());
        }
        let owner = self.owner().ok_or(TableError::Gone)?;
        if context::current() == Some(owner) { Ok(()) } else { Err(TableError::NotOwner) }
    }
}

impl<K, V> TableRef<K, V> {
    /// Returns the name of the table.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.0.name
    }

    /// Returns the owner; none once the table has ended.
    #[must_use]
    pub fn owner(&self) -> Option<Pid> {
        self.0.owner()
    }

    /// Returns the number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.shards.len()
    }

    /// Returns whether there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<K: Hash + Eq, V> TableRef<K, V> {
    /// Returns a clone of a value.
    ///
    /// ```
    /// # use riot_actor::{run, table::{Table, TableError}};
    /// # run(async {
    /// let table = Table::<String, u32>::new("ages");
    /// table.insert("joe".to_owned(), 7)?;
    /// assert_eq!((table.get("joe"), table.get("ann")), (Some(7), None));
    /// # Ok::<(), TableError<u32>>(())
    /// # });
    /// ```
    #[must_use]
    pub fn get<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
        V: Clone,
    {
        self.0.shards.get(key).map(|entry| entry.value.clone())
    }

    /// Shows `f` a value and returns its result; none if there is no such key. No lock is held meanwhile:
    /// if the value is replaced or removed, `f` goes on with the one before.
    pub fn with<Q, R>(&self, key: &Q, f: impl FnOnce(&V) -> R) -> Option<R>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.0.shards.get(key).map(|entry| f(&entry.value))
    }

    /// Returns whether there is a value for a key.
    #[must_use]
    pub fn contains<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.0.shards.get(key).is_some()
    }

    /// Returns clones of all keys and values. They are read in 16 parts, one after the other, so the result
    /// is not the state at one moment where others write meanwhile. In a simulation the order depends on
    /// the seed alone.
    ///
    /// ```
    /// # use riot_actor::{run, table::{Table, TableError}};
    /// # run(async {
    /// let squares = Table::<u64, u64>::new("squares");
    /// for number in 1..=3 {
    ///     squares.insert(number, number * number)?;
    /// }
    /// let mut all = squares.snapshot();
    /// all.sort();
    /// assert_eq!(all, [(1, 1), (2, 4), (3, 9)]);
    /// # Ok::<(), TableError<u64>>(())
    /// # });
    /// ```
    #[must_use]
    pub fn snapshot(&self) -> Vec<(K, V)>
    where
        K: Clone,
        V: Clone,
    {
        let entries = self.0.shards.entries();
        entries.iter().map(|entry| (entry.key.clone(), entry.value.clone())).collect()
    }

    /// Sets the value of a key, and drops the one before.
    ///
    /// # Errors
    /// See [`TableError`].
    ///
    /// # Panics
    /// Panics inside the closure of an [`update`](Self::update), of any table.
    pub fn insert(&self, key: K, value: V) -> Result<(), TableError<V>> {
        let (key, value) = (Contained::new(key), Contained::new(value));
        self.0.check_writer()?;
        self.0.shards.insert(key.into_inner(), value.into_inner(), IfPresent::Replace)?;
        Ok(())
    }

    /// Removes a key and returns its value, or a clone of it where another process looks at it; none if
    /// there was no such key.
    ///
    /// # Errors
    /// See [`TableError`].
    ///
    /// # Panics
    /// Panics inside the closure of an [`update`](Self::update), of any table.
    pub fn remove<Q>(&self, key: &Q) -> Result<Option<V>, TableError<V>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
        V: Clone,
    {
        self.0.check_writer()?;
        let removed = self.0.shards.remove(key)?;
        Ok(removed.map(|entry| entry.into_value().unwrap_or_else(|shared| shared.value.clone())))
    }

    /// Removes a key and drops its value, which need not be `Clone`. Returns whether there was such a key.
    ///
    /// # Errors
    /// See [`TableError`].
    ///
    /// # Panics
    /// Panics inside the closure of an [`update`](Self::update), of any table.
    pub fn delete<Q>(&self, key: &Q) -> Result<bool, TableError<V>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.0.check_writer()?;
        Ok(self.0.shards.remove(key)?.is_some())
    }

    /// Changes a value and returns the result of `f`; none if there is no such key. No other write comes
    /// between: each sees what the one before has left.
    ///
    /// `f` gets a clone, which takes the place of the value when `f` returns. Reads go on meanwhile, and
    /// get the value from before. If `f` panics the value stays. The clone, and the value from before, are
    /// dropped after the locks are released.
    ///
    /// `f`, and the `Eq` of the keys and the `Clone` of both, run under the lock of one of the 16 parts of
    /// the table, for which other writes to that part wait, on their worker. So `f` must be short, and must
    /// not block. It may read tables, and write to none. In a simulation, it must not call
    /// [`interleave`](crate::simulation::interleave).
    ///
    /// ```
    /// # use riot_actor::{run, table::{Table, TableError}};
    /// # run(async {
    /// let counts = Table::<&str, u32>::new("counts");
    /// counts.insert("visits", 1)?;
    /// let now = counts.update("visits", |count| { *count += 1; *count })?;
    /// assert_eq!((now, counts.get("visits")), (Some(2), Some(2)));
    /// # Ok::<(), TableError<u32>>(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// See [`TableError`].
    ///
    /// # Panics
    /// Panics inside the closure of an `update`, of any table.
    pub fn update<Q, R>(&self, key: &Q, f: impl FnOnce(&mut V) -> R) -> Result<Option<R>, TableError<V>>
    where
        K: Borrow<Q> + Clone,
        Q: Hash + Eq + ?Sized,
        V: Clone,
    {
        self.0.check_writer()?;
        Ok(self.0.shards.update(key, f)?)
    }

    /// Returns a clone of the value of a key. If there is none, that of `make` is inserted. No lock is held
    /// while `make` runs: if another process inserts one meanwhile, that stays, and is returned.
    ///
    /// ```
    /// # use riot_actor::{run, table::{Table, TableError}};
    /// # run(async {
    /// let rooms = Table::<u8, String>::new("rooms");
    /// assert_eq!(rooms.get_or_insert_with(7, || "kitchen".to_owned())?, "kitchen");
    /// assert_eq!(rooms.get_or_insert_with(7, || "cellar".to_owned())?, "kitchen");
    /// # Ok::<(), TableError<String>>(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// See [`TableError`].
    ///
    /// # Panics
    /// Panics inside the closure of an [`update`](Self::update), of any table.
    pub fn get_or_insert_with(&self, key: K, make: impl FnOnce() -> V) -> Result<V, TableError<V>>
    where
        V: Clone,
    {
        let key = Contained::new(key);
        self.0.check_writer()?;
        if let Some(entry) = self.0.shards.get::<K>(&key) {
            return Ok(entry.value.clone());
        }
        if self.0.owner().is_none() {
            return Err(TableError::Gone);
        }
        let value = make();
        let entry = self.0.shards.insert(key.into_inner(), value, IfPresent::Keep)?;
        Ok(entry.value.clone())
    }
}

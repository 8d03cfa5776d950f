//! The entries of a table: a hash table in 16 parts, each with a lock of its own.
//!
//! The lock of a part is held for a few instructions, in which no code of a user runs: a look-up takes the
//! entries with the hash of its key, and compares the keys afterwards. A write decides in the same way and
//! then looks, under the lock, whether these entries are still the ones that it has seen. An update has a
//! second lock of the part, under which the closure runs; writes wait for it, and reads do not.

use std::{
    borrow::Borrow,
    cell::Cell,
    collections::hash_map::{DefaultHasher, IntoIter},
    hash::{Hash, Hasher},
    ops::Deref,
    sync::Arc,
};

use crossbeam_utils::CachePadded;

use crate::{
    guard::{Contained, panic::CaughtUnwind},
    process::pid::NumberMap,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
        lock, thread_local,
    },
};

/// The parts of a table.
const SHARDS: usize = 16;

/// A map with less room than this is not made smaller.
const MIN_SHRINK: usize = 256;

/// An entry is not changed while it is in a table: a write puts another one in its place. A panic of its
/// destructor, wherever the last reference is dropped, is reported and goes no further.
pub(super) struct TableEntry<K, V>(Arc<Contained<KeyValue<K, V>>>);

pub(super) struct KeyValue<K, V> {
    pub(super) key: K,
    pub(super) value: V,
}

impl<K, V> Clone for TableEntry<K, V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K, V> Deref for TableEntry<K, V> {
    type Target = KeyValue<K, V>;
    fn deref(&self) -> &KeyValue<K, V> {
        &self.0
    }
}

impl<K, V> TableEntry<K, V> {
    fn new(key: K, value: V) -> Self {
        Self(Arc::new(Contained::new(KeyValue { key, value })))
    }

    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Returns the value, if nothing else looks at it, and drops the key inside a guard.
    pub(super) fn into_value(self) -> Result<V, Self> {
        let KeyValue { key, value } = Arc::try_unwrap(self.0).map_err(Self)?.into_inner();
        drop(Contained::new(key));
        Ok(value)
    }
}

/// The entries with one hash: one, unless two keys collide.
enum Bucket<K, V> {
    One(TableEntry<K, V>),
    Several(Arc<[TableEntry<K, V>]>),
}

impl<K, V> Clone for Bucket<K, V> {
    fn clone(&self) -> Self {
        match self {
            Self::One(entry) => Self::One(entry.clone()),
            Self::Several(entries) => Self::Several(entries.clone()),
        }
    }
}

impl<K, V> Bucket<K, V> {
    fn entries(&self) -> &[TableEntry<K, V>] {
        match self {
            Self::One(entry) => std::slice::from_ref(entry),
            Self::Several(entries) => entries,
        }
    }

    /// Returns the entries with another one, in the place of one or behind all.
    fn with(present: Option<&Self>, at: Option<usize>, entry: TableEntry<K, V>) -> Self {
        match (present, at) {
            (None, _) | (Some(Self::One(_)), Some(_)) => Self::One(entry),
            (Some(present), at) => {
                let mut entries = present.entries().to_vec();
                match at {
                    Some(at) => entries[at] = entry,
                    None => entries.push(entry),
                }
                Self::Several(entries.into())
            }
        }
    }

    /// Returns none for no entries.
    fn of(mut entries: Vec<TableEntry<K, V>>) -> Option<Self> {
        match entries.len() {
            0 => None,
            1 => entries.pop().map(Self::One),
            _ => Some(Self::Several(entries.into())),
        }
    }

    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::One(one), Self::One(other)) => one.is(other),
            (Self::Several(entries), Self::Several(others)) => Arc::ptr_eq(entries, others),
            _ => false,
        }
    }

    /// Returns the position of a key, which runs code of the user.
    fn position<Q>(&self, key: &Q) -> Option<usize>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        self.entries().iter().position(|entry| entry.key.borrow() == key)
    }
}

struct Shard<K, V> {
    /// Is held during a write, and during the closure of an update.
    writing: Mutex<()>,
    map: Mutex<ShardMap<K, V>>,
}

struct ShardMap<K, V> {
    buckets: NumberMap<u64, Bucket<K, V>>,
    /// Nothing can be inserted any more.
    is_closed: bool,
}

impl<K, V> ShardMap<K, V> {
    /// Returns whether the entries with this hash are those that a write has seen.
    fn is_as_seen(&self, hash: u64, seen: Option<&Bucket<K, V>>) -> bool {
        match (self.buckets.get(&hash), seen) {
            (None, None) => true,
            (Some(present), Some(seen)) => present.is(seen),
            _ => false,
        }
    }

    /// Puts the entries in place, and returns those before. They must be dropped outside the lock.
    fn replace(&mut self, hash: u64, bucket: Option<Bucket<K, V>>) -> Option<Bucket<K, V>> {
        match bucket {
            Some(bucket) => self.buckets.insert(hash, bucket),
            None => {
                let before = self.buckets.remove(&hash);
                if self.buckets.capacity() > MIN_SHRINK && self.buckets.len() < self.buckets.capacity() / 8 {
                    let room = 2 * self.buckets.len();
                    self.buckets.shrink_to(room);
                }
                before
            }
        }
    }
}

thread_local! {
    /// Whether the closure of an update runs on this thread.
    static UPDATING: Cell<bool> = Cell::default();
}

struct Updating;

impl Updating {
    fn begin() -> Self {
        UPDATING.with(|updating| updating.set(true));
        Self
    }
}

impl Drop for Updating {
    fn drop(&mut self) {
        UPDATING.with(|updating| updating.set(false));
    }
}

/// Panics in the closure of an update: it holds a lock that this write could wait for, and the other way
/// round. While the thread unwinds the write is refused, because a second panic would abort the program.
fn check_not_updating<V>() -> Result<(), RefusedWrite<V>> {
    if !UPDATING.with(Cell::get) {
        return Ok(());
    }
    assert!(
        std::thread::panicking(),
        "riot_actor: a table was written to inside the closure of `TableRef::update`"
    );
    Err(RefusedWrite::InUpdate)
}

/// Why the storage took no entry.
pub(super) enum RefusedWrite<V> {
    Closed,
    Full(V),
    /// The thread unwinds out of the closure of an update.
    InUpdate,
}

/// The choice of an insertion where the key has a value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum IfPresent {
    Replace,
    Keep,
}

/// The entries of a table.
pub(super) struct Shards<K, V> {
    /// Keeps others from choosing keys that collide. A simulation takes it from its seed.
    seed: u64,
    shards: [CachePadded<Shard<K, V>>; SHARDS],
    len: AtomicUsize,
    max_entries: AtomicUsize,
}

impl<K, V> Shards<K, V> {
    pub(super) fn new(seed: u64, max_entries: usize) -> Self {
        let shard = |_| {
            let map = ShardMap { buckets: NumberMap::default(), is_closed: false };
            CachePadded::new(Shard { writing: Mutex::new(()), map: Mutex::new(map) })
        };
        Self {
            seed,
            shards: std::array::from_fn(shard),
            len: AtomicUsize::new(0),
            max_entries: AtomicUsize::new(max_entries),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    pub(super) fn max_entries(&self) -> usize {
        self.max_entries.load(Ordering::Relaxed)
    }

    pub(super) fn set_max_entries(&self, max_entries: usize) {
        self.max_entries.store(max_entries, Ordering::Relaxed);
    }

    fn hash<Q: Hash + ?Sized>(&self, key: &Q) -> u64 {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.seed);
        key.hash(&mut hasher);
        hasher.finish()
    }

    fn shard(&self, hash: u64) -> &Shard<K, V> {
        &self.shards[(hash >> (u64::BITS - SHARDS.ilog2())) as usize]
    }

    fn seen(&self, hash: u64) -> Option<Bucket<K, V>> {
        lock(&self.shard(hash).map).buckets.get(&hash).cloned()
    }

    fn is_closed(&self, hash: u64) -> bool {
        lock(&self.shard(hash).map).is_closed
    }

    /// Reserves room for one entry more.
    fn reserve(&self) -> bool {
        let max_entries = self.max_entries();
        let one_more = |len: usize| (len < max_entries).then_some(len + 1);
        self.len.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
    }

    /// Returns the entries, part by part.
    pub(super) fn entries(&self) -> Vec<TableEntry<K, V>> {
        let mut all = Vec::new();
        for shard in &self.shards {
            let map = lock(&shard.map);
            all.extend(map.buckets.values().flat_map(|bucket| bucket.entries().iter().cloned()));
        }
        all
    }

    /// Takes all entries, so that there are none from here on.
    pub(super) fn close(&self) -> Remains<K, V> {
        let mut parts = Vec::with_capacity(SHARDS);
        let mut len = 0;
        for shard in &self.shards {
            let buckets = {
                let mut map = lock(&shard.map);
                map.is_closed = true;
                std::mem::take(&mut map.buckets)
            };
            len += buckets.values().map(|bucket| bucket.entries().len()).sum::<usize>();
            parts.push(buckets.into_iter());
        }
        self.len.fetch_sub(len, Ordering::Relaxed);
        Remains { parts, len }
    }
}

impl<K: Hash + Eq, V> Shards<K, V> {
    pub(super) fn get<Q>(&self, key: &Q) -> Option<TableEntry<K, V>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.get_hashed(self.hash(key), key)
    }

    fn get_hashed<Q>(&self, hash: u64, key: &Q) -> Option<TableEntry<K, V>>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        match self.seen(hash)? {
            Bucket::One(entry) => (entry.key.borrow() == key).then_some(entry),
            several => several.position(key).map(|at| several.entries()[at].clone()),
        }
    }

    /// Inserts an entry, and returns the one that is there now.
    pub(super) fn insert(
        &self,
        key: K,
        value: V,
        if_present: IfPresent,
    ) -> Result<TableEntry<K, V>, RefusedWrite<V>> {
        let entry = TableEntry::new(key, value);
        check_not_updating()?;
        let hash = self.hash(&entry.key);
        let shard = self.shard(hash);
        // Whatever is dropped is dropped after the locks are released.
        loop {
            let seen = self.seen(hash);
            let at = seen.as_ref().and_then(|bucket| bucket.position(&entry.key));
            if let (Some(bucket), Some(at), IfPresent::Keep) = (&seen, at, if_present) {
                return Ok(bucket.entries()[at].clone());
            }
            let bucket = Some(Bucket::with(seen.as_ref(), at, entry.clone()));
            let writing = lock(&shard.writing);
            let mut map = lock(&shard.map);
            if map.is_closed {
                drop((map, writing));
                return Err(RefusedWrite::Closed);
            }
            if !map.is_as_seen(hash, seen.as_ref()) {
                drop((map, writing));
                continue;
            }
            if at.is_none() && !self.reserve() {
                drop((map, writing));
                drop(bucket);
                let Ok(value) = entry.into_value() else { unreachable!("it is in no table") };
                return Err(RefusedWrite::Full(value));
            }
            let before = map.replace(hash, bucket);
            drop((map, writing));
            drop(before);
            return Ok(entry);
        }
    }

    /// Removes an entry and returns it; the error is that of a closed table.
    pub(super) fn remove<Q>(&self, key: &Q) -> Result<Option<TableEntry<K, V>>, RefusedWrite<V>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        check_not_updating()?;
        let hash = self.hash(key);
        let shard = self.shard(hash);
        loop {
            let seen = self.seen(hash);
            let at = seen.as_ref().and_then(|bucket| bucket.position(key));
            let (Some(bucket), Some(at)) = (&seen, at) else {
                return if self.is_closed(hash) { Err(RefusedWrite::Closed) } else { Ok(None) };
            };
            let mut entries = bucket.entries().to_vec();
            let removed = entries.remove(at);
            let left = Bucket::of(entries);
            let writing = lock(&shard.writing);
            let mut map = lock(&shard.map);
            if !map.is_as_seen(hash, Some(bucket)) {
                drop((map, writing));
                continue;
            }
            self.len.fetch_sub(1, Ordering::Relaxed);
            let before = map.replace(hash, left);
            drop((map, writing));
            drop(before);
            drop(seen);
            return Ok(Some(removed));
        }
    }

    /// Puts a changed clone of a value in its place. `change` runs under the lock of writes.
    pub(super) fn update<Q, R>(
        &self,
        key: &Q,
        change: impl FnOnce(&mut V) -> R,
    ) -> Result<Option<R>, RefusedWrite<V>>
    where
        K: Borrow<Q> + Clone,
        Q: Hash + Eq + ?Sized,
        V: Clone,
    {
        check_not_updating()?;
        let hash = self.hash(key);
        let shard = self.shard(hash);
        // All that may be dropped here is dropped after the lock of writes, where a destructor may write.
        let mut change = Some(change);
        let (mut value, mut result) = (None, None);
        let (seen, _before);
        let updated = {
            let _writing = lock(&shard.writing);
            seen = self.seen(hash);
            let run = || {
                let at = seen.as_ref()?.position(key)?;
                let entry = &seen.as_ref()?.entries()[at];
                let value = value.insert(Contained::new(entry.value.clone()));
                result = change.take().map(|change| Contained::new(change(value)));
                Some((at, Contained::new(entry.key.clone())))
            };
            let changed = {
                let _updating = Updating::begin();
                CaughtUnwind::catch(run)
            };
            match (changed, value.take()) {
                (Ok(Some((at, key))), Some(value)) => {
                    let changed = TableEntry::new(key.into_inner(), value.into_inner());
                    let bucket = Some(Bucket::with(seen.as_ref(), Some(at), changed));
                    let mut map = lock(&shard.map);
                    // The entry is still there: without the lock of writes only the end of the table takes
                    // any away.
                    if map.is_closed {
                        _before = bucket;
                        Ok(Err(RefusedWrite::Closed))
                    } else {
                        _before = map.replace(hash, bucket);
                        Ok(Ok(()))
                    }
                }
                (changed, unused) => {
                    value = unused;
                    changed.map(
                        |_not_there| if self.is_closed(hash) { Err(RefusedWrite::Closed) } else { Ok(()) },
                    )
                }
            }
        };
        drop(value);
        match updated {
            Ok(updated) => updated.map(|()| result.map(Contained::into_inner)),
            Err(panic) => {
                drop((change, result, seen));
                panic.resume()
            }
        }
    }
}

/// The entries of a table that has ended.
pub(super) struct Remains<K, V> {
    parts: Vec<IntoIter<u64, Bucket<K, V>>>,
    /// How many entries there were.
    pub(super) len: usize,
}

impl<K, V> Remains<K, V> {
    /// Drops some of the entries. Returns false if none was left.
    pub(super) fn drop_some(&mut self, some: usize) -> bool {
        for _ in 0..some {
            loop {
                let Some(part) = self.parts.last_mut() else { return false };
                match part.next() {
                    Some(bucket) => break drop(bucket),
                    None => _ = self.parts.pop(),
                }
            }
        }
        true
    }
}

//! Keys: values of users as names.
//!
//! Equal keys are one [`InternedKey`], which has a number: the tables of names and groups compare numbers,
//! and so run no code of a user under their locks. The same holds here: keys are hashed, compared, printed
//! and dropped outside the lock of the table of keys.

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    fmt::{Debug, Write as _},
    hash::{BuildHasher, Hash, RandomState},
    sync::{
        Arc, LazyLock, Mutex, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    guard::{Contained, text::Bounded},
    sync::lock::lock,
};

/// A value as the name of a process or a group.
///
/// Keys of different types are different names, and none is equal to a text: `Key(7_u32)`, `Key(7_u64)` and
/// `"7"` are three names. A tuple is a name without this wrapper.
///
/// ```
/// use riot_actor::{name::{Key, send_named}, receive, register, run, this, whereis};
///
/// #[derive(PartialEq, Eq, Hash, Debug)]
/// struct Room(u32);
///
/// run(async {
///     register(Key(Room(7)), this())?;
///     register(("lobby", 1_u8), this())?;
///     assert_eq!(whereis(&Key(Room(7))), Some(this()));
///     assert_eq!(whereis(&Key(Room(8))), None);
///     send_named(&("lobby", 1_u8), "hello").expect("it is registered");
///     assert_eq!(receive::<&str>().await, "hello");
///     Ok::<(), riot_actor::Reason>(())
/// });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key<K>(pub K);

/// A type whose values can be names, as a [`Key`] or in a tuple.
///
/// Hashing, comparing and printing must depend on the value alone. They run in the process that makes or
/// looks up a name; a panic in them is that of the caller.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a name",
    note = "a key needs `Hash`, `Eq`, `Debug`, `Send`, `Sync` and no borrowed content: derive the first three"
)]
pub trait NameKey: Hash + Eq + Debug + Send + Sync + 'static {}
#[diagnostic::do_not_recommend]
impl<K: Hash + Eq + Debug + Send + Sync + 'static> NameKey for K {}

/// Bytes of a key's text that are kept.
const MAX_TEXT_BYTES: usize = 256;

/// A key that is the name of something, once for all equal ones.
pub(super) struct InternedKey {
    number: u64,
    /// The hash that it is found under.
    hash: u64,
    text: String,
    value: Contained<Box<dyn Any + Send + Sync>>,
}

/// All keys that are in use, in all runtimes.
static KEYS: LazyLock<Keys> = LazyLock::new(Keys::default);

#[derive(Default)]
struct Keys {
    hasher: RandomState,
    numbered: AtomicU64,
    by_hash: Mutex<HashMap<u64, EqualHashes>>,
}

/// The keys of one hash. Those without an owner are about to be removed.
#[derive(Default)]
struct EqualHashes {
    keys: Vec<Weak<InternedKey>>,
    /// The number of the key that was added last.
    last: u64,
}

impl InternedKey {
    /// Returns the one key that is equal to `key`, which it becomes if there is none.
    pub(super) fn intern<K: NameKey>(key: K) -> Arc<Self> {
        let hash = KEYS.hash(&key);
        let text = text(&key);
        let mut value: Option<Box<dyn Any + Send + Sync>> = Some(Box::new(key));
        loop {
            let candidates = KEYS.candidates(hash);
            let key = value.as_ref().and_then(|value| value.downcast_ref::<K>()).expect("it is put once");
            if let Some(found) = candidates.find(key) {
                return found.clone();
            }
            let mut by_hash = lock(&KEYS.by_hash);
            let equal = by_hash.entry(hash).or_default();
            // An equal key may have been added since: then the search begins anew.
            if equal.last != candidates.last {
                continue;
            }
            let number = KEYS.numbered.fetch_add(1, Ordering::Relaxed) + 1;
            let value = Contained::new(value.take().expect("it is put once"));
            let interned = Arc::new(Self { number, hash, text, value });
            equal.keys.push(Arc::downgrade(&interned));
            equal.last = number;
            return interned;
        }
    }

    /// Returns the key that is equal to `key`, if one is in use.
    pub(super) fn find<K: NameKey>(key: &K) -> Option<Arc<Self>> {
        KEYS.candidates(KEYS.hash(key)).find(key).cloned()
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Returns the `Debug` text of the key.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn value<K: 'static>(&self) -> Option<&K> {
        self.value.downcast_ref()
    }
}

impl Drop for InternedKey {
    fn drop(&mut self) {
        let mut by_hash = lock(&KEYS.by_hash);
        let Some(equal) = by_hash.get_mut(&self.hash) else { return };
        equal.keys.retain(|key| key.strong_count() > 0);
        if equal.keys.is_empty() {
            by_hash.remove(&self.hash);
        }
    }
}

/// Returns the `Debug` text of a key, cut to a bounded length.
pub(super) fn text(key: &impl Debug) -> String {
    let mut text = Bounded::new(MAX_TEXT_BYTES);
    let _ = write!(text, "{key:?}");
    text.finish()
}

/// The keys of one hash at a moment.
struct Candidates {
    keys: Vec<Arc<InternedKey>>,
    last: u64,
}

impl Candidates {
    fn find<K: NameKey>(&self, key: &K) -> Option<&Arc<InternedKey>> {
        self.keys.iter().find(|candidate| candidate.value::<K>() == Some(key))
    }
}

impl Keys {
    fn hash<K: NameKey>(&self, key: &K) -> u64 {
        self.hasher.hash_one((TypeId::of::<K>(), key))
    }

    fn candidates(&self, hash: u64) -> Candidates {
        // Declared before the lock is taken: a key whose owner goes now is dropped after its release.
        let keys;
        let by_hash = lock(&self.by_hash);
        let Some(equal) = by_hash.get(&hash) else { return Candidates { keys: Vec::new(), last: 0 } };
        keys = equal.keys.iter().filter_map(Weak::upgrade).collect();
        Candidates { keys, last: equal.last }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key whose hash is always the same.
    #[derive(PartialEq, Eq, Debug)]
    struct Colliding(u32);
    impl Hash for Colliding {
        fn hash<H: std::hash::Hasher>(&self, _: &mut H) {}
    }

    fn keys_of(hash: u64) -> usize {
        lock(&KEYS.by_hash).get(&hash).map_or(0, |equal| equal.keys.len())
    }

    #[test]
    fn equal_keys_are_one_and_nothing_is_left_of_those_that_are_dropped() {
        let hash = KEYS.hash(&Colliding(0));
        let kept = InternedKey::intern(Colliding(0));
        for number in 1..100 {
            let key = InternedKey::intern(Colliding(number));
            assert!(Arc::ptr_eq(&key, &InternedKey::intern(Colliding(number))));
            assert!(InternedKey::find(&Colliding(number)).is_some_and(|found| Arc::ptr_eq(&found, &key)));
            assert!(!Arc::ptr_eq(&key, &kept) && keys_of(hash) == 2);
        }
        assert_eq!(keys_of(hash), 1);
        drop(kept);
        assert!(keys_of(hash) == 0 && InternedKey::find(&Colliding(0)).is_none());
    }

    #[test]
    fn threads_that_intern_equal_keys_at_once_get_one() {
        for round in 0..200_u32 {
            let barrier = std::sync::Barrier::new(4);
            let keys: Vec<_> = std::thread::scope(|scope| {
                let intern = || {
                    barrier.wait();
                    InternedKey::intern(("race", round))
                };
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(intern)).collect();
                threads.into_iter().map(|thread| thread.join().expect("it does not panic")).collect()
            });
            assert!(keys.iter().all(|key| Arc::ptr_eq(key, &keys[0])));
        }
    }
}

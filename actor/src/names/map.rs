//! A map from names, in which a text or a key is looked up without a name made of it.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use super::{
    key::InternedKey,
    name::{Name, NameKind, Sought},
};
use crate::process::pid::NumberMap;

/// A map from names. Of users it runs nothing but the drop of a key with its last name, so whoever removes an
/// entry under a lock keeps a clone of its name until the lock is released.
pub(super) struct NameMap<V> {
    texts: HashMap<Arc<str>, V>,
    /// The values of keys, by their numbers.
    keys: NumberMap<u64, (Arc<InternedKey>, V)>,
}

impl<V> Default for NameMap<V> {
    fn default() -> Self {
        Self { texts: HashMap::default(), keys: NumberMap::default() }
    }
}

impl<V> NameMap<V> {
    #[inline]
    pub(super) fn get(&self, name: Sought<'_>) -> Option<&V> {
        match name {
            Sought::Text(text) => self.texts.get(text),
            Sought::Key(number) => Some(&self.keys.get(&number)?.1),
        }
    }

    pub(super) fn get_mut(&mut self, name: Sought<'_>) -> Option<&mut V> {
        match name {
            Sought::Text(text) => self.texts.get_mut(text),
            Sought::Key(number) => Some(&mut self.keys.get_mut(&number)?.1),
        }
    }

    /// Returns the name of an entry.
    pub(super) fn name(&self, name: Sought<'_>) -> Option<Name> {
        match name {
            Sought::Text(text) => Some(Name(NameKind::Text(self.texts.get_key_value(text)?.0.clone()))),
            Sought::Key(number) => Some(Name(NameKind::Key(self.keys.get(&number)?.0.clone()))),
        }
    }

    pub(super) fn insert(&mut self, name: Name, value: V) {
        match name.0 {
            NameKind::Text(text) => drop(self.texts.insert(text, value)),
            NameKind::Key(key) => drop(self.keys.insert(key.number(), (key, value))),
        }
    }

    pub(super) fn get_or_default(&mut self, name: Name) -> &mut V
    where
        V: Default,
    {
        match name.0 {
            NameKind::Text(text) => self.texts.entry(text).or_default(),
            NameKind::Key(key) => &mut self.keys.entry(key.number()).or_insert((key, V::default())).1,
        }
    }

    pub(super) fn remove(&mut self, name: Sought<'_>) -> Option<(Name, V)> {
        match name {
            Sought::Text(text) => {
                let (text, value) = self.texts.remove_entry(text)?;
                Some((Name(NameKind::Text(text)), value))
            }
            Sought::Key(number) => {
                let (key, value) = self.keys.remove(&number)?;
                Some((Name(NameKind::Key(key)), value))
            }
        }
    }

    /// Iterates over all entries, in no order.
    pub(super) fn entries(&self) -> impl Iterator<Item = (Name, &V)> {
        let texts = self.texts.iter().map(|(text, value)| (Name(NameKind::Text(text.clone())), value));
        let keys = self.keys.values().map(|(key, value)| (Name(NameKind::Key(key.clone())), value));
        texts.chain(keys)
    }

    /// Makes tables smaller that have room for far more than they hold.
    pub(super) fn shrink(&mut self) {
        shrink(&mut self.texts);
        shrink(&mut self.keys);
    }
}

/// Names for which a table is made smaller at most.
const MAX_MOVED: usize = 4096;

fn shrink<K: Eq + Hash, V, S: std::hash::BuildHasher>(map: &mut HashMap<K, V, S>) {
    if map.len() <= MAX_MOVED && map.capacity() >= 4 * map.len().max(256) {
        map.shrink_to(2 * map.len());
    }
}

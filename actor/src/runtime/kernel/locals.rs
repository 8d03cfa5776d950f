//! Process-local values: what a process keeps for itself under keys, and what its children inherit.
//!
//! A value is shown to its process behind a count of references, so that code of a user runs while nothing is
//! borrowed: it may use the store again, and even replace the value that it looks at.
#![expect(unsafe_code, reason = "see the proof")]

use std::{any::Any, fmt, rc::Rc};

use crate::guard::contain;

/// Identifies a key: the address of its static.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LocalKey(usize);

impl LocalKey {
    pub(crate) fn of<T>(key: &'static T) -> Self {
        const { assert!(size_of::<T>() > 0, "statics without a size may share an address") };
        Self(std::ptr::from_ref(key).addr())
    }
}

/// Clones a value for a child.
pub(crate) type Inherit = fn(&dyn Any) -> Option<LocalValue>;

/// The values of one process, by key.
#[derive(Default)]
pub(crate) struct Locals {
    /// In the order of the keys.
    entries: Vec<LocalEntry>,
    /// How many of them children inherit.
    inherited: usize,
}

struct LocalEntry {
    key: LocalKey,
    value: LocalValue,
    inherit: Option<Inherit>,
}

/// A value of a process. Clones share it.
#[derive(Clone)]
pub(crate) struct LocalValue(Rc<dyn Any>);

// SAFETY:
// 1. The value is `Send`, because `LocalValue::new` is the only way to make one.
// 2. All clones of one are in the store of one process and on the stack of the thread that runs this process:
//    no function of this crate keeps a clone beyond the call of a user's closure, and a user gets none.
// 3. A process goes to another thread between polls only, when no such call is open, so all clones go there
//    together. Its way leads over locks, so what one thread did has happened before.
unsafe impl Send for LocalValue {}

impl LocalValue {
    pub(crate) fn new<T: Send + 'static>(value: T) -> Self {
        Self(Rc::new(value))
    }

    pub(crate) fn get<T: 'static>(&self) -> Option<&T> {
        (*self.0).downcast_ref()
    }

    /// Returns the value, which the caller has to itself.
    pub(crate) fn into_inner<T: 'static>(self) -> Option<T> {
        Rc::try_unwrap(self.0.downcast::<T>().ok()?).ok()
    }
}

/// The result of [`Locals::take`].
pub(crate) enum TakenValue {
    Taken(Option<LocalValue>),
    /// A closure looks at the value.
    InUse,
}

impl Locals {
    fn find(&self, key: LocalKey) -> Result<usize, usize> {
        self.entries.binary_search_by_key(&key, |entry| entry.key)
    }

    pub(crate) fn get(&self, key: LocalKey) -> Option<LocalValue> {
        Some(self.entries[self.find(key).ok()?].value.clone())
    }

    /// Sets a value and returns the one before.
    pub(crate) fn set(
        &mut self,
        key: LocalKey,
        value: LocalValue,
        inherit: Option<Inherit>,
    ) -> Option<LocalValue> {
        match self.find(key) {
            Ok(at) => Some(std::mem::replace(&mut self.entries[at].value, value)),
            Err(at) => {
                self.inherited += usize::from(inherit.is_some());
                self.entries.insert(at, LocalEntry { key, value, inherit });
                None
            }
        }
    }

    pub(crate) fn take(&mut self, key: LocalKey) -> TakenValue {
        let Ok(at) = self.find(key) else { return TakenValue::Taken(None) };
        if Rc::strong_count(&self.entries[at].value.0) > 1 {
            return TakenValue::InUse;
        }
        let LocalEntry { value, inherit, .. } = self.entries.remove(at);
        self.inherited -= usize::from(inherit.is_some());
        TakenValue::Taken(Some(value))
    }

    #[inline]
    pub(crate) fn has_inherited(&self) -> bool {
        self.inherited > 0
    }

    /// Returns the first value that a child inherits with a key above `after`. The caller must clone it while
    /// nothing is borrowed.
    pub(crate) fn next_inherited(&self, after: Option<LocalKey>) -> Option<Heirloom> {
        let mut entries = self.entries.iter().filter(|entry| Some(entry.key) > after);
        entries.find_map(|entry| {
            Some(Heirloom { key: entry.key, value: entry.value.clone(), inherit: entry.inherit? })
        })
    }
}

/// A value to be cloned for a child.
pub(crate) struct Heirloom {
    pub(crate) key: LocalKey,
    value: LocalValue,
    inherit: Inherit,
}

impl Heirloom {
    /// Adds a clone to the values of a child, which runs code of a user. If that panics, the panic is
    /// reported, and the child has no such value.
    pub(crate) fn clone_into(self, child: &mut Locals) {
        let Self { key, value, inherit } = self;
        if let Some(cloned) = contain(|| inherit(&*value.0)).flatten() {
            child.set(key, cloned, Some(inherit));
        }
        // The caller may have replaced it meanwhile, so this may be the last reference.
        let _ = contain(|| drop(value));
    }
}

/// Each value is dropped inside a guard.
impl Drop for Locals {
    fn drop(&mut self) {
        for entry in self.entries.drain(..) {
            let _ = contain(|| drop(entry.value));
        }
    }
}

impl fmt::Debug for Locals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.entries.iter().map(|entry| entry.key)).finish()
    }
}

#[cfg(all(test, not(riot_loom)))]
mod tests {
    use std::cell::Cell;

    use super::*;

    static KEYS: [u8; 3] = [0, 1, 2];

    #[test]
    fn values_are_set_shown_inherited_and_taken_and_may_move_to_another_thread() {
        let [first, second, third] = [0, 1, 2].map(|at| LocalKey::of(&KEYS[at]));
        let clone: Inherit = |value| value.downcast_ref::<String>().map(|text| LocalValue::new(text.clone()));
        let mut locals = Locals::default();
        assert!(locals.set(second, LocalValue::new(Cell::new(1)), None).is_none());
        assert!(locals.set(third, LocalValue::new("c".to_owned()), Some(clone)).is_none());
        assert!(locals.set(first, LocalValue::new("a".to_owned()), Some(clone)).is_none());
        let mut locals = std::thread::spawn(move || {
            let shown = locals.get(second).expect("it was set");
            shown.get::<Cell<i32>>().expect("of this type").set(2);
            assert!(matches!(locals.take(second), TakenValue::InUse));
            drop(shown);
            locals
        })
        .join()
        .expect("it ends");
        let TakenValue::Taken(Some(value)) = locals.take(second) else { panic!("it was set") };
        assert_eq!(value.into_inner::<Cell<i32>>().map(Cell::into_inner), Some(2));
        assert!(matches!(locals.take(second), TakenValue::Taken(None)));

        let (mut child, mut last) = (Locals::default(), None);
        while let Some(next) = locals.next_inherited(last) {
            last = Some(next.key);
            next.clone_into(&mut child);
        }
        drop(locals);
        let text = |key| child.get(key).and_then(|value| value.get::<String>().cloned());
        assert_eq!((text(first).as_deref(), text(third).as_deref()), (Some("a"), Some("c")));
        assert!(child.has_inherited() && child.get(second).is_none());
    }
}

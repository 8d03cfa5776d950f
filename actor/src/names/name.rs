//! The name of a process or a group, and what it is looked up by.

use std::{
    borrow::Cow,
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use super::key::{self, InternedKey, Key, NameKey};

/// A name of a process or a group: a text, or a value of any type as a [`Key`]. Cheap to clone.
///
/// A text, a [`Key`] and a tuple convert into it. Names of texts and of keys are never equal, whatever the
/// key prints.
///
/// ```
/// # use riot_actor::name::{Key, Name};
/// let name = Name::from("clerk");
/// assert_eq!((name.as_str(), name.to_string()), ("clerk", "clerk".to_owned()));
/// let room = Name::from(("room", 7_u32));
/// assert_eq!(room.as_str(), r#"("room", 7)"#);
/// assert_eq!(room.key(), Some(&("room", 7_u32)));
/// assert_ne!(Name::from(Key("clerk")), name);
/// ```
#[derive(Clone)]
pub struct Name(pub(super) NameKind);

#[derive(Clone)]
pub(super) enum NameKind {
    Text(Arc<str>),
    Key(Arc<InternedKey>),
}

impl Name {
    /// Returns the name as text. That of a key is what its `Debug` prints, cut to 256 bytes; no process is
    /// found by it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            NameKind::Text(text) => text,
            NameKind::Key(key) => key.text(),
        }
    }

    /// Returns the key, if the name is one of this type.
    #[must_use]
    pub fn key<K: NameKey>(&self) -> Option<&K> {
        match &self.0 {
            NameKind::Text(_) => None,
            NameKind::Key(key) => key.value(),
        }
    }

    /// Returns what all other names differ in.
    fn identity(&self) -> (&str, u64) {
        match &self.0 {
            NameKind::Text(text) => (text, 0),
            NameKind::Key(key) => (key.text(), key.number()),
        }
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}
impl Eq for Name {}
impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}
/// Names are ordered by their texts. Keys of one text are in the order in which they came into use.
impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        self.identity().cmp(&other.identity())
    }
}
impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl From<&str> for Name {
    fn from(name: &str) -> Self {
        Self(NameKind::Text(name.into()))
    }
}
impl From<String> for Name {
    fn from(name: String) -> Self {
        Self(NameKind::Text(name.into()))
    }
}
impl<K: NameKey> From<Key<K>> for Name {
    fn from(Key(key): Key<K>) -> Self {
        Self(NameKind::Key(InternedKey::intern(key)))
    }
}
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            NameKind::Text(text) => fmt::Debug::fmt(text, f),
            NameKind::Key(key) => f.write_str(key.text()),
        }
    }
}

/// A value that a name is looked up by, by reference: a text, a [`Name`], a [`Key`] or a tuple of up to four.
///
/// ```
/// use riot_actor::{name::{Key, Name}, register, run, this, whereis};
///
/// run(async {
///     let name = Name::from(("room", 7_u32));
///     register(name.clone(), this())?;
///     assert_eq!(whereis(&("room", 7_u32)), Some(this()));
///     assert_eq!(whereis(&name), Some(this()));
///     assert_eq!(whereis(name.as_str()), None, "a text is another name");
///     Ok::<(), riot_actor::Reason>(())
/// });
/// ```
#[diagnostic::on_unimplemented(
    message = "no name is looked up by `{Self}`",
    label = "a text, a `Name`, a `Key` or a tuple is expected here",
    note = "any other value is a name as a `Key`: `whereis(&Key(room))`"
)]
pub trait AsName: Seek + Sync {}
#[diagnostic::do_not_recommend]
impl<N: Seek + Sync + ?Sized> AsName for N {}

/// A name that is looked up. Nothing has the key with the number 0.
#[derive(Clone, Copy)]
pub enum Sought<'a> {
    Text(&'a str),
    Key(u64),
}

/// A value that a name is looked up by. The module is private, so this trait is implemented here alone.
pub trait Seek {
    /// Returns what the tables of names are searched for. This may run code of a user.
    fn seek(&self) -> Sought<'_>;

    /// Returns the name as text.
    fn to_text(&self) -> String;
}

impl Seek for str {
    #[inline]
    fn seek(&self) -> Sought<'_> {
        Sought::Text(self)
    }
    fn to_text(&self) -> String {
        self.to_owned()
    }
}
impl Seek for String {
    fn seek(&self) -> Sought<'_> {
        Sought::Text(self)
    }
    fn to_text(&self) -> String {
        self.clone()
    }
}
impl Seek for Cow<'_, str> {
    fn seek(&self) -> Sought<'_> {
        Sought::Text(self)
    }
    fn to_text(&self) -> String {
        self.clone().into_owned()
    }
}
impl Seek for Name {
    fn seek(&self) -> Sought<'_> {
        match &self.0 {
            NameKind::Text(text) => Sought::Text(text),
            NameKind::Key(key) => Sought::Key(key.number()),
        }
    }
    fn to_text(&self) -> String {
        self.as_str().to_owned()
    }
}
impl<N: Seek + ?Sized> Seek for &N {
    fn seek(&self) -> Sought<'_> {
        N::seek(self)
    }
    fn to_text(&self) -> String {
        N::to_text(self)
    }
}
impl<K: NameKey> Seek for Key<K> {
    fn seek(&self) -> Sought<'_> {
        seek_key(&self.0)
    }
    fn to_text(&self) -> String {
        key::text(&self.0)
    }
}

fn seek_key<K: NameKey>(key: &K) -> Sought<'_> {
    // A key that is dropped by all others meanwhile is the name of nothing.
    Sought::Key(InternedKey::find(key).map_or(0, |key| key.number()))
}

macro_rules! tuples_are_names {
    ($(($($part:ident)+))+) => {$(
        impl<$($part: NameKey),+> From<($($part,)+)> for Name {
            fn from(key: ($($part,)+)) -> Self {
                Key(key).into()
            }
        }
        impl<$($part: NameKey),+> Seek for ($($part,)+) {
            fn seek(&self) -> Sought<'_> {
                seek_key(self)
            }
            fn to_text(&self) -> String {
                key::text(self)
            }
        }
    )+};
}
tuples_are_names!((A) (A B) (A B C) (A B C D));

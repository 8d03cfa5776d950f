//! The name of a process or a group.

use std::{borrow::Borrow, fmt, sync::Arc};

/// A name of a process or a group. Cheap to clone.
///
/// ```
/// # use riot_actor::name::Name;
/// let name = Name::from("clerk");
/// assert_eq!((name.as_str(), name.to_string()), ("clerk", "clerk".to_owned()));
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Arc<str>);

impl Name {
    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Name {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}
impl From<String> for Name {
    fn from(name: String) -> Self {
        Self(name.into())
    }
}
impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

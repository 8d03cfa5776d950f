//! The id of a child, and the key by which a child is addressed.

use std::{borrow::Cow, fmt, sync::Arc};

use riot_actor::Pid;

use crate::SupervisorRef;

/// The id of a child: a text or a number. Cheap to clone.
///
/// ```
/// use riot_supervisor::ChildId;
/// assert_eq!(ChildId::from("db").to_string(), "db");
/// assert_eq!(ChildId::from(7).to_string(), "7");
/// assert_eq!(ChildId::from("db"), ChildId::from(String::from("db")));
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChildId(Id);

#[derive(Clone)]
enum Id {
    Static(&'static str),
    Shared(Arc<str>),
    Number(i128),
}

impl Id {
    /// Returns the value to compare. A static and a shared text of the same content are equal.
    fn content(&self) -> (Option<&str>, i128) {
        match self {
            Self::Static(text) => (Some(text), 0),
            Self::Shared(text) => (Some(text), 0),
            Self::Number(number) => (None, *number),
        }
    }
}

impl PartialEq for Id {
    fn eq(&self, other: &Self) -> bool {
        self.content() == other.content()
    }
}
impl Eq for Id {}
impl PartialOrd for Id {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Id {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.content().cmp(&other.content())
    }
}
impl std::hash::Hash for Id {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.content().hash(state);
    }
}

impl ChildId {
    pub(crate) fn label(&self) -> Cow<'static, str> {
        match &self.0 {
            Id::Static(text) => Cow::Borrowed(text),
            Id::Shared(_) | Id::Number(_) => Cow::Owned(self.to_string()),
        }
    }
}

impl fmt::Display for ChildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Id::Static(text) => f.pad(text),
            Id::Shared(text) => f.pad(text),
            Id::Number(number) => number.fmt(f),
        }
    }
}
impl fmt::Debug for ChildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.content() {
            (Some(text), _) => text.fmt(f),
            (None, number) => number.fmt(f),
        }
    }
}

impl From<&'static str> for ChildId {
    fn from(id: &'static str) -> Self {
        Self(Id::Static(id))
    }
}
impl From<String> for ChildId {
    fn from(id: String) -> Self {
        Self(Id::Shared(id.into()))
    }
}
impl From<Arc<str>> for ChildId {
    fn from(id: Arc<str>) -> Self {
        Self(Id::Shared(id))
    }
}
impl From<&ChildId> for ChildId {
    fn from(id: &ChildId) -> Self {
        id.clone()
    }
}

/// The address of a child: its id, or, below a dynamic supervisor, where ids need not differ, its pid.
///
/// ```
/// # use riot_actor::{run, Reason};
/// use riot_supervisor::{ChildKey, Supervisor, process};
/// # let reason = run(async {
/// let db = process("db", || std::future::pending::<()>());
/// let sup = Supervisor::one_for_one().child(db).start_link().await?;
/// sup.terminate_child("db").await?; // any id or pid converts
/// assert_eq!(ChildKey::from("db").to_string(), "db");
/// # Ok::<_, Reason>(())
/// # });
/// # assert_eq!(reason, Reason::Normal);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ChildKey {
    /// The id in the child's spec.
    Id(ChildId),
    /// The child's process.
    Pid(Pid),
}

impl From<Pid> for ChildKey {
    fn from(pid: Pid) -> Self {
        Self::Pid(pid)
    }
}
impl From<SupervisorRef> for ChildKey {
    fn from(supervisor: SupervisorRef) -> Self {
        Self::Pid(supervisor.pid())
    }
}

macro_rules! key_from_id {
    ($($id:ty),+) => { $(
        impl From<$id> for ChildKey {
            fn from(id: $id) -> Self {
                Self::Id(id.into())
            }
        }
    )+ };
}
macro_rules! id_from_number {
    ($($number:ty),+) => { $(
        impl From<$number> for ChildId {
            fn from(id: $number) -> Self {
                Self(Id::Number(id as i128))
            }
        }
        key_from_id!($number);
    )+ };
}
id_from_number!(u8, u16, u32, u64, usize, i8, i16, i32, i64, isize);
key_from_id!(&'static str, String, Arc<str>, ChildId, &ChildId);

impl fmt::Display for ChildKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Pid(pid) => pid.fmt(f),
        }
    }
}

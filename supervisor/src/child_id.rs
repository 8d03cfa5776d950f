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

#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Id {
    Number(i128),
    Text(Arc<str>),
}

impl ChildId {
    pub(crate) fn label(&self) -> Cow<'static, str> {
        self.to_string().into()
    }
}

impl fmt::Display for ChildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Id::Text(text) => f.pad(text),
            Id::Number(number) => number.fmt(f),
        }
    }
}
impl fmt::Debug for ChildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Id::Text(text) => text.fmt(f),
            Id::Number(number) => number.fmt(f),
        }
    }
}

impl From<&str> for ChildId {
    fn from(id: &str) -> Self {
        Self(Id::Text(id.into()))
    }
}
impl From<String> for ChildId {
    fn from(id: String) -> Self {
        Self(Id::Text(id.into()))
    }
}
impl From<Arc<str>> for ChildId {
    fn from(id: Arc<str>) -> Self {
        Self(Id::Text(id))
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
key_from_id!(&str, String, Arc<str>, ChildId, &ChildId);

impl fmt::Display for ChildKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Pid(pid) => pid.fmt(f),
        }
    }
}

//! Names: who may be found without knowing its pid.

use std::{
    borrow::Borrow,
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex},
};

use crate::{context, lock::lock, message::Message, pid::Pid, runtime::Shared};

/// The name of a process. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Arc<str>);

impl Name {
    /// The name as text.
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

/// Gives `pid` a name. A process may have several; a name has one holder, and is free again as soon as anybody hears
/// of the holder's end.
///
/// # Errors
/// If another process holds it, or `pid` does not live.
///
/// # Panics
/// Outside a process.
pub fn register(name: impl Into<Name>, pid: Pid) -> Result<(), RegisterError> {
    context::with_shared("register", |shared| shared.registry.register(shared, name.into(), pid))
}

/// Takes a name from its holder.
///
/// # Errors
/// If nobody holds it.
///
/// # Panics
/// Outside a process.
pub fn unregister(name: &str) -> Result<(), NoSuchName> {
    context::with_shared("unregister", |shared| {
        // The holder's record changes under the registry's lock, as in `register`: else the two could cross.
        let mut holders = lock(&shared.registry.holders);
        match holders.remove_entry(name) {
            Some((name, holder)) => {
                shared.forget_name(holder, &name);
                Ok(())
            }
            None => Err(NoSuchName(name.into())),
        }
    })
}

/// Who holds a name.
///
/// # Panics
/// Outside a process.
#[must_use]
pub fn whereis(name: &str) -> Option<Pid> {
    context::with_shared("whereis", |shared| shared.registry.whereis(name))
}

/// Sends to whoever holds a name.
///
/// # Errors
/// If nobody does; the message comes back.
///
/// # Panics
/// Outside a process.
pub fn send_name<M: Send + 'static>(name: &str, message: M) -> Result<(), Undelivered<M>> {
    context::with_shared("send_name", |shared| match shared.registry.whereis(name) {
        Some(pid) => {
            shared.deliver(pid, Message::new(message));
            Ok(())
        }
        None => Err(Undelivered { name: NoSuchName(name.into()), message }),
    })
}

/// Nobody holds this name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoSuchName(pub Name);

impl fmt::Display for NoSuchName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no process is registered as {}", self.0)
    }
}
impl std::error::Error for NoSuchName {}

/// A message for a name nobody holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undelivered<M> {
    /// The name.
    pub name: NoSuchName,
    /// What was to be sent.
    pub message: M,
}

/// Another process holds the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameTaken {
    /// The name.
    pub name: Name,
    /// Who holds it.
    pub holder: Pid,
}

impl fmt::Display for NameTaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the name {} is taken by {}", self.name, self.holder)
    }
}
impl std::error::Error for NameTaken {}

/// Why a name was not given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegisterError {
    /// Another process holds it.
    NameTaken(NameTaken),
    /// The process to be named does not live.
    NoProc,
}

impl fmt::Display for RegisterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NameTaken(taken) => taken.fmt(f),
            Self::NoProc => f.write_str("the process to be named does not live"),
        }
    }
}
impl std::error::Error for RegisterError {}

pub(crate) struct Registry {
    holders: Mutex<HashMap<Name, Pid>>,
}

impl Registry {
    pub(crate) fn new() -> Self {
        Self { holders: Mutex::new(HashMap::new()) }
    }

    /// The holder's record is asked under the registry's lock: a process that is condemned first is never registered,
    /// one condemned later finds the name in its record.
    pub(crate) fn register(&self, shared: &Shared, name: Name, pid: Pid) -> Result<(), RegisterError> {
        let mut holders = lock(&self.holders);
        if let Some(&holder) = holders.get(&name) {
            return Err(RegisterError::NameTaken(NameTaken { name, holder }));
        }
        if !shared.remember_name(pid, &name) {
            return Err(RegisterError::NoProc);
        }
        holders.insert(name, pid);
        Ok(())
    }

    pub(crate) fn whereis<Q: std::hash::Hash + Eq + ?Sized>(&self, name: &Q) -> Option<Pid>
    where
        Name: Borrow<Q>,
    {
        lock(&self.holders).get(name).copied()
    }

    /// Frees a name in the release of its holder.
    pub(crate) fn release(&self, name: &Name, holder: Pid) {
        let mut holders = lock(&self.holders);
        if holders.get(name) == Some(&holder) {
            holders.remove(name);
        }
    }

    pub(crate) fn names_of(&self, pid: Pid) -> Vec<Name> {
        lock(&self.holders)
            .iter()
            .filter(|&(_, &holder)| holder == pid)
            .map(|(name, _)| name.clone())
            .collect()
    }
}

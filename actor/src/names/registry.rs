//! Names: who may be found without knowing its pid.

use std::{
    borrow::Borrow,
    collections::HashMap,
    fmt,
    future::poll_fn,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Duration,
};

use crate::{
    messages::{message::Message, receive::TimedOut},
    process::pid::Pid,
    runtime::{context, coop, handle::Handle, shared::Shared},
    sync::lock::lock,
};

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
/// Filter another process holds it, or `pid` does not live.
///
/// # Panics
/// Outside a process.
pub fn register(name: impl Into<Name>, pid: Pid) -> Result<(), RegisterError> {
    context::with_shared("register", |shared| shared.registry.register(shared, name.into(), pid))
}

/// Takes a name from its holder.
///
/// # Errors
/// Filter nobody holds it.
///
/// # Panics
/// Outside a process.
pub fn unregister(name: &str) -> Result<(), NoSuchName> {
    context::with_shared("unregister", |shared| {
        // The holder's record changes under the registry's lock, as in `register`: else the two could cross.
        let mut holders = lock(&shared.registry.holders);
        match holders.names.remove_entry(name) {
            Some((name, holder)) => {
                shared.detach_relation(holder, |relations| {
                    relations.others().names.retain(|held| *held != name)
                });
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

/// Waits until somebody holds `name`, and says who; at once if somebody does. The holder may have ended by the time this
/// returns.
///
/// # Errors
/// [`TimedOut`] if nobody has taken the name within `timeout`; `None` waits for ever.
///
/// # Cancel safety
/// Dropped before it is ready, nothing is left of it.
///
/// # Panics
/// Outside a process.
pub async fn wait_for_name(name: impl Into<Name>, timeout: Option<Duration>) -> Result<Pid, TimedOut> {
    let mut waiting = WaitForName { name: name.into(), place: Arc::default(), handle: Handle::current() };
    let taken = poll_fn(|cx| {
        if coop::poll_proceed(cx).is_pending() {
            return Poll::Pending;
        }
        waiting.poll(cx)
    });
    match timeout {
        Some(duration) => crate::time::timeout(duration, taken).await,
        None => Ok(taken.await),
    }
}

/// Somebody who waits for a name to be taken.
struct WaitForName {
    name: Name,
    place: Arc<Mutex<NameWaiter>>,
    handle: Handle,
}

/// Where the first holder is noted, and who is told.
#[derive(Default)]
struct NameWaiter {
    holder: Option<Pid>,
    waker: Option<Waker>,
}

impl WaitForName {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Pid> {
        let registry = &self.handle.shared.registry;
        let mut holders = lock(&registry.holders);
        let mut place = lock(&self.place);
        if let Some(holder) = place.holder.or_else(|| holders.holder(&self.name)) {
            return Poll::Ready(holder);
        }
        if place.waker.replace(cx.waker().clone()).is_none() {
            holders.waiting.entry(self.name.clone()).or_default().push(self.place.clone());
        }
        Poll::Pending
    }
}

impl Drop for WaitForName {
    fn drop(&mut self) {
        let mut holders = lock(&self.handle.shared.registry.holders);
        if let Some(waiting) = holders.waiting.get_mut(&self.name) {
            waiting.retain(|place| !Arc::ptr_eq(place, &self.place));
            if waiting.is_empty() {
                holders.waiting.remove(&self.name);
            }
        }
    }
}

/// Sends to whoever holds a name.
///
/// # Errors
/// Filter nobody does; the message comes back.
///
/// # Panics
/// Outside a process.
pub fn send_named<M: Send + 'static>(name: &str, message: M) -> Result<(), Undelivered<M>> {
    context::with_shared("send_named", |shared| match shared.registry.whereis(name) {
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
    holders: Mutex<Holders>,
}

#[derive(Default)]
struct Holders {
    names: HashMap<Name, Pid>,
    /// Those who wait for a name to be taken.
    waiting: HashMap<Name, Vec<Arc<Mutex<NameWaiter>>>>,
}

impl Holders {
    fn holder(&self, name: &Name) -> Option<Pid> {
        self.names.get(name).copied()
    }
}

impl Registry {
    pub(crate) fn new() -> Self {
        Self { holders: Mutex::default() }
    }

    /// The holder's record is asked under the registry's lock: a process that is condemned first is never registered,
    /// one condemned later finds the name in its record.
    pub(crate) fn register(&self, shared: &Shared, name: Name, pid: Pid) -> Result<(), RegisterError> {
        let mut holders = lock(&self.holders);
        if let Some(&holder) = holders.names.get(&name) {
            return Err(RegisterError::NameTaken(NameTaken { name, holder }));
        }
        if shared.attach_relation(pid, |relations| relations.others().names.push(name.clone())).is_none() {
            return Err(RegisterError::NoProc);
        }
        let waiting = holders.waiting.remove(&name).unwrap_or_default();
        holders.names.insert(name, pid);
        drop(holders);
        for place in waiting {
            let waker = {
                let mut place = lock(&place);
                place.holder = Some(pid);
                place.waker.take()
            };
            if let Some(waker) = waker {
                waker.wake();
            }
        }
        Ok(())
    }

    pub(crate) fn whereis<Q: std::hash::Hash + Eq + ?Sized>(&self, name: &Q) -> Option<Pid>
    where
        Name: Borrow<Q>,
    {
        lock(&self.holders).names.get(name).copied()
    }

    /// Frees a name in the release of its holder.
    pub(crate) fn release(&self, name: &Name, holder: Pid) {
        let mut holders = lock(&self.holders);
        if holders.names.get(name) == Some(&holder) {
            holders.names.remove(name);
        }
    }
}

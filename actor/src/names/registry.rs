//! Names of processes: a process registers one, others find it and send to it by that name.
//!
//! ```
//! use riot_actor::{name::send_named, receive, register, run, this, whereis};
//!
//! run(async {
//!     register("main", this())?;
//!     assert_eq!(whereis("main"), Some(this()));
//!     send_named("main", 42_u8).expect("it is registered");
//!     assert_eq!(receive::<u8>().await, 42);
//!     Ok::<(), riot_actor::Reason>(())
//! });
//! ```

use std::{
    fmt,
    future::poll_fn,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Duration,
};

pub use super::{
    key::{Key, NameKey},
    name::{AsName, Name},
};
use super::{
    map::NameMap,
    name::{Seek as _, Sought},
    server_type::ServerType,
};
use crate::{
    guard,
    messages::message::Message,
    process::pid::Pid,
    runtime::{context, coop, handle::Handle, shared::Shared},
    sync::lock::lock,
    time::timeout::{TimedOut, timeout as with_timeout},
};

/// Registers a name for `pid`: a text, or a value of any type as a [`Key`] or a tuple.
///
/// A process may have several names. A name has one holder, and is free again before any process is told of
/// the holder's exit.
///
/// See the [module](self) for an example.
///
/// # Errors
/// If another process holds it, or `pid` does not live.
///
/// # Panics
/// Panics outside a process.
pub fn register(name: impl Into<Name>, pid: Pid) -> Result<(), RegisterError> {
    context::with_shared("register", |shared| shared.registry.register(shared, name.into(), pid, None))
}

/// Removes a name from its holder.
///
/// ```
/// # use riot_actor::{name::unregister, register, run, this, whereis};
/// # run(async {
/// register("main", this())?;
/// unregister("main")?;
/// assert_eq!(whereis("main"), None);
/// # Ok::<(), riot_actor::Reason>(())
/// # });
/// ```
///
/// # Errors
/// If no process holds it.
///
/// # Panics
/// Panics outside a process.
pub fn unregister(name: &(impl AsName + ?Sized)) -> Result<(), NoSuchName> {
    context::with_shared("unregister", |shared| {
        let sought = name.seek();
        let removed;
        // The holder's record changes under the registry's lock, as in `register`, so that the two cannot
        // cross.
        let mut holders = lock(&shared.registry.holders);
        removed = holders.names.remove(sought);
        let (name, holder) = removed.as_ref().ok_or_else(|| NoSuchName(name.to_text()))?;
        shared.detach_relation(holder.pid, |relations| relations.others().names.retain(|held| held != name));
        Ok(())
    })
}

/// Returns the process that holds a name.
///
/// See the [module](self) for an example.
///
/// # Panics
/// Panics outside a process.
#[must_use]
pub fn whereis(name: &(impl AsName + ?Sized)) -> Option<Pid> {
    context::with_shared("whereis", |shared| shared.registry.whereis(name.seek()))
}

/// Waits until a process holds `name`, and returns it. The holder may have exited by the time this returns.
///
/// ```
/// # use riot_actor::{name::wait_for_name, process::SpawnOptions, run};
/// # run(async {
/// let clerk = SpawnOptions::new().name("clerk").spawn(std::future::pending::<()>());
/// assert_eq!(wait_for_name("clerk", None).await, Ok(clerk));
/// # });
/// ```
///
/// # Errors
/// [`TimedOut`] if no process has registered the name within `timeout`; `None` waits forever.
///
/// # Cancel safety
/// If the future is dropped before it is ready, nothing is left of it.
///
/// # Panics
/// Panics outside a process.
pub async fn wait_for_name(name: impl Into<Name>, timeout: Option<Duration>) -> Result<Pid, TimedOut> {
    let mut waiting = WaitForName { name: name.into(), waiter: Arc::default(), handle: Handle::current() };
    let taken = poll_fn(|cx| {
        if coop::poll_proceed(cx).is_pending() {
            return Poll::Pending;
        }
        waiting.poll(cx)
    });
    match timeout {
        Some(duration) => with_timeout(duration, taken).await,
        None => Ok(taken.await),
    }
}

/// A pending [`wait_for_name`]. Dropping it removes its waiter.
struct WaitForName {
    name: Name,
    waiter: Arc<Mutex<NameWaiter>>,
    handle: Handle,
}

/// Where the next holder of a name is stored, and what is woken then.
#[derive(Default)]
struct NameWaiter {
    holder: Option<Pid>,
    waker: Option<Waker>,
}

impl WaitForName {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Pid> {
        // A waker of a user is cloned before the locks are taken, and dropped after their release.
        let waker = cx.waker().clone();
        let replaced;
        let mut holders = lock(&self.handle.shared.registry.holders);
        let mut waiter = lock(&self.waiter);
        if let Some(holder) = waiter.holder.or_else(|| holders.holder(&self.name)) {
            return Poll::Ready(holder);
        }
        replaced = waiter.waker.replace(waker);
        if replaced.is_none() {
            holders.waiting.get_or_default(self.name.clone()).push(self.waiter.clone());
        }
        Poll::Pending
    }
}

impl Drop for WaitForName {
    fn drop(&mut self) {
        // A key of a user is dropped after the lock is released.
        let _removed;
        let mut holders = lock(&self.handle.shared.registry.holders);
        if let Some(waiting) = holders.waiting.get_mut(self.name.seek()) {
            waiting.retain(|waiter| !Arc::ptr_eq(waiter, &self.waiter));
            if waiting.is_empty() {
                _removed = holders.waiting.remove(self.name.seek());
            }
        }
    }
}

/// Sends to the process that holds a name.
///
/// See the [module](self) for an example.
///
/// # Errors
/// If no process holds it; the message is given back.
///
/// # Panics
/// Panics outside a process.
pub fn send_named<M: Send + 'static>(
    name: &(impl AsName + ?Sized),
    message: M,
) -> Result<(), Undelivered<M>> {
    context::with_shared("send_named", |shared| shared.send_named(name, message))
}

/// Returns all names that processes hold, in order. (OTP: `erlang:registered/0`.)
///
/// ```
/// # use riot_actor::{name::registered, register, run, this};
/// # run(async {
/// register("main", this()).unwrap();
/// assert_eq!(registered().iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["main"]);
/// # });
/// ```
///
/// # Panics
/// Panics outside a process.
#[must_use]
pub fn registered() -> Vec<Name> {
    context::with_shared("registered", |shared| shared.registry.registered())
}

impl Handle {
    /// Returns all names that processes hold, as [`registered`] does, from a plain thread.
    #[must_use]
    pub fn registered(&self) -> Vec<Name> {
        self.shared.registry.registered()
    }

    /// Returns the process that holds a name, as [`whereis`] does, from a plain thread.
    #[must_use]
    pub fn whereis(&self, name: &(impl AsName + ?Sized)) -> Option<Pid> {
        self.shared.registry.whereis(name.seek())
    }

    /// Sends a message to the process that holds a name, as [`send_named`] does, from a plain thread.
    ///
    /// # Errors
    /// If no process holds the name; the message comes back.
    pub fn send_named<M: Send + 'static>(
        &self,
        name: &(impl AsName + ?Sized),
        message: M,
    ) -> Result<(), Undelivered<M>> {
        self.shared.send_named(name, message)
    }
}

impl Shared {
    fn send_named<M: Send + 'static>(
        &self,
        name: &(impl AsName + ?Sized),
        message: M,
    ) -> Result<(), Undelivered<M>> {
        match self.registry.whereis(name.seek()) {
            Some(pid) => {
                self.deliver(pid, Message::new(message));
                Ok(())
            }
            None => Err(Undelivered { name: NoSuchName(name.to_text()), message }),
        }
    }
}

/// No process holds this name. That of a key is what its `Debug` prints.
///
/// See [`Undelivered`] for an example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoSuchName(pub String);

impl fmt::Display for NoSuchName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no process is registered as {}", self.0)
    }
}
impl std::error::Error for NoSuchName {}

/// A message to a name that no process holds.
///
/// ```
/// # use riot_actor::{name::send_named, run};
/// # run(async {
/// let undelivered = send_named("clerk", "hello").unwrap_err();
/// assert_eq!((undelivered.message, &*undelivered.name.0), ("hello", "clerk"));
/// # });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undelivered<M> {
    /// The name.
    pub name: NoSuchName,
    /// The message.
    pub message: M,
}

/// Another process holds the name.
///
/// See [`SpawnOptions::try_spawn`](crate::process::SpawnOptions::try_spawn) for an example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameTaken {
    /// The name.
    pub name: Name,
    /// The process that holds it.
    pub holder: Pid,
}

impl fmt::Display for NameTaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the name {} is taken by {}", self.name, self.holder)
    }
}
impl std::error::Error for NameTaken {}

/// Why a name was not registered.
///
/// ```
/// # use riot_actor::{name::RegisterError, process::wait, register, run, spawn};
/// # run(async {
/// let pid = spawn(async {});
/// wait(pid).await;
/// assert_eq!(register("clerk", pid), Err(RegisterError::NoProc));
/// # });
/// ```
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
    names: NameMap<Holder>,
    /// The waiters for names that no process holds.
    waiting: NameMap<Vec<Arc<Mutex<NameWaiter>>>>,
}

/// The process that holds a name.
#[derive(Clone, Copy)]
struct Holder {
    pid: Pid,
    /// The type of the server, if the name was given when it was started.
    server_type: Option<&'static ServerType>,
}

impl Holders {
    fn holder(&self, name: &Name) -> Option<Pid> {
        Some(self.names.get(name.seek())?.pid)
    }
}

impl Registry {
    pub(crate) fn new() -> Self {
        Self { holders: Mutex::default() }
    }

    /// Registers a name. The holder's record is changed under the registry's lock: a process that was
    /// condemned before is refused, and one that is condemned later finds the name in its record.
    pub(crate) fn register(
        &self,
        shared: &Shared,
        name: Name,
        pid: Pid,
        server_type: Option<&'static ServerType>,
    ) -> Result<(), RegisterError> {
        let mut holders = lock(&self.holders);
        if let Some(holder) = holders.holder(&name) {
            return Err(RegisterError::NameTaken(NameTaken { name, holder }));
        }
        if shared.attach_relation(pid, |relations| relations.others().names.push(name.clone())).is_none() {
            return Err(RegisterError::NoProc);
        }
        let waiting = holders.waiting.remove(name.seek());
        holders.names.insert(name, Holder { pid, server_type });
        drop(holders);
        let waiting = waiting.map_or_else(Vec::new, |(_, waiting)| waiting);
        for waiter in waiting {
            let waker = {
                let mut waiter = lock(&waiter);
                waiter.holder = Some(pid);
                waiter.waker.take()
            };
            if let Some(waker) = waker {
                guard::wake(waker);
            }
        }
        Ok(())
    }

    #[inline]
    fn whereis(&self, name: Sought<'_>) -> Option<Pid> {
        Some(lock(&self.holders).names.get(name)?.pid)
    }

    /// Returns the process that holds a name.
    pub(crate) fn holder(&self, name: &Name) -> Option<Pid> {
        self.whereis(name.seek())
    }

    /// Returns the server that holds a name; none if the name is free.
    ///
    /// # Errors
    /// If the holder is known to be a server of another type: that type.
    pub(crate) fn server(
        &self,
        name: &Name,
        expected: &ServerType,
    ) -> Result<Option<Pid>, &'static ServerType> {
        let holder = lock(&self.holders).names.get(name.seek()).copied();
        match holder.and_then(|holder| holder.server_type) {
            Some(found) if !found.is_same(expected) => Err(found),
            _ => Ok(holder.map(|holder| holder.pid)),
        }
    }

    fn registered(&self) -> Vec<Name> {
        let mut names: Vec<Name> = lock(&self.holders).names.entries().map(|(name, _)| name).collect();
        names.sort();
        names
    }

    /// Frees memory of names that are held no longer.
    pub(crate) fn trim(&self) {
        lock(&self.holders).names.shrink();
    }

    /// Frees a name in the release of its holder.
    pub(crate) fn release(&self, name: &Name, holder: Pid) {
        let mut holders = lock(&self.holders);
        if holders.holder(name) == Some(holder) {
            holders.names.remove(name.seek());
        }
    }
}

//! A pid that takes messages of one type only, checked by the compiler.

use std::{fmt, future::Future, hash::Hash, marker::PhantomData, time::Duration};

use super::{
    receive::{ByType, Receive, receive, receive_timeout},
    send::{SendAsync, TrySendError, send, send_async, try_send},
};
use crate::{
    names::{
        name::Name,
        registry::{Undelivered, send_named, whereis},
    },
    process::{pid::Pid, reason::Outcome, spawn::SpawnOptions},
    time::timeout::TimeoutFuture,
};

/// The address of a process that receives messages of type `T`: nothing else can be sent through it. `Copy`,
/// like a pid.
///
/// ```
/// use riot_actor::{mailbox::Addr, run};
///
/// enum Order { Add(u32), Done }
///
/// run(async {
///     let till = Addr::spawn(|inbox| async move {
///         let mut sum = 0;
///         while let Order::Add(price) = inbox.receive().await {
///             sum += price;
///         }
///         assert_eq!(sum, 5);
///     });
///     till.send(Order::Add(2));
///     till.send(Order::Add(3));
///     till.send(Order::Done);
/// #   riot_actor::process::wait(till.pid()).await;
/// });
/// ```
///
/// A message of another type is a compile error:
///
/// ```compile_fail,E0308
/// # use riot_actor::{mailbox::Addr, run};
/// # run(async {
/// let adder: Addr<u32> = Addr::spawn(|inbox| async move { inbox.receive().await; });
/// adder.send("seven");
/// # });
/// ```
pub struct Addr<T> {
    pid: Pid,
    _message: PhantomData<fn(T)>,
}

impl<T: Send + 'static> Addr<T> {
    /// Wraps a pid without checking that the process receives `T`. A message that it does not receive stays
    /// in its mailbox.
    #[must_use]
    pub fn new(pid: Pid) -> Self {
        Self { pid, _message: PhantomData }
    }

    /// Starts a process that receives `T`.
    ///
    /// # Panics
    /// Panics outside a process.
    pub fn spawn<F>(body: impl FnOnce(Inbox<T>) -> F) -> Self
    where
        F: Future<Output: Outcome> + Send + 'static,
    {
        Self::spawn_with(SpawnOptions::new(), body)
    }

    /// Starts a process that receives `T`, with options: a link, a name, a bound.
    ///
    /// # Panics
    /// Panics outside a process; or if the name is taken.
    pub fn spawn_with<F>(options: SpawnOptions, body: impl FnOnce(Inbox<T>) -> F) -> Self
    where
        F: Future<Output: Outcome> + Send + 'static,
    {
        Self::new(options.spawn(body(Inbox(PhantomData))))
    }

    /// Returns the pid of the process.
    #[must_use]
    pub fn pid(self) -> Pid {
        self.pid
    }

    /// Sends a message, see [`send`](crate::send()).
    ///
    /// # Panics
    /// Panics outside a process.
    pub fn send(self, message: T) {
        send(self.pid, message);
    }

    /// Sends a message or gives it back, see [`try_send`](crate::mailbox::try_send).
    ///
    /// # Errors
    /// See [`TrySendError`].
    ///
    /// # Panics
    /// Panics outside a process.
    pub fn try_send(self, message: T) -> Result<(), TrySendError<T>> {
        try_send(self.pid, message)
    }

    /// Sends a message, waiting while the mailbox is full, see [`send_async`](crate::mailbox::send_async).
    pub fn send_async(self, message: T) -> SendAsync<T> {
        send_async(self.pid, message)
    }
}

/// The address of whatever process holds a name and receives messages of type `T`. Each use looks the name
/// up, so the address goes on to work when the process was restarted.
///
/// ```
/// use riot_actor::{mailbox::Addr, process::SpawnOptions, run};
/// # run(async {
/// let adder = Addr::<u32>::named("adder");
/// assert_eq!(adder.send(1).unwrap_err().message, 1, "no process holds the name");
/// let options = SpawnOptions::new().name("adder").link();
/// Addr::<u32>::spawn_with(options, |inbox| async move { inbox.receive().await; });
/// adder.send(2).expect("a process holds it");
/// # });
/// ```
pub struct NamedAddr<T> {
    name: Name,
    _message: PhantomData<fn(T)>,
}

impl<T: Send + 'static> Addr<T> {
    /// Refers to the process that holds `name`, whichever that is at each use. Nothing checks what it
    /// receives. See [`NamedAddr`] for an example.
    pub fn named(name: impl Into<Name>) -> NamedAddr<T> {
        NamedAddr { name: name.into(), _message: PhantomData }
    }
}

impl<T: Send + 'static> NamedAddr<T> {
    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Returns the address of the process that holds the name now.
    ///
    /// # Panics
    /// Panics outside a process.
    #[must_use]
    pub fn addr(&self) -> Option<Addr<T>> {
        whereis(&self.name).map(Addr::new)
    }

    /// Sends a message to the process that holds the name.
    ///
    /// # Errors
    /// If no process holds it; the message is given back.
    ///
    /// # Panics
    /// Panics outside a process.
    pub fn send(&self, message: T) -> Result<(), Undelivered<T>> {
        send_named(&self.name, message)
    }
}

impl<T> Clone for NamedAddr<T> {
    fn clone(&self) -> Self {
        Self { name: self.name.clone(), _message: PhantomData }
    }
}
impl<T> fmt::Debug for NamedAddr<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NamedAddr({})", self.name)
    }
}

/// The receiving side of an [`Addr`], for the body of the process that [`Addr::spawn`] starts.
///
/// It adds a type to [`receive`](crate::receive()), and no second mailbox: exits, downs and other messages
/// sent by pid are received as in any process.
///
/// See [`Addr`] for an example.
pub struct Inbox<T>(PhantomData<fn() -> T>);

impl<T: Send + 'static> Inbox<T> {
    /// Takes the oldest message of type `T`.
    ///
    /// # Cancel safety
    /// If the future is dropped before it is ready, no message has been taken.
    pub fn receive(&self) -> Receive<T, ByType> {
        receive()
    }

    /// Takes the oldest message of type `T`, if it arrives within `timeout`.
    ///
    /// # Errors
    /// [`TimedOut`](crate::time::TimedOut) if none arrived in time; the mailbox is as it was.
    ///
    /// # Cancel safety
    /// If the future is dropped before it is ready, no message has been taken.
    pub fn receive_timeout(&self, timeout: Duration) -> TimeoutFuture<Receive<T, ByType>> {
        receive_timeout(timeout)
    }
}

impl<T> fmt::Debug for Inbox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inbox")
    }
}

impl<T> Clone for Addr<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Addr<T> {}
impl<T> PartialEq for Addr<T> {
    fn eq(&self, other: &Self) -> bool {
        self.pid == other.pid
    }
}
impl<T> Eq for Addr<T> {}
impl<T> Hash for Addr<T> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.pid.hash(state);
    }
}
impl<T> fmt::Debug for Addr<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Addr({})", self.pid)
    }
}
impl<T> From<Addr<T>> for Pid {
    fn from(addr: Addr<T>) -> Self {
        addr.pid
    }
}

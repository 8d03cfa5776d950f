//! A pid that takes messages of one type only, checked by the compiler.

use std::{fmt, future::Future, hash::Hash, marker::PhantomData};

use crate::{
    messages::{
        receive::{ByType, Receive, TimeoutFuture, receive},
        send::{SendAsync, TrySendError, send, send_async, try_send},
    },
    process::{pid::Pid, reason::Outcome, spawn::SpawnOptions},
};

/// A process that understands messages of type `T`: through its `Addr` nothing else can be sent to it. `Copy`, like the
/// pid it is made of.
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
/// What it does not understand is a compile error:
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
    /// The process behind a pid, such as one found by name, when it is known to receive `T`: nothing checks that, and what
    /// it does not receive stays in its mailbox.
    #[must_use]
    pub fn new(pid: Pid) -> Self {
        Self { pid, _message: PhantomData }
    }

    /// Starts a process that receives `T`.
    ///
    /// # Panics
    /// Outside a process.
    pub fn spawn<F>(body: impl FnOnce(Inbox<T>) -> F) -> Self
    where
        F: Future<Output: Outcome> + Send + 'static,
    {
        Self::spawn_with(SpawnOptions::new(), body)
    }

    /// [`spawn`](Self::spawn) with options: a link, a name, a bound.
    ///
    /// # Panics
    /// Outside a process; or if its name is taken.
    pub fn spawn_with<F>(options: SpawnOptions, body: impl FnOnce(Inbox<T>) -> F) -> Self
    where
        F: Future<Output: Outcome> + Send + 'static,
    {
        Self::new(options.spawn(body(Inbox(PhantomData))))
    }

    /// Its process.
    #[must_use]
    pub fn pid(self) -> Pid {
        self.pid
    }

    /// [`send`](crate::send()).
    ///
    /// # Panics
    /// Outside a process.
    pub fn send(self, message: T) {
        send(self.pid, message);
    }

    /// [`try_send`](crate::mailbox::try_send).
    ///
    /// # Errors
    /// See [`TrySendError`].
    ///
    /// # Panics
    /// Outside a process.
    pub fn try_send(self, message: T) -> Result<(), TrySendError<T>> {
        try_send(self.pid, message)
    }

    /// [`send_async`](crate::mailbox::send_async).
    pub fn send_async(self, message: T) -> SendAsync<T> {
        send_async(self.pid, message)
    }
}

/// What the body of a process started by [`Addr::spawn`] receives with. It adds a type to
/// [`receive`](crate::receive()), and no second mailbox: exits, downs and whatever else was sent by pid are received as
/// ever.
pub struct Inbox<T>(PhantomData<fn() -> T>);

impl<T: Send + 'static> Inbox<T> {
    /// The oldest message of type `T`.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, it has taken nothing.
    pub fn receive(&self) -> Receive<T, ByType> {
        receive()
    }

    /// The oldest message of type `T`, if it comes within `timeout`.
    ///
    /// # Errors
    /// [`TimedOut`](crate::time::TimedOut) if none came in time; the mailbox is as it was.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, it has taken nothing.
    pub fn receive_timeout(&self, timeout: std::time::Duration) -> TimeoutFuture<Receive<T, ByType>> {
        crate::time::timeout(timeout, receive())
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

//! A runtime, seen from plain threads.

use std::{fmt, future::Future, num::NonZeroU32, panic::Location, sync::Arc};

use super::{
    context,
    kernel::spawn::{Origin, SpawnSpec},
    shared::Shared,
};
use crate::{
    messages::message::Message,
    process::{
        pid::Pid,
        reason::{Outcome, Reason},
        spawn::ReasonOf,
    },
};

/// A handle to a runtime, for plain threads, which have no process to act for.
///
/// ```
/// # use riot_actor::{receive, run, runtime::Handle, this};
/// # run(async {
/// let (handle, main) = (Handle::current(), this());
/// std::thread::spawn(move || handle.send(main, "from a thread"));
/// assert_eq!(receive::<&str>().await, "from a thread");
/// # });
/// ```
#[derive(Clone)]
pub struct Handle {
    pub(crate) shared: Arc<Shared>,
}

impl Handle {
    /// Returns a handle to the runtime of the running process, or of the [`enter`](Self::enter) that this is
    /// called in.
    ///
    /// # Panics
    /// Panics outside a process.
    #[must_use]
    pub fn current() -> Self {
        assert!(
            context::has_runtime(),
            "riot_actor: `Handle::current` needs a running process to be current for"
        );
        context::with_shared("Handle::current", |shared| shared.handle())
    }

    /// Starts a process that has no parent. Once the runtime has ended the process never runs, and its body
    /// is leaked.
    #[track_caller]
    pub fn spawn<F>(&self, body: F) -> Pid
    where
        F: Future<Output: Outcome> + Send + 'static,
    {
        let body = ReasonOf::typed(body);
        let spec = SpawnSpec { spawned_at: Some(Location::caller()), ..SpawnSpec::default() };
        self.shared.spawn_unnamed(spec, Origin::default(), body, |_| ())
    }

    /// Sends a message, see [`send`](crate::send()).
    pub fn send<M: Send + 'static>(&self, to: Pid, message: M) {
        self.shared.deliver(to, Message::new(message));
    }

    /// Runs `f` with the clock and the timers of this runtime on a thread that is none of its own: there,
    /// sleeps and connections can be made and polled, and wake the task that polls them. On a thread of a
    /// runtime, `f` runs as it is.
    ///
    /// ```
    /// use std::time::Duration;
    /// use riot_actor::{receive, run, runtime::Handle, send, sleep, this};
    ///
    /// run(async {
    ///     let (handle, main) = (Handle::current(), this());
    ///     let mut slept = Box::pin(sleep(Duration::from_millis(1)));
    ///     std::thread::spawn(move || {
    ///         // What an executor does with the sleep.
    ///         let polled = std::future::poll_fn(|cx| handle.enter(|| slept.as_mut().poll(cx)));
    ///         futures_lite::future::block_on(polled);
    ///         handle.send(main, "woken");
    ///     });
    ///     assert_eq!(receive::<&str>().await, "woken");
    /// });
    /// ```
    pub fn enter<R>(&self, f: impl FnOnce() -> R) -> R {
        if context::is_entered() { f() } else { context::visit(&self.shared, f) }
    }

    /// Shuts the runtime down, see [`shutdown`](crate::runtime::shutdown).
    pub fn shutdown(&self, reason: Reason) {
        self.shared.shut_down(reason);
    }
}

/// The number of a runtime, which no other runtime of the program has or will have.
///
/// ```
/// use riot_actor::{run, runtime::RuntimeId};
///
/// assert_eq!(RuntimeId::current(), None);
/// run(async {
///     let id = RuntimeId::current().unwrap();
///     assert!(id.handle().is_some());
/// });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RuntimeId(NonZeroU32);

impl RuntimeId {
    /// Returns the number of the runtime of this thread; none on a plain thread.
    #[must_use]
    pub fn current() -> Option<Self> {
        context::with_local(|local| local.map(|local| Self(local.shared.id)))
    }

    /// Returns a handle to the runtime, unless it has ended.
    #[must_use]
    pub fn handle(self) -> Option<Handle> {
        super::shared::find(self.0).filter(|shared| !shared.is_over()).map(|shared| Handle { shared })
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({})", self.shared.id)
    }
}

//! A runtime, seen from plain threads.

use std::{fmt, future::Future, sync::Arc};

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
    /// Returns a handle to the runtime of the running process.
    ///
    /// # Panics
    /// Panics outside a process.
    #[must_use]
    pub fn current() -> Self {
        context::with_local(|local| match local {
            Some(local) => Self { shared: local.shared.clone() },
            None => panic!("riot_actor: `Handle::current` needs a running process to be current for"),
        })
    }

    /// Starts a process that has no parent. Once the runtime has ended the process never runs, and its body
    /// is leaked.
    pub fn spawn<F>(&self, body: F) -> Pid
    where
        F: Future<Output: Outcome> + Send + 'static,
    {
        let body = Box::pin(ReasonOf { body });
        self.shared.spawn_unnamed(SpawnSpec::default(), Origin::default(), body, |_| ())
    }

    /// Sends a message, see [`send`](crate::send()).
    pub fn send<M: Send + 'static>(&self, to: Pid, message: M) {
        self.shared.deliver(to, Message::new(message));
    }

    /// Shuts the runtime down, see [`shutdown`](crate::runtime::shutdown).
    pub fn shutdown(&self, reason: Reason) {
        self.shared.shut_down(reason);
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({})", self.shared.id)
    }
}

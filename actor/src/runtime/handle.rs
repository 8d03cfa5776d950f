//! A runtime, seen from threads that are none of its workers.

use std::{fmt, future::Future, sync::Arc};

use crate::{
    messages::message::Message,
    process::{
        pid::Pid,
        reason::{Outcome, Reason},
        spawn::{ReasonOf, SpawnOptions},
    },
    runtime::{context, shared::Shared},
};

/// A runtime, for plain threads: they have no process to act for.
#[derive(Clone)]
pub struct Handle {
    pub(crate) shared: Arc<Shared>,
}

impl Handle {
    /// The runtime of the running process.
    ///
    /// # Panics
    /// Outside a process.
    #[must_use]
    pub fn current() -> Self {
        context::with_local(|local| match local {
            Some(local) => Self { shared: local.shared.clone() },
            None => panic!("riot_actor: `Handle::current` needs a running process to be current for"),
        })
    }

    /// Starts a process that has no parent.
    pub fn spawn<F>(&self, body: F) -> Pid
    where
        F: Future<Output: Outcome> + Send + 'static,
    {
        let body = Box::pin(ReasonOf { body });
        match self.shared.spawn(SpawnOptions::new(), None, None, None, body) {
            Ok(pid) => pid,
            Err(_) => unreachable!("it asks for no name"),
        }
    }

    /// [`send`](crate::send()).
    pub fn send<M: Send + 'static>(&self, to: Pid, message: M) {
        self.shared.deliver(to, Message::new(message));
    }

    /// [`shutdown`](crate::runtime::shutdown).
    pub fn shutdown(&self, reason: Reason) {
        self.shared.shut_down(reason);
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({})", self.shared.id)
    }
}

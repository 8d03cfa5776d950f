//! A socket of the system that knows whether it is ready.

use std::{
    io,
    os::fd::AsRawFd,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    task::{Context, Poll},
};

use mio::unix::SourceFd;
use riot_actor::coop;

use crate::{
    poller::Registration,
    readiness::{Interest, Readiness},
};

/// A socket and what is known of its readiness. It joins the poller of the worker that first has to wait for it.
pub(crate) struct Evented<S> {
    socket: S,
    readiness: Arc<Readiness>,
    registration: OnceLock<Registration>,
    /// Held while registering: the system takes a socket once.
    registering: Mutex<()>,
}

impl<S: AsRawFd> Evented<S> {
    pub(crate) fn new(socket: S) -> Self {
        let readiness = Arc::new(Readiness::new());
        Self { socket, readiness, registration: OnceLock::new(), registering: Mutex::new(()) }
    }

    pub(crate) fn get(&self) -> &S {
        &self.socket
    }

    /// Runs `operation` until it gives something else than "would block"; waits for readiness in between. `drained`
    /// says of a result that the next operation would have to wait.
    pub(crate) fn poll<T>(
        &self,
        cx: &mut Context<'_>,
        interest: Interest,
        mut operation: impl FnMut(&S) -> io::Result<T>,
        drained: impl Fn(&T) -> bool,
    ) -> Poll<io::Result<T>> {
        if coop::poll_proceed(cx).is_pending() {
            return Poll::Pending;
        }
        loop {
            let seen = match self.readiness.poll_ready(cx, interest) {
                Poll::Ready(seen) => seen,
                Poll::Pending => return Poll::Pending,
            };
            match operation(&self.socket) {
                Ok(value) => {
                    // Only a registered socket will hear of the next readiness.
                    if drained(&value) && self.registration.get().is_some() {
                        self.readiness.drained(interest, seen);
                    }
                    return Poll::Ready(Ok(value));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.readiness.drained(interest, seen);
                    if self.registration.get().is_none() {
                        // The first event tells what is ready already, so nothing is missed by registering late.
                        self.register()?;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    pub(crate) fn register(&self) -> io::Result<()> {
        let _one_at_a_time = self.registering.lock().unwrap_or_else(PoisonError::into_inner);
        if self.registration.get().is_none() {
            let registration = Registration::new(&mut SourceFd(&self.socket.as_raw_fd()), &self.readiness)?;
            let Ok(()) = self.registration.set(registration) else {
                unreachable!("nobody else registers it")
            };
        }
        Ok(())
    }
}

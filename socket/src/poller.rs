//! mio's `Poll` behind the actor crate's driver seam: one a worker, installed when the first socket is used there.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    task::Waker,
    time::Duration,
};

use mio::{Events, Poll, Token, event::Source};
use riot_actor::{
    Down, Reason, SpawnOptions,
    driver::{self, Driver, Unpark},
    scheduler_stats,
};
use slab::Slab;

use crate::readiness::{Interest, Readiness};

/// Events taken over in one go; more wait for the next.
const EVENTS: usize = 1024;

/// The token of the poller's own alarm.
const ALARM: Token = Token(usize::MAX);

struct Poller {
    poll: Poll,
    events: Events,
    sockets: Sockets,
    alarm: Arc<Alarm>,
    /// Kept for its room.
    due: Vec<Waker>,
}

/// The sockets registered with one poller, by token.
type Sockets = Arc<Mutex<Slab<Arc<Readiness>>>>;

/// What sockets need of their worker's poller.
struct Registrar {
    registry: mio::Registry,
    sockets: Sockets,
}

impl Poller {
    fn new() -> io::Result<(Self, Registrar)> {
        let poll = Poll::new()?;
        let sockets = Sockets::default();
        let alarm = Arc::new(Alarm(mio::Waker::new(poll.registry(), ALARM)?));
        let registrar = Registrar { registry: poll.registry().try_clone()?, sockets: sockets.clone() };
        Ok((Self { poll, events: Events::with_capacity(EVENTS), sockets, alarm, due: Vec::new() }, registrar))
    }
}

impl Driver for Poller {
    fn park(&mut self, limit: Option<Duration>) {
        if let Err(error) = self.poll.poll(&mut self.events, limit)
            && error.kind() != io::ErrorKind::Interrupted
        {
            tracing::error!(target: "riot::socket", "waiting for events failed: {error}");
        }
    }

    fn dispatch(&mut self) {
        if self.events.is_empty() {
            return;
        }
        {
            let sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
            for event in &self.events {
                let Some(socket) = sockets.get(event.token().0) else { continue };
                let failed = event.is_error();
                if event.is_readable() || event.is_read_closed() || failed {
                    self.due.extend(socket.report(Interest::Read, event.is_read_closed() || failed));
                }
                if event.is_writable() || event.is_write_closed() || failed {
                    self.due.extend(socket.report(Interest::Write, event.is_write_closed() || failed));
                }
            }
        }
        self.events.clear();
        // Wakers are somebody else's code: no lock is held.
        self.due.drain(..).for_each(Waker::wake);
    }

    fn unparker(&self) -> Arc<dyn Unpark> {
        self.alarm.clone()
    }
}

/// Gives every worker its poller.
pub(crate) async fn install_everywhere() -> io::Result<()> {
    for worker in 0..scheduler_stats().workers.len() {
        let install = async { driver::install(Poller::new).map(drop) };
        let (_, installed) = SpawnOptions::new().label("Poller").pinned_to(worker).spawn_monitor(install);
        let Down { reason, .. } = installed.down().await;
        if reason != Reason::Normal {
            return Err(io::Error::other(format!("a worker has no poller: {reason}")));
        }
    }
    Ok(())
}

struct Alarm(mio::Waker);

impl Unpark for Alarm {
    fn unpark(&self) {
        if let Err(error) = self.0.wake() {
            tracing::error!(target: "riot::socket", "waking a worker failed: {error}");
        }
    }
}

/// A socket's place in a poller; given up when dropped. (Closing the socket takes it out of the system's own list.)
#[derive(Debug)]
pub(crate) struct Registration {
    sockets: Sockets,
    token: usize,
}

impl Registration {
    /// Registers for both directions, once, with the poller of the worker the running process is on.
    pub(crate) fn new(socket: &mut impl Source, readiness: &Arc<Readiness>) -> io::Result<Self> {
        let registrar = driver::install(Poller::new)?;
        let token =
            registrar.sockets.lock().unwrap_or_else(PoisonError::into_inner).insert(readiness.clone());
        let registration = Self { sockets: registrar.sockets.clone(), token };
        registrar.registry.register(
            socket,
            Token(token),
            mio::Interest::READABLE | mio::Interest::WRITABLE,
        )?;
        Ok(registration)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let readiness = self.sockets.lock().unwrap_or_else(PoisonError::into_inner).try_remove(self.token);
        drop(readiness);
    }
}

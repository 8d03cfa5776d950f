//! mio's `Poll` behind the actor crate's driver seam: one a worker, installed when the first socket is used there.

use std::{collections::VecDeque, io, os::fd::RawFd, sync::Arc, task::Waker, time::Duration};

use mio::{Events, Poll, Token, unix::SourceFd};
use parking_lot::Mutex;
use riot_actor::{
    Down, Reason, SpawnOptions,
    driver::{self, Driver, Unpark},
    scheduler_stats,
};
use slab::Slab;

use crate::readiness::{News, Readiness};

/// Events taken over in one go; more wait for the next.
const EVENTS: usize = 1024;

/// The token of the poller's own alarm.
const ALARM: Token = Token(usize::MAX);

/// For so many looks at the events, between which a worker has 61 turns, the system is not told of a new socket. Where 64
/// clients come at a time, and go after one answer, that is long enough for four in five of them, and two looks would be
/// for one in two.
const LOOKS: usize = 4;

/// What a socket is registered for, once.
const BOTH: mio::Interest = mio::Interest::READABLE.add(mio::Interest::WRITABLE);

struct Poller {
    poll: Poll,
    events: Events,
    sockets: Arc<Mutex<Sockets>>,
    alarm: Arc<Alarm>,
    /// Kept for its room.
    due: Vec<Waker>,
}

/// What sockets need of their worker's poller.
struct Registrar {
    sockets: Arc<Mutex<Sockets>>,
}

/// The sockets of one poller.
///
/// The system is told of a new one only before the worker sleeps, or after a few [`LOOKS`]. A connection that is over by
/// then costs neither a call nor an event.
#[derive(Default)]
struct Sockets {
    /// By token.
    known: Slab<Socket>,
    /// Tokens of new ones, oldest first, with the number of the look that comes next. Some may be gone, and others have
    /// theirs.
    new: VecDeque<(usize, usize)>,
    looks: usize,
}

/// Invariant: the descriptor is open, as a [`Registration`] goes before its socket does.
struct Socket {
    readiness: Arc<Readiness>,
    descriptor: RawFd,
    /// The system has not been told of it.
    is_new: bool,
}

impl Sockets {
    fn insert(&mut self, descriptor: RawFd, readiness: Arc<Readiness>) -> usize {
        let token = self.known.insert(Socket { readiness, descriptor, is_new: true });
        self.new.push_back((token, self.looks));
        token
    }

    /// Tells the system of new sockets: of all if the worker `sleeps`. Whoever waits for one that the system does not take
    /// is `due`.
    fn announce(&mut self, registry: &mio::Registry, sleeps: bool, due: &mut Vec<Waker>) {
        while let Some(&(token, look)) = self.new.front()
            && (sleeps || self.looks - look >= LOOKS)
        {
            self.new.pop_front();
            let Some(socket) = self.known.get_mut(token).filter(|socket| socket.is_new) else { continue };
            socket.is_new = false;
            if let Err(error) = registry.register(&mut SourceFd(&socket.descriptor), Token(token), BOTH) {
                tracing::error!(target: "riot::socket", "a socket cannot be waited for: {error}");
                socket.readiness.fail(&error, due);
            }
        }
        self.looks += 1;
    }
}

impl Poller {
    fn new() -> io::Result<(Self, Registrar)> {
        let poll = Poll::new()?;
        let sockets = Arc::<Mutex<Sockets>>::default();
        let alarm = Arc::new(Alarm(mio::Waker::new(poll.registry(), ALARM)?));
        let registrar = Registrar { sockets: sockets.clone() };
        Ok((Self { poll, events: Events::with_capacity(EVENTS), sockets, alarm, due: Vec::new() }, registrar))
    }
}

impl Driver for Poller {
    fn park(&mut self, limit: Option<Duration>) {
        let sleeps = limit != Some(Duration::ZERO);
        self.sockets.lock().announce(self.poll.registry(), sleeps, &mut self.due);
        let limit = if self.due.is_empty() { limit } else { Some(Duration::ZERO) };
        if let Err(error) = self.poll.poll(&mut self.events, limit)
            && error.kind() != io::ErrorKind::Interrupted
        {
            tracing::error!(target: "riot::socket", "waiting for events failed: {error}");
        }
    }

    fn dispatch(&mut self) {
        if !self.events.is_empty() {
            let sockets = self.sockets.lock();
            for event in &self.events {
                let Some(Socket { readiness, .. }) = sockets.known.get(event.token().0) else { continue };
                let news = |ready, closed| match (closed || event.is_error(), ready) {
                    (true, _) => News::Closed,
                    (false, true) => News::Ready,
                    (false, false) => News::None,
                };
                let read = news(event.is_readable(), event.is_read_closed());
                let write = news(event.is_writable(), event.is_write_closed());
                readiness.report([read, write], &mut self.due);
            }
            self.events.clear();
        }
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
pub(crate) struct Registration {
    sockets: Arc<Mutex<Sockets>>,
    token: usize,
}

impl Registration {
    /// Registers for both directions, once, with the poller of the worker the running process is on. It must be dropped
    /// before the descriptor is closed.
    pub(crate) fn new(descriptor: RawFd, readiness: &Arc<Readiness>) -> io::Result<Self> {
        let sockets = driver::install(Poller::new)?.sockets.clone();
        let token = sockets.lock().insert(descriptor, readiness.clone());
        Ok(Self { sockets, token })
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let socket = self.sockets.lock().known.try_remove(self.token);
        drop(socket);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        os::{fd::AsRawFd, unix::net::UnixStream},
        task::{Context, Poll::Ready},
    };

    use super::*;
    use crate::readiness::Interest;

    /// The tokens of the events there are.
    fn look(poll: &mut Poll, sockets: &mut Sockets, sleeps: bool) -> Vec<usize> {
        let mut due = Vec::new();
        sockets.announce(poll.registry(), sleeps, &mut due);
        let mut events = Events::with_capacity(8);
        poll.poll(&mut events, Some(Duration::ZERO)).expect("it can be looked at");
        events.iter().map(|event| event.token().0).collect()
    }

    #[test]
    fn the_system_is_told_of_a_socket_after_some_looks_or_before_a_sleep() {
        let (mut poll, mut sockets) = (Poll::new().expect("a poller"), Sockets::default());
        let (one, other) = UnixStream::pair().expect("two sockets");
        let first = sockets.insert(one.as_raw_fd(), Arc::default());
        for _ in 0..LOOKS {
            assert_eq!(look(&mut poll, &mut sockets, false), []);
        }
        assert_eq!(look(&mut poll, &mut sockets, false), [first], "it can be written to");
        let second = sockets.insert(other.as_raw_fd(), Arc::default());
        assert_eq!(look(&mut poll, &mut sockets, true), [second]);
        assert_eq!(look(&mut poll, &mut sockets, true), [], "it is told once");
    }

    #[test]
    fn the_system_is_not_told_of_a_socket_that_is_gone() {
        let (mut poll, mut sockets) = (Poll::new().expect("a poller"), Sockets::default());
        let (one, other) = UnixStream::pair().expect("two sockets");
        let gone = sockets.insert(one.as_raw_fd(), Arc::default());
        sockets.known.remove(gone);
        let next = sockets.insert(other.as_raw_fd(), Arc::default());
        assert_eq!(gone, next, "it has the place of the other");
        assert_eq!(look(&mut poll, &mut sockets, true), [next]);
    }

    #[test]
    fn who_waits_for_what_the_system_does_not_take_hears_of_it() {
        let (poll, mut sockets) = (Poll::new().expect("a poller"), Sockets::default());
        let file = File::open("/dev/null").expect("it is there");
        let readiness = Arc::new(Readiness::new());
        let cx = Context::from_waker(Waker::noop());
        let Ready(Ok(seen)) = readiness.poll_ready(&cx, Interest::Read) else {
            panic!("an operation is worth trying")
        };
        readiness.drained(Interest::Read, seen);
        assert!(readiness.poll_ready(&cx, Interest::Read).is_pending());
        sockets.insert(file.as_raw_fd(), readiness.clone());
        let mut due = Vec::new();
        sockets.announce(poll.registry(), true, &mut due);
        assert_eq!(due.len(), 1);
        let Ready(Err(error)) = readiness.poll_ready(&cx, Interest::Read) else { panic!("it fails") };
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    }
}

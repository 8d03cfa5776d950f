//! mio's `Poll` behind the actor crate's driver seam: one a worker, installed when the first socket is used there.
//!
//! SocketTable join the poller of the first worker of four, not that of the worker they are used on first. An event costs a
//! twentieth of what is done for it, so one poller feeds four workers, which take from each other what waits. Where each has
//! its own sockets, all of them wake for a few events each, and what else runs on the machine has to make room for that:
//! two workers that handle two cores with their clients had 0.97 of hyper's requests with 0.28 sleeps a request, and have
//! 1.2 with 0.06.

use std::{
    cell::OnceCell,
    collections::VecDeque,
    io,
    os::fd::RawFd,
    sync::{Arc, OnceLock},
    task::Waker,
    time::Duration,
};

use mio::{Events, Poll, Token, unix::SourceFd};
use parking_lot::Mutex;
use riot_actor::{
    Down, Reason,
    driver::{self, Driver, Unpark},
    process::SpawnOptions,
    stats::scheduler_stats,
};
use slab::Slab;

use super::readiness::{Readiness, ReadyEvent};

/// Events taken over in one go; more wait for the next.
const MAX_EVENTS: usize = 1024;

/// The token of the poller's own waker.
const WAKE_TOKEN: Token = Token(usize::MAX);

/// For so many ticks at the events, between which a worker has 61 turns, the system is not told of a new socket. Where 64
/// clients come at a time, and go after one answer, that is long enough for four in five of them, and two ticks would be
/// for one in two.
const REGISTER_AFTER_TICKS: usize = 4;

/// So many workers have one poller for their sockets.
const WORKERS_PER_POLLER: usize = 4;

/// Workers with higher numbers have a poller each.
const MAX_WORKERS: usize = 256;

/// A token is where its socket is, and above that the lower bits of how many there were before.
const SLOT_BITS: u32 = usize::BITS / 2;
const SLOT_MASK: usize = (1 << SLOT_BITS) - 1;

/// What a socket is registered for, once.
const BOTH: mio::Interest = mio::Interest::READABLE.add(mio::Interest::WRITABLE);

struct Poller {
    poll: Poll,
    events: Events,
    handle: Arc<PollerHandle>,
    waker: Arc<PollWaker>,
    /// Kept for its room.
    to_wake: Vec<Waker>,
}

/// What others have of a poller.
struct PollerHandle {
    sockets: Mutex<SocketTable>,
    registry: mio::Registry,
}

/// Those of a runtime, by worker.
struct PollerSet([OnceLock<Arc<PollerHandle>>; MAX_WORKERS]);

impl Default for PollerSet {
    fn default() -> Self {
        Self([const { OnceLock::new() }; MAX_WORKERS])
    }
}

/// What sockets need of the pollers, on one worker.
struct PollerPicker {
    worker: usize,
    own: Arc<PollerHandle>,
    pollers: Arc<PollerSet>,
    /// The one that sockets join.
    joined: OnceCell<Arc<PollerHandle>>,
}

impl PollerPicker {
    /// That of the first worker of four; its own until that has one.
    fn handle(&self) -> &Arc<PollerHandle> {
        let first = self.worker - self.worker % WORKERS_PER_POLLER;
        match self.pollers.0.get(first).and_then(OnceLock::get) {
            Some(first) => self.joined.get_or_init(|| first.clone()),
            None => &self.own,
        }
    }
}

/// The sockets of one poller.
///
/// The system is told of a new one only before the worker sleeps, or after a few [`REGISTER_AFTER_TICKS`]. A connection that is over by
/// then costs neither a call nor an event.
#[derive(Default)]
struct SocketTable {
    /// The worker sleeps, or is about to: who brings a new one tells the system at once.
    asleep: bool,
    /// By the place that is in their tokens.
    known: Slab<RegisteredSocket>,
    /// How many there have been.
    count: usize,
    /// Tokens of new ones, oldest first, with the number of the tick that comes next. Some may be gone.
    new: VecDeque<(usize, usize)>,
    ticks: usize,
}

/// Invariant: the descriptor is open, as a [`Registration`] goes before its socket does.
struct RegisteredSocket {
    token: usize,
    readiness: Arc<Readiness>,
    descriptor: RawFd,
}

impl SocketTable {
    /// Adds a socket, and gives it a token.
    ///
    /// # Errors
    /// If the system does not take it, as far as that is known by now.
    fn insert(
        &mut self,
        registry: &mio::Registry,
        descriptor: RawFd,
        readiness: Arc<Readiness>,
    ) -> io::Result<usize> {
        let place = self.known.vacant_entry();
        // An event may be on its way that is about the one whose place this was.
        let token = place.key() | self.count << SLOT_BITS;
        self.count += 1;
        place.insert(RegisteredSocket { token, readiness, descriptor });
        if !self.asleep {
            self.new.push_back((token, self.ticks));
        } else if let Err(error) = registry.register(&mut SourceFd(&descriptor), Token(token), BOTH) {
            self.remove(token);
            return Err(error);
        }
        Ok(token)
    }

    fn get(&self, token: usize) -> Option<&RegisteredSocket> {
        self.known.get(token & SLOT_MASK).filter(|socket| socket.token == token)
    }

    fn remove(&mut self, token: usize) -> Option<RegisteredSocket> {
        self.get(token)?;
        self.known.try_remove(token & SLOT_MASK)
    }

    /// Tells the system of new sockets: of all if the worker `sleeps`. Whoever waits for one that the system does not take
    /// is `to_wake`.
    fn register_new(&mut self, registry: &mio::Registry, sleeps: bool, to_wake: &mut Vec<Waker>) {
        while let Some(&(token, tick)) = self.new.front()
            && (sleeps || self.ticks - tick >= REGISTER_AFTER_TICKS)
        {
            self.new.pop_front();
            let Some(socket) = self.get(token) else { continue };
            if let Err(error) = registry.register(&mut SourceFd(&socket.descriptor), Token(token), BOTH) {
                tracing::error!(target: "riot::socket", "a socket cannot be waited for: {error}");
                socket.readiness.fail(&error, to_wake);
            }
        }
        self.ticks += 1;
    }
}

impl Poller {
    /// That of the worker of the running process.
    fn new() -> io::Result<(Self, PollerPicker)> {
        let poll = Poll::new()?;
        let handle = PollerHandle { sockets: Mutex::default(), registry: poll.registry().try_clone()? };
        let waker = Arc::new(PollWaker(mio::Waker::new(poll.registry(), WAKE_TOKEN)?));
        let (worker, pollers, own) = (driver::worker(), driver::common::<PollerSet>()?, Arc::new(handle));
        if let Some(place) = pollers.0.get(worker) {
            place.get_or_init(|| own.clone());
        }
        let picker = PollerPicker { worker, own: own.clone(), pollers, joined: OnceCell::new() };
        let (events, handle) = (Events::with_capacity(MAX_EVENTS), own);
        Ok((Self { poll, events, handle, waker, to_wake: Vec::new() }, picker))
    }
}

impl Driver for Poller {
    fn park(&mut self, limit: Option<Duration>) {
        let sleeps = limit != Some(Duration::ZERO);
        {
            let mut sockets = self.handle.sockets.lock();
            sockets.register_new(self.poll.registry(), sleeps, &mut self.to_wake);
            sockets.asleep = sleeps;
        }
        let limit = if self.to_wake.is_empty() { limit } else { Some(Duration::ZERO) };
        if let Err(error) = self.poll.poll(&mut self.events, limit)
            && error.kind() != io::ErrorKind::Interrupted
        {
            tracing::error!(target: "riot::socket", "waiting for events failed: {error}");
        }
        if sleeps {
            self.handle.sockets.lock().asleep = false;
        }
    }

    fn dispatch(&mut self) {
        if !self.events.is_empty() {
            let sockets = self.handle.sockets.lock();
            for event in &self.events {
                let Some(RegisteredSocket { readiness, .. }) = sockets.get(event.token().0) else { continue };
                let news = |ready, closed| match (closed || event.is_error(), ready) {
                    (true, _) => ReadyEvent::Closed,
                    (false, true) => ReadyEvent::Ready,
                    (false, false) => ReadyEvent::None,
                };
                let read = news(event.is_readable(), event.is_read_closed());
                let write = news(event.is_writable(), event.is_write_closed());
                readiness.set_ready([read, write], &mut self.to_wake);
            }
            self.events.clear();
        }
        // Wakers are somebody else's code: no lock is held.
        self.to_wake.drain(..).for_each(Waker::wake);
    }

    fn unparker(&self) -> Arc<dyn Unpark> {
        self.waker.clone()
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

struct PollWaker(mio::Waker);

impl Unpark for PollWaker {
    fn unpark(&self) {
        if let Err(error) = self.0.wake() {
            tracing::error!(target: "riot::socket", "waking a worker failed: {error}");
        }
    }
}

/// A socket's place in a poller; given up when dropped. (Closing the socket takes it out of the system's own list.)
pub(crate) struct Registration {
    handle: Arc<PollerHandle>,
    token: usize,
}

impl Registration {
    /// Registers for both directions, once, with the poller for the worker the running process is on. It must be dropped
    /// before the descriptor is closed.
    pub(crate) fn new(descriptor: RawFd, readiness: &Arc<Readiness>) -> io::Result<Self> {
        let handle = driver::install(Poller::new)?.handle().clone();
        let token = handle.sockets.lock().insert(&handle.registry, descriptor, readiness.clone())?;
        Ok(Self { handle, token })
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let socket = self.handle.sockets.lock().remove(self.token);
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
    use crate::io::readiness::Direction;

    /// The tokens of the events there are.
    fn tick(poll: &mut Poll, sockets: &mut SocketTable, sleeps: bool) -> Vec<usize> {
        let mut to_wake = Vec::new();
        sockets.register_new(poll.registry(), sleeps, &mut to_wake);
        let mut events = Events::with_capacity(8);
        poll.poll(&mut events, Some(Duration::ZERO)).expect("it can be looked at");
        events.iter().map(|event| event.token().0).collect()
    }

    #[test]
    fn the_system_is_told_of_a_socket_after_some_looks_or_before_a_sleep() {
        let (mut poll, mut sockets) = (Poll::new().expect("a poller"), SocketTable::default());
        let (one, other) = UnixStream::pair().expect("two sockets");
        let first = sockets.insert(poll.registry(), one.as_raw_fd(), Arc::default()).expect("it is noted");
        for _ in 0..REGISTER_AFTER_TICKS {
            assert_eq!(tick(&mut poll, &mut sockets, false), []);
        }
        assert_eq!(tick(&mut poll, &mut sockets, false), [first], "it can be written to");
        let second = sockets.insert(poll.registry(), other.as_raw_fd(), Arc::default()).expect("it is noted");
        assert_eq!(tick(&mut poll, &mut sockets, true), [second]);
        assert_eq!(tick(&mut poll, &mut sockets, true), [], "it is told once");
    }

    #[test]
    fn sockets_of_four_workers_join_the_poller_of_the_first() {
        let body = async {
            install_everywhere().await?;
            let parent = riot_actor::this();
            let mut joined = Vec::new();
            for worker in 0..6 {
                SpawnOptions::new().pinned_to(worker).spawn(async move {
                    let picker = driver::install(Poller::new)?;
                    let is_own = Arc::ptr_eq(picker.handle(), &picker.own);
                    riot_actor::send(parent, (Arc::as_ptr(picker.handle()) as usize, is_own));
                    Ok::<(), io::Error>(())
                });
                joined.push(riot_actor::receive::<(usize, bool)>().await);
            }
            let own: Vec<bool> = joined.iter().map(|&(_, is_own)| is_own).collect();
            assert_eq!(own, [true, false, false, false, true, false]);
            let pollers: Vec<usize> = joined.iter().map(|&(poller, _)| poller).collect();
            assert!(pollers[..4].iter().all(|&poller| poller == pollers[0]));
            assert!(pollers[4] == pollers[5] && pollers[4] != pollers[0]);
            Ok::<(), Reason>(())
        };
        let reason = riot_actor::runtime::Config::new().workers(6).run(body).expect("it starts");
        assert_eq!(reason, Reason::Normal);
    }

    #[test]
    fn while_the_worker_sleeps_whoever_brings_a_socket_tells_the_system() {
        let (mut poll, mut sockets) = (Poll::new().expect("a poller"), SocketTable::default());
        let (one, _other) = UnixStream::pair().expect("two sockets");
        sockets.asleep = true;
        let token = sockets.insert(poll.registry(), one.as_raw_fd(), Arc::default()).expect("it is taken");
        let mut events = Events::with_capacity(8);
        poll.poll(&mut events, Some(Duration::ZERO)).expect("it can be looked at");
        assert_eq!(events.iter().map(|event| event.token().0).collect::<Vec<_>>(), [token]);
        let file = File::open("/dev/null").expect("it is there");
        let refused = sockets.insert(poll.registry(), file.as_raw_fd(), Arc::default());
        assert_eq!(refused.map_err(|error| error.kind()), Err(io::ErrorKind::PermissionDenied));
        assert_eq!(sockets.known.len(), 1);
    }

    #[test]
    fn the_system_is_not_told_of_a_socket_that_is_gone() {
        let (mut poll, mut sockets) = (Poll::new().expect("a poller"), SocketTable::default());
        let (one, other) = UnixStream::pair().expect("two sockets");
        let gone = sockets.insert(poll.registry(), one.as_raw_fd(), Arc::default()).expect("it is noted");
        assert!(sockets.remove(gone).is_some());
        let next = sockets.insert(poll.registry(), other.as_raw_fd(), Arc::default()).expect("it is noted");
        assert_eq!(gone & SLOT_MASK, next & SLOT_MASK, "it has the place of the other");
        assert_eq!(tick(&mut poll, &mut sockets, true), [next]);
    }

    #[test]
    fn an_event_is_not_taken_for_one_of_the_next_in_the_same_place() {
        let (poll, mut sockets) = (Poll::new().expect("a poller"), SocketTable::default());
        let (one, other) = UnixStream::pair().expect("two sockets");
        let gone = sockets.insert(poll.registry(), one.as_raw_fd(), Arc::default()).expect("it is noted");
        assert!(sockets.get(gone).is_some());
        assert!(sockets.remove(gone).is_some());
        let next = sockets.insert(poll.registry(), other.as_raw_fd(), Arc::default()).expect("it is noted");
        assert_eq!(gone & SLOT_MASK, next & SLOT_MASK);
        assert!(sockets.get(gone).is_none() && sockets.remove(gone).is_none());
        assert!(sockets.get(next).is_some());
    }

    #[test]
    fn who_waits_for_what_the_system_does_not_take_hears_of_it() {
        let (poll, mut sockets) = (Poll::new().expect("a poller"), SocketTable::default());
        let file = File::open("/dev/null").expect("it is there");
        let readiness = Arc::new(Readiness::new());
        let cx = Context::from_waker(Waker::noop());
        let Ready(Ok(tick)) = readiness.poll_ready(&cx, Direction::Read) else {
            panic!("an operation is worth trying")
        };
        readiness.clear_ready(Direction::Read, tick);
        assert!(readiness.poll_ready(&cx, Direction::Read).is_pending());
        sockets.insert(poll.registry(), file.as_raw_fd(), readiness.clone()).expect("it is noted");
        let mut to_wake = Vec::new();
        sockets.register_new(poll.registry(), true, &mut to_wake);
        assert_eq!(to_wake.len(), 1);
        let Ready(Err(error)) = readiness.poll_ready(&cx, Direction::Read) else { panic!("it fails") };
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    }
}

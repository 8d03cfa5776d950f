//! mio's `Poll` behind the actor crate's driver seam: one a worker, installed when the first socket is used there.
//!
//! Sockets join the poller of the first worker of four, not that of the worker they are used on first. An event costs a
//! twentieth of what is done for it, so one poller feeds four workers, which take from each other what waits. Where each has
//! its own sockets, all of them wake for a few events each, and what else runs on the machine has to make room for that:
//! two workers that share two cores with their clients had 0.97 of hyper's requests with 0.28 sleeps a request, and have
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

use crate::io::readiness::{News, Readiness};

/// Events taken over in one go; more wait for the next.
const EVENTS: usize = 1024;

/// The token of the poller's own alarm.
const ALARM: Token = Token(usize::MAX);

/// For so many looks at the events, between which a worker has 61 turns, the system is not told of a new socket. Where 64
/// clients come at a time, and go after one answer, that is long enough for four in five of them, and two looks would be
/// for one in two.
const LOOKS: usize = 4;

/// So many workers have one poller for their sockets.
const WORKERS_A_POLLER: usize = 4;

/// Workers with higher numbers have a poller each.
const WORKERS_MAX: usize = 256;

/// A token is where its socket is, and above that the lower bits of how many there were before.
const PLACE_BITS: u32 = usize::BITS / 2;
const PLACES: usize = (1 << PLACE_BITS) - 1;

/// What a socket is registered for, once.
const BOTH: mio::Interest = mio::Interest::READABLE.add(mio::Interest::WRITABLE);

struct Poller {
    poll: Poll,
    events: Events,
    share: Arc<Share>,
    alarm: Arc<Alarm>,
    /// Kept for its room.
    due: Vec<Waker>,
}

/// What others have of a poller.
struct Share {
    sockets: Mutex<Sockets>,
    registry: mio::Registry,
}

/// Those of a runtime, by worker.
struct Shares([OnceLock<Arc<Share>>; WORKERS_MAX]);

impl Default for Shares {
    fn default() -> Self {
        Self([const { OnceLock::new() }; WORKERS_MAX])
    }
}

/// What sockets need of the pollers, on one worker.
struct Registrar {
    worker: usize,
    own: Arc<Share>,
    shares: Arc<Shares>,
    /// The one that sockets join.
    joined: OnceCell<Arc<Share>>,
}

impl Registrar {
    /// That of the first worker of four; its own until that has one.
    fn share(&self) -> &Arc<Share> {
        let first = self.worker - self.worker % WORKERS_A_POLLER;
        match self.shares.0.get(first).and_then(OnceLock::get) {
            Some(first) => self.joined.get_or_init(|| first.clone()),
            None => &self.own,
        }
    }
}

/// The sockets of one poller.
///
/// The system is told of a new one only before the worker sleeps, or after a few [`LOOKS`]. A connection that is over by
/// then costs neither a call nor an event.
#[derive(Default)]
struct Sockets {
    /// The worker sleeps, or is about to: who brings a new one tells the system at once.
    asleep: bool,
    /// By the place that is in their tokens.
    known: Slab<Socket>,
    /// How many there have been.
    count: usize,
    /// Tokens of new ones, oldest first, with the number of the look that comes next. Some may be gone.
    new: VecDeque<(usize, usize)>,
    looks: usize,
}

/// Invariant: the descriptor is open, as a [`Registration`] goes before its socket does.
struct Socket {
    token: usize,
    readiness: Arc<Readiness>,
    descriptor: RawFd,
}

impl Sockets {
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
        let token = place.key() | self.count << PLACE_BITS;
        self.count += 1;
        place.insert(Socket { token, readiness, descriptor });
        if !self.asleep {
            self.new.push_back((token, self.looks));
        } else if let Err(error) = registry.register(&mut SourceFd(&descriptor), Token(token), BOTH) {
            self.remove(token);
            return Err(error);
        }
        Ok(token)
    }

    fn get(&self, token: usize) -> Option<&Socket> {
        self.known.get(token & PLACES).filter(|socket| socket.token == token)
    }

    fn remove(&mut self, token: usize) -> Option<Socket> {
        self.get(token)?;
        self.known.try_remove(token & PLACES)
    }

    /// Tells the system of new sockets: of all if the worker `sleeps`. Whoever waits for one that the system does not take
    /// is `due`.
    fn announce(&mut self, registry: &mio::Registry, sleeps: bool, due: &mut Vec<Waker>) {
        while let Some(&(token, look)) = self.new.front()
            && (sleeps || self.looks - look >= LOOKS)
        {
            self.new.pop_front();
            let Some(socket) = self.get(token) else { continue };
            if let Err(error) = registry.register(&mut SourceFd(&socket.descriptor), Token(token), BOTH) {
                tracing::error!(target: "riot::socket", "a socket cannot be waited for: {error}");
                socket.readiness.fail(&error, due);
            }
        }
        self.looks += 1;
    }
}

impl Poller {
    /// That of the worker of the running process.
    fn new() -> io::Result<(Self, Registrar)> {
        let poll = Poll::new()?;
        let share = Share { sockets: Mutex::default(), registry: poll.registry().try_clone()? };
        let alarm = Arc::new(Alarm(mio::Waker::new(poll.registry(), ALARM)?));
        let (worker, shares, own) = (driver::worker(), driver::common::<Shares>()?, Arc::new(share));
        if let Some(place) = shares.0.get(worker) {
            place.get_or_init(|| own.clone());
        }
        let registrar = Registrar { worker, own: own.clone(), shares, joined: OnceCell::new() };
        let (events, share) = (Events::with_capacity(EVENTS), own);
        Ok((Self { poll, events, share, alarm, due: Vec::new() }, registrar))
    }
}

impl Driver for Poller {
    fn park(&mut self, limit: Option<Duration>) {
        let sleeps = limit != Some(Duration::ZERO);
        {
            let mut sockets = self.share.sockets.lock();
            sockets.announce(self.poll.registry(), sleeps, &mut self.due);
            sockets.asleep = sleeps;
        }
        let limit = if self.due.is_empty() { limit } else { Some(Duration::ZERO) };
        if let Err(error) = self.poll.poll(&mut self.events, limit)
            && error.kind() != io::ErrorKind::Interrupted
        {
            tracing::error!(target: "riot::socket", "waiting for events failed: {error}");
        }
        if sleeps {
            self.share.sockets.lock().asleep = false;
        }
    }

    fn dispatch(&mut self) {
        if !self.events.is_empty() {
            let sockets = self.share.sockets.lock();
            for event in &self.events {
                let Some(Socket { readiness, .. }) = sockets.get(event.token().0) else { continue };
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
    share: Arc<Share>,
    token: usize,
}

impl Registration {
    /// Registers for both directions, once, with the poller for the worker the running process is on. It must be dropped
    /// before the descriptor is closed.
    pub(crate) fn new(descriptor: RawFd, readiness: &Arc<Readiness>) -> io::Result<Self> {
        let share = driver::install(Poller::new)?.share().clone();
        let token = share.sockets.lock().insert(&share.registry, descriptor, readiness.clone())?;
        Ok(Self { share, token })
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let socket = self.share.sockets.lock().remove(self.token);
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
    use crate::io::readiness::Interest;

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
        let first = sockets.insert(poll.registry(), one.as_raw_fd(), Arc::default()).expect("it is noted");
        for _ in 0..LOOKS {
            assert_eq!(look(&mut poll, &mut sockets, false), []);
        }
        assert_eq!(look(&mut poll, &mut sockets, false), [first], "it can be written to");
        let second = sockets.insert(poll.registry(), other.as_raw_fd(), Arc::default()).expect("it is noted");
        assert_eq!(look(&mut poll, &mut sockets, true), [second]);
        assert_eq!(look(&mut poll, &mut sockets, true), [], "it is told once");
    }

    #[test]
    fn sockets_of_four_workers_join_the_poller_of_the_first() {
        let body = async {
            install_everywhere().await?;
            let parent = riot_actor::this();
            let mut joined = Vec::new();
            for worker in 0..6 {
                SpawnOptions::new().pinned_to(worker).spawn(async move {
                    let registrar = driver::install(Poller::new)?;
                    let is_own = Arc::ptr_eq(registrar.share(), &registrar.own);
                    riot_actor::send(parent, (Arc::as_ptr(registrar.share()) as usize, is_own));
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
        let (mut poll, mut sockets) = (Poll::new().expect("a poller"), Sockets::default());
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
        let (mut poll, mut sockets) = (Poll::new().expect("a poller"), Sockets::default());
        let (one, other) = UnixStream::pair().expect("two sockets");
        let gone = sockets.insert(poll.registry(), one.as_raw_fd(), Arc::default()).expect("it is noted");
        assert!(sockets.remove(gone).is_some());
        let next = sockets.insert(poll.registry(), other.as_raw_fd(), Arc::default()).expect("it is noted");
        assert_eq!(gone & PLACES, next & PLACES, "it has the place of the other");
        assert_eq!(look(&mut poll, &mut sockets, true), [next]);
    }

    #[test]
    fn an_event_is_not_taken_for_one_of_the_next_in_the_same_place() {
        let (poll, mut sockets) = (Poll::new().expect("a poller"), Sockets::default());
        let (one, other) = UnixStream::pair().expect("two sockets");
        let gone = sockets.insert(poll.registry(), one.as_raw_fd(), Arc::default()).expect("it is noted");
        assert!(sockets.get(gone).is_some());
        assert!(sockets.remove(gone).is_some());
        let next = sockets.insert(poll.registry(), other.as_raw_fd(), Arc::default()).expect("it is noted");
        assert_eq!(gone & PLACES, next & PLACES);
        assert!(sockets.get(gone).is_none() && sockets.remove(gone).is_none());
        assert!(sockets.get(next).is_some());
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
        sockets.insert(poll.registry(), file.as_raw_fd(), readiness.clone()).expect("it is noted");
        let mut due = Vec::new();
        sockets.announce(poll.registry(), true, &mut due);
        assert_eq!(due.len(), 1);
        let Ready(Err(error)) = readiness.poll_ready(&cx, Interest::Read) else { panic!("it fails") };
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    }
}

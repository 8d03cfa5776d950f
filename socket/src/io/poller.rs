//! mio's `Poll` as a driver of the runtime: one a worker, installed when the first socket is used there.
//!
//! Sockets join the poller of the first worker of four, not that of the worker they are used on first. An
//! event costs a twentieth of the work it causes, so one poller feeds four workers, which steal runnable
//! processes from each other. Where each worker had sockets of its own, all of them woke for a few events
//! each, which takes time from other programs: two workers that share two cores with their clients had 0.97
//! of hyper's requests with 0.28 sleeps a request, and have 1.2 with 0.06.

use std::{
    any::Any,
    cell::OnceCell,
    collections::VecDeque,
    hint::cold_path,
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
    process::{SpawnOptions, try_this},
    runtime::Handle,
    stats::scheduler_stats,
};
use slab::Slab;

use super::{
    readiness::{Readiness, ReadyEvent},
    wake::wake_all,
};

/// Bounds the events of one poll: 1024. More are reported by the next one.
const MAX_EVENTS: usize = 1024;

/// The token of the poller's own waker.
const WAKE_TOKEN: Token = Token(usize::MAX);

/// The ticks, of 61 poll slices each, by which the registration of a new socket is deferred: 4. With 64
/// clients and a connection per request, 4 ticks spare 80 % of them the registration, 2 ticks 50 %.
const REGISTER_AFTER_TICKS: usize = 4;

/// The workers that share one poller for their sockets: 4.
const WORKERS_PER_POLLER: usize = 4;

/// Bounds the workers that share pollers: 256. Workers with higher numbers have a poller each.
const MAX_WORKERS: usize = 256;

/// The bits of a token that hold the slot of its socket. The bits above hold the number of earlier sockets,
/// modulo their width.
const SLOT_BITS: u32 = usize::BITS / 2;
const SLOT_MASK: usize = (1 << SLOT_BITS) - 1;

/// The interest with which every socket is registered, once.
const BOTH: mio::Interest = mio::Interest::READABLE.add(mio::Interest::WRITABLE);

struct Poller {
    poll: Poll,
    events: Events,
    handle: Arc<PollerHandle>,
    waker: Arc<PollWaker>,
    /// Wakers to be woken after the events are handled. Empty in between; kept for its allocation.
    to_wake: Vec<Waker>,
}

/// The part of a poller that other workers use.
struct PollerHandle {
    sockets: Mutex<SocketTable>,
    registry: mio::Registry,
}

impl PollerHandle {
    /// Returns the poller of any worker, for a thread that is none.
    #[cold]
    fn of_any_worker() -> io::Result<Option<Arc<Self>>> {
        let shared = driver::common::<RuntimeShared>()?;
        Ok(shared.pollers.iter().find_map(OnceLock::get).cloned())
    }
}

/// The values that the workers of a runtime share.
struct RuntimeShared {
    /// The pollers, by worker.
    pollers: [OnceLock<Arc<PollerHandle>>; MAX_WORKERS],
    /// The value of the layer above; see [`shared_by_runtime`].
    above: OnceLock<Arc<dyn Any + Send + Sync>>,
}

impl Default for RuntimeShared {
    fn default() -> Self {
        Self { pollers: [const { OnceLock::new() }; MAX_WORKERS], above: OnceLock::new() }
    }
}

/// Returns a value that the runtime holds for the layer above sockets, made when it is first asked for.
///
/// # Errors
/// If a value of another type was asked for before.
///
/// # Panics
/// Panics outside a process.
pub(crate) fn shared_by_runtime<T: Default + Send + Sync + 'static>() -> io::Result<Arc<T>> {
    let shared = driver::common::<RuntimeShared>()?;
    let above = shared.above.get_or_init(|| Arc::<T>::default()).clone();
    above.downcast().map_err(|_| io::Error::other("another type is shared by the runtime"))
}

/// Picks the poller for the sockets of one worker.
struct PollerPicker {
    worker: usize,
    own: Arc<PollerHandle>,
    shared: Arc<RuntimeShared>,
    /// The poller that sockets join, once it is known.
    joined: OnceCell<Arc<PollerHandle>>,
}

impl PollerPicker {
    /// Returns the poller of the first worker of four, or the worker's own until that has one.
    fn handle(&self) -> &Arc<PollerHandle> {
        let first = self.worker - self.worker % WORKERS_PER_POLLER;
        match self.shared.pollers.get(first).and_then(OnceLock::get) {
            Some(first) => self.joined.get_or_init(|| first.clone()),
            None => &self.own,
        }
    }
}

/// The sockets of one poller.
///
/// A new socket is registered with the system only before the worker sleeps, or after
/// [`REGISTER_AFTER_TICKS`]. A connection that has ended by then costs neither a system call nor an event.
#[derive(Default)]
struct SocketTable {
    /// The worker sleeps, or is about to. A new socket is registered at once.
    asleep: bool,
    /// The sockets, by the slot in their tokens.
    known: Slab<RegisteredSocket>,
    /// The runtime has ended: nothing waits for events any more.
    closed: bool,
    /// The number of sockets ever inserted.
    count: usize,
    /// The tokens of sockets that are not registered yet, oldest first, with the tick at which they came.
    /// Some may have been removed.
    new: VecDeque<(usize, usize)>,
    ticks: usize,
}

/// A socket in the table. Invariant: the descriptor is open, since a [`Registration`] is dropped before its
/// socket.
struct RegisteredSocket {
    token: usize,
    readiness: Arc<Readiness>,
    descriptor: RawFd,
}

impl SocketTable {
    /// Adds a socket, and returns its token.
    ///
    /// # Errors
    /// If the system does not take the socket, where it is registered at once.
    fn insert(
        &mut self,
        registry: &mio::Registry,
        descriptor: RawFd,
        readiness: Arc<Readiness>,
    ) -> io::Result<usize> {
        if self.closed {
            cold_path();
            return Err(runtime_gone());
        }
        let slot = self.known.vacant_entry();
        // An event for the earlier socket of this slot may still arrive.
        let token = slot.key() | self.count << SLOT_BITS;
        self.count += 1;
        slot.insert(RegisteredSocket { token, readiness, descriptor });
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

    /// Registers new sockets with the system: all of them if the worker `sleeps`. Wakers of sockets that the
    /// system does not take are pushed to `to_wake`.
    fn register_new(&mut self, registry: &mio::Registry, sleeps: bool, to_wake: &mut Vec<Waker>) {
        while let Some(&(token, tick)) = self.new.front()
            && (sleeps || self.ticks - tick >= REGISTER_AFTER_TICKS)
        {
            self.new.pop_front();
            let Some(socket) = self.get(token) else { continue };
            if let Err(error) = registry.register(&mut SourceFd(&socket.descriptor), Token(token), BOTH) {
                riot_actor::log_event!(ERROR, "riot::socket", "a socket cannot be waited for: {error}");
                socket.readiness.fail(&error, to_wake);
            }
        }
        self.ticks += 1;
    }
}

impl Poller {
    /// Returns the poller of the worker that runs this process.
    fn new() -> io::Result<(Self, PollerPicker)> {
        let poll = Poll::new()?;
        let handle = PollerHandle { sockets: Mutex::default(), registry: poll.registry().try_clone()? };
        let waker = Arc::new(PollWaker(mio::Waker::new(poll.registry(), WAKE_TOKEN)?));
        let (worker, shared, own) = (driver::worker(), driver::common::<RuntimeShared>()?, Arc::new(handle));
        if let Some(slot) = shared.pollers.get(worker) {
            slot.get_or_init(|| own.clone());
        }
        let picker = PollerPicker { worker, own: own.clone(), shared, joined: OnceCell::new() };
        let (events, handle) = (Events::with_capacity(MAX_EVENTS), own);
        Ok((Self { poll, events, handle, waker, to_wake: Vec::new() }, picker))
    }
}

/// Returns the error of a socket whose runtime has ended.
fn runtime_gone() -> io::Error {
    io::Error::from_raw_os_error(libc::ENOTCONN)
}

/// Sockets that are left are used on threads that are no workers: their operations fail.
impl Drop for Poller {
    fn drop(&mut self) {
        let mut sockets = self.handle.sockets.lock();
        sockets.closed = true;
        let error = runtime_gone();
        sockets.known.iter().for_each(|(_, socket)| socket.readiness.fail(&error, &mut self.to_wake));
        drop(sockets);
        wake_all(self.to_wake.drain(..));
    }
}

impl Driver for Poller {
    fn park(&mut self, timeout: Option<Duration>) {
        let sleeps = timeout != Some(Duration::ZERO);
        {
            let mut sockets = self.handle.sockets.lock();
            sockets.register_new(self.poll.registry(), sleeps, &mut self.to_wake);
            sockets.asleep = sleeps;
        }
        let timeout = if self.to_wake.is_empty() { timeout } else { Some(Duration::ZERO) };
        if let Err(error) = self.poll.poll(&mut self.events, timeout)
            && error.kind() != io::ErrorKind::Interrupted
        {
            riot_actor::log_event!(ERROR, "riot::socket", "waiting for events failed: {error}");
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
                let ready_event = |ready, closed| match (closed || event.is_error(), ready) {
                    (true, _) => ReadyEvent::Closed,
                    (false, true) => ReadyEvent::Ready,
                    (false, false) => ReadyEvent::None,
                };
                let read = ready_event(event.is_readable(), event.is_read_closed());
                let write = ready_event(event.is_writable(), event.is_write_closed());
                readiness.set_ready([read, write], &mut self.to_wake);
            }
            self.events.clear();
        }
        if !self.to_wake.is_empty() {
            wake_all(self.to_wake.drain(..));
        }
    }

    fn unparker(&self) -> Arc<dyn Unpark> {
        self.waker.clone()
    }
}

/// Installs a poller on every worker.
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

/// Installs the first poller, for a socket that is used on a thread that is no worker, and has the socket
/// tried again.
#[cold]
fn install_for(readiness: Arc<Readiness>) {
    Handle::current().spawn(async move {
        let mut to_wake = Vec::new();
        match driver::install(Poller::new) {
            Ok(_) => readiness.set_ready([ReadyEvent::Ready; 2], &mut to_wake),
            Err(error) => readiness.fail(&error, &mut to_wake),
        }
        wake_all(to_wake);
    });
}

struct PollWaker(mio::Waker);

impl Unpark for PollWaker {
    fn unpark(&self) {
        if let Err(error) = self.0.wake() {
            riot_actor::log_event!(ERROR, "riot::socket", "waking a worker failed: {error}");
        }
    }
}

/// The registration of a socket with a poller, which ends when this is dropped. (Closing the socket removes
/// it from the system's own list.)
pub(crate) struct Registration {
    handle: Arc<PollerHandle>,
    token: usize,
}

impl Registration {
    /// Registers a socket for both directions, with the poller for the worker that runs this process, or of
    /// any worker on a thread that is none. The registration must be dropped before the descriptor is closed.
    ///
    /// Returns none where no worker has a poller yet: one installs its own, and the socket is tried again.
    pub(crate) fn new(descriptor: RawFd, readiness: &Arc<Readiness>) -> io::Result<Option<Self>> {
        let handle = match try_this() {
            Some(_) => driver::install(Poller::new)?.handle().clone(),
            None => match PollerHandle::of_any_worker()? {
                Some(handle) => handle,
                None => {
                    install_for(readiness.clone());
                    return Ok(None);
                }
            },
        };
        let token = handle.sockets.lock().insert(&handle.registry, descriptor, readiness.clone())?;
        Ok(Some(Self { handle, token }))
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

    /// Polls, and returns the tokens of the events.
    fn tick(poll: &mut Poll, sockets: &mut SocketTable, sleeps: bool) -> Vec<usize> {
        let mut to_wake = Vec::new();
        sockets.register_new(poll.registry(), sleeps, &mut to_wake);
        let mut events = Events::with_capacity(8);
        poll.poll(&mut events, Some(Duration::ZERO)).expect("the poller can be polled");
        events.iter().map(|event| event.token().0).collect()
    }

    #[test]
    fn a_socket_is_registered_after_some_ticks_or_before_a_sleep() {
        let (mut poll, mut sockets) = (Poll::new().expect("a poller"), SocketTable::default());
        let (one, other) = UnixStream::pair().expect("two sockets");
        let first =
            sockets.insert(poll.registry(), one.as_raw_fd(), Arc::default()).expect("the socket is inserted");
        for _ in 0..REGISTER_AFTER_TICKS {
            assert_eq!(tick(&mut poll, &mut sockets, false), []);
        }
        assert_eq!(tick(&mut poll, &mut sockets, false), [first], "the socket is writable");
        let second = sockets
            .insert(poll.registry(), other.as_raw_fd(), Arc::default())
            .expect("the socket is inserted");
        assert_eq!(tick(&mut poll, &mut sockets, true), [second]);
        assert_eq!(tick(&mut poll, &mut sockets, true), [], "the socket is registered once");
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
        let reason = riot_actor::runtime::Config::new().workers(6).run(body).expect("the runtime starts");
        assert_eq!(reason, Reason::Normal);
    }

    #[test]
    fn while_the_worker_sleeps_a_socket_is_registered_at_once() {
        let (mut poll, mut sockets) = (Poll::new().expect("a poller"), SocketTable::default());
        let (one, _other) = UnixStream::pair().expect("two sockets");
        sockets.asleep = true;
        let token = sockets
            .insert(poll.registry(), one.as_raw_fd(), Arc::default())
            .expect("the system takes the socket");
        let mut events = Events::with_capacity(8);
        poll.poll(&mut events, Some(Duration::ZERO)).expect("the poller can be polled");
        assert_eq!(events.iter().map(|event| event.token().0).collect::<Vec<_>>(), [token]);
        let file = File::open("/dev/null").expect("the file exists");
        let refused = sockets.insert(poll.registry(), file.as_raw_fd(), Arc::default());
        assert_eq!(refused.map_err(|error| error.kind()), Err(io::ErrorKind::PermissionDenied));
        assert_eq!(sockets.known.len(), 1);
    }

    #[test]
    fn a_socket_that_was_removed_is_not_registered() {
        let (mut poll, mut sockets) = (Poll::new().expect("a poller"), SocketTable::default());
        let (one, other) = UnixStream::pair().expect("two sockets");
        let gone =
            sockets.insert(poll.registry(), one.as_raw_fd(), Arc::default()).expect("the socket is inserted");
        assert!(sockets.remove(gone).is_some());
        let next = sockets
            .insert(poll.registry(), other.as_raw_fd(), Arc::default())
            .expect("the socket is inserted");
        assert_eq!(gone & SLOT_MASK, next & SLOT_MASK, "the next socket has the same slot");
        assert_eq!(tick(&mut poll, &mut sockets, true), [next]);
    }

    #[test]
    fn an_event_is_not_delivered_to_the_next_socket_in_its_slot() {
        let (poll, mut sockets) = (Poll::new().expect("a poller"), SocketTable::default());
        let (one, other) = UnixStream::pair().expect("two sockets");
        let gone =
            sockets.insert(poll.registry(), one.as_raw_fd(), Arc::default()).expect("the socket is inserted");
        assert!(sockets.get(gone).is_some());
        assert!(sockets.remove(gone).is_some());
        let next = sockets
            .insert(poll.registry(), other.as_raw_fd(), Arc::default())
            .expect("the socket is inserted");
        assert_eq!(gone & SLOT_MASK, next & SLOT_MASK);
        assert!(sockets.get(gone).is_none() && sockets.remove(gone).is_none());
        assert!(sockets.get(next).is_some());
    }

    #[test]
    fn a_process_that_waits_for_a_refused_socket_gets_the_error() {
        let (poll, mut sockets) = (Poll::new().expect("a poller"), SocketTable::default());
        let file = File::open("/dev/null").expect("the file exists");
        let readiness = Arc::new(Readiness::new());
        let cx = Context::from_waker(Waker::noop());
        let Ready(Ok(tick)) = readiness.poll_ready(&cx, Direction::Read) else {
            panic!("an operation is worth trying")
        };
        readiness.clear_ready(Direction::Read, tick);
        assert!(readiness.poll_ready(&cx, Direction::Read).is_pending());
        sockets.insert(poll.registry(), file.as_raw_fd(), readiness.clone()).expect("the socket is inserted");
        let mut to_wake = Vec::new();
        sockets.register_new(poll.registry(), true, &mut to_wake);
        assert_eq!(to_wake.len(), 1);
        let Ready(Err(error)) = readiness.poll_ready(&cx, Direction::Read) else {
            panic!("the operation fails")
        };
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    }
}

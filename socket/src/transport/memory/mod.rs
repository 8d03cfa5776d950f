//! Connections in memory, with the same traits as real ones: for tests, in real time and in simulation.
//!
//! ```
//! use riot_actor::simulation::Simulation;
//! use riot_socket::{Connection, Server, memory::Listener};
//!
//! Simulation::new(1).run(async {
//!     let listener = Listener::new();
//!     let server = Server::listen(listener.clone()).start_link(|mut connection: Connection| async move {
//!         connection.write_all(b"hello").await
//!     }).await?;
//!     let mut client = listener.connect()?;
//!     let mut greeting = [0; 5];
//!     client.read_exact(&mut greeting).await?;
//!     assert_eq!(&greeting, b"hello");
//!     server.stop(std::time::Duration::ZERO).await;
//!     Ok::<(), riot_actor::Reason>(())
//! });
//! ```

mod script;

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    io::{self, IoSlice},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker, ready},
};

use riot_actor::coop;

use script::{Effect, Script};
pub use script::{Faults, ScriptStep};

use crate::transport::{Address, Bind, Listen, Shutdown, Transport};

/// Bytes one direction holds before the sender has to wait, as the buffers of a system would.
const CAPACITY: usize = 64 * 1024;

/// Two ends of one connection.
#[must_use]
pub fn pair() -> (Arc<Stream>, Arc<Stream>) {
    let (here, there) = (Arc::new(Pipe::default()), Arc::new(Pipe::default()));
    let stream = |incoming: &Arc<Pipe>, outgoing: &Arc<Pipe>| {
        let (max_read, max_write) = (AtomicUsize::new(usize::MAX), AtomicUsize::new(usize::MAX));
        let (incoming, outgoing) = (incoming.clone(), outgoing.clone());
        let (reads, writes) = (Mutex::default(), Mutex::default());
        Arc::new(Stream { incoming, outgoing, max_read, max_write, reads, writes })
    };
    (stream(&here, &there), stream(&there, &here))
}

/// One end of a connection in memory.
pub struct Stream {
    incoming: Arc<Pipe>,
    outgoing: Arc<Pipe>,
    max_read: AtomicUsize,
    max_write: AtomicUsize,
    reads: Mutex<Script>,
    writes: Mutex<Script>,
}

impl Stream {
    /// What happens to the next reads of this end, one after the other; behind what was asked for before.
    pub fn script_reads(&self, steps: impl IntoIterator<Item = ScriptStep>) {
        lock(&self.reads).extend(steps);
    }

    /// What happens to the next writes of this end, one after the other; behind what was asked for before.
    pub fn script_writes(&self, steps: impl IntoIterator<Item = ScriptStep>) {
        lock(&self.writes).extend(steps);
    }

    /// From now on no read of this end gives more than `bytes`, and no write takes more: as networks do when one does
    /// not expect it.
    pub fn cut(&self, bytes: usize) {
        self.max_read.store(bytes.max(1), Ordering::Relaxed);
        self.max_write.store(bytes.max(1), Ordering::Relaxed);
    }

    /// Breaks the connection: both ends fail from now on, and what was under way is lost.
    pub fn reset(&self) {
        self.incoming.change(|state| state.reset = true);
        self.outgoing.change(|state| state.reset = true);
    }

    /// Bytes the other end has sent and this one has not read.
    #[must_use]
    pub fn readable(&self) -> usize {
        self.incoming.lock().bytes.len()
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("memory::Stream")
    }
}

impl Transport for Stream {
    fn is_buffered(&self) -> bool {
        false
    }

    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        if coop::poll_proceed(cx).is_pending() {
            return Poll::Pending;
        }
        let mut room = buffer.len().min(self.max_read.load(Ordering::Relaxed));
        match ready!(lock(&self.reads).poll(cx)) {
            Effect::Room(bytes) => room = room.min(bytes),
            Effect::Reset => self.reset(),
            Effect::End => self.incoming.change(|state| state.read_shutdown = true),
        }
        let mut writer = None;
        let mut state = self.incoming.lock();
        let result = if state.reset {
            Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
        } else if state.read_shutdown || (state.bytes.is_empty() && state.ended) {
            Poll::Ready(Ok(0))
        } else if state.bytes.is_empty() {
            state.reader = Some(cx.waker().clone());
            Poll::Pending
        } else {
            let read = room.min(state.bytes.len());
            for (to, from) in buffer.iter_mut().zip(state.bytes.drain(..read)) {
                *to = from;
            }
            writer = state.writer.take();
            Poll::Ready(Ok(read))
        };
        drop(state);
        if let Some(writer) = writer {
            writer.wake();
        }
        if result.is_ready() {
            lock(&self.reads).done();
        }
        result
    }

    fn poll_write(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if coop::poll_proceed(cx).is_pending() {
            return Poll::Pending;
        }
        let mut limit = self.max_write.load(Ordering::Relaxed);
        match ready!(lock(&self.writes).poll(cx)) {
            Effect::Room(bytes) => limit = limit.min(bytes),
            Effect::Reset => self.reset(),
            Effect::End => self.outgoing.change(|state| state.ended = true),
        }
        let mut reader = None;
        let mut state = self.outgoing.lock();
        let room = CAPACITY.saturating_sub(state.bytes.len()).min(limit);
        let result = if state.reset {
            Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
        } else if state.ended || state.receiver_gone {
            Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
        } else if room == 0 {
            state.writer = Some(cx.waker().clone());
            Poll::Pending
        } else {
            let before = state.bytes.len();
            let bytes = slices.iter().flat_map(|slice| slice.iter().copied());
            state.bytes.extend(bytes.take(room));
            reader = state.reader.take();
            Poll::Ready(Ok(state.bytes.len() - before))
        };
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
        if result.is_ready() {
            lock(&self.writes).done();
        }
        result
    }

    fn local_address(&self) -> io::Result<Address> {
        Ok(Address::Memory(0))
    }

    fn shutdown(&self, side: Shutdown) -> io::Result<()> {
        if side != Shutdown::Write {
            self.incoming.change(|state| state.read_shutdown = true);
        }
        if side != Shutdown::Read {
            self.outgoing.change(|state| state.ended = true);
        }
        Ok(())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.outgoing.change(|state| state.ended = true);
        self.incoming.change(|state| state.receiver_gone = true);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One direction.
#[derive(Default)]
struct Pipe(Mutex<PipeState>);

#[derive(Default)]
struct PipeState {
    bytes: VecDeque<u8>,
    /// The sender sends no more.
    ended: bool,
    /// The receiver has shut this direction down: it reads nothing more, and what is sent goes nowhere.
    read_shutdown: bool,
    /// There is no receiver any more.
    receiver_gone: bool,
    reset: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Pipe {
    fn lock(&self) -> MutexGuard<'_, PipeState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut PipeState)) {
        let mut state = self.lock();
        change(&mut state);
        let woken = [state.reader.take(), state.writer.take()];
        drop(state);
        woken.into_iter().flatten().for_each(Waker::wake);
    }
}

/// A listener in memory, and the way to connect to it. Clones are the same listener.
#[derive(Clone, Default)]
pub struct Listener(Arc<Mutex<ListenerState>>);

#[derive(Default)]
struct ListenerState {
    /// Several only if it is shared.
    bound: BTreeMap<u64, AcceptQueue>,
    ever_bound: u64,
    shared: bool,
    clients: u64,
    failures: VecDeque<io::Error>,
    refuse_bind: Option<io::ErrorKind>,
    cut: Option<usize>,
    faults: Option<Faults>,
}

/// The clients of one bound listener, and who waits for them.
#[derive(Default)]
struct AcceptQueue {
    waiting: VecDeque<(Arc<Stream>, Address)>,
    acceptor: Option<Waker>,
}

impl Listener {
    /// A listener nobody has bound yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A listener that can be bound several times at once, as a port can that is shared: clients go to each in turn.
    #[must_use]
    pub fn shared() -> Self {
        let this = Self::default();
        this.lock().shared = true;
        this
    }

    /// [`connect`](Self::connect) for whoever wants to play tricks with the stream.
    ///
    /// # Errors
    /// [`io::ErrorKind::ConnectionRefused`] while nobody listens.
    pub fn connect_stream(&self) -> io::Result<(Arc<Stream>, Address)> {
        let mut hub = self.lock();
        if hub.bound.is_empty() {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let (client, server) = pair();
        if let Some(bytes) = hub.cut {
            server.cut(bytes);
        }
        hub.clients += 1;
        if let Some(faults) = hub.faults {
            *lock(&server.reads) = faults.script(2 * hub.clients);
            *lock(&server.writes) = faults.script(2 * hub.clients + 1);
        }
        let address = Address::Memory(hub.clients);
        let turn = hub.clients as usize % hub.bound.len();
        let queue = hub.bound.values_mut().nth(turn).expect("it is one of them");
        queue.waiting.push_back((server, address.clone()));
        let acceptor = queue.acceptor.take();
        drop(hub);
        if let Some(acceptor) = acceptor {
            acceptor.wake();
        }
        Ok((client, address))
    }

    /// The next accept fails with `error`; several are kept in order.
    pub fn fail_accept(&self, error: io::Error) {
        let mut hub = self.lock();
        hub.failures.push_back(error);
        let acceptors: Vec<_> = hub.bound.values_mut().filter_map(|queue| queue.acceptor.take()).collect();
        drop(hub);
        acceptors.into_iter().for_each(Waker::wake);
    }

    /// Binding fails from now on, or works again.
    pub fn refuse_bind(&self, error: Option<io::ErrorKind>) {
        self.lock().refuse_bind = error;
    }

    /// The server's ends of connections made from now on read and write no more than `bytes` at a time.
    pub fn cut(&self, bytes: usize) {
        self.lock().cut = Some(bytes);
    }

    /// What happens, by chance, to the server's ends of connections made from now on.
    pub fn faults(&self, faults: Faults) {
        self.lock().faults = Some(faults);
    }

    /// Clients that have connected and were not accepted yet.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.lock().bound.values().map(|queue| queue.waiting.len()).sum()
    }

    fn lock(&self) -> MutexGuard<'_, ListenerState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "memory::Listener({} waiting)", self.waiting())
    }
}

impl Bind for Listener {
    fn bind(&self) -> io::Result<Arc<dyn Listen>> {
        let mut hub = self.lock();
        if let Some(kind) = hub.refuse_bind {
            return Err(kind.into());
        }
        if !hub.bound.is_empty() && !hub.shared {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        hub.ever_bound += 1;
        let number = hub.ever_bound;
        hub.bound.insert(number, AcceptQueue::default());
        drop(hub);
        Ok(Arc::new(Bound { listener: self.clone(), number }))
    }
}

/// A bound listener; clients are refused once it is dropped, and those that waited are cut off.
struct Bound {
    listener: Listener,
    number: u64,
}

impl Listen for Bound {
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Arc<dyn Transport>, Address)>> {
        if coop::poll_proceed(cx).is_pending() {
            return Poll::Pending;
        }
        let mut hub = self.listener.lock();
        if let Some(error) = hub.failures.pop_front() {
            return Poll::Ready(Err(error));
        }
        let queue = hub.bound.get_mut(&self.number).expect("it is bound as long as this lives");
        match queue.waiting.pop_front() {
            Some((stream, address)) => Poll::Ready(Ok((stream as Arc<dyn Transport>, address))),
            None => {
                queue.acceptor = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn local_address(&self) -> io::Result<Address> {
        Ok(Address::Memory(0))
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        let queue = self.listener.lock().bound.remove(&self.number);
        drop(queue);
    }
}

//! The listener in memory.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use riot_actor::coop;

use super::{
    script::Faults,
    stream::{Stream, pair},
};
use crate::{
    io::wake::wake_all,
    transport::{AcceptQueue, Address, Bind, Listen, Transport},
};

/// A listener in memory, to be served and to be connected to. Clones are the same listener.
///
/// ```
/// use riot_socket::{Connection, Server, memory::Listener};
///
/// # let reason = riot_actor::run(async {
/// let listener = Listener::new();
/// let server = Server::listen(listener.clone())
///     .start_link(|mut connection: Connection| async move { connection.write_all(b"hello").await })
///     .await?;
/// assert_eq!(listener.connect()?.read_to_end(5).await?, b"hello");
/// # server.stop(std::time::Duration::ZERO).await;
/// # Ok::<(), riot_actor::Reason>(())
/// # });
/// # assert_eq!(reason, riot_actor::Reason::Normal);
/// ```
#[derive(Clone, Default)]
pub struct Listener(Arc<Mutex<ListenerState>>);

#[derive(Default)]
struct ListenerState {
    /// The queues of the bound listeners, by number. Several only if the listener is shared.
    bound: BTreeMap<u64, BoundQueue>,
    ever_bound: u64,
    shared: bool,
    clients: u64,
    failures: VecDeque<io::Error>,
    refuse_bind: Option<io::ErrorKind>,
    max_transfer: Option<usize>,
    faults: Option<Faults>,
}

/// The clients that wait at one bound listener, and the waker of its acceptor.
#[derive(Default)]
struct BoundQueue {
    waiting: VecDeque<(Arc<Stream>, Address)>,
    acceptor: Option<Waker>,
    /// No client enters the queue any more.
    closed: bool,
}

impl Listener {
    /// Returns a listener that is not bound yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns a listener that can be bound several times at once, like a shared port. Clients go to each in
    /// turn.
    #[must_use]
    pub fn shared() -> Self {
        let this = Self::default();
        this.lock().shared = true;
        this
    }

    /// Connects a client as [`connect`](Self::connect) does, and returns its stream, to be scripted.
    ///
    /// # Errors
    /// [`io::ErrorKind::ConnectionRefused`] while the listener is not bound, or drains.
    pub fn connect_stream(&self) -> io::Result<(Arc<Stream>, Address)> {
        let mut state = self.lock();
        let open = state.bound.values().filter(|queue| !queue.closed).count();
        if open == 0 {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let (client, server) = pair();
        if let Some(bytes) = state.max_transfer {
            server.max_transfer(bytes);
        }
        state.clients += 1;
        if let Some(faults) = state.faults {
            server.set_scripts(faults.script(2 * state.clients), faults.script(2 * state.clients + 1));
        }
        let address = Address::Memory(state.clients);
        let turn = state.clients as usize % open;
        let mut queues = state.bound.values_mut().filter(|queue| !queue.closed);
        let queue = queues.nth(turn).expect("the turn is below the number of open queues");
        queue.waiting.push_back((server, address.clone()));
        let acceptor = queue.acceptor.take();
        drop(state);
        if let Some(acceptor) = acceptor {
            wake_all([acceptor]);
        }
        Ok((client, address))
    }

    /// Makes the next accept fail with `error`. Several errors are reported in order.
    pub fn fail_accept(&self, error: io::Error) {
        let mut state = self.lock();
        state.failures.push_back(error);
        let acceptors: Vec<_> = state.bound.values_mut().filter_map(|queue| queue.acceptor.take()).collect();
        drop(state);
        wake_all(acceptors);
    }

    /// Makes binding fail from now on, or work again.
    pub fn refuse_bind(&self, error: Option<io::ErrorKind>) {
        self.lock().refuse_bind = error;
    }

    /// Bounds the bytes of each read and each write of the server's ends of connections, for those connected
    /// from now on.
    ///
    /// # Panics
    /// Panics if `bytes` is zero.
    pub fn max_transfer(&self, bytes: usize) {
        assert!(bytes > 0, "a transfer of zero bytes");
        self.lock().max_transfer = Some(bytes);
    }

    /// Sets the random faults of the server's ends of connections, for those connected from now on.
    pub fn faults(&self, faults: Faults) {
        self.lock().faults = Some(faults);
    }

    /// Returns the number of clients that have connected and were not accepted yet.
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
        let mut state = self.lock();
        if let Some(kind) = state.refuse_bind {
            return Err(kind.into());
        }
        if !state.bound.is_empty() && !state.shared {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        state.ever_bound += 1;
        let number = state.ever_bound;
        state.bound.insert(number, BoundQueue::default());
        drop(state);
        Ok(Arc::new(Bound { listener: self.clone(), number }))
    }
}

/// A bound listener. When it is dropped clients are refused, and waiting ones are disconnected.
struct Bound {
    listener: Listener,
    number: u64,
}

impl Listen for Bound {
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Arc<dyn Transport>, Address)>> {
        if coop::poll_proceed(cx).is_pending() {
            return Poll::Pending;
        }
        let mut state = self.listener.lock();
        if let Some(error) = state.failures.pop_front() {
            return Poll::Ready(Err(error));
        }
        let queue = state.bound.get_mut(&self.number).expect("the queue exists while the listener is bound");
        match queue.waiting.pop_front() {
            Some((stream, address)) => Poll::Ready(Ok((stream as Arc<dyn Transport>, address))),
            None => {
                queue.acceptor = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn close_queue(&self) -> AcceptQueue {
        if let Some(queue) = self.listener.lock().bound.get_mut(&self.number) {
            queue.closed = true;
        }
        AcceptQueue::Closed
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

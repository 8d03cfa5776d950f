//! What the processes of one server have in common, whichever of them are there just now.

use std::{
    collections::BTreeMap,
    future::poll_fn,
    io,
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicU64, AtomicUsize,
            Ordering::{Relaxed, SeqCst},
        },
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use parking_lot::{Mutex, MutexGuard};
use riot_actor::{Pid, Reason, now, process::join, this};

use super::{
    Config,
    accept_error::Verdict,
    acceptor::Door,
    alarm::Alarms,
    info::{AcceptErrors, Ended},
    overflow::{ANSWERING_MAX, ConnectionOverflow},
    protocol::AnyProtocol,
    reserve::Reserve,
    semaphore::Limit,
    table::Places,
};
use crate::{
    Options,
    connection::handshake::{HandshakeError, HandshakeFailed, Handshakes},
    io::poller,
    transport::{Address, Bind},
};

/// What the processes of one server share.
pub(crate) struct Shared {
    bind: Box<dyn Bind>,
    pub(super) overflow: ConnectionOverflow,
    pub(super) handshakes: Handshakes,
    on_listen: Option<OnListen>,
    /// The connections there may be.
    pub(super) limit: Arc<Limit>,
    /// Clients that are being told that there is no place for them.
    pub(super) answering: Arc<Limit>,
    pub(super) reserve: Reserve,
    pub(super) counters: Arc<Counters>,
    pub(super) alarms: Alarms,
    pub(super) places: Places,
    pub(super) suspended: AtomicBool,
    /// Whether somebody may be in `watching`.
    watched: AtomicBool,
    state: Mutex<State>,
}

/// What is called with every address a server listens on, before it accepts there.
pub(super) type OnListen = Arc<dyn Fn(&Address) -> io::Result<()> + Send + Sync>;

struct State {
    protocol: Arc<dyn AnyProtocol>,
    acceptors: usize,
    listeners: usize,
    shutdown: Duration,
    handshake_timeout: Duration,
    /// Server.Sup, if it was started.
    supervisor: Option<Pid>,
    /// Acceptor.Sup and the acceptors that have the listeners open; some may have ended.
    accepting: Vec<Pid>,
    address: Option<Address>,
    bind_error: Option<io::Error>,
    warned: Option<Instant>,
    /// They wait for connections to come and go.
    watching: Vec<Waker>,
    ended: Ended,
    accept_errors: AcceptErrors,
    timeouts: BTreeMap<&'static str, u64>,
}

#[derive(Default)]
pub(super) struct Counters {
    pub(super) accepted: AtomicU64,
    pub(super) active: AtomicUsize,
    pub(super) all: AtomicUsize,
    pub(super) refused: AtomicU64,
    pub(super) handshake_errors: AtomicU64,
    /// Of connections that have ended.
    pub(super) received: AtomicU64,
    pub(super) sent: AtomicU64,
    pub(super) undelivered: AtomicU64,
}

impl Shared {
    pub(super) fn new(bind: Box<dyn Bind>, config: Config, protocol: Arc<dyn AnyProtocol>) -> Self {
        let state = State {
            protocol,
            acceptors: config.acceptors,
            listeners: config.listeners,
            shutdown: config.shutdown,
            handshake_timeout: config.handshake_timeout,
            supervisor: None,
            accepting: Vec::new(),
            address: None,
            bind_error: None,
            warned: None,
            watching: Vec::new(),
            ended: Ended::default(),
            accept_errors: AcceptErrors::default(),
            timeouts: BTreeMap::new(),
        };
        Self {
            bind,
            overflow: config.overflow,
            handshakes: config.handshakes,
            on_listen: config.on_listen,
            limit: Limit::new(config.max_connections),
            answering: Limit::new(ANSWERING_MAX),
            reserve: Reserve::new(),
            counters: Arc::default(),
            alarms: Alarms::new(config.alarms),
            places: Places::new(config.connection_supervisors),
            suspended: AtomicBool::new(false),
            watched: AtomicBool::new(false),
            state: Mutex::new(state),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    pub(super) fn protocol(&self) -> Arc<dyn AnyProtocol> {
        self.lock().protocol.clone()
    }

    pub(super) fn set_protocol(&self, protocol: Arc<dyn AnyProtocol>) {
        let before = std::mem::replace(&mut self.lock().protocol, protocol);
        drop(before);
    }

    pub(super) fn acceptors(&self) -> usize {
        self.lock().acceptors
    }

    pub(super) fn set_acceptors(&self, acceptors: usize) {
        self.lock().acceptors = acceptors;
    }

    pub(super) fn set_listeners(&self, listeners: usize) {
        self.lock().listeners = listeners;
    }

    pub(super) fn set_options(&self, options: Options) {
        self.bind.set_options(options);
    }

    pub(super) fn shutdown(&self) -> Duration {
        self.lock().shutdown
    }

    pub(super) fn set_shutdown(&self, limit: Duration) {
        self.lock().shutdown = limit;
    }

    pub(super) fn handshake_timeout(&self) -> Duration {
        self.lock().handshake_timeout
    }

    pub(super) fn set_handshake_timeout(&self, limit: Duration) {
        self.lock().handshake_timeout = limit;
    }

    /// Server.Sup, if it lives.
    pub(super) fn supervisor(&self) -> Option<Pid> {
        self.lock().supervisor
    }

    pub(super) fn clear_supervisor(&self) {
        let mut state = self.lock();
        state.supervisor = None;
        state.address = None;
    }

    pub(super) fn set_supervisor(&self, pid: Pid) {
        self.lock().supervisor = Some(pid);
    }

    pub(super) fn address(&self) -> Option<Address> {
        self.lock().address.clone()
    }

    pub(super) fn clear_address(&self) {
        self.lock().address = None;
    }

    /// Binds, once the acceptors of the listeners before have let go of them.
    pub(super) async fn open(&self) -> io::Result<Vec<Arc<Door>>> {
        // The supervisor of those acceptors has the listeners too, and may outlive a Server.Sup that was killed.
        let before = self.lock().accepting.clone();
        join(&before).await;
        let listeners = {
            let mut state = self.lock();
            state.accepting = vec![this()];
            state.listeners
        };
        match self.listen(listeners).await {
            Ok(doors) => {
                self.suspended.store(false, Relaxed);
                Ok(doors)
            }
            Err(error) => {
                let (kind, text) = (error.kind(), error.to_string());
                let mut state = self.lock();
                state.address = None;
                state.bind_error = Some(error);
                Err(io::Error::new(kind, text))
            }
        }
    }

    async fn listen(&self, sockets: usize) -> io::Result<Vec<Arc<Door>>> {
        let mut doors = Vec::new();
        for _ in 0..sockets {
            let listener = self.bind.bind()?;
            if listener.is_evented() {
                poller::install_everywhere().await?;
            }
            let address = listener.local_address()?;
            if let Some(on_listen) = &self.on_listen {
                on_listen(&address)?;
            }
            self.lock().address = Some(address);
            doors.push(Arc::new(Door::new(listener)));
        }
        Ok(doors)
    }

    /// Remembers an acceptor of the listeners that are open now.
    pub(super) fn add_acceptor(&self, pid: Pid) {
        self.lock().accepting.push(pid);
    }

    pub(super) fn take_bind_error(&self) -> Option<io::Error> {
        self.lock().bind_error.take()
    }

    /// A connection is given up that could not begin; why, for its Connector to end with.
    pub(super) fn give_up(&self, failed: HandshakeFailed) -> Reason {
        match failed.error {
            HandshakeError::TimedOut => self.count_timeout("handshake"),
            _ => drop(self.counters.handshake_errors.fetch_add(1, Relaxed)),
        }
        tracing::debug!(target: "riot::socket", "{failed}");
        Reason::shutdown_with(failed)
    }

    pub(super) fn ended(&self) -> Ended {
        self.lock().ended
    }

    pub(super) fn count_end(&self, reason: &Reason) {
        self.lock().ended.count(reason);
    }

    /// So many ended with their supervisor.
    pub(super) fn count_lost(&self, connections: u64) {
        self.lock().ended.killed += connections;
    }

    pub(super) fn accept_errors(&self) -> AcceptErrors {
        self.lock().accept_errors
    }

    pub(super) fn count_accept_error(&self, verdict: Verdict) {
        self.lock().accept_errors.count(verdict);
    }

    pub(super) fn timeouts(&self) -> BTreeMap<&'static str, u64> {
        self.lock().timeouts.clone()
    }

    pub(super) fn count_timeout(&self, timer: &'static str) {
        *self.lock().timeouts.entry(timer).or_default() += 1;
    }

    /// Says that accepting failed, at most once a second.
    pub(super) fn warn_of(&self, error: &io::Error) {
        let mut state = self.lock();
        if state.warned.is_none_or(|before| now() - before >= Duration::from_secs(1)) {
            state.warned = Some(now());
            drop(state);
            tracing::warn!(target: "riot::socket", "accepting pauses: {error}");
        }
    }

    pub(super) fn one_more(&self) {
        self.counters.all.fetch_add(1, SeqCst);
        self.tell_watching();
    }

    pub(super) fn one_less(&self) {
        self.counters.all.fetch_sub(1, SeqCst);
        self.tell_watching();
    }

    /// The number of connections has changed. Whoever watches says so before it looks at the number: it sees the change,
    /// or is seen here.
    fn tell_watching(&self) {
        if !self.watched.load(SeqCst) {
            return;
        }
        let mut state = self.lock();
        let watching = std::mem::take(&mut state.watching);
        self.watched.store(false, SeqCst);
        drop(state);
        watching.into_iter().for_each(Waker::wake);
    }

    /// Waits until there are as many connections as `wanted` says.
    pub(super) async fn watch(&self, wanted: impl Fn(usize) -> bool) {
        poll_fn(|cx: &mut Context<'_>| {
            let mut state = self.lock();
            self.watched.store(true, SeqCst);
            if wanted(self.counters.all.load(SeqCst)) {
                return Poll::Ready(());
            }
            state.watching.push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

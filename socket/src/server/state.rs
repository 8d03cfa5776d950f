//! The state that the processes of one server share. It outlives them.

use std::{
    io,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::{Mutex, MutexGuard};
use riot_actor::{
    Pid, Reason, log, now,
    process::{Priority, is_alive, join},
    telemetry::{BuiltInEvent, Watched},
    this,
};

use super::{
    accept_error::{AcceptErrorKind, classify},
    acceptor::SharedListener,
    alarm::Alarms,
    builder::{Config, OnListen},
    connections::DrainConnections,
    descriptors,
    drain::{DrainCounters, Schedule, later},
    log_levels::LogLevels,
    overflow::{ConnectionOverflow, MAX_REFUSALS},
    protocol::DynProtocol,
    reaper::{Reaper, ServerSet},
    reserve::Reserve,
    semaphore::Semaphore,
    statistics::Statistics,
    table::ConnectionTable,
    telemetry::{self, AcceptFailed, LimitHit, ListenerStarted, TimeoutHit},
};
use crate::{
    connection::{
        handshake::{HandshakeError, HandshakeFailed, Handshakes},
        membership::Load,
        record::ConnectionRecord,
        timeouts::ConnectionTimeouts,
    },
    io::poller,
    transport::{Address, Bind, options::Options},
};

/// The shared state of one server.
pub(crate) struct Shared {
    name: Option<Arc<str>>,
    bind: Box<dyn Bind>,
    pub(super) overflow: ConnectionOverflow,
    pub(super) handshakes: Handshakes,
    on_listen: Option<OnListen>,
    /// The permits of connections.
    pub(super) permits: Arc<Semaphore>,
    /// The permits of clients that are being told that the server is full.
    pub(super) refusals: Arc<Semaphore>,
    pub(super) reserve: Reserve,
    pub(super) reaper: Reaper,
    keeps_descriptor_limit: bool,
    pub(super) connection_timeouts: ConnectionTimeouts,
    pub(super) load: Load,
    pub(super) statistics: Statistics,
    pub(super) alarms: Alarms,
    pub(super) table: ConnectionTable,
    pub(super) suspended: AtomicBool,
    pub(super) drain_counters: DrainCounters,
    /// The time that a client has for its first bytes once the server drains.
    pub(super) drain_first_timeout: Duration,
    pub(super) log_levels: LogLevels,
    /// The priority of acceptors, of Connections.Sup and of Connectors.
    pub(super) priority: Priority,
    /// Connectors run inside tokio.
    #[cfg(feature = "tokio")]
    pub(super) is_inside_tokio: bool,
    /// The server accepts no more, because it drains.
    closing: AtomicBool,
    /// The events that have handlers, once the server has listened.
    watched: OnceLock<Watched>,
    settings: Mutex<Settings>,
    lifecycle: Mutex<Lifecycle>,
}

/// The settings that a handle can change while the server runs.
struct Settings {
    protocol: Arc<dyn DynProtocol>,
    acceptors: usize,
    listeners: usize,
    shutdown_timeout: Duration,
    lame_duck_timeout: Duration,
    handshake_timeout: Duration,
}

/// The processes and the address that the server has at the moment.
#[derive(Default)]
struct Lifecycle {
    /// Server.Sup, if it was started.
    supervisor: Option<Pid>,
    /// Connections.Sup.Sup, the supervisor of all Connections.Sup.
    connections: Option<Pid>,
    drainer: Option<Pid>,
    /// The drain that is under way or done.
    schedule: Option<Schedule>,
    /// The listeners that are open, unless they were closed since.
    listeners: Vec<Weak<SharedListener>>,
    /// Acceptor.Sup and the acceptors that have the listeners open. Some may have ended.
    accepting: Vec<Pid>,
    address: Option<Address>,
    bind_error: Option<io::Error>,
}

impl Shared {
    pub(super) fn new(bind: Box<dyn Bind>, config: Config, protocol: Arc<dyn DynProtocol>) -> Self {
        let settings = Settings {
            protocol,
            acceptors: config.acceptors,
            listeners: config.listeners,
            shutdown_timeout: config.shutdown_timeout,
            lame_duck_timeout: config.lame_duck_timeout,
            handshake_timeout: config.handshake_timeout,
        };
        Self {
            name: config.name,
            bind,
            overflow: config.overflow,
            handshakes: config.handshakes,
            on_listen: config.on_listen,
            permits: Semaphore::new(config.max_connections),
            refusals: Semaphore::new(MAX_REFUSALS),
            reserve: Reserve::new(),
            reaper: Reaper::default(),
            keeps_descriptor_limit: config.keeps_descriptor_limit,
            connection_timeouts: config.connection_timeouts,
            load: Load::new(config.max_connections),
            statistics: Statistics::default(),
            alarms: Alarms::new(config.alarms),
            table: ConnectionTable::new(config.connection_supervisors),
            suspended: AtomicBool::new(false),
            drain_counters: DrainCounters::default(),
            drain_first_timeout: config.drain_first_timeout,
            log_levels: config.log_levels,
            priority: config.priority,
            #[cfg(feature = "tokio")]
            is_inside_tokio: config.is_inside_tokio,
            closing: AtomicBool::new(false),
            watched: OnceLock::new(),
            settings: Mutex::new(settings),
            lifecycle: Mutex::default(),
        }
    }

    fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock()
    }

    fn lifecycle(&self) -> MutexGuard<'_, Lifecycle> {
        self.lifecycle.lock()
    }

    pub(super) fn protocol(&self) -> Arc<dyn DynProtocol> {
        self.settings().protocol.clone()
    }

    pub(super) fn set_protocol(&self, protocol: Arc<dyn DynProtocol>) {
        let before = std::mem::replace(&mut self.settings().protocol, protocol);
        drop(before);
    }

    pub(super) fn acceptors(&self) -> usize {
        self.settings().acceptors
    }

    pub(super) fn set_acceptors(&self, acceptors: usize) {
        self.settings().acceptors = acceptors;
    }

    pub(super) fn set_listeners(&self, listeners: usize) {
        self.settings().listeners = listeners;
    }

    pub(super) fn set_options(&self, options: Options) {
        self.bind.set_options(options);
    }

    pub(super) fn set_max_connections(&self, connections: usize) {
        self.load.set_max(connections);
        self.permits.set_max(connections);
    }

    pub(super) fn shutdown_timeout(&self) -> Duration {
        self.settings().shutdown_timeout
    }

    pub(super) fn set_shutdown_timeout(&self, timeout: Duration) {
        self.settings().shutdown_timeout = timeout;
    }

    pub(super) fn lame_duck_timeout(&self) -> Duration {
        self.settings().lame_duck_timeout
    }

    pub(super) fn set_lame_duck_timeout(&self, timeout: Duration) {
        self.settings().lame_duck_timeout = timeout;
    }

    pub(super) fn handshake_timeout(&self) -> Duration {
        self.settings().handshake_timeout
    }

    pub(super) fn set_handshake_timeout(&self, timeout: Duration) {
        self.settings().handshake_timeout = timeout;
    }

    /// Returns Server.Sup, if it lives.
    pub(super) fn supervisor(&self) -> Option<Pid> {
        self.lifecycle().supervisor
    }

    pub(super) fn clear_supervisor(&self) {
        let mut lifecycle = self.lifecycle();
        lifecycle.supervisor = None;
        lifecycle.address = None;
    }

    /// Records a Server.Sup that has just begun to start its children.
    pub(super) fn set_supervisor(&self, pid: Pid) {
        let mut lifecycle = self.lifecycle();
        lifecycle.supervisor = Some(pid);
        lifecycle.schedule = None;
        self.closing.store(false, Relaxed);
        self.drain_counters.end();
    }

    pub(super) fn set_connections(&self, pid: Pid) {
        self.lifecycle().connections = Some(pid);
    }

    /// Returns Drain.Worker, if there is one.
    pub(super) fn drainer(&self) -> Option<Pid> {
        self.lifecycle().drainer
    }

    pub(super) fn set_drainer(&self, pid: Pid) {
        self.lifecycle().drainer = Some(pid);
    }

    /// Returns whether the children of Server.Sup before Drain.Worker live.
    pub(super) fn is_whole(&self) -> bool {
        let lifecycle = self.lifecycle();
        let lives = |pid: Option<&Pid>| pid.is_some_and(|&pid| is_alive(pid));
        lives(lifecycle.connections.as_ref())
            && (self.suspended.load(Relaxed) || lives(lifecycle.accepting.first()))
    }

    pub(super) fn schedule(&self) -> Option<Schedule> {
        self.lifecycle().schedule
    }

    /// Sets the schedule of a drain, unless one has begun. Returns whether it has done so.
    pub(super) fn begin_schedule(&self, schedule: Schedule) -> bool {
        let mut lifecycle = self.lifecycle();
        let begins = lifecycle.schedule.is_none();
        if begins {
            lifecycle.schedule = Some(schedule);
        }
        begins
    }

    /// Changes the schedule, if a drain has begun, and returns what `change` returns.
    pub(super) fn change_schedule<R>(&self, change: impl FnOnce(&mut Schedule) -> R) -> Option<R> {
        self.lifecycle().schedule.as_mut().map(change)
    }

    /// Returns what connections are asked when the server drains.
    pub(super) fn drain_request(&self) -> DrainConnections {
        let deadline = self.schedule().and_then(|schedule| schedule.deadline());
        let deadline = deadline.unwrap_or_else(|| later(now(), self.shutdown_timeout()));
        DrainConnections { deadline, first_timeout: self.drain_first_timeout }
    }

    /// Returns whether the server accepts no more because it drains.
    #[inline]
    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Relaxed)
    }

    /// Lets the server accept no more, and returns the listeners that are open.
    pub(super) fn stop_accepting(&self) -> Vec<Arc<SharedListener>> {
        self.closing.store(true, Relaxed);
        self.lifecycle().listeners.iter().filter_map(Weak::upgrade).collect()
    }

    pub(super) fn address(&self) -> Option<Address> {
        self.lifecycle().address.clone()
    }

    pub(super) fn clear_address(&self) {
        self.lifecycle().address = None;
    }

    /// Binds, after the acceptors of the earlier listeners have ended.
    pub(super) async fn open(self: &Arc<Self>) -> io::Result<Vec<Arc<SharedListener>>> {
        // The supervisor of those acceptors holds the listeners too, and may outlive a Server.Sup that was
        // killed.
        let before = self.lifecycle().accepting.clone();
        join(&before).await;
        self.lifecycle().accepting = vec![this()];
        let listeners = self.settings().listeners;
        match self.listen(listeners).await {
            Ok(listeners) => {
                self.suspended.store(false, Relaxed);
                self.lifecycle().listeners = listeners.iter().map(Arc::downgrade).collect();
                Ok(listeners)
            }
            Err(error) => {
                let (kind, text) = (error.kind(), error.to_string());
                let mut lifecycle = self.lifecycle();
                lifecycle.address = None;
                lifecycle.bind_error = Some(error);
                Err(io::Error::new(kind, text))
            }
        }
    }

    async fn listen(self: &Arc<Self>, sockets: usize) -> io::Result<Vec<Arc<SharedListener>>> {
        let mut listeners = Vec::new();
        let servers = ServerSet::current()?;
        servers.add(self);
        telemetry::register_events();
        let _ = self.watched.set(Watched::current());
        for _ in 0..sockets {
            let listener = self.bind.bind()?;
            if listener.uses_poller() {
                if !self.keeps_descriptor_limit {
                    descriptors::raise_limit();
                }
                descriptors::warn_if_too_few(&servers);
                poller::install_everywhere().await?;
            }
            let address = listener.local_address()?;
            if let Some(on_listen) = &self.on_listen {
                on_listen(&address)?;
            }
            self.lifecycle().address = Some(address.clone());
            self.emit(|server| ListenerStarted { server, address: address.clone() });
            listeners.push(Arc::new(SharedListener::new(listener, address, self)));
        }
        Ok(listeners)
    }

    /// Returns whether an event has a handler.
    #[inline]
    pub(super) fn watches<E: BuiltInEvent>(&self) -> bool {
        self.watched.get().is_some_and(Watched::includes::<E>)
    }

    /// Returns the name that the server was given, or else its address; none if it has neither.
    pub(super) fn name(&self) -> Option<Arc<str>> {
        self.name.clone().or_else(|| Some(self.address()?.to_string().into()))
    }

    /// Records an acceptor of the listeners that are open now.
    pub(super) fn add_acceptor(&self, pid: Pid) {
        self.lifecycle().accepting.push(pid);
    }

    pub(super) fn take_bind_error(&self) -> Option<io::Error> {
        self.lifecycle().bind_error.take()
    }

    /// Counts and logs a failed handshake, and returns the exit reason of its Connector.
    pub(super) fn fail_handshake(&self, failed: HandshakeFailed, record: &ConnectionRecord) -> Reason {
        match failed.error {
            HandshakeError::TimedOut => self.statistics.count_timeout("handshake"),
            _ => drop(self.statistics.handshake_errors.fetch_add(1, Relaxed)),
        }
        riot_actor::log_event_at!(self.log_levels.handshake, "riot::socket", "{failed}");
        if failed.error == HandshakeError::TimedOut {
            record.note_timeout("handshake");
            self.emit(|server| TimeoutHit { server, timer: "handshake", peer: failed.peer.clone() });
        }
        Reason::shutdown_with(failed)
    }

    /// Counts and logs that a client came while the server was full.
    #[cold]
    pub(super) fn reached_limit(&self) {
        const LIMIT: &str = "max_connections";
        self.statistics.count_limit(LIMIT);
        self.emit(|server| LimitHit { server, limit: LIMIT, peer: None });
        let level = self.log_levels.limit;
        let text = format!("the limit of {} connections is reached", self.permits.max());
        if let Some(level) = level.of_tracing()
            && !log::admits_line("riot::socket", level, &text)
        {
            return;
        }
        riot_actor::log_event_at!(level, "riot::socket", "{text}");
    }

    /// Counts a failed accept, and returns its kind. One that has accepting pause is logged, at most once a
    /// second.
    pub(super) fn accept_failed(&self, error: &io::Error) -> AcceptErrorKind {
        let kind = classify(error);
        self.statistics.count_accept_error(kind);
        self.emit(|server| AcceptFailed { server, kind: kind.name(), error: error.to_string() });
        if kind == AcceptErrorKind::Exhausted && self.statistics.may_warn() {
            riot_actor::log_event!(WARN, "riot::socket", "accepting pauses: {error}");
        }
        kind
    }
}

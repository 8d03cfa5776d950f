//! A runtime: what its parts share, and its end.

use std::{
    any::Any,
    future::Future,
    num::NonZeroU32,
    sync::{
        Arc, Condvar, Mutex, OnceLock, PoisonError, Weak,
        atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crossbeam_utils::CachePadded;

use super::{
    application::Application,
    config::{Config, RunError},
    handle::Handle,
};
use crate::{
    names::{group::Groups, registry::Registry},
    observe::{telemetry::Telemetry, trace::Tracer},
    process::{
        pid::Pid,
        reason::{Outcome, Reason},
        signal::MonitorRef,
        spawn::{ReasonOf, SpawnOptions},
    },
    runtime::{
        application::ApplicationFailed,
        blocking::Pool,
        context,
        driver::Driver,
        kernel::{
            record::{Body, Phase, Runnable},
            table::Table,
        },
        scheduler::Scheduler,
        simulation::SimulatedQueue,
    },
    sync::lock::lock,
    time::{clock::Clock, timers::Timers},
};

/// Shuts the runtime down: [`run`](crate::run()) returns `reason`, unless `main` has ended or another shutdown came first. The caller
/// goes on until it is asked to end like all others.
///
/// # Panics
/// Outside a process.
pub fn shutdown(reason: Reason) {
    context::with_shared("shutdown", |shared| shared.shut_down(reason));
}

/// The time by the runtime's clock: real, or a simulation's own.
#[must_use]
pub fn now() -> Instant {
    context::with_local(|local| local.map_or_else(Instant::now, |local| local.shared.now()))
}

/// The time when the runtime last mailbox_scanned at its clock, at a fraction of the cost of [`now`]: never later than that, seldom
/// more than a millisecond before it, and about ten at most, though a process may be keeping its worker from looking.
/// It never goes back. For what need not be exact, such as when a client was last heard of. In a simulation it is `now`.
///
/// ```
/// # riot_actor::run(async {
/// assert!(riot_actor::time::now_coarse() <= riot_actor::now());
/// # });
/// ```
#[must_use]
pub fn now_coarse() -> Instant {
    context::with_local(|local| local.map_or_else(Instant::now, |local| local.shared.clock().now_coarse()))
}

/// The running process.
///
/// # Panics
/// Outside a process; see [`try_this`].
#[must_use]
pub fn this() -> Pid {
    context::with_running("this", |_, _, running| running.pid)
}

/// The running process, if there is one.
#[must_use]
pub fn try_this() -> Option<Pid> {
    context::current()
}

/// The runtimes there are, to be found by number: for what one of them is told on a thread that is none of its own.
static RUNTIMES: Mutex<Vec<(NonZeroU32, Weak<Shared>)>> = Mutex::new(Vec::new());

/// The runtime with this number, unless it is gone.
pub(crate) fn find(id: NonZeroU32) -> Option<Arc<Shared>> {
    let runtimes = lock(&RUNTIMES);
    runtimes.iter().find(|(other, _)| *other == id)?.1.upgrade()
}

impl Drop for Shared {
    fn drop(&mut self) {
        lock(&RUNTIMES).retain(|(id, _)| *id != self.id);
    }
}

/// Everything the parts of one runtime share.
pub(crate) struct Shared {
    pub(crate) id: NonZeroU32,
    pub(crate) config: Config,
    pub(crate) table: Table,
    pub(crate) registry: Registry,
    pub(crate) groups: Groups,
    pub(crate) timers: Timers,
    pub(crate) blocking: Pool,
    pub(crate) telemetry: Telemetry,
    pub(crate) tracer: Tracer,
    /// What the drivers of its workers share.
    pub(crate) driver_common: OnceLock<Arc<dyn Any + Send + Sync>>,
    clock: Clock,
    scheduling: Scheduling,
    references: AtomicU64,
    /// How many processes have ended.
    ended: CachePadded<AtomicU64>,
    stage: AtomicU8,
    /// Set before the process can run.
    main: OnceLock<Pid>,
    /// The process of the applications, if there are any.
    pub(crate) applications: OnceLock<Pid>,
    start_failed: OnceLock<ApplicationFailed>,
    /// What `run` returns: whatever was first.
    ending: Mutex<Option<Reason>>,
    changed: Condvar,
}

#[expect(clippy::large_enum_variant, reason = "a runtime has one, and it is used at every turn")]
pub(crate) enum Scheduling {
    Workers(Scheduler),
    Simulated(SimulatedQueue),
}

/// How far a runtime is in its end.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum ShutdownStage {
    Up,
    /// Every process was asked to shut down.
    Asked,
    /// Every process was killed, and so are new ones.
    Killed,
}

impl Shared {
    pub(crate) fn new(config: Config, clock: Clock, scheduling: Scheduling) -> Arc<Self> {
        static NEXT_ID: AtomicU32 = AtomicU32::new(1);
        // Runtimes are numbered so that a pid of one is not taken for a pid of another.
        let id = NonZeroU32::new(NEXT_ID.fetch_add(1, Ordering::Relaxed))
            .expect("fewer than four billion runtimes");
        let start = clock.start();
        let blocking = Pool::new(config.max_blocking_threads);
        let shared = Arc::new(Self {
            id,
            config,
            table: Table::new(id),
            registry: Registry::new(),
            groups: Groups::default(),
            timers: Timers::new(start),
            blocking,
            telemetry: Telemetry::default(),
            tracer: Tracer::default(),
            driver_common: OnceLock::new(),
            clock,
            scheduling,
            references: AtomicU64::new(1),
            ended: CachePadded::default(),
            stage: AtomicU8::new(ShutdownStage::Up as u8),
            main: OnceLock::new(),
            applications: OnceLock::new(),
            start_failed: OnceLock::new(),
            ending: Mutex::new(None),
            changed: Condvar::new(),
        });
        lock(&RUNTIMES).push((id, Arc::downgrade(&shared)));
        shared
    }

    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(crate) fn handle(self: &Arc<Self>) -> Handle {
        Handle { shared: self.clone() }
    }

    pub(crate) fn system(&self) -> Pid {
        Pid::new(self.id, 0, Pid::SYSTEM)
    }

    pub(crate) fn scheduler(&self) -> Option<&Scheduler> {
        match &self.scheduling {
            Scheduling::Workers(scheduler) => Some(scheduler),
            Scheduling::Simulated(_) => None,
        }
    }

    pub(crate) fn simulated(&self) -> Option<&SimulatedQueue> {
        match &self.scheduling {
            Scheduling::Workers(_) => None,
            Scheduling::Simulated(queue) => Some(queue),
        }
    }

    /// Queues a process that has become ready.
    #[inline(always)]
    pub(crate) fn enqueue(&self, runnable: Option<Runnable>) {
        if let Some(runnable) = runnable {
            self.enqueue_runnable(runnable);
        }
    }

    #[inline(always)]
    fn enqueue_runnable(&self, runnable: Runnable) {
        match &self.scheduling {
            Scheduling::Workers(scheduler) => scheduler.schedule(self, runnable),
            Scheduling::Simulated(queue) => queue.push(runnable.0),
        }
    }

    pub(crate) fn install_driver(&self, worker: usize, driver: Box<dyn Driver>) -> std::io::Result<()> {
        match self.scheduler() {
            Some(scheduler) => {
                scheduler.install(worker, driver);
                Ok(())
            }
            None => Err(std::io::Error::new(
                std::io::ErrorKind::Unsupported,
                "a simulation has no world outside: use the in-memory transport",
            )),
        }
    }

    pub(crate) fn next_reference(&self) -> MonitorRef {
        MonitorRef(self.references.fetch_add(1, Ordering::Relaxed))
    }

    /// How many processes there are, or a few more while some end.
    pub(crate) fn live(&self) -> usize {
        let ended = self.ended.load(Ordering::SeqCst);
        (self.table.taken() - ended) as usize
    }

    pub(crate) fn live_removed(&self) {
        let ended = self.ended.fetch_add(1, Ordering::SeqCst) + 1;
        if ended == self.table.taken() {
            drop(lock(&self.ending));
            self.changed.notify_all();
        }
    }

    /// The first turn of a new process. One spawned while the runtime ends takes part in that.
    pub(crate) fn wake_new(&self, pid: Pid) {
        let slot = self.table.slot(pid.index());
        let runnable = slot.lock_for(pid).and_then(|mut core| {
            core.phase = Phase::Waiting;
            slot.wake(&mut core)
        });
        self.enqueue(runnable);
    }

    pub(crate) fn spawned(&self, pid: Pid) {
        let stage = self.stage.load(Ordering::SeqCst);
        if stage == ShutdownStage::Asked as u8 {
            self.exit(pid, self.system(), Reason::Shutdown);
        } else if stage == ShutdownStage::Killed as u8 {
            self.exit(pid, self.system(), Reason::Kill);
        }
    }

    pub(crate) fn process_exited(&self, pid: Pid, reason: &Reason) {
        if self.main.get() == Some(&pid) {
            self.shut_down(reason.clone());
        } else if self.applications.get() == Some(&pid) {
            // As a rule it was asked to; one that was killed takes all it has started along.
            self.shut_down(reason.clone());
            drop(lock(&self.ending));
            self.changed.notify_all();
        }
    }

    /// Starts the applications, if there are any, and then `main`.
    pub(crate) fn start<F>(self: &Arc<Self>, applications: Vec<Application>, main: F)
    where
        F: Future<Output: Outcome> + Send + 'static,
    {
        let body = Box::pin(ReasonOf { body: main });
        if applications.is_empty() {
            return self.spawn_root(SpawnOptions::new().label("main"), body, &self.main);
        }
        let shared = self.clone();
        self.spawn_applications(applications, move || {
            shared.spawn_root(SpawnOptions::new().label("main"), body, &shared.main);
        });
    }

    /// Starts a process without a parent, and notes its pid where its end is mailbox_scanned for, before it can run.
    pub(crate) fn spawn_root(self: &Arc<Self>, options: SpawnOptions, body: Body, slot: &OnceLock<Pid>) {
        let set = |pid| slot.set(pid).expect("there is one of its kind");
        let Ok(_) = self.spawn_with_hook(options, None, None, None, body, set) else {
            unreachable!("it asks for no name")
        };
    }

    pub(crate) fn start_failed(&self, failed: ApplicationFailed) {
        let _first = self.start_failed.set(failed);
    }

    /// What a runtime that has ended returns.
    pub(crate) fn outcome(&self, reason: Reason) -> Result<Reason, RunError> {
        match self.start_failed.get().cloned() {
            Some(ApplicationFailed { name, reason }) => Err(RunError::AppStart { name, reason }),
            None => Ok(reason),
        }
    }

    pub(crate) fn shut_down(&self, reason: Reason) {
        let mut ending = lock(&self.ending);
        if ending.is_none() {
            *ending = Some(reason);
            drop(ending);
            self.changed.notify_all();
        }
    }

    pub(crate) fn end_reason(&self) -> Option<Reason> {
        lock(&self.ending).clone()
    }

    /// Asks every process to shut down.
    pub(crate) fn ask_all(&self) {
        self.stage.store(ShutdownStage::Asked as u8, Ordering::SeqCst);
        for pid in self.processes() {
            self.exit(pid, self.system(), Reason::Shutdown);
        }
    }

    pub(crate) fn kill_all(&self) {
        self.stage.store(ShutdownStage::Killed as u8, Ordering::SeqCst);
        for pid in self.processes() {
            self.exit(pid, self.system(), Reason::Kill);
        }
    }

    pub(crate) fn wait_for_end(
        self: Arc<Self>,
        threads: Vec<std::thread::JoinHandle<()>>,
    ) -> Result<Reason, RunError> {
        let mut ending = lock(&self.ending);
        while ending.is_none() {
            ending = self.changed.wait(ending).unwrap_or_else(PoisonError::into_inner);
        }
        let reason = ending.clone().expect("it was just mailbox_scanned at");
        drop(ending);

        if let Some(applications) = self.stop_applications() {
            self.wait_until(None, || !self.is_present(applications));
        }
        self.ask_all();
        if !self.wait_until(Some(self.config.shutdown_timeout), || self.live() == 0) {
            self.kill_all();
        }
        let all_gone = self.wait_until(Some(self.config.kill_timeout), || self.live() == 0);
        self.stop();
        self.timers.clear();
        if !all_gone {
            return Err(RunError::Stuck(self.processes()));
        }
        if !self.blocking.close(self.config.kill_timeout) {
            tracing::warn!(target: "riot::blocking", "blocking work goes on after the end of its runtime");
        }
        for thread in threads {
            if thread.join().is_err() {
                std::process::abort();
            }
        }
        self.outcome(reason)
    }

    /// Waits for a change that brings `over` about; false if none does within `timeout`.
    fn wait_until(&self, timeout: Option<Duration>, over: impl Fn() -> bool) -> bool {
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        let mut ending = lock(&self.ending);
        while !over() {
            let Some(deadline) = deadline else {
                ending = self.changed.wait(ending).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            ending = self.changed.wait_timeout(ending, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    pub(crate) fn stop(&self) {
        if let Some(scheduler) = self.scheduler() {
            scheduler.stop();
        }
    }
}

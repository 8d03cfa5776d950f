//! The state that the parts of one runtime share.
//!
//! [`Shared`] is the hub: it owns every part, and a part reaches the others through it alone.

use std::{
    any::Any,
    num::NonZeroU32,
    sync::{
        Arc, Mutex, OnceLock, Weak,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Instant,
};

use tracing::Level;

use super::{
    application::Applications,
    blocking::Pool,
    config::Config,
    context,
    driver::Driver,
    extensions::Extensions,
    gave_up::GaveUpProcesses,
    handle::Handle,
    kernel::ancestry::Ancestry,
    kernel::inspection::Inspections,
    kernel::process::Runnable,
    kernel::table::ProcessTable,
    scheduler::{Scheduler, busy::BusyTimes},
    shutdown::Ending,
    simulation::SimulatedQueue,
};
use crate::{
    names::{group::Groups, registry::Registry},
    observe::{
        alarm::Alarms,
        crash_history::CrashHistory,
        repeats::{Repeated, Repeats, Verdict},
        telemetry::Telemetry,
        trace::Tracer,
    },
    process::{notice::MonitorRef, pid::Pid},
    sync::lock::lock,
    table::Tables,
    time::{clock::Clock, timers::Timers},
};

/// The runtimes that exist, to be found by id on threads that are not theirs.
static RUNTIMES: Mutex<Vec<(NonZeroU32, Weak<Shared>)>> = Mutex::new(Vec::new());

/// Returns the runtime with this id, unless it is gone.
pub(crate) fn find(id: NonZeroU32) -> Option<Arc<Shared>> {
    let runtimes = lock(&RUNTIMES);
    runtimes.iter().find(|(other, _)| *other == id)?.1.upgrade()
}

/// Shows `f` the runtime with this id, unless it is gone.
#[inline]
pub(crate) fn with_runtime<T>(id: u32, f: impl FnOnce(&Shared) -> T) -> Option<T> {
    context::with_local(|local| match local {
        Some(local) if local.shared.id.get() == id => Some(f(&local.shared)),
        _ => find(NonZeroU32::new(id)?).map(|shared| f(&shared)),
    })
}

/// Everything that the parts of one runtime share.
pub(crate) struct Shared {
    pub(crate) id: NonZeroU32,
    pub(crate) config: Config,
    pub(crate) table: ProcessTable,
    pub(crate) ancestry: Ancestry,
    pub(crate) registry: Registry,
    pub(crate) groups: Groups,
    pub(crate) tables: Tables,
    pub(crate) timers: Timers,
    pub(crate) blocking: Pool,
    pub(crate) telemetry: Telemetry,
    pub(crate) crash_history: CrashHistory,
    pub(crate) tracer: Tracer,
    pub(crate) repeats: Repeats,
    pub(crate) alarms: Alarms,
    pub(crate) busy_times: BusyTimes,
    pub(crate) inspections: Inspections,
    /// The value that the drivers of the workers share.
    pub(crate) driver_common: OnceLock<Arc<dyn Any + Send + Sync>>,
    pub(super) extensions: Extensions,
    pub(super) applications: Applications,
    pub(super) ending: Ending,
    pub(super) gave_up: GaveUpProcesses,
    /// The tokio runtime beside this one, if there is one.
    #[cfg(feature = "tokio")]
    pub(super) tokio: super::tokio::Tokio,
    clock: Clock,
    scheduling: Scheduling,
    references: AtomicU64,
}

#[expect(clippy::large_enum_variant, reason = "a runtime has one, and every poll slice uses it")]
pub(crate) enum Scheduling {
    Workers(Scheduler),
    Simulated(SimulatedQueue),
}

/// Returns an id that no other runtime of this program had or will have: pids and waits of a runtime that is
/// gone must not be taken for those of another one.
fn next_id() -> NonZeroU32 {
    static LAST_ID: AtomicU32 = AtomicU32::new(0);
    let last = LAST_ID.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| last.checked_add(1));
    let last = last.expect("fewer than four billion runtimes in one program");
    NonZeroU32::MIN.saturating_add(last)
}

impl Shared {
    pub(crate) fn new(config: Config, clock: Clock, scheduling: Scheduling) -> Arc<Self> {
        let id = next_id();
        let start = clock.start();
        let blocking = Pool::new(config.max_blocking_threads);
        let shared = Arc::new(Self {
            id,
            config,
            table: ProcessTable::new(id),
            ancestry: Ancestry::default(),
            registry: Registry::new(),
            groups: Groups::default(),
            tables: Tables::default(),
            timers: Timers::new(start),
            blocking,
            telemetry: Telemetry::default(),
            crash_history: CrashHistory::default(),
            tracer: Tracer::default(),
            repeats: Repeats::default(),
            alarms: Alarms::default(),
            busy_times: BusyTimes::default(),
            inspections: Inspections::default(),
            driver_common: OnceLock::new(),
            extensions: Extensions::default(),
            applications: Applications::default(),
            ending: Ending::default(),
            gave_up: GaveUpProcesses::default(),
            #[cfg(feature = "tokio")]
            tokio: super::tokio::Tokio::default(),
            clock,
            scheduling,
            references: AtomicU64::new(1),
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

    /// Returns the pid that stands for the runtime itself.
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

    /// Enqueues a process that has become runnable, if there is one. Must be called while no lock is held.
    #[inline]
    pub(crate) fn enqueue(&self, runnable: Option<Runnable>) {
        if let Some(runnable) = runnable {
            match &self.scheduling {
                Scheduling::Workers(scheduler) => scheduler.schedule(self, runnable),
                Scheduling::Simulated(queue) => queue.push(runnable.0),
            }
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

    /// Must be called after a timer was set. A worker that sets one looks at it before it sleeps; if a plain
    /// thread has set one, a worker that sleeps must look at it again.
    #[inline]
    pub(crate) fn timer_was_set(&self) {
        if !context::is_entered()
            && let Scheduling::Workers(scheduler) = &self.scheduling
        {
            std::hint::cold_path();
            scheduler.wake_one();
        }
    }

    /// Returns whether a line of the log is printed, and prints the count of those before it that were not.
    pub(crate) fn admits_line(
        &self,
        target: &'static str,
        level: Level,
        parent: Option<Pid>,
        text: &str,
    ) -> bool {
        let (verdict, due) = self.repeats.admit(self.now(), target, level, parent, text);
        due.into_iter().for_each(Repeated::print);
        verdict == Verdict::Print
    }

    /// Frees memory that a burst has left behind: of released processes, timers, names and groups that were
    /// not needed since the last call.
    pub(crate) fn trim(&self) {
        self.table.trim();
        self.sweep_ancestry();
        self.timers.trim();
        self.registry.trim();
        self.groups.trim();
    }

    /// Frees memory that waiting processes keep for more messages, links and monitors than they have.
    pub(crate) fn trim_processes(&self) {
        for (_, slot) in self.table.slots() {
            let spare = slot.take_spare_memory();
            drop(spare);
        }
    }

    /// Returns a number that was not given out before, for monitors and handlers.
    pub(crate) fn next_reference(&self) -> MonitorRef {
        MonitorRef(self.references.fetch_add(1, Ordering::Relaxed))
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        lock(&RUNTIMES).retain(|(id, _)| *id != self.id);
    }
}

//! The first processes of a runtime, and its end.

use std::{
    future::Future,
    sync::{
        Arc, Condvar, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use crossbeam_utils::CachePadded;

use super::{
    application::{Application, ApplicationFailed},
    config::RunError,
    context,
    kernel::{
        process::Body,
        spawn::{Origin, SpawnSpec},
    },
    shared::Shared,
};
use crate::{
    guard::stderr,
    process::{
        pid::Pid,
        reason::{Outcome, Reason},
        spawn::ReasonOf,
    },
    sync::lock::lock,
};

/// Shuts the runtime down: [`run`](crate::run()) returns `reason`, unless `main` has ended or another
/// shutdown came first. The caller goes on until it is asked to shut down like all others.
///
/// ```
/// # use riot_actor::{run, runtime::shutdown, spawn, Reason};
/// let reason = run(async {
///     spawn(async { shutdown(Reason::other("enough")) });
///     std::future::pending::<()>().await
/// });
/// assert_eq!(reason, Reason::other("enough"));
/// ```
///
/// # Panics
/// Panics outside a process.
pub fn shutdown(reason: Reason) {
    context::with_shared("shutdown", |shared| shared.shut_down(reason));
}

/// How long the end of a runtime waits for its last lines to be written to the standard error.
const LOG_FLUSH_TIMEOUT: Duration = Duration::from_millis(100);

/// How far a runtime is in its shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ShutdownStage {
    Up,
    /// Every process was asked to shut down, and new ones are.
    Announced,
    /// Every process was killed, and new ones are.
    Killed,
}

/// The state that decides when a runtime ends, and with which reason.
pub(super) struct Ending {
    /// How many processes were released.
    released: CachePadded<AtomicU64>,
    stage: AtomicU8,
    /// Is set before the process can run.
    main: OnceLock<Pid>,
    /// The process that starts and stops the applications, if there are any.
    pub(super) applications: OnceLock<Pid>,
    application_failed: OnceLock<ApplicationFailed>,
    /// The first reason to end, which `run` returns.
    reason: Mutex<Option<Reason>>,
    changed: Condvar,
}

impl Default for Ending {
    fn default() -> Self {
        Self {
            released: CachePadded::default(),
            stage: AtomicU8::new(ShutdownStage::Up as u8),
            main: OnceLock::new(),
            applications: OnceLock::new(),
            application_failed: OnceLock::new(),
            reason: Mutex::new(None),
            changed: Condvar::new(),
        }
    }
}

impl Ending {
    /// Tells the thread in `run` that something has changed.
    fn notify(&self) {
        drop(lock(&self.reason));
        self.changed.notify_all();
    }

    /// Waits until `is_over`. Returns false if it is not within `timeout`.
    fn wait_until(&self, timeout: Option<Duration>, is_over: impl Fn() -> bool) -> bool {
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        let mut reason = lock(&self.reason);
        while !is_over() {
            let Some(deadline) = deadline else {
                reason = self.changed.wait(reason).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            reason = self.changed.wait_timeout(reason, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

impl Shared {
    /// Starts the applications, if there are any, and then `main`.
    pub(crate) fn start<F>(self: &Arc<Self>, applications: Vec<Application>, main: F)
    where
        F: Future<Output: Outcome> + Send + 'static,
    {
        let body = Box::pin(ReasonOf { body: main });
        if applications.is_empty() {
            return self.spawn_root("main", false, body, &self.ending.main);
        }
        let shared = self.clone();
        self.spawn_applications(applications, move || {
            shared.spawn_root("main", false, body, &shared.ending.main);
        });
    }

    /// Starts a process without a parent and stores its pid before it can run.
    pub(super) fn spawn_root(
        self: &Arc<Self>,
        label: &'static str,
        trap_exit: bool,
        body: Body,
        pid: &OnceLock<Pid>,
    ) {
        let spec = SpawnSpec { label: Some(label.into()), trap_exit, ..SpawnSpec::default() };
        let store = |spawned| pid.set(spawned).expect("there is one of its kind");
        self.spawn_unnamed(spec, Origin::default(), body, store);
    }

    /// Returns how many processes there are, or a few more while some are released.
    pub(crate) fn live(&self) -> usize {
        let released = self.ending.released.load(Ordering::SeqCst);
        (self.table.taken() - released) as usize
    }

    /// Counts a process that was released.
    pub(crate) fn live_removed(&self) {
        let released = self.ending.released.fetch_add(1, Ordering::SeqCst) + 1;
        if released == self.table.taken() {
            self.ending.notify();
        }
    }

    /// Handles a new process: one that is spawned during a shutdown takes part in it.
    pub(crate) fn spawned(&self, pid: Pid) {
        let stage = self.ending.stage.load(Ordering::SeqCst);
        if stage == ShutdownStage::Announced as u8 {
            self.exit(pid, self.system(), Reason::Shutdown);
        } else if stage == ShutdownStage::Killed as u8 {
            self.exit(pid, self.system(), Reason::Kill);
        }
    }

    /// Handles the exit of a process: that of `main` or of the applications shuts the runtime down.
    pub(crate) fn process_exited(&self, pid: Pid, reason: &Reason) {
        if self.ending.main.get() == Some(&pid) {
            self.shut_down(reason.clone());
        } else if self.ending.applications.get() == Some(&pid) {
            // As a rule it was asked to exit. If it was killed, all that it has started goes with it.
            self.shut_down(reason.clone());
            self.ending.notify();
        }
    }

    pub(super) fn application_failed(&self, failed: ApplicationFailed) {
        let _first = self.ending.application_failed.set(failed);
    }

    /// Returns what `run` returns for a runtime that has ended.
    pub(super) fn outcome(&self, reason: Reason) -> Result<Reason, RunError> {
        match self.ending.application_failed.get().cloned() {
            Some(ApplicationFailed { name, reason }) => Err(RunError::AppStart { name, reason }),
            None => Ok(reason),
        }
    }

    pub(crate) fn shut_down(&self, reason: Reason) {
        let mut ending = lock(&self.ending.reason);
        if ending.is_none() {
            *ending = Some(reason);
            drop(ending);
            self.ending.changed.notify_all();
        }
    }

    pub(super) fn end_reason(&self) -> Option<Reason> {
        lock(&self.ending.reason).clone()
    }

    /// Asks every process to shut down.
    pub(super) fn ask_all(&self) {
        self.ending.stage.store(ShutdownStage::Announced as u8, Ordering::SeqCst);
        for pid in self.processes() {
            self.exit(pid, self.system(), Reason::Shutdown);
        }
    }

    pub(super) fn kill_all(&self) {
        self.ending.stage.store(ShutdownStage::Killed as u8, Ordering::SeqCst);
        for pid in self.processes() {
            self.exit(pid, self.system(), Reason::Kill);
        }
    }

    /// Waits for the first reason to end, and ends the runtime: applications first, then all processes, then
    /// its threads.
    pub(super) fn wait_for_end(self: Arc<Self>, threads: Vec<JoinHandle<()>>) -> Result<Reason, RunError> {
        let ending = &self.ending;
        let reason = {
            let mut reason = lock(&ending.reason);
            loop {
                if let Some(reason) = &*reason {
                    break reason.clone();
                }
                reason = ending.changed.wait(reason).unwrap_or_else(PoisonError::into_inner);
            }
        };
        if let Some(applications) = self.stop_applications() {
            ending.wait_until(None, || !self.is_present(applications));
        }
        self.ask_all();
        if !ending.wait_until(Some(self.config.shutdown_timeout), || self.live() == 0) {
            self.kill_all();
        }
        let all_gone = ending.wait_until(Some(self.config.kill_timeout), || self.live() == 0);
        self.stop_workers();
        self.timers.clear();
        if !all_gone {
            stderr::flush(LOG_FLUSH_TIMEOUT);
            return Err(RunError::Stuck(self.processes()));
        }
        if !self.blocking.close(self.config.kill_timeout) {
            crate::log_event!(WARN, "riot::blocking", "blocking work goes on after the end of its runtime");
        }
        for thread in threads {
            if thread.join().is_err() {
                std::process::abort();
            }
        }
        stderr::flush(LOG_FLUSH_TIMEOUT);
        self.outcome(reason)
    }

    pub(super) fn stop_workers(&self) {
        if let Some(scheduler) = self.scheduler() {
            scheduler.stop();
        }
    }
}

//! The first processes of a runtime, and its end.

use std::{
    collections::HashMap,
    fmt::Write as _,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Condvar, Mutex, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use crossbeam_utils::CachePadded;

use super::{
    application::{Application, ApplicationFailed},
    config::RunError,
    context,
    kernel::{
        exit_hooks::OnExit,
        observed::TypedBody,
        spawn::{Origin, SpawnSpec},
    },
    shared::Shared,
    threads::Threads,
};
use crate::{
    guard::{
        self, log,
        stderr::{self, LOG_FLUSH_TIMEOUT},
        text::printable,
    },
    observe::repeats::Repeated,
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

/// Returns a future that is ready once the shutdown of the runtime has begun, whatever its cause. Processes
/// are asked to stop after that, in the order that [`Config::stop_timeout`](super::Config::stop_timeout)
/// describes.
///
/// ```
/// # use riot_actor::{Reason, run, runtime::{shutdown, shutdown_signal}, spawn};
/// let reason = run(async {
///     spawn(async { shutdown(Reason::other("enough")) });
///     shutdown_signal().await;
///     Reason::Normal                                    // the first reason stands
/// });
/// assert_eq!(reason, Reason::other("enough"));
/// ```
///
/// # Panics
/// Panics outside a process.
#[must_use = "it has to be awaited to wait"]
pub fn shutdown_signal() -> ShutdownSignal {
    let shared = context::with_shared("shutdown_signal", Arc::downgrade);
    ShutdownSignal { shared, key: None }
}

/// Returns the bound of the time that a shutdown leaves to applications and process trees, which
/// [`Config::stop_timeout`](super::Config::stop_timeout) sets.
///
/// ```
/// # use std::time::Duration;
/// # use riot_actor::{run, runtime::stop_timeout};
/// run(async { assert_eq!(stop_timeout(), Duration::from_secs(60)) });
/// ```
///
/// # Panics
/// Panics outside a process.
#[must_use]
pub fn stop_timeout() -> Duration {
    context::with_shared("stop_timeout", |shared| shared.config.stop_timeout)
}

/// Returns whether every application of the runtime has started, so that `main` has begun.
///
/// ```
/// # use riot_actor::{run, runtime::applications_started};
/// run(async { assert!(applications_started()) });
/// ```
///
/// # Panics
/// Panics outside a process.
#[must_use]
pub fn applications_started() -> bool {
    context::with_shared("applications_started", |shared| shared.ending.main.get().is_some())
}

/// The future of [`shutdown_signal`]. Clones may be awaited anywhere.
#[derive(Debug)]
#[must_use = "it has to be awaited to wait"]
pub struct ShutdownSignal {
    shared: Weak<Shared>,
    /// The key of its waker.
    key: Option<u64>,
}

impl Clone for ShutdownSignal {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), key: None }
    }
}

impl Future for ShutdownSignal {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // A runtime that is gone has been shut down.
        let Some(shared) = self.shared.upgrade() else { return Poll::Ready(()) };
        let waker = cx.waker().clone();
        let key = *self.key.get_or_insert_with(|| shared.next_reference().0);
        let before = lock(&shared.ending.waiting).insert(key, waker);
        drop(before);
        // The reason is set before the wakers are taken, so one of the two is seen.
        if shared.end_reason().is_none() {
            return Poll::Pending;
        }
        let registered = lock(&shared.ending.waiting).remove(&key);
        drop(registered);
        Poll::Ready(())
    }
}

impl Drop for ShutdownSignal {
    fn drop(&mut self) {
        if let (Some(key), Some(shared)) = (self.key, self.shared.upgrade()) {
            let registered = lock(&shared.ending.waiting).remove(&key);
            drop(registered);
        }
    }
}

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
    /// The wakers of those that wait for the beginning of the shutdown.
    waiting: Mutex<HashMap<u64, Waker>>,
    /// The runtime has ended: no process runs any more.
    is_over: AtomicBool,
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
            waiting: Mutex::default(),
            is_over: AtomicBool::new(false),
        }
    }
}

impl Ending {
    /// Tells the thread in `run` that something has changed.
    fn notify(&self) {
        drop(lock(&self.reason));
        self.changed.notify_all();
    }
}

/// Waiting for processes to end, as the kind of the runtime does it.
pub(super) trait EndWaiter {
    /// Waits until `is_over`, for `timeout` at most, and returns whether it is.
    fn until(&mut self, timeout: Duration, is_over: &dyn Fn() -> bool) -> bool;

    /// Emits a warning.
    fn warn(&mut self, warning: String);
}

/// A thread waits.
struct ThreadWaits<'a>(&'a Arc<Shared>);

impl EndWaiter for ThreadWaits<'_> {
    fn until(&mut self, timeout: Duration, is_over: &dyn Fn() -> bool) -> bool {
        let ending = &self.0.ending;
        let began = Instant::now();
        let mut reason = lock(&ending.reason);
        while !is_over() {
            let left = timeout.saturating_sub(began.elapsed());
            if left.is_zero() {
                return false;
            }
            reason = ending.changed.wait_timeout(reason, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn warn(&mut self, warning: String) {
        self.0.report(warning);
    }
}

/// Wakes the thread that waits for the end of a process.
struct NotifyEnd(Weak<Shared>);

impl OnExit for NotifyEnd {
    fn exited(&self, _: &Reason) {
        if let Some(shared) = self.0.upgrade() {
            shared.ending.notify();
        }
    }

    fn is_cancelled(&self) -> bool {
        false
    }
}

/// The place of a process among its ancestors.
struct TreeOf {
    stops_its_children: bool,
    parent: Option<Pid>,
    nth: u64,
}

impl Shared {
    /// Starts the applications, if there are any, and then `main`.
    pub(crate) fn start<F>(self: &Arc<Self>, applications: Vec<Application>, main: F)
    where
        F: Future<Output: Outcome> + Send + 'static,
    {
        let body = ReasonOf::typed(main);
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
        body: TypedBody,
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

    /// Returns whether a process is `main`.
    pub(crate) fn is_main(&self, pid: Pid) -> bool {
        self.ending.main.get() == Some(&pid)
    }

    /// Says that `main` ends by a link, which shows nowhere else if the reason is clean: the exit code is 0.
    #[cold]
    pub(crate) fn link_ends_main(&self, from: Pid, reason: &Reason) {
        if reason.is_clean() && lock(&self.ending.reason).is_none() {
            crate::log_event!(
                WARN,
                "riot::runtime",
                "`main` is ended by its link to {from}, before its body has returned: {reason}"
            );
        }
    }

    /// Handles the exit of a process: that of `main` or of the applications shuts the runtime down.
    #[inline]
    pub(crate) fn process_exited(&self, pid: Pid, reason: &Reason) {
        let Ending { main, applications, .. } = &self.ending;
        if main.get() == Some(&pid) || applications.get() == Some(&pid) {
            self.process_exited_slow(pid, reason);
        }
    }

    #[cold]
    fn process_exited_slow(&self, pid: Pid, reason: &Reason) {
        if self.is_main(pid) {
            self.shut_down(self.reason_of_end(pid, reason));
        } else {
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
            let waiting = std::mem::take(&mut *lock(&self.ending.waiting));
            waiting.into_values().for_each(guard::wake);
        }
    }

    pub(super) fn end_reason(&self) -> Option<Reason> {
        lock(&self.ending.reason).clone()
    }

    /// Returns the processes as text, each with its label: the first hundred.
    fn labelled_processes(&self) -> String {
        const MAX_LISTED: usize = 100;
        let processes = self.processes();
        let label = |pid: Pid| self.table.of(pid)?.lock_for(pid)?.label.clone();
        let listed = processes.iter().take(MAX_LISTED).map(|pid| match label(*pid) {
            Some(label) => format!("{pid} {label}"),
            None => pid.to_string(),
        });
        let mut text = listed.collect::<Vec<_>>().join(", ");
        if let Some(more) = processes.len().checked_sub(MAX_LISTED).filter(|more| *more > 0) {
            let _ = write!(text, " and {more} more");
        }
        text
    }

    /// Asks every process to shut down.
    fn ask_all(&self) {
        self.ending.stage.store(ShutdownStage::Announced as u8, Ordering::SeqCst);
        for pid in self.processes() {
            self.exit(pid, self.system(), Reason::Shutdown);
        }
    }

    fn kill_all(&self) {
        self.ending.stage.store(ShutdownStage::Killed as u8, Ordering::SeqCst);
        for pid in self.processes() {
            self.exit(pid, self.system(), Reason::Kill);
        }
    }

    /// Ends all processes: applications, then trees, then all others. Returns whether all have ended.
    ///
    /// `wait` waits until a condition holds, for some time at most, and returns whether it does.
    pub(super) fn end_processes(self: &Arc<Self>, wait: &mut dyn EndWaiter) -> bool {
        if !self.stop_trees(wait) {
            let left = printable(self.labelled_processes());
            let stop_timeout = self.config.stop_timeout;
            wait.warn(format!(
                "applications and supervisors have not stopped within {stop_timeout:?}; left: {left}"
            ));
        }
        self.ask_all();
        let is_over = || self.live() == 0;
        if !wait.until(self.config.shutdown_timeout, &is_over) {
            self.kill_all();
        }
        wait.until(self.config.kill_timeout, &is_over)
    }

    /// Stops the applications, and then the processes that stop their children. Returns whether they have
    /// ended in time.
    fn stop_trees(self: &Arc<Self>, wait: &mut dyn EndWaiter) -> bool {
        let began = self.now();
        let left = || self.config.stop_timeout.saturating_sub(self.now().saturating_duration_since(began));
        if let Some(applications) = self.stop_applications()
            && !wait.until(left(), &|| !self.is_present(applications))
        {
            return false;
        }
        loop {
            // A tree that an ended one has left behind has no living ancestor any more.
            let roots = self.roots();
            if roots.is_empty() {
                return true;
            }
            for root in roots {
                // The end of the process wakes the thread that waits.
                let _has_ended = self.on_exit(root, Arc::new(NotifyEnd(Arc::downgrade(self))));
                self.exit(root, self.system(), Reason::Shutdown);
                if !wait.until(left(), &|| !self.is_present(root)) {
                    return false;
                }
            }
        }
    }

    /// Returns the processes that stop their children and have no living ancestor of the kind, the last
    /// started first.
    fn roots(&self) -> Vec<Pid> {
        let is_below_another = |mut parent: Option<Pid>| {
            while let Some(tree) = parent.and_then(|ancestor| self.tree_of(ancestor)) {
                if tree.stops_its_children {
                    return true;
                }
                parent = tree.parent;
            }
            false
        };
        let all = self.processes().into_iter().filter_map(|pid| Some((pid, self.tree_of(pid)?)));
        let is_root = |tree: &TreeOf| tree.stops_its_children && !is_below_another(tree.parent);
        let mut roots: Vec<_> = all.filter(|(_, tree)| is_root(tree)).collect();
        roots.sort_unstable_by_key(|(_, tree)| std::cmp::Reverse(tree.nth));
        roots.into_iter().map(|(pid, _)| pid).collect()
    }

    /// Returns whether the process was spawned by one that stops its children.
    pub(crate) fn is_below_supervisor(&self, pid: Pid) -> bool {
        let parent = self.tree_of(pid).and_then(|tree| tree.parent);
        parent.and_then(|parent| self.tree_of(parent)).is_some_and(|tree| tree.stops_its_children)
    }

    fn tree_of(&self, pid: Pid) -> Option<TreeOf> {
        let core = self.table.of(pid)?.lock_for(pid)?;
        let others = core.relations.as_ref().and_then(|relations| relations.others.as_ref());
        Some(TreeOf {
            stops_its_children: others.is_some_and(|others| others.stops_its_children),
            parent: core.parent.in_runtime_of(pid),
            nth: core.nth,
        })
    }

    /// Waits for the first reason to end, and ends the runtime: its processes and then its threads.
    pub(super) fn wait_for_end(self: Arc<Self>, threads: &Threads) -> Result<Reason, RunError> {
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
        let began = Instant::now();
        let all_gone = self.end_processes(&mut ThreadWaits(&self));
        self.stop_workers();
        self.print_repeats();
        if !all_gone {
            let left = self.processes();
            self.blocking.close(Duration::ZERO);
            #[cfg(feature = "tokio")]
            self.shut_tokio_down(Duration::ZERO);
            threads.join(1, LOG_FLUSH_TIMEOUT);
            stderr::flush(LOG_FLUSH_TIMEOUT);
            // Bodies and messages that are left belong to processes that never end: they are never dropped.
            std::mem::forget(self);
            return Err(RunError::Stuck(left));
        }
        self.end_for_handles();
        self.timers.clear();
        // Whatever ended late has taken of the time of what comes next.
        let left = || self.config.kill_timeout.min(self.config.end_timeout().saturating_sub(began.elapsed()));
        if !self.blocking.close(left()) {
            self.report("blocking work goes on after the end of its runtime".into());
        }
        #[cfg(feature = "tokio")]
        if !self.shut_tokio_down(self.config.tokio.shutdown_timeout) {
            self.report("blocking tasks of tokio go on after the end of their runtime".into());
        }
        if !threads.join(0, left()) {
            self.report("a thread of the runtime goes on after its end".into());
        }
        // Handles keep the rest of the runtime.
        if let Some(scheduler) = self.scheduler() {
            scheduler.remove_drivers();
        }
        stderr::flush(LOG_FLUSH_TIMEOUT);
        self.outcome(reason)
    }

    /// Returns whether the runtime has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.ending.is_over.load(Ordering::SeqCst)
    }

    /// Ends the waits of handles for processes that were started too late and will never run.
    fn end_for_handles(&self) {
        self.ending.is_over.store(true, Ordering::SeqCst);
        for pid in self.processes() {
            let hooks = self.detach_relation(pid, |relations| std::mem::take(&mut relations.exit_hooks));
            hooks.into_iter().for_each(|hooks| hooks.call_all(self, &Reason::NoProc));
        }
    }

    fn report(self: &Arc<Self>, warning: String) {
        self.emit(move || crate::log_event!(WARN, "riot::shutdown", "{warning}"));
    }

    /// Prints the counts of lines that were not printed.
    fn print_repeats(self: &Arc<Self>) {
        let due = self.repeats.take_due(self.now(), true);
        if !due.is_empty() {
            self.emit(move || due.into_iter().for_each(Repeated::print));
        }
    }

    /// Calls `emit` on a thread of its own: a subscriber that blocks holds the end of the runtime up for
    /// 100 ms at most.
    fn emit(self: &Arc<Self>, emit: impl FnOnce() + Send + 'static) {
        let default_log = self.config.default_log;
        let emit = move || log::without_default_unless(default_log, emit);
        let reporting = Threads::default();
        if reporting.start("riot-report", emit).is_ok() {
            reporting.join(0, LOG_FLUSH_TIMEOUT);
        }
    }

    pub(super) fn stop_workers(&self) {
        if let Some(scheduler) = self.scheduler() {
            scheduler.stop();
        }
    }
}

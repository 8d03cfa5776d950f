//! The settings of a runtime, and running one.

use std::{
    fmt,
    future::Future,
    io::{self, Write as _},
    process::{ExitCode, Termination as _},
    sync::{Arc, Mutex},
    time::Duration,
};

#[cfg(all(unix, feature = "signals"))]
use super::os_signals::Listener;
use super::{
    application::Application,
    context::{self, Local},
    handle::Handle,
    scheduler::{self, LocalQueue, Scheduler},
    shared::{Scheduling, Shared},
    threads::Threads,
};
use crate::{
    guard::{Contained, panic::install_hook},
    observe::crash_report::CrashReport,
    process::{
        pid::Pid,
        reason::{Outcome, Reason},
    },
    sync::lock::lock,
    time::clock::Clock,
};

/// The exit code of a program whose processes do not give way (sysexits.h: `EX_SOFTWARE`).
const EXIT_STUCK: u8 = 70;

type CrashHook = Box<dyn Fn(&CrashReport) + Send + Sync>;

/// Runs `main` as the first process, on one worker per core, and returns its exit reason.
///
/// All other processes have exited by then: when `main` exits, supervisors are asked to shut down and waited
/// for, then all others, which are killed after five seconds; see [`Config::stop_timeout`].
///
/// A program whose `fn main` returns the reason has exit code 0 if the reason [is clean](Reason::is_clean),
/// else 1, and the reason on the standard error. [`Config`] has settings, such as a clean end by SIGTERM
/// (`stop_on_signals`).
///
/// ```
/// use riot_actor::{receive, run, send, spawn, this, Reason};
/// let reason = run(async {
///     let parent = this();
///     spawn(async move { send(parent, 42) });
///     assert_eq!(receive::<i32>().await, 42);
/// });
/// assert_eq!(reason, Reason::Normal);
/// ```
///
/// # Panics
/// Panics where [`Config::run`] returns an error.
pub fn run<F>(main: F) -> Reason
where
    F: Future<Output: Outcome> + Send + 'static,
{
    Config::new().run(main).unwrap_or_else(|error| panic!("riot_actor::run: {error}"))
}

/// The settings of a runtime.
///
/// ```
/// # use riot_actor::runtime::Config;
/// let reason = Config::new().workers(2).run(async {})?;
/// # Ok::<(), riot_actor::runtime::RunError>(())
/// ```
#[must_use = "nothing runs before `run`"]
pub struct Config {
    workers: usize,
    pub(super) stop_timeout: Duration,
    pub(super) shutdown_timeout: Duration,
    pub(super) kill_timeout: Duration,
    pub(crate) long_schedule: Duration,
    pub(super) max_blocking_threads: usize,
    pub(crate) on_crash: Option<Contained<CrashHook>>,
    pub(crate) default_log: bool,
    #[cfg(all(unix, feature = "signals"))]
    signals: bool,
    #[cfg(feature = "tokio")]
    pub(super) tokio: super::tokio_config::TokioConfig,
    /// Until the runtime starts. It keeps the other settings for as long as it lives, where all its threads
    /// see them.
    applications: Mutex<Vec<Application>>,
}

impl Config {
    /// The default settings.
    pub fn new() -> Self {
        Self {
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            stop_timeout: Duration::from_secs(60),
            shutdown_timeout: Duration::from_secs(5),
            kill_timeout: Duration::from_secs(30),
            long_schedule: Duration::from_millis(100),
            max_blocking_threads: 64,
            on_crash: None,
            default_log: true,
            #[cfg(all(unix, feature = "signals"))]
            signals: false,
            #[cfg(feature = "tokio")]
            tokio: super::tokio_config::TokioConfig::new(),
            applications: Mutex::default(),
        }
    }

    /// Sets how many threads run processes; one per core by default.
    ///
    /// # Panics
    /// Panics if `workers` is zero or more than 65 536.
    pub fn workers(mut self, workers: usize) -> Self {
        assert!(workers > 0, "a runtime needs at least one worker");
        assert!(workers <= 1 << 16, "a runtime has at most 65536 workers");
        self.workers = workers;
        self
    }

    /// Sets how long applications and supervisors have to stop when the runtime shuts down; 60 s by default.
    ///
    /// A shutdown, whether by a signal, by [`shutdown`](crate::runtime::shutdown) or by the end of `main`,
    /// has three steps:
    ///
    /// 1. Applications stop in reverse order.
    /// 2. Every supervisor, or other process that [stops its
    ///    children](crate::process::SpawnOptions::stops_its_children), without an ancestor of the kind is
    ///    asked to shut down and waited for, the last started first. So a server drains by itself, with its
    ///    own timeout, wherever it was started.
    /// 3. All other processes are asked to shut down, and killed after
    ///    [`shutdown_timeout`](Self::shutdown_timeout).
    ///
    /// Steps 1 and 2 together take this time at most; a warning names what had not ended by then. `run`
    /// returns within the sum of this, `shutdown_timeout` and [`kill_timeout`](Self::kill_timeout), and some
    /// 100 ms for its last lines, whatever is stuck: a process, a subscriber of the log, blocking work.
    pub fn stop_timeout(mut self, timeout: Duration) -> Self {
        self.stop_timeout = timeout;
        self
    }

    /// Sets how long processes that belong to no supervisor have to exit when the runtime shuts down, before
    /// they are killed; 5 s by default. See [`stop_timeout`](Self::stop_timeout) for the order.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = timeout;
        self
    }

    /// Sets how long a killed process may go on without giving way, and work of
    /// [`blocking`](crate::runtime::blocking()) after the last process, before `run` returns without it; 30 s
    /// by default.
    pub fn kill_timeout(mut self, timeout: Duration) -> Self {
        self.kill_timeout = timeout;
        self
    }

    /// Sets how long a process may run without giving way before that is reported, once; 100 ms by default.
    pub fn long_schedule(mut self, timeout: Duration) -> Self {
        self.long_schedule = timeout;
        self
    }

    /// Sets how many [`blocking`](crate::runtime::blocking()) calls may run at once; 64 by default.
    ///
    /// # Panics
    /// Panics if `threads` is zero.
    pub fn max_blocking_threads(mut self, threads: usize) -> Self {
        assert!(threads > 0, "blocking work needs at least one thread");
        self.max_blocking_threads = threads;
        self
    }

    /// Sets a hook that is called with every crash report, on the worker where the process exited. It must
    /// not block.
    ///
    /// Processes that others have ended are reported as well, such as the acceptors of a server that stops;
    /// an alarm leaves out those whose report is [`by_signal`](CrashReport::by_signal).
    ///
    /// ```
    /// # use std::sync::mpsc;
    /// # use riot_actor::{process::wait, runtime::Config, spawn, Reason};
    /// let (tell, told) = mpsc::channel();
    /// let config = Config::new().on_crash(move |report| tell.send(report.reason.clone()).unwrap());
    /// config.run(async { wait(spawn(async { Reason::other("broken") })).await; })?;
    /// assert_eq!(told.recv(), Ok(Reason::other("broken")));
    /// # Ok::<(), riot_actor::runtime::RunError>(())
    /// ```
    pub fn on_crash(mut self, hook: impl Fn(&CrashReport) + Send + Sync + 'static) -> Self {
        self.on_crash = Some(Contained::new(Box::new(hook)));
        self
    }

    /// Keeps warnings and crash reports off the standard error where no `tracing` subscriber is set. By
    /// default they are written there, 10 lines a second at most, by a thread of their own that nothing waits
    /// for.
    pub fn without_default_log(mut self) -> Self {
        self.default_log = false;
        self
    }

    /// Has SIGINT and SIGTERM shut the runtime down with [`Reason::Shutdown`]. Off by default; needs the
    /// feature `signals` of this crate.
    ///
    /// A second signal, whichever of the two it is, ends the program at once, with exit code 130 or 143. When
    /// no runtime listens any more the signals do again what they do in any program.
    #[cfg(all(unix, feature = "signals"))]
    #[cfg_attr(docsrs, doc(cfg(feature = "signals")))]
    pub fn stop_on_signals(mut self) -> Self {
        self.signals = true;
        self
    }

    /// Adds an application. Applications start before `main`, in the order in which they were added; when the
    /// runtime shuts down they are stopped in reverse order, before all other processes are asked to exit.
    pub fn application(self, application: Application) -> Self {
        lock(&self.applications).push(application);
        self
    }

    /// Returns how long the end of a runtime takes at most.
    pub(super) fn end_timeout(&self) -> Duration {
        self.stop_timeout.saturating_add(self.shutdown_timeout).saturating_add(self.kill_timeout)
    }

    pub(super) fn take_applications(&self) -> Vec<Application> {
        std::mem::take(&mut lock(&self.applications))
    }

    /// Runs `main`, and returns the exit code of the program: 0 after a clean end, 1 after any other, 70 if
    /// processes did not give way ([`RunError::Stuck`]). The cause is printed on the standard error.
    ///
    /// ```no_run
    /// use std::process::ExitCode;
    /// use riot_actor::runtime::Config;
    ///
    /// fn main() -> ExitCode {
    ///     Config::new().main(async { println!("hello") })
    /// }
    /// ```
    pub fn main<F>(self, main: F) -> ExitCode
    where
        F: Future<Output: Outcome> + Send + 'static,
    {
        match self.run(main) {
            Ok(reason) => reason.report(),
            Err(error) => {
                crate::process::reason::print_end(&error);
                let is_stuck = matches!(error, RunError::Stuck(_));
                if is_stuck { ExitCode::from(EXIT_STUCK) } else { ExitCode::FAILURE }
            }
        }
    }

    /// Runs the applications until the runtime is shut down, and returns the exit code, as
    /// [`main`](Self::main) does.
    ///
    /// ```no_run
    /// use std::process::ExitCode;
    /// use riot_actor::{Pid, Reason, process::spawn, runtime::{Application, Config}};
    ///
    /// fn main() -> ExitCode {
    ///     let start = || async { Ok::<Pid, Reason>(spawn(std::future::pending::<()>())) };
    ///     // `stop_on_signals`, of the feature `signals`, ends it in order.
    ///     Config::new().application(Application::new("service", start)).run_forever()
    /// }
    /// ```
    pub fn run_forever(self) -> ExitCode {
        self.main(std::future::pending::<()>())
    }

    /// Runs `main`, as [`run`] does, with these settings.
    ///
    /// # Errors
    /// See [`RunError`].
    pub fn run<F>(self, main: F) -> Result<Reason, RunError>
    where
        F: Future<Output: Outcome> + Send + 'static,
    {
        self.run_telling(main, |_| ())
    }

    /// Runs `main`, and tells `started` the handle.
    pub(super) fn run_telling<F>(self, main: F, started: impl FnOnce(Handle)) -> Result<Reason, RunError>
    where
        F: Future<Output: Outcome> + Send + 'static,
    {
        check_can_run()?;
        let (scheduler, queues) = Scheduler::new(self.workers);
        let applications = self.take_applications();
        let shared = Shared::new(self, Clock::real(), Scheduling::Workers(scheduler));
        #[cfg(all(unix, feature = "signals"))]
        let _listening =
            shared.config.signals.then(|| Listener::start(&shared)).transpose().map_err(RunError::Signals)?;
        #[cfg(feature = "tokio")]
        shared.start_tokio().map_err(RunError::Thread)?;
        let threads = Threads::default();
        if let Err(error) = shared.start_threads(&threads, queues) {
            // None of them has run a process yet.
            shared.stop_workers();
            threads.join(0, shared.config.kill_timeout);
            #[cfg(feature = "tokio")]
            shared.shut_tokio_down(Duration::ZERO);
            return Err(RunError::Thread(error));
        }
        shared.start(applications, main);
        started(shared.handle());
        shared.wait_for_end(&threads)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("workers", &self.workers)
            .field("stop_timeout", &self.stop_timeout)
            .field("shutdown_timeout", &self.shutdown_timeout)
            .field("kill_timeout", &self.kill_timeout)
            .field("long_schedule", &self.long_schedule)
            .field("applications", &lock(&self.applications))
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// Starts the watchdog and the workers, which find nothing to run yet.
    fn start_threads(self: &Arc<Self>, threads: &Threads, queues: Vec<LocalQueue>) -> io::Result<()> {
        let shared = self.clone();
        threads.start("riot-watchdog", move || scheduler::run_watchdog(&shared))?;
        for (worker, queue) in queues.into_iter().enumerate() {
            let shared = self.clone();
            threads.start(&format!("riot-{worker}"), move || {
                // A worker that is lost takes its processes with it: better to end loudly.
                let bomb = AbortOnPanic;
                scheduler::run_worker(Local::new(shared, worker, queue));
                std::mem::forget(bomb);
            })?;
        }
        Ok(())
    }
}

pub(super) fn check_can_run() -> Result<(), RunError> {
    if context::is_entered() {
        return Err(RunError::NestedRuntime);
    }
    if cfg!(panic = "abort") {
        return Err(RunError::PanicAborts);
    }
    install_hook();
    Ok(())
}

/// Why a runtime did not run, or could not be ended.
///
/// ```
/// # use riot_actor::{run, runtime::{Config, RunError}};
/// run(async {
///     assert!(matches!(Config::new().run(async {}), Err(RunError::NestedRuntime)));
/// });
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum RunError {
    /// `run` was called from inside a process. Spawn instead; a second runtime needs a thread of its own.
    NestedRuntime,
    /// The program is built with `panic = "abort"`, so no panic could be contained.
    PanicAborts,
    /// An application did not start, so `main` never ran; the applications that had started were stopped.
    AppStart {
        /// The application.
        name: String,
        /// Why it did not start.
        reason: Reason,
    },
    /// The system does not let the program listen for signals.
    #[cfg(all(unix, feature = "signals"))]
    Signals(std::io::Error),
    /// The system refused a thread.
    Thread(std::io::Error),
    /// A simulation cannot have tokio beside it.
    #[cfg(feature = "tokio")]
    TokioInSimulation,
    /// Some processes were killed and did not give way; their threads were left behind.
    Stuck(Vec<Pid>),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NestedRuntime => f.write_str("a runtime cannot be started from inside a process"),
            Self::PanicAborts => {
                f.write_str("processes need unwinding, and this program is built with panic=abort")
            }
            Self::AppStart { name, reason } => write!(f, "the application {name} did not start: {reason}"),
            #[cfg(all(unix, feature = "signals"))]
            Self::Signals(error) => {
                write!(f, "the system does not let the program listen for signals: {error}")
            }
            Self::Thread(error) => write!(f, "the system refused a thread: {error}"),
            #[cfg(feature = "tokio")]
            Self::TokioInSimulation => {
                f.write_str("a simulation has no world outside, and no tokio: use riot_socket::memory")
            }
            Self::Stuck(pids) => write!(f, "these processes do not give way and cannot be ended: {pids:?}"),
        }
    }
}

impl std::error::Error for RunError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            #[cfg(all(unix, feature = "signals"))]
            Self::Signals(error) => Some(error),
            Self::Thread(error) => Some(error),
            _ => None,
        }
    }
}

struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        let _ = io::stderr().write_all(b"riot_actor: a worker panicked; this is a bug in the runtime\n");
        std::process::abort();
    }
}

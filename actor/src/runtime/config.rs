//! What a runtime is made of, and running one.

use std::{fmt, future::Future, sync::Mutex, time::Duration};

use crate::{
    observe::crash_report::CrashReport,
    process::{
        pid::Pid,
        reason::{Outcome, Reason},
    },
    runtime::{
        application::Application,
        context::{self, Local},
        scheduler::{self, Scheduler},
        shared::{Scheduling, Shared},
    },
    sync::lock::lock,
    time::clock::Clock,
};

#[cfg(all(unix, feature = "signals"))]
use crate::runtime::os_signals::Listener;

type CrashHook = Box<dyn Fn(&CrashReport) + Send + Sync>;

/// Runs `main` as the first process, on as many workers as there are cores, and returns why it ended. Everything else
/// has ended by then: when `main` ends, all other processes are asked to shut down, and killed if they have not within
/// five seconds.
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
/// Where [`Config::run`] gives an error.
pub fn run<F>(main: F) -> Reason
where
    F: Future<Output: Outcome> + Send + 'static,
{
    Config::new().run(main).unwrap_or_else(|error| panic!("riot_actor::run: {error}"))
}

/// What a runtime is made of.
///
/// ```
/// # use riot_actor::runtime::Config;
/// let reason = Config::new().workers(2).run(async {})?;
/// # Ok::<(), riot_actor::runtime::RunError>(())
/// ```
#[must_use = "nothing runs before `run`"]
pub struct Config {
    pub(crate) workers: usize,
    pub(crate) shutdown_timeout: Duration,
    pub(crate) kill_timeout: Duration,
    pub(crate) long_schedule: Duration,
    pub(crate) max_blocking_threads: usize,
    pub(crate) on_crash: Option<CrashHook>,
    #[cfg(all(unix, feature = "signals"))]
    signals: bool,
    /// Until the runtime starts; it keeps the rest of its settings for as long as it lives, where all its threads see them.
    applications: Mutex<Vec<Application>>,
}

impl Config {
    /// The defaults.
    pub fn new() -> Self {
        Self {
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            shutdown_timeout: Duration::from_secs(5),
            kill_timeout: Duration::from_secs(30),
            long_schedule: Duration::from_millis(100),
            max_blocking_threads: 64,
            on_crash: None,
            #[cfg(all(unix, feature = "signals"))]
            signals: false,
            applications: Mutex::default(),
        }
    }

    /// How many threads run processes; default one a core.
    ///
    /// # Panics
    /// Filter zero.
    pub fn workers(mut self, workers: usize) -> Self {
        assert!(workers > 0, "somebody has to do the work");
        self.workers = workers;
        self
    }

    /// How long processes have to end when the runtime shuts down, before they are killed; default 5 s.
    pub fn shutdown_timeout(mut self, shutdown_timeout: Duration) -> Self {
        self.shutdown_timeout = shutdown_timeout;
        self
    }

    /// How long a process that was killed may go on without giving way, before `run` leaves without it; default 30 s.
    pub fn kill_timeout(mut self, timeout: Duration) -> Self {
        self.kill_timeout = timeout;
        self
    }

    /// A process that does not give way for longer than this is reported, once; default 100 ms.
    pub fn long_schedule(mut self, timeout: Duration) -> Self {
        self.long_schedule = timeout;
        self
    }

    /// How many [`blocking`](crate::runtime::blocking()) calls may run at once; default 64.
    ///
    /// # Panics
    /// Filter zero.
    pub fn max_blocking_threads(mut self, threads: usize) -> Self {
        assert!(threads > 0, "somebody has to do the work");
        self.max_blocking_threads = threads;
        self
    }

    /// Called with every crash report, on the worker where the process ended. It must not block.
    pub fn on_crash(mut self, hook: impl Fn(&CrashReport) + Send + Sync + 'static) -> Self {
        self.on_crash = Some(Box::new(hook));
        self
    }

    /// SIGINT and SIGTERM shut the runtime down with [`Reason::Shutdown`]; the second of them, whichever it is, ends the
    /// program at once, with exit code 130 or 143. When no runtime listens any more they do again what they do in any
    /// program. Off by default.
    #[cfg(all(unix, feature = "signals"))]
    #[cfg_attr(docsrs, doc(cfg(feature = "signals")))]
    pub fn stop_on_signals(mut self) -> Self {
        self.signals = true;
        self
    }

    /// Starts `application` before `main`, after those given before it, and stops it when the runtime shuts down, before
    /// those; all other processes are asked to end after that.
    pub fn application(self, application: Application) -> Self {
        lock(&self.applications).push(application);
        self
    }

    pub(crate) fn take_applications(&self) -> Vec<Application> {
        std::mem::take(&mut lock(&self.applications))
    }

    /// [`run`] with these settings.
    ///
    /// # Errors
    /// See [`RunError`].
    pub fn run<F>(self, main: F) -> Result<Reason, RunError>
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
        let mut threads = vec![scheduler::start_watchdog(shared.clone()).map_err(RunError::Thread)?];
        shared.start(applications, main);
        for (worker, queue) in queues.into_iter().enumerate() {
            let its_own = shared.clone();
            let thread = std::thread::Builder::new().name(format!("riot-{worker}")).spawn(move || {
                // A worker that is lost takes its processes with it: better to end loudly.
                let bomb = AbortOnPanic;
                let local = Local::new(its_own, worker, queue);
                scheduler::run_worker(local);
                std::mem::forget(bomb);
            });
            match thread {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    shared.stop();
                    return Err(RunError::Thread(error));
                }
            }
        }
        shared.wait_for_end(threads)
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
            .field("shutdown_timeout", &self.shutdown_timeout)
            .field("kill_timeout", &self.kill_timeout)
            .field("long_schedule", &self.long_schedule)
            .field("applications", &lock(&self.applications))
            .finish_non_exhaustive()
    }
}

pub(crate) fn check_can_run() -> Result<(), RunError> {
    if context::is_entered() {
        return Err(RunError::NestedRuntime);
    }
    if cfg!(panic = "abort") {
        return Err(RunError::PanicAborts);
    }
    crate::runtime::panic::install_hook();
    Ok(())
}

/// Why a runtime did not run, or could not be ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum RunError {
    /// It was called from inside a process. Spawn instead; a second runtime wants a thread of its own.
    NestedRuntime,
    /// The program is built with `panic = "abort"`: no panic could be contained.
    PanicAborts,
    /// An application did not start, so `main` never ran; those that had started were stopped.
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
    /// These processes were killed and did not give way; their threads were left behind.
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
            Self::Signals(error) => write!(f, "no signals are to be had: {error}"),
            Self::Thread(error) => write!(f, "the system refused a thread: {error}"),
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
        eprintln!("riot_actor: a worker panicked; this is a bug in the runtime");
        std::process::abort();
    }
}

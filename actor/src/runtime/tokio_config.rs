//! The settings about tokio, and the start and the end of a tokio runtime.

use std::{
    io,
    mem::ManuallyDrop,
    thread,
    time::{Duration, Instant},
};

use tokio::runtime::{Builder, Handle as TokioHandle};

use super::{config::Config, shared::Shared};
use crate::sync::lock::lock;

/// The time that the threads of tokio have to end without blocking tasks; 10 ms.
const AT_LEAST: Duration = Duration::from_millis(10);

/// The longest time that tokio can be told to wait, since it adds the time to the clock: 10 years.
const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Bounds the threads of tokio's; 512.
const MAX_WORKERS: usize = 512;

/// The tokio runtime that a [`Config`] asks for.
#[derive(Debug)]
pub(super) enum TokioChoice {
    None,
    Own,
    Foreign(TokioHandle),
}

/// The settings about tokio.
#[derive(Debug)]
pub(super) struct TokioConfig {
    choice: TokioChoice,
    workers: usize,
    pub(super) shutdown_timeout: Duration,
}

impl TokioConfig {
    pub(super) fn new() -> Self {
        Self { choice: TokioChoice::None, workers: 1, shutdown_timeout: Duration::from_secs(5) }
    }

    /// Returns whether the config asks for tokio.
    pub(super) fn is_wanted(&self) -> bool {
        !matches!(self.choice, TokioChoice::None)
    }
}

impl Config {
    /// Starts a multi-thread tokio runtime beside this one, before the applications, for libraries that need
    /// tokio: database drivers, HTTP clients, axum's and tower's middleware.
    ///
    /// A future finds it where [`SpawnOptions::tokio`](crate::process::SpawnOptions::tokio) or
    /// [`in_tokio`](super::in_tokio) says so, and in the handlers of a server with `Server::tokio`. It is
    /// shut down after the last process is released; see
    /// [`tokio_shutdown_timeout`](Self::tokio_shutdown_timeout).
    ///
    /// ```
    /// use std::time::Duration;
    /// use riot_actor::{Reason, runtime::{Config, in_tokio}};
    ///
    /// let reason = Config::new().tokio().run(async {
    ///     let sum = in_tokio(async {
    ///         tokio::time::sleep(Duration::from_millis(1)).await;
    ///         tokio::spawn(async { 1 + 1 }).await
    ///     });
    ///     assert_eq!(sum.await.unwrap(), 2);
    /// })?;
    /// assert_eq!(reason, Reason::Normal);
    /// # Ok::<(), riot_actor::runtime::RunError>(())
    /// ```
    pub fn tokio(mut self) -> Self {
        self.tokio.choice = TokioChoice::Own;
        self
    }

    /// Uses a tokio runtime of the caller's, as [`tokio`](Self::tokio) uses one of its own. It is never shut
    /// down from here, and must go on for as long as this runtime does.
    ///
    /// ```
    /// use riot_actor::{Reason, runtime::{Config, in_tokio}};
    ///
    /// let tokio = tokio::runtime::Runtime::new()?;
    /// let config = Config::new().tokio_handle(tokio.handle().clone());
    /// let reason = config.run(async {
    ///     let seven = in_tokio(async { tokio::spawn(async { 7 }).await });
    ///     assert_eq!(seven.await.unwrap(), 7);
    /// });
    /// assert_eq!(reason.unwrap(), Reason::Normal);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn tokio_handle(mut self, handle: TokioHandle) -> Self {
        self.tokio.choice = TokioChoice::Foreign(handle);
        self
    }

    /// Sets how many threads run tokio's tasks, of a runtime that [`tokio`](Self::tokio) starts; 1 by
    /// default. Futures of processes are polled by this runtime's own workers.
    ///
    /// # Panics
    /// Panics if `workers` is zero or more than 512.
    pub fn tokio_workers(mut self, workers: usize) -> Self {
        assert!(workers > 0, "tokio needs at least one thread");
        assert!(workers <= MAX_WORKERS, "tokio has at most {MAX_WORKERS} threads here");
        self.tokio.workers = workers;
        self
    }

    /// Sets how long the blocking tasks of tokio may take to end after the last process is released; 5 s by
    /// default. Those left then are abandoned with one warning. Other tasks are dropped where they await.
    pub fn tokio_shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.tokio.shutdown_timeout = timeout;
        self
    }
}

impl Shared {
    /// Starts the runtime that the config asks for, or uses the caller's.
    pub(super) fn start_tokio(&self) -> io::Result<()> {
        let TokioConfig { choice, workers, .. } = &self.config.tokio;
        let handle = match choice {
            TokioChoice::None => return Ok(()),
            TokioChoice::Foreign(handle) => handle.clone(),
            TokioChoice::Own => {
                let mut builder = Builder::new_multi_thread();
                let runtime =
                    builder.worker_threads(*workers).thread_name("riot-tokio").enable_all().build()?;
                let handle = runtime.handle().clone();
                *lock(&self.tokio.own) = Some(runtime);
                handle
            }
        };
        let _ = self.tokio.handle.set(handle);
        Ok(())
    }

    /// Shuts the runtime down if it belongs to this one, and returns whether it has ended in time.
    ///
    /// A thread of its own does that: the caller may be a thread of another tokio runtime, which must not
    /// wait.
    pub(super) fn shut_tokio_down(&self, timeout: Duration) -> bool {
        let Some(runtime) = lock(&self.tokio.own).take() else { return true };
        // Without a thread it is leaked: its threads end with the program.
        let runtime = ManuallyDrop::new(runtime);
        let timeout = timeout.clamp(AT_LEAST, FOR_EVER);
        let end = move || {
            let began = Instant::now();
            ManuallyDrop::into_inner(runtime).shutdown_timeout(timeout);
            // The wait ends with the last blocking task.
            began.elapsed() < timeout
        };
        let ending = thread::Builder::new().name("riot-tokio-end".into()).spawn(end);
        ending.is_ok_and(|ending| ending.join().unwrap_or(false))
    }
}

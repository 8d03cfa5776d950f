//! A runtime on threads of its own.

use std::{future::Future, io, sync::mpsc, thread};

use super::{
    config::{Config, RunError},
    context,
    handle::Handle,
};
use crate::process::reason::{Outcome, Reason};

impl Config {
    /// Starts the runtime on threads of its own and returns at once, for programs whose main thread belongs
    /// to tokio, a user interface or a test. [`run`](Self::run) says what happens.
    ///
    /// See [`Running`] for an example.
    ///
    /// # Errors
    /// See [`RunError`]; those of the applications come with [`Running::wait`].
    pub fn start<F>(self, main: F) -> Result<Running, RunError>
    where
        F: Future<Output: Outcome> + Send + 'static,
    {
        let (tell, told) = mpsc::channel();
        let main_thread = thread::Builder::new()
            .name("riot-run".into())
            .spawn(move || self.run_telling(main, |handle| drop(tell.send(handle))))
            .map_err(RunError::Thread)?;
        match told.recv() {
            Ok(handle) => Ok(Running { handle, main_thread }),
            // It has ended before it began.
            Err(_) => Err(match main_thread.join() {
                Ok(Err(error)) => error,
                Ok(Ok(_)) | Err(_) => panicked(),
            }),
        }
    }
}

fn panicked() -> RunError {
    RunError::Thread(io::Error::other("the thread of the runtime panicked"))
}

/// A runtime that [`Config::start`] has started. Dropped, it leaves the runtime running.
///
/// ```
/// use riot_actor::{Reason, runtime::Config};
///
/// let running = Config::new().start(std::future::pending::<()>())?;
/// let sum = running.handle().run(async { 1 + 2 });
/// assert_eq!(sum.wait(), Ok(3));
/// running.handle().shutdown(Reason::other("done"));
/// assert_eq!(running.wait()?, Reason::other("done"));
/// # Ok::<(), riot_actor::runtime::RunError>(())
/// ```
#[derive(Debug)]
pub struct Running {
    handle: Handle,
    main_thread: thread::JoinHandle<Result<Reason, RunError>>,
}

impl Running {
    /// Returns a handle to the runtime.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Blocks this thread until the runtime has ended, and returns what [`Config::run`] returns.
    ///
    /// # Errors
    /// Those of [`Config::run`].
    ///
    /// # Panics
    /// Panics inside a process.
    pub fn wait(self) -> Result<Reason, RunError> {
        assert!(
            !context::is_entered(),
            "riot_actor: `Running::wait` blocks, and this thread belongs to a runtime"
        );
        self.main_thread.join().unwrap_or_else(|_| Err(panicked()))
    }
}

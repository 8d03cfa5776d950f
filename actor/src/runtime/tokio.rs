//! A tokio runtime beside this one, for libraries that need it.
//!
//! Such a library asks the thread that polls it for a tokio runtime. So the handle of one is entered around
//! the polls, and the drop, of the futures that ask for it, and of no others: that takes some 50 ns a poll.

use std::{
    future::Future,
    pin::Pin,
    sync::{Mutex, OnceLock},
    task::{Context, Poll},
};

use ::tokio::runtime::{Handle as TokioHandle, Runtime};

use super::{context, kernel::process::Body, shared::Shared};
use crate::observe::crash_report;

/// The advice for a future that needs tokio and has none.
#[doc(hidden)]
pub const TOKIO_ADVICE: &str = crash_report::TOKIO_ADVICE;

/// The tokio runtime beside this one.
#[derive(Default)]
pub(crate) struct Tokio {
    pub(super) handle: OnceLock<TokioHandle>,
    /// The runtime itself, if it belongs to this one.
    pub(super) own: Mutex<Option<Runtime>>,
}

impl Shared {
    /// Returns the tokio runtime of this one.
    #[track_caller]
    fn tokio_handle(&self) -> TokioHandle {
        self.tokio.handle.get().cloned().unwrap_or_else(|| panic!("riot_actor: {TOKIO_ADVICE}"))
    }

    /// Returns a body that is polled and dropped inside tokio.
    #[track_caller]
    pub(crate) fn tokio_body(&self, body: Body) -> Body {
        Box::pin(InTokio::new(self.tokio_handle(), body))
    }
}

/// Returns whether the runtime of the running process has a tokio runtime: its config asks for one.
///
/// ```
/// riot_actor::run(async { assert!(!riot_actor::runtime::has_tokio()) });
/// ```
///
/// # Panics
/// Panics outside a process.
#[must_use]
pub fn has_tokio() -> bool {
    context::with_shared("has_tokio", |shared| shared.tokio.handle.get().is_some())
}

/// Runs a future with the tokio runtime that [`Config::tokio`](super::Config::tokio) has started: its timers,
/// sockets, files and tasks work inside, as in the futures that it awaits.
///
/// What tokio must make with a runtime, such as `tokio::time::sleep(..)`, has to be made inside the future.
/// The future is polled by the process; only what it spawns runs on tokio's threads.
///
/// See [`Config::tokio`](super::Config::tokio) for an example.
///
/// # Panics
/// Panics outside a process; or if the runtime has no tokio.
///
/// # Cancel safety
/// That of the future, which is dropped inside tokio as well.
#[track_caller]
pub fn in_tokio<F: Future>(future: F) -> InTokio<F> {
    InTokio::new(context::with_shared("in_tokio", |shared| shared.tokio_handle()), future)
}

/// Runs `f` with the tokio runtime that [`Config::tokio`](super::Config::tokio) has started, for what needs
/// tokio when it is made: a buffer of tower's, a pool of connections. [`in_tokio`] does so for a future.
///
/// ```
/// use riot_actor::{Reason, runtime::{Config, enter_tokio}};
///
/// let reason = Config::new().tokio().run(async {
///     let task = enter_tokio(|| tokio::spawn(async { 7 }));
///     assert_eq!(task.await.unwrap(), 7);
/// })?;
/// assert_eq!(reason, Reason::Normal);
/// # Ok::<(), riot_actor::runtime::RunError>(())
/// ```
///
/// # Panics
/// Panics outside a process; or if the runtime has no tokio.
#[track_caller]
pub fn enter_tokio<R>(f: impl FnOnce() -> R) -> R {
    let handle = context::with_shared("enter_tokio", |shared| shared.tokio_handle());
    let _entered = handle.enter();
    f()
}

pin_project_lite::pin_project! {
    /// The future of [`in_tokio`].
    #[must_use = "futures do nothing unless they are awaited"]
    pub struct InTokio<F> {
        handle: TokioHandle,
        // `None` once it was dropped.
        #[pin]
        future: Option<F>,
    }

    impl<F> PinnedDrop for InTokio<F> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            let mut future = this.future;
            let _entered = this.handle.enter();
            future.set(None);
        }
    }
}

impl<F> InTokio<F> {
    fn new(handle: TokioHandle, future: F) -> Self {
        Self { handle, future: Some(future) }
    }
}

impl<F> std::fmt::Debug for InTokio<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("InTokio")
    }
}

impl<F: Future> Future for InTokio<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let future = this.future.as_pin_mut().expect("it is dropped only with this");
        // Left again after each poll, also by a panic: the waiting process is taken up by any worker.
        let _entered = this.handle.enter();
        future.poll(cx)
    }
}

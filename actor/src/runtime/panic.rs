//! Panics as values, with their location. Only the panic hook learns the location, so a hook of this crate
//! stands before the one there was.
//!
//! The hook is shared by the whole program, because Rust has one. It stores the location of panics inside
//! processes, which end in a crash report instead of on the standard error, and passes all others on.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Once,
    task::{Context, Poll},
};

use super::context;
use crate::process::reason::Panic;

/// Awaits `future` and returns a panic in it as a value, so that the process goes on. Use it for code of a
/// user inside a process with a duty of its own: a handler, a start function.
///
/// ```
/// # riot_actor::run(async {
/// let panic = riot_actor::process::catch_panic(async { panic!("out of cheese") }).await.unwrap_err();
/// assert_eq!(panic.message, "out of cheese");
/// # });
/// ```
///
/// # Errors
/// The panic. It is reported nowhere else, so the caller must report it.
pub fn catch_panic<F: Future>(future: F) -> CatchPanic<F> {
    CatchPanic { future }
}

pin_project_lite::pin_project! {
    /// The future of [`catch_panic`].
    #[derive(Debug)]
    #[must_use = "it does nothing until it is awaited"]
    pub struct CatchPanic<F> {
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for CatchPanic<F> {
    type Output = Result<F::Output, Panic>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let future = self.project().future;
        match catch(|| future.poll(cx)) {
            Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
            Ok(Poll::Pending) => Poll::Pending,
            Err(panic) => Poll::Ready(Err(panic)),
        }
    }
}

thread_local! {
    static CATCHING: Cell<bool> = const { Cell::new(false) };
    static CAUGHT_AT: RefCell<Option<String>> = const { RefCell::new(None) };
}

pub(crate) fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if CATCHING.get() || context::is_polling() {
                CAUGHT_AT.set(info.location().map(ToString::to_string));
            } else {
                before(info);
            }
        }));
    });
}

/// Runs `f` and returns a panic as a value.
pub(crate) fn catch<R>(f: impl FnOnce() -> R) -> Result<R, Panic> {
    let before = CATCHING.replace(true);
    let result = catch_unwind(AssertUnwindSafe(f));
    CATCHING.set(before);
    result.map_err(panicked)
}

/// Runs the poll of a process, as [`catch`] does. The hook knows of it by
/// [`Local::polling`](super::context::Local::polling), so no flag has to be set here.
#[inline(always)]
pub(crate) fn catch_polling<R>(poll: impl FnOnce() -> R) -> Result<R, Panic> {
    catch_unwind(AssertUnwindSafe(poll)).map_err(panicked)
}

#[cold]
fn panicked(payload: Box<dyn Any + Send>) -> Panic {
    Panic { message: message(&*payload), location: CAUGHT_AT.take() }
}

fn message(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        return (*text).to_owned();
    }
    payload.downcast_ref::<String>().cloned().unwrap_or_default()
}

//! Where a panic happened: only the panic hook is told, so one is put in front of whatever hook there was.
//!
//! It is the one thing here that is shared by a whole program, because Rust has one hook. It keeps the place of panics
//! inside processes, which end in a crash report instead of on the standard error, and passes all others on.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Once,
    task::{Context, Poll},
};

use crate::{process::reason::Panic, runtime::context};

/// Awaits `future`; a panic in it comes back as a value, and the process goes on. For code of somebody else that runs
/// in a process with a duty of its own: a handler, a start function.
///
/// ```
/// # riot_actor::run(async {
/// let panic = riot_actor::process::catch_panic(async { panic!("out of cheese") }).await.unwrap_err();
/// assert_eq!(panic.message, "out of cheese");
/// # });
/// ```
///
/// # Errors
/// The panic. Nothing else is said about it, so whoever catches it reports it.
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

/// Runs `f`; a panic comes back as a value.
pub(crate) fn catch<R>(f: impl FnOnce() -> R) -> Result<R, Panic> {
    let before = CATCHING.replace(true);
    let result = catch_unwind(AssertUnwindSafe(f));
    CATCHING.set(before);
    result.map_err(panicked)
}

/// [`catch`] for the poll of a process: the hook knows of it by [`Local::polling`](crate::runtime::context::Local::polling), so
/// nothing has to be said here.
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

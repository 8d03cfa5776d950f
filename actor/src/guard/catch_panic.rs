//! Awaiting a future whose panic is a value.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use super::panic::{Panic, catch};

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

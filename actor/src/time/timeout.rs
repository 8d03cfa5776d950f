//! A future with a timeout.

use std::{
    fmt,
    future::Future,
    hint::cold_path,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use pin_project_lite::pin_project;

use super::api::{Sleep, sleep};
use crate::runtime::coop;

/// Awaits `future` for at most `duration`. If both are over at the same poll, the future wins. A future that
/// uses up the reductions of each poll slice is ended too, one poll slice later.
///
/// ```
/// # use std::{future::pending, time::Duration};
/// # use riot_actor::{run, time::{TimedOut, timeout}};
/// # run(async {
/// assert_eq!(timeout(Duration::ZERO, async { 1 }).await, Ok(1));
/// assert_eq!(timeout(Duration::ZERO, pending::<()>()).await, Err(TimedOut));
/// # });
/// ```
///
/// # Errors
/// [`TimedOut`] if the time has passed; the future is then dropped.
pub fn timeout<F: Future>(duration: Duration, future: F) -> TimeoutFuture<F> {
    TimeoutFuture { future, duration, sleep: None }
}

pin_project! {
    /// The future of [`timeout`] and [`receive_timeout`](crate::mailbox::receive_timeout). (A named type,
    /// because the compiler cannot always see that an `async fn` is `Send`.)
    #[must_use = "nothing happens before it is awaited"]
    pub struct TimeoutFuture<F> {
        #[pin]
        future: F,
        duration: Duration,
        sleep: Option<Sleep>,
    }
}

impl<F> fmt::Debug for TimeoutFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimeoutFuture").field("duration", &self.duration).finish_non_exhaustive()
    }
}

impl<F: Future> Future for TimeoutFuture<F> {
    type Output = Result<F::Output, TimedOut>;

    // The place of the `.await`, for the future inside.
    #[track_caller]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        // A future that uses up the reductions of every poll slice would leave none for the sleep.
        let must_end = this.sleep.as_ref().is_some_and(Sleep::is_late) && {
            cold_path();
            coop::has_reductions()
        };
        if let Poll::Ready(value) = this.future.poll(cx) {
            return Poll::Ready(Ok(value));
        }
        if must_end && !coop::has_reductions() && coop::poll_live().is_ready() {
            return Poll::Ready(Err(TimedOut));
        }
        // The time begins with the first poll.
        let duration = *this.duration;
        let sleep = this.sleep.get_or_insert_with(|| sleep(duration));
        sleep.poll_unnoted(cx).map(|()| Err(TimedOut))
    }
}

/// The error of an operation that was not ready in time.
///
/// See [`timeout`] for an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedOut;

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not ready in time")
    }
}
impl std::error::Error for TimedOut {}

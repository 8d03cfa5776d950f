//! Flow → handler → flow: runs the user's code and catches its panic.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use riot_actor::process::{CatchPanic, Panic};

use super::{WakeFlags, wake_flags::Due};

/// Whether the application of a connection still runs.
#[repr(C)] // perf: cache lines missed, 1 000 active, 27.5 → 26.4, with the other three on this path
pub(super) struct Application {
    running: bool,
    /// Notifies [`Due::APPLICATION`].
    waker: Waker,
}

/// The outcome of [`Application::poll`].
#[must_use]
pub(super) enum Polled {
    /// The application runs on, or had ended before.
    Continues,
    /// The application has just returned.
    Ended,
    /// The application panicked: the flow has to be told, so that the peer hears of it.
    Panicked(Arc<Panic>),
}

impl Application {
    pub(super) fn new(wakes: &Arc<WakeFlags>) -> Self {
        Self { running: true, waker: wakes.waker::<{ Due::APPLICATION.bits() }>() }
    }

    /// Returns whether the application has neither returned nor panicked.
    pub(super) fn is_running(&self) -> bool {
        self.running
    }

    /// Polls the application once, unless it has ended.
    #[inline]
    pub(super) fn poll<A: Future<Output = ()>>(&mut self, application: Pin<&mut CatchPanic<A>>) -> Polled {
        if !self.running {
            return Polled::Continues;
        }
        match application.poll(&mut Context::from_waker(&self.waker)) {
            Poll::Pending => Polled::Continues,
            Poll::Ready(result) => {
                self.running = false;
                match result {
                    Ok(()) => Polled::Ended,
                    Err(panic) => Polled::Panicked(Arc::new(panic)),
                }
            }
        }
    }
}

//! The clock of the runtime, for hyper's timers.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use ::hyper::rt::{Sleep, Timer};

/// Timers of the process that hyper runs in. They need no timers of tokio's, which a runtime of the user's
/// may not have.
#[derive(Clone, Copy, Debug)]
pub(super) struct ProcessClock;

impl Timer for ProcessClock {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        Box::pin(ProcessSleep(riot_actor::sleep(duration)))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(ProcessSleep(riot_actor::time::sleep_until(deadline)))
    }

    fn now(&self) -> Instant {
        riot_actor::now()
    }
}

struct ProcessSleep(riot_actor::time::Sleep);

impl Future for ProcessSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl Sleep for ProcessSleep {}

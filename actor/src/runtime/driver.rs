//! How an idle worker sleeps and is woken: the seam where a poller plugs in.
//!
//! Each worker has one driver. The first is a plain parker; whoever brings another source of events, such as sockets,
//! replaces it on first use with [`install`]. Nothing here knows what the events are.

use std::{
    any::Any,
    io,
    rc::Rc,
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    runtime::context,
    sync::{
        Condvar, Mutex,
        atomic::{AtomicBool, Ordering},
        lock,
    },
};

/// What a worker does when no process is ready.
pub trait Driver: Send {
    /// Sleeps until there are events, [`Unpark::unpark`] is called, or `timeout` has passed; with `Some(ZERO)` only
    /// looks. Collects events but wakes nobody yet.
    fn park(&mut self, timeout: Option<Duration>);

    /// Wakes the processes the events collected are for.
    fn dispatch(&mut self);

    /// What ends a sleep of this driver from any thread.
    fn unparker(&self) -> Arc<dyn Unpark>;
}

/// Ends the sleep of a driver.
pub trait Unpark: Send + Sync {
    /// Ends the sleep the driver is in, or else the next one before it begins.
    fn unpark(&self);
}

/// For so long a worker looks out for work before it sleeps, if its last wait was no longer: between two workers that
/// wait for each other a sleep costs 20 us and more each way. (Erlang spins as well, see `+sbwt`.) One wait in a row is
/// spun for in vain at most, so an idle runtime uses no processor.
const MAX_SPIN: Duration = Duration::from_micros(40);

/// After a spin in vain, so many short waits are slept through before the next try: where others want the processor,
/// whoever is waited for may need the one we spin on.
const WAITS_PER_TRY: u32 = 64;

/// The driver of a worker without any other source of events.
#[derive(Default)]
pub(crate) struct Parker {
    token: Arc<Token>,
    /// Whether there is another processor for whoever is waited for.
    spins: bool,
    /// Short waits until the next spin; none where the last one was no short one.
    next_spin: Option<u32>,
}

/// What ends a wait, given once.
#[derive(Default)]
struct Token {
    granted: AtomicBool,
    asleep: Mutex<bool>,
    changed: Condvar,
}

impl Parker {
    /// One that looks out for a while before it sleeps.
    pub(crate) fn spinning(spins: bool) -> Self {
        Self { spins, ..Self::default() }
    }

    /// Looks out for a while; true if that was enough.
    fn spin(&self, timeout: Option<Duration>, start: Instant) -> bool {
        let timeout = timeout.map_or(MAX_SPIN, |timeout| timeout.min(MAX_SPIN));
        while start.elapsed() < timeout {
            for _ in 0..16 {
                std::hint::spin_loop();
            }
            if self.token.take() {
                return true;
            }
        }
        false
    }
}

impl Token {
    fn take(&self) -> bool {
        self.granted.load(Ordering::Relaxed) && self.granted.swap(false, Ordering::AcqRel)
    }

    /// Who grants does it first and then looks whether somebody sleeps; who sleeps says so, under the same lock, and then
    /// looks whether it is granted.
    fn sleep(&self, timeout: Option<Duration>) {
        let mut asleep = lock(&self.asleep);
        *asleep = true;
        if !self.granted.load(Ordering::Acquire) {
            asleep = match timeout {
                None => self.changed.wait(asleep).unwrap_or_else(PoisonError::into_inner),
                Some(timeout) => {
                    self.changed.wait_timeout(asleep, timeout).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        *asleep = false;
        self.granted.swap(false, Ordering::AcqRel);
    }
}

impl Driver for Parker {
    fn park(&mut self, timeout: Option<Duration>) {
        if self.token.take() || timeout == Some(Duration::ZERO) {
            return;
        }
        if !self.spins {
            return self.token.sleep(timeout);
        }
        let start = Instant::now();
        let mut waits = self.next_spin;
        if waits == Some(0) {
            if self.spin(timeout, start) {
                return;
            }
            waits = Some(WAITS_PER_TRY);
        }
        self.token.sleep(timeout);
        let was_short = start.elapsed() < 2 * MAX_SPIN;
        self.next_spin = was_short.then(|| waits.unwrap_or(1).saturating_sub(1));
    }

    fn dispatch(&mut self) {}

    fn unparker(&self) -> Arc<dyn Unpark> {
        self.token.clone()
    }
}

impl Unpark for Token {
    fn unpark(&self) {
        if self.granted.swap(true, Ordering::AcqRel) {
            return;
        }
        if *lock(&self.asleep) {
            self.changed.notify_one();
        }
    }
}

/// The number of the worker the running process is on, from 0.
///
/// # Panics
/// Outside a process.
#[must_use]
pub fn worker() -> usize {
    context::with_local(|local| {
        local
            .expect("riot_actor: `driver::worker` acts for the running process, and none runs on this thread")
            .worker
    })
}

/// Something that the drivers of all workers of a runtime share, made when it is first asked for.
///
/// # Errors
/// Filter a driver of another kind has asked for something else before.
///
/// # Panics
/// Outside a process.
pub fn common<T: Default + Send + Sync + 'static>() -> io::Result<Arc<T>> {
    context::with_shared("driver::common", |shared| {
        let common = shared.driver_common.get_or_init(|| Arc::<T>::default());
        common
            .clone()
            .downcast::<T>()
            .map_err(|_| io::Error::other("drivers of another kind share something else"))
    })
}

/// The handle that came with the driver of the worker the running process is on; installs the driver on first use.
/// The driver stays for as long as the runtime runs.
///
/// # Errors
/// Those of `make`; [`io::ErrorKind::Unsupported`] in a simulation, which has no events but its own; if another kind of
/// driver was installed before.
///
/// # Panics
/// Outside a process.
pub fn install<D: Driver + 'static, H: Any>(make: impl FnOnce() -> io::Result<(D, H)>) -> io::Result<Rc<H>> {
    context::with_local(|local| {
        let Some(local) = local else { panic!("riot_actor: a driver is installed from inside a process") };
        let handle = local.driver_handle.borrow().clone();
        let handle = match handle {
            Some(handle) => handle,
            None => {
                let (driver, handle) = make()?;
                local.shared.install_driver(local.worker, Box::new(driver))?;
                let handle: Rc<dyn Any> = Rc::new(handle);
                local.driver_handle.replace(Some(handle.clone()));
                handle
            }
        };
        handle
            .downcast::<H>()
            .map_err(|_| io::Error::other("this worker already has a driver of another kind"))
    })
}

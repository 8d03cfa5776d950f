//! The seam where a poller plugs in.

use std::{any::Any, io, rc::Rc, sync::Arc, time::Duration};

use super::context;

/// The place where a worker waits when no process is runnable.
///
/// A driver for another source of events collects them in `park` and wakes processes in `dispatch`:
///
/// ```
/// use std::{io, sync::{Arc, Condvar, Mutex}, time::Duration};
/// use riot_actor::{driver::{Driver, Unpark, install}, run};
///
/// #[derive(Default)]
/// struct Sleeper(Arc<Bell>);
/// #[derive(Default)]
/// struct Bell { notified: Mutex<bool>, changed: Condvar }
///
/// impl Driver for Sleeper {
///     fn park(&mut self, timeout: Option<Duration>) {
///         let timeout = timeout.unwrap_or(Duration::from_secs(3600));
///         let guard = self.0.notified.lock().unwrap();
///         let (mut guard, _) = self.0.changed.wait_timeout_while(guard, timeout, |done| !*done).unwrap();
///         *guard = false;
///     }
///     fn dispatch(&mut self) {}
///     fn unparker(&self) -> Arc<dyn Unpark> { self.0.clone() }
/// }
/// impl Unpark for Bell {
///     fn unpark(&self) {
///         *self.notified.lock().unwrap() = true;
///         self.changed.notify_one();
///     }
/// }
/// run(async {
///     install(|| Ok((Sleeper::default(), "its handle")))?;
///     riot_actor::sleep(Duration::from_millis(1)).await;
///     Ok::<(), io::Error>(())
/// });
/// ```
pub trait Driver: Send {
    /// Sleeps until there are events, [`Unpark::unpark`] is called, or `timeout` has passed; with
    /// `Some(ZERO)` it only looks for events. Collects events, and wakes no process yet.
    fn park(&mut self, timeout: Option<Duration>);

    /// Wakes the processes that the collected events are for.
    fn dispatch(&mut self);

    /// Returns what ends a sleep of this driver from any thread.
    fn unparker(&self) -> Arc<dyn Unpark>;
}

/// Ends the sleep of a driver.
///
/// See [`Driver`] for an example.
pub trait Unpark: Send + Sync {
    /// Ends the sleep that the driver is in, or else the next one before it begins.
    fn unpark(&self);
}

/// Returns the number of the worker that the running process is on, from 0.
///
/// ```
/// # riot_actor::runtime::Config::new().workers(1).run(async {
/// assert_eq!(riot_actor::driver::worker(), 0);
/// # });
/// ```
///
/// # Panics
/// Panics outside a process.
#[must_use]
pub fn worker() -> usize {
    context::with_local(|local| {
        local
            .expect("riot_actor: `driver::worker` acts for the running process, and none runs on this thread")
            .worker
    })
}

/// Returns a value that the drivers of all workers of a runtime share, made when it is first asked for.
///
/// ```
/// # use std::sync::{Arc, atomic::AtomicU64};
/// # use riot_actor::driver::common;
/// # riot_actor::run(async {
/// let (first, second) = (common::<AtomicU64>()?, common::<AtomicU64>()?);
/// assert!(Arc::ptr_eq(&first, &second));
/// # Ok::<(), std::io::Error>(())
/// # });
/// ```
///
/// # Errors
/// If a value of another type was asked for before.
///
/// # Panics
/// Panics outside a process.
pub fn common<T: Default + Send + Sync + 'static>() -> io::Result<Arc<T>> {
    context::with_shared("driver::common", |shared| {
        let common = shared.driver_common.get_or_init(|| Arc::<T>::default());
        common
            .clone()
            .downcast::<T>()
            .map_err(|_| io::Error::other("drivers of another kind share something else"))
    })
}

/// Returns the handle that came with the driver of the current worker, and installs the driver on first use.
/// The driver stays for as long as the runtime runs.
///
/// See [`Driver`] for an example. It is dropped when the runtime has ended, on the thread that runs it.
///
/// # Errors
/// Those of `make`; [`io::ErrorKind::Unsupported`] in a simulation, which has no events but its own; or if
/// another kind of driver was installed before.
///
/// # Panics
/// Panics outside a process.
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

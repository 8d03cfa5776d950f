//! How an idle worker sleeps and is woken: the seam where a poller plugs in.
//!
//! Each worker has one driver. The first is a plain parker; whoever brings another source of events, such as sockets,
//! replaces it on first use with [`install`]. Nothing here knows what the events are.

use std::{any::Any, io, rc::Rc, sync::Arc, time::Duration};

use crate::{
    context,
    sync::{Condvar, Mutex, lock},
};

/// What a worker does when no process is ready.
pub trait Driver: Send {
    /// Sleeps until there are events, [`Unpark::unpark`] is called, or `limit` has passed; with `Some(ZERO)` only
    /// looks. Collects events but wakes nobody yet.
    fn park(&mut self, limit: Option<Duration>);

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

/// The driver of a worker without any other source of events.
#[derive(Default)]
pub(crate) struct Parker(Arc<Token>);

#[derive(Default)]
struct Token {
    granted: Mutex<bool>,
    changed: Condvar,
}

impl Driver for Parker {
    fn park(&mut self, limit: Option<Duration>) {
        let mut granted = lock(&self.0.granted);
        if !*granted && limit != Some(Duration::ZERO) {
            granted = match limit {
                None => self.0.changed.wait(granted).unwrap_or_else(std::sync::PoisonError::into_inner),
                Some(limit) => {
                    self.0
                        .changed
                        .wait_timeout(granted, limit)
                        .unwrap_or_else(std::sync::PoisonError::into_inner)
                        .0
                }
            };
        }
        *granted = false;
    }

    fn dispatch(&mut self) {}

    fn unparker(&self) -> Arc<dyn Unpark> {
        self.0.clone()
    }
}

impl Unpark for Token {
    fn unpark(&self) {
        *lock(&self.granted) = true;
        self.changed.notify_one();
    }
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

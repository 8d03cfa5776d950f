//! Monitors: being told of the exit of another process.

use std::future::Future;

use super::{
    notice::{Down, MonitorRef},
    pid::Pid,
};
use crate::{
    messages::receive::{flush, receive_if},
    names::name::Name,
    runtime::{context, kernel::relations::MonitorTarget},
};

impl MonitorRef {
    /// Waits for the [`Down`] of this monitor.
    ///
    /// # Cancel safety
    /// If the future is dropped before it is ready, no message has been taken.
    pub fn down(self) -> impl Future<Output = Down> + Send {
        receive_if(move |down: &Down| down.reference == self)
    }
}

/// Monitors `pid`: the caller receives one [`Down`] when it has exited, at once if it already has.
///
/// ```
/// # use riot_actor::{monitor, run, spawn, Reason};
/// # run(async {
/// let pid = spawn(async {});
/// assert!(monitor(pid).down().await.reason.is_clean());
/// # });
/// ```
///
/// # Panics
/// Panics outside a process.
pub fn monitor(pid: Pid) -> MonitorRef {
    let this = crate::this();
    context::with_shared("monitor", |shared| {
        let reference = shared.next_reference();
        shared.monitor(this, MonitorTarget { pid: Some(pid), name: None }, reference);
        reference
    })
}

/// Monitors the process that holds `name` now, as [`monitor`] does, with the name in the [`Down`].
///
/// If the name moves to another process the monitor stays with the first. If no process holds it the [`Down`]
/// arrives at once, with [`Reason::NoProc`](crate::Reason::NoProc) and no pid.
///
/// ```
/// # use riot_actor::{process::{SpawnOptions, monitor_name}, run, Reason};
/// # run(async {
/// SpawnOptions::new().name("clerk").spawn(async {});
/// let down = monitor_name("clerk").down().await;
/// assert_eq!(down.name.unwrap().as_str(), "clerk");
/// assert_eq!(monitor_name("nobody").down().await.reason, Reason::NoProc);
/// # });
/// ```
///
/// # Panics
/// Panics outside a process.
pub fn monitor_name(name: impl Into<Name>) -> MonitorRef {
    let (this, name) = (crate::this(), name.into());
    context::with_shared("monitor_name", |shared| {
        let reference = shared.next_reference();
        let target = MonitorTarget { pid: shared.registry.holder(&name), name: Some(name) };
        shared.monitor(this, target, reference);
        reference
    })
}

/// Ends a monitor. Returns true if that kept its [`Down`] from coming; false if that is queued or was
/// received, or if the monitor is not one of the caller.
///
/// ```
/// # use riot_actor::{demonitor, monitor, run, spawn};
/// # run(async {
/// let reference = monitor(spawn(std::future::pending::<()>()));
/// assert!(demonitor(reference));
/// # });
/// ```
///
/// # Panics
/// Panics outside a process.
pub fn demonitor(reference: MonitorRef) -> bool {
    let this = crate::this();
    context::with_shared("demonitor", |shared| shared.demonitor(this, reference))
}

/// Ends a monitor, as [`demonitor`] does, and removes a [`Down`] that is already in the mailbox.
///
/// ```
/// # use riot_actor::{mailbox::receive_timeout, monitor, process::{demonitor_flush, wait}, run, spawn, Down};
/// # run(async {
/// let pid = spawn(async {});
/// let reference = monitor(pid);
/// wait(pid).await;
/// demonitor_flush(reference);
/// assert!(receive_timeout::<Down>(std::time::Duration::ZERO).await.is_err());
/// # });
/// ```
///
/// # Panics
/// Panics outside a process.
pub fn demonitor_flush(reference: MonitorRef) -> bool {
    let prevented = demonitor(reference);
    if !prevented {
        flush(|down: &Down| down.reference == reference);
    }
    prevented
}

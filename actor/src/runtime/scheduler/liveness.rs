//! Whether every worker makes progress, for health checks. The watchdog keeps what is asked here, so a worker
//! does nothing for it.

use std::{sync::atomic::Ordering, time::Duration};

use super::Scheduler;
use crate::{
    process::pid::Pid,
    runtime::{context, handle::Handle, shared::Shared},
};

/// Returns whether every worker of the runtime has ended a poll slice within the time `within`, or sleeps. A
/// worker that is held up for longer runs a process that does not give way: a loop without an await, or a
/// call that blocks.
///
/// The watchdog looks every 10 ms at most, so a poll slice counts as that much shorter than it is. In a
/// simulation it is always true.
///
/// ```
/// use std::time::Duration;
/// # riot_actor::run(async {
/// assert!(riot_actor::stats::workers_alive(Duration::from_secs(2)));
/// # });
/// ```
///
/// # Panics
/// Panics outside a process.
#[must_use]
pub fn workers_alive(within: Duration) -> bool {
    context::with_shared("workers_alive", |shared| shared.workers_alive(within))
}

impl Handle {
    /// Returns whether every worker makes progress, as [`workers_alive`] does, from a plain thread.
    #[must_use]
    pub fn workers_alive(&self, within: Duration) -> bool {
        self.shared.workers_alive(within)
    }
}

impl Shared {
    fn workers_alive(&self, within: Duration) -> bool {
        let age = self.now().saturating_duration_since(self.clock().start());
        self.scheduler().is_none_or(|scheduler| scheduler.workers_alive(age, within))
    }
}

impl Shared {
    /// Returns the processes whose poll slices the watchdog has seen at two looks, and that still run.
    pub(crate) fn held_up_processes(&self) -> Vec<Pid> {
        let remotes = self.scheduler().map(|scheduler| &scheduler.remotes[..]).unwrap_or_default();
        let held_up = remotes.iter().filter_map(|remote| {
            let slices = remote.slices.load(Ordering::SeqCst);
            let pid = self.pid_at(remote.current.load(Ordering::Relaxed))?;
            let is_same = remote.held_up.load(Ordering::SeqCst) && !slices.is_multiple_of(2);
            (is_same && remote.slices.load(Ordering::SeqCst) == slices).then_some(pid)
        });
        held_up.collect()
    }
}

impl Scheduler {
    /// Returns whether no worker is held up for longer than `within`, where the runtime has run for `age`.
    fn workers_alive(&self, age: Duration, within: Duration) -> bool {
        self.remotes.iter().all(|remote| {
            // The time is written before the flag.
            if !remote.held_up.load(Ordering::SeqCst) {
                return true;
            }
            let since = Duration::from_nanos(remote.held_up_since.load(Ordering::Relaxed));
            age.saturating_sub(since) <= within
        })
    }
}

//! Supervisors that gave up, so that the end of a runtime by one of them is no success.
//!
//! Links, monitors and parents see a plain [`Reason::Shutdown`], as OTP's do. That it came from a supervisor
//! that gave up goes beside the reason, from the supervisor along its links.

use std::{
    collections::VecDeque,
    error::Error,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::{context, shared::Shared};
use crate::{
    guard::text::printable,
    process::{pid::Pid, reason::Reason},
    sync::lock::lock,
};

/// Processes that are remembered at most; the oldest is forgotten first.
const MAX_REMEMBERED: usize = 256;

/// The error of a runtime that a supervisor has ended because it gave up: [`run`](crate::run()) returns it,
/// as [`Reason::Error`], if the end of the supervisor ended `main`, or a permanent or transient application.
///
/// ```
/// use std::time::Duration;
/// use riot_actor::{Reason, link, process::SpawnOptions, run, runtime::{GaveUp, give_up}};
///
/// let reason = run(async {
///     // What a supervisor of your own does at the end of its patience.
///     let supervisor = SpawnOptions::new().link().label("top").spawn(async {
///         give_up("db", 3, Duration::from_secs(5), Reason::other("no database"))
///     });
///     link(supervisor);
///     std::future::pending::<()>().await
/// });
/// let Reason::Error(error) = reason else { panic!("another reason: {reason}") };
/// let gave_up: &GaveUp = error.downcast_ref().unwrap();
/// assert_eq!((gave_up.child.as_str(), gave_up.restarts), ("db", 3));
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct GaveUp {
    /// The supervisor.
    pub supervisor: Pid,
    /// The label of the supervisor.
    pub label: Option<String>,
    /// The child that would have been restarted once more.
    pub child: String,
    /// The restarts that the supervisor allows in `period`.
    pub restarts: usize,
    /// The period of the restart intensity.
    pub period: Duration,
    /// The last exit reason of the child.
    pub last: Reason,
}

impl fmt::Display for GaveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { supervisor, label, child, restarts, period, last } = self;
        let label = label.as_ref().map_or_else(String::new, |label| format!(" {label:?}"));
        let times = if *restarts == 1 { "time" } else { "times" };
        let last = printable(format_args!("{last:#}"));
        write!(
            f,
            "the supervisor {supervisor}{label} gave up: it restarts children {restarts} {times} in \
             {period:?} at most, and its child {child} ended again: {last}"
        )
    }
}

impl Error for GaveUp {}

/// Records that the running process is a supervisor that gives up, and returns the reason to exit with:
/// [`Reason::Shutdown`]. If its end ends the runtime, [`run`](crate::run()) returns [`GaveUp`].
///
/// The supervisors of `riot-supervisor` call it. See [`GaveUp`] for an example.
///
/// # Panics
/// Panics outside a process.
#[must_use = "it is the reason to exit with"]
pub fn give_up(child: impl Into<String>, restarts: usize, period: Duration, last: Reason) -> Reason {
    let supervisor = crate::this();
    let label = crate::process::info(supervisor).and_then(|info| info.label).map(|label| label.into_owned());
    let gave_up = GaveUp { supervisor, label, child: child.into(), restarts, period, last };
    context::with_shared("give_up", |shared| shared.gave_up.record(supervisor, Arc::new(gave_up)));
    Reason::Shutdown
}

/// Returns the exit reason of a process with its cause: [`GaveUp`] in place of [`Reason::Shutdown`] if a
/// supervisor that gave up has ended the process, or is the process. The last 256 such ends are remembered.
///
/// ```
/// use std::time::Duration;
/// use riot_actor::{Reason, process::{spawn, wait}, run, runtime::{cause_of_exit, give_up}};
///
/// # let reason = run(async {
/// let supervisor = spawn(async { give_up("db", 3, Duration::from_secs(5), Reason::other("no database")) });
/// let reason = wait(supervisor).await;
/// assert_eq!(reason, Reason::Shutdown);
/// assert!(cause_of_exit(supervisor, &reason).to_string().contains("no database"));
/// # });
/// # assert_eq!(reason, Reason::Normal);
/// ```
///
/// # Panics
/// Panics outside a process.
#[must_use]
pub fn cause_of_exit(pid: Pid, reason: &Reason) -> Reason {
    context::with_shared("cause_of_exit", |shared| shared.reason_of_end(pid, reason))
}

/// The processes whose exit means that a supervisor gave up.
#[derive(Default)]
pub(crate) struct GaveUpProcesses {
    /// Whether there is any, to be read without the lock.
    any: AtomicBool,
    all: Mutex<VecDeque<(Pid, Arc<GaveUp>)>>,
}

impl GaveUpProcesses {
    fn record(&self, pid: Pid, gave_up: Arc<GaveUp>) {
        let mut all = lock(&self.all);
        let forgotten = if all.len() == MAX_REMEMBERED { all.pop_front() } else { None };
        all.push_back((pid, gave_up));
        self.any.store(true, Ordering::Release);
        drop(all);
        drop(forgotten);
    }

    /// Removes the last record of `pid`.
    fn forget(&self, pid: Pid) {
        let mut all = lock(&self.all);
        let at = all.iter().rposition(|(other, _)| *other == pid);
        let forgotten = at.and_then(|at| all.remove(at));
        drop(all);
        drop(forgotten);
    }

    fn get(&self, pid: Pid) -> Option<Arc<GaveUp>> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        lock(&self.all).iter().find(|(other, _)| *other == pid).map(|(_, gave_up)| gave_up.clone())
    }
}

impl Shared {
    /// Notes that the end of `from` may end `to` by a link, before it can: `to` may run at once. Returns
    /// whether there was something to note, which [`gave_up_elsewhere`](Self::gave_up_elsewhere) takes back.
    #[inline]
    pub(crate) fn may_end_by_link(&self, from: Pid, to: Pid) -> bool {
        self.gave_up.any.load(Ordering::Acquire) && self.may_end_by_link_slow(from, to)
    }

    #[cold]
    fn may_end_by_link_slow(&self, from: Pid, to: Pid) -> bool {
        let Some(gave_up) = self.gave_up.get(from) else { return false };
        self.gave_up.record(to, gave_up);
        true
    }

    /// Takes a note back: the link has not ended `to`.
    #[cold]
    pub(crate) fn gave_up_elsewhere(&self, to: Pid) {
        self.gave_up.forget(to);
    }

    /// Returns the reason of a process as the end of the runtime shows it: [`GaveUp`] where a supervisor that
    /// gave up has ended the process.
    pub(crate) fn reason_of_end(&self, pid: Pid, reason: &Reason) -> Reason {
        match self.gave_up.get(pid).filter(|_| *reason == Reason::Shutdown) {
            Some(gave_up) => Reason::from(GaveUp::clone(&gave_up)),
            None => reason.clone(),
        }
    }
}

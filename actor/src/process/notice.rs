//! The messages by which the runtime tells of exits. Only the runtime makes them.

use super::{pid::Pid, reason::Reason};
use crate::names::name::Name;

/// The message that a process that traps exits receives when a linked process exits, or when it is asked to
/// exit itself.
///
/// ```
/// # use riot_actor::{receive, run, spawn_link, trap_exit, Exit, Reason};
/// # run(async {
/// trap_exit(true);
/// let child = spawn_link(async { Reason::other("no more work") });
/// let exit: Exit = receive().await;
/// assert_eq!((exit.from, exit.reason), (child, Reason::other("no more work")));
/// # });
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Exit {
    /// The process that exited, or that called [`exit`](crate::exit()).
    pub from: Pid,
    /// The exit reason.
    pub reason: Reason,
    /// True if a link sent it, so that `from` has exited. False if `from` called [`exit`](crate::exit()) and
    /// may live on.
    pub by_link: bool,
}

/// The message that tells the exit of a monitored process. It is sent after the release: what the process
/// owned is free.
///
/// ```
/// # use riot_actor::{monitor, receive, run, spawn, Down, Reason};
/// # run(async {
/// let pid = spawn(async {});
/// let reference = monitor(pid);
/// let down: Down = receive().await;
/// assert_eq!((down.reference, down.pid), (reference, Some(pid)));
/// # });
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Down {
    /// The reference that [`monitor`](crate::monitor) returned.
    pub reference: MonitorRef,
    /// The process that exited; none if a name was monitored that no process held.
    pub pid: Option<Pid>,
    /// The name, if a name was monitored: see [`monitor_name`](crate::process::monitor_name).
    pub name: Option<Name>,
    /// The exit reason; [`Reason::NoProc`] if there was no such process.
    pub reason: Reason,
}

/// Identifies one monitor. Dropping it changes nothing.
///
/// See [`Down`] for an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MonitorRef(pub(crate) u64);

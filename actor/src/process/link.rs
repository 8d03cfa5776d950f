//! Links: two processes that exit together.

use super::{notice::Exit, pid::Pid};
use crate::{messages::receive::flush, runtime::context};

/// Links the caller with `pid`: if one of them exits abnormally the other one does, too, unless it traps
/// exits.
///
/// Two processes have at most one link. A link to a process that has exited sends the exit signal
/// [`Reason::NoProc`](crate::Reason::NoProc) at once.
///
/// ```
/// # use riot_actor::{exit, link, receive, run, spawn, trap_exit, Exit, Reason};
/// # run(async {
/// trap_exit(true);
/// let pid = spawn(std::future::pending::<()>());
/// link(pid);
/// exit(pid, Reason::Kill);
/// assert_eq!(receive::<Exit>().await.reason, Reason::Killed);
/// # });
/// ```
///
/// # Panics
/// Panics outside a process.
pub fn link(pid: Pid) {
    let this = crate::this();
    context::with_shared("link", |shared| shared.link(this, pid));
}

/// Removes the link between the caller and `pid`. No [`Exit`] of it arrives from here on; one that is already
/// in the mailbox stays there.
///
/// ```
/// # use riot_actor::{process::info, run, spawn_link, this, unlink};
/// # run(async {
/// unlink(spawn_link(std::future::pending::<()>()));
/// assert!(info(this()).unwrap().links.is_empty());
/// # });
/// ```
///
/// # Panics
/// Panics outside a process.
pub fn unlink(pid: Pid) {
    let this = crate::this();
    context::with_shared("unlink", |shared| shared.unlink(this, pid));
}

/// Removes a link, as [`unlink`] does, and an [`Exit`] of `pid` that is already in the mailbox.
///
/// ```
/// # use riot_actor::{mailbox::receive_timeout, process::{unlink_flush, wait}};
/// # use riot_actor::{run, spawn_link, trap_exit, Exit};
/// # run(async {
/// trap_exit(true);
/// let child = spawn_link(async {});
/// wait(child).await;
/// unlink_flush(child);
/// assert!(receive_timeout::<Exit>(std::time::Duration::ZERO).await.is_err());
/// # });
/// ```
///
/// # Panics
/// Panics outside a process.
pub fn unlink_flush(pid: Pid) {
    unlink(pid);
    flush(|exit: &Exit| exit.from == pid);
}

//! Exit signals: asking a process to exit, and trapping such requests.

use super::{pid::Pid, reason::Reason};
use crate::runtime::{context, handle::Handle};

/// Asks `pid` to exit with `reason`.
///
/// A process that traps exits receives the message [`Exit`](crate::Exit) instead, unless the reason is
/// [`Reason::Kill`], which ends any process, with [`Reason::Killed`]. A process that does not trap exits
/// ignores `Normal` from others. The exit of a process that has exited does nothing.
///
/// ```
/// # use riot_actor::{exit, process::wait, run, spawn, Reason};
/// # run(async {
/// let pid = spawn(std::future::pending::<()>());
/// let end = wait(pid);
/// exit(pid, Reason::Shutdown);
/// assert_eq!(end.await, Reason::Shutdown);
/// # });
/// ```
///
/// # Panics
/// Panics outside a process.
pub fn exit(pid: Pid, reason: Reason) {
    let this = crate::this();
    context::with_shared("exit", |shared| shared.exit(pid, this, reason));
}

/// Ends the caller with `reason`, whether it traps exits or not. The future never completes.
///
/// ```
/// # use riot_actor::{monitor, process::exit_self, run, spawn, Reason};
/// # run(async {
/// let pid = spawn(async { exit_self(Reason::other("done")).await });
/// assert_eq!(monitor(pid).down().await.reason, Reason::other("done"));
/// # });
/// ```
///
/// # Cancel safety
/// The caller is condemned at the first poll, and exits even if the future is then dropped.
///
/// # Panics
/// Panics outside a process.
pub async fn exit_self(reason: Reason) -> ! {
    let this = crate::this();
    context::with_shared("exit_self", |shared| shared.condemn_self(this, reason));
    std::future::pending().await
}

/// Sets whether exit signals arrive as [`Exit`](crate::Exit) messages instead of ending the caller. Returns
/// the setting before; off by default.
///
/// ```
/// # use riot_actor::{exit, receive, run, this, trap_exit, Exit, Reason};
/// # run(async {
/// assert_eq!(trap_exit(true), false);
/// exit(this(), Reason::Shutdown);
/// assert_eq!(receive::<Exit>().await.reason, Reason::Shutdown);
/// # });
/// ```
///
/// # Panics
/// Panics outside a process.
pub fn trap_exit(trap: bool) -> bool {
    let this = crate::this();
    context::with_shared("trap_exit", |shared| {
        std::mem::replace(&mut shared.table.slot(this.index()).lock().trap_exit, trap)
    })
}

/// Returns whether `pid` lives: it has neither exited nor been condemned to. A false result says nothing
/// about the release; [`Exit`](crate::Exit) and [`Down`](crate::Down) do.
///
/// ```
/// # use riot_actor::{process::is_alive, run, this};
/// # run(async {
/// assert!(is_alive(this()));
/// # });
/// ```
///
/// # Panics
/// Panics outside a process.
pub fn is_alive(pid: Pid) -> bool {
    context::with_shared("is_alive", |shared| shared.is_alive(pid))
}

impl Handle {
    /// Returns whether `pid` has not begun to exit, as [`is_alive`] does, from a plain thread.
    #[must_use]
    pub fn is_alive(&self, pid: Pid) -> bool {
        self.shared.is_alive(pid)
    }

    /// Asks `pid` to exit, as [`exit`] does, from a plain thread. The sender is the runtime itself.
    pub fn exit(&self, pid: Pid, reason: Reason) {
        self.shared.exit(pid, self.shared.system(), reason);
    }
}

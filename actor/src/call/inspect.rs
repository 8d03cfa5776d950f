//! Asking a process about its mailbox.

use std::time::Duration;

use super::{CallError, oneshot::inspection_of};
use crate::{
    process::pid::Pid,
    runtime::{context, kernel::inspection::Inspection},
};

/// How long an observer waits by default for the answer to [`inspect`]: 1 second.
pub const INSPECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Asks a process about its mailbox: how many messages of which types are there, and how large they are.
///
/// The process answers at the beginning of its next poll slice, before its body is polled, which takes
/// some 20 ns for each message; of more than 10 000 it counts a part in each poll slice. The body is
/// polled once more than it would be without the question. Without a question nothing is paid.
///
/// ```
/// # use riot_actor::{process::{INSPECT_TIMEOUT, inspect}, run, send, spawn};
/// # run(async {
/// let clerk = spawn(std::future::pending::<()>());
/// (0..3_u64).for_each(|number| send(clerk, number));
/// send(clerk, [0_u8; 100]);
/// let mailbox = inspect(clerk, INSPECT_TIMEOUT).await?;
/// assert_eq!((mailbox.messages, mailbox.inline_bytes, mailbox.boxed_bytes), (4, 24, 100));
/// assert_eq!((mailbox.types[0].message, mailbox.types[0].count), ("u64", 3));
/// # riot_actor::ok()
/// # });
/// ```
///
/// # Errors
/// [`CallError::Timeout`] if the process does not give way in time, [`CallError::NoProc`] if it has
/// exited, and [`CallError::Exit`] if it exits meanwhile.
///
/// # Cancel safety
/// If the future is dropped, the answer is discarded.
///
/// # Panics
/// Panics when awaited outside a process; a plain thread uses
/// [`Handle::inspect`](crate::runtime::Handle::inspect).
pub async fn inspect(pid: Pid, timeout: Duration) -> Result<Inspection, CallError> {
    let receiver = context::with_shared("inspect", |shared| inspection_of(shared, pid))?;
    receiver.wait(Some(timeout)).await
}

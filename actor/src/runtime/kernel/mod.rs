//! The kernel: one record per process, and everything that changes it.
//!
//! Whatever others do to a process (a message, an exit signal, a link, a monitor, a name, a timer) happens
//! under the one short lock of its record, before their call returns. The kernel knows nothing of calls,
//! generic servers, state machines, tasks or applications: they use its [exit hooks](exit_hooks), its
//! [in-place waits](in_place), and the one extension slot of a [`Process`](process::Process).
//!
//! Invariants: no code of a user runs, and no value of a user is dropped, under the lock of a record. Two
//! locks may be taken under it: that of another record, the lower index first, and, in a sweep of exit hooks,
//! that of a oneshot. A phase is assigned in [`lifecycle`] alone.

pub(crate) mod abandoned;
pub(crate) mod ancestry;
pub(crate) mod exit_hooks;
pub(crate) mod in_place;
pub(crate) mod inbox;
pub(crate) mod inspection;
mod large_release;
pub(crate) mod lifecycle;
pub(crate) mod link_set;
pub(crate) mod locals;
pub(crate) mod observed;
pub(crate) mod process;
pub(crate) mod record;
pub(crate) mod relations;
pub(crate) mod release;
pub(crate) mod remains;
pub(crate) mod signals;
pub(crate) mod slice;
pub(crate) mod spawn;
pub(crate) mod table;
pub(crate) mod waker;

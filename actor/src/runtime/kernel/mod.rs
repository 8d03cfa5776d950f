//! The kernel: one record per process, and everything that changes it.
//!
//! Whatever others do to a process (a message, an exit signal, a link, a monitor, a name, a timer) happens under the one
//! short lock of its record, before their call returns. The kernel knows nothing of calls, generic servers, state
//! machines, tasks or applications: they use its hooks. No code of a user runs under the lock of a record, and no lock
//! but that of another record (the lower index first) is taken under it.

pub(crate) mod link_set;
pub(crate) mod record;
pub(crate) mod relations;
pub(crate) mod slice;
pub(crate) mod table;
pub(crate) mod waker;

//! Descriptions of the await that a process is parked in.

use std::{fmt, panic::Location, time::Duration, time::Instant};

use super::pid::Pid;
use crate::{
    runtime::{
        kernel::{
            observed::{ParkedWait, WaitKind},
            record::Slot,
        },
        shared::Shared,
    },
    time::clock::deadline_after,
};

/// The await that a process was parked in.
///
/// A process that awaits several things at once shows the one that was polled last. An await of something
/// that this project does not know, such as a channel of another crate, is [`Foreign`](Self::Foreign), if no
/// other one was polled before it in the same poll slice. The bound of another wait, such as that of
/// [`timeout`](crate::timeout), is not shown.
///
/// ```
/// use riot_actor::{process::{WaitingFor, info, yield_now}, receive, run, spawn};
///
/// run(async {
///     let clerk = spawn(async { receive::<u8>().await; });
///     while info(clerk).unwrap().waiting_for.is_none() {
///         yield_now().await;
///     }
///     let Some(WaitingFor::Receive { at, .. }) = info(clerk).unwrap().waiting_for else { panic!() };
///     assert!(at.line() > 0 && at.file().ends_with(".rs"));
/// });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitingFor {
    /// A message.
    #[non_exhaustive]
    Receive {
        /// The place of the `.await` in the program; one in this crate or another where the receive is polled
        /// by a combinator or through a trait object.
        at: &'static Location<'static>,
    },
    /// The reply of a call.
    #[non_exhaustive]
    Call {
        /// The process that was called.
        to: Pid,
        /// The type of the request.
        request: &'static str,
        /// When the request was sent, by the clock of the runtime, as precise as
        /// [`now_coarse`](crate::time::now_coarse).
        since: Instant,
        /// Tells this wait from all others of the process.
        id: CallId,
    },
    /// A sleep.
    #[non_exhaustive]
    Timer {
        /// The end of the sleep by the clock of the runtime; none if it has no end.
        until: Option<Instant>,
    },
    /// A socket.
    #[non_exhaustive]
    Io {
        /// The operation that would block.
        operation: IoOperation,
    },
    /// The exit of another process, or its result.
    Join,
    /// [`blocking`](crate::runtime::blocking) work.
    Blocking,
    /// An await that is not known.
    Foreign,
}

/// An operation of a socket.
///
/// See [`WaitingFor`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IoOperation {
    /// Reading, or accepting a connection.
    Read,
    /// Writing, or connecting.
    Write,
}

/// Identifies the wait of a process for a reply. Two equal ids of one process mean that it has waited for the
/// same reply in between, and has not run.
///
/// See [`WaitingFor`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallId(u64);

impl fmt::Display for WaitingFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Receive { at } => write!(f, "receive at {at}"),
            Self::Call { to, request, .. } => write!(f, "call {request} to {to}"),
            Self::Timer { .. } => f.write_str("timer"),
            Self::Io { operation: IoOperation::Read } => f.write_str("read"),
            Self::Io { operation: IoOperation::Write } => f.write_str("write"),
            Self::Join => f.write_str("join"),
            Self::Blocking => f.write_str("blocking"),
            Self::Foreign => f.write_str("foreign"),
        }
    }
}

impl Shared {
    /// Returns what `pid` waits for. The caller holds the lock of its record, and the process waits.
    pub(crate) fn waiting_for(&self, slot: &Slot, pid: Pid) -> WaitingFor {
        let instant = |nanos| deadline_after(self.clock().start(), Duration::from_nanos(nanos));
        match slot.parked_wait(pid) {
            ParkedWait::Receive(at) => WaitingFor::Receive { at },
            ParkedWait::Call(to, request, since) => WaitingFor::Call {
                to,
                request,
                since: instant(since).unwrap_or(self.clock().start()),
                id: CallId(slot.observed.slices()),
            },
            ParkedWait::Timer(u64::MAX) => WaitingFor::Timer { until: None },
            ParkedWait::Timer(until) => WaitingFor::Timer { until: instant(until) },
            ParkedWait::Other(kind) => match kind {
                WaitKind::Read => WaitingFor::Io { operation: IoOperation::Read },
                WaitKind::Write => WaitingFor::Io { operation: IoOperation::Write },
                WaitKind::Join => WaitingFor::Join,
                WaitKind::Blocking => WaitingFor::Blocking,
                WaitKind::Foreign | WaitKind::Receive | WaitKind::Call | WaitKind::Timer => {
                    WaitingFor::Foreign
                }
            },
        }
    }
}

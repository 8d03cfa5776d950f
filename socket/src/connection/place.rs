//! Connections that are polled on threads that are no workers, such as in tokio's tasks.

use std::io;

use riot_actor::{process::try_this, runtime::Handle};

use super::record::ConnectionRecord;

/// The place where a connection is polled.
pub(super) enum Place {
    /// A process.
    Process,
    /// A thread that is no worker: it lends the clock, the timers and the pollers of the runtime.
    Elsewhere(Handle),
}

impl Place {
    /// Returns the place of this thread.
    ///
    /// # Errors
    /// [`NotConnected`](io::ErrorKind::NotConnected) on a thread that is no worker, if the runtime of the
    /// connection is gone.
    pub(super) fn of(record: &ConnectionRecord) -> io::Result<Self> {
        if try_this().is_some() {
            return Ok(Self::Process);
        }
        let gone = || io::Error::new(io::ErrorKind::NotConnected, "the runtime of the connection is gone");
        record.runtime_abroad().map(Self::Elsewhere).ok_or_else(gone)
    }

    pub(super) fn run<R>(self, poll: impl FnOnce() -> R) -> R {
        match self {
            Self::Process => poll(),
            Self::Elsewhere(runtime) => runtime.enter(poll),
        }
    }
}

//! Whether requests are watched, and where their traces go.

use std::{
    fmt,
    net::SocketAddr,
    sync::{
        OnceLock,
        atomic::{AtomicU8, Ordering::Relaxed},
    },
    time::Instant,
};

use super::{RequestTrace, TraceStage};

/// The bits of the events of requests; see `riot_actor::telemetry::Watched`.
#[cfg(feature = "driver")]
pub(crate) struct Interest;

#[cfg(feature = "driver")]
impl Interest {
    pub(crate) const STARTED: u32 = 40;
    pub(crate) const ANSWERED: u32 = 41;
    pub(crate) const ENDED: u32 = 42;
    pub(crate) const UPGRADE: u32 = 43;
    pub(crate) const ANY: u64 =
        1 << Self::STARTED | 1 << Self::ANSWERED | 1 << Self::ENDED | 1 << Self::UPGRADE;
}

/// Tells whether the requests of a server are watched, and passes their traces on.
#[derive(Default)]
pub(crate) struct Watch {
    /// The causes for which requests are watched, as bits.
    causes: AtomicU8,
    #[cfg(feature = "driver")]
    pub(crate) timings: WhenNoted,
    reporter: OnceLock<Box<dyn Reporter>>,
}

/// An event of requests has a handler.
#[cfg(feature = "driver")]
const HANDLED: u8 = 1;
/// The histograms of the server are read, or always kept.
#[cfg(feature = "driver")]
const READ: u8 = 2;

/// Says when requests are noted.
#[cfg(feature = "driver")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum WhenNoted {
    /// While an event has a handler, or the histograms are read.
    #[default]
    Read,
    Always,
    Never,
}

/// The party that gets the traces of requests.
pub(crate) trait Reporter: Send + Sync {
    /// Returns the time.
    fn now(&self) -> Instant;

    /// Takes a trace. No lock is held.
    fn report(&self, stage: TraceStage, trace: &RequestTrace, about: &Peer);
}

/// The connection of a trace.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Peer {
    pub(crate) address: Option<SocketAddr>,
    #[cfg(feature = "driver")]
    pub(crate) connector: Option<riot_actor::Pid>,
}

impl Watch {
    /// Returns whether requests are watched.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.causes.load(Relaxed) != 0
    }

    /// Sets, once, the party that gets the traces.
    #[cfg(feature = "driver")]
    pub(crate) fn set_reporter(&self, reporter: impl Reporter + 'static) {
        let _ = self.reporter.set(Box::new(reporter));
        if self.timings == WhenNoted::Always {
            self.begin_reading();
        }
    }

    /// Lets requests be noted, because the histograms of the server are read.
    #[cfg(feature = "driver")]
    pub(crate) fn begin_reading(&self) {
        self.set(READ, true);
    }

    /// Lets requests be noted no more for the sake of histograms, unless they always are.
    #[cfg(feature = "driver")]
    pub(crate) fn end_reading(&self) {
        self.set(READ, self.timings == WhenNoted::Always);
    }

    /// Sets whether an event has a handler.
    #[cfg(feature = "driver")]
    pub(crate) fn set_handled(&self, is_handled: bool) {
        self.set(HANDLED, is_handled);
    }

    #[cfg(feature = "driver")]
    fn set(&self, cause: u8, is_there: bool) {
        if is_there && self.timings != WhenNoted::Never {
            self.causes.fetch_or(cause, Relaxed);
        } else {
            self.causes.fetch_and(!cause, Relaxed);
        }
    }

    pub(crate) fn reporter(&self) -> Option<&dyn Reporter> {
        self.reporter.get().map(|reporter| &**reporter)
    }

    /// Returns the time, by the clock of the runtime if there is one.
    pub(crate) fn now(&self) -> Instant {
        self.reporter().map_or_else(Instant::now, Reporter::now)
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Watch({})", self.is_on())
    }
}

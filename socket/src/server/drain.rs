//! The drain of a server as values: its phases, its schedule, what it reports. Nothing here reads a clock.

use std::{
    fmt,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use super::info::CutConnection;
use crate::{connection::record::ConnectionRecord, transport::Address};

/// A phase of a drain, in the order of the phases.
///
/// ```
/// use riot_socket::DrainPhase;
/// assert!(DrainPhase::LameDuck < DrainPhase::Draining);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DrainPhase {
    /// Clients are accepted and served, and responses say that they are the last of their connection. Lasts
    /// [`Server::lame_duck_timeout`](crate::Server::lame_duck_timeout).
    LameDuck,
    /// No client can connect any more; those in the accept queue are accepted.
    Closing,
    /// Connections finish.
    Draining,
    /// The connections that have not finished by the deadline are killed.
    Killing,
}

impl fmt::Display for DrainPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LameDuck => "lame duck",
            Self::Closing => "closing",
            Self::Draining => "draining",
            Self::Killing => "killing",
        })
    }
}

/// The event that a server [emits](riot_actor::telemetry::emit) when a phase of its drain begins.
///
/// ```
/// use riot_actor::telemetry::attach;
/// use riot_socket::ServerPhase;
///
/// # let reason = riot_actor::run(async {
/// attach(|event: &ServerPhase| eprintln!("{:?} is {}", event.address, event.phase));
/// # });
/// # assert_eq!(reason, riot_actor::Reason::Normal);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerPhase {
    /// The address that the server listens on, or listened on until now.
    pub address: Option<Address>,
    /// The phase that begins.
    pub phase: DrainPhase,
    /// The instant at which connections are cut; `None` while that is not known.
    pub deadline: Option<Instant>,
}

/// A drain that is under way, in [`ServerInfo::drain`](crate::ServerInfo::drain). The numbers count
/// connections by what they are doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DrainInfo {
    /// The present phase.
    pub phase: DrainPhase,
    /// The instant at which connections are cut; `None` while that is not known.
    pub deadline: Option<Instant>,
    /// Connections on which no byte has been received.
    pub fresh: usize,
    /// Connections that have received a part of a request.
    pub reading: usize,
    /// All other connections: with a request under way, waiting for the peer to close after the last
    /// response, or of a protocol that does not say what it is doing.
    pub handling: usize,
    /// Connections that are kept between two requests.
    pub idle: usize,
}

impl DrainInfo {
    pub(super) fn new<'a>(
        schedule: &Schedule,
        connections: impl Iterator<Item = &'a ConnectionRecord>,
    ) -> Self {
        let (phase, deadline) = (schedule.phase, schedule.deadline);
        let mut info = Self { phase, deadline, fresh: 0, reading: 0, handling: 0, idle: 0 };
        for record in connections {
            *match record.status().state {
                _ if !record.has_received() => &mut info.fresh,
                "reading" => &mut info.reading,
                "idle" => &mut info.idle,
                _ => &mut info.handling,
            } += 1;
        }
        info
    }
}

/// The fate of the connections of a server that was [stopped](crate::ServerHandle::stop).
///
/// A server that its supervisor or the runtime ends returns no report; one line of the log gives the numbers,
/// at the level `INFO`, or `WARN` if connections were cut.
///
/// ```
/// use std::time::Duration;
/// use riot_socket::{Connection, Server, memory::Listener};
///
/// # let reason = riot_actor::run(async {
/// let listener = Listener::new();
/// let server = Server::listen(listener.clone())
///     .start_link(|mut connection: Connection| async move {
///         let mut request = [0; 1];
///         connection.read_exact(&mut request).await
///     })
///     .await?;
/// let _silent = listener.connect()?;
/// let report = server.stop(Duration::from_secs(5)).await;
/// assert_eq!((report.unused, report.cut.len()), (1, 0));
/// # Ok::<(), riot_actor::Reason>(())
/// # });
/// # assert_eq!(reason, riot_actor::Reason::Normal);
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct DrainReport {
    /// The connections that had not finished by the deadline, and were killed.
    pub cut: Vec<CutConnection>,
    /// Requests whose response began after their connection had been asked to finish, as far as protocols
    /// report them. Those answered while the server was a lame duck are not among them.
    pub served: u64,
    /// Connections that ended without having received a byte.
    pub unused: u64,
    /// Connections that received bytes after they had ended their side: a request of the client crossed the
    /// end, and got no response. The client may send an idempotent request again (RFC 9112 §9.5).
    pub crossed: u64,
    /// The time from the beginning of the drain, lame duck included, until the last connection had ended.
    pub took: Duration,
}

impl fmt::Display for DrainReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cut, served, unused, crossed, took } = self;
        let (took, cut) = (took.as_secs_f64(), cut.len());
        write!(f, "drained in {took:.1} s; requests served: {served}; connections unused: {unused}, ")?;
        write!(f, "crossed: {crossed}, cut: {cut}")
    }
}

/// The counters of a drain. They are used only while [`is_on`](Self::is_on) says so.
#[derive(Default)]
pub(super) struct DrainCounters {
    on: AtomicBool,
    served: AtomicU64,
    unused: AtomicU64,
    crossed: AtomicU64,
}

impl DrainCounters {
    /// Returns whether connections are being drained.
    pub(super) fn is_on(&self) -> bool {
        self.on.load(Relaxed)
    }

    pub(super) fn begin(&self) {
        for counter in [&self.served, &self.unused, &self.crossed] {
            counter.store(0, Relaxed);
        }
        self.on.store(true, Relaxed);
    }

    pub(super) fn end(&self) {
        self.on.store(false, Relaxed);
    }

    /// Counts a connection that has ended.
    #[cold]
    pub(super) fn count(&self, record: &ConnectionRecord) {
        let Some(drained) = record.drained() else { return };
        self.served.fetch_add(drained.served, Relaxed);
        self.unused.fetch_add(u64::from(!record.has_received()), Relaxed);
        self.crossed.fetch_add(u64::from(drained.crossed), Relaxed);
    }

    pub(super) fn report(&self, cut: Vec<CutConnection>, took: Duration) -> DrainReport {
        DrainReport {
            cut,
            served: self.served.load(Relaxed),
            unused: self.unused.load(Relaxed),
            crossed: self.crossed.load(Relaxed),
            took,
        }
    }
}

/// When the phases of a drain begin and end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Schedule {
    began: Instant,
    lame_duck_until: Instant,
    /// `None` until a stop was requested: the shutdown of the runtime begins the lame duck of every server.
    deadline: Option<Instant>,
    phase: DrainPhase,
}

impl Schedule {
    pub(super) fn new(now: Instant, lame_duck: Duration) -> Self {
        let lame_duck_until = later(now, lame_duck);
        Self { began: now, lame_duck_until, deadline: None, phase: DrainPhase::LameDuck }
    }

    /// Requests the stop. The connections then have `timeout` from now, or from the end of the lame duck. A
    /// second request can only move the deadline forward. Returns whether the deadline has changed.
    pub(super) fn stop(&mut self, now: Instant, timeout: Duration) -> bool {
        let deadline = later(now.max(self.lame_duck_until), timeout);
        let earlier = self.deadline.is_none_or(|before| deadline < before);
        if earlier {
            self.deadline = Some(deadline);
        }
        earlier
    }

    pub(super) fn enter(&mut self, phase: DrainPhase) {
        self.phase = phase;
    }

    pub(super) fn phase(&self) -> DrainPhase {
        self.phase
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Returns whether the deadline has passed.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// Returns the end of the lame duck.
    pub(super) fn lame_duck_until(&self) -> Instant {
        self.lame_duck_until
    }

    pub(super) fn took(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.began)
    }
}

/// Returns the instant `time` after another, or one so late that it never comes.
pub(super) fn later(instant: Instant, time: Duration) -> Instant {
    instant.checked_add(time).unwrap_or_else(|| instant + Duration::from_secs(u32::MAX.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn dr01_the_time_to_finish_begins_with_the_end_of_the_lame_duck() {
        let now = Instant::now();
        let mut schedule = Schedule::new(now, 5 * SECOND);
        assert_eq!(schedule.deadline(), None);
        assert!(schedule.stop(now + SECOND, 15 * SECOND));
        assert_eq!(schedule.deadline(), Some(now + 20 * SECOND));
    }

    #[test]
    fn dr01_a_second_stop_may_only_shorten() {
        let now = Instant::now();
        let mut schedule = Schedule::new(now, Duration::ZERO);
        assert!(schedule.stop(now, 15 * SECOND));
        assert!(!schedule.stop(now + SECOND, 15 * SECOND), "it would be later");
        assert!(schedule.stop(now + SECOND, SECOND));
        assert_eq!(schedule.deadline(), Some(now + 2 * SECOND));
    }

    #[test]
    fn a_drain_without_an_end_never_reaches_its_deadline() {
        let now = Instant::now();
        let mut schedule = Schedule::new(now, Duration::MAX);
        schedule.stop(now, Duration::MAX);
        assert!(schedule.deadline() > Some(now + Duration::from_secs(u32::MAX.into())));
    }
}

//! The timers of a connection: how long a read or a write may wait without a byte.
//!
//! They cost nothing while bytes flow: a timer is set when an operation first has to wait, and left running
//! when bytes come. It then fires too early once, and moves out.

use std::{
    hint::cold_path,
    io,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use riot_actor::{
    now,
    time::{Sleep, now_coarse, sleep_until},
};

use super::{core::Identity, record::ConnectionRecord};

/// The time by which the coarse clock may be behind: 20 ms. So much before its deadline a timer is asked
/// whether it has fired.
const COARSE: Duration = Duration::from_millis(20);

/// The bounds of the time that a protocol's reads and writes may wait without a byte. All are on by default
/// for the connections of a [`Server`](crate::Server), and off for others. Bytes that have arrived win over a
/// timer that has run out: the socket is asked once more.
///
/// An operation that has waited too long fails with [`TimedOut`](io::ErrorKind::TimedOut). A protocol that
/// ends with this error has not crashed; see [`Disconnected`](crate::Disconnected).
/// [`ServerInfo::timeouts`](crate::ServerInfo::timeouts) counts them as `idle`, `read_stall` and
/// `write_stall`.
///
/// Flows, such as HTTP, have timers of their own; these do not apply to them. They apply after an upgrade, to
/// a connection that was handed over.
///
/// ```
/// use std::time::Duration;
/// use riot_socket::{ConnectionTimeouts, Server};
///
/// let patient = ConnectionTimeouts::new()
///     .idle_timeout(Duration::from_secs(300))
///     .without_write_stall_timeout();
/// let server = Server::bind("127.0.0.1:0")?.connection_timeouts(patient);
/// # drop(server);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "timeouts do nothing before they are given to a server or a connection"]
pub struct ConnectionTimeouts {
    idle: Option<Duration>,
    read_stall: Option<Duration>,
    write_stall: Option<Duration>,
}

fn checked(timeout: Duration, name: &str) -> Option<Duration> {
    assert!(!timeout.is_zero(), "the {name} timeout is zero");
    Some(timeout)
}

impl ConnectionTimeouts {
    /// Returns the defaults of servers.
    pub fn new() -> Self {
        Self {
            idle: Some(Duration::from_secs(60)),
            read_stall: Some(Duration::from_secs(30)),
            write_stall: Some(Duration::from_secs(30)),
        }
    }

    /// Returns timeouts that are all off.
    pub fn none() -> Self {
        Self { idle: None, read_stall: None, write_stall: None }
    }

    /// Bounds the time in which a read waits and no byte is received or sent; default 60 s, as for HTTP.
    ///
    /// # Panics
    /// Panics if `timeout` is zero.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle = checked(timeout, "idle");
        self
    }

    /// Switches the idle timeout off.
    pub fn without_idle_timeout(mut self) -> Self {
        self.idle = None;
        self
    }

    /// Bounds the time without a received byte inside a read of a whole unit, once its first byte has come;
    /// default 30 s. Such reads are [`read_exact`](crate::Connection::read_exact) and
    /// [`read_to_end`](crate::Connection::read_to_end).
    ///
    /// # Panics
    /// Panics if `timeout` is zero.
    pub fn read_stall_timeout(mut self, timeout: Duration) -> Self {
        self.read_stall = checked(timeout, "read stall");
        self
    }

    /// Switches the read stall timeout off.
    pub fn without_read_stall_timeout(mut self) -> Self {
        self.read_stall = None;
        self
    }

    /// Bounds the time in which a write waits and the peer accepts no byte; default 30 s. For a flush of TLS
    /// it bounds the whole flush, of at most 64 KiB.
    ///
    /// # Panics
    /// Panics if `timeout` is zero.
    pub fn write_stall_timeout(mut self, timeout: Duration) -> Self {
        self.write_stall = checked(timeout, "write stall");
        self
    }

    /// Switches the write stall timeout off.
    pub fn without_write_stall_timeout(mut self) -> Self {
        self.write_stall = None;
        self
    }

    fn of(&self, wait: Wait) -> Option<Duration> {
        match wait {
            Wait::ForUnit => self.idle,
            Wait::InsideUnit => [self.idle, self.read_stall].into_iter().flatten().min(),
            Wait::ForRoom => self.write_stall,
        }
    }
}

impl Default for ConnectionTimeouts {
    fn default() -> Self {
        Self::new()
    }
}

/// The reason for which an operation waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// A read, whose unit has not begun.
    ForUnit,
    /// A read of the rest of a unit.
    InsideUnit,
    /// A write.
    ForRoom,
}

/// The timer of one direction. Most connections have none: those that are never waited for, and those of
/// flows.
#[derive(Default)]
pub(super) struct Stall(Option<Box<StallTimer>>);

struct StallTimer {
    timeouts: ConnectionTimeouts,
    /// The instant at which the operation first had to wait. `None` while bytes flow.
    since: Option<Instant>,
    /// The running timer, not later than it is needed, and the waker that it wakes.
    running: Option<(Sleep, Instant, Waker)>,
}

/// The outcome of [`Stall::poll_wait`].
pub(super) enum Waited {
    /// The operation goes on waiting.
    GoesOn,
    /// The time has run out. The operation must be tried once more, and failed if it waits again.
    RunOut(&'static str),
}

impl Stall {
    /// Sets timeouts in place of those of the server.
    pub(super) fn set_timeouts(&mut self, timeouts: ConnectionTimeouts) {
        self.0 = Some(Box::new(StallTimer { timeouts, since: None, running: None }));
    }

    /// Records that bytes flow.
    #[inline]
    pub(super) fn flows(&mut self) {
        if let Some(timer) = &mut self.0 {
            timer.since = None;
        }
    }

    /// Waits together with an operation that waits.
    #[inline]
    pub(super) fn poll_wait(&mut self, cx: &mut Context<'_>, identity: &Identity, wait: Wait) -> Waited {
        match &mut self.0 {
            Some(timer) => timer.poll_wait(cx, identity.record(), wait),
            none => {
                let Some(timeouts) = identity.timeouts() else { return Waited::GoesOn };
                let timer = none.insert(Box::new(StallTimer { timeouts, since: None, running: None }));
                timer.poll_wait(cx, identity.record(), wait)
            }
        }
    }
}

impl StallTimer {
    fn poll_wait(&mut self, cx: &mut Context<'_>, record: &ConnectionRecord, wait: Wait) -> Waited {
        let Some(timeout) = self.timeouts.of(wait) else { return Waited::GoesOn };
        let coarse = now_coarse();
        let since = *self.since.get_or_insert(coarse);
        let Some(deadline) = since.checked_add(timeout) else { return Waited::GoesOn };
        if let Some((_, fires, waker)) = &self.running
            && *fires <= deadline
            && coarse.checked_add(COARSE).is_some_and(|soon| soon < *fires)
            && waker.will_wake(cx.waker())
        {
            return Waited::GoesOn; // It runs, and fires early enough.
        }
        cold_path();
        self.poll_timer(cx, record, wait, deadline, timeout)
    }

    #[inline(never)]
    fn poll_timer(
        &mut self,
        cx: &mut Context<'_>,
        record: &ConnectionRecord,
        wait: Wait,
        mut deadline: Instant,
        timeout: Duration,
    ) -> Waited {
        let now = now();
        // The other direction counts against idleness, not against a stall.
        if wait == Wait::ForUnit
            && let Some(later) = record.last_sent().and_then(|sent| sent.checked_add(timeout))
            && later > deadline
        {
            deadline = later;
        }
        if deadline <= now {
            return Waited::RunOut(match wait {
                Wait::ForRoom => "write_stall",
                Wait::InsideUnit if self.timeouts.idle != Some(timeout) => "read_stall",
                Wait::ForUnit | Wait::InsideUnit => "idle",
            });
        }
        let mut sleep = match self.running.take() {
            Some((mut sleep, ..)) => {
                sleep.reset(deadline);
                sleep
            }
            None => sleep_until(deadline),
        };
        // The bound of a read or a write, which observers are to see.
        if sleep.poll_unnoted(cx).is_ready() {
            cx.waker().wake_by_ref(); // It fires at this instant.
        }
        self.running = Some((sleep, deadline, cx.waker().clone()));
        Waited::GoesOn
    }
}

/// Fails an operation that has waited too long.
#[cold]
pub(super) fn fail<T>(identity: &Identity, timer: &'static str) -> Poll<io::Result<T>> {
    identity.count_timeout(timer);
    identity.transport_failed(io::ErrorKind::TimedOut);
    let text = match timer {
        "idle" => "no byte came or left in time",
        "read_stall" => "the rest of a unit did not come in time",
        _ => "the peer accepted no byte in time",
    };
    Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, text)))
}

//! Logging that never waits: a record is a message to a process that writes it.
//!
//! All crates of this workspace log through `tracing`. This is a subscriber for programs that have none of
//! their own. The caller formats the line and sends it. If the writing process is gone, or its runtime has
//! ended, lines go to the standard error. If it lags behind by more than its mailbox holds, lines are dropped
//! and counted, and the next line that is written says how many.
//!
//! ```no_run
//! use riot_actor::{log, run};
//!
//! run(async {
//!     log::start(std::io::stderr())?;
//!     tracing::info!(port = 2112, "listening");         // "    0.001234 INFO main: listening port=2112"
//!     Ok::<(), riot_actor::Reason>(())
//! });
//! ```
//!
//! Any other subscriber of `tracing` will do, such as that of `tracing-subscriber`; it is set before the
//! runtime starts. Without one, warnings and errors go to the standard error
//! ([`Config::without_default_log`](crate::runtime::Config::without_default_log)).
//!
//! The targets, by which a subscriber can filter:
//!
//! | target | lines about |
//! |---|---|
//! | `riot::crash` | processes that exit abnormally; repeated ones are counted |
//! | `riot::supervisor` | children that end, are restarted or fail to start; supervisors that give up |
//! | `riot::application`, `riot::shutdown` | applications that end; a shutdown that takes too long |
//! | `riot::scheduler`, `riot::blocking` | processes that do not give way; threads that the system refuses |
//! | `riot::server`, `riot::telemetry` | messages that a generic server does not handle; handlers that panic |
//! | `riot::socket` | connection servers: clients, limits, drains (`LogLevels` of `riot-socket`) |
//! | `riot::flow`, `riot::http` | the ends of connections; requests whose handler failed |

use std::{
    fmt::{self, Write as _},
    future::{Future, poll_fn},
    io,
    pin::pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    time::Duration,
};

use tracing::{Event, Level, Metadata, Subscriber, span};

pub use crate::guard::log::LogLevel;
#[doc(hidden)]
pub use crate::guard::log::emit_guarded;
pub use crate::guard::text::printable;
use crate::{
    guard::{
        log::Fields,
        stderr::{self, LOG_FLUSH_TIMEOUT, Rate},
    },
    messages::{
        capacity::MailboxOverflow,
        message::Message,
        receive::{receive, receive_timeout},
        send::TrySendError,
    },
    names::{name::Name, registry::NameTaken},
    observe::crash_report,
    process::{
        exit::{exit, trap_exit},
        notice::Exit,
        pid::Pid,
        reason::Reason,
        spawn::SpawnOptions,
    },
    runtime::{blocking::blocking_abandoned_at_end, context, shared::Shared, shutdown::shutdown_signal},
    time::timeout::timeout,
};
#[doc(hidden)]
pub use tracing;

/// Lines that wait for the writer of [`start`] at most; more are dropped and counted.
const MAX_WAITING_LINES: usize = 10_000;

/// Bytes that are written at once at most.
const MAX_BATCH_BYTES: usize = 64 * 1024;

/// Returns whether a line about the running process as `parent` is printed. The first five equal ones in 10 s
/// are, and then one line with their count every 10 s.
#[doc(hidden)]
#[must_use]
pub fn admits_line(target: &'static str, level: Level, text: &str) -> bool {
    let this = context::current();
    context::with_local(|local| local.is_none_or(|local| local.shared.admits_line(target, level, this, text)))
}

/// Handles that the running process is about to return an error because it has failed to start: below a
/// supervisor, which reports it, its own crash report has the level `DEBUG` in the log.
#[doc(hidden)]
pub fn failed_to_start() {
    crash_report::failed_to_start();
}

/// A line of the log, with its newline.
struct Line(String);

/// A `tracing` subscriber that sends records to the process that holds a name. It never waits, and never
/// fails its caller. See the [module](self) for an example.
pub struct LogSubscriber {
    shared: Weak<Shared>,
    name: Name,
    level: Level,
    dropped: AtomicU64,
}

impl LogSubscriber {
    /// Makes a subscriber for the process `name` of the caller's runtime, which runs [`write_log`]. It
    /// records up to the level `INFO`.
    ///
    /// # Panics
    /// Panics outside a process.
    #[must_use]
    pub fn new(name: impl Into<Name>) -> Self {
        let shared = context::with_shared("LogSubscriber::new", Arc::downgrade);
        Self { shared, name: name.into(), level: Level::INFO, dropped: AtomicU64::new(0) }
    }

    /// Sets the level up to which it records; `INFO` by default.
    #[must_use]
    pub fn level(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    fn line(&self, event: &Event<'_>, age: Duration) -> String {
        let metadata = event.metadata();
        let mut line = String::new();
        let _ = write!(line, "{:5}.{:06} ", age.as_secs(), age.subsec_micros());
        let _ = write!(line, "{:5} {}:", metadata.level(), metadata.target());
        let mut fields = Fields::default();
        event.record(&mut fields);
        line = fields.lines(line);
        line.push('\n');
        line
    }
}

impl fmt::Debug for LogSubscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogSubscriber")
            .field("name", &self.name)
            .field("level", &self.level)
            .finish_non_exhaustive()
    }
}

impl Subscriber for LogSubscriber {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= self.level
    }

    fn event(&self, event: &Event<'_>) {
        let Some(shared) = self.shared.upgrade() else {
            return to_stderr(&self.line(event, Duration::ZERO));
        };
        let age = shared.now().saturating_duration_since(shared.clock().start());
        let mut line = self.line(event, age);
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            line = format!("... {dropped} lines were dropped here\n{line}");
        }
        let writer = shared.registry.holder(&self.name);
        let sent = match writer {
            Some(writer) => shared.try_deliver(writer, Message::new(Line(line))),
            None => return to_stderr(&line),
        };
        match sent {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => drop(self.dropped.fetch_add(dropped + 1, Ordering::Relaxed)),
            Err(TrySendError::NoProc(line)) => to_stderr(&line.take::<Line>().0),
        }
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// Hands a line to the thread that writes to the standard error, and does not wait for it.
fn to_stderr(line: &str) {
    stderr::write_line(line.trim_end_matches('\n'), Rate::Unlimited);
}

/// Logs to `out` up to the level `INFO`: starts a process named `log` that writes, with room for 10 000
/// lines, and makes a [`LogSubscriber`] the subscriber of the program.
///
/// For another name, level or bound, or to run the process below a supervisor, put the parts together as this
/// does:
///
/// ```no_run
/// use riot_actor::{
///     log::{LogSubscriber, write_log}, mailbox::MailboxOverflow, process::SpawnOptions, run,
/// };
///
/// run(async {
///     let options = SpawnOptions::new().name("errors").trap_exit();
///     let options = options.max_mailbox(1_000, MailboxOverflow::DropNewest);
///     options.spawn(write_log(std::io::stderr()));
///     let subscriber = LogSubscriber::new("errors").level(tracing::Level::ERROR);
///     tracing::subscriber::set_global_default(subscriber)?;
///     Ok::<(), riot_actor::Reason>(())
/// });
/// ```
///
/// # Errors
/// If the name is taken, or the program has a subscriber. No process is left behind then.
///
/// # Panics
/// Panics outside a process.
pub fn start<W: io::Write + Send + 'static>(out: W) -> Result<Pid, LogStartError> {
    let options = SpawnOptions::new().name("log").trap_exit();
    let options = options.max_mailbox(MAX_WAITING_LINES, MailboxOverflow::DropNewest);
    let writer = options.try_spawn(write_log(out)).map_err(LogStartError::NameTaken)?;
    match tracing::subscriber::set_global_default(LogSubscriber::new("log")) {
        Ok(()) => Ok(writer),
        Err(error) => {
            exit(writer, Reason::Kill);
            Err(LogStartError::SubscriberSet(error))
        }
    }
}

/// Why [`start`] has not started a log.
#[derive(Debug)]
#[non_exhaustive]
pub enum LogStartError {
    /// Another process is named `log`.
    NameTaken(NameTaken),
    /// The program has a subscriber already; it has one for as long as it runs.
    SubscriberSet(tracing::subscriber::SetGlobalDefaultError),
}

impl fmt::Display for LogStartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NameTaken(_) => "the log was not started: its name is taken",
            Self::SubscriberSet(_) => "the log was not started: the program has a subscriber",
        })
    }
}

impl std::error::Error for LogStartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NameTaken(error) => Some(error),
            Self::SubscriberSet(error) => Some(error),
        }
    }
}

/// The body of the process that writes: it writes lines of [`LogSubscriber`] to `out`, many at once, away
/// from the workers. When it is asked to exit, it writes what it has first; while the runtime shuts down that
/// takes 100 ms at most, and what is not written by then is lost. (Spawn it trapping exits, because it may be
/// asked before its first poll.)
///
/// See the [module](self) for an example.
///
/// # Errors
/// Those of `out`. Below a supervisor it begins again; the lines that waited are lost, and those meanwhile go
/// to the standard error.
///
/// # Cancel safety
/// If the future is dropped before it is ready, lines that it has taken may be lost.
///
/// # Panics
/// Panics outside a process.
pub async fn write_log<W: io::Write + Send + 'static>(mut out: W) -> Result<(), Reason> {
    trap_exit(true);
    let mut end = None;
    loop {
        let mut batch = String::new();
        if end.is_none() {
            crate::receive! {
                Line(line) => batch = line,
                exit: Exit => end = Some(exit.reason),
            }
        }
        while (end.is_some() || batch.len() < MAX_BATCH_BYTES)
            && let Ok(Line(line)) = receive_timeout(Duration::ZERO).await
        {
            batch += &line;
        }
        if let Some(reason) = end.take_if(|_| batch.is_empty()) {
            return Err(reason);
        }
        let write = blocking_abandoned_at_end(move || {
            let written = stderr::write_all_waiting(&mut out, batch.as_bytes()).and_then(|()| out.flush());
            (out, written)
        });
        let written;
        (out, written) = match write_or_end(write, &mut end).await {
            Some(written) => written,
            // The write may never return, and nothing would read what is left.
            None => return Err(end.unwrap_or(Reason::Shutdown)),
        };
        written?;
    }
}

/// Awaits a write, and stores the reason of an exit that is asked for meanwhile. Once both an exit was asked
/// for and the runtime shuts down, the write has 100 ms more, and none is returned after that.
async fn write_or_end<R>(write: impl Future<Output = R>, end: &mut Option<Reason>) -> Option<R> {
    let mut write = pin!(write);
    if end.is_none() {
        let mut asked = pin!(receive::<Exit>());
        let either = poll_fn(|cx| match write.as_mut().poll(cx) {
            Poll::Ready(written) => Poll::Ready(Either::Written(written)),
            Poll::Pending => asked.as_mut().poll(cx).map(|exit| Either::Asked(exit.reason)),
        });
        match either.await {
            Either::Written(written) => return Some(written),
            Either::Asked(reason) => *end = Some(reason),
        }
    }
    let mut ending = pin!(shutdown_signal());
    let either = poll_fn(|cx| match write.as_mut().poll(cx) {
        Poll::Ready(written) => Poll::Ready(Some(written)),
        Poll::Pending => ending.as_mut().poll(cx).map(|()| None),
    });
    match either.await {
        Some(written) => Some(written),
        None => timeout(LOG_FLUSH_TIMEOUT, write).await.ok(),
    }
}

enum Either<R> {
    Written(R),
    Asked(Reason),
}

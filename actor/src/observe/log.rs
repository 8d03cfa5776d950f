//! Logging that waits for nobody: records are messages to a process that writes them.
//!
//! Everything here logs through `tracing`; this is one place for its records to go to, for programs that have no
//! subscriber of their own. Whoever logs formats the line and sends it. Filter the process that writes is gone, or has ended
//! its runtime, lines go to the standard error; if it lags behind by more than its mailbox holds they are dropped and
//! counted, and the next line that is written says how many.
//!
//! ```no_run
//! use riot_actor::{
//!     log::{LogSubscriber, write_log}, mailbox::MailboxOverflow, process::SpawnOptions, runtime::Config,
//! };
//!
//! Config::new().run(async {
//!     let options = SpawnOptions::new().name("log").trap_exit().max_mailbox(10_000, MailboxOverflow::DropNewest);
//!     options.spawn(write_log(std::io::stdout()));      // or below a supervisor
//!     tracing::subscriber::set_global_default(LogSubscriber::new("log"))?;
//!     tracing::info!(port = 2112, "listening");         // "    0.001234 INFO main: listening port=2112"
//!     Ok::<(), riot_actor::Reason>(())
//! })?;
//! # Ok::<(), riot_actor::runtime::RunError>(())
//! ```

use std::{
    fmt::{self, Write as _},
    io,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

use crate::{
    messages::{message::Message, receive::receive_timeout, send::TrySendError},
    names::registry::Name,
    process::signal::{Exit, trap_exit},
    runtime::{blocking::blocking, context, shared::Shared},
};

/// So many bytes are written at once at most.
const MAX_BATCH_BYTES: usize = 64 * 1024;

/// A line of the log, with its end.
struct Line(String);

/// Sends what `tracing` records to the process that holds a name. It never waits, and never fails whoever logs.
pub struct LogSubscriber {
    shared: Weak<Shared>,
    name: Name,
    level: Level,
    dropped: AtomicU64,
}

impl LogSubscriber {
    /// For the process `name` of the runtime of the caller, which runs [`write_log`]. Records up to the level `INFO`.
    ///
    /// # Panics
    /// Outside a process.
    #[must_use]
    pub fn new(name: impl Into<Name>) -> Self {
        let shared = context::with_shared("LogSubscriber::new", Arc::downgrade);
        Self { shared, name: name.into(), level: Level::INFO, dropped: AtomicU64::new(0) }
    }

    /// Records up to this level; default `INFO`.
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
        let mut fields = Fields { message: String::new(), others: String::new() };
        event.record(&mut fields);
        line += &fields.message;
        line += &fields.others;
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
        let writer = shared.registry.whereis(&self.name);
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

/// Nobody hears if even that fails, and whoever logs must not.
fn to_stderr(line: &str) {
    let _ = io::Write::write_all(&mut io::stderr(), line.as_bytes());
}

/// What an event says, and the fields that say more.
struct Fields {
    message: String,
    others: String,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self.message, " {value:?}"),
            name => write!(self.others, " {name}={value:?}"),
        };
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let _ = match field.name() {
            "message" => write!(self.message, " {value}"),
            name => write!(self.others, " {name}={value}"),
        };
    }
}

/// The body of the process that writes: lines of [`LogSubscriber`] to `out`, many at once, away from the workers. Asked to
/// end, it writes what it has first (spawn it trapping exits, or it may be asked before it has begun to).
///
/// # Errors
/// Those of `out`; below a supervisor it begins again, with the lines that wait lost and those meanwhile on the standard
/// error.
///
/// # Panics
/// Outside a process.
pub async fn write_log<W: io::Write + Send + 'static>(mut out: W) -> Result<(), crate::Reason> {
    trap_exit(true);
    loop {
        let (mut batch, end) = crate::receive! {
            Line(line) => (line, None),
            exit: Exit => (String::new(), Some(exit.reason)),
        };
        while (end.is_some() || batch.len() < MAX_BATCH_BYTES)
            && let Ok(Line(line)) = receive_timeout(Duration::ZERO).await
        {
            batch += &line;
        }
        let written;
        (out, written) = blocking(move || {
            let written = out.write_all(batch.as_bytes()).and_then(|()| out.flush());
            (out, written)
        })
        .await;
        written?;
        if let Some(reason) = end {
            return Err(reason);
        }
    }
}

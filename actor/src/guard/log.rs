//! Events for the log, emitted so that neither a subscriber that panics nor one that is missing loses them.

use std::{
    cell::Cell,
    fmt::{self, Write as _},
    sync::OnceLock,
};

use tracing::{
    Dispatch, Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
    span,
    subscriber::{Interest, NoSubscriber},
};

use super::{
    panic::catch,
    stderr::{self, Rate},
    text::escape,
};
use crate::runtime::context;

/// Emits an event through `tracing`, guarded: `log_event!(WARN, "riot::socket", field, …, "message")`.
#[doc(hidden)]
#[macro_export]
macro_rules! log_event {
    ($level:ident, $target:expr, $($event:tt)+) => {
        $crate::log::emit_guarded($crate::log::tracing::Level::$level, || {
            $crate::log::tracing::event!(target: $target, $crate::log::tracing::Level::$level, $($event)+)
        })
    };
}

/// Emits an event at a level that is chosen at run time, a [`LogLevel`](crate::log::LogLevel).
#[doc(hidden)]
#[macro_export]
macro_rules! log_event_at {
    ($level:expr, $target:expr, $($event:tt)+) => {
        match $level {
            $crate::log::LogLevel::Off => {}
            $crate::log::LogLevel::Error => $crate::log_event!(ERROR, $target, $($event)+),
            $crate::log::LogLevel::Warn => $crate::log_event!(WARN, $target, $($event)+),
            $crate::log::LogLevel::Info => $crate::log_event!(INFO, $target, $($event)+),
            $crate::log::LogLevel::Debug => $crate::log_event!(DEBUG, $target, $($event)+),
            $crate::log::LogLevel::Trace => $crate::log_event!(TRACE, $target, $($event)+),
        }
    };
}

/// A level of the log that is chosen at run time, or none.
///
/// ```
/// use riot_actor::log::LogLevel;
/// assert!(LogLevel::Off < LogLevel::Error && LogLevel::Error < LogLevel::Debug);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogLevel {
    /// Nothing is logged.
    Off,
    /// The level `ERROR` of tracing.
    Error,
    /// The level `WARN` of tracing.
    Warn,
    /// The level `INFO` of tracing.
    Info,
    /// The level `DEBUG` of tracing.
    Debug,
    /// The level `TRACE` of tracing.
    Trace,
}

impl LogLevel {
    /// Returns the level that is one of tracing.
    pub(crate) fn of(level: Level) -> Self {
        match level {
            Level::ERROR => Self::Error,
            Level::WARN => Self::Warn,
            Level::INFO => Self::Info,
            Level::DEBUG => Self::Debug,
            Level::TRACE => Self::Trace,
        }
    }

    /// Returns the level of tracing.
    #[doc(hidden)]
    #[must_use]
    pub fn of_tracing(self) -> Option<Level> {
        match self {
            Self::Off => None,
            Self::Error => Some(Level::ERROR),
            Self::Warn => Some(Level::WARN),
            Self::Info => Some(Level::INFO),
            Self::Debug => Some(Level::DEBUG),
            Self::Trace => Some(Level::TRACE),
        }
    }
}

/// Calls `emit`, which emits an event of `level`. A panic of the subscriber is contained. If there is no
/// subscriber, warnings and errors go to the standard error.
#[doc(hidden)]
pub fn emit_guarded(level: Level, emit: impl FnOnce()) {
    let is_default = level <= Level::WARN && has_no_subscriber();
    if is_default && !prints() {
        return;
    }
    let emitted = catch(|| match is_default {
        true => tracing::dispatcher::with_default(default_log(), emit),
        false => emit(),
    });
    if let Err(panic) = emitted {
        let line = escape(format!("riot ERROR the subscriber of the log panicked: {panic}"));
        stderr::write_line(&line, Rate::Limited);
    }
}

thread_local! {
    /// Whether the default log prints what this thread emits outside a runtime.
    static PRINTS: Cell<bool> = const { Cell::new(true) };
}

/// Returns whether the default log prints what this thread emits.
fn prints() -> bool {
    context::with_local(|local| local.map_or_else(|| PRINTS.get(), |local| local.shared.config.default_log))
}

/// Runs the work of a thread of a runtime that is no worker. The default log prints what it emits if
/// `default_log` says so.
pub(crate) fn without_default_unless(default_log: bool, work: impl FnOnce()) {
    let before = PRINTS.replace(default_log);
    work();
    PRINTS.set(before);
}

fn has_no_subscriber() -> bool {
    tracing::dispatcher::get_default(Dispatch::is::<NoSubscriber>)
}

/// Returns the subscriber that stands in where a program has none.
fn default_log() -> &'static Dispatch {
    static DEFAULT: OnceLock<Dispatch> = OnceLock::new();
    DEFAULT.get_or_init(|| Dispatch::new(DefaultLog))
}

/// Writes warnings and errors of these crates to the standard error.
struct DefaultLog;

impl DefaultLog {
    fn writes(metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= Level::WARN && metadata.target().starts_with("riot")
    }
}

impl Subscriber for DefaultLog {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if Self::writes(metadata) { Interest::always() } else { Interest::never() }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::WARN)
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        Self::writes(metadata)
    }

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let beginning = format!("riot {:5}", event.metadata().level());
        stderr::write_line(&fields.lines(beginning), Rate::Limited);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// The fields of an event as text.
#[derive(Default)]
pub(crate) struct Fields {
    /// The message, after a space.
    message: String,
    /// The other fields, each after a space.
    others: String,
    /// The backtrace of a panic, which has lines of its own.
    backtrace: String,
}

impl Fields {
    /// Returns a line with the fields behind `beginning`, and a backtrace in the lines below. Control
    /// characters are escaped, and the last line has no newline.
    pub(crate) fn lines(self, beginning: String) -> String {
        let mut text = escape(beginning + &self.message + &self.others);
        for line in self.backtrace.lines() {
            text.push('\n');
            text += &escape(line.to_owned());
        }
        text
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self.message, " {value:?}"),
            // A text of `name=value` pairs that is made where the names are known.
            "details" => write!(self.others, " {value:?}"),
            name => write!(self.others, " {name}={value:?}"),
        };
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let _ = match field.name() {
            "message" => write!(self.message, " {value}"),
            "backtrace" => write!(self.backtrace, "{value}"),
            name => write!(self.others, " {name}={value}"),
        };
    }
}

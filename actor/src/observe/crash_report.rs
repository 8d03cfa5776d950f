//! Crash reports: one for each abnormal exit, through `tracing`.

use std::{
    borrow::Cow,
    cell::{Cell, RefCell},
    fmt::Write as _,
    io,
};

use super::watched::NamedEvent;
use crate::{
    guard::{Contained, contain, log::LogLevel, panic::catch, text::printable},
    log_event, log_event_at,
    names::name::Name,
    process::{pid::Pid, reason::Reason},
    runtime::{context, shared::Shared},
};

/// The advice for a future that needs tokio and has none.
pub(crate) const TOKIO_ADVICE: &str = concat!(
    "this future needs tokio: use Config::tokio() with SpawnOptions::tokio(), ",
    "Server::tokio(), Server::axum(..) or in_tokio(..)"
);

/// Texts of panics that mean that a future has found no tokio.
const NO_TOKIO: [&str; 2] = ["there is no reactor running", "requires a Tokio context"];

/// Returns what can be done about the reason, where that is known.
fn advice(reason: &Reason) -> Option<&'static str> {
    let Reason::Panic(panic) = reason else { return None };
    NO_TOKIO.iter().any(|text| panic.message.contains(text)).then_some(TOKIO_ADVICE)
}

/// Details that one process may register.
const MAX_DETAILS: usize = 16;

/// Describes a process that exited abnormally. It is also an event, whose handlers are
/// [attached](crate::telemetry::attach) as those of any other, and run in the process that exits. See
/// [`Config::on_crash`](crate::runtime::Config::on_crash) for an example.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CrashReport {
    /// The process.
    pub pid: Pid,
    /// The names it held.
    pub names: Vec<Name>,
    /// The label.
    pub label: Option<Cow<'static, str>>,
    /// The exit reason.
    pub reason: Reason,
    /// The process that spawned it.
    pub parent: Option<Pid>,
    /// Whether it was ended by a link or by [`exit`](crate::exit()), and so is no cause itself.
    pub by_signal: bool,
    /// The labels of the processes above it, the farthest first, and its own, joined by `/`. A process
    /// without a label has its pid there.
    pub path: String,
    /// The type of the last message that the process had taken.
    pub last_message: Option<&'static str>,
    /// Names and values of what the process was about, see [`crash_detail`]. Values are fit for one line.
    pub details: Vec<(&'static str, String)>,
}

/// A detail of a crash report, made when there is one.
pub(crate) struct CrashDetail {
    name: &'static str,
    value: Contained<Box<dyn Fn() -> String + Send>>,
}

/// Names and values.
pub(crate) type Details = Vec<(&'static str, String)>;

thread_local! {
    /// Details of the process that is about to exit on this thread.
    static LAST_DETAILS: RefCell<Option<(Pid, Details)>> = const { RefCell::new(None) };

    /// The process that is about to exit on this thread because it has failed to start, below a supervisor
    /// that reports it.
    static STARTER_REPORTS: Cell<Option<Pid>> = const { Cell::new(None) };

    /// The process that is about to exit on this thread, with the level of its report.
    static CRASH_LEVEL: Cell<Option<CrashLevel>> = const { Cell::new(None) };
}

/// The level of the report of a process that may be about to exit.
#[derive(Clone, Copy)]
struct CrashLevel {
    of: Pid,
    /// The level is for the exit with an I/O error of this kind, or for any abnormal exit.
    kind: Option<io::ErrorKind>,
    level: LogLevel,
}

impl CrashLevel {
    fn applies_to(&self, report: &CrashReport) -> bool {
        let is_of_kind = |kind| match &report.reason {
            Reason::Error(error) => {
                error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == kind)
            }
            _ => false,
        };
        self.of == report.pid && self.kind.is_none_or(is_of_kind)
    }
}

impl NamedEvent for CrashReport {
    const NAME: &'static str = "crash";
}

/// Registers a detail of the running process for its crash report. The function is called only if the process
/// exits abnormally, in that process, after its body was dropped and before its [local
/// values](crate::process_local) are. A process has 16 details at most; more are ignored.
///
/// A detail stays until the process ends, and another one of the same name does not replace it. A process
/// that does one job after the other, such as the handler of a connection, therefore registers a detail once,
/// and its function returns what the process is about at the time of the crash.
///
/// ```
/// use std::sync::mpsc;
/// use riot_actor::{process::wait, runtime::Config, spawn, telemetry::crash_detail};
///
/// let (tell, told) = mpsc::channel();
/// let config = Config::new().on_crash(move |report| tell.send(report.details.clone()).unwrap());
/// config.run(async {
///     let order = spawn(async {
///         crash_detail("order", || "17".to_owned());
///         panic!("out of stock");
///     });
///     wait(order).await;
/// })?;
/// assert_eq!(told.recv(), Ok(vec![("order", "17".to_owned())]));
/// # Ok::<(), riot_actor::runtime::RunError>(())
/// ```
///
/// # Panics
/// Panics outside a process.
pub fn crash_detail(name: &'static str, value: impl Fn() -> String + Send + 'static) {
    attach(crate::this(), CrashDetail { name, value: Contained::new(Box::new(value)) });
}

/// Attaches a detail to the record of a process, unless it has too many. Returns whether the process lives.
fn attach(pid: Pid, detail: CrashDetail) -> bool {
    let mut detail = Some(detail);
    let attached = context::with_shared("crash_detail", |shared| {
        shared.attach_relation(pid, |relations| {
            let details = &mut relations.others().crash_details;
            if details.len() < MAX_DETAILS {
                details.extend(detail.take());
            }
        })
    });
    attached.is_some()
}

/// Adds a detail to the crash report of the running process, which is about to exit abnormally: it unwinds,
/// returns an error, or will end as soon as its last word is said. Costs nothing before that, unlike
/// [`crash_detail`].
pub fn add_crash_detail(name: &'static str, value: &str) {
    let Some(this) = context::current() else { return };
    let value = printable(value);
    let text = value.clone();
    // A process that lives may go on elsewhere before it exits. One in its exit stays on this thread.
    if attach(this, CrashDetail { name, value: Contained::new(Box::new(move || text.clone())) }) {
        return;
    }
    LAST_DETAILS.with_borrow_mut(|last| {
        if last.as_ref().is_none_or(|(pid, _)| *pid != this) {
            *last = Some((this, Vec::new()));
        }
        if let Some((_, details)) = last
            && details.len() < MAX_DETAILS
        {
            details.push((name, value));
        }
    });
}

/// Sets the level at which the crash report of the running process is logged, which is about to exit
/// abnormally: it unwinds, or returns an error. `ERROR` by default. Hooks and handlers get the report in any
/// case.
pub fn set_crash_level(level: LogLevel) {
    CRASH_LEVEL.set(context::current().map(|of| CrashLevel { of, kind: None, level }));
}

/// Sets the level as [`set_crash_level`] does, for the case that the running process ends with an
/// [`io::Error`] of this kind.
pub fn set_crash_level_of_error(kind: io::ErrorKind, level: LogLevel) {
    CRASH_LEVEL.set(context::current().map(|of| CrashLevel { of, kind: Some(kind), level }));
}

/// Handles that the running process is about to return because it has failed to start. If a supervisor has
/// started it, that one reports the failure, so the log has the process's own report at the level `DEBUG`.
pub(crate) fn failed_to_start() {
    let supervised = context::with_local(|local| {
        let local = local?;
        let this = local.running.borrow().as_ref()?.pid;
        local.shared.is_below_supervisor(this).then_some(this)
    });
    if supervised.is_some() {
        STARTER_REPORTS.set(supervised);
    }
}

/// Returns the details of a process that exits: those that it was given as it began to, and those that it
/// has registered.
pub(crate) fn details(pid: Pid, registered: &[CrashDetail]) -> Details {
    let last = LAST_DETAILS.take().filter(|(other, _)| *other == pid);
    let mut details = last.map_or_else(Vec::new, |(_, details)| details);
    for CrashDetail { name, value } in registered {
        details.extend(contain(&**value).map(|value| (*name, printable(value))));
    }
    details
}

/// Reports an abnormal exit.
pub(crate) fn crash(shared: &Shared, report: CrashReport) {
    let CrashReport { pid, names, label, reason, parent, by_signal, details, .. } = &report;
    let label = printable(label.as_deref().unwrap_or("-"));
    let parent = parent.map(tracing::field::display);
    let names = (!names.is_empty()).then(|| tracing::field::debug(names));
    let reason = printable(format_args!("{reason:#}"));
    let chosen = CRASH_LEVEL.take().filter(|chosen| chosen.applies_to(&report));
    let level = chosen.map_or(LogLevel::Error, |chosen| chosen.level);
    // A crash is an error; the exits that follow from it are only details.
    if *by_signal {
        log_event!(DEBUG, "riot::crash", %pid, label, names, parent, "process exited: {reason}");
    } else if STARTER_REPORTS.take() == Some(*pid) {
        log_event!(DEBUG, "riot::crash", %pid, label, names, parent, "process failed to start: {reason}");
    } else if let Some(tracing_level) = level.of_tracing()
        && shared.admits_line("riot::crash", tracing_level, report.parent, &reason)
    {
        let backtrace = match &report.reason {
            Reason::Panic(panic) => panic.backtrace.as_deref(),
            _ => None,
        };
        let advice = advice(&report.reason);
        let details = (!details.is_empty()).then(|| tracing::field::display(pairs(details)));
        log_event_at!(
            level, "riot::crash", %pid, label, names, parent, details, advice, backtrace,
            "process crashed: {reason}"
        );
    }
    if let Some(hook) = &shared.config.on_crash
        && let Err(panic) = catch(|| hook(&report))
    {
        let panic = printable(panic);
        log_event!(ERROR, "riot::crash", "the crash hook panicked: {panic}");
    }
    shared.crash_history.add(shared, &report);
    shared.telemetry.emit(&report);
}

/// Returns details as `name=value` pairs; a value with a space is quoted.
fn pairs(details: &[(&'static str, String)]) -> String {
    let mut text = String::new();
    for (name, value) in details {
        let space = if text.is_empty() { "" } else { " " };
        let _ = match value.contains([' ', '"']) {
            true => write!(text, "{space}{name}={value:?}"),
            false => write!(text, "{space}{name}={value}"),
        };
    }
    text
}

/// Reports a panic that came too late to be the exit reason.
pub(crate) fn late_panic(pid: Pid, reason: &Reason) {
    let reason = printable(reason);
    log_event!(ERROR, "riot::crash", %pid, "process panicked while it exited: {reason}");
}

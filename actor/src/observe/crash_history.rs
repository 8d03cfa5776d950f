//! The crashes of a runtime, kept in memory for whoever looks later.

use std::{
    collections::VecDeque,
    error::Error,
    sync::Mutex,
    time::{Duration, Instant, SystemTime},
};

use super::crash_report::CrashReport;
use crate::{
    guard::text::{cut, printable},
    names::name::Name,
    process::{pid::Pid, reason::Reason},
    runtime::{context, handle::Handle, shared::Shared},
    sync::lock::lock,
};

/// Bounds the crashes that are kept; 256. One more has the oldest forgotten.
const MAX_CRASHES: usize = 256;

/// Bounds the levels of a cause that are kept; 16.
const MAX_LEVELS: usize = 16;

/// Bounds the bytes of a cause, and those of all details of a crash; 7 KiB each, so that all crashes with
/// their backtraces take 8 MiB at most.
const MAX_PART_BYTES: usize = 7 * 1024;

/// Bounds the names of a process that are kept; 8.
const MAX_NAMES: usize = 8;

/// The time in which a restart counts as what followed a crash: 10 s.
const FOLLOW_TIMEOUT: Duration = Duration::from_secs(10);

/// A crash, or several equal ones: of processes with the same label and a reason of the same text. See
/// [`crashes`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CrashEntry {
    /// The number of different crashes before this one.
    pub id: u64,
    /// How many equal crashes there were. All that stands below is of the last one.
    pub count: u64,
    /// The time of the first one.
    pub first_at: SystemTime,
    /// The time of the last one. A simulation begins in 1970.
    pub last_at: SystemTime,
    /// The time that the runtime had been running.
    pub uptime: Duration,
    /// The process.
    pub pid: Pid,
    /// The names that it held; 8 at most.
    pub names: Vec<Name>,
    /// The label.
    pub label: Option<String>,
    /// The labels of the processes above it, the farthest first, and its own:
    /// `web/Connections.Sup/Connector`. A process without a label has its pid there.
    pub path: String,
    /// The reason and its causes, each fit for one line; 16 at most. A cause whose text is part of the one
    /// before is left out.
    pub reason: Vec<String>,
    /// The location of the panic as `file:line:column`, if it was one.
    pub location: Option<String>,
    /// The backtrace of the panic, where `RUST_BACKTRACE` asks for it.
    pub backtrace: Option<String>,
    /// The type of the last message that the process had taken.
    pub last_message: Option<&'static str>,
    /// The details of its [report](CrashReport::details), 7 KiB at most.
    pub details: Vec<(&'static str, String)>,
    /// Whether it was ended by a link or by an exit signal, and so is no cause itself.
    pub by_signal: bool,
    /// The restart that followed, if there was one.
    pub followed_by: FollowedBy,
}

/// The restart that followed a crash, if there was one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FollowedBy {
    /// Nothing yet: ten seconds have not passed.
    Nothing,
    /// No supervisor has started the child again within ten seconds.
    NotRestarted,
    /// A supervisor has started the child again.
    Restarted {
        /// The new process.
        pid: Pid,
        /// The time between the crash and the restart.
        after: Duration,
    },
}

/// Returns the last crashes of the runtime, the oldest first; 256 at most, equal ones together. They are kept
/// in memory, 8 MiB at most, and nowhere else.
///
/// ```
/// use riot_actor::{process::{SpawnOptions, wait}, runtime::Config, telemetry::{FollowedBy, crashes}};
///
/// let config = Config::new().without_default_log();
/// config.run(async {
///     for _ in 0..3 {
///         let stock = SpawnOptions::new().label("stock").spawn(async { panic!("no such article") });
///         wait(stock).await;
///     }
///     let all = crashes();
///     assert_eq!((all.len(), all[0].count), (1, 3));
///     assert!(all[0].path.ends_with("/stock"));
///     assert_eq!(all[0].followed_by, FollowedBy::Nothing);
/// })?;
/// # Ok::<(), riot_actor::runtime::RunError>(())
/// ```
///
/// # Panics
/// Panics outside a process.
#[must_use]
pub fn crashes() -> Vec<CrashEntry> {
    context::with_shared("telemetry::crashes", |shared| shared.crashes())
}

/// Notes that a supervisor has started a child again, whose process was `old`.
///
/// # Panics
/// Panics outside a process.
#[doc(hidden)]
pub fn note_restart(old: Pid, new: Pid) {
    context::with_shared("telemetry::note_restart", |shared| {
        shared.crash_history.restarted(shared, old, new)
    });
}

impl Handle {
    /// Returns the last crashes, as [`crashes`] does, from a plain thread.
    #[must_use]
    pub fn crashes(&self) -> Vec<CrashEntry> {
        self.shared.crashes()
    }
}

/// The crashes of one runtime.
#[derive(Default)]
pub(crate) struct CrashHistory(Mutex<Crashes>);

#[derive(Default)]
struct Crashes {
    entries: VecDeque<(Instant, CrashEntry)>,
    /// The number of different crashes ever.
    kinds: u64,
}

impl CrashHistory {
    /// Adds a crash. Its texts are made before the lock is taken.
    #[cold]
    pub(super) fn add(&self, shared: &Shared, report: &CrashReport) {
        let (at, entry) = (shared.now(), entry(shared, report));
        let mut crashes = lock(&self.0);
        let is_equal =
            |(_, known): &(_, CrashEntry)| known.label == entry.label && known.reason == entry.reason;
        let before = match crashes.entries.iter().position(is_equal) {
            Some(place) => crashes.entries.remove(place),
            None if crashes.entries.len() == MAX_CRASHES => crashes.entries.pop_front(),
            None => None,
        };
        let equal = before.as_ref().map(|(_, before)| before).filter(|before| before.reason == entry.reason);
        let known = equal.filter(|equal| equal.label == entry.label);
        let (id, count, first_at) = match known {
            Some(known) => (known.id, known.count + 1, known.first_at),
            None => {
                crashes.kinds += 1;
                (crashes.kinds - 1, 1, entry.first_at)
            }
        };
        crashes.entries.push_back((at, CrashEntry { id, count, first_at, ..entry }));
        drop(crashes);
        drop(before);
    }

    fn restarted(&self, shared: &Shared, old: Pid, new: Pid) {
        let now = shared.now();
        let mut crashes = lock(&self.0);
        if let Some((at, entry)) = crashes.entries.iter_mut().rev().find(|(_, entry)| entry.pid == old) {
            let after = now.saturating_duration_since(*at);
            if after <= FOLLOW_TIMEOUT {
                entry.followed_by = FollowedBy::Restarted { pid: new, after };
            }
        }
    }
}

impl Shared {
    fn crashes(&self) -> Vec<CrashEntry> {
        let now = self.now();
        let mut entries: Vec<_> = lock(&self.crash_history.0).entries.iter().cloned().collect();
        for (at, entry) in &mut entries {
            if entry.followed_by == FollowedBy::Nothing && now.saturating_duration_since(*at) > FOLLOW_TIMEOUT
            {
                entry.followed_by = FollowedBy::NotRestarted;
            }
        }
        entries.into_iter().map(|(_, entry)| entry).collect()
    }
}

fn entry(shared: &Shared, report: &CrashReport) -> CrashEntry {
    let uptime = shared.now().saturating_duration_since(shared.clock().start());
    let at = if shared.clock().is_virtual() { SystemTime::UNIX_EPOCH + uptime } else { SystemTime::now() };
    let panic = if let Reason::Panic(panic) = &report.reason { Some(panic) } else { None };
    let mut left = MAX_PART_BYTES;
    let details = report.details.iter().map_while(|(name, value)| {
        let value = cut(value.clone(), left);
        left = left.saturating_sub(name.len() + value.len());
        (left > 0).then_some((*name, value))
    });
    CrashEntry {
        id: 0,
        count: 1,
        first_at: at,
        last_at: at,
        uptime,
        pid: report.pid,
        names: report.names.iter().take(MAX_NAMES).cloned().collect(),
        label: report.label.as_deref().map(|label| cut(printable(label), 256)),
        path: report.path.clone(),
        reason: levels(&report.reason),
        location: panic.and_then(|panic| panic.location.clone()),
        backtrace: panic.and_then(|panic| panic.backtrace.clone()),
        last_message: report.last_message,
        details: details.collect(),
        by_signal: report.by_signal,
        followed_by: FollowedBy::Nothing,
    }
}

/// Returns the texts of a reason and its causes.
fn levels(reason: &Reason) -> Vec<String> {
    let mut levels = vec![cut(printable(reason), MAX_PART_BYTES)];
    let mut left = MAX_PART_BYTES.saturating_sub(levels[0].len());
    let mut cause = match reason {
        Reason::Error(error) => source_of(&**error),
        _ => None,
    };
    while let Some(error) = cause
        && levels.len() < MAX_LEVELS
        && left > 0
    {
        let text = cut(printable(error), left);
        if !levels.last().is_some_and(|last| last.contains(&text)) {
            left = left.saturating_sub(text.len());
            levels.push(text);
        }
        cause = source_of(error);
    }
    levels
}

/// Returns the cause of an error, whose code is a user's.
fn source_of<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    crate::guard::panic::catch(|| error.source()).ok().flatten()
}

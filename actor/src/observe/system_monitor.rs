//! The process that raises the alarms of a runtime: mailboxes and calls that have become too long, rings of
//! calls, and the checks of others.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    alarm::{AlarmKey, AlarmOwner, register_events},
    wait_graph::{WaitEdge, edge_of},
};
use crate::{
    guard::{panic::catch, text::printable},
    process::{
        look::ProcessLook, pid::Pid, priority::Priority, spawn::SpawnOptions, top::Portions, waiting::CallId,
    },
    runtime::{context, coop::yield_now, shared::Shared},
    time::{api::sleep_until, clock::deadline_after},
};

/// The time between two looks, if they take little time.
const INTERVAL: Duration = Duration::from_millis(500);

/// The share of its time that the monitor uses at most: one in this many.
const PACE: u32 = 100;

/// A check of a program or of another crate, called at each look.
type Check = Arc<dyn Fn(&mut CheckedAlarms<'_>) + Send + Sync>;

/// The builder of the process that raises alarms. A runtime has one at most.
///
/// | alarm | raised when | cleared when | default |
/// |---|---|---|---|
/// | `long_mailbox` | that many messages wait, or more | that few wait, or fewer | 1 000, 0 |
/// | `long_call` | a call has waited for that long | the call ends | 5 s |
/// | `long_schedule` | a poll slice was [reported] | it has ended | 100 ms |
/// | `deadlock` | processes wait for calls of each other, in a ring | the ring is gone | on |
///
/// [reported]: crate::runtime::Config::long_schedule
///
/// It looks at all processes each half second, 1 024 in one poll slice, and uses at most 1 % of a worker:
/// with more than some 150 000 processes it looks less often. Nothing is added to sending. All its alarms are
/// removed, without events, when it ends.
///
/// ```
/// use std::time::Duration;
/// use riot_actor::{alarm::{SystemMonitor, alarms}, send, simulation::Simulation, sleep, spawn};
///
/// Simulation::new(1).run(async {
///     SystemMonitor::new().long_mailbox(100, 10).start_link().await?;
///     let clerk = spawn(std::future::pending::<()>());
///     (0..100).for_each(|number: u8| send(clerk, number));
///     sleep(Duration::from_secs(1)).await;
///     assert_eq!((&*alarms()[0].name, alarms()[0].pid), ("long_mailbox", Some(clerk)));
///     Ok::<(), riot_actor::Reason>(())
/// });
/// ```
///
/// Below a supervisor: `worker("system_monitor", move || monitor.clone().start_link())`.
#[derive(Clone)]
#[must_use = "nothing is watched before `start_link`"]
pub struct SystemMonitor {
    /// The lengths at which the alarm is raised and cleared.
    mailbox: (usize, usize),
    call: Duration,
    checks: Vec<Check>,
}

/// The error of the start of a second [`SystemMonitor`]: this process is the first one.
///
/// ```
/// use riot_actor::{alarm::{SystemMonitor, SystemMonitorRuns}, run};
///
/// run(async {
///     let first = SystemMonitor::new().start_link().await.unwrap();
///     assert_eq!(SystemMonitor::new().start_link().await, Err(SystemMonitorRuns(first)));
/// });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SystemMonitorRuns(pub Pid);

impl fmt::Display for SystemMonitorRuns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the runtime has a system monitor: {}", self.0)
    }
}
impl std::error::Error for SystemMonitorRuns {}

impl Default for SystemMonitor {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for SystemMonitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemMonitor")
            .field("mailbox", &self.mailbox)
            .field("call", &self.call)
            .field("checks", &self.checks.len())
            .finish()
    }
}

impl SystemMonitor {
    /// Returns a monitor with the defaults.
    pub fn new() -> Self {
        Self { mailbox: (1_000, 0), call: Duration::from_secs(5), checks: Vec::new() }
    }

    /// Sets the number of messages in a mailbox at which `long_mailbox` is raised, and the number at which it
    /// is cleared.
    ///
    /// # Panics
    /// Panics if `clear` is not less than `raise`.
    pub fn long_mailbox(mut self, raise: usize, clear: usize) -> Self {
        assert!(clear < raise, "riot_actor: an alarm is cleared at fewer messages than it is raised at");
        self.mailbox = (raise, clear);
        self
    }

    /// Sets the time after which a call that waits raises `long_call`; [`Duration::MAX`] switches it off.
    ///
    /// # Panics
    /// Panics if `limit` is zero.
    pub fn long_call(mut self, limit: Duration) -> Self {
        assert!(!limit.is_zero(), "riot_actor: every call takes longer than no time");
        self.call = limit;
        self
    }

    /// Adds a check, which is called in the monitor at each look, and says by [`CheckedAlarms::raise`] which
    /// of its alarms stand; the others are cleared. It must not block. One that panics is logged, and not
    /// called again.
    ///
    /// ```
    /// use riot_actor::alarm::SystemMonitor;
    /// # fn free_megabytes() -> u64 { 10_000 }
    /// let monitor = SystemMonitor::new().check(|alarms| {
    ///     let free = free_megabytes();
    ///     if free < 100 || free < 200 && alarms.stands("disk", "/var") {
    ///         alarms.raise("disk", "/var", format!("{free} MB are left"));
    ///     }
    /// });
    /// # drop(monitor);
    /// ```
    pub fn check(mut self, check: impl Fn(&mut CheckedAlarms<'_>) + Send + Sync + 'static) -> Self {
        self.checks.push(Arc::new(check));
        self
    }

    /// Starts the process, linked to the caller, with priority High.
    ///
    /// # Errors
    /// Returns the process that is the monitor of this runtime, if there is one.
    ///
    /// # Panics
    /// Panics when awaited outside a process.
    pub async fn start_link(self) -> Result<Pid, SystemMonitorRuns> {
        let shared = context::with_shared("SystemMonitor::start_link", Arc::clone);
        register_events();
        // The one that takes the place is the caller for a moment, so that two starts cannot both succeed.
        let caller = context::this();
        shared.alarms.set_monitor(caller).map_err(SystemMonitorRuns)?;
        let options = SpawnOptions::new().label("system_monitor").priority(Priority::High).link();
        let pid = options.spawn(Watch::new(self, shared.clone()).run());
        shared.alarms.replace_monitor(caller, pid);
        Ok(pid)
    }
}

/// The alarms that a [check](SystemMonitor::check) has raised and raises.
///
/// See [`SystemMonitor::check`] for an example.
#[derive(Debug)]
pub struct CheckedAlarms<'a> {
    standing: &'a BTreeSet<AlarmKey>,
    raised: &'a mut BTreeMap<AlarmKey, String>,
}

impl CheckedAlarms<'_> {
    /// Says that an alarm stands, about this subject.
    pub fn raise(&mut self, name: &'static str, subject: impl Into<String>, text: impl AsRef<str>) {
        self.raised.insert(AlarmKey { name: name.into(), subject: subject.into() }, printable(text.as_ref()));
    }

    /// Returns whether the alarm stood at the last look, for checks that clear at another value than they
    /// raise at.
    #[must_use]
    pub fn stands(&self, name: &'static str, subject: &str) -> bool {
        self.standing.contains(&AlarmKey { name: name.into(), subject: subject.to_owned() })
    }
}

/// The kinds of alarms about processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum ProcessAlarm {
    LongMailbox,
    LongCall,
    Deadlock,
    LongSchedule,
}

impl ProcessAlarm {
    fn key(self, pid: Pid) -> AlarmKey {
        let name = match self {
            Self::LongMailbox => "long_mailbox",
            Self::LongCall => "long_call",
            Self::Deadlock => "deadlock",
            Self::LongSchedule => "long_schedule",
        };
        AlarmKey { name: name.into(), subject: pid.to_string() }
    }
}

/// An alarm about a process: its kind, and the slot and the generation of the process.
type StandingKey = (ProcessAlarm, u32, u32);

/// An alarm that stands.
struct StandingMark {
    pid: Pid,
    /// The look that has seen it last.
    look: u64,
    /// The calls that it is about.
    calls: Vec<CallId>,
}

/// The state of the process.
struct Watch {
    settings: SystemMonitor,
    shared: Arc<Shared>,
    look: u64,
    standing: BTreeMap<StandingKey, StandingMark>,
    checked: BTreeSet<AlarmKey>,
}

/// An alarm that a look has found.
struct Finding {
    kind: ProcessAlarm,
    pid: Pid,
    calls: Vec<CallId>,
    /// The text but for the label.
    text: String,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.alarms.forget_monitor();
    }
}

impl Watch {
    fn new(settings: SystemMonitor, shared: Arc<Shared>) -> Self {
        Self { settings, shared, look: 0, standing: BTreeMap::new(), checked: BTreeSet::new() }
    }

    async fn run(mut self) {
        let mut due = self.shared.clock().start();
        loop {
            let used = self.look().await;
            let now = self.shared.now();
            let earliest = deadline_after(now, used * (PACE - 1)).unwrap_or(now);
            // Looks are at whole intervals since the start of the runtime.
            while due < earliest || due <= now {
                due += INTERVAL;
            }
            sleep_until(due).await;
        }
    }

    /// Looks at everything once, and returns the time that this has taken.
    async fn look(&mut self) -> Duration {
        self.look += 1;
        let (mut used, mut edges) = (Duration::ZERO, Vec::new());
        for portion in Portions::new(&self.shared) {
            let began = self.shared.now();
            let mut found = Vec::new();
            let shared = self.shared.clone();
            shared.looks_of(portion, |look| self.judge(look, began, &mut edges, &mut found));
            found.into_iter().for_each(|finding| self.note(finding));
            used += self.shared.now().saturating_duration_since(began);
            yield_now().await;
        }
        let began = self.shared.now();
        for ring in self.shared.confirmed_rings(&edges) {
            let finding = self.ring_finding(&ring);
            self.note(finding);
        }
        self.find_long_schedules();
        self.run_checks();
        self.clear_unseen();
        used + self.shared.now().saturating_duration_since(began)
    }

    /// Adds the alarms of one process to `found`, and its call to `edges`.
    fn judge(&self, look: ProcessLook, now: Instant, edges: &mut Vec<WaitEdge>, found: &mut Vec<Finding>) {
        let (pid, mailbox) = (look.pid, look.mailbox);
        let (raise, clear) = self.settings.mailbox;
        if mailbox >= raise || mailbox > clear && self.stands(ProcessAlarm::LongMailbox, pid) {
            let text = format!("{mailbox} messages wait");
            found.push(Finding { kind: ProcessAlarm::LongMailbox, pid, calls: Vec::new(), text });
        }
        let Some(edge) = edge_of(look) else { return };
        edges.push(edge);
        let waited = now.saturating_duration_since(edge.since);
        if waited >= self.settings.call {
            let text = format!("a call of {} with {} has waited for {waited:.1?}", edge.to, edge.request);
            found.push(Finding { kind: ProcessAlarm::LongCall, pid, calls: vec![edge.id], text });
        }
    }

    fn stands(&self, kind: ProcessAlarm, pid: Pid) -> bool {
        self.standing.contains_key(&(kind, pid.index(), pid.generation()))
    }

    fn ring_finding(&self, ring: &[WaitEdge]) -> Finding {
        let mut text = "processes wait for each other:".to_owned();
        for edge in ring {
            text += &format!(" {}{} calls with {} →", edge.from, self.label(edge.from), edge.request);
        }
        text += &format!(" {}", ring[0].from);
        let calls = ring.iter().map(|edge| edge.id).collect();
        Finding { kind: ProcessAlarm::Deadlock, pid: ring[0].from, calls, text }
    }

    /// Returns the label of a process, behind a space.
    fn label(&self, pid: Pid) -> String {
        let label = self.shared.summary_of(pid).and_then(|summary| summary.label);
        label.map(|label| format!(" {label}")).unwrap_or_default()
    }

    /// Raises what was found, or keeps it. An alarm about other calls than before is raised anew.
    fn note(&mut self, finding: Finding) {
        let Finding { kind, pid, calls, text } = finding;
        let (place, key) = ((kind, pid.index(), pid.generation()), kind.key(pid));
        match self.standing.get_mut(&place) {
            Some(mark) if mark.calls == calls => {
                mark.look = self.look;
                return;
            }
            Some(_) => _ = self.shared.clear_alarm(&key, AlarmOwner::Monitor),
            None => {}
        }
        let text = if kind == ProcessAlarm::Deadlock {
            printable(text)
        } else {
            printable(format_args!("{pid}{}: {text}", self.label(pid)))
        };
        self.shared.raise_alarm(key, AlarmOwner::Monitor, Some(pid), text);
        self.standing.insert(place, StandingMark { pid, look: self.look, calls });
    }

    /// Raises the poll slices that the watchdog has reported, and keeps those that have not ended.
    fn find_long_schedules(&mut self) {
        for pid in self.shared.held_up_processes() {
            let place = (ProcessAlarm::LongSchedule, pid.index(), pid.generation());
            if let Some(mark) = self.standing.get_mut(&place) {
                mark.look = self.look;
            }
        }
        for pid in self.shared.alarms.take_long_schedules() {
            let text = "a poll slice has lasted too long".to_owned();
            self.note(Finding { kind: ProcessAlarm::LongSchedule, pid, calls: Vec::new(), text });
        }
    }

    /// Clears the alarms that this look has not found again.
    fn clear_unseen(&mut self) {
        let Self { standing, shared, look, .. } = self;
        standing.retain(|&(kind, ..), mark| {
            if mark.look != *look {
                shared.clear_alarm(&kind.key(mark.pid), AlarmOwner::Monitor);
            }
            mark.look == *look
        });
    }

    fn run_checks(&mut self) {
        let mut raised = BTreeMap::new();
        let Self { settings, checked, .. } = self;
        settings.checks.retain(|check| {
            let mut alarms = CheckedAlarms { standing: checked, raised: &mut raised };
            let result = catch(|| check(&mut alarms));
            if let Err(panic) = &result {
                crate::log_event!(ERROR, "riot::alarm", "a check panicked and is not called again: {panic}");
            }
            result.is_ok()
        });
        for key in self.checked.iter().filter(|key| !raised.contains_key(key)) {
            self.shared.clear_alarm(key, AlarmOwner::Monitor);
        }
        self.checked = raised.keys().cloned().collect();
        for (key, text) in raised {
            self.shared.raise_alarm(key, AlarmOwner::Monitor, None, text);
        }
    }
}

//! Alarms: conditions that stand until they are cleared, raised by the program or by a [`SystemMonitor`].
//!
//! ```
//! use riot_actor::{alarm::{AlarmRaised, alarms, clear_alarm, set_alarm}, run, telemetry};
//!
//! run(async {
//!     telemetry::attach(|event: &AlarmRaised| println!("{}: {}", event.alarm.name, event.alarm.text));
//!     assert!(set_alarm("disk_full", "/var has 1 % left"));
//!     assert_eq!(alarms()[0].name, "disk_full");
//!     assert!(clear_alarm("disk_full"));
//!     assert!(alarms().is_empty());
//! });
//! ```
//!
//! An alarm that is raised or cleared is an event, [`AlarmRaised`] or [`AlarmCleared`], and a line of the log
//! at WARN. There are at most 10 such events a second, and then one more, at the end of that second, with the
//! number of those that were left out. The list is exact.

pub use super::system_monitor::{CheckedAlarms, SystemMonitor, SystemMonitorRuns};
use std::{
    borrow::Cow,
    collections::{BTreeMap, btree_map::Entry},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use crate::{
    guard::text::printable,
    process::pid::Pid,
    runtime::{context, handle::Handle, shared::Shared},
    sync::lock::lock,
    time::{api::sleep_until, clock::deadline_after},
};

/// Alarms that stand at once; more are not raised.
const MAX_STANDING: usize = 10_000;

/// Reports of the watchdog that are kept for one look of the monitor.
const MAX_LONG_SCHEDULES: usize = 1_024;

/// Events in a window; more are counted.
const MAX_EVENTS: u32 = 10;

/// The time in which events are counted.
const WINDOW: Duration = Duration::from_secs(1);

/// An alarm that has been raised and not cleared.
///
/// See the [module](self) for an example.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StandingAlarm {
    /// The name, such as `long_mailbox`.
    pub name: Cow<'static, str>,
    /// Tells alarms of one name apart: a pid or the name of a server, or empty.
    pub subject: String,
    /// The process that the alarm is about, if it is about one.
    pub pid: Option<Pid>,
    /// The text, for one line: 8 KiB at most.
    pub text: String,
    /// When it was raised, by the clock of the runtime.
    pub since: Instant,
}

/// An alarm was raised.
///
/// See the [module](self) for an example.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AlarmRaised {
    /// The alarm.
    pub alarm: StandingAlarm,
    /// Alarms that were raised or cleared shortly before this one, without an event.
    pub left_out: u64,
}

/// An alarm was cleared.
///
/// ```
/// use riot_actor::{alarm::AlarmCleared, run, telemetry};
///
/// run(async {
///     telemetry::attach(|event: &AlarmCleared| println!("{} is over", event.alarm.name));
/// });
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AlarmCleared {
    /// The alarm as it stood before.
    pub alarm: StandingAlarm,
    /// Alarms that were raised or cleared shortly before this one, without an event.
    pub left_out: u64,
}

crate::built_in_events! {
    AlarmRaised: "alarm.raised", 0;
    AlarmCleared: "alarm.cleared", 1;
}

/// Raises an alarm of the program. Returns false if it stands already: then its text is replaced, and there
/// is no event. It returns false, too, if 10 000 alarms stand.
///
/// See the [module](self) for an example.
///
/// # Panics
/// Panics outside a process.
pub fn set_alarm(name: impl Into<Cow<'static, str>>, text: impl AsRef<str>) -> bool {
    register_events();
    let (name, text) = (name.into(), printable(text.as_ref()));
    context::with_shared("set_alarm", |shared| {
        shared.raise_alarm(AlarmKey { name, subject: String::new() }, AlarmOwner::Program, None, text)
    })
}

/// Clears an alarm that [`set_alarm`] has raised. Returns false if it does not stand.
///
/// See the [module](self) for an example.
///
/// # Panics
/// Panics outside a process.
pub fn clear_alarm(name: &str) -> bool {
    register_events();
    let key = AlarmKey { name: Cow::Owned(name.to_owned()), subject: String::new() };
    context::with_shared("clear_alarm", |shared| shared.clear_alarm(&key, AlarmOwner::Program))
}

/// Returns the alarms that stand, in the order of their names and subjects.
///
/// See the [module](self) for an example.
///
/// # Panics
/// Panics outside a process.
#[must_use]
pub fn alarms() -> Vec<StandingAlarm> {
    context::with_shared("alarms", |shared| shared.alarms.list())
}

impl Handle {
    /// Returns the alarms that stand, as [`alarms`] does, from a plain thread.
    #[must_use]
    pub fn alarms(&self) -> Vec<StandingAlarm> {
        self.shared.alarms.list()
    }
}

/// The identity of an alarm.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct AlarmKey {
    pub(super) name: Cow<'static, str>,
    pub(super) subject: String,
}

/// The party that has raised an alarm, which alone clears it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AlarmOwner {
    Program,
    Monitor,
}

/// The alarms of a runtime.
#[derive(Default)]
pub(crate) struct Alarms(Mutex<AlarmState>);

#[derive(Default)]
struct AlarmState {
    standing: BTreeMap<AlarmKey, (AlarmOwner, StandingAlarm)>,
    events: EventWindow<AlarmChange>,
    /// Processes that the watchdog has reported since the last look of the monitor.
    long_schedules: Vec<Pid>,
    monitor: Option<Pid>,
}

/// An event that is due.
#[derive(Clone, Debug)]
enum AlarmChange {
    Raised(StandingAlarm),
    Cleared(StandingAlarm),
}

/// The decision about an event.
#[derive(Debug, PartialEq, Eq)]
enum Admission<C> {
    Emit(C),
    /// The event is left out, as the first one: the caller must call [`EventWindow::conclude`] at that time.
    Begin(Instant),
    Counted,
}

/// Admits [`MAX_EVENTS`] events in a [`WINDOW`], and one at its end.
#[derive(Debug)]
struct EventWindow<C> {
    began: Option<Instant>,
    events: u32,
    /// The last event that was left out, and how many were before it.
    left_out: Option<(C, u64)>,
}

impl<C> Default for EventWindow<C> {
    fn default() -> Self {
        Self { began: None, events: 0, left_out: None }
    }
}

impl<C> EventWindow<C> {
    #[must_use]
    fn admit(&mut self, now: Instant, change: C) -> Admission<C> {
        if let Some((last, count)) = &mut self.left_out {
            (*last, *count) = (change, *count + 1);
            return Admission::Counted;
        }
        let began = self.began.filter(|&began| now.saturating_duration_since(began) < WINDOW);
        if began.is_none() {
            self.events = 0;
        }
        let began = *self.began.insert(began.unwrap_or(now));
        if self.events < MAX_EVENTS {
            self.events += 1;
            return Admission::Emit(change);
        }
        self.left_out = Some((change, 0));
        Admission::Begin(deadline_after(began, WINDOW).unwrap_or(now))
    }

    /// Returns the last event that was left out, and the number of those before it.
    fn conclude(&mut self) -> Option<(C, u64)> {
        self.began = None;
        self.left_out.take()
    }
}

impl Alarms {
    fn list(&self) -> Vec<StandingAlarm> {
        lock(&self.0).standing.values().map(|(_, alarm)| alarm.clone()).collect()
    }

    /// Keeps a process for the next look of the monitor, if there is a monitor.
    pub(crate) fn note_long_schedule(&self, pid: Pid) {
        let mut state = lock(&self.0);
        if state.monitor.is_some() && state.long_schedules.len() < MAX_LONG_SCHEDULES {
            state.long_schedules.push(pid);
        }
    }

    /// Returns the processes that the watchdog has reported since the last call.
    pub(super) fn take_long_schedules(&self) -> Vec<Pid> {
        std::mem::take(&mut lock(&self.0).long_schedules)
    }

    /// Makes `pid` the monitor of the runtime, or else returns the one that has not been released.
    pub(super) fn set_monitor(&self, pid: Pid) -> Result<(), Pid> {
        let mut state = lock(&self.0);
        if let Some(other) = state.monitor {
            return Err(other);
        }
        state.monitor = Some(pid);
        Ok(())
    }

    /// Gives the place of the monitor to another process.
    pub(super) fn replace_monitor(&self, before: Pid, pid: Pid) {
        let mut state = lock(&self.0);
        if state.monitor == Some(before) {
            state.monitor = Some(pid);
        }
    }

    /// Removes the alarms of a monitor that ends.
    pub(super) fn forget_monitor(&self) {
        let mut state = lock(&self.0);
        state.standing.retain(|_, (owner, _)| *owner == AlarmOwner::Program);
        (state.monitor, state.long_schedules) = (None, Vec::new());
    }
}

impl Shared {
    /// Raises an alarm, or replaces the text of one that stands. The text is printable.
    pub(super) fn raise_alarm(
        self: &Arc<Self>,
        key: AlarmKey,
        owner: AlarmOwner,
        pid: Option<Pid>,
        text: String,
    ) -> bool {
        let since = self.now();
        let mut state = lock(&self.alarms.0);
        let has_room = state.standing.len() < MAX_STANDING;
        let alarm = StandingAlarm { name: key.name.clone(), subject: key.subject.clone(), pid, text, since };
        match state.standing.entry(key) {
            Entry::Occupied(mut entry) => {
                entry.get_mut().1.text = alarm.text;
                return false;
            }
            Entry::Vacant(_) if !has_room => return false,
            Entry::Vacant(entry) => _ = entry.insert((owner, alarm.clone())),
        }
        let admission = state.events.admit(since, AlarmChange::Raised(alarm));
        drop(state);
        self.announce_alarm(admission);
        true
    }

    pub(super) fn clear_alarm(self: &Arc<Self>, key: &AlarmKey, by: AlarmOwner) -> bool {
        let now = self.now();
        let mut state = lock(&self.alarms.0);
        if state.standing.get(key).is_none_or(|(owner, _)| *owner != by) {
            return false;
        }
        let Some((_, alarm)) = state.standing.remove(key) else { return false };
        let admission = state.events.admit(now, AlarmChange::Cleared(alarm));
        drop(state);
        self.announce_alarm(admission);
        true
    }

    fn announce_alarm(self: &Arc<Self>, admission: Admission<AlarmChange>) {
        match admission {
            Admission::Emit(change) => self.emit_alarm(change, 0),
            Admission::Counted => {}
            Admission::Begin(until) => {
                let shared = Arc::downgrade(self);
                self.handle().spawn(async move {
                    sleep_until(until).await;
                    if let Some(shared) = shared.upgrade() {
                        let left_out = lock(&shared.alarms.0).events.conclude();
                        left_out.into_iter().for_each(|(change, count)| shared.emit_alarm(change, count));
                    }
                });
            }
        }
    }

    fn emit_alarm(&self, change: AlarmChange, left_out: u64) {
        let (AlarmChange::Raised(alarm) | AlarmChange::Cleared(alarm)) = &change;
        let verb = if matches!(change, AlarmChange::Raised(_)) { "raised" } else { "cleared" };
        let (name, subject) = (printable(&alarm.name), printable(&alarm.subject));
        let more = if left_out > 0 { format!(" (and {left_out} more)") } else { String::new() };
        crate::log_event!(WARN, "riot::alarm", name, subject, "alarm {verb}: {}{more}", alarm.text);
        match change {
            AlarmChange::Raised(alarm) => self.telemetry.emit(&AlarmRaised { alarm, left_out }),
            AlarmChange::Cleared(alarm) => self.telemetry.emit(&AlarmCleared { alarm, left_out }),
        }
    }
}

#[cfg(all(test, not(riot_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_window_admits_ten_events_and_one_with_the_count() {
        let (mut window, start) = (EventWindow::default(), Instant::now());
        for nth in 0..10 {
            assert_eq!(window.admit(start, nth), Admission::Emit(nth));
        }
        assert_eq!(window.admit(start, 10), Admission::Begin(start + WINDOW));
        assert_eq!(window.admit(start, 11), Admission::Counted);
        assert_eq!(window.admit(start, 12), Admission::Counted);
        assert_eq!(window.conclude(), Some((12, 2)));
        assert_eq!(window.admit(start + WINDOW, 13), Admission::Emit(13));
        (0..9).for_each(|nth| assert_eq!(window.admit(start + WINDOW, nth), Admission::Emit(nth)));
        // Events that are far enough from each other are all admitted.
        assert_eq!(window.admit(start + 2 * WINDOW, 14), Admission::Emit(14));
    }
}

//! The timers that run, for observers.

use std::time::Duration;

use super::timers::{Destination, ListedAction, ListedTimer};
use crate::{
    names::name::Name,
    process::pid::Pid,
    runtime::{context, coop::yield_now, handle::Handle, shared::Shared},
};

/// A timer that runs.
///
/// See [`timers`] for an example.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TimerInfo {
    /// The time until it is due; [`Duration::MAX`] if it never is.
    pub due: Duration,
    /// The process that it acts on; none if that is no process of this project, such as a task of another
    /// executor, or if its name is not registered.
    pub to: Option<Pid>,
    /// The name that its message is sent to.
    pub name: Option<Name>,
    /// The effect of the timer when it is due.
    pub effect: TimerEffect,
}

/// The effect of a timer when it is due.
///
/// See [`timers`] for an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TimerEffect {
    /// A message of this type is sent.
    Message(&'static str),
    /// A message of this type is sent, and again in each period.
    Interval(&'static str),
    /// An exit signal is sent.
    Exit,
    /// A sleep is over.
    Wake,
    /// The process looks for calls whose time is over. A process keeps one such timer, also between calls.
    CallTimeout,
}

/// Timers that are listed at most.
const MAX_LISTED: usize = 10_000;

/// Places of the wheel that are looked at under its lock at once, some 10 µs.
const PORTION: usize = 1_024;

/// Returns the 10 000 timers that are due first, in this order.
///
/// All timers are looked at, some 10 ns for each, and the caller gives way after each 1 024 of them. A timer
/// that is started or ended meanwhile may be listed or not.
///
/// ```
/// # use std::time::Duration;
/// # use riot_actor::{run, this, time::{TimerEffect, send_after, timers}};
/// # run(async {
/// send_after(Duration::from_secs(60), this(), 7_u8);
/// let all = timers().await;
/// assert_eq!((all[0].to, all[0].effect), (Some(this()), TimerEffect::Message("u8")));
/// assert!(all[0].due <= Duration::from_secs(61));
/// # });
/// ```
///
/// # Cancel safety
/// Dropping the future has no effect.
///
/// # Panics
/// Panics when awaited outside a process; a plain thread uses [`Handle::timers`].
pub async fn timers() -> Vec<TimerInfo> {
    let shared = context::with_shared("timers", |shared| shared.clone());
    let mut scan = Scan::default();
    while scan.look(&shared) {
        yield_now().await;
    }
    scan.into_timers(&shared)
}

impl Handle {
    /// Returns the 10 000 timers that are due first, as [`timers`] does, from a plain thread.
    #[must_use]
    pub fn timers(&self) -> Vec<TimerInfo> {
        let mut scan = Scan::default();
        while scan.look(&self.shared) {}
        scan.into_timers(&self.shared)
    }
}

/// A look at all timers, in portions.
#[derive(Default)]
struct Scan {
    next: usize,
    found: Vec<ListedTimer>,
}

impl Scan {
    /// Looks at the next portion. Returns whether there are more.
    fn look(&mut self, shared: &Shared) -> bool {
        // Room for a portion, because nothing is allocated under the lock.
        self.found.reserve(PORTION);
        let (from, found) = (self.next, &mut self.found);
        self.next += PORTION;
        let has_more = shared.timers.look(shared, from..self.next, |timer| found.push(timer));
        if !has_more || self.found.len() >= 2 * MAX_LISTED {
            self.cut();
        }
        has_more
    }

    /// Throws out all but those that are due first.
    fn cut(&mut self) {
        if self.found.len() > MAX_LISTED {
            self.found.select_nth_unstable_by_key(MAX_LISTED, |timer| timer.rank);
            self.found.truncate(MAX_LISTED);
        }
    }

    fn into_timers(mut self, shared: &Shared) -> Vec<TimerInfo> {
        self.found.sort_unstable_by_key(|timer| timer.rank);
        let now = shared.now();
        let info = |timer: ListedTimer| {
            let (to, name) = match timer.to {
                Some(Destination::Pid(pid)) => (Some(pid), None),
                Some(Destination::Name(name)) => (shared.registry.holder(&name), Some(name)),
                None => (None, None),
            };
            let effect = match timer.action {
                ListedAction::Message(name) => TimerEffect::Message(name()),
                ListedAction::Interval(name) => TimerEffect::Interval(name()),
                ListedAction::Exit => TimerEffect::Exit,
                ListedAction::Wake => TimerEffect::Wake,
                ListedAction::CallTimeout => TimerEffect::CallTimeout,
            };
            TimerInfo { due: shared.timers.left_at(now, timer.rank.0), to, name, effect }
        };
        self.found.into_iter().map(info).collect()
    }
}

//! The processes with most of something: messages, work, memory.
//!
//! All processes are looked at in portions, and a process that asks gives way between them.

use std::{cmp::Reverse, ops::Deref, ops::Range, sync::Arc, time::Duration};

use super::{info::ProcessSummary, pid::Pid};
use crate::{
    runtime::{context, coop::yield_now, handle::Handle, shared::Shared},
    time::api::sleep,
};

/// The property that [`top`] and [`top_window`] order processes by.
///
/// See [`top`] for an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum By {
    /// Messages in the mailbox.
    Mailbox,
    /// The estimated time that it was polled; in a simulation all are equal.
    Busy,
    /// Poll slices.
    Slices,
    /// Messages taken out of the mailbox.
    Received,
    /// The size of the future that it was spawned with.
    FutureBytes,
    /// The time since it was spawned.
    Age,
}

/// A process, and how much something has grown in a window of time. Made by [`top_window`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ProcessGrowth {
    /// The process at the end of the window.
    pub summary: ProcessSummary,
    /// How much the property has grown: messages, poll slices, bytes, or nanoseconds of [`By::Busy`] and
    /// [`By::Age`]. A mailbox can also shrink.
    pub growth: i64,
}

impl Deref for ProcessGrowth {
    type Target = ProcessSummary;
    fn deref(&self) -> &ProcessSummary {
        &self.summary
    }
}

/// Processes that are looked at without giving way: some 0.1 ms.
const PORTION: u32 = 1_024;

/// Processes that [`top`] returns at most.
const MAX_TOP: usize = 10_000;

/// Returns the `n` processes with most of something, the first with most; of two that have the same, the
/// older one first. One that exits meanwhile may be missing.
///
/// `n` is taken as 1 where it is 0, and as 10 000 where it is more. All processes are looked at, some 100 ns
/// for each, and the caller gives way after each 1 024 of them.
///
/// ```
/// # use riot_actor::{process::{By, top}, receive, run, send, spawn};
/// # run(async {
/// let clerk = spawn(std::future::pending::<()>());
/// (0..100).for_each(|number: u32| send(clerk, number));
/// let first = top(By::Mailbox, 1).await;
/// assert_eq!((first[0].pid, first[0].mailbox), (clerk, 100));
/// # });
/// ```
///
/// # Cancel safety
/// Dropping the future has no effect.
///
/// # Panics
/// Panics when awaited outside a process; a plain thread uses [`Handle::top`].
pub async fn top(by: By, n: usize) -> Vec<ProcessSummary> {
    let mut scan = TopScan::new(current("top"), by, n, None);
    while scan.step() == ScanStep::More {
        yield_now().await;
    }
    scan.into_result().into_iter().map(|found| found.summary).collect()
}

/// Returns the `n` processes in which something grows most within `window`, as [`top`] does. A process
/// that was spawned meanwhile counts from nothing.
///
/// ```
/// # use std::time::Duration;
/// # use riot_actor::{process::{By, top_window, yield_now}, run, spawn};
/// # run(async {
/// let busy = spawn(async { loop { yield_now().await } });
/// for process in top_window(By::Slices, 10, Duration::from_millis(1)).await {
///     println!("{} {:?} {}", process.pid, process.label, process.growth);
/// }
/// # });
/// ```
///
/// # Cancel safety
/// Dropping the future has no effect.
///
/// # Panics
/// Panics when awaited outside a process; a plain thread uses [`Handle::top_window`].
pub async fn top_window(by: By, n: usize, window: Duration) -> Vec<ProcessGrowth> {
    let shared = current("top_window");
    let _sampling = (by == By::Busy).then(|| shared.handle().sample_busy());
    let mut before = ValueScan::new(shared.clone(), by);
    while before.step() == ScanStep::More {
        yield_now().await;
    }
    sleep(window).await;
    let mut scan = TopScan::new(shared, by, n, Some(before.values));
    while scan.step() == ScanStep::More {
        yield_now().await;
    }
    scan.into_result()
}

/// Shows `f` a summary of every process that is not released, as [`summaries`](super::summaries) does, and
/// gives way after each 1 024 of them.
///
/// ```
/// # use riot_actor::{process::for_each_summary, run, spawn};
/// # run(async {
/// let clerk = spawn(std::future::pending::<()>());
/// let mut messages = 0;
/// for_each_summary(|process| messages += process.mailbox).await;
/// assert_eq!(messages, 0);
/// # });
/// ```
///
/// # Cancel safety
/// If the future is dropped, the processes that were not reached are not shown.
///
/// # Panics
/// Panics when awaited outside a process.
pub async fn for_each_summary(mut f: impl FnMut(ProcessSummary)) {
    let shared = current("for_each_summary");
    for portion in Portions::new(&shared) {
        shared.summaries_of(portion, &mut f);
        yield_now().await;
    }
}

impl Handle {
    /// Returns the `n` processes with most of something, as [`top`] does, from a plain thread. No lock is
    /// held for longer than one process.
    #[must_use]
    pub fn top(&self, by: By, n: usize) -> Vec<ProcessSummary> {
        let mut scan = TopScan::new(self.shared.clone(), by, n, None);
        while scan.step() == ScanStep::More {}
        scan.into_result().into_iter().map(|found| found.summary).collect()
    }

    /// Returns the `n` processes in which something grows most within `window`, as [`top_window`] does,
    /// from a plain thread, which sleeps meanwhile.
    ///
    /// # Panics
    /// Panics inside a process.
    #[must_use]
    pub fn top_window(&self, by: By, n: usize, window: Duration) -> Vec<ProcessGrowth> {
        assert!(
            context::current().is_none(),
            "riot_actor: `Handle::top_window` blocks; a process awaits `top_window` instead"
        );
        let _sampling = (by == By::Busy).then(|| self.sample_busy());
        let mut before = ValueScan::new(self.shared.clone(), by);
        while before.step() == ScanStep::More {}
        std::thread::sleep(window);
        let mut scan = TopScan::new(self.shared.clone(), by, n, Some(before.values));
        while scan.step() == ScanStep::More {}
        scan.into_result()
    }
}

/// Returns the runtime of the running process.
fn current(what: &str) -> Arc<Shared> {
    context::with_shared(what, |shared| shared.clone())
}

/// The slots of the process table, a portion at a time.
pub(crate) struct Portions {
    next: u32,
    end: u32,
}

impl Portions {
    pub(crate) fn new(shared: &Shared) -> Self {
        Self { next: 0, end: shared.table.len() }
    }

    /// Returns whether the last portion was given out.
    pub(crate) fn is_done(&self) -> bool {
        self.next >= self.end
    }
}

impl Iterator for Portions {
    type Item = Range<u32>;

    fn next(&mut self) -> Option<Range<u32>> {
        let from = self.next;
        self.next = from.saturating_add(PORTION).min(self.end);
        (from < self.end).then_some(from..self.next)
    }
}

/// Whether a scan is over.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ScanStep {
    More,
    Done,
}

/// The value of one process.
#[derive(Clone, Copy, Debug)]
struct ProcessValue {
    pid: Pid,
    value: u64,
}

/// Reads the values of all processes, in the order of their slots.
struct ValueScan {
    shared: Arc<Shared>,
    by: By,
    portions: Portions,
    values: Vec<ProcessValue>,
}

impl ValueScan {
    fn new(shared: Arc<Shared>, by: By) -> Self {
        let portions = Portions::new(&shared);
        // Room for all, because to move that many at once would take longer than a portion.
        let values = Vec::with_capacity(portions.end as usize);
        Self { shared, by, portions, values }
    }

    fn step(&mut self) -> ScanStep {
        let Some(portion) = self.portions.next() else { return ScanStep::Done };
        let (by, values) = (self.by, &mut self.values);
        self.shared.values_of(portion, by, |pid, _, value| values.push(ProcessValue { pid, value }));
        ScanStep::More
    }
}

/// Finds the processes with the largest values.
struct TopScan {
    shared: Arc<Shared>,
    by: By,
    portions: Portions,
    /// The values at the beginning of the window, in the order of slots, and how many were looked at.
    before: Option<(Vec<ProcessValue>, usize)>,
    best: Best,
    summaries: Vec<ProcessGrowth>,
    /// How many of the best have a summary, or have exited.
    summed: usize,
}

impl TopScan {
    fn new(shared: Arc<Shared>, by: By, n: usize, before: Option<Vec<ProcessValue>>) -> Self {
        let portions = Portions::new(&shared);
        let (best, before) = (Best::new(n.clamp(1, MAX_TOP)), before.map(|before| (before, 0)));
        Self { shared, by, portions, before, best, summaries: Vec::new(), summed: 0 }
    }

    fn step(&mut self) -> ScanStep {
        if let Some(portion) = self.portions.next() {
            let Self { shared, by, before, best, .. } = self;
            shared.values_of(portion, *by, |pid, nth, value| {
                let base = before.as_mut().map_or(0, |(values, at)| take_value(values, at, pid));
                let growth = i128::from(value) - i128::from(base);
                best.add(Candidate {
                    pid,
                    nth,
                    growth: growth.clamp(i64::MIN.into(), i64::MAX.into()) as i64,
                });
            });
            if self.portions.is_done() {
                self.best.sort();
            }
            return ScanStep::More;
        }
        let from = self.summed;
        self.summed = (from + PORTION as usize).min(self.best.candidates.len());
        for &Candidate { pid, growth, .. } in &self.best.candidates[from..self.summed] {
            let summary = self.shared.summary_of(pid);
            self.summaries.extend(summary.map(|summary| ProcessGrowth { summary, growth }));
        }
        if self.summed < self.best.candidates.len() { ScanStep::More } else { ScanStep::Done }
    }

    fn into_result(self) -> Vec<ProcessGrowth> {
        self.summaries
    }
}

/// Returns the value that a process had at the beginning of the window. Processes are asked for in the
/// order of their slots.
fn take_value(values: &[ProcessValue], at: &mut usize, pid: Pid) -> u64 {
    while values.get(*at).is_some_and(|value| value.pid.index() < pid.index()) {
        *at += 1;
    }
    values.get(*at).filter(|value| value.pid == pid).map_or(0, |value| value.value)
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    pid: Pid,
    nth: u64,
    growth: i64,
}

/// The `n` candidates that have grown most, and some that have not been thrown out yet.
struct Best {
    n: usize,
    candidates: Vec<Candidate>,
}

impl Best {
    fn new(n: usize) -> Self {
        Self { n, candidates: Vec::new() }
    }

    fn add(&mut self, candidate: Candidate) {
        self.candidates.push(candidate);
        if self.candidates.len() >= 2 * self.n + PORTION as usize {
            self.cut();
        }
    }

    /// Throws out all but the best.
    fn cut(&mut self) {
        if self.candidates.len() > self.n {
            self.candidates.select_nth_unstable_by_key(self.n, Self::rank);
            self.candidates.truncate(self.n);
        }
    }

    fn sort(&mut self) {
        self.cut();
        self.candidates.sort_unstable_by_key(Self::rank);
    }

    fn rank(candidate: &Candidate) -> (Reverse<i64>, u64) {
        (Reverse(candidate.growth), candidate.nth)
    }
}

#[cfg(all(test, not(riot_loom)))]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_best_are_those_of_a_full_sort(
            n in 1_usize..50,
            all in prop::collection::vec(-20_i64..20, 0..5_000),
        ) {
            let pid = Pid::new(NonZeroU32::MIN, 0, 0);
            let mut best = Best::new(n);
            for (nth, &growth) in (0..).zip(&all) {
                best.add(Candidate { pid, nth, growth });
            }
            best.sort();
            let mut sorted: Vec<(Reverse<i64>, u64)> = all.into_iter().map(Reverse).zip(0..).collect();
            sorted.sort();
            sorted.truncate(n);
            let found: Vec<_> = best.candidates.iter().map(Best::rank).collect();
            prop_assert_eq!(found, sorted);
        }
    }

    #[test]
    fn the_value_before_is_found_by_slot_and_generation() {
        let pid = |generation, index| Pid::new(NonZeroU32::MIN, generation, index);
        let value = |generation, index, value| ProcessValue { pid: pid(generation, index), value };
        let before = [value(0, 1, 10), value(3, 4, 20), value(0, 9, 30)];
        let mut at = 0;
        let asked = [pid(0, 0), pid(0, 1), pid(0, 2), pid(4, 4), pid(0, 9), pid(0, 10)];
        let found = asked.map(|pid| take_value(&before, &mut at, pid));
        assert_eq!(found, [0, 10, 0, 0, 30, 0]);
    }
}

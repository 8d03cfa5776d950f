//! The list of crashes. Its interface is small, because a history of the runtime itself may replace it.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use riot_actor::{
    Reason,
    log::printable,
    stats::scheduler_stats,
    telemetry::{CrashReport, attach},
};

/// Bounds the list; 256. The entry whose last crash is the oldest gives way.
const MAX_CRASHES: usize = 256;

/// Bounds the text of a reason; 8 KiB. With all details a list takes 4 MiB at most.
const MAX_REASON_BYTES: usize = 8 * 1024;

/// Bounds each other text of an entry; 512 bytes.
const MAX_TEXT_BYTES: usize = 512;

/// Crashes with the same label and reason.
#[derive(Clone, Debug)]
pub(crate) struct CrashEntry {
    /// The number of the last crash. Numbers ascend in the order of crashes, from 1.
    pub(crate) id: u64,
    pub(crate) count: u64,
    /// The age of the runtime at the first and the last crash.
    pub(crate) first: Duration,
    pub(crate) last: Duration,
    /// The times of the clock of the machine; none in a simulation.
    pub(crate) first_at: Option<SystemTime>,
    pub(crate) last_at: Option<SystemTime>,
    /// The process of the last crash, and the one that spawned it.
    pub(crate) pid: String,
    pub(crate) parent: Option<String>,
    pub(crate) names: Vec<String>,
    pub(crate) label: Option<String>,
    pub(crate) reason: String,
    /// The place of a panic.
    pub(crate) location: Option<String>,
    pub(crate) by_signal: bool,
    pub(crate) details: Vec<(&'static str, String)>,
}

/// The last crashes of a runtime.
#[derive(Debug, Default)]
pub(crate) struct CrashList {
    is_attached: AtomicBool,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// Ascending by the number of the last crash.
    entries: VecDeque<CrashEntry>,
    total: u64,
}

impl Kept {
    fn add(&mut self, mut new: CrashEntry) {
        self.total += 1;
        new.id = self.total;
        let is_equal = |old: &CrashEntry| old.label == new.label && old.reason == new.reason;
        if let Some(place) = self.entries.iter().position(is_equal)
            && let Some(old) = self.entries.remove(place)
        {
            (new.count, new.first, new.first_at) = (old.count + 1, old.first, old.first_at);
        } else if self.entries.len() == MAX_CRASHES {
            self.entries.pop_front();
        }
        self.entries.push_back(new);
    }
}

impl CrashList {
    /// Begins to keep crashes, in the runtime of the running process.
    pub(crate) fn attach(self: &Arc<Self>) {
        if self.is_attached.swap(true, Ordering::Relaxed) {
            return;
        }
        let list = Arc::downgrade(self);
        attach(move |report: &CrashReport| {
            if let Some(list) = list.upgrade() {
                let entry = entry_of(report);
                list.lock().add(entry);
            }
        });
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the entries whose last crash has a greater number than `after`, the newest first.
    pub(crate) fn after(&self, after: u64) -> Vec<CrashEntry> {
        let kept = self.lock();
        kept.entries.iter().rev().take_while(|entry| entry.id > after).cloned().collect()
    }

    /// Returns the number of crashes that entries of the last `period` stand for.
    pub(crate) fn count_within(&self, period: Duration, now: Duration) -> u64 {
        let kept = self.lock();
        let is_recent = |entry: &&CrashEntry| now.saturating_sub(entry.last) <= period;
        kept.entries.iter().filter(is_recent).map(|entry| entry.count).sum()
    }
}

fn entry_of(report: &CrashReport) -> CrashEntry {
    let stats = scheduler_stats();
    // In a simulation nothing of the machine shows.
    let at = (!stats.workers.is_empty()).then(SystemTime::now);
    let text = |text: &str| cut(&printable(text), MAX_TEXT_BYTES);
    let location = match &report.reason {
        Reason::Panic(panic) => panic.location.as_ref().map(|location| text(&location.to_string())),
        _ => None,
    };
    CrashEntry {
        id: 0,
        count: 1,
        first: stats.age,
        last: stats.age,
        first_at: at,
        last_at: at,
        pid: report.pid.to_string(),
        parent: report.parent.map(|parent| parent.to_string()),
        names: report.names.iter().map(|name| text(&name.to_string())).collect(),
        label: report.label.as_deref().map(text),
        reason: cut(&printable(&report.reason), MAX_REASON_BYTES),
        location,
        by_signal: report.by_signal,
        details: report.details.iter().map(|(name, value)| (*name, text(value))).collect(),
    }
}

/// Cuts a text off, and says so.
fn cut(text: &str, max_bytes: usize) -> String {
    let end = text.floor_char_boundary(max_bytes);
    if end == text.len() { text.to_owned() } else { format!("{}… ({} bytes)", &text[..end], text.len()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(label: &str, reason: &str, last: u64) -> CrashEntry {
        let last = Duration::from_secs(last);
        CrashEntry {
            id: 0,
            count: 1,
            first: last,
            last,
            first_at: None,
            last_at: None,
            pid: "<1.2.0>".into(),
            parent: None,
            names: Vec::new(),
            label: Some(label.into()),
            reason: reason.into(),
            location: None,
            by_signal: false,
            details: Vec::new(),
        }
    }

    #[test]
    fn ob14_equal_crashes_are_one_entry_and_the_oldest_gives_way() {
        let list = CrashList::default();
        list.lock().add(entry("a", "x", 0));
        for nth in 1..=1000 {
            list.lock().add(entry("b", &nth.to_string(), nth));
            list.lock().add(entry("a", "x", nth));
        }
        let all = list.after(0);
        assert_eq!(all.len(), MAX_CRASHES);
        assert_eq!(
            (all[0].id, all[0].count, all[0].first.as_secs(), all[0].last.as_secs()),
            (2001, 1001, 0, 1000)
        );
        assert_eq!((all[1].id, all[1].count, all[1].reason.as_str()), (2000, 1, "1000"));
        assert_eq!(list.after(1999).len(), 2);
        assert_eq!(list.after(2001).len(), 0);
        let recent = list.count_within(Duration::from_secs(9), Duration::from_secs(1000));
        assert_eq!(recent, 1001 + 10);
    }

    #[test]
    fn ob14_long_texts_are_cut_at_a_character() {
        assert_eq!(cut("é", 2), "é");
        assert_eq!(cut("éé", 3), "é… (4 bytes)");
        assert_eq!(cut("", 0), "");
    }
}

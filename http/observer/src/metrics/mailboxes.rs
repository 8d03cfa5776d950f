//! The lengths of all mailboxes, ranked. Reading every process takes longer than a scrape may, so a scrape
//! shows the last scan, and starts another one if that is old.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use riot_actor::{
    Pid, now,
    process::{Priority, SpawnOptions, info},
    runtime::{Handle, blocking},
};

use super::{MetricsWriter, families::own};

/// The age of a scan from which on a scrape starts another one; 5 s.
const MAX_AGE: Duration = Duration::from_secs(5);

/// The ranks that are shown, with the part of mailboxes that are not longer.
const RANKS: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0)];

/// The last scan of all mailboxes.
#[derive(Debug, Default)]
pub(super) struct MailboxScans(Mutex<ScanState>);

#[derive(Debug, Default)]
struct ScanState {
    last: Option<(Instant, [usize; RANKS.len()])>,
    /// The process of a scan that was started. It may have ended.
    running: Option<Pid>,
}

impl MailboxScans {
    fn state(&self) -> MutexGuard<'_, ScanState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the last scan, if there is one.
    pub(super) fn families(self: &Arc<Self>, out: &mut MetricsWriter) {
        let mut state = self.state();
        if let Some((_, ranks)) = &state.last {
            out.describe("riot_mailbox_messages", "The lengths of all mailboxes at the last scan, ranked.");
            for ((rank, _), messages) in RANKS.iter().zip(ranks) {
                own(out.gauge("riot_mailbox_messages", &[("rank", rank)], *messages));
            }
        }
        let is_recent = |at: Instant| now().saturating_duration_since(at) < MAX_AGE;
        let is_running = |pid: Pid| info(pid).is_some();
        if !state.last.is_some_and(|(at, _)| is_recent(at)) && !state.running.is_some_and(is_running) {
            let scans = self.clone();
            let options = SpawnOptions::new().label("MailboxScan").priority(Priority::Low);
            state.running = Some(options.spawn(async move { scans.scan().await }));
        }
    }

    /// Reads every process, on a thread that no process waits for.
    async fn scan(&self) {
        let handle = Handle::current();
        let ranks = blocking(move || {
            let mut lengths: Vec<usize> =
                handle.summaries().into_iter().map(|process| process.mailbox).collect();
            lengths.sort_unstable();
            ranks(&lengths)
        });
        let ranks = ranks.await;
        self.state().last = Some((now(), ranks));
    }
}

/// Returns the ranks of sorted lengths: the smallest length that is not less than that part of all.
fn ranks(sorted: &[usize]) -> [usize; RANKS.len()] {
    RANKS.map(|(_, part)| {
        let place = (sorted.len() as f64 * part).ceil() as usize;
        sorted.get(place.saturating_sub(1)).copied().unwrap_or_default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ob07_ranks_are_lengths_of_mailboxes_that_exist() {
        assert_eq!(ranks(&[]), [0; 4]);
        assert_eq!(ranks(&[7]), [7; 4]);
        assert_eq!(ranks(&(1..=1000).collect::<Vec<_>>()), [500, 900, 990, 1000]);
        assert_eq!(ranks(&[0, 0, 0, 9]), [0, 9, 9, 9]);
    }
}

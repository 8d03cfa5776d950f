//! Events of the runtime that are counted since the observer has seen its first listener or request.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use riot_actor::{
    Pid,
    process::info,
    telemetry::{CrashReport, attach},
};
use riot_supervisor::SupervisorEvent;

use super::{
    MetricsWriter,
    families::own,
    writer::{MAX_SERIES, OVERFLOW},
};

/// A count for each of a bounded number of names.
#[derive(Debug, Default)]
struct Named(Mutex<BTreeMap<String, u64>>);

impl Named {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, name: &str) {
        let mut counts = self.lock();
        // One is kept for all that come later.
        let is_full = counts.len() + 1 >= MAX_SERIES;
        let name = if is_full && !counts.contains_key(name) { OVERFLOW } else { name };
        match counts.get_mut(name) {
            Some(count) => *count += 1,
            None => _ = counts.insert(name.to_owned(), 1),
        }
    }

    fn write(&self, out: &mut MetricsWriter, metric: &str, label: &str) {
        for (name, count) in &*self.lock() {
            own(out.counter(metric, &[(label, name)], *count));
        }
    }
}

/// Counts of restarts and crashes.
#[derive(Debug, Default)]
pub(crate) struct EventCounts {
    is_attached: AtomicBool,
    restarts: Named,
    crashes: Named,
}

impl EventCounts {
    /// Begins to count, in the runtime of the running process.
    pub(crate) fn attach(self: &Arc<Self>) {
        if self.is_attached.swap(true, Ordering::Relaxed) {
            return;
        }
        let counts = Arc::downgrade(self);
        attach(move |event: &SupervisorEvent| {
            if let SupervisorEvent::Restarted { supervisor, .. } = event
                && let Some(counts) = counts.upgrade()
            {
                counts.restarts.count(&label_of(*supervisor));
            }
        });
        let counts = Arc::downgrade(self);
        attach(move |report: &CrashReport| {
            if !report.by_signal
                && let Some(counts) = counts.upgrade()
            {
                let name = report.names.first().map(ToString::to_string);
                let label = report.label.as_deref().or(name.as_deref());
                counts.crashes.count(label.unwrap_or("-"));
            }
        });
    }

    pub(super) fn families(&self, out: &mut MetricsWriter) {
        out.describe(
            "riot_supervisor_restarts_total",
            "Restarts of children, by the label of the supervisor.",
        );
        out.describe(
            "riot_process_crashes_total",
            "Processes that crashed, without those that others made exit, by label.",
        );
        self.crashes.write(out, "riot_process_crashes_total", "label");
        self.restarts.write(out, "riot_supervisor_restarts_total", "supervisor");
    }
}

/// Returns the label of a process, or its first name, or `-`: a pid would be a new series at each restart.
fn label_of(pid: Pid) -> String {
    let Some(info) = info(pid) else { return "-".into() };
    match (info.names.first(), info.label) {
        (Some(name), _) => name.to_string(),
        (None, Some(label)) => label.into_owned(),
        (None, None) => "-".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ob07_names_without_end_are_counted_in_bounded_memory() {
        let named = Named::default();
        (0..10_000).for_each(|nth| named.count(&format!("job {nth}")));
        let counts = named.lock();
        assert_eq!(counts.len(), MAX_SERIES);
        assert_eq!(counts[OVERFLOW], 10_000 - (MAX_SERIES as u64 - 1));
        assert_eq!(counts.values().sum::<u64>(), 10_000);
    }
}

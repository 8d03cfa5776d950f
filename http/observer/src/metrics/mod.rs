//! Metrics as text: `writer` collects families and bounds them, `names` checks names, `text` renders both
//! formats, `families` reads the runtime and its servers, `http` their requests, `counted` counts events,
//! `mailboxes` ranks mailboxes, `system` reads what the system knows of the program.
//!
//! **Invariant:** a family has at most [`MAX_SERIES`](writer::MAX_SERIES) series, and every line of the text
//! is one sample or one comment, whatever names and values the program gives.

mod counted;
mod families;
mod http;
mod mailboxes;
mod names;
mod system;
mod text;
mod writer;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use riot_actor::{
    log::{admits_line, printable, tracing::Level},
    log_event,
    process::contain,
    runtime::blocking,
    stats::{SchedulerStats, scheduler_stats},
};
use riot_http::{Head, http::StatusCode};
use riot_socket::servers;

use crate::message::{Reply, refuse_writes};
pub(crate) use counted::EventCounts;
use families::BusyRatios;
use mailboxes::MailboxScans;
pub use names::MetricError;
pub(crate) use system::Usage;
use text::Format;
pub use writer::{MetricValue, MetricsWriter};

/// Types that a function for [`Observer::metrics`](crate::Observer::metrics) may return.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the result of a function for metrics",
    label = "the function returns this",
    note = "it returns `()`, or `Result<(), MetricError>`, as the methods of `MetricsWriter` do"
)]
pub trait MetricsResult {
    /// Returns the error, which is logged.
    ///
    /// # Errors
    /// That of the function.
    fn into_result(self) -> Result<(), MetricError>;
}

impl MetricsResult for () {
    fn into_result(self) -> Result<(), MetricError> {
        Ok(())
    }
}

impl MetricsResult for Result<(), MetricError> {
    fn into_result(self) -> Result<(), MetricError> {
        self
    }
}

type Source = Arc<dyn Fn(&mut MetricsWriter) -> Result<(), MetricError> + Send + Sync>;

/// The metrics of a program.
#[derive(Default)]
pub(crate) struct Metrics {
    sources: Vec<Source>,
    pub(crate) counts: Arc<EventCounts>,
    busy: Mutex<BusyRatios>,
    mailboxes: Arc<MailboxScans>,
}

impl Metrics {
    pub(crate) fn add_source<R: MetricsResult>(
        &mut self,
        source: impl Fn(&mut MetricsWriter) -> R + Send + Sync + 'static,
    ) {
        self.sources.push(Arc::new(move |out| source(out).into_result()));
    }

    /// Answers a scrape, in the format that the client prefers.
    pub(crate) async fn answer(&self, head: &Head) -> Reply {
        if let Some(refusal) = refuse_writes(head) {
            return refusal;
        }
        let format = Format::preferred(head.headers().get_all("accept"));
        let text = self.collect().await.render(format);
        Reply::new(StatusCode::OK, format.content_type(), text)
    }

    /// Reads everything, as it is now.
    pub(crate) async fn collect(&self) -> MetricsWriter {
        let (stats, busy) = self.workers();
        let mut out = MetricsWriter::new();
        families::runtime(&mut out, &stats);
        families::workers(&mut out, &stats, &busy);
        for server in servers() {
            let info = server.info();
            families::server(&mut out, &info);
            if let Some(stats) = riot_http::stats(&server) {
                http::requests(&mut out, &info.name, &stats);
            }
        }
        self.counts.families(&mut out);
        self.mailboxes.families(&mut out);
        // The files are in memory, but a read of them may wait for locks of the system.
        if !is_simulated(&stats)
            && let Some(usage) = blocking(Usage::read).await
        {
            usage.families(&mut out);
        }
        out.end_of_own_families();
        for source in &self.sources {
            let result = contain(|| source(&mut out));
            if let Some(Err(error)) = result {
                refused(&error);
            }
        }
        out
    }

    /// Returns the counters of the scheduler, and how busy each worker was of late.
    pub(crate) fn workers(&self) -> (SchedulerStats, Vec<f64>) {
        let stats = scheduler_stats();
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        let ratios = busy.of(&stats).to_vec();
        (stats, ratios)
    }
}

/// Returns whether the runtime is a simulation, in which nothing of the machine may show.
fn is_simulated(stats: &SchedulerStats) -> bool {
    stats.workers.is_empty()
}

/// Logs that a function for metrics gave up.
fn refused(error: &MetricError) {
    let text = printable(format_args!("metrics of the program were refused: {error}"));
    if admits_line("riot::observer", Level::WARN, &text) {
        log_event!(WARN, "riot::observer", "{text}");
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").field("sources", &self.sources.len()).finish_non_exhaustive()
    }
}

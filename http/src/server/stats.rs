//! The statistics of a server's requests: counters, and histograms while they are read.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use http::Version;
use parking_lot::Mutex;
use riot_actor::now;
use riot_socket::ServerHandle;

use super::telemetry::RequestEnded;
use crate::{
    HttpConfig, Route,
    observe::{Counters, CutReason, Watch},
};

/// The upper bounds of the buckets of durations, in seconds, as OpenTelemetry has them for HTTP.
pub const DURATION_BOUNDS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// The upper bounds of the buckets of sizes, in bytes: 0, then powers of 4 from 64 B to 64 MiB.
pub const SIZE_BOUNDS: [f64; 12] = [
    0.0,
    64.0,
    256.0,
    1024.0,
    4096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

/// Returns the statistics of a server's requests; none if the server speaks another protocol than HTTP.
///
/// The counters always count. Reading them lets the server [note](super::telemetry::Timings) every request
/// for ten minutes, by which the histograms and the requests under way are known: the first reading has none.
///
/// ```
/// use riot_http::{Response, Server, flow, socket::{Connection, memory::Listener}};
///
/// # let reason = riot_actor::run(async {
/// let listener = Listener::new();
/// let server = Server::listen(listener.clone())
///     .service(|_| async { Response::text("hello") })
///     .start_link()
///     .await?;
/// let mut client: Connection = listener.connect()?;
/// client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await?;
/// client.read_to_end(1024).await?;
/// let stats = riot_http::stats(&server).expect("it speaks HTTP");
/// assert_eq!((stats.responses[2], stats.handler_errors), (1, 0));
/// # server.stop(std::time::Duration::ZERO).await;
/// # Ok::<(), riot_actor::Reason>(())
/// # });
/// # assert_eq!(reason, riot_actor::Reason::Normal);
/// ```
#[must_use]
pub fn stats(server: &ServerHandle) -> Option<HttpStats> {
    let stats = server.extension()?.downcast::<Stats>().ok()?;
    Some(stats.read())
}

/// The statistics of a server's requests; see [`stats()`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HttpStats {
    /// The responses by the first digit of their status, 1 to 5. The first and the last two are always 0.
    pub responses: [u64; 8],
    /// Requests whose handler had not responded when the connection ended.
    pub unanswered: u64,
    /// Requests that were cut, by [the name of the reason](CutReason::name). Responses of one connection that
    /// were whole and are lost together count as one.
    pub cut: Vec<(&'static str, u64)>,
    /// Handlers that ended with an error, or gave no response, or one that cannot be sent.
    pub handler_errors: u64,
    /// Requests under way, by method, of those that were noted from their start.
    pub active: BTreeMap<&'static str, u64>,
    /// Requests that have ended, of those that were noted, by method, status, route and version.
    pub ended: Vec<RequestSeries>,
}

/// The requests of one method, status, route and version.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RequestSeries {
    /// The method, or `_OTHER`.
    pub method: &'static str,
    /// The status; none if there was no response.
    pub status: Option<u16>,
    /// The route, if it is known.
    pub route: Option<Route>,
    /// The version of HTTP.
    pub version: Version,
    /// The durations, in seconds, in the buckets of [`DURATION_BOUNDS`].
    pub durations: Histogram,
    /// The bytes of the bodies of requests, in the buckets of [`SIZE_BOUNDS`].
    pub body_received: Histogram,
    /// The bytes of the bodies of responses.
    pub body_sent: Histogram,
}

/// A histogram.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Histogram {
    /// The number of values in each bucket; the last one has those beyond all bounds.
    pub counts: Vec<u64>,
    /// The sum of all values.
    pub sum: f64,
}

impl Histogram {
    fn new(bounds: &[f64]) -> Self {
        Self { counts: vec![0; bounds.len() + 1], sum: 0.0 }
    }

    fn add(&mut self, bounds: &[f64], value: f64) {
        self.counts[bounds.partition_point(|bound| *bound < value)] += 1;
        self.sum += value;
    }

    /// Returns the number of values.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// Bounds the series of a server; 1 000. Requests of further routes are added up under the route `overflow`.
const MAX_SERIES: usize = 1_000;

/// The time for which requests are noted after the statistics were read: 10 min.
const READ_FOR: Duration = Duration::from_secs(600);

type SeriesKey = (&'static str, Option<u16>, Option<Route>, bool);

/// The statistics of one server.
pub(super) struct Stats {
    config: Weak<HttpConfig>,
    histograms: Mutex<Histograms>,
}

#[derive(Default)]
struct Histograms {
    active: BTreeMap<&'static str, u64>,
    series: BTreeMap<SeriesKey, RequestSeries>,
    read_at: Option<Instant>,
}

impl Stats {
    /// Returns the statistics of a server whose connections have this configuration.
    pub(super) fn new(config: &Arc<HttpConfig>) -> Self {
        Self { config: Arc::downgrade(config), histograms: Mutex::default() }
    }

    fn read(&self) -> HttpStats {
        let config = self.config.upgrade();
        let mut histograms = self.histograms.lock();
        histograms.read_at = Some(now());
        let none = Counters::default();
        let counters = config.as_ref().map_or(&none, |config| &config.counters);
        config.as_ref().map(|config| &config.watch).into_iter().for_each(Watch::begin_reading);
        HttpStats {
            responses: std::array::from_fn(|class| counters.responses(class)),
            unanswered: counters.unanswered(),
            cut: CutReason::NAMES.iter().enumerate().map(|(n, name)| (*name, counters.cut(n))).collect(),
            handler_errors: counters.handler_errors(),
            active: histograms.active.clone(),
            ended: histograms.series.values().cloned().collect(),
        }
    }

    pub(super) fn started(&self, method: &'static str) {
        *self.histograms.lock().active.entry(method).or_default() += 1;
    }

    pub(super) fn ended(&self, ended: &RequestEnded, now: Instant) {
        let mut histograms = self.histograms.lock();
        let Histograms { active, series, read_at } = &mut *histograms;
        if let Some(active) = active.get_mut(ended.method) {
            *active = active.saturating_sub(1);
        }
        let status = ended.status.map(|status| status.as_u16());
        let is_1_0 = ended.version == Version::HTTP_10;
        let mut key = (ended.method, status, ended.route.clone(), is_1_0);
        if series.len() >= MAX_SERIES && !series.contains_key(&key) {
            key.2 = Some(Route::new("overflow"));
        }
        let series = series.entry(key).or_insert_with_key(|(method, status, route, _)| RequestSeries {
            method,
            status: *status,
            route: route.clone(),
            version: ended.version,
            durations: Histogram::new(&DURATION_BOUNDS),
            body_received: Histogram::new(&SIZE_BOUNDS),
            body_sent: Histogram::new(&SIZE_BOUNDS),
        });
        series.durations.add(&DURATION_BOUNDS, ended.duration().as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "sums of sizes are about right")]
        {
            series.body_received.add(&SIZE_BOUNDS, ended.body_received as f64);
            series.body_sent.add(&SIZE_BOUNDS, ended.body_sent as f64);
        }
        let is_over = read_at.is_none_or(|read_at| now.saturating_duration_since(read_at) > READ_FOR);
        if is_over && let Some(config) = self.config.upgrade() {
            config.watch.end_reading();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_counted_in_the_first_bucket_whose_bound_it_does_not_exceed() {
        let mut histogram = Histogram::new(&DURATION_BOUNDS);
        for value in [0.0, 0.005, 0.006, 10.0, 11.0] {
            histogram.add(&DURATION_BOUNDS, value);
        }
        let filled: Vec<_> = histogram.counts.iter().enumerate().filter(|(_, count)| **count > 0).collect();
        assert_eq!(filled, [(0, &2), (1, &1), (13, &1), (14, &1)]);
        assert_eq!(histogram.count(), 5);
    }
}

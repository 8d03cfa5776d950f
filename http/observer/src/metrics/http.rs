//! The families of the HTTP requests of a server.

use riot_http::{DURATION_BOUNDS, HttpStats, RequestSeries, SIZE_BOUNDS, http::Version};

use super::{MetricsWriter, families::own};

/// The classes of statuses, by the first digit.
const CLASSES: [(usize, &str); 5] = [(1, "1xx"), (2, "2xx"), (3, "3xx"), (4, "4xx"), (5, "5xx")];

/// Writes the families of the requests of a server that speaks HTTP.
pub(super) fn requests(out: &mut MetricsWriter, name: &str, stats: &HttpStats) {
    let server = ("server", name);
    out.describe(
        "riot_http_requests_total",
        "Requests by the class of the response; `none` had no response.",
    );
    let classes = CLASSES.map(|(digit, class)| (class, stats.responses[digit]));
    for (class, count) in classes.into_iter().chain([("none", stats.unanswered)]) {
        own(out.counter("riot_http_requests_total", &[server, ("class", class)], count));
    }
    out.describe("http_handler_errors_total", "Handlers that failed, or gave no response that can be sent.");
    own(out.counter("http_handler_errors_total", &[server], stats.handler_errors));
    out.describe("http_requests_cut_total", "Requests whose response was not sent as a whole, by reason.");
    for (reason, count) in &stats.cut {
        own(out.counter("http_requests_cut_total", &[server, ("reason", reason)], *count));
    }
    out.describe("http_server_active_requests", "Requests under way, of those noted from their start.");
    for (method, active) in &stats.active {
        own(out.gauge("http_server_active_requests", &[server, ("http_request_method", method)], *active));
    }
    out.describe("http_server_request_duration_seconds", "Time from the head of a request to the last byte.");
    out.describe("http_server_request_body_size_bytes", "Sizes of the bodies of requests.");
    out.describe("http_server_response_body_size_bytes", "Sizes of the bodies of responses.");
    stats.ended.iter().for_each(|series| ended(out, server, series));
}

/// Writes the histograms of the requests of one method, status, route and version. A label whose value is not
/// known is left out. Sizes of all statuses and versions are added up.
fn ended(out: &mut MetricsWriter, server: (&str, &str), series: &RequestSeries) {
    let mut labels = vec![server, ("http_request_method", series.method)];
    let route = series.route.as_ref().map(ToString::to_string);
    labels.extend(route.as_deref().map(|route| ("http_route", route)));
    for (metric, sizes) in [
        ("http_server_request_body_size_bytes", &series.body_received),
        ("http_server_response_body_size_bytes", &series.body_sent),
    ] {
        own(out.histogram(metric, &labels, &SIZE_BOUNDS, &sizes.counts, sizes.sum));
    }
    let status = series.status.map(|status| status.to_string());
    labels.extend(status.as_deref().map(|status| ("http_response_status_code", status)));
    let version = if series.version == Version::HTTP_10 { "1.0" } else { "1.1" };
    labels.push(("network_protocol_version", version));
    let (metric, durations) = ("http_server_request_duration_seconds", &series.durations);
    own(out.histogram(metric, &labels, &DURATION_BOUNDS, &durations.counts, durations.sum));
}

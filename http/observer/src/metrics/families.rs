//! The families of the runtime and of its servers.

use std::time::Duration;

use riot_actor::stats::SchedulerStats;
use riot_socket::{ServerInfo, ServerState};

use super::{MetricError, MetricsWriter};

/// The shortest time over which the busy ratio of workers is taken; 1 s. Two clients that scrape one after
/// the other get the same ratio.
const RATIO_INTERVAL: Duration = Duration::from_secs(1);

/// The bound of connections by its name in the list of bounds. Its series exists from the start.
const MAX_CONNECTIONS: &str = "max_connections";

/// How busy the workers were between two scrapes.
#[derive(Debug, Default)]
pub(super) struct BusyRatios {
    /// The age of the runtime and the sleep of each worker when the ratios were taken.
    age: Duration,
    asleep: Vec<Duration>,
    ratios: Vec<f64>,
}

impl BusyRatios {
    /// Returns the ratio of each worker since the last scrape, or of the runtime's whole age at first.
    pub(super) fn of(&mut self, stats: &SchedulerStats) -> &[f64] {
        let elapsed = stats.age.saturating_sub(self.age);
        if elapsed >= RATIO_INTERVAL || self.ratios.len() != stats.workers.len() {
            let asleep: Vec<Duration> = stats.workers.iter().map(|worker| worker.asleep).collect();
            let slept = |(nth, asleep): (usize, &Duration)| {
                asleep.saturating_sub(self.asleep.get(nth).copied().unwrap_or_default())
            };
            let elapsed = elapsed.as_secs_f64().max(f64::MIN_POSITIVE);
            self.ratios = asleep
                .iter()
                .enumerate()
                .map(|worker| (1.0 - slept(worker).as_secs_f64() / elapsed).clamp(0.0, 1.0))
                .collect();
            (self.asleep, self.age) = (asleep, stats.age);
        }
        &self.ratios
    }
}

/// Writes the families of a list: kind, name, help, and the values with their labels.
macro_rules! families {
    ($out:ident: $($kind:ident $name:literal $help:literal [$($labels:expr => $value:expr),+ $(,)?])+) => {$(
        $out.describe($name, $help);
        $(own($out.$kind($name, $labels, $value));)+
    )+};
}

/// Checks that nothing of this crate is refused.
pub(super) fn own(result: Result<(), MetricError>) {
    debug_assert_eq!(result, Ok(()), "the names of this crate are right");
}

/// Writes the families of the runtime.
pub(super) fn runtime(out: &mut MetricsWriter, stats: &SchedulerStats) {
    families! { out:
        gauge "riot_processes" "Processes that are not released." [&[] => stats.processes]
        counter "riot_processes_spawned_total" "Processes spawned since the start." [&[] => stats.spawned]
        gauge "riot_timers" "Running timers." [&[] => stats.timers]
        gauge "riot_injected_processes"
            "Runnable processes that no worker has taken over yet." [&[] => stats.injected]
        gauge "riot_uptime_seconds" "The age of the runtime." [&[] => stats.age.as_secs_f64()]
    }
}

/// Writes the families of the workers.
pub(super) fn workers(out: &mut MetricsWriter, stats: &SchedulerStats, busy: &[f64]) {
    for (nth, (worker, busy)) in stats.workers.iter().zip(busy).enumerate() {
        let nth = nth.to_string();
        let labels: &[(&str, &str)] = &[("worker", &nth)];
        families! { out:
            gauge "riot_worker_busy_ratio"
                "The part of the time since the last scrape in which the worker did not sleep."
                [labels => *busy]
            gauge "riot_run_queue"
                "Runnable processes in the queue of the worker." [labels => worker.queue]
            counter "riot_worker_slices_total"
                "Poll slices that the worker has run." [labels => worker.slices]
            counter "riot_worker_steals_total"
                "How often the worker took processes over from another one." [labels => worker.steals]
            counter "riot_worker_parks_total" "How often the worker went to sleep." [labels => worker.parks]
        }
    }
}

/// Writes the families of a server.
pub(super) fn server(out: &mut MetricsWriter, info: &ServerInfo) {
    let name = info.name.as_str();
    let labels: &[(&str, &str)] = &[("server", name)];
    connections(out, info, labels);
    families! { out:
        gauge "riot_connections_max" "The bound of connections." [labels => info.max_connections]
        counter "riot_connections_accepted_total"
            "Connections that were ever accepted." [labels => info.accepted]
        counter "riot_connections_ended_total" "Ended connections, by the way they ended." [
            &[("server", name), ("reason", "normal")] => info.ended.normal,
            &[("server", name), ("reason", "shutdown")] => info.ended.shutdown,
            &[("server", name), ("reason", "disconnected")] => info.ended.disconnected,
            &[("server", name), ("reason", "crashed")] => info.ended.crashed,
            &[("server", name), ("reason", "killed")] => info.ended.killed,
        ]
        counter "riot_accept_errors_total" "Failed accepts, by kind." [
            &[("server", name), ("kind", "connection")] => info.accept_errors.connection,
            &[("server", name), ("kind", "exhausted")] => info.accept_errors.exhausted,
            &[("server", name), ("kind", "listener")] => info.accept_errors.listener,
        ]
        counter "riot_connections_reaped_total"
            "Idle connections that gave way to new clients." [labels => info.reaped]
        counter "riot_handshake_errors_total"
            "Failed handshakes, timeouts excluded." [labels => info.handshake_errors]
        counter "riot_protocol_errors_total"
            "Connections whose client broke the protocol." [labels => info.protocol_errors]
        counter "riot_bytes_total" "Bytes of protocols, without those of TLS." [
            &[("server", name), ("direction", "received")] => info.bytes_received,
            &[("server", name), ("direction", "sent")] => info.bytes_sent,
        ]
        counter "riot_undelivered_bytes_total"
            "Bytes that ended connections were to send and did not." [labels => info.bytes_undelivered]
    }
    out.describe("riot_limit_hits_total", "Clients that have exceeded a bound, by its name.");
    let is_listed = info.limits.contains_key(MAX_CONNECTIONS);
    let unlisted = (!is_listed).then_some((&MAX_CONNECTIONS, &0));
    for (limit, count) in info.limits.iter().chain(unlisted) {
        own(out.counter("riot_limit_hits_total", &[("server", name), ("limit", limit)], *count));
    }
    out.describe("riot_timeouts_total", "Connections that a timer ended, by its name.");
    for (timer, count) in &info.timeouts {
        own(out.counter("riot_timeouts_total", &[("server", name), ("timer", timer)], *count));
    }
    families! { out:
        gauge "riot_server_state" "1 for the state that the server is in, 0 for the others." [
            &[("server", name), ("state", "running")] => u8::from(info.state == ServerState::Running),
            &[("server", name), ("state", "suspended")] => u8::from(info.state == ServerState::Suspended),
            &[("server", name), ("state", "lame_duck")] => u8::from(info.state == ServerState::LameDuck),
            &[("server", name), ("state", "draining")] => u8::from(info.state == ServerState::Draining),
            &[("server", name), ("state", "down")] => u8::from(info.state == ServerState::Down),
        ]
    }
}

/// Writes the connections by state. The states of single connections are known only while the server drains:
/// else every connection would have to be asked at every scrape.
fn connections(out: &mut MetricsWriter, info: &ServerInfo, labels: &[(&str, &str)]) {
    let name = labels[0].1;
    let open = match &info.drain {
        None => info.active,
        Some(drain) => {
            let known = drain.fresh + drain.reading + drain.handling + drain.idle;
            families! { out:
                gauge "riot_connections" "Live connections, by state." [
                    &[("server", name), ("state", "fresh")] => drain.fresh,
                    &[("server", name), ("state", "reading")] => drain.reading,
                    &[("server", name), ("state", "handling")] => drain.handling,
                    &[("server", name), ("state", "idle")] => drain.idle,
                ]
            }
            info.active.saturating_sub(known)
        }
    };
    families! { out:
        gauge "riot_connections" "Live connections, by state." [
            &[("server", name), ("state", "open")] => open,
            &[("server", name), ("state", "removed")] => info.all.saturating_sub(info.active),
        ]
    }
}

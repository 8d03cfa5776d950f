//! The program as a whole.

use std::{
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use riot_actor::{runtime::Handle, stats::SchedulerStats};
use riot_socket::servers;
use serde_json::{Value, json};

use super::millis;
use crate::{health::HealthState, metrics::Usage};

/// The parts of the view of the program that are read before it.
pub(crate) struct Program {
    pub(crate) state: HealthState,
    pub(crate) stats: SchedulerStats,
    /// How busy each worker was of late.
    pub(crate) busy: Vec<f64>,
    /// Whether the runtime is a simulation, in which nothing of the machine shows.
    pub(crate) is_simulated: bool,
    /// Whether requests may change the program.
    pub(crate) has_controls: bool,
    /// The crashes that the list knows of the last hour.
    pub(crate) crashes: u64,
}

/// Returns the view of the program.
pub(crate) fn home(_: &Handle, program: Program) -> Value {
    let Program { state, stats, busy, is_simulated, has_controls, crashes } = program;
    let usage = if is_simulated { None } else { Usage::read() };
    let name = std::env::args().next().filter(|_| !is_simulated);
    let name = name.as_deref().and_then(|path| Path::new(path).file_name()?.to_str());
    let started = (!is_simulated).then(|| SystemTime::now().checked_sub(stats.age)).flatten();
    let workers = stats.workers.iter().enumerate().map(|(nth, worker)| {
        json!({
            "busy": busy.get(nth),
            "queue": worker.queue,
            "slices": worker.slices,
            "steals": worker.steals,
            "parks": worker.parks,
        })
    });
    let connections: usize = servers().iter().map(|server| server.info().active).sum();
    let requests: u64 = servers()
        .iter()
        .filter_map(riot_http::stats)
        .map(|stats| stats.responses.iter().sum::<u64>() + stats.unanswered)
        .sum();
    json!({
        "t": millis(stats.age),
        "name": name,
        "version": null,
        "started": started.map(rfc3339),
        "state": state.to_string(),
        "controls": has_controls,
        "workers": workers.collect::<Vec<_>>(),
        "processes": stats.processes,
        "spawned": stats.spawned,
        "timers": stats.timers,
        "messages": null,
        "connections": connections,
        "requests": requests,
        "rss_bytes": usage.map(|usage| usage.resident_bytes),
        "fds": usage.and_then(|usage| usage.open_fds),
        "fds_max": usage.and_then(|usage| usage.max_fds),
        "alarms": null,
        "crashes_1h": crashes,
    })
}

/// Returns a time as RFC 3339 has it, in UTC and whole seconds.
pub(super) fn rfc3339(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Days since 0000-03-01, in eras of 400 years, so that the leap day is the last of a year (Howard
    // Hinnant, "chrono-Compatible Low-Level Date Algorithms").
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (year, month) = (era * 400 + year_of_era + month / 10, (month + 2) % 12 + 1);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ob11_times_are_as_in_rfc_3339() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_704_067_199, "2023-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
    }
}

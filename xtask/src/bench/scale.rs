//! Whether costs stay constant as numbers grow: `cargo xtask bench scale`.
//!
//! - CPU time per request with 100, 1 000 and 10 000 open connections, of which 64 are active;
//! - a ping-pong, and a spawn, beside 0, 100 000 and 1 000 000 idle processes;
//! - requests per second with 1, 2, 4 and 8 workers, which share the cores with the client;
//! - latency with 1 000 active connections, more than can be served without waiting.

use serde::{Deserialize, Serialize};

use super::{
    args::Args,
    http::Plan,
    load::Outcome,
    peers::{OURS, Program},
    processes,
    report::{absolute, grouped},
    server::Server,
    stats::Spread,
    table::Table,
    workload::{self, OVERLOAD, Workload},
};

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct ScaleRow {
    pub(crate) what: String,
    /// The number of connections, workers or idle processes.
    pub(crate) at: usize,
    pub(crate) server: String,
    pub(crate) unit: String,
    /// One per round.
    pub(crate) samples: Vec<f64>,
}

/// A figure of an outcome, with its name and unit.
type OutcomeFigure = (&'static str, &'static str, fn(&Outcome) -> f64);

const CPU: OutcomeFigure = ("CPU per request, open connections", "µs", Outcome::cpu_micros);
const PER_SECOND: OutcomeFigure = ("requests per second, workers", "/s", Outcome::per_second);
const OVERLOADED: [OutcomeFigure; 3] = [
    ("all active: requests per second, connections", "/s", Outcome::per_second),
    ("all active: p50, connections", "µs", |outcome| outcome.p50_micros),
    ("all active: p99, connections", "µs", |outcome| outcome.p99_micros),
];

/// Measures everything, beside the peers that `args` names, or hyper if it names none.
pub(crate) fn run(args: &Args) -> Result<Vec<ScaleRow>, String> {
    let hyper =
        |name: &str| if args.peers.is_empty() { name == "hyper" } else { Args::wants(&args.peers, name) };
    let programs = Program::all(hyper)?;
    let mut rows = Vec::new();

    let split = Plan::new("split", args)?;
    {
        let servers = split.start(&programs, split.workers)?;
        for connections in [100, 1_000, 10_000] {
            eprintln!("── {connections} open connections");
            measure(&mut rows, &split, &servers, &workload::open(connections), &[CPU], None)?;
        }
        eprintln!("── {}", OVERLOAD.title);
        measure(&mut rows, &split, &servers, workload::named("a"), &OVERLOADED, None)?;
        measure(&mut rows, &split, &servers, &OVERLOAD, &OVERLOADED, None)?;
    }

    let both = Plan::new("both", args)?;
    for workers in [1, 2, 4, 8] {
        eprintln!("── {workers} workers");
        let servers = both.start(&programs, workers)?;
        measure(&mut rows, &both, &servers, workload::named("a"), &[PER_SECOND], Some(workers))?;
    }

    idle(&mut rows, split.rounds, if args.quick { 50_000 } else { 300_000 })?;
    rows.sort_by(|a, b| (&a.what, &a.server, a.at).cmp(&(&b.what, &b.server, b.at)));
    Ok(rows)
}

/// Adds a row per server and figure, at `at`, or at the number of open connections.
fn measure(
    rows: &mut Vec<ScaleRow>,
    plan: &Plan,
    servers: &[Server],
    workload: &Workload,
    figures: &[OutcomeFigure],
    at: Option<usize>,
) -> Result<(), String> {
    let servers: Vec<&Server> = servers.iter().collect();
    for measured in plan.measure(workload, &servers)? {
        for (what, unit, figure) in figures {
            rows.push(ScaleRow {
                what: (*what).into(),
                at: at.unwrap_or(measured.connections),
                server: measured.server.clone(),
                unit: (*unit).into(),
                samples: measured.figures(figure),
            });
        }
    }
    Ok(())
}

/// Measures an operation beside processes that wait for a message.
fn idle(rows: &mut Vec<ScaleRow>, rounds: usize, n: usize) -> Result<(), String> {
    let (ours, theirs) = processes::programs()?;
    for (what, bench) in [("ping-pong, idle processes", "pingidle"), ("spawn, idle processes", "spawnidle")] {
        for at in [0, 100_000, 1_000_000] {
            eprintln!("── {bench} beside {at}");
            let mut samples = [Vec::new(), Vec::new()];
            for _ in 0..rounds {
                for (samples, program) in samples.iter_mut().zip([&ours, &theirs]) {
                    samples.push(processes::run_once(program, bench, n, 1, at)?.1);
                }
            }
            for (samples, server) in samples.into_iter().zip([OURS, "tokio"]) {
                rows.push(ScaleRow {
                    what: what.into(),
                    at,
                    server: server.into(),
                    unit: "ns".into(),
                    samples,
                });
            }
        }
    }
    Ok(())
}

/// Returns medians, each with its ratio to the smallest size of its kind.
pub(crate) fn table(rows: &[ScaleRow]) -> Table {
    let mut table = Table::new(["", "of", "", "median", "ratio to the first"]);
    let mut first: Option<&ScaleRow> = None;
    for row in rows {
        let same = |first: &&ScaleRow| first.what == row.what && first.server == row.server;
        let base = *first.filter(same).get_or_insert(row);
        first = Some(base);
        let ratio =
            Spread::of_ratios(&row.samples, &base.samples).map_or("-".into(), |ratio| ratio.to_string());
        table.row([
            row.what.clone(),
            grouped(row.at as f64),
            row.server.clone(),
            absolute(&row.samples, &row.unit),
            ratio,
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_to_the_first_of_each_kind() {
        let row = |server: &str, at, sample| ScaleRow {
            what: "CPU".into(),
            at,
            server: server.into(),
            unit: "µs".into(),
            samples: vec![sample],
        };
        let text = table(&[row(OURS, 100, 5.0), row(OURS, 1_000, 6.0), row("hyper", 100, 8.0)]).to_string();
        let ratios: Vec<&str> =
            text.lines().skip(1).filter_map(|line| line.split("µs").nth(1)).map(str::trim).collect();
        assert_eq!(ratios, ["1.00 [1.00–1.00]", "1.20 [1.20–1.20]", "1.00 [1.00–1.00]"]);
    }
}

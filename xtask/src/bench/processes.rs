//! riot's processes beside tokio's tasks and channels: `cargo xtask bench processes`.
//!
//! Each bench is one run of a program that prints `{"ns": PER_OPERATION}` or `{"bytes": PER_PROCESS}`: the
//! example `process_bench` and the peer `tokio_processes`, one after the other in each round. With one worker
//! both are pinned to one core.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{args::Args, build, system};

struct Bench {
    name: &'static str,
    title: &'static str,
    n: usize,
    k: usize,
    workers: &'static [usize],
    /// False if tokio has no counterpart.
    compared: bool,
}

const fn bench(name: &'static str, title: &'static str, n: usize, k: usize) -> Bench {
    Bench { name, title, n, k, workers: &[1, 2], compared: true }
}

const fn alone(name: &'static str, title: &'static str, n: usize, k: usize) -> Bench {
    Bench { name, title, n, k, workers: &[1], compared: false }
}

const BENCHES: &[Bench] = &[
    bench("spawn", "spawn and exit", 500_000, 0),
    bench("spawnburst", "spawn without a pause", 500_000, 0),
    bench("spawnbare", "spawn, no mailbox", 500_000, 0),
    Bench { workers: &[1], ..bench("mem", "bytes when idle", 200_000, 0) },
    bench("pingpong", "ping-pong", 500_000, 0),
    Bench { workers: &[2], ..bench("ppx", "ping-pong across", 50_000, 0) },
    bench("ring", "hop in a ring", 1_000, 500),
    bench("fanin", "eight to one", 2_000_000, 8),
    bench("call", "call and reply", 300_000, 0),
    bench("gencall", "call of a server, with timeout", 300_000, 0),
    bench("skynet", "skynet", 1_000_000, 0),
    Bench { workers: &[1], ..bench("timers", "timer, cancelled", 300_000, 0) },
    alone("selrecv", "call behind 10 000", 300_000, 10_000),
    alone("links", "exit of one of 10 000 linked", 10_000, 0),
    alone("restart", "restart by error", 100_000, 0),
    alone("restartpanic", "restart by panic", 100_000, 0),
];

pub(crate) fn names() -> Vec<&'static str> {
    BENCHES.iter().map(|bench| bench.name).collect()
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct ProcessRow {
    pub(crate) bench: String,
    pub(crate) title: String,
    pub(crate) workers: usize,
    pub(crate) unit: String,
    /// One per round.
    pub(crate) ours: Vec<f64>,
    pub(crate) tokio: Vec<f64>,
}

/// Runs all benches that `args` selects.
pub(crate) fn run(args: &Args) -> Result<Vec<ProcessRow>, String> {
    let (ours, theirs) = programs()?;
    let rounds = args.rounds.unwrap_or(if args.quick { 2 } else { 5 });
    let mut rows = Vec::new();
    for bench in BENCHES.iter().filter(|bench| Args::wants(&args.benches, bench.name)) {
        // A shorter round does not change what an operation is.
        let n =
            if args.quick && bench.name != "ring" && bench.name != "links" { bench.n / 5 } else { bench.n };
        let n =
            if bench.name == "skynet" { bench.n.min(if args.quick { 100_000 } else { bench.n }) } else { n };
        for &workers in bench.workers {
            eprintln!("── {} {n} with {workers} workers, {rounds} rounds", bench.name);
            let mut row = ProcessRow {
                bench: bench.name.into(),
                title: bench.title.into(),
                workers,
                unit: String::new(),
                ours: Vec::new(),
                tokio: Vec::new(),
            };
            for _ in 0..rounds {
                let (unit, figure) = run_once(&ours, bench.name, n, workers, bench.k)?;
                row.unit = unit;
                row.ours.push(figure);
                if bench.compared {
                    row.tokio.push(run_once(&theirs, bench.name, n, workers, bench.k)?.1);
                }
            }
            rows.push(row);
        }
    }
    Ok(rows)
}

/// Builds riot's program and tokio's, and returns their paths.
pub(crate) fn programs() -> Result<(String, String), String> {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    Ok((text(&build::example("process_bench")?), text(&build::peer("tokio_processes")?)))
}

/// Runs a bench once, and returns the unit of its figure and the figure.
pub(crate) fn run_once(
    program: &str,
    bench: &str,
    n: usize,
    workers: usize,
    k: usize,
) -> Result<(String, f64), String> {
    let core = if workers == 1 { system::cores().first().copied() } else { None };
    let arguments = [bench.to_owned(), n.to_string(), workers.to_string(), k.to_string()];
    let output = system::pinned(core, program)
        .args(&arguments)
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    figure(&text).ok_or_else(|| {
        let line = arguments.join(" ");
        format!("{program} {line}: {}: {text}{}", output.status, String::from_utf8_lossy(&output.stderr))
    })
}

fn figure(text: &str) -> Option<(String, f64)> {
    let line: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text.trim()).ok()?;
    let (unit, figure) = line.into_iter().next()?;
    Some((unit, figure.as_f64()?))
}

#[cfg(test)]
mod tests {
    use super::{figure, names};

    #[test]
    fn the_line_that_a_program_prints_is_parsed() {
        assert_eq!(figure("{\"ns\": 12.5}\n"), Some(("ns".into(), 12.5)));
        assert_eq!(figure("{\"bytes\": 300}"), Some(("bytes".into(), 300.0)));
        assert_eq!(figure("panicked"), None);
    }

    #[test]
    fn names_of_benches_are_unique() {
        let mut names = names();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}

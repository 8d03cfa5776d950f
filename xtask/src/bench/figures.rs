//! Figures that other programs on the machine do not disturb: `cargo xtask bench figures`.
//!
//! | figure | how |
//! |---|---|
//! | user instructions per request | counted by callgrind over a number of requests; needs valgrind |
//! | instructions per operation of processes | the difference of two runs under callgrind, one twice as long |
//! | atomic instructions per request | counted by callgrind; most of them take a lock |
//! | allocations per request | calls of the allocator, among the calls that callgrind counts |
//! | system calls per request | `strace -c -f`, attached meanwhile; needs strace |
//! | cache lines missed per request | misses of all of callgrind's caches, with 1 000 active connections |
//! | memory of an idle connection | growth of the server by connections that were answered once, per connection |
//! | memory of an idle process | `process_bench mem` and its peer, a million |
//!
//! Memory is measured with small pages. Servers have one worker; the workloads are `a`, `n`, `b` and `d`.

use std::{
    fs,
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use super::{
    args::Args,
    build,
    callgrind::{self, Counts},
    chart::{Bar, Panel, Unit},
    check,
    load::{Client, Spec, Until},
    peers::{Launcher, OURS, Program},
    processes,
    report::grouped,
    server::Server,
    stats::Spread,
    system,
    table::Table,
    workload::{self, OVERLOAD, Workload},
};

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct FigureRow {
    pub(crate) figure: String,
    pub(crate) server: String,
    pub(crate) value: f64,
}

/// Amounts of work per server.
struct Amounts {
    requests: u64,
    /// For a connection per request, and for 1 000 active connections.
    requests_few: u64,
    connections: usize,
    processes: usize,
}

const LONG: Amounts =
    Amounts { requests: 40_000, requests_few: 20_000, connections: 9_000, processes: 1_000_000 };
const QUICK: Amounts =
    Amounts { requests: 8_000, requests_few: 8_000, connections: 2_000, processes: 200_000 };

/// Operations of processes whose instructions are counted: what is counted, the bench of `process_bench`, its
/// two numbers, and the operations for each of the first.
const OPERATIONS: [(&str, &str, usize, usize, usize); 3] = [
    ("hop in a ring of processes", "ring", 100, 100, 100),
    ("call and reply", "call", 20_000, 0, 1),
    ("process spawned and ended", "spawn", 20_000, 0, 1),
];

impl Amounts {
    /// Returns the workloads, each with a short name and its number of requests.
    fn workloads(&self) -> [(&'static str, &'static Workload, u64); 4] {
        [
            ("keep-alive", workload::named("a"), self.requests),
            ("no two alike", workload::named("n"), self.requests),
            ("16 pipelined", workload::named("b"), self.requests),
            ("own connection", workload::named("d"), self.requests_few),
        ]
    }
}

/// Measures all figures that `args` selects.
pub(crate) fn run(args: &Args) -> Result<Vec<FigureRow>, String> {
    let mut programs = Program::all(|name| Args::wants(&args.peers, name))?;
    programs.retain(Program::can_be_counted);
    let amounts = if args.quick { QUICK } else { LONG };
    system::small_pages();
    let mut rows = Rows(Vec::new());
    for program in &programs {
        if system::installed("valgrind") {
            rows.count_instructions(program, &amounts)?;
        }
        if system::installed("strace") {
            for (how, workload, requests) in amounts.workloads() {
                let value = system_calls(program, workload, requests);
                rows.add(format!("system calls per request, {how}"), program.name, value)?;
            }
        }
        if system::installed("valgrind") {
            let counts = callgrind::count(program, &OVERLOAD, amounts.requests_few, true);
            let value = counts.map(|counts| counts.cold_lines);
            rows.add("cache lines missed per request, 1 000 active".into(), program.name, value)?;
        }
        let bytes = connection_bytes(program, amounts.connections);
        rows.add("bytes per idle connection".into(), program.name, bytes)?;
    }
    let (ours, theirs) = processes::programs()?;
    for (server, program) in [(OURS, ours), ("tokio", theirs)] {
        if system::installed("valgrind") {
            for (figure, bench, n, k, per_n) in OPERATIONS {
                let value = callgrind::count_operation(&program, bench, n, k, per_n);
                rows.add(format!("instructions per {figure}"), server, value)?;
            }
        }
        let value = processes::run_once(&program, "mem", amounts.processes, 1, 0).map(|(_, value)| value);
        rows.add("bytes per idle process".into(), server, value)?;
    }
    for tool in ["valgrind", "strace"].into_iter().filter(|tool| !system::installed(tool)) {
        eprintln!("{tool} is not installed: its figures are left out");
    }
    Ok(rows.0)
}

struct Rows(Vec<FigureRow>);

impl Rows {
    fn count_instructions(&mut self, program: &Program, amounts: &Amounts) -> Result<(), String> {
        let count = |(how, workload, requests)| (how, callgrind::count(program, workload, requests, false));
        let counted = amounts.workloads().map(count);
        for (figure, of) in [
            ("instructions", (|counts| counts.instructions) as fn(&Counts) -> f64),
            ("atomic instructions", |counts| counts.atomics),
            ("allocations", |counts| counts.allocations),
        ] {
            for (how, counts) in &counted {
                let value = counts.as_ref().map(of).map_err(String::clone);
                self.add(format!("{figure} per request, {how}"), program.name, value)?;
            }
        }
        Ok(())
    }

    /// Adds a figure. A peer that cannot be measured is left out with a message; for riot that is an error.
    fn add(&mut self, figure: String, server: &str, value: Result<f64, String>) -> Result<(), String> {
        match value {
            Err(error) if server == OURS => Err(error),
            Err(error) => {
                eprintln!("── {figure}, {server} is left out: {error}");
                Ok(())
            }
            Ok(value) => {
                eprintln!("── {figure}, {server}: {value:.3}");
                self.0.push(FigureRow { figure, server: server.into(), value });
                Ok(())
            }
        }
    }
}

pub(crate) fn table(rows: &[FigureRow]) -> Table {
    let servers = distinct(rows.iter().map(|row| row.server.as_str()));
    let mut table = Table::new(std::iter::once("").chain(servers.iter().copied()));
    for figure in distinct(rows.iter().map(|row| row.figure.as_str())) {
        let value = |server: &&str| rows.iter().find(|row| row.figure == figure && row.server == **server);
        let readable = |row: &FigureRow| {
            if row.value < 100.0 { format!("{:.3}", row.value) } else { grouped(row.value) }
        };
        let cells = servers.iter().map(|server| value(server).map_or("-".into(), readable));
        table.row(std::iter::once(figure.to_owned()).chain(cells));
    }
    table
}

/// Returns a panel for each figure.
pub(crate) fn panels(rows: &[FigureRow]) -> Vec<Panel> {
    let bar = |row: &FigureRow| {
        let spread = Spread { median: row.value, min: row.value, max: row.value };
        Bar { label: row.server.clone(), spread, ours: row.server == OURS }
    };
    let panel = |figure: &str| Panel {
        title: figure.into(),
        unit: Unit::Count,
        bars: rows.iter().filter(|row| row.figure == figure).map(bar).collect(),
    };
    distinct(rows.iter().map(|row| row.figure.as_str())).into_iter().map(panel).collect()
}

/// Returns each name once, in the order of first occurrence.
fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut distinct = Vec::new();
    for name in names {
        if !distinct.contains(&name) {
            distinct.push(name);
        }
    }
    distinct
}

fn system_calls(program: &Program, workload: &Workload, requests: u64) -> Result<f64, String> {
    let out = build::results().join("strace.out");
    fs::create_dir_all(build::results()).map_err(|error| error.to_string())?;
    let server = Server::start(program, 1, Launcher::Core(system::cores().first().copied()))?;
    let mut client = Client::connect(&check::spec(&server, workload, 0.0)?)?;
    let mut strace = Command::new("strace")
        .args(["-c", "-f", "-p", &server.pid().to_string(), "-o"])
        .arg(&out)
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("strace: {error}"))?;
    // Time for strace to attach to every thread. A request that it misses is lost in the count.
    std::thread::sleep(Duration::from_millis(500));
    let counted = client.run(Until::Requests(requests));
    stop(&mut strace)?;
    let text = fs::read_to_string(&out).map_err(|error| format!("{}: {error}", out.display()))?;
    Ok(calls(&text).ok_or_else(|| format!("unexpected output of strace: {text}"))? as f64
        / counted?.requests as f64)
}

fn stop(child: &mut Child) -> Result<(), String> {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        kill_process(pid, Signal::INT).map_err(|error| error.to_string())?;
    }
    child.wait().map(drop).map_err(|error| error.to_string())
}

/// Returns the number of calls in the last line of strace's table.
fn calls(text: &str) -> Option<u64> {
    let line = text.lines().rev().find(|line| line.trim_end().ends_with(" total"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

fn connection_bytes(program: &Program, connections: usize) -> Result<f64, String> {
    let server = Server::start(program, 1, Launcher::Core(None))?;
    let plain = check::spec(&server, workload::named("a"), 0.0)?;
    // The first connections pay for memory that later ones share.
    drop(Client::connect(&Spec { connections: 200, ..plain.clone() })?);
    server.settle();
    let before = system::resident_bytes(server.pid());
    let connections = connections.min(system::max_connections());
    let client = Client::connect(&Spec { connections, ..plain })?;
    server.settle();
    std::thread::sleep(Duration::from_secs(1));
    let after = system::resident_bytes(server.pid());
    drop(client);
    Ok(after.saturating_sub(before) as f64 / connections as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_strace_is_parsed() {
        let table = "% time     seconds  usecs/call     calls    errors syscall\n\
                     ------ ----------- ----------- --------- --------- ----------------\n \
                     50.00    0.000010           1      4000           recvfrom\n\
                     ------ ----------- ----------- --------- --------- ----------------\n\
                     100.00    0.000020           1      8120        12 total\n";
        assert_eq!(calls(table), Some(8_120));
    }

    #[test]
    fn a_figure_is_a_row_and_a_server_a_column() {
        let row = |figure: &str, server: &str, value| FigureRow {
            figure: figure.into(),
            server: server.into(),
            value,
        };
        let text =
            table(&[row("a", OURS, 1661.0), row("a", "hyper", 7922.0), row("b", "hyper", 2.03)]).to_string();
        assert!(text.contains("1 661") && text.contains("7 922") && text.contains("2.030"), "{text}");
    }

    #[test]
    fn a_figure_is_a_panel_and_a_server_a_bar() {
        let row = |figure: &str, server: &str| FigureRow {
            figure: figure.into(),
            server: server.into(),
            value: 1.0,
        };
        let panels = panels(&[row("a", OURS), row("b", OURS), row("a", "hyper")]);
        let bars: Vec<usize> = panels.iter().map(|panel| panel.bars.len()).collect();
        assert_eq!((bars, panels[0].bars[0].ours, panels[0].bars[1].ours), (vec![2, 1], true, false));
    }
}

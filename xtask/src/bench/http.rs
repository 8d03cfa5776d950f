//! riot's HTTP server beside others: `cargo xtask bench http`.
//!
//! All servers run at once. Each round measures one after the other, and the next round begins with another
//! server. A ratio is taken within its round, so that a longer disturbance of the machine affects both of its
//! sides. A measurement that other programs disturbed is repeated.
//!
//! Modes: in `split` the server has one worker on one core and the client another core, which shows the cost
//! of a request. In `both` the server has a worker per core and the client shares the cores.

use serde::{Deserialize, Serialize};

use super::{
    args::Args,
    check,
    load::{self, LoadShape, Outcome, Spec},
    peers::{Launcher, OURS, Program},
    server::Server,
    stats::Spread,
    system,
    workload::{self, Workload},
    wrk,
};

/// A measurement during which other programs used a larger part of the machine's CPU time is repeated.
const MAX_FOREIGN_CPU: f64 = 0.05;

/// Repetitions at most; the least disturbed measurement counts.
const MAX_REPETITIONS: usize = 2;

/// All measurements of a run.
#[derive(Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) generator: String,
    pub(crate) seconds: f64,
    pub(crate) rows: Vec<HttpRow>,
}

/// The measurements of one server under one workload.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct HttpRow {
    pub(crate) mode: String,
    pub(crate) workload: String,
    pub(crate) title: String,
    pub(crate) connections: usize,
    pub(crate) server: String,
    /// One per round.
    pub(crate) samples: Vec<Outcome>,
}

impl HttpRow {
    pub(crate) fn figures(&self, figure: impl Fn(&Outcome) -> f64) -> Vec<f64> {
        self.samples.iter().map(figure).collect()
    }
}

/// Where servers and client run, and for how long.
pub(crate) struct Plan {
    pub(crate) mode: &'static str,
    pub(crate) workers: usize,
    server_core: Option<usize>,
    client_core: Option<usize>,
    pub(crate) rounds: usize,
    pub(crate) seconds: f64,
    wrk: bool,
    max_repetitions: usize,
}

impl Plan {
    pub(crate) fn new(mode: &'static str, args: &Args) -> Result<Self, String> {
        let (rounds, seconds) = if args.quick { (2, 0.1) } else { (5, 1.0) };
        let cores = system::cores();
        let mut plan = Self {
            mode,
            workers: 2,
            server_core: None,
            client_core: None,
            rounds: args.rounds.unwrap_or(rounds),
            seconds: args.seconds.unwrap_or(seconds),
            wrk: args.wrk,
            max_repetitions: if args.quick { 0 } else { MAX_REPETITIONS },
        };
        if mode == "split" {
            let [first, .., last] = cores[..] else { return Err("mode `split` needs two cores".into()) };
            (plan.workers, plan.server_core, plan.client_core) = (1, Some(first), Some(last));
        }
        Ok(plan)
    }

    pub(crate) fn start(&self, programs: &[Program], workers: usize) -> Result<Vec<Server>, String> {
        let servers =
            programs.iter().map(|program| Server::start(program, workers, Launcher::Core(self.server_core)));
        servers.collect()
    }

    /// Takes one measurement, repeated if other programs disturbed it.
    fn measure_one(&self, spec: &Spec) -> Result<Outcome, String> {
        let mut best = self.measure_once(spec)?;
        for _ in 0..self.max_repetitions {
            if best.foreign_cpu.is_none_or(|foreign| foreign <= MAX_FOREIGN_CPU) {
                break;
            }
            let again = self.measure_once(spec)?;
            if again.foreign_cpu < best.foreign_cpu {
                best = again;
            }
        }
        Ok(best)
    }

    fn measure_once(&self, spec: &Spec) -> Result<Outcome, String> {
        if self.wrk && wrk::can(spec) {
            return wrk::run(spec, self.client_core);
        }
        load::run(spec, self.client_core)
    }

    /// Checks each server, then measures all in rounds. A peer that fails is left out with a message.
    pub(crate) fn measure(&self, workload: &Workload, servers: &[&Server]) -> Result<Vec<HttpRow>, String> {
        let mut measured = Vec::new();
        for &server in servers {
            match check::spec(server, workload, self.seconds) {
                Ok(spec) => measured.push((self.row(workload, server, spec.connections), spec, server)),
                Err(error) => left_out(server, error)?,
            }
        }
        for round in 0..self.rounds {
            let mut failed = Vec::new();
            let count = measured.len();
            for nth in 0..count {
                let (row, spec, server) = &mut measured[(round + nth) % count];
                match self.measure_one(spec) {
                    Ok(outcome) => row.samples.push(outcome),
                    Err(error) => {
                        left_out(server, error)?;
                        failed.push(server.name);
                    }
                }
                server.settle();
            }
            measured.retain(|(.., server)| !failed.contains(&server.name));
        }
        Ok(measured.into_iter().map(|(row, ..)| row).collect())
    }

    fn row(&self, workload: &Workload, server: &Server, connections: usize) -> HttpRow {
        HttpRow {
            mode: self.mode.into(),
            workload: workload.name.into(),
            title: workload.title.into(),
            connections,
            server: server.name.into(),
            samples: Vec::new(),
        }
    }
}

/// Prints that a peer is left out. A failure of riot's server is an error.
fn left_out(server: &Server, error: String) -> Result<(), String> {
    if server.name == OURS {
        return Err(error);
    }
    eprintln!("{} is left out: {error}", server.name);
    Ok(())
}

/// Measures everything that `args` selects.
pub(crate) fn run(args: &Args) -> Result<Report, String> {
    let programs = Program::all(|name| Args::wants(&args.peers, name))?;
    let mut report = Report { generator: String::new(), seconds: 0.0, rows: Vec::new() };
    for mode in ["split", "both"] {
        if !Args::wants(&args.modes, mode) {
            continue;
        }
        let plan = Plan::new(mode, args)?;
        report.generator = generator(&plan);
        report.seconds = plan.seconds;
        let servers = plan.start(&programs, plan.workers)?;
        for workload in workload::WORKLOADS {
            if !Args::wants(&args.workloads, workload.name) || !suits(mode, workload, args) {
                continue;
            }
            eprintln!("── {mode} {}: {}, {} rounds", workload.name, workload.title, plan.rounds);
            let asked: Vec<&Server> = programs
                .iter()
                .zip(&servers)
                .filter(|(program, _)| program.answers(workload.kind))
                .map(|(_, server)| server)
                .collect();
            report.rows.extend(plan.measure(workload, &asked)?);
        }
    }
    Ok(report)
}

/// Returns whether a workload is measured in a mode. With shared cores only `a` and `b` are, unless others
/// are selected, and never a fixed rate: a client that keeps a rate never sleeps, and would take a core from
/// the server.
fn suits(mode: &str, workload: &Workload, args: &Args) -> bool {
    mode == "split"
        || (!matches!(workload.shape, LoadShape::Rate(_))
            && (!args.workloads.is_empty() || matches!(workload.name, "a" | "b")))
}

fn generator(plan: &Plan) -> String {
    let own = "xtask's own load generator";
    if plan.wrk { format!("wrk for a, b, c1, d and f; for the others {own}") } else { own.into() }
}

/// Describes the part of the CPU time that other programs used: the median of all measurements that know it.
pub(crate) fn foreign_cpu(rows: &[HttpRow]) -> String {
    let all = rows.iter().flat_map(|row| &row.samples).filter_map(|outcome| outcome.foreign_cpu);
    let part = |spread: Spread| format!("other programs used {:.0} % of the CPU time", spread.median * 100.0);
    Spread::of(all).map_or("the CPU time of other programs is unknown".into(), part)
}

/// Returns riot's rows, each with the peers' rows of the same workload.
pub(crate) fn beside(rows: &[HttpRow]) -> impl Iterator<Item = (&HttpRow, Vec<&HttpRow>)> {
    let same = |ours: &HttpRow, row: &&HttpRow| {
        row.mode == ours.mode && row.workload == ours.workload && row.server != OURS
    };
    rows.iter()
        .filter(|row| row.server == OURS)
        .map(move |ours| (ours, rows.iter().filter(|row| same(ours, row)).collect()))
}

//! Our HTTP server beside others: `cargo xtask bench http`.
//!
//! All servers run at once; each round measures one after the other, and the next round begins with another. A ratio is
//! taken within its round, so that what disturbs the machine for longer than that disturbs both sides of it. A turn that
//! other programs disturbed is taken again.
//!
//! Modes: in `split` the server has one worker on one core, and the client another core: what a request costs. In `both`
//! the servers have a worker for each core, and the client shares them: what is left of that when cores are scarce.

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

/// A turn in which other programs had more of the machine than this is taken again.
const MAX_FOREIGN_CPU: f64 = 0.05;

/// So often; the least disturbed one counts.
const AGAIN_MAX: usize = 2;

/// All that was measured.
#[derive(Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) generator: String,
    pub(crate) seconds: f64,
    pub(crate) rows: Vec<HttpRow>,
}

/// One server under one workload.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct HttpRow {
    pub(crate) mode: String,
    pub(crate) workload: String,
    pub(crate) title: String,
    pub(crate) connections: usize,
    pub(crate) server: String,
    /// One a round.
    pub(crate) samples: Vec<Outcome>,
}

impl HttpRow {
    pub(crate) fn figures(&self, figure: impl Fn(&Outcome) -> f64) -> Vec<f64> {
        self.samples.iter().map(figure).collect()
    }
}

/// Where things run, and for how long.
pub(crate) struct Plan {
    pub(crate) mode: &'static str,
    pub(crate) workers: usize,
    server_core: Option<usize>,
    client_core: Option<usize>,
    pub(crate) rounds: usize,
    pub(crate) seconds: f64,
    wrk: bool,
    again_max: usize,
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
            again_max: if args.quick { 0 } else { AGAIN_MAX },
        };
        if mode == "split" {
            let [first, .., last] = cores[..] else { return Err("split needs two cores".into()) };
            (plan.workers, plan.server_core, plan.client_core) = (1, Some(first), Some(last));
        }
        Ok(plan)
    }

    pub(crate) fn start(&self, programs: &[Program], workers: usize) -> Result<Vec<Server>, String> {
        let servers =
            programs.iter().map(|program| Server::start(program, workers, Launcher::Core(self.server_core)));
        servers.collect()
    }

    /// One turn.
    fn ask(&self, spec: &Spec) -> Result<Outcome, String> {
        let mut best = self.ask_once(spec)?;
        for _ in 0..self.again_max {
            if best.foreign_cpu.is_none_or(|foreign| foreign <= MAX_FOREIGN_CPU) {
                break;
            }
            let again = self.ask_once(spec)?;
            if again.foreign_cpu < best.foreign_cpu {
                best = again;
            }
        }
        Ok(best)
    }

    fn ask_once(&self, spec: &Spec) -> Result<Outcome, String> {
        if self.wrk && wrk::can(spec) {
            return wrk::run(spec, self.client_core);
        }
        load::run(spec, self.client_core)
    }

    /// Checks each server, then measures all in rounds. One of theirs that fails is left out, and that is said.
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
                match self.ask(spec) {
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

/// A failure of ours is one of the bench.
fn left_out(server: &Server, error: String) -> Result<(), String> {
    if server.name == OURS {
        return Err(error);
    }
    eprintln!("{} is left out: {error}", server.name);
    Ok(())
}

/// Everything that `args` asks for.
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

/// With both sharing the cores, those where that tells something, unless more are asked for. A client that never
/// sleeps, as one that keeps a rate does, would take a core from the server.
fn suits(mode: &str, workload: &Workload, args: &Args) -> bool {
    mode == "split"
        || (!matches!(workload.shape, LoadShape::Rate(_))
            && (!args.workloads.is_empty() || matches!(workload.name, "a" | "b")))
}

fn generator(plan: &Plan) -> String {
    let own = "xtask's own load generator";
    if plan.wrk { format!("wrk for a, b, c1, d and f; for the others {own}") } else { own.into() }
}

/// What other programs had of the machine, in words: the median of all turns where it is known.
pub(crate) fn foreign_cpu(rows: &[HttpRow]) -> String {
    let all = rows.iter().flat_map(|row| &row.samples).filter_map(|outcome| outcome.foreign_cpu);
    let part = |spread: Spread| format!("others had {:.0} % of the machine", spread.median * 100.0);
    Spread::of(all).map_or("what others had of the machine is not known".into(), part)
}

/// The rows of ours, each with those of the others under the same workload.
pub(crate) fn beside(rows: &[HttpRow]) -> impl Iterator<Item = (&HttpRow, Vec<&HttpRow>)> {
    let same = |ours: &HttpRow, row: &&HttpRow| {
        row.mode == ours.mode && row.workload == ours.workload && row.server != OURS
    };
    rows.iter()
        .filter(|row| row.server == OURS)
        .map(move |ours| (ours, rows.iter().filter(|row| same(ours, row)).collect()))
}

//! `cargo xtask bench`: measures costs beside other programs.
//!
//! Responses are compared byte by byte before anything is timed. Only ratios within one run are meaningful,
//! because other programs share the machine: riot and its peers are measured alternately, and each ratio is
//! taken within one round.

mod args;
mod build;
mod callgrind;
mod chart;
mod check;
mod criterion;
mod figures;
mod http;
mod load;
mod peers;
mod processes;
mod report;
mod results;
mod scale;
mod server;
mod stats;
mod system;
mod table;
mod workload;
mod wrk;

use std::{
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

use args::Args;

pub(crate) use load::main as load;
pub(crate) use system::become_pinned as pinned;
pub(crate) use table::Table;

const USAGE: &str = "\
usage: cargo xtask bench [WHAT] [OPTION…]

WHAT; by default `criterion`, `processes` and `http`, one after the other:
  criterion    the benches of every crate
  processes    processes beside tokio's tasks and channels
  http         the HTTP server beside hyper, axum, actix-web, ntex, may_minihttp, and nginx and Cowboy where
               they are installed
  figures      figures without noise: instructions, allocations and cache lines missed (valgrind) and system
               calls (strace) per request, memory of idle connections and processes; takes about eight
               minutes, with --quick and one peer two
  scale        whether costs stay constant with more connections, processes, workers and clients
  charts       measures nothing: draws the charts of the kept results again

OPTION:
  --quick            takes less than two minutes once everything is built, which takes about ten; figures are
                     rough; the time spent on building is printed at the end
  --keep             keep the results and charts in xtask/results, where the README shows them
  --peer P           compare with P only (http, figures, scale; repeatable): hyper axum actix_web ntex
                     may_minihttp nginx cowboy
  --rounds N         number of rounds (http, processes, scale); 5 by default
  --seconds S        seconds for each server in each round (http, scale); 1 by default
  --bench B          only B (processes; repeatable), a bench of the example process_bench
  --mode M           only M (http): split (a core each for server and client) or both (they share two cores)
  --load L           load generator (http): own, the default, or wrk for the workloads that it supports; on
                     one core wrk sends fewer requests than these servers can answer, and it does not notice
                     a server that leaves a connection open after `Connection: close`
  --workload W       only W (http; repeatable):
";

const HTTP: &[&str] =
    &["--quick", "--keep", "--rounds", "--seconds", "--mode", "--load", "--workload", "--peer", "--help"];
const PROCESSES: &[&str] = &["--quick", "--keep", "--rounds", "--bench", "--help"];
const FIGURES: &[&str] = &["--quick", "--keep", "--peer", "--help"];
const SCALE: &[&str] = &["--quick", "--keep", "--rounds", "--seconds", "--peer", "--help"];
const CRITERION: &[&str] = &["--quick", "--keep", "--help"];
const CHARTS: &[&str] = &["--help"];

fn usage() -> String {
    let lines =
        workload::WORKLOADS.iter().map(|workload| format!("      {:4} {}\n", workload.name, workload.title));
    lines.fold(USAGE.to_owned(), |text, line| text + &line)
}

/// Runs `cargo xtask bench ARGUMENTS`.
pub(crate) fn main(arguments: &[String]) -> ExitCode {
    let (what, rest) = match arguments.split_first() {
        Some((what, rest)) if !what.starts_with('-') => (what.as_str(), rest),
        _ => ("all", arguments),
    };
    let args = match parse(what, rest) {
        Ok(args) => args,
        Err(error) => {
            eprintln!("error: {error}\nsee `cargo xtask bench --help`");
            return ExitCode::from(2);
        }
    };
    if args.help {
        print!("{}", usage());
        return ExitCode::SUCCESS;
    }
    if !build::optimized() {
        return ourselves(arguments);
    }
    system::raise_descriptors();
    match run(what, &args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(what: &str, rest: &[String]) -> Result<Args, String> {
    let allowed = match what {
        "all" | "criterion" => CRITERION,
        "http" => HTTP,
        "processes" => PROCESSES,
        "figures" => FIGURES,
        "scale" => SCALE,
        "charts" => CHARTS,
        _ => {
            return Err(format!(
                "no bench `{what}`; known are criterion, processes, http, figures, scale, charts"
            ));
        }
    };
    Args::parse(allowed, rest)
}

/// Runs the bench in an optimised build of this program, which is also the load generator.
fn ourselves(arguments: &[String]) -> ExitCode {
    let built = build::ourselves();
    let status = built.and_then(|path| {
        Command::new(path).arg("bench").args(arguments).status().map_err(|error| format!("xtask: {error}"))
    });
    match status {
        Ok(status) => ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs one part or all, and prints the time each took and the time spent on building.
fn run(what: &str, args: &Args) -> Result<(), String> {
    let parts: &[&str] = if what == "all" { &["criterion", "processes", "http"] } else { &[what] };
    let (first, mut last) = (Instant::now(), Duration::ZERO);
    for part in parts {
        run_part(part, args)?;
        let elapsed = first.elapsed();
        eprintln!("── {part} took {:.0} s", (elapsed - last).as_secs_f64());
        last = elapsed;
    }
    let building = build::building().as_secs_f64();
    eprintln!("── {:.0} s in all, {building:.0} s of them spent on building", last.as_secs_f64());
    Ok(())
}

fn run_part(part: &str, args: &Args) -> Result<(), String> {
    match part {
        "criterion" => run_criterion(args),
        "processes" => run_processes(args),
        "http" => run_http(args),
        "figures" => {
            let rows = figures::run(args)?;
            println!("\nfigures without noise\n{}", figures::table(&rows));
            results::write("figures", &rows, args.keep)?;
            draw_figures(&rows, args.keep)
        }
        "charts" => draw_kept(),
        "scale" => {
            let rows = scale::run(args)?;
            println!(
                "\nscale: medians, and ratios to the first of each kind [min–max]\n{}",
                scale::table(&rows)
            );
            results::write("scale", &rows, args.keep)
        }
        part => Err(format!("no bench `{part}`")),
    }
}

fn run_criterion(args: &Args) -> Result<(), String> {
    let rows = criterion::run(args.quick)?;
    let kept: Vec<criterion::CriterionRow> = results::kept("criterion").unwrap_or_default();
    println!(
        "\nbenches of the crates: medians [interval], and ratios to the kept results\n{}",
        criterion::table(&rows, &kept)
    );
    results::write("criterion", &rows, args.keep)
}

fn run_processes(args: &Args) -> Result<(), String> {
    let rows = processes::run(args)?;
    println!(
        "\nprocesses: medians, and ratios within a round [min–max]; less is better\n{}",
        report::processes_table(&rows)
    );
    results::write("processes", &rows, args.keep)?;
    draw_processes(&rows, args.keep)
}

fn run_http(args: &Args) -> Result<(), String> {
    let report = http::run(args)?;
    println!(
        "\nHTTP: medians of {} s each, and ratios within a round [min–max]; load by {}; {}\n{}",
        report.seconds,
        report.generator,
        http::foreign_cpu(&report.rows),
        report::http_table(&report)
    );
    results::write("http", &report, args.keep)?;
    draw_http(&report, args.keep)
}

fn draw_http(report: &http::Report, keep: bool) -> Result<(), String> {
    let note = format!(
        "CPU time of the server per request, on one core, relative to riot; shorter is better; {}",
        http::foreign_cpu(&report.rows)
    );
    results::draw("http", keep, &chart::draw("HTTP servers", &note, 3, &report::http_panels(report)))
}

fn draw_processes(rows: &[processes::ProcessRow], keep: bool) -> Result<(), String> {
    let note = "time per operation, relative to tokio's tasks and channels; shorter is better";
    let panels = report::processes_panels(rows);
    results::draw("processes", keep, &chart::draw("Processes beside tokio", note, 2, &panels))
}

fn draw_figures(rows: &[figures::FigureRow], keep: bool) -> Result<(), String> {
    let note = "per request, with one worker; shorter is better; independent of the load of the machine";
    results::draw("figures", keep, &chart::draw("Without noise", note, 3, &figures::panels(rows)))
}

/// Draws the README's charts again from the kept results.
fn draw_kept() -> Result<(), String> {
    let missing = |name| move || format!("there are no kept results of `{name}`");
    draw_http(&results::kept("http").ok_or_else(missing("http"))?, true)?;
    let rows: Vec<_> = results::kept("processes").ok_or_else(missing("processes"))?;
    draw_processes(&rows, true)?;
    let rows: Vec<_> = results::kept("figures").ok_or_else(missing("figures"))?;
    draw_figures(&rows, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(what: &str, line: &str) -> Result<Args, String> {
        parse(what, &line.split_whitespace().map(String::from).collect::<Vec<_>>())
    }

    #[test]
    fn each_bench_accepts_its_own_options_only() {
        assert!(parsed("http", "--workload a --peer hyper --load wrk --mode both").expect("right").wrk);
        assert!(parsed("processes", "--bench ring").is_ok());
        assert!(parsed("processes", "--peer hyper").expect_err("wrong").contains("--bench"));
        assert!(parsed("all", "--workload a").is_err());
        assert!(parsed("htpp", "").expect_err("wrong").contains("processes, http"));
        assert!(parsed("charts", "").is_ok() && parsed("charts", "--keep").is_err());
    }

    #[test]
    fn kept_results_can_be_drawn() {
        assert!(results::kept::<http::Report>("http").is_some_and(|report| !report.rows.is_empty()));
        assert!(
            results::kept::<Vec<processes::ProcessRow>>("processes").is_some_and(|rows| !rows.is_empty())
        );
        assert!(results::kept::<Vec<figures::FigureRow>>("figures").is_some_and(|rows| !rows.is_empty()));
    }

    #[test]
    fn the_usage_names_every_workload_and_peer() {
        let usage = usage();
        for name in workload::names().iter().chain(&peers::names()) {
            assert!(usage.contains(name), "{name}");
        }
    }
}

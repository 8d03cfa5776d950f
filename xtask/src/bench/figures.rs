//! Figures that no other program on the machine disturbs: `cargo xtask bench figures`.
//!
//! | figure | how |
//! |---|---|
//! | user instructions a request | callgrind counts while so many requests are answered; needs valgrind |
//! | system calls a request | `strace -c -f`, attached for as long; needs strace |
//! | memory of an idle connection | what the server grew by with so many that were answered once, by their number |
//! | memory of an idle process | `process_bench mem` and its peer, a million |
//!
//! Everything is asked of servers with one worker, over the workloads `a` and `b`.

use std::{
    fs,
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use super::{
    args::Args,
    build, check,
    load::{Client, Spec, Until},
    peers::{Before, OURS, Program},
    processes,
    report::grouped,
    server::Server,
    system,
    table::Table,
    workload::{self, Workload},
};

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) figure: String,
    pub(crate) server: String,
    pub(crate) value: f64,
}

/// Everything that `args` asks for.
pub(crate) fn run(args: &Args) -> Result<Vec<Row>, String> {
    let programs = Program::all(|name| Args::wants(&args.peers, name))?;
    let (requests, connections, idle) =
        if args.quick { (8_000, 2_000, 200_000) } else { (40_000, 9_000, 1_000_000) };
    let mut rows = Vec::new();
    // One of theirs that cannot be measured that way is left out, and that is said.
    let mut add = |figure: String, server: &str, value: Result<f64, String>| match value {
        Err(error) if server == OURS => Err(error),
        Err(error) => {
            eprintln!("── {figure}, {server} is left out: {error}");
            Ok(())
        }
        Ok(value) => {
            eprintln!("── {figure}, {server}: {value:.3}");
            rows.push(Row { figure, server: server.into(), value });
            Ok(())
        }
    };
    for program in &programs {
        for workload in ["a", "b"].map(workload::named) {
            if system::installed("valgrind") {
                let figure = format!("user instructions a request, {}", workload.name);
                add(figure, program.name, instructions(program, workload, requests))?;
            }
            if system::installed("strace") {
                let figure = format!("system calls a request, {}", workload.name);
                add(figure, program.name, system_calls(program, workload, requests))?;
            }
        }
        add("bytes an idle connection".into(), program.name, connection_bytes(program, connections))?;
    }
    let (ours, theirs) = processes::programs()?;
    for (server, program) in [(OURS, ours), ("tokio", theirs)] {
        let value = processes::ask(&program, "mem", idle, 1, 0).map(|(_, value)| value);
        add("bytes an idle process".into(), server, value)?;
    }
    for tool in ["valgrind", "strace"].into_iter().filter(|tool| !system::installed(tool)) {
        eprintln!("{tool} is not installed: its figures are left out");
    }
    Ok(rows)
}

pub(crate) fn table(rows: &[Row]) -> Table {
    let mut servers: Vec<&str> = Vec::new();
    let mut figures: Vec<&str> = Vec::new();
    for row in rows {
        if !servers.contains(&row.server.as_str()) {
            servers.push(&row.server);
        }
        if !figures.contains(&row.figure.as_str()) {
            figures.push(&row.figure);
        }
    }
    let mut table = Table::new(std::iter::once("").chain(servers.iter().copied()));
    for figure in figures {
        let value = |server: &&str| rows.iter().find(|row| row.figure == figure && row.server == **server);
        let readable =
            |row: &Row| if row.value < 100.0 { format!("{:.3}", row.value) } else { grouped(row.value) };
        let cells = servers.iter().map(|server| value(server).map_or("-".into(), readable));
        table.row(std::iter::once(figure.to_owned()).chain(cells));
    }
    table
}

fn spec(server: &Server, workload: &Workload) -> Result<Spec, String> {
    let answer_bytes = check::answer_bytes(server, workload)?;
    Ok(workload.spec(server.address.clone(), server.pid(), answer_bytes, 0.0))
}

fn instructions(program: &Program, workload: &Workload, requests: u64) -> Result<f64, String> {
    let out = build::results().join("callgrind.out");
    fs::create_dir_all(build::results()).map_err(|error| error.to_string())?;
    let _ = fs::remove_file(&out);
    let option = format!("--callgrind-out-file={}", out.display());
    let words = ["valgrind", "--tool=callgrind", "--instr-atstart=no", "--combine-dumps=yes", &option];
    let server = Server::start(program, 1, Before::Program(&words))?;
    let mut client = Client::connect(&spec(&server, workload)?)?;
    client.run(Until::Requests(1_000))?;
    control("on", server.pid())?;
    let counted = client.run(Until::Requests(requests))?;
    control("off", server.pid())?;
    drop(client);
    // It writes when it ends.
    drop(server);
    let text = fs::read_to_string(&out).map_err(|error| format!("{}: {error}", out.display()))?;
    Ok(total(&text).ok_or("callgrind wrote no total")? as f64 / counted.requests as f64)
}

fn control(switch: &str, pid: u32) -> Result<(), String> {
    let output = Command::new("callgrind_control").args(["-i", switch, &pid.to_string()]).output();
    let output = output.map_err(|error| format!("callgrind_control: {error}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("callgrind_control: {}", String::from_utf8_lossy(&output.stderr)))
    }
}

/// The sum of what callgrind has written: a line for each time that it wrote.
fn total(text: &str) -> Option<u64> {
    let totals = text.lines().filter_map(|line| line.strip_prefix("totals: ")?.trim().parse::<u64>().ok());
    totals.reduce(|sum, one| sum + one)
}

fn system_calls(program: &Program, workload: &Workload, requests: u64) -> Result<f64, String> {
    let out = build::results().join("strace.out");
    fs::create_dir_all(build::results()).map_err(|error| error.to_string())?;
    let server = Server::start(program, 1, Before::Core(system::cores().first().copied()))?;
    let mut client = Client::connect(&spec(&server, workload)?)?;
    let mut strace = Command::new("strace")
        .args(["-c", "-f", "-p", &server.pid().to_string(), "-o"])
        .arg(&out)
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("strace: {error}"))?;
    // Attached when every thread says so; a request more than are counted tells nothing.
    std::thread::sleep(Duration::from_millis(500));
    let counted = client.run(Until::Requests(requests));
    stop(&mut strace)?;
    let text = fs::read_to_string(&out).map_err(|error| format!("{}: {error}", out.display()))?;
    Ok(calls(&text).ok_or_else(|| format!("strace says {text}"))? as f64 / counted?.requests as f64)
}

fn stop(child: &mut Child) -> Result<(), String> {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        kill_process(pid, Signal::INT).map_err(|error| error.to_string())?;
    }
    child.wait().map(drop).map_err(|error| error.to_string())
}

/// The number of calls in the last line of strace's table.
fn calls(text: &str) -> Option<u64> {
    let line = text.lines().rev().find(|line| line.trim_end().ends_with(" total"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

fn connection_bytes(program: &Program, connections: usize) -> Result<f64, String> {
    let server = Server::start(program, 1, Before::Core(None))?;
    let plain = spec(&server, workload::named("a"))?;
    // What the first ones take, all later ones share.
    drop(Client::connect(&Spec { connections: 200, ..plain.clone() })?);
    server.settle();
    let before = system::resident_bytes(server.pid());
    let connections = connections.min(system::connections_max());
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
    fn what_the_tools_write_is_understood() {
        assert_eq!(total("version: 1\nsummary: 5\nfn=x\n1 5\ntotals: 5\npart: 2\ntotals: 7\n"), Some(12));
        assert_eq!(total("nothing"), None);
        let table = "% time     seconds  usecs/call     calls    errors syscall\n\
                     ------ ----------- ----------- --------- --------- ----------------\n \
                     50.00    0.000010           1      4000           recvfrom\n\
                     ------ ----------- ----------- --------- --------- ----------------\n\
                     100.00    0.000020           1      8120        12 total\n";
        assert_eq!(calls(table), Some(8_120));
    }

    #[test]
    fn a_figure_is_a_row_and_a_server_a_column() {
        let row =
            |figure: &str, server: &str, value| Row { figure: figure.into(), server: server.into(), value };
        let text =
            table(&[row("a", OURS, 1661.0), row("a", "hyper", 7922.0), row("b", "hyper", 2.03)]).to_string();
        assert!(text.contains("1 661") && text.contains("7 922") && text.contains("2.030"), "{text}");
    }
}

//! The workspace's own tasks: `cargo xtask TASK`.

#[cfg(test)]
mod tidy;

use std::process::{Command, ExitCode};

const USAGE: &str = "\
usage: cargo xtask TASK

  check     the whole gate: format, lints, documentation, tests, and the crates without their default features
  soak      the tests that can be long, at their full length: about ten minutes
";

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("check") => run(GATE, &[("RUSTDOCFLAGS", "-D warnings")]),
        Some("soak") => run(SOAK, &[("RIOT_SOAK", "1")]),
        _ => {
            eprint!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// What `.ci/run` runs.
const GATE: &[(&str, &[&str])] = &[
    ("format", &["fmt", "--all", "--check"]),
    ("lints", &["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"]),
    ("documentation", &["doc", "--workspace", "--no-deps", "--all-features"]),
    ("tests", &["test", "--workspace"]),
    ("the cores without I/O", &["test", "-p", "riot-flow", "-p", "riot-http", "--no-default-features"]),
];

/// Tests that are longer when `RIOT_SOAK` is set. They count descriptors and processes, so one at a time.
const SOAK: &[(&str, &[&str])] = &[
    (
        "machines, networks and clients",
        &["test", "--release", "-p", "riot-socket", "--test", "faults", "--", "--nocapture"],
    ),
    ("the stampede", &["test", "--release", "-p", "riot-http", "--test", "stampede", "--", "--nocapture"]),
    (
        "whole conversations",
        &["test", "--release", "-p", "riot-http", "--test", "conversations", "--", "--nocapture"],
    ),
];

fn run(steps: &[(&str, &[&str])], variables: &[(&str, &str)]) -> ExitCode {
    for (name, arguments) in steps {
        println!("── {name}: cargo {}", arguments.join(" "));
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
        match Command::new(cargo).args(*arguments).envs(variables.iter().copied()).status() {
            Ok(status) if status.success() => {}
            Ok(_) => {
                eprintln!("── {name} failed");
                return ExitCode::FAILURE;
            }
            Err(error) => {
                eprintln!("── cargo does not start: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    println!("── all is well");
    ExitCode::SUCCESS
}

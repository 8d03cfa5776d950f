//! The workspace's own tasks: `cargo xtask TASK`.

mod bench;
mod contract;
#[cfg(test)]
mod tidy;

use std::process::{Command, ExitCode};

const USAGE: &str = "\
usage: cargo xtask TASK

  check     the whole gate: format, lints, documentation, tests, loom models, and the crates without their default features
  soak      the tests that can be long, at their full length: about ten minutes
  contract  writes the tests that prove each rule into the CONTRACT.md of each crate
  bench     what things cost, beside what they cost others; `cargo xtask bench --help` says more
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (task, rest) = match arguments.split_first() {
        Some((task, rest)) => (task.as_str(), rest),
        None => ("", &[][..]),
    };
    match task {
        "check" => run(GATE),
        "soak" => run(SOAK),
        "bench" => bench::main(rest),
        "contract" => failed(contract::write()),
        // What `bench` starts as programs of their own: who asks servers, and who stays on one core.
        "load" => failed(bench::load()),
        "pinned" => failed(Err(bench::pinned(rest))),
        _ => {
            eprint!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn failed(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// One call of cargo, and what it finds in its environment.
type Step = (&'static str, &'static [&'static str], &'static [(&'static str, &'static str)]);

/// What `.ci/run` runs.
const GATE: &[Step] = &[
    ("format", &["fmt", "--all", "--check"], &[]),
    ("lints", &["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"], &[]),
    (
        "documentation",
        &["doc", "--workspace", "--no-deps", "--all-features"],
        &[("RUSTDOCFLAGS", "-D warnings")],
    ),
    ("tests", &["test", "--workspace"], &[]),
    // Everything is built anew for them, so in a place of its own.
    (
        "models",
        &["test", "-p", "riot-actor", "--lib", "models"],
        &[("RUSTFLAGS", "--cfg riot_loom"), ("CARGO_TARGET_DIR", "target/models")],
    ),
    ("the cores without I/O", &["test", "-p", "riot-flow", "-p", "riot-http", "--no-default-features"], &[]),
];

/// Tests that are longer when they find this.
const LONG: &[(&str, &str)] = &[("RIOT_SOAK", "1")];

const SOAK: &[Step] = &[
    ("ten million processes", &["test", "--release", "-p", "riot-actor", "--test", "many"], LONG),
    ("machines, networks and clients", &["test", "--release", "-p", "riot-socket", "--test", "faults"], LONG),
    ("the stampede", &["test", "--release", "-p", "riot-http", "--test", "stampede"], LONG),
    ("whole conversations", &["test", "--release", "-p", "riot-http", "--test", "conversations"], LONG),
];

fn run(steps: &[Step]) -> ExitCode {
    for (name, arguments, environment) in steps {
        println!("── {name}: cargo {}", arguments.join(" "));
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
        match Command::new(cargo).args(*arguments).envs(environment.iter().copied()).status() {
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

//! The workspace's own tasks: `cargo xtask TASK`.

#[cfg(test)]
mod tidy;

use std::process::{Command, ExitCode};

const USAGE: &str = "\
usage: cargo xtask TASK

  check     the whole gate: format, lints, documentation, tests, loom models, and the crates without their default features
";

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("check") => check(),
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
    ("models", &["test", "-p", "riot-actor", "--lib", "models"]),
    ("the cores without I/O", &["test", "-p", "riot-flow", "-p", "riot-http", "--no-default-features"]),
];

fn check() -> ExitCode {
    for (name, arguments) in GATE {
        println!("── {name}: cargo {}", arguments.join(" "));
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
        let mut command = Command::new(cargo);
        command.args(*arguments);
        match *name {
            "documentation" => {
                command.env("RUSTDOCFLAGS", "-D warnings");
            }
            "models" => {
                // Everything is built anew for them, so in a place of its own.
                command.env("RUSTFLAGS", "--cfg riot_loom").env("CARGO_TARGET_DIR", "target/models");
            }
            _ => {}
        }
        match command.status() {
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

//! The workspace's own tasks: `cargo xtask TASK`.

mod bench;
mod contract;
mod diagnostics;
mod features;
mod gate;
mod lines;
mod soak;
mod steps;
mod tidy;
mod workspace;

use std::process::ExitCode;

/// Each task with its arguments, and what it does.
const TASKS: &[(&str, &str, &str)] = &[
    ("check", "[STEP…]", "run the gate, or only these steps of it"),
    ("tidy", "[CRATE…]", "list what breaks the rules of language and names"),
    ("features", "[--pairs]", "build every crate with each of its features; with --pairs also with each two"),
    ("soak", "[STEP…]", "run the long tests at full length: about ten minutes"),
    ("bench", "[--help]", "measure costs beside other programs"),
    ("contract", "", "write the tests of each rule into the CONTRACT.md of each crate"),
    (
        "diagnostics",
        "[NAME…]",
        "show what the compiler says of wrong programs; with names, or --all, all of it",
    ),
    ("lines", "", "count lines of code per crate and room"),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (task, rest) = match arguments.split_first() {
        Some((task, rest)) => (task.as_str(), rest),
        None => ("", &[][..]),
    };
    match task {
        "check" => steps::run_all("gate", gate::GATE, rest),
        "tidy" => tidy::main(rest),
        "features" => match rest {
            [] => exit_code(features::check(false)),
            [option] if option == "--pairs" => exit_code(features::check(true)),
            _ => usage(),
        },
        "soak" => steps::run_all("soak", soak::SOAK, rest),
        "bench" => bench::main(rest),
        "contract" => exit_code(contract::write()),
        "diagnostics" => exit_code(diagnostics::main(rest)),
        "lines" => exit_code(lines::main()),
        // Programs of their own that `bench` starts: the load generator, and a command pinned to one core.
        "load" => exit_code(bench::load()),
        "pinned" => exit_code(Err(bench::pinned(rest))),
        _ => usage(),
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: cargo xtask TASK\n");
    for (task, arguments, about) in TASKS {
        eprintln!("  {:20} {about}", format!("{task} {arguments}"));
    }
    eprintln!("\nsteps of the gate:\n");
    for step in gate::GATE {
        eprintln!("  {:20} {}", step.name, step.about);
    }
    eprintln!();
    match lines::summary() {
        Ok(summary) => eprintln!("{summary}"),
        Err(error) => eprintln!("error: {error}"),
    }
    ExitCode::from(2)
}

fn exit_code(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

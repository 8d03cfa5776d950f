//! The tests that can run for minutes, at full length: `cargo xtask soak`.

use crate::{
    steps::{Step, StepOutcome, run},
    workspace::cargo,
};

/// The tests whose length `RIOT_SOAK` sets.
pub(crate) const SOAK: &[Step] = &[
    Step { name: "processes", about: "ten million processes", run: || long("riot-actor", "many") },
    Step {
        name: "faults",
        about: "machines, networks and clients that fail",
        run: || long("riot-socket", "faults"),
    },
    Step { name: "stampede", about: "thousands of clients at once", run: || long("riot-http", "stampede") },
    Step {
        name: "conversations",
        about: "whole conversations over HTTP",
        run: || long("riot-http", "conversations"),
    },
    Step { name: "drain", about: "ten thousand servers that stop", run: || long("riot-http", "drain") },
    Step { name: "rolling", about: "eight restarts among forty clients", run: rolling },
];

/// Restarts the examples, which a test of one file does not build.
fn rolling() -> StepOutcome {
    let mut examples = cargo();
    examples.args(["build", "--release", "-p", "riot-examples", "--examples"]);
    match run(examples) {
        Ok(()) => long("riot-examples", "rolling"),
        Err(error) => StepOutcome::Failed(error),
    }
}

fn long(package: &str, test: &str) -> StepOutcome {
    let mut command = cargo();
    command.args(["test", "--release", "-p", package, "--test", test]).env("RIOT_SOAK", "1");
    run(command).into()
}

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
];

fn long(package: &str, test: &str) -> StepOutcome {
    let mut command = cargo();
    command.args(["test", "--release", "-p", package, "--test", test]).env("RIOT_SOAK", "1");
    run(command).into()
}

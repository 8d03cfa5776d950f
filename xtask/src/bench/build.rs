//! Builds the programs that are measured, riot's and the peers' with the same profile.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

pub(crate) use crate::workspace::root;
use crate::workspace::{self, target};

/// Time spent on building, in milliseconds.
static BUILDING: AtomicU64 = AtomicU64::new(0);

/// Returns the time spent on building so far, by which this run is longer than one that finds everything
/// built.
pub(crate) fn building() -> Duration {
    Duration::from_millis(BUILDING.load(Relaxed))
}

/// Returns the folder for results and temporary files of the benches.
pub(crate) fn results() -> PathBuf {
    target().join("bench")
}

/// Returns whether this program was built with optimisation, as measuring needs.
pub(crate) fn optimized() -> bool {
    !cfg!(debug_assertions)
}

/// Builds this program with optimisation and returns its path.
pub(crate) fn ourselves() -> Result<PathBuf, String> {
    cargo(root(), &["build", "--release", "--package", "xtask"])?;
    Ok(target().join("release/xtask"))
}

/// Builds an example program of the workspace and returns its path.
pub(crate) fn example(name: &str) -> Result<PathBuf, String> {
    cargo(root(), &["build", "--release", "--package", "riot-examples", "--example", name])?;
    Ok(target().join("release/examples").join(name))
}

/// Builds one program of the workspace of peers, with only the dependencies that it needs, and returns its
/// path.
pub(crate) fn peer(name: &str) -> Result<PathBuf, String> {
    let folder = root().join("xtask/peers");
    // A target folder of its own, even if `CARGO_TARGET_DIR` is set: the peers are another workspace.
    let target = folder.join("target");
    cargo_with(
        &folder,
        &["build", "--release", "--features", name, "--bin", name],
        &[("CARGO_TARGET_DIR", &target)],
    )?;
    Ok(target.join("release").join(name))
}

/// Runs cargo in `folder`.
pub(crate) fn cargo(folder: &Path, arguments: &[&str]) -> Result<(), String> {
    cargo_with(folder, arguments, &[])
}

/// Runs cargo in `folder` with additional environment variables that hold paths.
pub(crate) fn cargo_with(folder: &Path, arguments: &[&str], paths: &[(&str, &Path)]) -> Result<(), String> {
    let line = arguments.join(" ");
    eprintln!("── cargo {line}");
    let mut command = workspace::cargo();
    command.arg("--quiet").args(arguments).current_dir(folder);
    command.envs(paths.iter().copied());
    let start = Instant::now();
    let status = command.status();
    if arguments[0] == "build" || arguments.contains(&"--no-run") {
        BUILDING.fetch_add(u64::try_from(start.elapsed().as_millis()).unwrap_or(0), Relaxed);
    }
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(format!("cargo {line} failed")),
        Err(error) => Err(format!("cargo does not start: {error}")),
    }
}

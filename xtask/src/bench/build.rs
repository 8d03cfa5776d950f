//! Has cargo build what is measured, ours and theirs with the same profile.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

pub(crate) use crate::workspace::root;
use crate::workspace::{self, target};

/// What has been spent on building, in milliseconds.
static BUILDING: AtomicU64 = AtomicU64::new(0);

/// For how long things were built so far: so much longer this run is than one that finds them built.
pub(crate) fn building() -> Duration {
    Duration::from_millis(BUILDING.load(Relaxed))
}

/// Where results and temporary files of the benches go.
pub(crate) fn results() -> PathBuf {
    target().join("bench")
}

/// Whether this program is the one that measures.
pub(crate) fn optimized() -> bool {
    !cfg!(debug_assertions)
}

/// This program once more, built to be fast.
pub(crate) fn ourselves() -> Result<PathBuf, String> {
    cargo(root(), &["build", "--release", "--package", "xtask"])?;
    Ok(target().join("release/xtask"))
}

/// An example program of ours.
pub(crate) fn example(name: &str) -> Result<PathBuf, String> {
    cargo(root(), &["build", "--release", "--package", "riot-examples", "--example", name])?;
    Ok(target().join("release/examples").join(name))
}

/// A program of the workspace of peers; each is built alone, with only what it needs.
pub(crate) fn peer(name: &str) -> Result<PathBuf, String> {
    let folder = root().join("xtask/peers");
    // A place of its own, so that a chosen one of ours stays ours.
    let target = folder.join("target");
    cargo_with(
        &folder,
        &["build", "--release", "--features", name, "--bin", name],
        &[("CARGO_TARGET_DIR", &target)],
    )?;
    Ok(target.join("release").join(name))
}

/// A call of cargo in the workspace.
pub(crate) fn cargo(folder: &Path, arguments: &[&str]) -> Result<(), String> {
    cargo_with(folder, arguments, &[])
}

/// The same, with paths that it finds in its environment.
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

//! The gate: what must pass before a change is accepted. `.ci/run` runs all of it.
//!
//! A step whose tools are missing is skipped and says so, so that a machine with only a Rust toolchain can
//! run the gate. Steps that need other compiler flags or another toolchain build into folders of their own
//! below the target folder, so that they do not throw away what the other steps have built.

use std::{fs, path::Path, process::Command};

use crate::{
    features,
    steps::{Step, StepOutcome, run},
    workspace::{
        INTEROP, cargo, cargo_of, members, minimum_rust, output, packages, root, rustc, rustc_version, target,
    },
};

/// The largest archive of a published crate.
const MAX_ARCHIVE_BYTES: u64 = 512 * 1024;

/// The file of `actor/src`, without `.rs`, that holds the loom models.
const LOOM_FILE: &str = "loom_models";

/// Files of `actor/src`, without `.rs`, whose unit tests exercise unsafe code and need no runtime.
const MIRI_FILES: &[&str] = &["indexed_waker", "message", "table"];

/// All steps, in the order in which they run.
pub(crate) const GATE: &[Step] = &[
    Step { name: "format", about: "rustfmt", run: format },
    Step { name: "lints", about: "clippy on all targets with all features, no warnings", run: lints },
    Step { name: "documentation", about: "rustdoc with all features, no warnings", run: documentation },
    Step { name: "tests", about: "every test, with default features", run: tests },
    Step {
        name: "tokio",
        about: "the tests of the features tokio, axum, tower and hyper-upgrade",
        run: tokio,
    },
    Step { name: "interop", about: "clippy and the tests of examples/interop", run: interop },
    Step { name: "models", about: "loom models of the lock-free parts", run: models },
    Step { name: "cores", about: "the tests of flow and http without I/O", run: cores },
    Step { name: "features", about: "each crate with no feature, each alone, all", run: features::singles },
    Step { name: "msrv", about: "the oldest supported Rust builds the workspace", run: msrv },
    Step { name: "wasm", about: "flow and http without I/O build for wasm32-unknown-unknown", run: wasm },
    Step { name: "fuzz", about: "the fuzz targets build", run: fuzz },
    Step { name: "package", about: "each published crate builds from its archive", run: package },
    Step { name: "deny", about: "licences, banned crates and sources of dependencies", run: deny },
    Step { name: "miri", about: "unit tests of unsafe code under miri", run: miri },
];

fn cargo_run(arguments: &[&str]) -> StepOutcome {
    let mut command = cargo();
    command.args(arguments);
    run(command).into()
}

fn format() -> StepOutcome {
    cargo_run(&["fmt", "--all", "--check"])
}

fn lints() -> StepOutcome {
    cargo_run(&["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"])
}

fn documentation() -> StepOutcome {
    let mut command = cargo();
    command.args(["doc", "--workspace", "--no-deps", "--all-features"]).env("RUSTDOCFLAGS", "-D warnings");
    run(command).into()
}

fn tests() -> StepOutcome {
    cargo_run(&["test", "--workspace"])
}

/// The features stay off in `tests`, so that the programs that are measured have none of them.
fn tokio() -> StepOutcome {
    let features = "riot-actor/tokio,riot-socket/tokio,riot-http/hyper-upgrade,riot-examples/tokio,\
                    riot-observer/tower";
    let mut command = cargo();
    command.args([
        "test",
        "-p",
        "riot-actor",
        "-p",
        "riot-socket",
        "-p",
        "riot-http",
        "-p",
        "riot-examples",
        "-p",
        "riot-observer",
        "--features",
        features,
    ]);
    for test in ["tokio", "tokio_shutdown", "hyper_upgrade", "tower_table", "nested"] {
        command.args(["--test", test]);
    }
    run(command).into()
}

/// Checks `examples/interop`, a workspace of its own, in a target folder of its own.
fn interop() -> StepOutcome {
    let of = |arguments: &[&str]| {
        let mut command = cargo();
        command.args(arguments).current_dir(root().join(INTEROP));
        command.env("CARGO_TARGET_DIR", target().join("interop"));
        command
    };
    if let Err(error) = run(of(&["fmt", "--check"])) {
        return StepOutcome::Failed(error);
    }
    let mut test = of(&["test"]);
    // What `cargo clippy` does, but while the tests are built: checking the many dependencies as well would
    // take as long as building them.
    test.env("RUSTC_WORKSPACE_WRAPPER", "clippy-driver").env("RUSTFLAGS", "-D warnings");
    run(test).into()
}

fn models() -> StepOutcome {
    let mut command = cargo();
    command.args(["test", "-p", "riot-actor", "--lib", LOOM_FILE]);
    command.env("RUSTFLAGS", "--cfg riot_loom").env("CARGO_TARGET_DIR", target().join("models"));
    run(command).into()
}

fn cores() -> StepOutcome {
    cargo_run(&["test", "-p", "riot-flow", "-p", "riot-http", "--no-default-features"])
}

fn msrv() -> StepOutcome {
    let minimum = minimum_rust();
    if is_release_of(&rustc_version(), &minimum) {
        println!(
            "── the running toolchain is {minimum}, the oldest supported: every other step builds with it"
        );
        return StepOutcome::Passed;
    }
    let mut list = Command::new("rustup");
    list.args(["toolchain", "list"]);
    let installed = output(list).unwrap_or_default();
    let Some(toolchain) = installed.lines().find(|name| is_release_of(name, &minimum)) else {
        return StepOutcome::Skipped(format!(
            "no toolchain {minimum} is installed, and another one is running"
        ));
    };
    let mut command = cargo_of(toolchain.split(' ').next().unwrap_or(toolchain));
    command.args(["check", "--workspace", "--all-features", "--all-targets"]);
    command.env("CARGO_TARGET_DIR", target().join("msrv"));
    run(command).into()
}

/// Returns whether `text` begins with a version of the release `minimum`: `1.95.0` of `1.95`.
pub(crate) fn is_release_of(text: &str, minimum: &str) -> bool {
    text.strip_prefix(minimum).is_some_and(|rest| rest.starts_with(['.', '-']))
}

fn wasm() -> StepOutcome {
    const TARGET: &str = "wasm32-unknown-unknown";
    let sysroot = output(rustc(&["--print", "sysroot"])).unwrap_or_default();
    if !Path::new(sysroot.trim()).join("lib/rustlib").join(TARGET).is_dir() {
        return StepOutcome::Skipped(format!("the target is not installed: rustup target add {TARGET}"));
    }
    cargo_run(&[
        "check",
        "--lib",
        "-p",
        "riot-flow",
        "-p",
        "riot-http",
        "--no-default-features",
        "--target",
        TARGET,
    ])
}

/// Checks each fuzz package, a workspace of its own. Checking needs no libFuzzer, so an empty file stands in
/// for it and no C++ compiler is needed.
fn fuzz() -> StepOutcome {
    let folder = target().join("fuzz");
    let library = folder.join("libfuzzer.a");
    if let Err(error) = fs::create_dir_all(&folder).and_then(|()| fs::write(&library, "")) {
        return StepOutcome::Failed(format!("{}: {error}", library.display()));
    }
    for member in members() {
        let manifest = root().join(member).join("fuzz/Cargo.toml");
        if manifest.is_file() {
            let mut command = cargo();
            command.args(["check", "--bins", "--manifest-path"]).arg(&manifest);
            command.env("CARGO_TARGET_DIR", &folder).env("CUSTOM_LIBFUZZER_PATH", &library);
            command.env("RUSTFLAGS", "-D warnings");
            if let Err(error) = run(command) {
                return StepOutcome::Failed(error);
            }
        }
    }
    StepOutcome::Passed
}

/// Builds the archives that `cargo publish` would upload, each with the archives of the others.
fn package() -> StepOutcome {
    try_package().into()
}

/// Cargo could verify the archives itself, but it keeps the sources and artefacts of a version for ever, and
/// would verify those of an earlier run. So the archives are unpacked into a workspace of their own.
fn try_package() -> Result<(), String> {
    let packages = packages()?;
    let folder = target().join("package-check");
    let unpacked = folder.join("unpacked");
    for old in [&unpacked, &folder.join("package")] {
        let _ = fs::remove_dir_all(old);
    }
    fs::create_dir_all(&unpacked).map_err(|error| format!("{}: {error}", unpacked.display()))?;
    let mut command = cargo();
    // The gate also runs before a commit.
    command.args(["package", "--workspace", "--no-verify", "--allow-dirty"]);
    for private in packages.iter().filter(|package| !package.is_published) {
        command.args(["--exclude", &private.name]);
    }
    command.env("CARGO_TARGET_DIR", &folder);
    run(command)?;
    let mut names = Vec::new();
    for package in packages.iter().filter(|package| package.is_published) {
        let name = format!("{}-{}", package.name, package.version);
        unpack(&folder.join("package").join(format!("{name}.crate")), &unpacked)?;
        names.push((package.name.as_str(), name));
    }
    let manifest = unpacked.join("Cargo.toml");
    fs::write(&manifest, archives_manifest(&names))
        .and_then(|()| fs::copy(root().join("Cargo.lock"), unpacked.join("Cargo.lock")))
        .map_err(|error| format!("{}: {error}", unpacked.display()))?;
    let mut command = cargo();
    command.args(["check", "--workspace", "--lib", "--all-features", "--manifest-path"]).arg(&manifest);
    command.env("CARGO_TARGET_DIR", &folder);
    run(command)
}

/// Unpacks an archive, if it is not too large.
fn unpack(archive: &Path, folder: &Path) -> Result<(), String> {
    let bytes = fs::metadata(archive).map_err(|error| format!("{}: {error}", archive.display()))?.len();
    if bytes > MAX_ARCHIVE_BYTES {
        return Err(format!("{} has {bytes} bytes, more than {MAX_ARCHIVE_BYTES}", archive.display()));
    }
    let mut command = Command::new("tar");
    // Files in an archive have one old date; with the present one cargo sees that they have changed.
    command.args(["-x", "-z", "-m", "-f"]).arg(archive).current_dir(folder);
    run(command)?;
    println!("   {} KiB", bytes.div_ceil(1024));
    Ok(())
}

/// Returns the manifest of a workspace of unpacked archives, each a package's name and its folder.
fn archives_manifest(archives: &[(&str, String)]) -> String {
    let members: Vec<_> = archives.iter().map(|(_, folder)| format!("{folder:?}")).collect();
    let mut manifest = format!("[workspace]\nresolver = \"3\"\nmembers = [{}]\n\n", members.join(", "));
    manifest += "[patch.crates-io]\n";
    for (name, folder) in archives {
        manifest += &format!("{name} = {{ path = {folder:?} }}\n");
    }
    manifest
}

/// Checks dependencies with cargo-deny, except advisories: those change without a change of ours and need a
/// network, so the forge's scheduled job checks them.
fn deny() -> StepOutcome {
    let mut version = cargo();
    version.args(["deny", "--version"]);
    if output(version).is_none() {
        return StepOutcome::Skipped("cargo-deny is not installed: cargo install cargo-deny".into());
    }
    cargo_run(&["deny", "check", "licenses", "bans", "sources"])
}

fn miri() -> StepOutcome {
    let mut version = cargo_of("nightly");
    version.args(["miri", "--version"]);
    if output(version).is_none() {
        return StepOutcome::Skipped(
            "no nightly has miri: rustup +nightly component add miri rust-src".into(),
        );
    }
    let mut command = cargo_of("nightly");
    command.args(["miri", "test", "-p", "riot-actor", "--lib", "--"]);
    command.args(MIRI_FILES.iter().map(|file| format!("{file}::")));
    // Property tests read the folder that they run in.
    command.env("MIRIFLAGS", "-Zmiri-disable-isolation").env("CARGO_TARGET_DIR", target().join("miri"));
    run(command).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::source;

    #[test]
    fn a_version_is_of_its_release_only() {
        for (text, expected) in [
            ("1.95.0 (59807616e 2026-04-14)", true),
            ("1.95-x86_64-unknown-linux-gnu", true),
            ("1.95.0-x86_64-unknown-linux-gnu (default)", true),
            ("1.950.0", false),
            ("1.9.5", false),
            ("stable-x86_64-unknown-linux-gnu", false),
        ] {
            assert_eq!(is_release_of(text, "1.95"), expected, "{text}");
        }
    }

    /// Returns whether a file of `actor/src` has a name and a text in it.
    fn has_file(name: &str, text: &str) -> bool {
        let files = source::files("actor/src");
        let mut named = files.iter().filter(|file| file.path.file_stem().is_some_and(|stem| stem == name));
        named.any(|file| file.text.contains(text))
    }

    #[test]
    fn loom_and_miri_run_files_that_exist_and_have_tests() {
        assert!(has_file(LOOM_FILE, "#[test]"), "{LOOM_FILE}");
        for name in MIRI_FILES {
            assert!(has_file(name, "mod tests {"), "{name}");
        }
    }

    #[test]
    fn archives_use_each_other() {
        let manifest = archives_manifest(&[("a", "a-0.1.0".into()), ("b", "b-0.1.0".into())]);
        assert!(manifest.contains("members = [\"a-0.1.0\", \"b-0.1.0\"]\n"), "{manifest}");
        assert!(
            manifest.ends_with("[patch.crates-io]\na = { path = \"a-0.1.0\" }\nb = { path = \"b-0.1.0\" }\n")
        );
    }

    #[test]
    fn no_two_steps_have_a_name() {
        let mut names: Vec<_> = GATE.iter().map(|step| step.name).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    }
}

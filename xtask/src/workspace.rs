//! The workspace as the tasks see it: its folders, its packages, and cargo run in it.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The folder of the programs with heavy dependencies, a workspace of its own.
pub(crate) const INTEROP: &str = "examples/interop";

/// Returns the folder of the workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a folder of the workspace")
}

/// Returns cargo's target folder.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |folder| root().join(folder))
}

/// Returns a command that runs cargo in the workspace, with the toolchain that runs this task.
pub(crate) fn cargo() -> Command {
    command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Returns a command that runs cargo of another toolchain.
pub(crate) fn cargo_of(toolchain: &str) -> Command {
    let mut command = command("rustup".into());
    command.args(["run", toolchain, "cargo"]);
    command
}

/// Returns a command without the variables by which `cargo run` describes the package xtask: build scripts
/// that read them would run again.
fn command(program: OsString) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root());
    for (name, _) in std::env::vars_os() {
        let text = name.to_str().unwrap_or_default();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// Returns a command of the compiler that cargo uses.
pub(crate) fn rustc(arguments: &[&str]) -> Command {
    let mut command = command(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    command.args(arguments);
    command
}

/// Returns the version of the compiler that cargo uses, such as `1.95.0 (59807616e 2026-04-14)`.
pub(crate) fn rustc_version() -> String {
    output(rustc(&["--version"])).unwrap_or_default().trim().trim_start_matches("rustc ").to_owned()
}

/// Returns what `command` prints, if it runs and succeeds.
pub(crate) fn output(mut command: Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Returns the folders of the workspace's packages, as its manifest lists them.
pub(crate) fn members() -> Vec<String> {
    let line = manifest_value("members").unwrap_or_default();
    line.trim_matches(['[', ']']).split(',').map(|name| name.trim().trim_matches('"').to_owned()).collect()
}

/// Returns the oldest version of Rust that is supported: `rust-version` of the workspace.
pub(crate) fn minimum_rust() -> String {
    manifest_value("rust-version")
        .expect("the workspace states its rust-version")
        .trim_matches('"')
        .to_owned()
}

/// Returns the value of the first line `key = value` of the workspace's manifest.
fn manifest_value(key: &str) -> Option<String> {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).ok()?;
    let value = |line: &str| line.strip_prefix(key)?.trim_start().strip_prefix('=').map(str::to_owned);
    manifest.lines().find_map(value).map(|value| value.trim().to_owned())
}

/// A package of the workspace.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    /// All features but `default`.
    pub(crate) features: Vec<String>,
    /// False for `publish = false`.
    pub(crate) is_published: bool,
}

/// Returns the packages of the workspace.
pub(crate) fn packages() -> Result<Vec<Package>, String> {
    let mut metadata = cargo();
    metadata.args(["metadata", "--no-deps", "--format-version", "1"]);
    let text = output(metadata).ok_or("`cargo metadata` failed")?;
    parse_packages(&text).ok_or_else(|| "`cargo metadata` printed no list of packages".into())
}

fn parse_packages(text: &str) -> Option<Vec<Package>> {
    let metadata: serde_json::Value = serde_json::from_str(text).ok()?;
    let package = |value: &serde_json::Value| {
        let features = value.get("features")?.as_object()?;
        Some(Package {
            name: value.get("name")?.as_str()?.to_owned(),
            version: value.get("version")?.as_str()?.to_owned(),
            features: features.keys().filter(|feature| *feature != "default").cloned().collect(),
            // `publish` is null, or the registries that are allowed.
            is_published: value.get("publish")?.as_array().is_none_or(|registries| !registries.is_empty()),
        })
    };
    metadata.get("packages")?.as_array()?.iter().map(package).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_folders_with_a_manifest() {
        let members = members();
        assert!(members.contains(&"actor".into()) && members.contains(&"xtask".into()), "{members:?}");
        assert!(members.iter().all(|folder| root().join(folder).join("Cargo.toml").is_file()));
    }

    #[test]
    fn packages_have_their_features_and_say_whether_they_are_published() {
        let text = r#"{"packages": [
            {"name": "a", "version": "0.1.0", "publish": null,
             "features": {"default": ["x"], "x": [], "y": []}},
            {"name": "b", "version": "0.1.0", "publish": [], "features": {}}]}"#;
        let packages = parse_packages(text).expect("two packages");
        assert_eq!(packages[0].features, ["x", "y"]);
        assert_eq!([packages[0].is_published, packages[1].is_published], [true, false]);
        assert!(parse_packages("{}").is_none());
    }

    #[test]
    fn the_minimum_version_of_rust_is_two_numbers() {
        let version = minimum_rust();
        assert_eq!(version.split('.').filter(|part| part.parse::<u32>().is_ok()).count(), 2, "{version}");
    }
}

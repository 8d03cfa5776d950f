//! Builds of each published crate with every combination of features that matters: `cargo xtask features`.
//!
//! The features come from `cargo metadata`, so that a new one cannot be forgotten. Only libraries are
//! checked: dev-dependencies would switch on features that a user does not have.

use crate::{
    steps::{StepOutcome, run},
    workspace::{Package, cargo, packages, target},
};

/// Runs the step of the gate: no feature, each alone, all.
pub(crate) fn singles() -> StepOutcome {
    check(false).into()
}

/// Checks every combination; with `pairs` also each two features.
pub(crate) fn check(pairs: bool) -> Result<(), String> {
    for package in packages()?.iter().filter(|package| package.is_published) {
        for features in combinations(package, pairs) {
            let mut command = cargo();
            command.args(["check", "--quiet", "--lib", "-p", &package.name, "--no-default-features"]);
            if !features.is_empty() {
                command.args(["--features", &features.join(",")]);
            }
            // Other flags would rebuild the artefacts of the other steps.
            command.env("RUSTFLAGS", "-D warnings").env("CARGO_TARGET_DIR", target().join("features"));
            run(command)?;
        }
    }
    Ok(())
}

/// Returns no feature, each alone, with `pairs` each two, and all; no combination twice.
fn combinations(package: &Package, pairs: bool) -> Vec<Vec<&str>> {
    let all: Vec<&str> = package.features.iter().map(String::as_str).collect();
    let mut found = vec![Vec::new()];
    found.extend(all.iter().map(|&feature| vec![feature]));
    if pairs {
        for (nth, &first) in all.iter().enumerate() {
            found.extend(all[nth + 1..].iter().map(|&second| vec![first, second]));
        }
    }
    if !found.contains(&all) {
        found.push(all);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(features: &[&str]) -> Package {
        let features = features.iter().map(|&feature| feature.to_owned()).collect();
        Package { name: "p".into(), version: "0.1.0".into(), features, is_published: true }
    }

    #[test]
    fn each_combination_comes_once() {
        assert_eq!(combinations(&package(&[]), true), [vec![""; 0]]);
        assert_eq!(combinations(&package(&["a"]), true), [vec![], vec!["a"]]);
        assert_eq!(combinations(&package(&["a", "b"]), true), [vec![], vec!["a"], vec!["b"], vec!["a", "b"]]);
    }

    #[test]
    fn pairs_are_checked_only_if_asked_for() {
        let package = package(&["a", "b", "c"]);
        assert_eq!(combinations(&package, false).len(), 5);
        let pairs = combinations(&package, true);
        assert_eq!(pairs.len(), 8);
        assert!(pairs.contains(&vec!["a", "c"]));
    }
}

//! The shape of the workspace: which crate may use which, and what stands at the top.

use std::{collections::BTreeSet, fs};

use crate::workspace::root;

/// The crates of ours that each crate may use. Arrows point down only.
const ARROWS: &[(&str, &[&str])] = &[
    ("actor", &[]),
    ("supervisor", &["riot-actor"]),
    ("socket", &["riot-actor", "riot-supervisor"]),
    ("flow", &["riot-actor", "riot-socket"]),
    ("http", &["riot-actor", "riot-supervisor", "riot-socket", "riot-flow"]),
];

/// Returns the crates of ours that a crate depends on, each with whether it is optional or only for tests.
fn ours(folder: &str) -> Vec<(String, bool)> {
    let manifest =
        fs::read_to_string(root().join(folder).join("Cargo.toml")).expect("every crate has a manifest");
    let mut section = String::new();
    let mut found = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']).to_owned();
        } else if section.ends_with("dependencies") && line.starts_with("riot-") {
            let name = line.split(['.', ' ', '=']).next().expect("split gives at least one");
            found.push((name.to_owned(), line.contains("optional = true") || section == "dev-dependencies"));
        }
    }
    found
}

#[test]
fn arrows_point_down() {
    for (folder, allowed) in ARROWS {
        for (used, _) in ours(folder) {
            assert!(allowed.contains(&used.as_str()), "{folder} must not use {used}");
        }
    }
}

#[test]
fn the_cores_of_flow_and_http_depend_on_nothing_that_does_io() {
    for folder in ["flow", "http"] {
        for (used, optional) in ours(folder) {
            assert!(optional || used == "riot-flow", "{folder} must not need {used}");
        }
    }
}

#[test]
fn the_top_level_holds_the_crates_and_the_readme() {
    let expected =
        ["Cargo.toml", "README.md", "actor", "examples", "flow", "http", "socket", "supervisor", "xtask"];
    let usual = ["Cargo.lock", "LICENSE-APACHE", "LICENSE-MIT", "target"];
    let found: BTreeSet<String> = fs::read_dir(root())
        .expect("the workspace is a folder")
        .map(|entry| entry.expect("entries are readable").file_name().into_string().expect("names are UTF-8"))
        .filter(|name| !name.starts_with('.') && !usual.contains(&name.as_str()))
        .collect();
    assert_eq!(found, expected.into_iter().map(String::from).collect());
}

#[test]
fn unsafe_code_is_forbidden_outside_of_actor_and_socket() {
    for folder in ["supervisor", "flow", "http"] {
        let lib =
            fs::read_to_string(root().join(folder).join("src/lib.rs")).expect("every crate has a lib.rs");
        assert!(lib.contains("#![forbid(unsafe_code)]"), "{folder} must forbid unsafe code");
    }
}

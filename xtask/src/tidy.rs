//! The shape of the workspace: which crate may use which, and what stands at the top.

use std::{collections::BTreeSet, fs, path::Path};

/// What each crate of ours may use of ours. Arrows point down only.
const ARROWS: &[(&str, &[&str])] = &[
    ("actor", &[]),
    ("supervisor", &["riot-actor"]),
    ("socket", &["riot-actor", "riot-supervisor"]),
    ("flow", &["riot-actor", "riot-socket"]),
    ("http", &["riot-actor", "riot-supervisor", "riot-socket", "riot-flow"]),
];

/// What a crate uses of ours, and whether only if asked to.
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

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask stands in the workspace")
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
fn the_core_of_flow_and_http_uses_nothing_that_does_io() {
    for folder in ["flow", "http"] {
        for (used, optional) in ours(folder) {
            assert!(optional || used == "riot-flow", "{folder} must not need {used}");
        }
    }
}

#[test]
fn the_top_level_is_what_it_should_be() {
    let expected =
        ["Cargo.toml", "README.md", "actor", "examples", "flow", "http", "socket", "supervisor", "xtask"];
    let usual = ["Cargo.lock", "LICENSE-APACHE", "LICENSE-MIT", "target"];
    let found: BTreeSet<String> = fs::read_dir(root())
        .expect("the workspace is there")
        .map(|entry| entry.expect("it can be read").file_name().into_string().expect("names are UTF-8"))
        .filter(|name| !name.starts_with('.') && !usual.contains(&name.as_str()))
        .collect();
    assert_eq!(found, expected.into_iter().map(String::from).collect());
}

#[test]
fn only_actor_and_socket_may_ever_be_unsafe() {
    for folder in ["supervisor", "flow", "http"] {
        let lib =
            fs::read_to_string(root().join(folder).join("src/lib.rs")).expect("every crate has a lib.rs");
        assert!(lib.contains("#![forbid(unsafe_code)]"), "{folder} must forbid unsafe code");
    }
}

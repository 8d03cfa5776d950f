//! The shape of the workspace: which crate may use which, and what stands at the top.

use std::{collections::BTreeSet, fs};

use super::source::files;
use crate::workspace::root;

/// The crates of ours that each crate may use. Arrows point down only.
const ARROWS: &[(&str, &[&str])] = &[
    ("actor", &[]),
    ("supervisor", &["riot-actor"]),
    ("socket", &["riot-actor", "riot-supervisor"]),
    ("flow", &["riot-actor", "riot-socket"]),
    ("http", &["riot-actor", "riot-supervisor", "riot-socket", "riot-flow"]),
    ("http/observer", &["riot-actor", "riot-supervisor", "riot-socket", "riot-http"]),
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
fn no_file_has_more_than_600_lines() {
    let members = ["actor", "supervisor", "socket", "flow", "http", "examples", "xtask"];
    let all = members.into_iter().flat_map(files);
    let long: Vec<_> = all.filter(|file| file.text.lines().count() > 600).map(|file| file.path).collect();
    assert!(long.is_empty(), "split these by what they promise: {long:?}");
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
    for folder in ["supervisor", "flow", "http", "http/observer"] {
        let lib =
            fs::read_to_string(root().join(folder).join("src/lib.rs")).expect("every crate has a lib.rs");
        assert!(lib.contains("#![forbid(unsafe_code)]"), "{folder} must forbid unsafe code");
    }
}

/// A subscriber is a user's code and may panic, so events are emitted by `log_event!` alone, which guards
/// that.
#[test]
fn events_are_emitted_inside_a_guard() {
    const GUARDED: [&str; 2] = ["actor/src/guard/log.rs", "http/src/exchange/failed_request.rs"];
    let levels = ["error", "warn", "info", "debug", "trace", "event"];
    let mut emitters = BTreeSet::new();
    for (folder, _) in ARROWS {
        for file in files(folder) {
            let code = file.text.lines().filter(|line| !line.trim_start().starts_with("//"));
            let emits = |line: &str| levels.iter().any(|level| line.contains(&format!("tracing::{level}!")));
            let path = file.path.display().to_string();
            if path.starts_with(&format!("{folder}/src/")) && code.into_iter().any(emits) {
                emitters.insert(path);
            }
        }
    }
    assert_eq!(emitters, GUARDED.into_iter().map(String::from).collect());
}

//! The papers beside the code: manifests, licences, changelogs, the forge's workflow, CONTRIBUTING's tables.

use std::{collections::BTreeSet, fs, path::PathBuf};

use crate::{
    TASKS,
    gate::GATE,
    soak::SOAK,
    workspace::{members, packages, root},
};

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The folders of the crates that are published: members without `publish = false`.
fn published() -> Vec<String> {
    members()
        .into_iter()
        .filter(|member| !read(&format!("{member}/Cargo.toml")).contains("publish = false"))
        .collect()
}

#[test]
fn published_crates_carry_the_licences_of_the_workspace() {
    assert_eq!(published().len(), packages().expect("cargo runs").iter().filter(|p| p.is_published).count());
    for member in published() {
        for licence in ["LICENSE-APACHE", "LICENSE-MIT"] {
            assert_eq!(read(&format!("{member}/{licence}")), read(licence), "{member}/{licence}");
        }
    }
}

/// Returns the name of the published crate in a folder, such as `riot-observer` for `http/observer`.
fn package_of(folder: &str) -> String {
    format!("riot-{}", folder.rsplit('/').next().unwrap_or(folder))
}

/// The registry's categories that our crates use; it refuses names that are not on its list.
const CATEGORIES: &[&str] =
    &["asynchronous", "concurrency", "network-programming", "web-programming::http-server"];

/// Returns what the registry or docs.rs would miss in a manifest.
fn manifest_faults(folder: &str, manifest: &str) -> Vec<String> {
    let value = |key: &str| {
        let mut values = manifest.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix(" = "));
        values.next()
    };
    let list = |key: &str| -> Vec<String> {
        let items = value(key).unwrap_or_default().trim_matches(['[', ']']).split(',');
        items.map(|item| item.trim().trim_matches('"').to_owned()).filter(|item| !item.is_empty()).collect()
    };
    let mut faults = Vec::new();
    for key in ["description", "readme"] {
        if value(key).is_none() {
            faults.push(format!("no {key}"));
        }
    }
    if value("documentation") != Some(&format!("\"https://docs.rs/{}\"", package_of(folder))) {
        faults.push("documentation is not at docs.rs".into());
    }
    if !manifest.contains("[package.metadata.docs.rs]\nall-features = true") {
        faults.push("docs.rs does not build all features".into());
    }
    let keywords = list("keywords");
    if keywords.is_empty() || keywords.len() > 5 || keywords.iter().any(|keyword| keyword.len() > 20) {
        faults.push(format!("keywords {keywords:?}: 1 to 5 of at most 20 characters"));
    }
    let categories = list("categories");
    if categories.is_empty() || categories.iter().any(|name| !CATEGORIES.contains(&name.as_str())) {
        faults.push(format!("categories {categories:?}"));
    }
    faults
}

#[test]
fn published_manifests_describe_their_crate() {
    for member in published() {
        assert_eq!(manifest_faults(&member, &read(&format!("{member}/Cargo.toml"))), [""; 0], "{member}");
    }
}

#[test]
fn a_manifest_that_describes_nothing_has_faults() {
    assert_eq!(manifest_faults("a", "[package]\nname = \"riot-a\"\n").len(), 6);
    let long = "keywords = [\"a-keyword-of-21-letters\"]\ncategories = [\"kitchen\"]\n";
    assert!(manifest_faults("a", long).iter().any(|fault| fault.contains("kitchen")));
}

/// The headings of *Keep a Changelog*, in their order.
const KINDS: &[&str] = &["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"];

/// Returns what is wrong with the headings of a changelog.
fn changelog_faults(text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let mut sections: Vec<(&str, Option<usize>)> = Vec::new();
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            sections.push((heading, None));
        } else if let Some(kind) = line.strip_prefix("### ") {
            let place = KINDS.iter().position(|known| *known == kind);
            match (sections.last_mut(), place) {
                (_, None) => faults.push(format!("\"{kind}\" is no kind of change")),
                (None, _) => faults.push(format!("\"{kind}\" stands below no version")),
                (Some((heading, before)), place) if *before >= place => {
                    faults.push(format!("\"{kind}\" of {heading} is out of order"));
                    *before = place;
                }
                (Some((_, before)), place) => *before = place,
            }
        }
    }
    let (first, rest) = match sections.split_first() {
        Some(((first, _), rest)) => (*first, rest),
        None => ("", &[][..]),
    };
    if !text.starts_with("# Changelog\n") || first != "[Unreleased]" {
        faults.push("does not begin with # Changelog and ## [Unreleased]".into());
    }
    let releases: Vec<_> = rest.iter().map(|(heading, _)| release(heading)).collect();
    faults.extend(
        rest.iter()
            .zip(&releases)
            .filter(|(_, release)| release.is_none())
            .map(|((heading, _), _)| format!("\"{heading}\" is not `[X.Y.Z] - YYYY-MM-DD`")),
    );
    if !releases.is_sorted_by(|newer, older| newer > older) {
        faults.push("releases are not sorted, the newest first".into());
    }
    faults
}

/// The version and the date of a heading `[X.Y.Z] - YYYY-MM-DD`.
fn release(heading: &str) -> Option<([u32; 3], [u32; 3])> {
    let (version, date) = heading.strip_prefix('[')?.split_once("] - ")?;
    let numbers = |text: &str, separator| -> Option<[u32; 3]> {
        let numbers: Option<Vec<u32>> = text.split(separator).map(|number| number.parse().ok()).collect();
        numbers?.try_into().ok()
    };
    (date.len() == 10).then_some((numbers(version, '.')?, numbers(date, '-')?))
}

#[test]
fn changelogs_have_the_headings_of_keep_a_changelog_newest_first() {
    for member in published() {
        assert_eq!(changelog_faults(&read(&format!("{member}/CHANGELOG.md"))), [""; 0], "{member}");
    }
}

#[test]
fn a_changelog_out_of_order_has_faults() {
    let faults = |rest: &str| changelog_faults(&format!("# Changelog\n\n## [Unreleased]\n{rest}")).len();
    assert_eq!(
        faults("### Added\n### Fixed\n## [0.2.0] - 2027-02-01\n### Fixed\n## [0.1.0] - 2027-01-01\n"),
        0
    );
    assert_eq!(faults("### Fixed\n### Added\n"), 1);
    assert_eq!(faults("### Added\n### Added\n"), 1);
    assert_eq!(faults("### Improved\n"), 1);
    assert_eq!(faults("## [0.1.0] - 2027-01-01\n## [0.2.0] - 2027-02-01\n"), 1);
    assert_eq!(faults("## [0.2.0] - 2027-01-01\n## [0.1.0] - 2027-02-01\n"), 0, "dates follow versions");
    assert_eq!(faults("## 0.1.0, not released yet\n"), 1);
    assert_eq!(changelog_faults("# Changes\n\n## [0.1.0] - 2027-01-01\n").len(), 1);
}

const WORKFLOW: &str = ".github/workflows/ci.yml";

/// The jobs of a workflow: its keys two columns inside of `jobs:`.
fn jobs(workflow: &str) -> BTreeSet<&str> {
    let below = workflow.lines().skip_while(|line| *line != "jobs:").skip(1);
    let keys = below.filter_map(|line| line.strip_prefix("  ")?.strip_suffix(':'));
    keys.filter(|key| !key.starts_with([' ', '#'])).collect()
}

/// The values of `uses:`, each an action and the revision it is pinned to.
fn actions(workflow: &str) -> Vec<(&str, &str)> {
    let uses = workflow.lines().filter_map(|line| line.trim_start_matches([' ', '-']).strip_prefix("uses: "));
    uses.map(|used| used.split(' ').next().unwrap_or(used))
        .map(|used| used.split_once('@').unwrap_or((used, "")))
        .collect()
}

/// The word after each `phrase`.
fn words_after<'a>(text: &'a str, phrase: &str) -> Vec<&'a str> {
    text.split(phrase).skip(1).filter_map(|rest| rest.split_whitespace().next()).collect()
}

#[test]
fn the_workflow_has_its_jobs() {
    let expected = [
        "gate", "msrv", "features", "macos", "docs", "package", "deny", "miri", "wasm", "soak", "fuzz",
        "pairs",
    ];
    assert_eq!(jobs(&read(WORKFLOW)), BTreeSet::from(expected));
}

#[test]
fn the_workflow_may_only_read_and_pins_its_actions() {
    let workflow = read(WORKFLOW);
    assert!(workflow.contains("\npermissions:\n  contents: read\n") && !workflow.contains(": write"));
    let actions = actions(&workflow);
    assert!(!actions.is_empty());
    for (action, revision) in actions {
        let is_commit = revision.len() == 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit());
        assert!(is_commit, "{action}@{revision} is not pinned to a commit");
    }
}

#[test]
fn what_the_workflow_runs_exists() {
    let workflow = read(WORKFLOW);
    let tasks = words_after(&workflow, "cargo xtask ");
    assert!(!tasks.is_empty());
    for task in tasks {
        assert!(TASKS.iter().any(|(name, ..)| *name == task), "no task {task}");
    }
    for step in words_after(&workflow, "cargo xtask check ") {
        assert!(GATE.iter().any(|known| known.name == step), "no step {step} of the gate");
    }
    for step in words_after(&workflow, "cargo xtask soak ") {
        assert!(SOAK.iter().any(|known| known.name == step), "no step {step} of soak");
    }
    for package in words_after(&workflow, " -p ") {
        let is_ours = members().iter().any(|member| package == package_of(member) || package == member);
        assert!(is_ours, "no package {package}");
    }
    assert!(workflow.contains("run: .ci/run\n") && root().join(".ci/run").is_file());
    let targets: BTreeSet<PathBuf> = members().iter().flat_map(|member| fuzz_targets(member)).collect();
    for (member, target) in workflow.lines().filter_map(fuzz_entry) {
        let path = root().join(member).join("fuzz/fuzz_targets").join(format!("{target}.rs"));
        assert!(targets.contains(&path), "no fuzz target {}", path.display());
    }
    assert_eq!(workflow.lines().filter_map(fuzz_entry).count(), targets.len(), "every fuzz target is run");
}

fn fuzz_targets(member: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(member).join("fuzz/fuzz_targets")).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// The crate and the target of a line `- { crate: C, target: T }` of the job's matrix.
fn fuzz_entry(line: &str) -> Option<(&str, &str)> {
    line.trim().strip_prefix("- { crate: ")?.strip_suffix(" }")?.split_once(", target: ")
}

#[test]
fn a_workflow_is_read_by_its_lines() {
    let text =
        "on:\n  push:\njobs:\n  a:\n    steps:\n      - uses: x/y@abc # v1\n  b:\n    run: cargo xtask z q\n";
    assert_eq!(jobs(text), BTreeSet::from(["a", "b"]));
    assert_eq!(actions(text), [("x/y", "abc")]);
    assert_eq!(words_after(text, "cargo xtask "), ["z"]);
    assert_eq!(fuzz_entry("          - { crate: http, target: head }"), Some(("http", "head")));
}

const CONTRIBUTING: &str = ".github/CONTRIBUTING.md";

/// The first cells of a markdown file's tables, where they are code: `` | `x` | … | ``.
fn code_cells(text: &str) -> BTreeSet<&str> {
    text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`')).map(|(cell, _)| cell).collect()
}

/// The dependencies of a manifest that are not of the workspace.
fn dependencies(manifest: &str) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    let mut is_list = false;
    for line in manifest.lines() {
        if let Some(section) = line.strip_prefix('[') {
            let section = section.trim_end_matches(']');
            is_list = section.ends_with("dependencies");
            if let Some((_, name)) = section.split_once("dependencies.") {
                found.insert(name);
            }
        } else if is_list && line.starts_with(|letter: char| letter.is_alphabetic()) {
            found.extend(line.split(['.', ' ', '=']).next().filter(|name| !name.starts_with("riot-")));
        }
    }
    found
}

#[test]
fn every_direct_dependency_has_its_line_in_contributing() {
    let text = read(CONTRIBUTING);
    let listed = code_cells(&text);
    for member in published() {
        let manifest = read(&format!("{member}/Cargo.toml"));
        for name in dependencies(&manifest) {
            assert!(listed.contains(name), "{member} depends on {name}: say why in {CONTRIBUTING}");
        }
    }
}

#[test]
fn every_step_of_the_gate_has_its_line_in_contributing() {
    let text = read(CONTRIBUTING);
    let listed = code_cells(&text);
    for step in GATE {
        assert!(listed.contains(step.name), "{} has no line in {CONTRIBUTING}", step.name);
    }
}

#[test]
fn dependencies_are_read_from_every_section() {
    let manifest = [
        "[package]",
        "name = \"p\"",
        "[dependencies]",
        "bytes.workspace = true",
        "riot-actor.workspace = true",
        "# no",
        "slab = { version = \"1\" }",
        "[dependencies.rustls]",
        "workspace = true",
        "optional = true",
        "[target.'cfg(unix)'.dev-dependencies]",
        "libc.workspace = true",
    ];
    let manifest = manifest.join("\n");
    assert_eq!(dependencies(&manifest), BTreeSet::from(["bytes", "libc", "rustls", "slab"]));
    assert_eq!(code_cells("| `a` | b |\n| c | `d` |\n"), BTreeSet::from(["a"]));
}

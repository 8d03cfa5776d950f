//! The shape of the source: which room may use which, and where a phase is assigned.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The layers of the crate, from the bottom. A module may use modules of its own layer, of the layers above
/// it in this table, and of the hub. The longest matching prefix decides where a module belongs.
const LAYERS: &[(&str, &[&str])] = &[
    ("synchronization, without any of the rest", &["sync", "testing::mutation"]),
    ("guards around values and code of users", &["guard"]),
    (
        "plain values",
        &[
            "messages::boxed",
            "messages::message",
            "names::name",
            "process::notice",
            "process::pid",
            "process::priority",
            "process::reason",
            "time::timer_ref",
            "time::wheel",
        ],
    ),
    ("mailboxes", &["messages::capacity", "messages::mailbox"]),
    ("observation", &["observe::crash_report", "observe::repeats", "observe::telemetry", "observe::trace"]),
    ("the kernel", &["runtime::kernel"]),
    ("drivers", &["runtime::driver", "runtime::parker"]),
    ("the scheduler", &["runtime::scheduler"]),
    ("cooperation", &["runtime::coop"]),
    ("time", &["time"]),
    ("names", &["names"]),
    ("sending and receiving", &["messages"]),
    ("processes", &["process"]),
    ("typed addresses", &["messages::addr"]),
    ("calls", &["call"]),
    ("generic servers", &["gen_server"]),
    ("what is built on calls and servers", &["state_machine", "task"]),
    ("running a runtime", &["runtime"]),
    ("a log on top of all", &["observe::log"]),
];

/// The hub, through which each part of a runtime reaches the others. It owns all parts, so it may name them.
const HUB: &[&str] = &["runtime::context", "runtime::handle", "runtime::shared"];

struct Source {
    /// The path of the module below the crate.
    module: String,
    file: PathBuf,
    /// The code without comments and without unit tests.
    code: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the sources can be read") {
            let path = entry.expect("the sources can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                sources.push(source(&root, path));
            }
        }
    }
    assert!(sources.len() > 60, "the sources were found");
    sources
}

fn source(root: &Path, path: PathBuf) -> Source {
    let file = path.strip_prefix(root).expect("it is below the root").to_path_buf();
    let segments: Vec<_> = file.iter().filter_map(|segment| segment.to_str()).collect();
    let module = segments.join("::").replace(".rs", "").replace("::mod", "");
    let text = fs::read_to_string(&path).expect("a source is text");
    let without_tests = ["#[cfg(test)]\nmod ", "#[cfg(all(test, not(riot_loom)))]\nmod "]
        .iter()
        .filter_map(|tests| text.split_once(tests).map(|(code, _)| code))
        .min_by_key(|code| code.len())
        .unwrap_or(&text);
    let is_code = |line: &&str| !line.trim_start().starts_with("//");
    let code = without_tests.lines().filter(is_code).collect::<Vec<_>>().join("\n");
    Source { module, file, code }
}

fn layer_of(module: &str) -> Option<usize> {
    let begins = |prefix: &&str| module == *prefix || module.starts_with(&format!("{prefix}::"));
    let matches = LAYERS.iter().enumerate().flat_map(|(layer, (_, prefixes))| {
        prefixes.iter().filter(|prefix| begins(prefix)).map(move |prefix| (prefix.len(), layer))
    });
    matches.max().map(|(_, layer)| layer)
}

fn is_hub(module: &str) -> bool {
    HUB.iter().any(|prefix| module == *prefix || module.starts_with(&format!("{prefix}::")))
}

/// Every path of a use tree, such as `a::{b, c::d}`.
fn flatten(prefix: &str, tree: &str, paths: &mut Vec<String>) {
    let tree = tree.trim();
    let Some((head, rest)) = tree.split_once('{') else {
        let name = tree.split(" as ").next().unwrap_or(tree).trim();
        paths.push(format!("{prefix}{}", name.trim_end_matches("::self")));
        return;
    };
    let inner = &rest[..rest.rfind('}').expect("braces are balanced")];
    let prefix = format!("{prefix}{}", head.trim());
    let (mut depth, mut start) = (0, 0);
    for (at, letter) in inner.char_indices().chain([(inner.len(), ',')]) {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                if !inner[start..at].trim().is_empty() {
                    flatten(&prefix, &inner[start..at], paths);
                }
                start = at + 1;
            }
            _ => {}
        }
    }
}

/// The modules of this crate that a source uses. Public re-exports say where a user finds something, so they
/// do not count.
fn used(source: &Source) -> Vec<String> {
    let mut paths = Vec::new();
    let is_mod = source.file.ends_with("mod.rs");
    let parent = match (is_mod, source.module.rsplit_once("::")) {
        (true, _) => source.module.clone(),
        (false, Some((parent, _))) => parent.to_owned(),
        (false, None) => String::new(),
    };
    let grandparent = parent.rsplit_once("::").map_or("", |(parent, _)| parent).to_owned();
    let upper = if is_mod { grandparent } else { parent };
    let mut rest = source.code.as_str();
    while let Some(at) = rest.find("use ") {
        let line_start = rest[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let visibility = rest[line_start..at].trim();
        let statement = &rest[at + 4..];
        let end = statement.find(';').unwrap_or(statement.len());
        let tree = &statement[..end];
        if visibility.is_empty() || visibility == "pub(crate)" {
            if let Some(tree) = tree.strip_prefix("crate::") {
                flatten("", tree, &mut paths);
            } else if let Some(tree) = tree.strip_prefix("super::") {
                flatten(&format!("{upper}::"), tree, &mut paths);
            }
        }
        rest = &statement[end..];
    }
    for (at, _) in source.code.match_indices("crate::") {
        if !source.code[..at].ends_with(['$', ' ', '(']) || source.code[..at].ends_with("use ") {
            continue;
        }
        let path = &source.code[at + 7..];
        let end = path.find(|letter: char| !letter.is_alphanumeric() && !":_".contains(letter));
        paths.push(path[..end.unwrap_or(path.len())].to_owned());
    }
    paths
}

#[test]
fn arrows_between_rooms_point_down() {
    let mut wrong = Vec::new();
    let mut arrows = 0;
    for source in sources() {
        let below_all = ["lib", "testing", "testing::compile_fail", "testing::loom_models"];
        if below_all.contains(&source.module.as_str()) || is_hub(&source.module) {
            continue;
        }
        let Some(own) = layer_of(&source.module) else {
            assert!(source.file.ends_with("mod.rs"), "{} is in no layer", source.module);
            continue;
        };
        for path in used(&source) {
            let Some(layer) = layer_of(&path).filter(|_| !is_hub(&path)) else { continue };
            arrows += 1;
            if layer > own {
                let (from, to) = (LAYERS[own].0, LAYERS[layer].0);
                wrong.push(format!("{} ({from}) uses {path} ({to})", source.module));
            }
        }
    }
    assert!(arrows > 200, "only {arrows} uses were found");
    assert!(wrong.is_empty(), "these arrows point up:\n{}", wrong.join("\n"));
}

#[test]
fn a_phase_is_assigned_in_one_file() {
    let files: Vec<PathBuf> = sources()
        .into_iter()
        .filter(|source| source.code.contains("phase = Phase::"))
        .map(|source| source.file)
        .collect();
    assert_eq!(files, [Path::new("runtime/kernel/lifecycle.rs")]);
}

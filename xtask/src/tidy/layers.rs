//! The layers of `riot-actor`, and the one file that assigns the phase of a process.

use std::path::{Path, PathBuf};

use super::{
    imports::{code_of, module_of, used_paths},
    source,
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
            "names::key",
            "names::name",
            "names::server_type",
            "process::notice",
            "process::pid",
            "process::priority",
            "process::reason",
            "time::timer_ref",
            "time::wheel",
        ],
    ),
    ("mailboxes", &["messages::capacity", "messages::mailbox"]),
    (
        "observation",
        &[
            "observe::crash_history",
            "observe::crash_report",
            "observe::repeats",
            "observe::telemetry",
            "observe::trace",
            "observe::watched",
        ],
    ),
    ("the kernel", &["runtime::kernel"]),
    ("drivers", &["runtime::driver", "runtime::parker"]),
    ("the scheduler", &["runtime::scheduler"]),
    ("cooperation", &["runtime::coop"]),
    ("tokio beside the runtime", &["runtime::tokio"]),
    ("time", &["time"]),
    ("names", &["names"]),
    ("sending and receiving", &["messages"]),
    ("processes", &["process"]),
    ("waits of processes", &["observe::wait_graph"]),
    ("alarms", &["observe::alarm", "observe::system_monitor"]),
    ("tables", &["table"]),
    ("typed addresses", &["messages::addr"]),
    ("calls", &["call"]),
    ("generic servers", &["gen_server"]),
    ("what is built on calls and servers", &["state_machine", "task"]),
    ("running a runtime", &["runtime"]),
    ("a log on top of all", &["observe::log"]),
];

/// The hub, through which each part of a runtime reaches the others. It owns all parts, so it may name them.
const HUB: &[&str] = &["runtime::context", "runtime::handle", "runtime::shared"];

fn is_below(module: &str, prefix: &str) -> bool {
    module.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn layer_of(module: &str) -> Option<usize> {
    let matches = LAYERS.iter().enumerate().flat_map(|(layer, (_, prefixes))| {
        prefixes.iter().filter(|prefix| is_below(module, prefix)).map(move |prefix| (prefix.len(), layer))
    });
    matches.max().map(|(_, layer)| layer)
}

fn is_hub(module: &str) -> bool {
    HUB.iter().any(|prefix| is_below(module, prefix))
}

#[test]
fn arrows_between_layers_point_down() {
    let mut wrong = Vec::new();
    let mut arrows = 0;
    for file in source::files("actor/src") {
        let module = module_of(&file.path);
        let below_all = ["", "testing", "testing::compile_fail", "testing::loom_models"];
        if below_all.contains(&module.as_str()) || is_hub(&module) {
            continue;
        }
        let Some(own) = layer_of(&module) else {
            assert!(file.path.ends_with("mod.rs"), "{module} is in no layer");
            continue;
        };
        // Public re-exports say where a user finds something.
        for used in used_paths(&file).into_iter().filter(|used| !used.is_public) {
            let Some(layer) = layer_of(&used.path).filter(|_| !is_hub(&used.path)) else { continue };
            arrows += 1;
            if layer > own {
                let (from, to) = (LAYERS[own].0, LAYERS[layer].0);
                wrong.push(format!("{module} ({from}) uses {} ({to})", used.path));
            }
        }
    }
    assert!(arrows > 200, "only {arrows} uses were found");
    assert!(wrong.is_empty(), "these arrows point up:\n{}", wrong.join("\n"));
}

#[test]
fn a_phase_is_assigned_in_one_file() {
    let assigns = |file: &source::File| code_of(&file.text).contains("phase = Phase::");
    let files: Vec<PathBuf> =
        source::files("actor/src").into_iter().filter(assigns).map(|file| file.path).collect();
    assert_eq!(files, [Path::new("actor/src/runtime/kernel/lifecycle.rs")]);
}

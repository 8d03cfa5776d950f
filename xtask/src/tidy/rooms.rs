//! The rooms of the crates, and the arrows between them: a room uses only the rooms below it.
//!
//! A room is a folder of `src`, or a file beside `lib.rs`. `layers` has a finer check for `riot-actor`.

use std::collections::BTreeMap;

use super::{
    imports::{UsedPath, used_paths},
    source,
};

/// A room, with the rooms that it may use.
type Room = (&'static str, &'static [&'static str]);

/// The rooms of each crate, from the bottom.
const ROOMS: &[(&str, &[Room])] = &[
    (
        "socket",
        &[
            ("io", &[]),
            ("transport", &["io"]),
            ("connection", &["transport"]),
            ("server", &["connection", "transport", "io"]),
            ("os_signals", &["io"]),
        ],
    ),
    ("flow", &[("core", &[]), ("drive", &["core"]), ("driver", &["core"]), ("tests", &["core"])]),
    (
        "http",
        &[
            ("contain", &[]),
            ("wakers", &["contain"]),
            ("error", &[]),
            ("limits", &[]),
            ("timeouts", &[]),
            ("observe", &[]),
            ("message", &["error"]),
            ("config", &["message", "contain", "error", "limits", "timeouts", "observe"]),
            ("h1", &["wakers", "config", "message", "error", "limits", "timeouts", "observe"]),
            ("exchange", &["h1", "config", "message", "contain", "wakers", "error", "observe"]),
            ("server", &["exchange", "h1", "config", "message", "error", "limits", "timeouts", "observe"]),
        ],
    ),
    (
        "http/observer",
        &[
            ("message", &[]),
            ("head", &[]),
            ("health", &["message"]),
            ("metrics", &["message"]),
            // Its tests parse heads.
            ("safety", &["message", "head", "health"]),
            ("page", &["message"]),
            ("history", &[]),
            ("data", &["health", "metrics", "history"]),
            ("api", &["message", "health", "metrics", "safety", "history", "data"]),
            ("console", &["data"]),
            ("core", &["message", "health", "metrics", "safety", "history", "page", "api"]),
            ("mount", &["core"]),
            ("tower", &["core", "head", "message"]),
            ("observer", &["core", "health", "metrics", "mount", "safety", "tower"]),
        ],
    ),
];

/// A use of another room.
#[derive(Debug, PartialEq)]
struct Arrow {
    from: String,
    to: String,
    place: String,
}

#[test]
fn a_room_uses_only_the_rooms_below_it() {
    for (crate_folder, rooms) in ROOMS {
        let arrows = arrows(crate_folder, rooms);
        assert!(arrows.len() > 5, "{crate_folder}: the arrows are found: {arrows:?}");
        let is_allowed = |arrow: &&Arrow| {
            arrow.from == arrow.to
                || rooms.iter().any(|(room, below)| *room == arrow.from && below.contains(&arrow.to.as_str()))
        };
        let forbidden: Vec<&Arrow> = arrows.iter().filter(|arrow| !is_allowed(arrow)).collect();
        assert!(forbidden.is_empty(), "{crate_folder}: arrows that are not allowed: {forbidden:#?}");
    }
}

#[test]
fn the_allowed_arrows_make_no_circle() {
    for (crate_folder, rooms) in ROOMS {
        for (nth, (room, _)) in rooms.iter().enumerate() {
            for (lower, below) in &rooms[..nth] {
                assert!(
                    !below.contains(room),
                    "{crate_folder}: {lower} may use {room}, which stands above it"
                );
            }
        }
    }
}

#[test]
fn the_room_of_a_name_of_the_root_is_found() {
    let exports = exports("pub use io::{A, b::C};\n#[cfg(x)]\npub use server::Server;\npub use http;\n");
    assert_eq!(exports.get("Server").map(String::as_str), Some("server"));
    assert_eq!((exports.get("A"), exports.get("C")), (Some(&"io".to_owned()), Some(&"io".to_owned())));
}

/// Returns the arrows of all files but `lib.rs`, which exports the public items of every room.
fn arrows(crate_folder: &str, rooms: &[Room]) -> Vec<Arrow> {
    let files = source::files(&format!("{crate_folder}/src"));
    let lib = files.iter().find(|file| file.path.ends_with("src/lib.rs")).expect("every crate has a lib.rs");
    let exports = exports(&lib.text);
    let mut arrows = Vec::new();
    for file in files.iter().filter(|file| !file.path.ends_with("src/lib.rs")) {
        let place = file.path.display().to_string();
        let below = file.path.strip_prefix(crate_folder).expect("the files of the crate");
        let room = below.iter().nth(1).and_then(|part| part.to_str()).expect("paths are UTF-8");
        let room = room.trim_end_matches(".rs");
        assert!(rooms.iter().any(|(known, _)| *known == room), "{place} stands in no room");
        for UsedPath { line, path, .. } in used_paths(file) {
            let name = path.split("::").next().unwrap_or_default();
            let to = exports.get(name).cloned().unwrap_or(name.to_owned());
            arrows.push(Arrow { from: room.to_owned(), to, place: format!("{place}:{line}") });
        }
    }
    // Names of the root that are no room: its documentation, and what other crates define.
    arrows.retain(|arrow| rooms.iter().any(|(room, _)| *room == arrow.to));
    arrows
}

/// Returns the room of each name that the root exports.
fn exports(lib: &str) -> BTreeMap<String, String> {
    let mut exports = BTreeMap::new();
    for statement in lib.split("pub use ").skip(1) {
        let statement = statement.split(';').next().unwrap_or_default();
        let statement = statement.trim_start_matches("self::");
        let Some((room, names)) = statement.split_once("::") else { continue };
        for name in names.split(|letter: char| !(letter.is_alphanumeric() || letter == '_')) {
            if !name.is_empty() {
                exports.insert(name.to_owned(), room.to_owned());
            }
        }
    }
    exports
}

//! The rooms of the crates, and the arrows between them: a room uses only the rooms below it.
//!
//! A room is a folder of `src`, or a file beside `lib.rs`. `riot-actor` has a finer check of its own, by
//! layers, in `actor/tests/rooms.rs`.

use std::collections::BTreeMap;

use super::source::{self, File};

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
            ("error", &[]),
            ("limits", &[]),
            ("timeouts", &[]),
            ("message", &["error"]),
            ("config", &["message", "contain", "error", "limits", "timeouts"]),
            ("h1", &["config", "message", "error", "limits", "timeouts"]),
            ("exchange", &["h1", "config", "message", "contain", "error"]),
            ("server", &["exchange", "h1", "config", "message", "error", "limits", "timeouts"]),
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
fn arrows_are_found_in_imports_in_code_and_through_the_root() {
    let text = [
        "use crate::{",
        "    io::{poller, readiness::Direction},",
        "    transport::Address,",
        "};",
        "/// See [`Server`](crate::server::Server).",
        "fn f() { crate::server::start(); } // crate::os_signals",
        "use crate::Server;",
        "#[cfg(test)]",
        "mod tests {",
        "    use crate::connection::Connection;",
        "}",
    ];
    let found: Vec<_> = names_used(&text.join("\n"));
    let expected = [(1, "io"), (1, "transport"), (6, "server"), (7, "Server")];
    assert_eq!(found, expected.map(|(line, name)| (line, name.to_owned())));
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
    for File { path, text } in files.iter().filter(|file| !file.path.ends_with("src/lib.rs")) {
        let place = path.display().to_string();
        let room = path.iter().nth(2).and_then(|part| part.to_str()).expect("paths are UTF-8");
        let room = room.trim_end_matches(".rs");
        assert!(rooms.iter().any(|(known, _)| *known == room), "{place} stands in no room");
        for (line, name) in names_used(text) {
            let to = exports.get(&name).cloned().unwrap_or(name);
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

/// Returns the first names behind `crate::`, with their lines. Comments and unit tests are left out.
fn names_used(text: &str) -> Vec<(usize, String)> {
    let is_tests = |line: &&str| line.starts_with("#[cfg(test)]") || line.starts_with("#[cfg(all(test");
    let code: Vec<&str> = text
        .lines()
        .take_while(|line| !is_tests(line))
        .map(|line| line.split("//").next().unwrap_or(""))
        .collect();
    let code = code.join("\n");
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let line = code[..at].matches('\n').count() + 1;
        let path = &code[at + "crate::".len()..];
        let names = match path.strip_prefix('{') {
            Some(list) => first_names(list),
            None => vec![leading_name(path)],
        };
        found.extend(names.into_iter().map(|name| (line, name)));
    }
    found
}

/// Returns the first names of the items of a braced list, up to its end.
fn first_names(list: &str) -> Vec<String> {
    let (mut names, mut depth, mut starts) = (Vec::new(), 0, true);
    for (at, letter) in list.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => starts = true,
            letter if starts && !letter.is_whitespace() => {
                names.push(leading_name(&list[at..]));
                starts = false;
            }
            _ => {}
        }
    }
    names
}

fn leading_name(path: &str) -> String {
    path.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()
}

//! The rooms of the crate and the arrows between them: a room uses only the rooms below it.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Each room with the rooms that it may use.
const ALLOWED: &[(&str, &[&str])] = &[
    ("io", &[]),
    ("transport", &["io"]),
    ("connection", &["transport"]),
    ("server", &["connection", "transport", "io"]),
    ("os_signals", &["io"]),
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
    let arrows = arrows(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(arrows.len() > 20, "the arrows are found: {arrows:?}");
    let forbidden: Vec<&Arrow> = arrows.iter().filter(|arrow| !is_allowed(arrow)).collect();
    assert!(forbidden.is_empty(), "arrows that are not allowed: {forbidden:#?}");
}

#[test]
fn the_allowed_arrows_make_no_circle() {
    for (nth, (room, _)) in ALLOWED.iter().enumerate() {
        for (lower, below) in &ALLOWED[..nth] {
            assert!(!below.contains(room), "{lower} may use {room}, which stands above it");
        }
    }
}

#[test]
fn arrows_are_found_in_imports_and_in_code() {
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
    let found = rooms_used(&text.join("\n"));
    assert_eq!(
        found,
        [(1, "io".into()), (1, "transport".into()), (6, "server".into()), (7, "Server".into())]
    );
}

fn is_allowed(arrow: &Arrow) -> bool {
    arrow.from == arrow.to
        || ALLOWED.iter().any(|(room, below)| *room == arrow.from && below.contains(&arrow.to.as_str()))
}

/// Returns the arrows of all files but `lib.rs`, which exports the public items of every room.
fn arrows(src: &Path) -> Vec<Arrow> {
    let mut files = Vec::new();
    collect(src, &mut files);
    let mut arrows = Vec::new();
    for file in files {
        let path = file.strip_prefix(src).expect("the file is in src").to_string_lossy().replace('\\', "/");
        if path == "lib.rs" {
            continue;
        }
        let room = path.split('/').next().expect("a path has parts").trim_end_matches(".rs").to_owned();
        assert!(ALLOWED.iter().any(|(known, _)| *known == room), "{path} stands in no room");
        let text = fs::read_to_string(&file).expect("the file can be read");
        for (line, to) in rooms_used(&text) {
            arrows.push(Arrow { from: room.clone(), to, place: format!("{path}:{line}") });
        }
    }
    arrows
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for item in fs::read_dir(folder).expect("the folder can be read") {
        let path = item.expect("the folder can be read").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Returns the first names behind `crate::`, with their lines. Comments and unit tests are left out.
fn rooms_used(text: &str) -> Vec<(usize, String)> {
    let lines = text.lines().take_while(|line| !line.starts_with("#[cfg(test)]") && !is_test_module(line));
    let code: Vec<&str> = lines.map(|line| line.split("//").next().unwrap_or_default()).collect();
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

fn is_test_module(line: &str) -> bool {
    line.starts_with("#[cfg(all(test")
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

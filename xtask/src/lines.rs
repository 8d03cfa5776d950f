//! Lines of code per crate and room: `cargo xtask lines`. A room is a folder of a crate's `src`.

use std::collections::BTreeMap;

use crate::{
    bench::Table,
    tidy::source::{self, File},
    workspace::members,
};

/// Numbers of lines, of one file or of many.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Lines {
    files: usize,
    /// Lines that are neither blank, nor a comment, nor below `mod tests {`.
    code: usize,
    comments: usize,
    /// All lines of `mod tests`.
    tests: usize,
}

impl Lines {
    fn of(text: &str) -> Self {
        let mut lines = Self { files: 1, ..Self::default() };
        let mut is_test = false;
        for line in text.lines() {
            is_test |= source::begins_tests(line);
            let trimmed = line.trim_start();
            if is_test {
                lines.tests += 1;
            } else if trimmed.starts_with("//") {
                lines.comments += 1;
            } else if !trimmed.is_empty() {
                lines.code += 1;
            }
        }
        lines
    }

    fn add(&mut self, other: Self) {
        self.files += other.files;
        self.code += other.code;
        self.comments += other.comments;
        self.tests += other.tests;
    }

    fn cells(self) -> [String; 4] {
        [self.files, self.code, self.comments, self.tests].map(|count| count.to_string())
    }
}

/// Prints a row for each crate and each of its rooms.
pub(crate) fn main() -> Result<(), String> {
    let mut table = Table::new(["", "files", "code", "comments", "unit tests"]);
    for member in members() {
        let rooms = rooms(&member);
        table.row(std::iter::once(member).chain(total(&rooms).cells()));
        for (room, lines) in &rooms {
            table.row(std::iter::once(format!("  {room}")).chain(lines.cells()));
        }
    }
    print!("{table}");
    Ok(())
}

/// Returns the lines of code of each crate, in one line of text.
pub(crate) fn summary() -> Result<String, String> {
    let count = |member: String| format!("{member} {}", total(&rooms(&member)).code);
    Ok(format!("lines of code: {}", members().into_iter().map(count).collect::<Vec<_>>().join(", ")))
}

fn total(rooms: &BTreeMap<String, Lines>) -> Lines {
    let mut total = Lines::default();
    for lines in rooms.values() {
        total.add(*lines);
    }
    total
}

/// Returns the rooms of a crate with their lines, `.` for files beside `lib.rs`. A crate without `src` is one
/// room.
fn rooms(member: &str) -> BTreeMap<String, Lines> {
    let mut rooms: BTreeMap<String, Lines> = BTreeMap::new();
    let src = format!("{member}/src");
    let mut files = source::files(&src);
    if files.is_empty() {
        files = source::files(member);
    }
    for file in files {
        rooms.entry(room(&file, &src)).or_default().add(Lines::of(&file.text));
    }
    rooms
}

fn room(file: &File, src: &str) -> String {
    let inside = file.path.strip_prefix(src).ok();
    let folder = inside.and_then(|path| path.parent()).map(|folder| folder.display().to_string());
    folder.filter(|folder| !folder.is_empty()).unwrap_or_else(|| ".".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_code_comments_and_tests() {
        let text = "//! A module.\n\nuse std::fs; // a\n\n#[cfg(test)]\nmod tests {\n    // b\n}\n";
        assert_eq!(Lines::of(text), Lines { files: 1, code: 2, comments: 1, tests: 3 });
    }

    #[test]
    fn a_folder_is_a_room() {
        let file = |path: &str| File { path: path.into(), text: String::new() };
        assert_eq!(room(&file("actor/src/timer/wheel.rs"), "actor/src"), "timer");
        assert_eq!(room(&file("actor/src/lib.rs"), "actor/src"), ".");
        assert_eq!(room(&file("examples/echo.rs"), "examples/src"), ".");
        assert!(rooms("actor").len() > 3);
    }
}

//! The sources that the checks read.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::workspace::root;

/// A Rust source file.
pub(crate) struct File {
    /// Relative to the workspace.
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

/// Returns every `.rs` file below a folder of the workspace, in the order of their paths, without what cargo
/// built.
pub(crate) fn files(folder: &str) -> Vec<File> {
    let mut files = Vec::new();
    collect(&root().join(folder), &mut files);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

fn collect(folder: &Path, files: &mut Vec<File>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            if entry.file_name() != "target" {
                collect(&path, files);
            }
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = fs::read_to_string(&path).expect("sources are readable UTF-8");
            files.push(File { path: path.strip_prefix(root()).unwrap_or(&path).to_owned(), text });
        }
    }
}

/// Returns whether a file's unit tests begin with this line; they are the last part of a file.
pub(crate) fn begins_tests(line: &str) -> bool {
    line == "mod tests {"
}

/// A run of `///` or `//!` lines.
pub(crate) struct DocBlock<'a> {
    /// The number of the first line, from 1.
    pub(crate) line: usize,
    /// Without their markers.
    pub(crate) lines: Vec<&'a str>,
}

/// Returns the doc comments of a file.
pub(crate) fn doc_blocks(text: &str) -> Vec<DocBlock<'_>> {
    let mut blocks: Vec<DocBlock<'_>> = Vec::new();
    let mut open: Option<&str> = None;
    for (nth, line) in text.lines().enumerate() {
        let doc = doc_line(line);
        match (doc, open) {
            (Some((marker, content)), Some(before)) if marker == before => {
                blocks.last_mut().expect("a block is open").lines.push(content);
            }
            (Some((_, content)), _) => blocks.push(DocBlock { line: nth + 1, lines: vec![content] }),
            (None, _) => {}
        }
        open = doc.map(|(marker, _)| marker);
    }
    blocks
}

fn doc_line(line: &str) -> Option<(&'static str, &str)> {
    let line = line.trim_start();
    ["///", "//!"].into_iter().find_map(|marker| {
        let content = line.strip_prefix(marker)?;
        // Four slashes are an ordinary comment.
        (!content.starts_with('/')).then(|| (marker, content.strip_prefix(' ').unwrap_or(content)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doc_blocks_are_runs_of_one_marker() {
        let text =
            "//! a\n//! b\n\n/// c\nfn f() {}\n    /// d\n    ///\n    x: u8, // no\n//// no\n//! e\n/// f\n";
        let blocks: Vec<_> = doc_blocks(text).into_iter().map(|block| (block.line, block.lines)).collect();
        assert_eq!(
            blocks,
            [(1, vec!["a", "b"]), (4, vec!["c"]), (6, vec!["d", ""]), (10, vec!["e"]), (11, vec!["f"])]
        );
    }

    #[test]
    fn files_are_found_below_a_folder() {
        let files = files("xtask/src");
        assert!(files.iter().any(|file| file.path == Path::new("xtask/src/tidy/source.rs")));
        assert!(files.is_sorted_by(|a, b| a.path < b.path));
    }
}

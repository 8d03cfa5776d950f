//! The language of comments: how doc blocks begin, the width of lines, and words for people.

use super::{
    Finding,
    source::{self, DocBlock},
};

/// Beginnings that have no subject of their own. rustdoc shows an item alone, without what stood before it.
const BEGINNINGS: &[&str] = &[
    "It", "Its", "The same", "As", "What", "Whoever", "So many", "One of", "Likewise", "Who", "Nobody",
    "Somebody", "None",
];

/// Words for people, that stand for callers, processes or code all too easily.
const PEOPLE: &[&str] = &["who", "whoever", "nobody", "somebody", "anybody"];

/// The columns of a line, as in `.rustfmt.toml`.
pub(crate) const MAX_COLUMNS: usize = 110;

/// Finds doc blocks whose first sentence has no subject.
pub(super) fn beginnings(text: &str) -> Vec<Finding> {
    let blocks = source::doc_blocks(text).into_iter();
    let found = blocks.filter_map(|block| {
        let first = block.lines[0].trim_start();
        let phrase = BEGINNINGS.iter().find(|phrase| begins_with(first, phrase))?;
        Some(Finding { line: block.line, what: format!("a doc comment begins with \"{phrase}\": {first}") })
    });
    found.collect()
}

/// Returns whether `text` begins with `phrase`, as whole words.
fn begins_with(text: &str, phrase: &str) -> bool {
    text.strip_prefix(phrase)
        .is_some_and(|rest| !rest.starts_with(|next: char| next.is_alphanumeric() || next == '_'))
}

/// Finds lines that are too long. Rows of tables in doc comments cannot be broken.
pub(super) fn long_lines(text: &str) -> Vec<Finding> {
    let lines = text.lines().enumerate().map(|(nth, line)| (nth + 1, line, line.chars().count()));
    let is_row = |line: &str| {
        let line = line.trim_start();
        line.starts_with("/// |") || line.starts_with("//! |")
    };
    let too_long = lines.filter(|(_, line, columns)| *columns > MAX_COLUMNS && !is_row(line));
    too_long.map(|(line, _, columns)| Finding { line, what: format!("{columns} columns") }).collect()
}

/// Finds words for people in doc comments, and counts all words there. Code in doc comments is left out.
pub(super) fn people(text: &str) -> (Vec<Finding>, usize) {
    let (mut found, mut count) = (Vec::new(), 0);
    for block in source::doc_blocks(text) {
        for (line, content) in prose(&block) {
            for word in words(content) {
                count += 1;
                if PEOPLE.contains(&word.to_lowercase().as_str()) {
                    found.push(Finding { line, what: format!("\"{word}\" in: {content}") });
                }
            }
        }
    }
    (found, count)
}

/// The lines of a block that are outside of fenced code, with their numbers.
fn prose<'a>(block: &'a DocBlock<'_>) -> impl Iterator<Item = (usize, &'a str)> {
    let mut is_code = false;
    block.lines.iter().enumerate().filter_map(move |(nth, line)| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        (!is_code && !is_fence).then_some((block.line + nth, *line))
    })
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_alphanumeric() && letter != '\'' && letter != '_')
        .filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(findings: &[Finding]) -> Vec<usize> {
        findings.iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn a_doc_block_begins_with_a_subject() {
        let text = [
            "//! It runs.",
            "//! It stops.",
            "",
            "/// Its name.",
            "/// Returns it.",
            "fn f() {}",
            "    /// Items, one of each.",
            "    x: u8,",
            "    /// One of two.",
            "    y: u8,",
            "// What: an ordinary comment.",
            "/// None.",
            "",
            "/// So many of them.",
            "",
            "/// So it is.",
        ];
        assert_eq!(lines(&beginnings(&text.join("\n"))), [1, 4, 9, 12, 14]);
    }

    #[test]
    fn phrases_are_whole_words() {
        assert!(begins_with("As far as", "As") && begins_with("None", "None") && begins_with("It's", "It"));
        assert!(!begins_with("Asks for", "As") && !begins_with("Items", "It") && !begins_with("it", "It"));
    }

    #[test]
    fn lines_are_no_longer_than_the_formatter_makes_them() {
        let long = "x".repeat(MAX_COLUMNS + 1);
        let text = format!("{}\n{long}\n    /// | {long}\n/// {long}\n", &long[1..]);
        assert_eq!(lines(&long_lines(&text)), [2, 4]);
        assert!(long_lines(&"é".repeat(MAX_COLUMNS)).is_empty());
    }

    #[test]
    fn words_for_people_are_counted_in_prose_only() {
        let text = [
            "/// Nobody waits, whoever it is; anybody's.",
            "/// ```",
            "/// let who = somebody();",
            "/// ```",
            "/// Who?",
            "// who",
        ];
        let (found, words) = people(&text.join("\n"));
        assert_eq!(lines(&found), [1, 1, 5]);
        assert_eq!(words, 7);
    }
}

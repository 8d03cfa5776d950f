//! Text of users, made fit for a line of a log or a page.

use std::{fmt::Write as _, iter};

use super::panic::catch;

/// Bytes of one text that a line shows at most.
pub(crate) const MAX_TEXT_BYTES: usize = 8 * 1024;

/// Returns a value as text for one line: control characters are escaped, and more than 8 KiB are cut off,
/// with a note of how many bytes the whole has. A value that panics while it is printed gives a note, too.
///
/// Line separators and characters that change the direction of text count as control characters.
///
/// ```
/// use riot_actor::log::printable;
///
/// assert_eq!(printable("red\n\x1b[31mfish"), r"red\n\u{1b}[31mfish");
/// assert!(printable("x".repeat(10_000)).ends_with("x… (10000 bytes)"));
/// ```
#[must_use]
pub fn printable(value: impl std::fmt::Display) -> String {
    match catch(|| bounded(value)) {
        Ok(text) => escape(text),
        Err(panic) => escape(format!("(printing the value panicked: {})", cut(panic.to_string(), 256))),
    }
}

/// Returns a value as text of 8 KiB at most, and the number of its bytes if there are more.
fn bounded(value: impl std::fmt::Display) -> String {
    let mut text = Bounded::new(MAX_TEXT_BYTES);
    let _ = write!(text, "{value}");
    text.finish()
}

/// A writer that keeps the beginning of what is written, and counts the rest.
pub(crate) struct Bounded {
    text: String,
    bytes: usize,
    max: usize,
}

impl std::fmt::Write for Bounded {
    fn write_str(&mut self, piece: &str) -> std::fmt::Result {
        self.bytes += piece.len();
        let room = self.max - self.text.len();
        self.text.push_str(&piece[..piece.floor_char_boundary(room)]);
        Ok(())
    }
}

impl Bounded {
    /// Keeps this many bytes at most.
    pub(crate) fn new(max: usize) -> Self {
        Self { text: String::new(), bytes: 0, max }
    }

    pub(crate) fn finish(self) -> String {
        let Self { mut text, bytes, .. } = self;
        if bytes > text.len() {
            let _ = write!(text, "… ({bytes} bytes)");
        }
        text
    }
}

/// Cuts a text to `max` bytes, with a note of how many it had.
pub(crate) fn cut(mut text: String, max: usize) -> String {
    if text.len() > max {
        let bytes = text.len();
        text.truncate(text.floor_char_boundary(max));
        let _ = write!(text, "… ({bytes} bytes)");
    }
    text
}

/// Escapes control characters.
pub(crate) fn escape(text: String) -> String {
    if !text.contains(is_control) {
        return text;
    }
    let escaped = |letter: char| {
        let (plain, escaped) = match is_control(letter) {
            true => (None, Some(letter.escape_default())),
            false => (Some(letter), None),
        };
        plain.into_iter().chain(escaped.into_iter().flatten())
    };
    text.chars().flat_map(escaped).collect()
}

fn is_control(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Returns an error with its causes, joined by `: `: 16 levels at most, of 8 KiB at most each. A cause whose
/// text the level above contains is left out.
pub(crate) fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    const MAX_LEVELS: usize = 16;
    let levels = iter::successors(Some(error), |error| error.source()).take(MAX_LEVELS);
    let mut text = String::new();
    let mut above = String::new();
    for level in levels {
        let own = bounded(level);
        if text.is_empty() {
            text.clone_from(&own);
        } else if !above.contains(&own) {
            let _ = write!(text, ": {own}");
        }
        above = own;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_any_bytes_is_one_line_of_bounded_length() {
        let all: String = (0..0x3000).filter_map(char::from_u32).collect();
        let line = printable(&all);
        assert!(!line.contains(is_control) && !line.contains('\u{2028}'));
        assert!(printable("ü".repeat(MAX_TEXT_BYTES)).len() < MAX_TEXT_BYTES + 32);
        assert_eq!(cut("äöü".into(), 3), "ä… (6 bytes)");
        assert_eq!(printable("plain"), "plain");
    }
}

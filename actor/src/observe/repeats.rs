//! Lines of the log that repeat: the first ones are printed, the others counted.
//!
//! Lines are equal if they have the same target, the same parent and the same text, where all digits count
//! as equal: texts of one fault differ in pids, ports and times. Only lines are left out. Events, crash hooks
//! and counters see everything.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Mutex,
    time::{Duration, Instant},
};

use tracing::Level;

use crate::{
    guard::{log::LogLevel, text::cut},
    log_event_at,
    process::pid::Pid,
    sync::lock::lock,
};

/// Equal lines that are printed in a row.
const MAX_PRINTED: u64 = 5;

/// The time in which lines are counted.
const WINDOW: Duration = Duration::from_secs(10);

/// Kinds of lines that are known at once. One more has the oldest forgotten.
const MAX_KINDS: usize = 256;

/// Bytes of a text that are kept for the line with the count.
const MAX_SAMPLE_BYTES: usize = 256;

/// Whether a line is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Print,
    /// The line was counted, and the count is printed later.
    Counted,
}

/// The lines of a runtime that may repeat.
#[derive(Default)]
pub(crate) struct Repeats(Mutex<HashMap<u64, Row>>);

/// Equal lines in a row.
struct Row {
    began: Instant,
    /// Lines in this window.
    lines: u64,
    /// The row has repeated in the window before, so none of this one is printed.
    is_muted: bool,
    kind: Kind,
}

/// The properties that equal lines share, for the line with their count.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Kind {
    target: &'static str,
    level: Level,
    parent: Option<Pid>,
    sample: String,
}

/// A count that is due.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Repeated {
    kind: Kind,
    times: u64,
    in_time: Duration,
}

impl Row {
    fn repeated(&self) -> u64 {
        if self.is_muted { self.lines } else { self.lines.saturating_sub(MAX_PRINTED) }
    }

    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.began) >= WINDOW
    }

    /// Ends the window. Returns what is to be printed of it, if the row has repeated.
    fn conclude(&self, now: Instant) -> Option<Repeated> {
        let in_time = now.saturating_duration_since(self.began).min(WINDOW);
        let times = self.repeated();
        (times > 0).then(|| Repeated { kind: self.kind.clone(), times, in_time })
    }
}

/// Returns a number for equal lines.
fn key_of(target: &str, parent: Option<Pid>, text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (target, parent.map(|pid| (pid.index(), pid.generation()))).hash(&mut hasher);
    let mut was_digit = false;
    for byte in text.bytes() {
        let is_digit = byte.is_ascii_digit();
        if !is_digit {
            hasher.write_u8(byte);
        } else if !was_digit {
            hasher.write_u8(b'0');
        }
        was_digit = is_digit;
    }
    hasher.finish()
}

impl Repeats {
    /// Counts a line at `now`. Returns whether it is printed, and a count that is printed before it.
    pub(crate) fn admit(
        &self,
        now: Instant,
        target: &'static str,
        level: Level,
        parent: Option<Pid>,
        text: &str,
    ) -> (Verdict, Option<Repeated>) {
        let key = key_of(target, parent, text);
        let mut rows = lock(&self.0);
        let mut due = None;
        if let Some(row) = rows.get_mut(&key) {
            if row.is_over(now) {
                due = row.conclude(now);
                (row.began, row.lines, row.is_muted) = (now, 0, due.is_some());
            }
            row.lines += 1;
            let is_printed = !row.is_muted && row.lines <= MAX_PRINTED;
            return (if is_printed { Verdict::Print } else { Verdict::Counted }, due);
        }
        if rows.len() >= MAX_KINDS
            && let Some(oldest) = rows.iter().min_by_key(|(_, row)| row.began).map(|(key, _)| *key)
        {
            due = rows.remove(&oldest).and_then(|row| row.conclude(now));
        }
        let kind = Kind { target, level, parent, sample: cut(text.to_owned(), MAX_SAMPLE_BYTES) };
        rows.insert(key, Row { began: now, lines: 1, is_muted: false, kind });
        (Verdict::Print, due)
    }

    /// Returns the counts of windows that are over, or of all.
    pub(crate) fn take_due(&self, now: Instant, all: bool) -> Vec<Repeated> {
        let mut due = Vec::new();
        lock(&self.0).retain(|_, row| {
            if !all && !row.is_over(now) {
                return true;
            }
            let repeated = row.conclude(now);
            (row.began, row.lines, row.is_muted) = (now, 0, repeated.is_some());
            let goes_on = repeated.is_some() && !all;
            due.extend(repeated);
            goes_on
        });
        due.sort_by_key(|repeated| (repeated.kind.target, repeated.kind.parent));
        due
    }

    /// Returns whether a count may become due.
    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.0).is_empty()
    }
}

impl Repeated {
    /// Prints the count.
    pub(crate) fn print(self) {
        let Self { kind: Kind { target, level, parent, sample }, times, in_time } = self;
        let parent = parent.map(tracing::field::display);
        let seconds = in_time.as_secs().max(1);
        let times = times_text(times);
        // The target of an event is fixed at its place in the program.
        macro_rules! print_as {
            ($target:literal) => {
                log_event_at!(
                    LogLevel::of(level),
                    $target,
                    parent,
                    "repeated {times} in {seconds} s: {sample}"
                )
            };
        }
        match target {
            "riot::supervisor" => print_as!("riot::supervisor"),
            "riot::socket" => print_as!("riot::socket"),
            _ => print_as!("riot::crash"),
        }
    }
}

/// Returns how often something has happened, in words fit for a line of the log.
fn times_text(times: u64) -> String {
    if times == 1 { "once".into() } else { format!("{} times", grouped(times)) }
}

/// Returns a number in groups of three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(repeats: &Repeats, now: Instant, text: &str) -> (Verdict, Option<u64>) {
        let (verdict, due) = repeats.admit(now, "riot::crash", Level::ERROR, None, text);
        (verdict, due.map(|due| due.times))
    }

    #[test]
    fn five_are_printed_and_the_others_counted_every_ten_seconds() {
        let (repeats, start) = (Repeats::default(), Instant::now());
        for nth in 0..1_209_u64 {
            let text = format!("no route to 10.0.0.{nth}");
            let expected = if nth < 5 { Verdict::Print } else { Verdict::Counted };
            assert_eq!(admit(&repeats, start + Duration::from_millis(nth), &text), (expected, None));
        }
        assert_eq!(admit(&repeats, start, "no route to host"), (Verdict::Print, None), "another text");
        assert!(repeats.take_due(start + WINDOW / 2, false).is_empty());
        let due = repeats.take_due(start + WINDOW, false);
        assert_eq!(due.iter().map(|due| due.times).collect::<Vec<_>>(), [1_204]);
        // It goes on: nothing is printed but the count.
        assert_eq!(admit(&repeats, start + WINDOW, "no route to 1.2.3.4"), (Verdict::Counted, None));
        assert_eq!(admit(&repeats, start + 2 * WINDOW, "no route to 1.2.3.4"), (Verdict::Counted, Some(1)));
        assert_eq!(repeats.take_due(start + 3 * WINDOW, false).len(), 1);
        // A window without any ends the row.
        assert!(repeats.take_due(start + 4 * WINDOW, false).is_empty());
        assert!(repeats.is_empty());
        assert_eq!(admit(&repeats, start + 5 * WINDOW, "no route to 1.2.3.4"), (Verdict::Print, None));
    }

    #[test]
    fn a_count_reads_as_a_sentence() {
        assert_eq!([1, 2, 1_204].map(times_text), ["once", "2 times", "1 204 times"]);
    }

    #[test]
    fn the_number_of_kinds_is_bounded_and_no_count_is_lost() {
        let (repeats, start) = (Repeats::default(), Instant::now());
        for _ in 0..10 {
            admit(&repeats, start, "first");
        }
        let mut counted = 0;
        for nth in 0..1_000_u32 {
            let name: String = nth.to_string().bytes().map(|digit| char::from(digit + 49)).collect();
            let (verdict, due) = admit(&repeats, start + Duration::from_millis(1), &name);
            assert_eq!(verdict, Verdict::Print);
            counted += due.unwrap_or(0);
        }
        assert_eq!((counted, lock(&repeats.0).len()), (5, MAX_KINDS));
    }

    #[test]
    fn targets_and_parents_are_told_apart() {
        let runtime = std::num::NonZeroU32::MIN;
        let parent = |index| Some(Pid::new(runtime, 0, index));
        assert_eq!(key_of("a", parent(1), "x 17 y"), key_of("a", parent(1), "x 4 y"));
        assert_ne!(key_of("a", parent(1), "x"), key_of("a", parent(2), "x"));
        assert_ne!(key_of("a", None, "x"), key_of("b", None, "x"));
        assert_ne!(key_of("a", None, "x1y"), key_of("a", None, "xy"));
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([0, 999, 1_204, 1_000_000].map(grouped), ["0", "999", "1 204", "1 000 000"]);
    }
}

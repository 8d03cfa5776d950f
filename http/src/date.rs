//! The `Date` line (RFC 9110 §6.6.1), written out once a second.

use std::{
    cell::RefCell,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// `Date: Sun, 06 Nov 1994 08:49:37 GMT` and CR LF.
const LINE_BYTES: usize = 37;

struct Line {
    second: u64,
    bytes: [u8; LINE_BYTES],
}

thread_local! {
    static LINE: RefCell<Line> = const { RefCell::new(Line { second: u64::MAX, bytes: [0; LINE_BYTES] }) };
}

/// Calls `write` with the line for this time.
pub(crate) fn with_line<R>(time: SystemTime, write: impl FnOnce(&[u8]) -> R) -> R {
    let second = second(time);
    LINE.with_borrow_mut(|line| {
        if line.second != second {
            line.second = second;
            line.bytes = format(second);
        }
        write(&line.bytes)
    })
}

/// The second that a line would say.
pub(crate) fn second(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn format(second: u64) -> [u8; LINE_BYTES] {
    // The last second a four-digit year can say; httpdate panics beyond.
    let second = second.min(253_402_300_799);
    let text = format!("Date: {}\r\n", httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(second)));
    text.as_bytes().try_into().expect("an IMF-fixdate has a fixed length")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_changes_with_the_second() {
        let at = |second| UNIX_EPOCH + Duration::from_secs_f64(second);
        let line = |time| with_line(time, |line| String::from_utf8(line.to_vec()).unwrap());
        assert_eq!(line(at(784_111_777.0)), "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
        assert_eq!(line(at(784_111_777.9)), "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
        assert_eq!(line(at(784_111_778.0)), "Date: Sun, 06 Nov 1994 08:49:38 GMT\r\n");
    }

    #[test]
    fn no_time_is_too_early_or_too_late() {
        with_line(UNIX_EPOCH - Duration::from_secs(5), |line| {
            assert!(line.starts_with(b"Date: Thu, 01 Jan 1970"))
        });
        with_line(UNIX_EPOCH + Duration::from_secs(1 << 40), |line| assert!(line.ends_with(b"GMT\r\n")));
    }
}

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

/// Calls `write` with the line for this second.
pub(crate) fn with_line<R>(second: u64, write: impl FnOnce(&[u8]) -> R) -> R {
    LINE.with_borrow_mut(|line| {
        if line.second != second {
            line.second = second;
            line.bytes = format(second);
        }
        write(&line.bytes)
    })
}

/// The second that it is. A clock that is some milliseconds late will do, and costs a fifth.
#[cfg(target_os = "linux")]
pub(crate) fn this_second() -> u64 {
    use rustix::time::{ClockId, clock_gettime};
    clock_gettime(ClockId::RealtimeCoarse).tv_sec.try_into().unwrap_or(0)
}

/// The second that it is.
#[cfg(not(target_os = "linux"))]
pub(crate) fn this_second() -> u64 {
    second(SystemTime::now())
}

/// The second of a time, counted from 1970.
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
        let line = |time| with_line(second(time), |line| String::from_utf8(line.to_vec()).unwrap());
        assert_eq!(line(at(784_111_777.0)), "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
        assert_eq!(line(at(784_111_777.9)), "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
        assert_eq!(line(at(784_111_778.0)), "Date: Sun, 06 Nov 1994 08:49:38 GMT\r\n");
    }

    #[test]
    fn the_clock_that_is_late_is_the_clock() {
        let before = second(SystemTime::now());
        let coarse = this_second();
        assert!((before.saturating_sub(1)..=second(SystemTime::now())).contains(&coarse));
    }

    #[test]
    fn no_time_is_too_early_or_too_late() {
        with_line(second(UNIX_EPOCH - Duration::from_secs(5)), |line| {
            assert!(line.starts_with(b"Date: Thu, 01 Jan 1970"))
        });
        with_line(second(UNIX_EPOCH + Duration::from_secs(1 << 40)), |line| {
            assert!(line.ends_with(b"GMT\r\n"))
        });
    }
}

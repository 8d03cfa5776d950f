//! The `Date` line (RFC 9110 §6.6.1), formatted once a second.

use std::time::{Duration, UNIX_EPOCH};

use super::WorkerCache;

/// The length of `Date: Sun, 06 Nov 1994 08:49:37 GMT` and CR LF.
const LINE_BYTES: usize = 37;

pub(super) struct DateLine {
    unix_secs: u64,
    bytes: [u8; LINE_BYTES],
}

impl DateLine {
    pub(super) const EMPTY: Self = Self { unix_secs: u64::MAX, bytes: [0; LINE_BYTES] };
}

/// Calls `write` with the line for this second.
pub(crate) fn with_line<R>(unix_secs: u64, write: impl FnOnce(&[u8]) -> R) -> R {
    WorkerCache::with(|cache| {
        let line = &mut *cache.date.borrow_mut();
        if line.unix_secs != unix_secs {
            *line = DateLine { unix_secs, bytes: format(unix_secs) };
        }
        write(&line.bytes)
    })
}

fn format(second: u64) -> [u8; LINE_BYTES] {
    // The last second of a four-digit year; httpdate panics beyond it.
    let second = second.min(253_402_300_799);
    let text = format!("Date: {}\r\n", httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(second)));
    text.as_bytes().try_into().expect("an IMF-fixdate has a fixed length")
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::config::{coarse_unix_secs, unix_secs};

    #[test]
    fn the_line_changes_with_the_second() {
        let at = |second| UNIX_EPOCH + Duration::from_secs_f64(second);
        let line = |time| with_line(unix_secs(time), |line| String::from_utf8(line.to_vec()).unwrap());
        assert_eq!(line(at(784_111_777.0)), "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
        assert_eq!(line(at(784_111_777.9)), "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
        assert_eq!(line(at(784_111_778.0)), "Date: Sun, 06 Nov 1994 08:49:38 GMT\r\n");
    }

    #[test]
    fn the_clock_that_is_late_is_the_clock() {
        let before = unix_secs(SystemTime::now());
        let coarse = coarse_unix_secs();
        assert!((before.saturating_sub(1)..=unix_secs(SystemTime::now())).contains(&coarse));
    }

    #[test]
    fn no_time_is_too_early_or_too_late() {
        with_line(unix_secs(UNIX_EPOCH - Duration::from_secs(5)), |line| {
            assert!(line.starts_with(b"Date: Thu, 01 Jan 1970"))
        });
        with_line(unix_secs(UNIX_EPOCH + Duration::from_secs(1 << 40)), |line| {
            assert!(line.ends_with(b"GMT\r\n"))
        });
    }
}

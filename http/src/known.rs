//! A head that is, byte for byte, one that this worker has read before is not read again.
//!
//! What a head says follows from its bytes and the bounds alone. Probes, collectors and clients that poll send the same
//! ones again and again, a pipeline often has nothing else; for them reading is one comparison. Others pay for a
//! comparison that ends at the first byte that differs.

use std::{
    cell::{Cell, RefCell},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use crate::{Head, HttpConfig, head::Parts, parse::quick_head};

/// Longer heads are not remembered.
const BYTES_MAX: usize = 1024;

/// After so many others in a row a head is forgotten for the next: often enough to find one that comes again, seldom
/// enough to cost nothing where none does.
const MISSES_MAX: u8 = 64;

/// Fields whose values are nobody else's business: a head with one of them is never kept.
const SECRETS: [&[u8]; 3] = [b"authorization:", b"cookie:", b"proxy-authorization:"];

thread_local! {
    static KNOWN: RefCell<Option<Known>> = const { RefCell::new(None) };
    /// Heads in a row that were others.
    static MISSES: Cell<u8> = const { Cell::new(MISSES_MAX) };
}

/// What the next one that is remembered is known by, in all threads: a head may be gone in another thread than the one
/// that read it.
static NUMBERS: AtomicU64 = AtomicU64::new(1);

struct Known {
    head: Parts,
    /// Some that requests had, and that are as they were.
    #[expect(clippy::vec_box, reason = "they go in and out as they are, and do not move")]
    copies: Vec<Box<Parts>>,
    /// If these are the limits.
    limits_number: u64,
}

impl Known {
    #[inline(never)]
    fn copy(&self) -> Box<Parts> {
        Box::new(self.head.clone())
    }
}

/// So many are kept at most: a whole pipeline.
const COPIES_MAX: usize = 16;

/// The head at the front of the input, if it is the one that is known.
#[inline]
pub(crate) fn head(input: &[u8], config: &HttpConfig) -> Option<Head> {
    KNOWN.with_borrow_mut(|known| {
        let known = known.as_mut().filter(|known| known.limits_number == config.limits_number)?;
        if !input.starts_with(known.head.bytes()) {
            return None;
        }
        MISSES.set(0);
        let copy = known.copies.pop().unwrap_or_else(|| known.copy());
        Some(Head::whole(copy))
    })
}

/// Keeps a head that is not needed any more, if it is the one that is known; else it comes back.
pub(crate) fn take_back(head: Box<Parts>) -> Option<Box<Parts>> {
    let mut head = Some(head);
    // Nothing is known where the thread is about to end.
    let _ = KNOWN.try_with(|known| {
        if let Some(known) = &mut *known.borrow_mut()
            && known.copies.len() < COPIES_MAX
            && head.as_ref().is_some_and(|head| head.number() == known.head.number())
        {
            known.copies.extend(head.take());
        }
    });
    head
}

/// As [`quick_head`], of one that is not.
pub(crate) fn other_head(input: &[u8], config: &HttpConfig) -> Option<Head> {
    let misses = MISSES.get();
    if misses < MISSES_MAX {
        MISSES.set(misses + 1);
        return quick_head(input, &config.limits);
    }
    read_and_remember(input, config)
}

#[inline(never)]
fn read_and_remember(input: &[u8], config: &HttpConfig) -> Option<Head> {
    let head = quick_head(input, &config.limits)?;
    let bytes = head.bytes();
    if bytes.len() <= BYTES_MAX && !bytes.split(|&byte| byte == b'\n').any(is_secret) {
        MISSES.set(0);
        let number = NUMBERS.fetch_add(1, Relaxed);
        let known = head.parts().numbered(number);
        let limits_number = config.limits_number;
        KNOWN.set(Some(Known { head: known, copies: Vec::new(), limits_number }));
    }
    Some(head)
}

fn is_secret(line: &[u8]) -> bool {
    SECRETS.iter().any(|name| line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;

    /// What a head says, and that it says the same when it is read anew.
    fn path(input: &str, config: &HttpConfig) -> Option<String> {
        let input = input.as_bytes();
        let found = head(input, config).or_else(|| other_head(input, config));
        let anew = quick_head(input, &config.limits);
        let said = |found: &Option<Head>| {
            found.as_ref().map(|head| (head.framing(), head.bytes().to_vec(), format!("{head:?}")))
        };
        assert_eq!(said(&found), said(&anew), "{input:?}");
        found.map(|head| head.path().to_owned())
    }

    fn is_known(input: &str) -> bool {
        let is_it = |known: &Known| known.head.bytes() == input.as_bytes();
        KNOWN.with_borrow(|known| known.as_ref().is_some_and(is_it))
    }

    #[test]
    fn a_head_that_comes_again_says_the_same() {
        let config = HttpConfig::new();
        let heads: Vec<String> = (0..5)
            .map(|number| format!("GET /{} HTTP/1.1\r\nHost: a\r\nX: {number}\r\n\r\n", "a".repeat(number)))
            .collect();
        for number in 0..2_000_usize {
            // One that comes again and again, then another; and others in between.
            let head = &heads[if number % 3 == 0 { number % 5 } else { number / 500 }];
            let input = format!("{head}{}", ["", "GET / HTTP/1.1\r\n\r\n", "\r\n", "x"][number % 4]);
            let target = &head[4..head.find(" HTTP").unwrap()];
            assert_eq!(path(&input, &config).as_deref(), Some(target));
            assert_eq!(path(&head[..head.len() - 1], &config), None, "it is not all there");
        }
    }

    #[test]
    fn other_bounds_are_asked_again() {
        let (wide, narrow) = (HttpConfig::new(), HttpConfig::new().limits(Limits::new().max_line_bytes(20)));
        let head = "GET /a/rather/long/path HTTP/1.1\r\nHost: a\r\n\r\n";
        (0..200).for_each(|_| assert!(path(head, &wide).is_some()));
        assert!(is_known(head));
        assert_eq!(path(head, &narrow), None);
    }

    #[test]
    fn secrets_are_not_kept() {
        let config = HttpConfig::new();
        for field in ["Cookie: a=b", "AUTHORIZATION: Basic YTpi", "proxy-authorization:x"] {
            let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n");
            (0..200).for_each(|_| assert!(path(&head, &config).is_some()));
            assert!(!is_known(&head));
        }
        let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(BYTES_MAX));
        (0..200).for_each(|_| assert!(path(&long, &config).is_some()));
        assert!(!is_known(&long));
    }

    /// Has a head known to this thread.
    fn know(text: &str) -> Head {
        let config = HttpConfig::new();
        let read = || head(text.as_bytes(), &config).or_else(|| other_head(text.as_bytes(), &config));
        (0..200).for_each(|_| drop(read()));
        assert!(is_known(text));
        read().expect("it is a head")
    }

    #[test]
    fn a_head_that_is_gone_in_another_thread_is_not_taken_for_the_one_known_there() {
        let ours = know("GET /ours HTTP/1.1\r\nHost: a\r\n\r\n");
        let theirs = "GET /them HTTP/1.1\r\nHost: a\r\n\r\n";
        let there = std::thread::spawn(move || {
            drop(know(theirs));
            drop(ours);
            (0..COPIES_MAX + 1).map(|_| know(theirs).path().to_owned()).collect::<Vec<_>>()
        });
        assert!(there.join().expect("it does not panic").iter().all(|path| path == "/them"));
    }
}

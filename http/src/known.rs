//! A head that is, byte for byte, one that this worker has read before is not read again.
//!
//! What a head says follows from its bytes and the bounds alone. Probes, collectors and clients that poll send the same
//! ones again and again, a pipeline often has nothing else; for them reading is one comparison. Others pay for a
//! comparison that ends at the first byte that differs.

use std::{
    cell::{Cell, RefCell},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use crate::{Head, HttpConfig, head::HeadData, parse::parse};

/// Longer heads are not remembered.
const MAX_CACHED_BYTES: usize = 1024;

/// After so many others in a row a head is forgotten for the next: often enough to find one that comes again, seldom
/// enough to cost nothing where none does.
const MAX_MISSES: u8 = 64;

/// Fields whose values are nobody else's business: a head with one of them is never kept.
const SECRET_FIELDS: [&[u8]; 3] = [b"authorization:", b"cookie:", b"proxy-authorization:"];

thread_local! {
    static KNOWN: RefCell<Option<CachedHead>> = const { RefCell::new(None) };
    /// Heads in a row that were others.
    static MISSES: Cell<u8> = const { Cell::new(MAX_MISSES) };
}

/// What the next one that is remembered is known by, in all threads: a head may be gone in another thread than the one
/// that read it.
static NEXT_CACHE_ID: AtomicU64 = AtomicU64::new(1);

struct CachedHead {
    head: HeadData,
    /// Some that requests had, and that are as they were.
    #[expect(clippy::vec_box, reason = "they go in and out as they are, and do not move")]
    copies: Vec<Box<HeadData>>,
    /// If these are the limits.
    limits_number: u64,
}

impl CachedHead {
    #[inline(never)]
    fn copy(&self) -> Box<HeadData> {
        Box::new(self.head.clone())
    }
}

/// So many are kept at most: a whole pipeline.
const MAX_COPIES: usize = 16;

/// The head at the front of the input, if it is the one that is known.
#[inline]
pub(crate) fn lookup(input: &[u8], config: &HttpConfig) -> Option<Head> {
    KNOWN.with_borrow_mut(|known| {
        let known = known.as_mut().filter(|known| known.limits_number == config.limits_id)?;
        if !input.starts_with(known.head.bytes()) {
            return None;
        }
        MISSES.set(0);
        let copy = known.copies.pop().unwrap_or_else(|| known.copy());
        Some(Head::from_data(copy))
    })
}

/// Keeps a head that is not needed any more, if it is the one that is known; else it comes back.
pub(crate) fn recycle(head: Box<HeadData>) -> Option<Box<HeadData>> {
    let mut head = Some(head);
    // Nothing is known where the thread is about to end.
    let _ = KNOWN.try_with(|known| {
        if let Some(known) = &mut *known.borrow_mut()
            && known.copies.len() < MAX_COPIES
            && head.as_ref().is_some_and(|head| head.cache_id() == known.head.cache_id())
        {
            known.copies.extend(head.take());
        }
    });
    head
}

/// As [`quick_head`], of one that is not.
pub(crate) fn parse_uncached(input: &[u8], config: &HttpConfig) -> Option<Head> {
    let misses = MISSES.get();
    if misses < MAX_MISSES {
        MISSES.set(misses + 1);
        return parse(input, &config.limits);
    }
    parse_and_cache(input, config)
}

#[inline(never)]
fn parse_and_cache(input: &[u8], config: &HttpConfig) -> Option<Head> {
    let head = parse(input, &config.limits)?;
    let bytes = head.bytes();
    if bytes.len() <= MAX_CACHED_BYTES && !bytes.split(|&byte| byte == b'\n').any(is_secret) {
        MISSES.set(0);
        let number = NEXT_CACHE_ID.fetch_add(1, Relaxed);
        let known = head.data().with_cache_id(number);
        let limits_number = config.limits_id;
        KNOWN.set(Some(CachedHead { head: known, copies: Vec::new(), limits_number }));
    }
    Some(head)
}

fn is_secret(line: &[u8]) -> bool {
    SECRET_FIELDS
        .iter()
        .any(|name| line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;

    /// What a head says, and that it says the same when it is read anew.
    fn path(input: &str, config: &HttpConfig) -> Option<String> {
        let input = input.as_bytes();
        let found = lookup(input, config).or_else(|| parse_uncached(input, config));
        let anew = parse(input, &config.limits);
        let said = |found: &Option<Head>| {
            found.as_ref().map(|head| (head.framing(), head.bytes().to_vec(), format!("{head:?}")))
        };
        assert_eq!(said(&found), said(&anew), "{input:?}");
        found.map(|head| head.path().to_owned())
    }

    fn is_known(input: &str) -> bool {
        let is_it = |known: &CachedHead| known.head.bytes() == input.as_bytes();
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
        let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(MAX_CACHED_BYTES));
        (0..200).for_each(|_| assert!(path(&long, &config).is_some()));
        assert!(!is_known(&long));
    }

    /// Has a head known to this thread.
    fn know(text: &str) -> Head {
        let config = HttpConfig::new();
        let read = || lookup(text.as_bytes(), &config).or_else(|| parse_uncached(text.as_bytes(), &config));
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
            (0..MAX_COPIES + 1).map(|_| know(theirs).path().to_owned()).collect::<Vec<_>>()
        });
        assert!(there.join().expect("it does not panic").iter().all(|path| path == "/them"));
    }
}

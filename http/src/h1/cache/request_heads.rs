//! The request head that a worker parsed last, so that an identical one is not parsed again.
//!
//! What a head says follows from its bytes and the limits alone. Probes, collectors and clients that poll
//! send the same head again and again, and a pipeline often has nothing else: for them parsing is one
//! comparison. Other heads pay for a comparison that ends at the first byte that differs.

use std::hint::cold_path;

use super::WorkerCache;
use crate::{
    Head, HttpConfig,
    h1::codec::{framing::Framing, request},
    message::head_pool,
};

/// Bounds the length of a cached head, in bytes; 1 KiB.
const MAX_CACHED_BYTES: usize = 1024;

/// The number of different heads in a row after which the next head is cached; 64. It is low enough to find a
/// head that repeats, and high enough to cost nothing where none does.
const MAX_MISSES: u8 = 64;

/// Fields with credentials: a head with one of them is never cached.
const SECRET_FIELDS: [&[u8]; 3] = [b"authorization:", b"cookie:", b"proxy-authorization:"];

/// The outcome of [`lookup`].
pub(crate) enum Lookup {
    /// The cached head, whose framing is [`Framing::SIMPLE`].
    Simple(Head),
    /// The cached head.
    Framed(Head, Framing),
    /// The input does not begin with the cached head.
    Missing,
}

/// Looks for the cached head at the front of the input.
#[inline]
pub(crate) fn lookup(input: &[u8], config: &HttpConfig) -> Lookup {
    match head_pool::take_repeated(input, config.limits_id) {
        Some((head, true)) => Lookup::Simple(Head::from_data(head)),
        Some((head, false)) => {
            cold_path();
            let framing = WorkerCache::with(|cache| cache.framing.get());
            Lookup::Framed(Head::from_data(head), framing)
        }
        None => Lookup::Missing,
    }
}

/// Parses a head that is not the cached one, as [`request::parse`] does, and caches it from time to time.
pub(crate) fn parse_uncached(input: &[u8], config: &HttpConfig) -> Option<(Head, Framing)> {
    if head_pool::count_miss() >= MAX_MISSES {
        parse_and_cache(input, config)
    } else {
        request::parse(input, &config.limits)
    }
}

#[inline(never)]
fn parse_and_cache(input: &[u8], config: &HttpConfig) -> Option<(Head, Framing)> {
    let (head, framing) = request::parse(input, &config.limits)?;
    let bytes = head.bytes();
    let is_secret = || bytes.split(|&byte| byte == b'\n').any(is_secret);
    if bytes.len() <= MAX_CACHED_BYTES && !is_secret() {
        WorkerCache::with(|cache| cache.framing.set(framing));
        head_pool::set_repeated(head.data(), config.limits_id, framing == Framing::SIMPLE);
    }
    Some((head, framing))
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

    /// Returns what a head says, and checks that it says the same when it is parsed anew.
    fn path(input: &str, config: &HttpConfig) -> Option<String> {
        let input = input.as_bytes();
        let found = find(input, config);
        let anew = request::parse(input, &config.limits);
        let said = |found: &Option<(Head, Framing)>| {
            found.as_ref().map(|(head, framing)| (*framing, head.bytes().to_vec(), format!("{head:?}")))
        };
        assert_eq!(said(&found), said(&anew), "{input:?}");
        found.map(|(head, _)| head.path().to_owned())
    }

    fn is_known(input: &str) -> bool {
        head_pool::take_repeated(input.as_bytes(), HttpConfig::new().limits_id).is_some()
    }

    fn find(input: &[u8], config: &HttpConfig) -> Option<(Head, Framing)> {
        match lookup(input, config) {
            Lookup::Simple(head) => Some((head, Framing::SIMPLE)),
            Lookup::Framed(head, framing) => Some((head, framing)),
            Lookup::Missing => parse_uncached(input, config),
        }
    }

    #[test]
    fn a_head_that_comes_again_says_the_same() {
        let config = HttpConfig::new();
        let heads: Vec<String> = (0..5)
            .map(|number| format!("GET /{} HTTP/1.1\r\nHost: a\r\nX: {number}\r\n\r\n", "a".repeat(number)))
            .collect();
        for number in 0..2_000_usize {
            // One head that comes again and again, then another, and others in between.
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

    /// Makes this thread cache a head.
    fn know(text: &str) -> Head {
        let config = HttpConfig::new();
        let read = || find(text.as_bytes(), &config);
        (0..200).for_each(|_| drop(read()));
        assert!(is_known(text));
        read().expect("it is a head").0
    }

    #[test]
    fn a_head_that_is_gone_in_another_thread_is_not_taken_for_the_one_known_there() {
        let ours = know("GET /ours HTTP/1.1\r\nHost: a\r\n\r\n");
        let theirs = "GET /them HTTP/1.1\r\nHost: a\r\n\r\n";
        let there = std::thread::spawn(move || {
            drop(know(theirs));
            drop(ours);
            (0..20).map(|_| know(theirs).path().to_owned()).collect::<Vec<_>>()
        });
        assert!(there.join().expect("it does not panic").iter().all(|path| path == "/them"));
    }
}

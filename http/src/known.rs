//! A head that is, byte for byte, one that this worker has read before is not read again.
//!
//! What a head says follows from its bytes and the bounds alone. Probes, collectors and clients that poll send the same
//! ones again and again, a pipeline often has nothing else; for them reading is one comparison. Others pay for a
//! comparison that ends at the first byte that differs.

use std::cell::{Cell, RefCell};

use bytes::Bytes;

use crate::{
    Limits,
    parse::{Parsed, quick_head},
};

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

struct Known {
    head: Bytes,
    /// What it says.
    parsed: Parsed,
    /// If these are the bounds.
    bounds: Bounds,
}

type Bounds = [usize; 4];

fn bounds(limits: &Limits) -> Bounds {
    [limits.line_bytes_max, limits.headers_max, limits.header_bytes_max, limits.head_bytes_max]
}

/// The head at the front of the input, if it is the one that is known: what it says, and its bytes.
pub(crate) fn head(input: &[u8], limits: &Limits) -> Option<(Parsed, Bytes)> {
    KNOWN.with_borrow(|known| {
        let known = known.as_ref().filter(|known| input.starts_with(&known.head))?;
        if known.bounds != bounds(limits) {
            return None;
        }
        MISSES.set(0);
        Some((known.parsed.clone(), known.head.clone()))
    })
}

/// As [`quick_head`], of one that is not.
pub(crate) fn other_head(input: &[u8], limits: &Limits) -> Option<Parsed> {
    let misses = MISSES.get();
    if misses < MISSES_MAX {
        MISSES.set(misses + 1);
        return quick_head(input, limits);
    }
    read_and_remember(input, limits)
}

#[inline(never)]
fn read_and_remember(input: &[u8], limits: &Limits) -> Option<Parsed> {
    let parsed = quick_head(input, limits)?;
    let head = &input[..parsed.bytes];
    if head.len() <= BYTES_MAX && !head.split(|&byte| byte == b'\n').any(is_secret) {
        MISSES.set(0);
        KNOWN.set(Some(Known {
            head: Bytes::copy_from_slice(head),
            parsed: parsed.clone(),
            bounds: bounds(limits),
        }));
    }
    Some(parsed)
}

fn is_secret(line: &[u8]) -> bool {
    SECRETS.iter().any(|name| line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a head says, and that it says the same when it is read anew.
    fn path(input: &str, limits: &Limits) -> Option<std::ops::Range<u32>> {
        let known = head(input.as_bytes(), limits).map(|(parsed, bytes)| {
            assert!(input.as_bytes().starts_with(&bytes) && bytes.len() == parsed.bytes);
            parsed
        });
        let parsed = known.or_else(|| other_head(input.as_bytes(), limits));
        let anew = quick_head(input.as_bytes(), limits);
        let said = |parsed: &Option<Parsed>| {
            parsed.as_ref().map(|parsed| (parsed.line.path.clone(), parsed.bytes, parsed.framing))
        };
        assert_eq!(said(&parsed), said(&anew), "{input:?}");
        parsed.map(|parsed| parsed.line.path)
    }

    fn is_known(input: &str) -> bool {
        KNOWN.with_borrow(|known| known.as_ref().is_some_and(|known| *known.head == *input.as_bytes()))
    }

    #[test]
    fn a_head_that_comes_again_says_the_same() {
        let limits = Limits::new();
        let heads: Vec<String> = (0..5)
            .map(|number| format!("GET /{} HTTP/1.1\r\nHost: a\r\nX: {number}\r\n\r\n", "a".repeat(number)))
            .collect();
        for number in 0..2_000_usize {
            // One that comes again and again, then another; and others in between.
            let head = &heads[if number % 3 == 0 { number % 5 } else { number / 500 }];
            let input = format!("{head}{}", ["", "GET / HTTP/1.1\r\n\r\n", "\r\n", "x"][number % 4]);
            assert_eq!(path(&input, &limits), Some(4..5 + head.find(" HTTP").unwrap() as u32 - 5));
            assert_eq!(path(&head[..head.len() - 1], &limits), None, "it is not all there");
        }
    }

    #[test]
    fn other_bounds_are_asked_again() {
        let (wide, narrow) = (Limits::new(), Limits::new().line_bytes_max(20));
        let head = "GET /a/rather/long/path HTTP/1.1\r\nHost: a\r\n\r\n";
        (0..200).for_each(|_| assert!(path(head, &wide).is_some()));
        assert!(is_known(head));
        assert_eq!(path(head, &narrow), None);
    }

    #[test]
    fn secrets_are_not_kept() {
        let limits = Limits::new();
        for field in ["Cookie: a=b", "AUTHORIZATION: Basic YTpi", "proxy-authorization:x"] {
            let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n");
            (0..200).for_each(|_| assert!(path(&head, &limits).is_some()));
            assert!(!is_known(&head));
        }
        let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(BYTES_MAX));
        (0..200).for_each(|_| assert!(path(&long, &limits).is_some()));
        assert!(!is_known(&long));
    }
}

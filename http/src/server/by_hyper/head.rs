//! The head of a request, written again for hyper.

use http::Version;

use crate::Head;

/// Returns the protocols that the request offers and hyper is to know of. `h2c` is ignored, as in all other
/// requests (RFC 9113 §3.1: it was never deployed, and is obsolete).
pub(super) fn protocols(head: &Head) -> impl Iterator<Item = &str> {
    head.offered_protocols().filter(|protocol| !protocol.eq_ignore_ascii_case("h2c"))
}

/// Fields that are written anew or left out: those of the connection, and `Expect`, since `100 Continue` was
/// sent.
const REPLACED: [&str; 5] = ["connection", "upgrade", "http2-settings", "expect", "keep-alive"];

/// Writes the head in canonical form: one line a field, no space around values, and the fields of the
/// connection say only that it may be upgraded. This server has checked all parts, so hyper finds the same
/// request in it.
pub(super) fn canonical(head: &Head) -> Vec<u8> {
    debug_assert_eq!(head.version(), Version::HTTP_11);
    let mut bytes = Vec::with_capacity(head.bytes().len() + 64);
    for part in [head.method().as_str(), " ", head.target(), " HTTP/1.1\r\n"] {
        bytes.extend_from_slice(part.as_bytes());
    }
    for (name, value) in head.headers() {
        if !REPLACED.iter().any(|replaced| name.eq_ignore_ascii_case(replaced)) {
            write_field(&mut bytes, name, value);
        }
    }
    write_field(&mut bytes, "connection", b"upgrade");
    let offered: Vec<&str> = protocols(head).collect();
    write_field(&mut bytes, "upgrade", offered.join(", ").as_bytes());
    bytes.extend_from_slice(b"\r\n");
    bytes
}

fn write_field(bytes: &mut Vec<u8>, name: &str, value: &[u8]) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        bytes.extend_from_slice(part);
    }
}

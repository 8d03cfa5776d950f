//! What is fuzzed, and what must be so whatever the bytes.
//!
//! The project's own tests run these on mutations of good headers; a fuzzer goes on from there.

use riot_socket::proxy::Header;

/// A PROXY header: bytes that come one by one say the same in the end; what was read can be written and read again.
pub fn proxy(bytes: &[u8]) {
    let whole = Header::parse(bytes);
    for end in 0..bytes.len() {
        match Header::parse(&bytes[..end]) {
            Ok(None) => {}
            early => return assert_eq!(early, whole, "decided after {end} bytes"),
        }
    }
    let Ok(Some((header, length))) = whole else { return };
    assert!(length <= bytes.len());
    for checksum in [false, true] {
        let written = header.to_v2(checksum).expect("what was read fits");
        assert_eq!(Header::parse(&written), Ok(Some((header.clone(), written.len()))));
    }
    if let Some(line) = header.to_v1() {
        assert_eq!(Header::parse(&line), Ok(Some((header, line.len()))));
    }
}

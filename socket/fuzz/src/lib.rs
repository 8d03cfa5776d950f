//! The fuzz targets, and the properties that hold for any bytes.
//!
//! The tests of the crate run them on mutations of valid headers; a fuzzer goes on from there.

use riot_socket::proxy::ProxyHeader;

/// Parses a PROXY header. Bytes that come one by one give the same result, and a parsed header can be written
/// and parsed again.
pub fn proxy(bytes: &[u8]) {
    let whole = ProxyHeader::parse(bytes);
    for end in 0..bytes.len() {
        match ProxyHeader::parse(&bytes[..end]) {
            Ok(None) => {}
            early => return assert_eq!(early, whole, "decided after {end} bytes"),
        }
    }
    let Ok(Some((header, length))) = whole else { return };
    assert!(length <= bytes.len());
    for written in [header.to_v2(), header.to_v2_with_checksum()] {
        let written = written.expect("a parsed header fits");
        assert_eq!(ProxyHeader::parse(&written), Ok(Some((header.clone(), written.len()))));
    }
    if let Some(line) = header.to_v1() {
        assert_eq!(ProxyHeader::parse(&line), Ok(Some((header, line.len()))));
    }
}

//! Version 1: a line of text (`proxy-protocol.txt` section 2.1).

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6},
    str::FromStr,
};

use super::{Addresses, Proxied, ProxyHeader, ProxyParseError};

/// The beginning of every line.
const PREFIX: &[u8] = b"PROXY ";

/// Bounds the bytes of a line, its end included: 107, by the specification.
const MAX_LENGTH: usize = 107;

pub(super) fn parse(bytes: &[u8]) -> Result<Option<(ProxyHeader, usize)>, ProxyParseError> {
    let start = bytes.len().min(PREFIX.len());
    if bytes[..start] != PREFIX[..start] {
        return Err(ProxyParseError::NoHeader);
    }
    let line = &bytes[..bytes.len().min(MAX_LENGTH)];
    let Some(end) = line.windows(2).position(|pair| pair == b"\r\n") else {
        // A lone CR may be the first half of the end.
        let ends = line.iter().position(|&byte| byte == b'\r' || byte == b'\n');
        let malformed =
            line.len() == MAX_LENGTH || ends.is_some_and(|at| at + 1 < line.len() || line[at] == b'\n');
        return if malformed { Err(ProxyParseError::Malformed) } else { Ok(None) };
    };
    let rest = line[PREFIX.len().min(end)..end].iter().any(|byte| b"\r\n".contains(byte));
    if rest || end < PREFIX.len() {
        return Err(ProxyParseError::Malformed);
    }
    let line = str::from_utf8(&line[PREFIX.len()..end]).map_err(|_| ProxyParseError::Malformed)?;
    Ok(Some((addresses(line).ok_or(ProxyParseError::Malformed)?, end + 2)))
}

fn addresses(line: &str) -> Option<ProxyHeader> {
    let mut fields = line.split(' ');
    let family = fields.next()?;
    if family == "UNKNOWN" {
        return Some(ProxyHeader::Unknown); // The rest of the line is to be ignored.
    }
    let [source, destination, from, to] = [fields.next()?, fields.next()?, fields.next()?, fields.next()?];
    let (from, to) = (port(from)?, port(to)?);
    let addresses = match family {
        "TCP4" => Addresses::V4 {
            source: SocketAddrV4::new(ip::<Ipv4Addr>(source)?, from),
            destination: SocketAddrV4::new(ip::<Ipv4Addr>(destination)?, to),
        },
        "TCP6" => Addresses::V6 {
            source: SocketAddrV6::new(ip::<Ipv6Addr>(source)?, from, 0, 0),
            destination: SocketAddrV6::new(ip::<Ipv6Addr>(destination)?, to, 0, 0),
        },
        _ => return None,
    };
    let proxied = Proxied { addresses, datagram: false, tlvs: Vec::new() };
    fields.next().is_none().then_some(ProxyHeader::Proxied(proxied))
}

fn ip<A: FromStr>(text: &str) -> Option<A> {
    text.parse().ok()
}

/// Parses a port: digits, without a sign and without leading zeros.
fn port(text: &str) -> Option<u16> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

pub(super) fn build(header: &ProxyHeader) -> Option<Vec<u8>> {
    let proxied = match header {
        ProxyHeader::Unknown => return Some(b"PROXY UNKNOWN\r\n".into()),
        ProxyHeader::Proxied(proxied) if !proxied.datagram && proxied.tlvs.is_empty() => proxied,
        _ => return None,
    };
    let line = match &proxied.addresses {
        Addresses::V4 { source, destination } => {
            let (from, to) = (source.port(), destination.port());
            format!("PROXY TCP4 {} {} {from} {to}\r\n", source.ip(), destination.ip())
        }
        Addresses::V6 { source, destination } => {
            let (from, to) = (source.port(), destination.port());
            format!("PROXY TCP6 {} {} {from} {to}\r\n", source.ip(), destination.ip())
        }
        Addresses::Unix { .. } => return None,
    };
    Some(line.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Result<Option<(ProxyHeader, usize)>, ProxyParseError> {
        parse(text.as_bytes())
    }

    #[test]
    fn the_worst_lines_of_the_specification_fit() {
        for text in [
            "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
            "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff \
             ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
            "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff \
             ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
            "PROXY UNKNOWN\r\n",
        ] {
            assert_eq!(
                line(text).expect("the line is well formed").expect("the line is complete").1,
                text.len(),
                "{text}"
            );
        }
    }

    #[test]
    fn malformed_lines_are_refused() {
        for text in [
            "PROXY\r\n",
            "PROXY \r\n",
            "PROXY TCP4\r\n",
            "PROXY TCP5 1.1.1.1 2.2.2.2 1 2\r\n",
            "PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n",
            "PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3\r\n",
            "PROXY TCP4 1.1.1.1  2.2.2.2 1 2\r\n",
            "PROXY TCP4 1.1.1.1 2.2.2.2 +1 2\r\n",
            "PROXY TCP4 1.1.1.1 2.2.2.2 01 2\r\n",
            "PROXY TCP4 1.1.1.1 2.2.2.2 1 65536\r\n",
            "PROXY TCP4 1.1.1 2.2.2.2 1 2\r\n",
            "PROXY TCP4 ::1 ::2 1 2\r\n",
            "PROXY TCP6 1.1.1.1 2.2.2.2 1 2\r\n",
            "PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n",
            "PROXY UNKNOWN\rx",
            "PROXY UNKNOWN\r\r\n",
            "PROXY UNKNOWN \n\r\n",
        ] {
            assert!(line(text).is_err(), "{text:?}: {:?}", line(text));
        }
        let endless = format!("PROXY UNKNOWN {}", "x".repeat(MAX_LENGTH));
        assert_eq!(line(&endless), Err(ProxyParseError::Malformed));
        assert_eq!(line("POST / HTTP/1.1\r\n"), Err(ProxyParseError::NoHeader));
    }
}

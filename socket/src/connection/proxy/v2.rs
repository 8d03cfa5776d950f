//! Version 2: a binary header (`proxy-protocol.txt` section 2.2).

use std::{
    ffi::OsStr,
    net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6},
    os::unix::ffi::OsStrExt,
};

use super::{
    Addresses, HeaderTooLong, Proxied, ProxyHeader, ProxyParseError,
    tlv::{self, CRC32C, NOOP, Raw},
};
use crate::transport::unix::UnixAddress;

/// The signature, with which no other protocol begins.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// The bytes of the fixed part: signature, version and command, family and transport, length.
const FIXED: usize = 16;

const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;

/// The bytes of a Unix address, which is padded with zeros.
const UNIX_LENGTH: usize = 108;

/// The bytes of a TLV's type and length.
const TLV_START: usize = 3;

/// The checksum of a header to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Checksum {
    None,
    Crc32c,
}

pub(super) fn parse(bytes: &[u8]) -> Result<Option<(ProxyHeader, usize)>, ProxyParseError> {
    let start = bytes.len().min(SIGNATURE.len());
    if bytes[..start] != SIGNATURE[..start] {
        return Err(ProxyParseError::NoHeader);
    }
    let Some((&[.., command, family, high, low], rest)) = bytes.split_first_chunk::<FIXED>() else {
        return Ok(None);
    };
    if command >> 4 != 2 {
        return Err(ProxyParseError::Version(command >> 4));
    }
    if command != LOCAL && command != PROXY {
        return Err(ProxyParseError::Command(command & 0xf));
    }
    let length = usize::from(u16::from_be_bytes([high, low]));
    let Some(block) = rest.get(..length) else { return Ok(None) };
    let header = match command {
        // The rest of the header is to be skipped.
        LOCAL => ProxyHeader::Local,
        _ => proxied(family, &bytes[..FIXED], block)?,
    };
    Ok(Some((header, FIXED + length)))
}

fn proxied(family: u8, fixed: &[u8], block: &[u8]) -> Result<ProxyHeader, ProxyParseError> {
    let datagram = match family & 0xf {
        0 | 1 => false,
        2 => true,
        _ => return Err(ProxyParseError::Family(family)),
    };
    let (addresses, tlvs) = match family {
        // Unspecified: "the receiver should ignore address information", whose length it cannot know.
        0x00..=0x02 | 0x10 | 0x20 | 0x30 => return Ok(ProxyHeader::Unknown),
        0x11 | 0x12 => v4(block)?,
        0x21 | 0x22 => v6(block)?,
        0x31 | 0x32 => unix(block)?,
        _ => return Err(ProxyParseError::Family(family)),
    };
    let mut known = Vec::new();
    for Raw { kind, value, behind } in tlv::split(tlvs)? {
        match kind {
            NOOP => {}
            CRC32C => verify(fixed, block, value, behind)?,
            kind => known.push(tlv::parse(kind, value)?),
        }
    }
    Ok(ProxyHeader::Proxied(Proxied { addresses, datagram, tlvs: known }))
}

fn v4(block: &[u8]) -> Result<(Addresses, &[u8]), ProxyParseError> {
    let (&[a, b, c, d, e, f, g, h, i, j, k, l], rest) =
        block.split_first_chunk().ok_or(ProxyParseError::TooShort)?;
    let source = SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([i, j]));
    let destination = SocketAddrV4::new(Ipv4Addr::new(e, f, g, h), u16::from_be_bytes([k, l]));
    Ok((Addresses::V4 { source, destination }, rest))
}

fn v6(block: &[u8]) -> Result<(Addresses, &[u8]), ProxyParseError> {
    let (source, rest) = block.split_first_chunk::<16>().ok_or(ProxyParseError::TooShort)?;
    let (destination, rest) = rest.split_first_chunk::<16>().ok_or(ProxyParseError::TooShort)?;
    let (&[i, j, k, l], rest) = rest.split_first_chunk().ok_or(ProxyParseError::TooShort)?;
    let at = |ip: &[u8; 16], port| SocketAddrV6::new(Ipv6Addr::from(*ip), u16::from_be_bytes(port), 0, 0);
    Ok((Addresses::V6 { source: at(source, [i, j]), destination: at(destination, [k, l]) }, rest))
}

fn unix(block: &[u8]) -> Result<(Addresses, &[u8]), ProxyParseError> {
    let (source, rest) = block.split_at_checked(UNIX_LENGTH).ok_or(ProxyParseError::TooShort)?;
    let (destination, rest) = rest.split_at_checked(UNIX_LENGTH).ok_or(ProxyParseError::TooShort)?;
    Ok((Addresses::Unix { source: unix_address(source), destination: unix_address(destination) }, rest))
}

/// Returns the Unix address in `bytes`. A path ends at its first zero. A name that begins with a zero is
/// abstract, and ends where only zeros follow.
fn unix_address(bytes: &[u8]) -> UnixAddress {
    let end = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    match &bytes[..end] {
        [] => UnixAddress::Unnamed,
        [0, name @ ..] => UnixAddress::Abstract(name.into()),
        path => {
            let path = path.split(|&byte| byte == 0).next().unwrap_or_default();
            UnixAddress::Path(OsStr::from_bytes(path).into())
        }
    }
}

/// Verifies the checksum, which is that of the whole header with zeros in its own place.
fn verify(fixed: &[u8], block: &[u8], value: &[u8], behind: usize) -> Result<(), ProxyParseError> {
    let &expected: &[u8; 4] = value.try_into().map_err(|_| ProxyParseError::Tlv)?;
    let at = block.len() - behind - value.len();
    let crc = crc32c::crc32c(fixed);
    let crc = crc32c::crc32c_append(crc, &block[..at]);
    let crc = crc32c::crc32c_append(crc, &[0; 4]);
    let crc = crc32c::crc32c_append(crc, &block[at + 4..]);
    if crc.to_be_bytes() == expected { Ok(()) } else { Err(ProxyParseError::Checksum) }
}

pub(super) fn build(header: &ProxyHeader, checksum: Checksum) -> Result<Vec<u8>, HeaderTooLong> {
    let mut out = SIGNATURE.to_vec();
    match header {
        ProxyHeader::Local => out.extend([LOCAL, 0, 0, 0]),
        ProxyHeader::Unknown => out.extend([PROXY, 0, 0, 0]),
        ProxyHeader::Proxied(proxied) => {
            let transport = if proxied.datagram { 2 } else { 1 };
            let family = match &proxied.addresses {
                Addresses::V4 { .. } => 0x10,
                Addresses::V6 { .. } => 0x20,
                Addresses::Unix { .. } => 0x30,
            };
            out.extend([PROXY, family | transport, 0, 0]);
            put_addresses(&proxied.addresses, &mut out)?;
            for tlv in &proxied.tlvs {
                tlv::build(tlv, &mut out)?;
            }
        }
    }
    let crc_at = out.len() + TLV_START;
    let has_checksum = checksum == Checksum::Crc32c && matches!(header, ProxyHeader::Proxied(_));
    if has_checksum {
        tlv::put(CRC32C, &[0; 4], &mut out)?;
    }
    let length = u16::try_from(out.len() - FIXED).map_err(|_| HeaderTooLong)?;
    out[FIXED - 2..FIXED].copy_from_slice(&length.to_be_bytes());
    if has_checksum {
        let crc = crc32c::crc32c(&out);
        out[crc_at..].copy_from_slice(&crc.to_be_bytes());
    }
    Ok(out)
}

fn put_addresses(addresses: &Addresses, out: &mut Vec<u8>) -> Result<(), HeaderTooLong> {
    match addresses {
        Addresses::V4 { source, destination } => {
            out.extend(source.ip().octets());
            out.extend(destination.ip().octets());
            out.extend(source.port().to_be_bytes());
            out.extend(destination.port().to_be_bytes());
        }
        Addresses::V6 { source, destination } => {
            out.extend(source.ip().octets());
            out.extend(destination.ip().octets());
            out.extend(source.port().to_be_bytes());
            out.extend(destination.port().to_be_bytes());
        }
        Addresses::Unix { source, destination } => {
            for address in [source, destination] {
                let end = out.len() + UNIX_LENGTH;
                match address {
                    UnixAddress::Unnamed => {}
                    UnixAddress::Path(path) => out.extend(path.as_os_str().as_bytes()),
                    UnixAddress::Abstract(name) => {
                        out.push(0);
                        out.extend(name);
                    }
                }
                if out.len() > end {
                    return Err(HeaderTooLong);
                }
                out.resize(end, 0);
            }
        }
    }
    Ok(())
}

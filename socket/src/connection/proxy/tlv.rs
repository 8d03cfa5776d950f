//! What a header of version 2 says beyond addresses: a type, a length, a value (`proxy-protocol.txt` section 2.2.1 on).

use super::{ParseError, TooLong};

/// Something a proxy says of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tlv {
    /// The protocol agreed on by ALPN, such as `h2` (`PP2_TYPE_ALPN`).
    Alpn(Vec<u8>),
    /// The host name the client asked for, as by SNI (`PP2_TYPE_AUTHORITY`).
    Authority(Vec<u8>),
    /// A name of this connection to find it again by, at most 128 bytes (`PP2_TYPE_UNIQUE_ID`).
    UniqueId(Vec<u8>),
    /// The client's TLS session, which ends at the proxy (`PP2_TYPE_SSL`).
    Ssl(Ssl),
    /// The name of the namespace (`PP2_TYPE_NETNS`).
    Netns(Vec<u8>),
    /// Anything else, such as the types from 0xE0 on that are free to use.
    Other {
        /// Its type.
        kind: u8,
        /// Its value.
        value: Vec<u8>,
    },
}

/// A TLS session of a client with its proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ssl {
    /// What the client did.
    pub client: SslClient,
    /// The result of the check of its certificate: 0 if it presented one and that is good.
    pub verify: u32,
    /// The version, such as `TLSv1.3`.
    pub version: Option<Vec<u8>>,
    /// The common name of its certificate.
    pub common_name: Option<Vec<u8>>,
    /// The cipher.
    pub cipher: Option<Vec<u8>>,
    /// The algorithm its certificate is signed with.
    pub signature_algorithm: Option<Vec<u8>>,
    /// The algorithm of its certificate's key.
    pub key_algorithm: Option<Vec<u8>>,
    /// Parts of it that have no name here, by type.
    pub others: Vec<(u8, Vec<u8>)>,
}

/// What a client did in its session with the proxy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SslClient {
    /// It connected over TLS.
    pub ssl: bool,
    /// It presented a certificate on this connection.
    pub certificate_connection: bool,
    /// It presented a certificate at least once in this session.
    pub certificate_session: bool,
}

const ALPN: u8 = 0x01;
const AUTHORITY: u8 = 0x02;
pub(super) const CRC32C: u8 = 0x03;
pub(super) const NOOP: u8 = 0x04;
const UNIQUE_ID: u8 = 0x05;
const SSL: u8 = 0x20;
const SSL_VERSION: u8 = 0x21;
const SSL_CN: u8 = 0x22;
const SSL_CIPHER: u8 = 0x23;
const SSL_SIG_ALG: u8 = 0x24;
const SSL_KEY_ALG: u8 = 0x25;
const NETNS: u8 = 0x30;

/// The longest unique id there may be.
const UNIQUE_ID_MAX: usize = 128;

/// A TLV that was not looked into yet.
pub(super) struct Raw<'a> {
    pub(super) kind: u8,
    pub(super) value: &'a [u8],
    /// Bytes that follow it.
    pub(super) behind: usize,
}

pub(super) fn split(mut bytes: &[u8]) -> Result<Vec<Raw<'_>>, ParseError> {
    let mut found = Vec::new();
    while let [kind, high, low, rest @ ..] = bytes {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (value, rest) = rest.split_at_checked(length).ok_or(ParseError::Tlv)?;
        found.push(Raw { kind: *kind, value, behind: rest.len() });
        bytes = rest;
    }
    if bytes.is_empty() { Ok(found) } else { Err(ParseError::Tlv) }
}

pub(super) fn parse(kind: u8, value: &[u8]) -> Result<Tlv, ParseError> {
    Ok(match kind {
        ALPN => Tlv::Alpn(value.into()),
        AUTHORITY => Tlv::Authority(value.into()),
        UNIQUE_ID if value.len() > UNIQUE_ID_MAX => return Err(ParseError::Tlv),
        UNIQUE_ID => Tlv::UniqueId(value.into()),
        SSL => Tlv::Ssl(parse_ssl(value)?),
        NETNS => Tlv::Netns(value.into()),
        kind => Tlv::Other { kind, value: value.into() },
    })
}

fn parse_ssl(value: &[u8]) -> Result<Ssl, ParseError> {
    let (&[client, a, b, c, d], rest) = value.split_first_chunk().ok_or(ParseError::Tlv)?;
    let bit = |bit: u8| client & bit != 0;
    let client = SslClient { ssl: bit(1), certificate_connection: bit(2), certificate_session: bit(4) };
    let mut ssl = Ssl { client, verify: u32::from_be_bytes([a, b, c, d]), ..Ssl::default() };
    for Raw { kind, value, .. } in split(rest)? {
        let place = match kind {
            SSL_VERSION => &mut ssl.version,
            SSL_CN => &mut ssl.common_name,
            SSL_CIPHER => &mut ssl.cipher,
            SSL_SIG_ALG => &mut ssl.signature_algorithm,
            SSL_KEY_ALG => &mut ssl.key_algorithm,
            kind => {
                ssl.others.push((kind, value.into()));
                continue;
            }
        };
        *place = Some(value.into());
    }
    Ok(ssl)
}

pub(super) fn build(tlv: &Tlv, out: &mut Vec<u8>) -> Result<(), TooLong> {
    match tlv {
        Tlv::Alpn(value) => put(ALPN, value, out),
        Tlv::Authority(value) => put(AUTHORITY, value, out),
        Tlv::UniqueId(value) if value.len() > UNIQUE_ID_MAX => Err(TooLong),
        Tlv::UniqueId(value) => put(UNIQUE_ID, value, out),
        Tlv::Ssl(ssl) => put(SSL, &build_ssl(ssl)?, out),
        Tlv::Netns(value) => put(NETNS, value, out),
        Tlv::Other { kind, value } => put(*kind, value, out),
    }
}

fn build_ssl(ssl: &Ssl) -> Result<Vec<u8>, TooLong> {
    let SslClient { ssl: tls, certificate_connection, certificate_session } = ssl.client;
    let client = u8::from(tls) | u8::from(certificate_connection) << 1 | u8::from(certificate_session) << 2;
    let mut out = vec![client];
    out.extend(ssl.verify.to_be_bytes());
    let parts = [
        (SSL_VERSION, &ssl.version),
        (SSL_CN, &ssl.common_name),
        (SSL_CIPHER, &ssl.cipher),
        (SSL_SIG_ALG, &ssl.signature_algorithm),
        (SSL_KEY_ALG, &ssl.key_algorithm),
    ];
    for (kind, value) in parts {
        if let Some(value) = value {
            put(kind, value, &mut out)?;
        }
    }
    for (kind, value) in &ssl.others {
        put(*kind, value, &mut out)?;
    }
    Ok(out)
}

pub(super) fn put(kind: u8, value: &[u8], out: &mut Vec<u8>) -> Result<(), TooLong> {
    let length = u16::try_from(value.len()).map_err(|_| TooLong)?;
    out.push(kind);
    out.extend(length.to_be_bytes());
    out.extend(value);
    Ok(())
}

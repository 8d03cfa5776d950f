//! The TLVs of a header of version 2: type, length and value (`proxy-protocol.txt` section 2.2.1 on).

use super::{HeaderTooLong, ProxyParseError};

/// A fact about a client, as its proxy reports it.
///
/// ```
/// use riot_socket::proxy::Tlv;
///
/// let own = Tlv::Other { kind: 0xe0, value: b"blue".to_vec() };
/// assert_ne!(own, Tlv::Alpn(b"h2".to_vec()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tlv {
    /// The protocol agreed on by ALPN, such as `h2` (`PP2_TYPE_ALPN`).
    Alpn(Vec<u8>),
    /// The host name that the client asked for, as by SNI (`PP2_TYPE_AUTHORITY`).
    Authority(Vec<u8>),
    /// An id of this connection, at most 128 bytes (`PP2_TYPE_UNIQUE_ID`).
    UniqueId(Vec<u8>),
    /// The client's TLS session, which ends at the proxy (`PP2_TYPE_SSL`).
    Ssl(Ssl),
    /// The name of the namespace (`PP2_TYPE_NETNS`).
    Netns(Vec<u8>),
    /// A TLV of another type, such as those from 0xE0 on, which are free to use.
    Other {
        /// The type.
        kind: u8,
        /// The value.
        value: Vec<u8>,
    },
}

/// The TLS session of a client with its proxy.
///
/// ```
/// use riot_socket::proxy::{Ssl, SslClient};
///
/// let client = SslClient { ssl: true, ..SslClient::default() };
/// let session = Ssl { client, version: Some(b"TLSv1.3".to_vec()), ..Ssl::default() };
/// assert_eq!(session.verify, 0);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ssl {
    /// The flags of the client.
    pub client: SslClient,
    /// The result of the check of the client's certificate: 0 if it presented one that is valid.
    pub verify: u32,
    /// The version, such as `TLSv1.3`.
    pub version: Option<Vec<u8>>,
    /// The common name of the client's certificate.
    pub common_name: Option<Vec<u8>>,
    /// The cipher.
    pub cipher: Option<Vec<u8>>,
    /// The algorithm that the certificate is signed with.
    pub signature_algorithm: Option<Vec<u8>>,
    /// The algorithm of the certificate's key.
    pub key_algorithm: Option<Vec<u8>>,
    /// Further values, by type.
    pub others: Vec<(u8, Vec<u8>)>,
}

/// The flags of a client's session with the proxy.
///
/// ```
/// use riot_socket::proxy::SslClient;
///
/// let client = SslClient { ssl: true, certificate_connection: true, certificate_session: true };
/// assert_ne!(client, SslClient::default());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SslClient {
    /// The client connected over TLS.
    pub ssl: bool,
    /// The client presented a certificate on this connection.
    pub certificate_connection: bool,
    /// The client presented a certificate at least once in this session.
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

/// Bounds the bytes of a unique id: 128, by the specification.
const MAX_UNIQUE_ID: usize = 128;

/// A TLV whose value is not parsed yet.
pub(super) struct Raw<'a> {
    pub(super) kind: u8,
    pub(super) value: &'a [u8],
    /// The number of bytes behind it.
    pub(super) behind: usize,
}

pub(super) fn split(mut bytes: &[u8]) -> Result<Vec<Raw<'_>>, ProxyParseError> {
    let mut found = Vec::new();
    while let [kind, high, low, rest @ ..] = bytes {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (value, rest) = rest.split_at_checked(length).ok_or(ProxyParseError::Tlv)?;
        found.push(Raw { kind: *kind, value, behind: rest.len() });
        bytes = rest;
    }
    if bytes.is_empty() { Ok(found) } else { Err(ProxyParseError::Tlv) }
}

pub(super) fn parse(kind: u8, value: &[u8]) -> Result<Tlv, ProxyParseError> {
    Ok(match kind {
        ALPN => Tlv::Alpn(value.into()),
        AUTHORITY => Tlv::Authority(value.into()),
        UNIQUE_ID if value.len() > MAX_UNIQUE_ID => return Err(ProxyParseError::Tlv),
        UNIQUE_ID => Tlv::UniqueId(value.into()),
        SSL => Tlv::Ssl(parse_ssl(value)?),
        NETNS => Tlv::Netns(value.into()),
        kind => Tlv::Other { kind, value: value.into() },
    })
}

fn parse_ssl(value: &[u8]) -> Result<Ssl, ProxyParseError> {
    let (&[client, a, b, c, d], rest) = value.split_first_chunk().ok_or(ProxyParseError::Tlv)?;
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

pub(super) fn build(tlv: &Tlv, out: &mut Vec<u8>) -> Result<(), HeaderTooLong> {
    match tlv {
        Tlv::Alpn(value) => put(ALPN, value, out),
        Tlv::Authority(value) => put(AUTHORITY, value, out),
        Tlv::UniqueId(value) if value.len() > MAX_UNIQUE_ID => Err(HeaderTooLong),
        Tlv::UniqueId(value) => put(UNIQUE_ID, value, out),
        Tlv::Ssl(ssl) => put(SSL, &build_ssl(ssl)?, out),
        Tlv::Netns(value) => put(NETNS, value, out),
        Tlv::Other { kind, value } => put(*kind, value, out),
    }
}

fn build_ssl(ssl: &Ssl) -> Result<Vec<u8>, HeaderTooLong> {
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

pub(super) fn put(kind: u8, value: &[u8], out: &mut Vec<u8>) -> Result<(), HeaderTooLong> {
    let length = u16::try_from(value.len()).map_err(|_| HeaderTooLong)?;
    out.push(kind);
    out.extend(length.to_be_bytes());
    out.extend(value);
    Ok(())
}

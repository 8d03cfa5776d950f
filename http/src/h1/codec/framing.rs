//! The framing of requests: how long the body is, and whether the connection goes on after it (RFC 9112 §6
//! and §9).
//!
//! Whatever two readers might understand differently is rejected, never guessed at (§11.2).

use http::Method;

use super::table::{ByteTable, leading};
use crate::{RequestError, message::list_elements};

/// The end of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyLength {
    /// After this many bytes, perhaps none.
    Fixed(u64),
    /// Where the chunked coding says so.
    Chunked,
}

impl Default for BodyLength {
    fn default() -> Self {
        Self::Fixed(0)
    }
}

/// The framing of a request: what its head says about the bytes behind it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Framing {
    pub(crate) length: BodyLength,
    pub(crate) traits: RequestTraits,
}

impl Framing {
    /// The framing of most requests; see [`RequestTraits::is_simple`].
    pub(crate) const SIMPLE: Self = Self {
        length: BodyLength::Fixed(0),
        traits: RequestTraits {
            is_head: false,
            is_connect: false,
            minor: 1,
            keep_alive: true,
            peer_closes: false,
            upgrade: UpgradeOffer::None,
            continue_due: false,
            is_simple: true,
        },
    };
}

/// The offer of another protocol in a request (RFC 9110 §7.8). In HTTP/1.0 there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum UpgradeOffer {
    #[default]
    None,
    /// `Upgrade` without `Connection: upgrade`.
    Incomplete,
    /// The response may switch: `Upgrade` with `Connection: upgrade`, or `CONNECT`.
    Complete,
}

/// The traits of a request that matter for its response and for the connection. perf: eight bytes in one
/// word, because every request copies it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(align(8))]
pub(crate) struct RequestTraits {
    pub(crate) is_head: bool,
    pub(crate) is_connect: bool,
    /// The minor version of HTTP/1: 0 or 1.
    pub(crate) minor: u8,
    /// Another request may follow.
    pub(crate) keep_alive: bool,
    /// The peer has said that no request will follow.
    pub(crate) peer_closes: bool,
    /// Whether the response may switch the protocol, so that the bytes behind this request may not be a
    /// request.
    pub(crate) upgrade: UpgradeOffer,
    /// The peer waits for `100 Continue` before it sends the body.
    pub(crate) continue_due: bool,
    /// HTTP/1.1, no body, no switch, and the connection goes on: no rule of responding applies. Most requests
    /// are of this kind.
    pub(crate) is_simple: bool,
}

/// The fields that matter for framing, as they are collected.
#[derive(Default)]
struct FramingFields<'a> {
    host: Option<&'a [u8]>,
    length: Option<u64>,
    coding: Option<TransferCoding>,
    close: bool,
    keep_alive: bool,
    upgrade: bool,
    upgrade_named: bool,
    continues: bool,
    /// The request expects something other than `100-continue`.
    expects_more: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum TransferCoding {
    /// The field is there, but names no coding.
    Empty,
    Chunked,
    Unknown,
}

/// Reads the framing from the fields of a request head. Of each field, `fields` gives the name and the value
/// without the space around it.
pub(crate) fn of_request<'a>(
    method: &Method,
    minor: u8,
    fields: impl Iterator<Item = (&'a str, &'a [u8])>,
) -> Result<Framing, RequestError> {
    let (mut seen, mut others) = (FramingFields::default(), false);
    for (name, value) in fields {
        // The length of a name tells most fields apart.
        match (name.len(), name.as_bytes()) {
            (_, &[h, o, s, t]) if [h | 32, o | 32, s | 32, t | 32] == *b"host" => seen.host(value)?,
            (6 | 7 | 10 | 14 | 17, _) => {
                others = true;
                seen.other(name, value)?;
            }
            _ => {}
        }
    }
    match seen.host {
        Some(host) if !is_host(host) => return Err(RequestError::Malformed("the host is invalid")),
        None if minor > 0 => return Err(RequestError::Malformed("the host is missing")),
        _ => {}
    }
    let (is_head, is_connect) = (method == Method::HEAD, method == Method::CONNECT);
    let mut traits = RequestTraits {
        is_head,
        is_connect,
        minor,
        keep_alive: minor > 0,
        peer_closes: minor == 0,
        upgrade: if is_connect { UpgradeOffer::Complete } else { UpgradeOffer::None },
        continue_due: false,
        is_simple: minor > 0 && !is_head && !is_connect,
    };
    if !others {
        return Ok(Framing { traits, ..Framing::default() });
    }
    let length = seen.body_length(minor)?;
    if seen.expects_more && minor > 0 {
        return Err(RequestError::Expectation);
    }
    traits.keep_alive = !seen.close && (minor > 0 || seen.keep_alive);
    traits.peer_closes = !traits.keep_alive;
    if seen.upgrade_named && minor > 0 && !is_connect {
        traits.upgrade = if seen.upgrade { UpgradeOffer::Complete } else { UpgradeOffer::Incomplete };
    }
    let is_empty = length == BodyLength::Fixed(0);
    // A switch is preceded by 100 if that was expected, body or not (RFC 9110 §7.8).
    let may_switch = traits.upgrade == UpgradeOffer::Complete && !is_connect;
    traits.continue_due = seen.continues && minor > 0 && (!is_empty || may_switch);
    traits.is_simple &= is_empty && traits.keep_alive && traits.upgrade == UpgradeOffer::None;
    Ok(Framing { length, traits })
}

impl<'a> FramingFields<'a> {
    fn host(&mut self, value: &'a [u8]) -> Result<(), RequestError> {
        match self.host.replace(value) {
            Some(_) => Err(RequestError::Malformed("the host is given twice")),
            None => Ok(()),
        }
    }

    /// Collects a field other than `Host`. Out of line, because most requests have no other field of this
    /// kind.
    #[inline(never)]
    fn other(&mut self, name: &str, value: &[u8]) -> Result<(), RequestError> {
        match name.len() {
            6 if name.eq_ignore_ascii_case("expect") => self.expect(value),
            7 if name.eq_ignore_ascii_case("upgrade") => self.upgrade_named = true,
            10 if name.eq_ignore_ascii_case("connection") => self.connection(value),
            14 if name.eq_ignore_ascii_case("content-length") => self.length(value)?,
            17 if name.eq_ignore_ascii_case("transfer-encoding") => self.coding(value)?,
            _ => {}
        }
        Ok(())
    }

    fn length(&mut self, value: &[u8]) -> Result<(), RequestError> {
        match self.length.replace(content_length(value)?) {
            Some(_) => Err(RequestError::Malformed("the content length is given twice")),
            None => Ok(()),
        }
    }

    fn connection(&mut self, value: &[u8]) {
        for option in list_elements(value) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            self.upgrade |= option.eq_ignore_ascii_case(b"upgrade");
        }
    }

    fn expect(&mut self, value: &[u8]) {
        for expectation in list_elements(value) {
            let continues = expectation.eq_ignore_ascii_case(b"100-continue");
            self.continues |= continues;
            self.expects_more |= !continues;
        }
    }

    fn coding(&mut self, value: &[u8]) -> Result<(), RequestError> {
        self.coding.get_or_insert(TransferCoding::Empty);
        for coding in list_elements(value) {
            let chunked = coding.eq_ignore_ascii_case(b"chunked");
            self.coding = match self.coding {
                // Chunked comes last, and once (RFC 9112 §6.1).
                Some(TransferCoding::Chunked) => {
                    return Err(RequestError::Malformed("chunked is not the last transfer coding"));
                }
                Some(TransferCoding::Empty) if chunked => Some(TransferCoding::Chunked),
                _ => Some(TransferCoding::Unknown),
            };
        }
        Ok(())
    }

    fn body_length(&self, minor: u8) -> Result<BodyLength, RequestError> {
        match (self.coding, self.length) {
            (None, length) => Ok(BodyLength::Fixed(length.unwrap_or(0))),
            (Some(_), Some(_)) => {
                Err(RequestError::Malformed("both a length and a transfer coding are given"))
            }
            (Some(_), _) if minor == 0 => Err(RequestError::Malformed("HTTP/1.0 has no transfer codings")),
            (Some(TransferCoding::Chunked), None) => Ok(BodyLength::Chunked),
            (Some(TransferCoding::Unknown), None) => Err(RequestError::Coding),
            (Some(TransferCoding::Empty), None) => {
                Err(RequestError::Malformed("no transfer coding is named"))
            }
        }
    }
}

/// Parses a content length: digits alone, no sign and no list (RFC 9112 §6.3).
pub(crate) fn content_length(value: &[u8]) -> Result<u64, RequestError> {
    let no_number = Err(RequestError::Malformed("the content length is no number"));
    if value.is_empty() {
        return no_number;
    }
    let mut length = Some(0u64);
    for byte in value {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return no_number;
        }
        length = length.and_then(|length| length.checked_mul(10)?.checked_add(u64::from(digit)));
    }
    length.ok_or(RequestError::BodyTooLarge)
}

/// Returns whether the value is `uri-host [ ":" port ]` or empty (RFC 9110 §7.2, RFC 3986 §3.2.2).
pub(crate) fn is_host(value: &[u8]) -> bool {
    // Most values are a name and perhaps a port; the empty one passes as well.
    let name = leading(value, &NAME_BYTES);
    match &value[name..] {
        [] => true,
        [b':', port @ ..] => is_port(port),
        _ => split_host(value).is_some_and(|(_, port)| port.is_none_or(is_port)),
    }
}

/// Returns whether the value is `host ":" port` with neither empty, as `CONNECT` requires (RFC 9112 §3.2.3).
pub(crate) fn is_authority(value: &[u8]) -> bool {
    split_host(value).is_some_and(|(host, port)| {
        !host.is_empty() && port.is_some_and(|port| !port.is_empty() && is_port(port))
    })
}

/// Returns whether the value is `host [ ":" port ]` with a host: the authority of an `http` URI, which has no
/// user (RFC 9110 §4.2).
pub(crate) fn is_uri_authority(value: &[u8]) -> bool {
    split_host(value).is_some_and(|(host, port)| !host.is_empty() && port.is_none_or(is_port))
}

fn split_host(value: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let end = if value.starts_with(b"[") {
        let end = value.iter().position(|&byte| byte == b']')?;
        if !is_ip_literal(&value[1..end]) {
            return None;
        }
        end + 1
    } else {
        let end = value.iter().position(|&byte| byte == b':').unwrap_or(value.len());
        if !is_reg_name(&value[..end]) {
            return None;
        }
        end
    };
    match &value[end..] {
        [] => Some((&value[..end], None)),
        [b':', port @ ..] => Some((&value[..end], Some(port))),
        _ => None,
    }
}

fn is_port(port: &[u8]) -> bool {
    let mut number = 0u32;
    for byte in port {
        let digit = byte.wrapping_sub(b'0');
        number = number * 10 + u32::from(digit);
        if digit > 9 || number > 65_535 {
            return false;
        }
    }
    true
}

fn is_ip_literal(literal: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(literal) else { return false };
    if let Some(future) = text.strip_prefix(['v', 'V']) {
        return future.split_once('.').is_some_and(|(version, rest)| {
            !version.is_empty()
                && version.bytes().all(|byte| byte.is_ascii_hexdigit())
                && !rest.is_empty()
                && rest.bytes().all(|byte| byte == b':' || is_name_byte(byte))
        });
    }
    text.parse::<std::net::Ipv6Addr>().is_ok()
}

fn is_reg_name(name: &[u8]) -> bool {
    let mut bytes = name.iter();
    while let Some(&byte) = bytes.next() {
        let fine = match byte {
            b'%' => [bytes.next(), bytes.next()].iter().all(|digit| digit.is_some_and(u8::is_ascii_hexdigit)),
            byte => is_name_byte(byte),
        };
        if !fine {
            return false;
        }
    }
    true
}

/// Returns whether the byte is `unreserved / sub-delims` (RFC 3986 §2).
fn is_name_byte(byte: u8) -> bool {
    NAME_BYTES[usize::from(byte)] == 1
}

static NAME_BYTES: ByteTable = {
    let mut table = [0; 256];
    let mut marks: &[u8] = b"-._~!$&'()*+,;=";
    while let [mark, rest @ ..] = marks {
        table[*mark as usize] = 1;
        marks = rest;
    }
    let mut byte = 0;
    while byte < 128 {
        table[byte] |= (byte as u8).is_ascii_alphanumeric() as u8;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn framing(minor: u8, fields: &[(&str, &str)]) -> Result<Framing, RequestError> {
        let host = (minor > 0).then_some(("Host", &b"a"[..]));
        let fields = fields.iter().map(|&(name, value)| (name, value.as_bytes()));
        of_request(&Method::POST, minor, host.into_iter().chain(fields))
    }

    #[test]
    fn smuggling_classes_are_refused() {
        let malformed = |fields: &[(&str, &str)]| {
            assert!(matches!(framing(1, fields), Err(RequestError::Malformed(_))), "{fields:?}");
        };
        for value in ["", "+5", "-5", "5,5", "5, 6", "0x5", "5.0", "1_0", "5 5", "'5'", "\u{665}", "5;"] {
            malformed(&[("Content-Length", value)]);
        }
        malformed(&[("Content-Length", "5"), ("content-length", "5")]);
        malformed(&[("Content-Length", "5"), ("Transfer-Encoding", "chunked")]);
        malformed(&[("Transfer-Encoding", "chunked"), ("Content-Length", "0")]);
        malformed(&[("Transfer-Encoding", "chunked, chunked")]);
        malformed(&[("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "chunked")]);
        malformed(&[("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "gzip")]);
        malformed(&[("Transfer-Encoding", " , ")]);
        malformed(&[("Host", "a")]);
        for value in
            ["gzip", "gzip, chunked", "xchunked", "chunked;q=1", "\"chunked\"", "identity", "chunked\u{b}"]
        {
            assert_eq!(framing(1, &[("Transfer-Encoding", value)]), Err(RequestError::Coding), "{value}");
        }
        assert!(matches!(framing(0, &[("Transfer-Encoding", "chunked")]), Err(RequestError::Malformed(_))));
    }

    #[test]
    fn a_length_too_large_to_count_is_too_large() {
        let too_large = framing(1, &[("Content-Length", "18446744073709551616")]);
        assert_eq!(too_large, Err(RequestError::BodyTooLarge));
        let largest = framing(1, &[("Content-Length", "18446744073709551615")]).unwrap();
        assert_eq!(largest.length, BodyLength::Fixed(u64::MAX));
    }

    #[test]
    fn connections_persist_as_rfc_9112_9_3_says() {
        let keeps = |minor, value| framing(minor, &[("Connection", value)]).unwrap().traits.keep_alive;
        assert!(keeps(1, "") && keeps(1, "foo") && keeps(1, "xclose"));
        assert!(!keeps(1, "close") && !keeps(1, " foo,, CLOSE ,keep-alive"));
        assert!(keeps(0, "Keep-Alive") && !keeps(0, "foo") && !keeps(0, "keep-alive, close"));
    }

    #[test]
    fn an_offer_of_another_protocol_is_complete_or_not_or_of_http_1_0() {
        let offer = |minor, fields: &[_]| framing(minor, fields).unwrap().traits.upgrade;
        let (upgrade, option) = (("Upgrade", "a, b/1"), ("connection", "foo, UPGRADE"));
        assert_eq!(offer(1, &[]), UpgradeOffer::None);
        assert_eq!(offer(1, &[option]), UpgradeOffer::None);
        assert_eq!(offer(1, &[upgrade]), UpgradeOffer::Incomplete);
        assert_eq!(offer(1, &[upgrade, ("Connection", "close")]), UpgradeOffer::Incomplete);
        assert_eq!(offer(1, &[upgrade, ("Connection", "close"), option]), UpgradeOffer::Complete);
        assert_eq!(offer(0, &[upgrade, option]), UpgradeOffer::None);
    }

    #[test]
    fn hosts() {
        for host in
            ["", "a", "a:", "a:80", "127.0.0.1:80", "[::1]", "[::1]:80", "[v1.a:b]", "a%41", "a!$&'()*+;=b"]
        {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in [
            "a/b",
            "u@a",
            "a?",
            "a#",
            "http://a/",
            "a:1:2",
            "[::1",
            "[::1]x",
            "::1",
            "a:x",
            "a b",
            "a%4",
            "\u{f6}",
            "a:65536",
        ] {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
        assert!(
            is_authority(b"a:443") && !is_authority(b"a") && !is_authority(b"a:") && !is_authority(b":443")
        );
    }

    #[test]
    fn an_expectation_is_only_known_to_http_1_1() {
        let length = ("Content-Length", "1");
        assert!(framing(1, &[length, ("Expect", "100-Continue")]).unwrap().traits.continue_due);
        assert!(
            !framing(1, &[("Expect", "100-continue")]).unwrap().traits.continue_due,
            "no body to wait for"
        );
        assert!(!framing(0, &[length, ("Expect", "100-continue")]).unwrap().traits.continue_due);
        assert_eq!(framing(1, &[("Expect", "200-ok")]), Err(RequestError::Expectation));
        assert_eq!(framing(1, &[("Expect", "100-continue, x")]), Err(RequestError::Expectation));
    }

    proptest! {
        /// Compares with a plain model: the text of a number is a length, anything else is not.
        #[test]
        fn content_length_is_the_number_or_an_error(text in "[0-9+\\-, x]{0,22}") {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            let model = digits.then(|| text.parse::<u64>().ok()).flatten();
            prop_assert_eq!(content_length(text.as_bytes()).ok(), model);
        }

        /// Compares with a plain model: one length alone, or chunked alone in HTTP/1.1, or nothing; all else
        /// is rejected.
        #[test]
        fn a_body_has_one_end_or_is_refused(
            minor in 0u8..2,
            fields in prop::collection::vec(prop_oneof![
                prop_oneof![Just("5"), Just("0"), Just("+5"), Just("5, 5"), Just("")]
                    .prop_map(|value| ("Content-Length", value)),
                prop_oneof![Just("chunked"), Just("CHUNKED ,"), Just("gzip"), Just("chunked, gzip"), Just("")]
                    .prop_map(|value| ("Transfer-Encoding", value)),
                Just(("X-Other", "chunked")),
            ], 0..4),
        ) {
            let values = |wanted| -> Vec<_> {
                fields.iter().filter(|(name, _)| *name == wanted).map(|(_, value)| *value).collect()
            };
            let (lengths, codings) = (values("Content-Length"), values("Transfer-Encoding"));
            let joined = codings.join(",").to_lowercase();
            let named: Vec<&str> = joined.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
            let model = match (&lengths[..], codings.len()) {
                ([], 0) => Some(BodyLength::Fixed(0)),
                ([length], 0) => length.parse().ok().filter(|_| *length != "+5").map(BodyLength::Fixed),
                ([], _) if minor > 0 && named == ["chunked"] => Some(BodyLength::Chunked),
                _ => None,
            };
            prop_assert_eq!(framing(minor, &fields).ok().map(|framing| framing.length), model);
        }
    }
}

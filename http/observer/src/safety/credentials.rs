//! The secrets that a client has to know, compared in constant time.

use std::{fmt, hint::black_box};

/// A value of `Authorization` that is accepted. It is never shown.
#[derive(Clone)]
pub(super) struct Secret(Vec<u8>);

impl Secret {
    /// Returns the credentials of HTTP's scheme `Basic` (RFC 7617).
    pub(super) fn basic(user: &str, password: &str) -> Self {
        Self(base64(format!("{user}:{password}").as_bytes()))
    }

    /// Returns the credentials of HTTP's scheme `Bearer` (RFC 6750), or any other token.
    pub(super) fn token(token: &str) -> Self {
        Self(token.as_bytes().to_vec())
    }

    /// Returns whether `given` is the secret. The time depends on the length of `given` alone.
    pub(super) fn is(&self, given: &[u8]) -> bool {
        let Self(secret) = self;
        let mut differs = u8::from(secret.len() != given.len());
        for (nth, letter) in given.iter().enumerate() {
            // An empty secret differs by its length, unless both are empty.
            let expected = secret.get(nth % secret.len().max(1)).copied().unwrap_or_default();
            differs |= black_box(expected ^ letter);
        }
        black_box(differs) == 0
    }
}

/// Shows `***`.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Returns the credentials in a value of `Authorization`, if they are of this scheme. The name of a scheme
/// has no case.
pub(super) fn of_scheme<'a>(authorization: &'a [u8], scheme: &str) -> Option<&'a [u8]> {
    let (name, rest) = authorization.split_at_checked(scheme.len())?;
    let given = rest.strip_prefix(b" ")?;
    name.eq_ignore_ascii_case(scheme.as_bytes()).then(|| given.trim_ascii())
}

/// Encodes by RFC 4648 §4, with padding.
fn base64(bytes: &[u8]) -> Vec<u8> {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = Vec::with_capacity(bytes.len().div_ceil(3) * 4);
    for piece in bytes.chunks(3) {
        let byte = |nth: usize| u32::from(piece.get(nth).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for nth in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * nth) & 63) as usize];
            text.push(if nth <= piece.len() { letter } else { b'=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_rfc_4648() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
            ("Aladdin:open sesame", "QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text.as_bytes(), "{bytes}");
        }
    }

    #[test]
    fn ob12_a_secret_is_the_same_bytes_and_nothing_else() {
        let secret = Secret::token("abc");
        assert!(secret.is(b"abc"));
        for given in ["", "ab", "abcd", "abcabc", "abd", "ABC", "xbc"] {
            assert!(!secret.is(given.as_bytes()), "{given}");
        }
        assert!(Secret::token("").is(b"") && !Secret::token("").is(b"\0"));
        assert_eq!(format!("{secret:?}"), "***");
    }

    #[test]
    fn a_scheme_has_no_case_and_a_space_behind_it() {
        assert_eq!(of_scheme(b"BASIC  abc ", "basic"), Some(&b"abc"[..]));
        for other in ["", "basic", "basicabc", "bearer abc", "basi c"] {
            assert_eq!(of_scheme(other.as_bytes(), "basic"), None, "{other}");
        }
    }
}

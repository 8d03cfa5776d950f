//! The guard of requests that change the program.

use std::{fmt, fmt::Write as _, fs::File, io::Read as _};

use riot_http::{
    Head,
    http::{Method, StatusCode},
};

use super::credentials::Secret;

/// The token that the page holds, and a request that changes the program has to carry: 128 random bits.
pub(crate) struct ControlToken {
    text: String,
    secret: Secret,
}

/// Why a request that would change the program is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// The method is another one than `POST`.
    #[error("a change is asked for with POST")]
    Method,
    /// The token is missing or another one.
    #[error("the field X-Riot-Token is missing or wrong")]
    Token,
    /// The request was made by a page of another origin.
    #[error("the request comes from a page of another origin")]
    Origin,
}

impl Refused {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Token | Self::Origin => StatusCode::FORBIDDEN,
        }
    }
}

impl ControlToken {
    /// Makes a new token.
    ///
    /// # Panics
    /// Panics if the system has no randomness.
    pub(crate) fn new() -> Self {
        let mut bytes = [0; 16];
        let read = File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut bytes));
        read.expect("the system has random bytes at /dev/urandom");
        Self::of(&bytes)
    }

    fn of(bytes: &[u8; 16]) -> Self {
        let text = bytes.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
        Self { secret: Secret::token(&text), text }
    }

    /// Returns the token for the page, which is served to authenticated peers alone.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Decides about a request that would change the program: it has to be a `POST` with the token in
    /// `X-Riot-Token`, from a page of the same origin or from no page.
    ///
    /// # Errors
    /// Why it is refused.
    pub(crate) fn check(&self, head: &Head) -> Result<(), Refused> {
        if *head.method() != Method::POST {
            return Err(Refused::Method);
        }
        let mut origins = head.headers().get_all("origin");
        if origins.next().is_some_and(|origin| !is_same_origin(origin, head)) || origins.next().is_some() {
            return Err(Refused::Origin);
        }
        if head.headers().get_all("sec-fetch-site").any(|site| site != b"same-origin") {
            return Err(Refused::Origin);
        }
        match head.headers().get("x-riot-token") {
            Some(token) if self.secret.is(token) => Ok(()),
            _ => Err(Refused::Token),
        }
    }
}

/// Returns whether an origin is that of the request itself. A server behind a proxy for TLS cannot know the
/// scheme, and a page of the other scheme on the same host and port does not exist.
fn is_same_origin(origin: &[u8], head: &Head) -> bool {
    let host = std::str::from_utf8(origin)
        .ok()
        .and_then(|origin| origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")));
    match (host, head.authority()) {
        (Some(host), Some(authority)) => host.eq_ignore_ascii_case(authority),
        _ => false,
    }
}

/// Shows `***`.
impl fmt::Debug for ControlToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::parse;

    const TOKEN: &str = "000102030405060708090a0b0c0d0e0f";

    fn check(method: &str, fields: &str) -> Result<(), Refused> {
        let token = ControlToken::of(&std::array::from_fn(|nth| nth as u8));
        assert_eq!(token.text(), TOKEN);
        let text = format!("{method} /api/1/control HTTP/1.1\r\nHost: ops.example:4000\r\n{fields}\r\n");
        token.check(&parse(text.as_bytes()).expect("a head"))
    }

    #[test]
    fn ob12_a_control_is_a_post_with_the_token() {
        let right = format!("X-Riot-Token: {TOKEN}\r\n");
        assert_eq!(check("POST", &right), Ok(()));
        for method in ["GET", "HEAD", "PUT"] {
            assert_eq!(check(method, &right), Err(Refused::Method), "{method}");
        }
        for fields in ["", "X-Riot-Token:\r\n", "X-Riot-Token: 00\r\n", &right.to_uppercase()] {
            assert_eq!(check("POST", fields), Err(Refused::Token), "{fields}");
        }
    }

    #[test]
    fn ob12_a_control_comes_from_the_same_origin_or_from_no_page() {
        let with = |field: &str| check("POST", &format!("X-Riot-Token: {TOKEN}\r\n{field}\r\n"));
        for same in [
            "Origin: http://ops.example:4000",
            "Origin: https://OPS.example:4000",
            "Sec-Fetch-Site: same-origin",
            "Origin: https://ops.example:4000\r\nSec-Fetch-Site: same-origin",
        ] {
            assert_eq!(with(same), Ok(()), "{same}");
        }
        for other in [
            "Origin: null",
            "Origin:",
            "Origin: http://evil.example",
            "Origin: http://ops.example:4001",
            "Origin: http://ops.example:4000.evil.example",
            "Origin: http://ops.example:4000\r\nOrigin: http://evil.example",
            "Sec-Fetch-Site: cross-site",
            "Sec-Fetch-Site: same-site",
            "Sec-Fetch-Site: none",
            "Sec-Fetch-Site:",
        ] {
            assert_eq!(with(other), Err(Refused::Origin), "{other}");
        }
    }

    #[test]
    fn ob12_tokens_are_random_and_not_shown() {
        let (one, other) = (ControlToken::new(), ControlToken::new());
        assert!(one.text() != other.text() && one.text().len() == 32);
        assert_eq!(format!("{one:?} {:?}", Refused::Token.status()), "*** 403");
    }
}

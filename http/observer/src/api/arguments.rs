//! The arguments in the query of a request.

use riot_http::{Head, http::StatusCode};

use crate::message::query;

/// The names and values of a query, decoded.
pub(super) struct Arguments(Vec<(String, String)>);

impl Arguments {
    pub(super) fn of(head: &Head) -> Self {
        Self(query(head).map(|(name, value)| (decoded(name), decoded(value))).collect())
    }

    /// Returns an argument that was given and is not empty. The first one counts.
    pub(super) fn given(&self, name: &str) -> Option<String> {
        let found = self.0.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.clone()).filter(|value| !value.is_empty())
    }

    /// Returns an argument, or an empty text.
    pub(super) fn text(&self, name: &str) -> String {
        self.given(name).unwrap_or_default()
    }

    /// Returns a number; none if it is not given.
    ///
    /// # Errors
    /// If it is no number.
    pub(super) fn number(&self, name: &str) -> Result<Option<usize>, (StatusCode, String)> {
        let wrong = |_| (StatusCode::UNPROCESSABLE_ENTITY, format!("`{name}` is not a number"));
        self.given(name).map(|value| value.parse().map_err(wrong)).transpose()
    }

    /// Returns one of some keys, by default the first.
    ///
    /// # Errors
    /// If it is another one.
    pub(super) fn key(
        &self,
        name: &str,
        keys: &[&'static str],
    ) -> Result<&'static str, (StatusCode, String)> {
        let Some(given) = self.given(name) else { return Ok(keys[0]) };
        let wrong = || (StatusCode::UNPROCESSABLE_ENTITY, format!("`{name}` is one of {}", keys.join(", ")));
        keys.iter().copied().find(|key| *key == given).ok_or_else(wrong)
    }
}

/// Decodes `%xx` and `+`. What is no code stays as it is, and what is no UTF-8 is replaced.
pub(super) fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|code| std::str::from_utf8(code).ok());
        let code = code.filter(|code| code.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match (byte, code.and_then(|code| u8::from_str_radix(code, 16).ok())) {
            (b'%', Some(code)) => {
                bytes.push(code);
                rest = &after[2..];
            }
            (b'+', _) => {
                bytes.push(b' ');
                rest = after;
            }
            _ => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ob11_arguments_are_decoded() {
        for (text, plain) in [
            ("", ""),
            ("a+b%20c", "a b c"),
            ("%3C1.2.0%3e", "<1.2.0>"),
            ("%", "%"),
            ("%4", "%4"),
            ("%zz%+1", "%zz% 1"),
            ("%c3%a9", "é"),
            ("%ff", "\u{fffd}"),
            ("é%é", "é%é"),
        ] {
            assert_eq!(decoded(text), plain, "{text}");
        }
    }
}

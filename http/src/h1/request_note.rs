//! The request under way, for reports: the head itself belongs to its handler, which may have dropped it.

/// The first bytes of a head, of which the method and the path are shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestNote([u8; NOTE_BYTES]);

/// Bounds the bytes of a head that are kept; 64, which takes one line of the cache and holds nearly all
/// paths.
const NOTE_BYTES: usize = 64;

impl Default for RequestNote {
    fn default() -> Self {
        Self([0; NOTE_BYTES])
    }
}

impl RequestNote {
    /// Keeps the beginning of a head.
    #[inline]
    pub(super) fn set(&mut self, head: &[u8]) {
        match head.first_chunk() {
            Some(start) => self.0 = *start,
            None => self.set_slow(head),
        }
    }

    /// Keeps a head that is shorter than the note. It ends in a line feed, so that what is left of an earlier
    /// one behind it makes no difference.
    #[inline(never)]
    fn set_slow(&mut self, head: &[u8]) {
        self.0[..head.len()].copy_from_slice(head);
    }

    /// Returns the method and the path, without query and authority. A path that was too long to be kept ends
    /// in an ellipsis.
    pub(crate) fn method_and_path(&self) -> (String, String) {
        let line = self.0.split(|&byte| byte == b'\r').next().unwrap_or_default();
        let line = String::from_utf8_lossy(line).into_owned();
        let (method, target) = line.split_once(' ').unwrap_or((&line, ""));
        let target_ends = target.contains([' ', '?']);
        let target = target.split([' ', '?']).next().unwrap_or_default();
        let path = match target.split_once("://") {
            Some((_, rest)) if !target.starts_with('/') => rest.find('/').map_or("/", |start| &rest[start..]),
            _ => target,
        };
        (method.to_owned(), format!("{path}{}", if target_ends { "" } else { "…" }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(heads: &[&str]) -> (String, String) {
        let mut note = RequestNote::default();
        heads.iter().for_each(|head| note.set(head.as_bytes()));
        note.method_and_path()
    }

    #[test]
    fn it_names_method_and_path_and_nothing_else() {
        let long = format!("DELETE /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(100));
        let cut = format!("/{}…", "x".repeat(NOTE_BYTES - 8));
        for (head, method, path) in [
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/"),
            ("GET /a/b?token=c HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/a/b"),
            ("GET http://a:1/b?c HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/b"),
            ("GET http://a?b HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/"),
            ("GET /a://b HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/a://b"),
            ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS", "*"),
            ("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", "CONNECT", "a:443"),
            (&long, "DELETE", &cut),
        ] {
            assert_eq!(said(&[head]), (method.into(), path.into()), "{head}");
            assert_eq!(said(&[&long, head]), (method.into(), path.into()), "{head} behind another");
        }
    }
}

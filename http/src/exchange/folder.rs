//! Folders whose files are served: from the path of a request to a path of the system.

use std::path::{Path, PathBuf};

use super::{FileError, Response, opened_file::OpenedFile};
use crate::Head;

/// A folder whose files are served.
///
/// ```no_run
/// use std::sync::Arc;
/// use riot_http::{FileError, Folder, Request, Response, service};
///
/// let folder = Arc::new(Folder::new("static").well_known().inner_links_only());
/// let site = service(move |request: Request| {
///     let folder = folder.clone();
///     async move { folder.file(request.head()) }
/// });
/// # let _ = site;
/// ```
#[derive(Clone, Debug)]
pub struct Folder {
    root: PathBuf,
    hidden: Hidden,
    links: Links,
}

/// The fate of paths with hidden names, which begin with a dot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hidden {
    Refused,
    /// Only `/.well-known/` is served (RFC 8615).
    WellKnown,
}

/// The fate of symbolic links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Links {
    Followed,
    /// Followed if they stay in the folder.
    Inner,
}

impl Folder {
    /// Names a folder, of which every regular file is served except hidden ones. Symbolic links are followed
    /// wherever they lead; see [`inner_links_only`](Self::inner_links_only).
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), hidden: Hidden::Refused, links: Links::Followed }
    }

    /// Serves what lies below `/.well-known/` as well (RFC 8615), such as the answers to challenges for
    /// certificates. Other hidden names are refused, there too.
    #[must_use]
    pub fn well_known(mut self) -> Self {
        self.hidden = Hidden::WellKnown;
        self
    }

    /// Refuses files that are reached by a symbolic link out of the folder. The folder itself may be a link.
    /// It costs some system calls a file.
    #[must_use]
    pub fn inner_links_only(mut self) -> Self {
        self.links = Links::Inner;
        self
    }

    /// Returns the path of the file that a request's path names, which may not exist. Returns none if the
    /// path leads out of the folder or names a hidden file, or is not UTF-8. Links are not looked at.
    #[must_use]
    pub fn path(&self, path: &str) -> Option<PathBuf> {
        Some(self.root.join(decode_path(path, self.hidden)?))
    }

    /// Serves the file that the request names, as [`Response::file`] does.
    ///
    /// # Errors
    /// As [`Response::file`]; a path that is refused is [`FileError::NotFound`].
    pub fn file(&self, head: &Head) -> Result<Response, FileError> {
        let path = self.path(head.path()).ok_or(FileError::NotFound(None))?;
        self.file_at(head, &path)
    }

    /// Serves the file at a path that [`path`](Self::path) returned, or that was made from one, such as the
    /// page of a folder.
    ///
    /// # Errors
    /// As [`Response::file`]; a link that is refused is [`FileError::NotFound`].
    pub fn file_at(&self, head: &Head, path: &Path) -> Result<Response, FileError> {
        let opened = OpenedFile::open(path)?;
        if self.links == Links::Inner && !self.holds(path, &opened)? {
            return Err(FileError::NotFound(None));
        }
        Response::opened_file(head, path, opened)
    }

    /// Returns whether the opened file is the one at a path in the folder that has no links. The file is
    /// opened first, so that a link which changes meanwhile makes no difference.
    fn holds(&self, path: &Path, opened: &OpenedFile) -> Result<bool, FileError> {
        let (root, path) = (self.root.canonicalize()?, path.canonicalize()?);
        Ok(path.starts_with(root) && is_same(&path.symlink_metadata()?, opened))
    }
}

#[cfg(unix)]
fn is_same(found: &std::fs::Metadata, opened: &OpenedFile) -> bool {
    use std::os::unix::fs::MetadataExt;
    (found.dev(), found.ino()) == (opened.metadata.dev(), opened.metadata.ino())
}

#[cfg(not(unix))]
fn is_same(found: &std::fs::Metadata, _: &OpenedFile) -> bool {
    !found.is_symlink()
}

/// Converts the path of a request to a relative path below a folder: decoded, and only if it stays below.
/// Returns none if it does not, or names a hidden file, or is not UTF-8.
///
/// The text alone is checked. A symbolic link below the folder may lead out of it, and is followed when the
/// file is opened; [`Folder::inner_links_only`] refuses such links, and [`Folder::well_known`] lets
/// `/.well-known/` through.
///
/// ```
/// use riot_http::safe_path;
/// assert_eq!(safe_path("/css/the%20style.css").unwrap().to_str(), Some("css/the style.css"));
/// assert_eq!(safe_path("/../etc/passwd"), None);
/// assert_eq!(safe_path("/%2e%2e/etc/passwd"), None);
/// assert_eq!(safe_path("/a%2fb"), None);
/// ```
#[must_use]
pub fn safe_path(path: &str) -> Option<PathBuf> {
    decode_path(path, Hidden::Refused)
}

fn decode_path(path: &str, hidden: Hidden) -> Option<PathBuf> {
    let mut safe = PathBuf::new();
    for segment in path.strip_prefix('/')?.split('/').filter(|segment| !segment.is_empty()) {
        let decoded = decode(segment)?;
        let is_well_known =
            hidden == Hidden::WellKnown && safe.as_os_str().is_empty() && decoded == ".well-known";
        let is_hidden = decoded.starts_with('.') && !is_well_known;
        if is_hidden || decoded.contains(['/', '\\', '\0', ':']) {
            return None;
        }
        safe.push(decoded);
    }
    Some(safe)
}

/// Resolves percent-encoding (RFC 3986 §2.1).
fn decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(if byte == b'%' {
            let mut digit = || bytes.next().and_then(|digit| char::from(digit).to_digit(16));
            (digit()? * 16 + digit()?) as u8
        } else {
            byte
        });
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEADING_OUT: [&str; 15] = [
        "/..",
        "/a/../../b",
        "/%2E%2e/a",
        "/.git/config",
        "/.well-knownx",
        "/.well-known/..",
        "/.well-known/.x",
        "/a/.well-known/x",
        "/a%00",
        "/a%2f..%2fb",
        "/c:/x",
        "/a\\b",
        "/%f",
        "/%ff",
        "a",
    ];

    #[test]
    fn no_path_leads_out() {
        for path in LEADING_OUT {
            assert_eq!(safe_path(path), None, "{path}");
            assert_eq!(Folder::new("root").well_known().path(path), None, "{path}");
        }
        assert_eq!(safe_path("/").unwrap(), Path::new(""));
        assert_eq!(safe_path("//a//b/").unwrap(), Path::new("a/b"));
    }

    #[test]
    fn what_is_well_known_is_served_on_request() {
        for path in [
            "/.well-known/acme-challenge/x",
            "/%2ewell-known/acme-challenge/x",
            "//.well-known//acme-challenge/x",
        ] {
            assert_eq!(safe_path(path), None, "{path}");
            let expected = Path::new("root/.well-known/acme-challenge/x");
            assert_eq!(Folder::new("root").well_known().path(path).unwrap(), expected);
        }
    }
}

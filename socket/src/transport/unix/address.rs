//! Addresses of Unix sockets.

use std::{
    ffi::OsStr,
    fmt, io,
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        net::SocketAddr,
    },
    path::{Path, PathBuf},
};

use socket2::SockAddr;

/// The address of a Unix socket.
///
/// ```
/// use riot_socket::UnixAddress;
///
/// assert_eq!(UnixAddress::from("/run/shop.sock").to_string(), "unix:/run/shop.sock");
/// assert_eq!(UnixAddress::Abstract(b"shop".to_vec()).to_string(), "unix:@shop");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UnixAddress {
    /// No address, as clients have.
    Unnamed,
    /// A path in the file system.
    Path(PathBuf),
    /// A name without a file (Linux).
    Abstract(Vec<u8>),
}

impl UnixAddress {
    pub(in crate::transport) fn from_system(address: &SocketAddr) -> Self {
        if let Some(path) = address.as_pathname() {
            return Self::Path(path.into());
        }
        #[cfg(target_os = "linux")]
        if let Some(name) = std::os::linux::net::SocketAddrExt::as_abstract_name(address) {
            return Self::Abstract(name.into());
        }
        Self::Unnamed
    }

    pub(super) fn to_system(&self) -> io::Result<SockAddr> {
        match self {
            Self::Unnamed => Err(io::Error::new(io::ErrorKind::InvalidInput, "a socket without a name")),
            Self::Path(path) if path.as_os_str().as_bytes().first().is_none_or(|&byte| byte == 0) => {
                Err(io::Error::new(io::ErrorKind::InvalidInput, "a path that is empty or starts with NUL"))
            }
            Self::Path(path) => SockAddr::unix(path),
            Self::Abstract(name) => SockAddr::unix(OsStr::from_bytes(&[b"\0", &name[..]].concat())),
        }
    }
}

/// Writes the address as `ss` and HAProxy do: abstract names follow an `@`.
impl fmt::Display for UnixAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unnamed => f.write_str("unix:"),
            Self::Path(path) => write!(f, "unix:{}", path.display()),
            Self::Abstract(name) => {
                write!(f, "unix:@{}", std::ffi::OsString::from_vec(name.clone()).display())
            }
        }
    }
}

impl<P: AsRef<Path> + ?Sized> From<&P> for UnixAddress {
    fn from(path: &P) -> Self {
        Self::Path(path.as_ref().into())
    }
}

impl From<PathBuf> for UnixAddress {
    fn from(path: PathBuf) -> Self {
        Self::Path(path)
    }
}

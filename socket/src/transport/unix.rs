//! Unix sockets, which connect programs of one machine.

use std::{
    ffi::OsStr,
    fmt,
    fs::{self, Permissions},
    io,
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::{FileTypeExt, MetadataExt, PermissionsExt},
        net::SocketAddr,
    },
    path::{Path, PathBuf},
    sync::Arc,
    task::{Context, Poll},
};

use riot_actor::runtime::blocking;
use socket2::{Domain, SockAddr, Socket, Type};

use super::{Address, Bind, Listen, Transport, socket_transport::impl_socket_transport};
use crate::io::{readiness::Direction, source::IoSource};

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
    fn from_system(address: &SocketAddr) -> Self {
        if let Some(path) = address.as_pathname() {
            return Self::Path(path.into());
        }
        #[cfg(target_os = "linux")]
        if let Some(name) = std::os::linux::net::SocketAddrExt::as_abstract_name(address) {
            return Self::Abstract(name.into());
        }
        Self::Unnamed
    }

    fn to_system(&self) -> io::Result<SockAddr> {
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

/// A connection over a Unix socket, for one or two processes: reading and writing are independent.
///
/// ```
/// use riot_socket::{Connection, UnixStream};
///
/// # let reason = riot_actor::run(async {
/// let (here, there) = UnixStream::pair()?;
/// let (mut here, mut there) = (Connection::try_from(here)?, Connection::try_from(there)?);
/// here.write_all(b"hello").await?;
/// let mut buffer = [0; 5];
/// there.read_exact(&mut buffer).await?;
/// # Ok::<(), riot_actor::Reason>(())
/// # });
/// # assert_eq!(reason, riot_actor::Reason::Normal);
/// ```
pub struct UnixStream(pub(crate) IoSource<mio::net::UnixStream>);

impl UnixStream {
    /// Wraps a connected socket.
    ///
    /// # Errors
    /// Those of the system.
    pub fn from_std(stream: std::os::unix::net::UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self(IoSource::new(mio::net::UnixStream::from_std(stream))))
    }

    /// Returns the two ends of a connection.
    ///
    /// # Errors
    /// Those of socketpair(2).
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = mio::net::UnixStream::pair()?;
        Ok((Self(IoSource::new(one)), Self(IoSource::new(other))))
    }

    /// Connects to a path or an abstract name.
    ///
    /// # Errors
    /// Those of connect(2).
    ///
    /// # Cancel safety
    /// If the future is dropped before it is ready, the attempt is given up.
    ///
    /// # Panics
    /// Outside a process.
    pub async fn connect(address: impl Into<UnixAddress>) -> io::Result<Self> {
        let address = address.into().to_system()?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
        match socket.connect(&address) {
            // The backlog is full, and no event reports when it has room: only a blocking connect waits for
            // that.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let connecting = move || {
                    socket.set_nonblocking(false)?;
                    socket.connect(&address).map(|()| socket)
                };
                return Self::from_std(blocking(connecting).await?.into());
            }
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
            _ => {}
        }
        let stream = Self::from_std(socket.into())?;
        let outcome = |socket: &mio::net::UnixStream| match socket.take_error()? {
            Some(error) => Err(error),
            None => socket.peer_addr(),
        };
        stream.0.connected(outcome).await?;
        Ok(stream)
    }

    /// Returns the address of the peer.
    ///
    /// # Errors
    /// Those of the system.
    pub fn peer_addr(&self) -> io::Result<UnixAddress> {
        self.0.get().peer_addr().map(|address| UnixAddress::from_system(&address))
    }

    /// Returns the address of this side.
    ///
    /// # Errors
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<UnixAddress> {
        self.0.get().local_addr().map(|address| UnixAddress::from_system(&address))
    }
}

impl fmt::Debug for UnixStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.get().fmt(f)
    }
}

impl_socket_transport!(UnixStream, Address::Unix);

/// A listening Unix socket. If it was bound to a path by [`UnixBind`], its file is removed when it is
/// dropped.
///
/// ```
/// use riot_socket::UnixListener;
///
/// # let folder = std::env::temp_dir().join(format!("riot-unix-listener-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// # let path = folder.join("socket");
/// let listener = UnixListener::from_std(std::os::unix::net::UnixListener::bind(&path)?)?;
/// assert_eq!(listener.local_addr()?, path.into());
/// # std::fs::remove_dir_all(folder)?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct UnixListener {
    socket: IoSource<mio::net::UnixListener>,
    _file: Option<SocketFile>,
}

impl UnixListener {
    /// Wraps a listening socket, such as one inherited from a service manager. Its file stays when it is
    /// dropped.
    ///
    /// # Errors
    /// Those of the system.
    pub fn from_std(listener: std::os::unix::net::UnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self { socket: IoSource::new(mio::net::UnixListener::from_std(listener)), _file: None })
    }

    /// Returns the address it listens on.
    ///
    /// # Errors
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<UnixAddress> {
        self.socket.get().local_addr().map(|address| UnixAddress::from_system(&address))
    }
}

impl fmt::Debug for UnixListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket.get().fmt(f)
    }
}

impl Listen for UnixListener {
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Arc<dyn Transport>, Address)>> {
        let accept = mio::net::UnixListener::accept;
        self.socket.poll(cx, Direction::Read, accept, |_| false).map_ok(|(stream, peer)| {
            let transport: Arc<dyn Transport> = Arc::new(UnixStream(IoSource::new(stream)));
            (transport, Address::Unix(UnixAddress::from_system(&peer)))
        })
    }

    fn uses_poller(&self) -> bool {
        true
    }

    fn local_address(&self) -> io::Result<Address> {
        self.local_addr().map(Address::Unix)
    }
}

/// A Unix socket to bind. A stale file at its path, left by a server that has ended, is replaced. A file at
/// which a process listens is not, nor is a file that is no socket.
///
/// ```
/// use riot_socket::{Connection, Server, UnixBind};
///
/// # let folder = std::env::temp_dir().join(format!("riot-unix-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// # let path = folder.join("socket");
/// # let reason = riot_actor::run(async move {
/// let server = Server::listen(UnixBind::new(&path).mode(0o660))
///     .start_link(|mut connection: Connection| async move { connection.write_all(b"hello").await })
///     .await?;
/// let mut client = Connection::connect_unix(&path).await?;
/// assert_eq!(client.read_to_end(5).await?, b"hello");
/// # server.stop(std::time::Duration::ZERO).await;
/// # assert!(!path.exists());
/// # std::fs::remove_dir_all(folder)?;
/// # Ok::<(), riot_actor::Reason>(())
/// # });
/// # assert_eq!(reason, riot_actor::Reason::Normal);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing listens before the address is bound"]
pub struct UnixBind {
    address: UnixAddress,
    mode: Option<u32>,
    backlog: u32,
}

impl UnixBind {
    /// Returns a socket to bind at a path or under an abstract name.
    pub fn new(address: impl Into<UnixAddress>) -> Self {
        Self { address: address.into(), mode: None, backlog: 1024 }
    }

    /// Sets the permissions of the file, which decide which users may connect. They are set before the socket
    /// listens; default by the process's umask.
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = Some(mode);
        self
    }

    /// Sets the number of clients that wait in the system's backlog before it refuses more; default 1024.
    pub fn backlog(mut self, clients: u32) -> Self {
        self.backlog = clients;
        self
    }

    fn listen(&self) -> io::Result<UnixListener> {
        let address = self.address.to_system()?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
        let path = match &self.address {
            UnixAddress::Path(path) => Some(path),
            _ => None,
        };
        match (socket.bind(&address), path) {
            (Err(error), Some(path)) if error.kind() == io::ErrorKind::AddrInUse && is_stale(path)? => {
                fs::remove_file(path)?;
                socket.bind(&address)?;
            }
            (result, _) => result?,
        }
        // From here on the file is removed if the bind fails.
        let file = path.map(|path| SocketFile::ours(path)).transpose()?;
        if let (Some(path), Some(mode)) = (path, self.mode) {
            fs::set_permissions(path, Permissions::from_mode(mode))?;
        }
        socket.listen(i32::try_from(self.backlog).unwrap_or(i32::MAX))?;
        let socket = IoSource::new(mio::net::UnixListener::from_std(socket.into()));
        Ok(UnixListener { socket, _file: file })
    }
}

impl Bind for UnixBind {
    fn bind(&self) -> io::Result<Arc<dyn Listen>> {
        match self.listen() {
            Ok(listener) => Ok(Arc::new(listener)),
            Err(error) => {
                let text = match error.kind() {
                    io::ErrorKind::AddrInUse => "the address is in use".into(),
                    _ => error.to_string(),
                };
                Err(io::Error::new(error.kind(), format!("cannot listen on {}: {text}", self.address)))
            }
        }
    }
}

/// Returns whether there is a socket at `path` at which no process listens.
fn is_stale(path: &Path) -> io::Result<bool> {
    if !fs::symlink_metadata(path)?.file_type().is_socket() {
        return Ok(false);
    }
    // The probe does not wait: a full backlog shows that a process listens.
    let probe = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    let refused = probe.connect(&SockAddr::unix(path)?).map_err(|error| error.kind());
    Ok(refused == Err(io::ErrorKind::ConnectionRefused))
}

/// The file of a listening socket. It is removed when this is dropped, unless another file has replaced it.
struct SocketFile {
    path: PathBuf,
    inode: (u64, u64),
}

impl SocketFile {
    fn ours(path: &Path) -> io::Result<Self> {
        // The path is made absolute, so that a later change of the working directory does not change which
        // file it is.
        let path = std::path::absolute(path)?;
        let inode = inode(&path)?;
        Ok(Self { path, inode })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if inode(&self.path).is_ok_and(|now| now == self.inode)
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(target: "riot::socket", "removing {}: {error}", self.path.display());
        }
    }
}

fn inode(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|file| (file.dev(), file.ino()))
}

//! Unix sockets, for processes of one machine.

use std::{
    ffi::OsStr,
    fmt,
    fs::{self, File, Permissions},
    io::{self, IoSlice},
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

use super::{Address, Bind, Listen, ReadOutcome, Shutdown, Transport};
use crate::io::{readiness::Direction, send_file, source::IoSource};

/// Where a Unix socket is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UnixAddress {
    /// Nowhere, as clients are.
    Unnamed,
    /// At a place in the file system.
    Path(PathBuf),
    /// Under a name of its own, without a file (Linux).
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

/// As `ss` and HAProxy write it: abstract names behind an `@`.
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

/// A connection over a Unix socket, for one or two processes: reading and writing are independent of each other.
pub struct UnixStream(pub(crate) IoSource<mio::net::UnixStream>);

impl UnixStream {
    /// Takes over a connected socket.
    ///
    /// # Errors
    /// Those of the system.
    pub fn from_std(stream: std::os::unix::net::UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self(IoSource::new(mio::net::UnixStream::from_std(stream))))
    }

    /// Two ends of one connection.
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
    /// Dropped before it is ready, the attempt is given up.
    ///
    /// # Panics
    /// Outside a process.
    pub async fn connect(address: impl Into<UnixAddress>) -> io::Result<Self> {
        let address = address.into().to_system()?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
        match socket.connect(&address) {
            // Its backlog is full, and no event tells when there is room: only a connect that blocks waits for it.
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

    /// The address of the other side.
    ///
    /// # Errors
    /// Those of the system.
    pub fn peer_addr(&self) -> io::Result<UnixAddress> {
        self.0.get().peer_addr().map(|address| UnixAddress::from_system(&address))
    }

    /// The address of this side.
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

impl Transport for UnixStream {
    fn is_buffered(&self) -> bool {
        false
    }

    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.0.poll_receive(cx, buffer)
    }

    fn poll_read_hint(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<ReadOutcome>> {
        self.0.poll_receive_hint(cx, buffer)
    }

    fn poll_write(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.0.poll_send(cx, slices)
    }

    #[cfg(target_os = "linux")]
    fn poll_send_file(
        &self,
        cx: &mut Context<'_>,
        file: &File,
        offset: u64,
        length: usize,
    ) -> Poll<io::Result<usize>> {
        send_file::poll_send(&self.0, cx, file, offset, length)
    }

    fn local_address(&self) -> io::Result<Address> {
        self.local_addr().map(Address::Unix)
    }

    fn shutdown(&self, side: Shutdown) -> io::Result<()> {
        match self.0.get().shutdown(side) {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            result => result,
        }
    }
}

/// A listening Unix socket. The file of one that was bound to a path is removed when it is dropped.
pub struct UnixListener {
    socket: IoSource<mio::net::UnixListener>,
    _file: Option<SocketFile>,
}

impl UnixListener {
    /// Takes over a listening socket, such as one inherited from a supervisor of services. Its file stays.
    ///
    /// # Errors
    /// Those of the system.
    pub fn from_std(listener: std::os::unix::net::UnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self { socket: IoSource::new(mio::net::UnixListener::from_std(listener)), _file: None })
    }

    /// Where it listens.
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

/// A Unix socket to bind. A file that a server which is no more has left at its path is replaced; one that somebody
/// listens at is not, nor is anything that is no socket.
///
/// ```
/// use riot_socket::{Connection, Server, UnixBind};
///
/// # let folder = std::env::temp_dir().join(format!("riot-unix-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// # let path = folder.join("socket");
/// # riot_actor::run(async move {
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
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing listens before it is bound"]
pub struct UnixBind {
    address: UnixAddress,
    mode: Option<u32>,
    backlog: u32,
}

impl UnixBind {
    /// At a path or under an abstract name.
    pub fn new(address: impl Into<UnixAddress>) -> Self {
        Self { address: address.into(), mode: None, backlog: 1024 }
    }

    /// Who may connect: the permissions of the file, set before anybody can; default as the process's umask has it.
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = Some(mode);
        self
    }

    /// Clients the system keeps waiting before it refuses more; default 1024.
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
        // From here on the file is ours to remove, however this ends.
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

/// Whether there is a socket at `path` that nobody listens at.
fn is_stale(path: &Path) -> io::Result<bool> {
    if !fs::symlink_metadata(path)?.file_type().is_socket() {
        return Ok(false);
    }
    // Without waiting: a full backlog is somebody's.
    let probe = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    let refused = probe.connect(&SockAddr::unix(path)?).map_err(|error| error.kind());
    Ok(refused == Err(io::ErrorKind::ConnectionRefused))
}

/// The file of a socket that listens. Removed when dropped, unless another has taken its place meanwhile.
struct SocketFile {
    path: PathBuf,
    inode: (u64, u64),
}

impl SocketFile {
    fn ours(path: &Path) -> io::Result<Self> {
        // Whoever changes the directory later must not decide which file is removed.
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

//! Binding a Unix socket: its file, and the permissions of it.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt,
    sync::Arc,
};

use parking_lot::Mutex;
use socket2::{Domain, Socket, Type};

use super::{
    UnixAddress, UnixListener,
    socket_file::{SocketFile, replace_stale},
};
use crate::{
    io::source::IoSource,
    transport::{Bind, Listen},
};

/// A Unix socket to bind. A stale file at its path, left by a server that has ended, is replaced. A file to
/// which a process has bound a socket is not, also while that does not listen yet, nor is a file that is no
/// socket. When the server ends, its file is removed, unless another file has taken the path.
///
/// A file `PATH.lock` is there for the short time in which a stale file is replaced. Of two servers that
/// start at once, one gets the path; the other fails with [`AddrInUse`](std::io::ErrorKind::AddrInUse). A
/// path has at most 107 bytes on Linux; a longer one is
/// [`InvalidInput`](std::io::ErrorKind::InvalidInput). An abstract name has no file.
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
            (Err(error), Some(path)) if error.kind() == io::ErrorKind::AddrInUse => {
                replace_stale(path, || socket.bind(&address))?;
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
        Ok(UnixListener { file: Mutex::new(file), socket, shared: false })
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

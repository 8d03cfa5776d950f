//! The files of listening Unix sockets: when one may be replaced, and when ours is removed.
//!
//! The system decides whether a file is live, not a lock that only some programs know: a file is stale if no
//! socket is bound to it. A lock beside the path is held only while a stale file is replaced, so that of two
//! servers that start at once one gets the path. A crash at any instant leaves at most an empty lock file or
//! a stale file, which the next start replaces.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use socket2::{Domain, SockAddr, Socket, Type};

/// Bounds the attempts to lock a lock file that others remove meanwhile.
const MAX_LOCK_ATTEMPTS: usize = 10;

/// Removes the stale file at `path`, calls `bind`, and lets no other server do this meanwhile.
///
/// # Errors
/// [`io::ErrorKind::AddrInUse`] if there is something else than a stale file, or if another server is
/// replacing it; those of `bind`.
pub(super) fn replace_stale<T>(path: &Path, bind: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    match stale(path) {
        Ok(Some(_)) => {}
        Ok(None) => return Err(io::ErrorKind::AddrInUse.into()),
        // Its server has just ended.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return bind(),
        Err(error) => return Err(error),
    }
    let lock = ReplacementLock::acquire(path)?;
    // Another server may have replaced the file before the lock was acquired.
    let removed = match stale(path)? {
        Some(file) => take_away(path, file)?,
        None => false,
    };
    let bound = if removed { bind() } else { Err(io::ErrorKind::AddrInUse.into()) };
    drop(lock);
    bound
}

/// Returns the identity of the file at `path` if it is that of a socket, and no process has one bound to it.
/// A live file is left alone also while its process does not listen yet.
fn stale(path: &Path) -> io::Result<Option<FileIdentity>> {
    let file = fs::symlink_metadata(path)?;
    if !file.file_type().is_socket() {
        return Ok(None);
    }
    // The system looks for the socket of the file before it compares the types. So a connect of another type
    // is refused only where there is no socket, and the process of a live one notices nothing. A stream would
    // be refused by a socket that does not listen yet too.
    let probe = Socket::new(Domain::UNIX, Type::DGRAM.nonblocking(), None)?;
    let refused = probe.connect(&SockAddr::unix(path)?).map_err(|error| error.kind());
    Ok((refused == Err(io::ErrorKind::ConnectionRefused)).then(|| FileIdentity::of(&file)))
}

/// The identity of a file. The number of an inode is used again when its file is gone, so the time at which
/// the file was made belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileIdentity {
    device: u64,
    inode: u64,
    made: (i64, i64),
}

impl FileIdentity {
    fn of(file: &fs::Metadata) -> Self {
        Self { device: file.dev(), inode: file.ino(), made: (file.mtime(), file.mtime_nsec()) }
    }

    fn at(path: &Path) -> io::Result<Self> {
        fs::symlink_metadata(path).map(|file| Self::of(&file))
    }
}

/// Removes the file at `path` if it is `file`, and returns whether it did. A file that takes its place at the
/// same instant stays.
fn take_away(path: &Path, file: FileIdentity) -> io::Result<bool> {
    if FileIdentity::at(path)? != file {
        return Ok(false);
    }
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Relaxed);
    let aside = beside(path, &format!(".{}.{number}.stale", std::process::id()));
    match rename_to_new(path, &aside) {
        Ok(()) if FileIdentity::at(&aside)? == file => fs::remove_file(&aside).map(|()| true),
        // Another file had just taken the place. It gets its name back.
        Ok(()) => rename_to_new(&aside, path).map(|()| false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        // The file system has no such rename.
        Err(_) => fs::remove_file(path).map(|()| true),
    }
}

/// Renames a file, and fails if there is one at `to`.
fn rename_to_new(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)?)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// The lock of the servers that replace the file at one path. The system releases it when its process ends.
struct ReplacementLock {
    path: PathBuf,
    _file: File,
}

impl ReplacementLock {
    /// Acquires the lock, without waiting.
    fn acquire(socket: &Path) -> io::Result<Self> {
        let path = beside(socket, ".lock");
        for _ in 0..MAX_LOCK_ATTEMPTS {
            let mut options = OpenOptions::new();
            let options = options.write(true).create(true).truncate(false).mode(0o600);
            let file = options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(&path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(fs::TryLockError::WouldBlock) => break,
                Err(fs::TryLockError::Error(error)) => return Err(error),
            }
            // The holder before may have removed the file after it was opened here: then the lock excludes no
            // other process.
            let locked = file.metadata()?;
            if fs::symlink_metadata(&path)
                .is_ok_and(|now| (now.dev(), now.ino()) == (locked.dev(), locked.ino()))
            {
                return Ok(Self { path, _file: file });
            }
        }
        Err(io::Error::new(io::ErrorKind::AddrInUse, "another server starts at this path"))
    }
}

impl Drop for ReplacementLock {
    fn drop(&mut self) {
        // A file that stays excludes no process.
        let _ = fs::remove_file(&self.path);
    }
}

/// The file of a listening socket. It is removed when this is dropped, unless another file has replaced it.
/// It must be dropped before the socket, which keeps the number of its inode from being used again.
pub(super) struct SocketFile {
    path: PathBuf,
    file: FileIdentity,
}

impl SocketFile {
    pub(super) fn ours(path: &Path) -> io::Result<Self> {
        // The path is made absolute, so that a later change of the working directory does not change which
        // file it is.
        let path = std::path::absolute(path)?;
        let file = FileIdentity::at(&path)?;
        Ok(Self { path, file })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        match take_away(&self.path, self.file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                riot_actor::log_event!(WARN, "riot::socket", "removing {}: {error}", self.path.display());
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder that is removed with its content.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("riot-socket-file-{}-{name}", std::process::id()));
            fs::create_dir(&path).expect("the folder is new");
            Self(path)
        }

        fn names(&self) -> Vec<OsString> {
            let mut names: Vec<_> = fs::read_dir(&self.0)
                .expect("a folder")
                .map(|entry| entry.expect("a file").file_name())
                .collect();
            names.sort();
            names
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn bound(path: &Path, kind: Type) -> Socket {
        let socket = Socket::new(Domain::UNIX, kind, None).expect("a socket");
        socket.bind(&SockAddr::unix(path).expect("a path")).expect("the path is free");
        socket
    }

    #[test]
    fn b02_a_file_is_stale_only_without_a_socket() {
        let folder = Folder::new("stale");
        let path = folder.0.join("socket");
        for kind in [Type::STREAM, Type::DGRAM, Type::SEQPACKET] {
            let socket = bound(&path, kind);
            assert_eq!(stale(&path).expect("a file"), None, "{kind:?}, bound");
            if kind != Type::DGRAM {
                socket.listen(1).expect("it listens");
                assert_eq!(stale(&path).expect("a file"), None, "{kind:?}, listening");
            }
            drop(socket);
            let file = stale(&path).expect("a file").expect("no socket is left");
            assert!(take_away(&path, file).expect("the file can be removed"));
        }
        assert_eq!(folder.names(), [""; 0]);
    }

    #[test]
    fn b02_a_file_that_took_the_place_of_a_stale_one_stays() {
        let folder = Folder::new("took");
        let path = folder.0.join("socket");
        drop(bound(&path, Type::STREAM));
        let file = stale(&path).expect("a file").expect("no socket is left");
        fs::remove_file(&path).expect("it is there");
        let _live = bound(&path, Type::STREAM);
        assert!(!take_away(&path, file).expect("the folder can be read"));
        // The other order: the file is replaced after it was looked at.
        let aside = beside(&path, ".aside");
        rename_to_new(&path, &aside).expect("no such file");
        assert!(rename_to_new(&aside, &aside).is_err(), "a file is never overwritten");
        rename_to_new(&aside, &path).expect("no such file");
        assert_eq!(folder.names(), ["socket"]);
    }

    #[test]
    fn b02_a_server_that_replaces_a_file_excludes_others() {
        let folder = Folder::new("lock");
        let path = folder.0.join("socket");
        drop(bound(&path, Type::STREAM));
        let inner = replace_stale(&path, || {
            assert!(replace_stale(&path, || Ok(())).is_ok(), "the file is gone, so a bind may succeed");
            drop(bound(&path, Type::STREAM));
            let other = replace_stale(&path, || Ok(())).expect_err("the path is locked");
            assert_eq!(other.kind(), io::ErrorKind::AddrInUse);
            Ok(())
        });
        inner.expect("the file was stale");
        assert_eq!(folder.names(), ["socket"], "the lock file is removed");
        // A lock file of a server that was killed does not exclude the next.
        fs::write(beside(&path, ".lock"), "").expect("there is room");
        replace_stale(&path, || Ok(())).expect("the file is stale");
        assert_eq!(folder.names(), [""; 0]);
    }

    #[test]
    fn b02_a_lock_file_that_is_a_link_is_not_followed() {
        let folder = Folder::new("link");
        let path = folder.0.join("socket");
        drop(bound(&path, Type::STREAM));
        std::os::unix::fs::symlink(folder.0.join("elsewhere"), beside(&path, ".lock")).expect("a link");
        assert!(replace_stale(&path, || Ok(())).is_err());
        assert!(!folder.0.join("elsewhere").exists() && path.exists());
    }
}

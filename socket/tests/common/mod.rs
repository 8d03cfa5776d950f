//! What the tests have in common: an echo, and a place for files.
#![allow(unreachable_pub, dead_code, reason = "shared by several crates, each of which uses its own part")]

use std::{
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use riot_actor::Reason;
use riot_socket::Connection;

/// A protocol: what a client sends comes back.
pub async fn echo(mut connection: Connection) -> io::Result<()> {
    let mut buffer = [0; 1024];
    loop {
        match connection.read(&mut buffer).await? {
            0 => return connection.close().await,
            read => connection.write_all(&buffer[..read]).await?,
        }
    }
}

pub async fn says_it_back(client: &mut Connection, text: &[u8]) {
    client.write_all(text).await.expect("the client can write");
    let mut back = vec![0; text.len()];
    client.read_exact(&mut back).await.expect("the client gets its answer");
    assert_eq!(back, text);
}

/// Runs a program that has to end well.
pub fn run(main: impl Future<Output = Result<(), Reason>> + Send + 'static) {
    assert_eq!(riot_actor::run(main), Reason::Normal);
}

/// A folder of a test's own, removed with everything in it when dropped.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("riot-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).expect("the folder is new");
        Self(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl AsRef<Path> for Folder {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

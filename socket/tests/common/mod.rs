//! Helpers of the tests: an echo protocol, its clients, and a folder for files.
#![allow(dead_code, unreachable_pub, reason = "every file of tests uses a part of it")]

use std::{
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use riot_actor::{Down, Pid, Reason, exit, monitor, sleep};
use riot_socket::{Connection, memory::Listener};

pub const SEEDS: std::ops::Range<u64> = 0..40;

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

/// A protocol that never ends by itself.
pub async fn never_ends(connection: Connection) {
    std::future::pending::<()>().await;
    drop(connection);
}

/// Connects a number of clients.
pub fn connect(listener: &Listener, clients: usize) -> Vec<Connection> {
    (0..clients).map(|_| listener.connect().expect("the listener is bound")).collect()
}

pub async fn kill(pid: Pid) {
    let down = monitor(pid);
    exit(pid, Reason::Kill);
    let Down { reason, .. } = down.down().await;
    assert_eq!(reason, Reason::Killed);
}

/// Lets all runnable processes run, and the clock go on by 10 ms.
pub async fn settle() {
    sleep(Duration::from_millis(10)).await;
}

/// Runs a program, which must end with `Normal`.
pub fn run(main: impl Future<Output = Result<(), Reason>> + Send + 'static) {
    assert_eq!(riot_actor::run(main), Reason::Normal);
}

/// A folder of one test. It is removed with its content when dropped.
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

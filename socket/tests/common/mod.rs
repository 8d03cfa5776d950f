//! What the tests of servers share: an echo, clients of it, and who is in the tree.
#![allow(dead_code, unreachable_pub, reason = "every file of tests uses a part of it")]

use std::{io, time::Duration};

use riot_actor::{Down, Pid, Reason, exit, monitor, sleep};
use riot_socket::{Connection, memory::Listener};

pub const SEEDS: std::ops::Range<u64> = 0..40;

pub async fn echo(mut connection: Connection) -> io::Result<()> {
    let mut buffer = [0; 1024];
    loop {
        match connection.read(&mut buffer).await? {
            0 => return Ok(()),
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
pub async fn holds_on(connection: Connection) {
    std::future::pending::<()>().await;
    drop(connection);
}

/// So many clients that have just connected.
pub fn connect(listener: &Listener, clients: usize) -> Vec<Connection> {
    (0..clients).map(|_| listener.connect().expect("it listens")).collect()
}

pub async fn kill(pid: Pid) {
    let down = monitor(pid);
    exit(pid, Reason::Kill);
    let Down { reason, .. } = down.down().await;
    assert_eq!(reason, Reason::Killed);
}

/// Lets everything run that can, and the clock go on a little.
pub async fn settle() {
    sleep(Duration::from_millis(10)).await;
}

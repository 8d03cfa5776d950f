//! A connection that is cut leaves nothing in the system (B25).
#![cfg(target_os = "linux")]

mod common;
#[path = "common/in_the_system.rs"]
mod in_the_system;

use std::{io, net::TcpStream, time::Duration};

use common::run;
use in_the_system::{in_the_system, is_reset};
use riot_actor::{Reason, runtime::blocking, sleep};
use riot_socket::{Connection, ConnectionTimeouts, Server};

/// Sends without an end.
async fn endless(mut connection: Connection) -> io::Result<()> {
    loop {
        connection.write_all(&[b'x'; 64 * 1024]).await?;
    }
}

/// Serves a client that takes nothing, until the connection is cut.
fn cut(timeouts: ConnectionTimeouts, hook: bool, stop: Option<Duration>) {
    run(async move {
        let server = Server::bind("127.0.0.1:0")?.connection_timeouts(timeouts);
        let server = server.start_link(move |connection: Connection| {
            if hook {
                connection.on_drain(|| {});
            }
            endless(connection)
        });
        let server = server.await?;
        let address = server.local_addr();
        let mut client = blocking(move || TcpStream::connect(address)).await?;
        while server.info().bytes_sent < 64 * 1024 {
            sleep(Duration::from_millis(1)).await;
        }
        match stop {
            Some(limit) => drop(server.stop(limit).await),
            None => server.wait_for_connections(|connections| connections == 0).await,
        }
        assert_eq!(in_the_system(address, client.local_addr()?), [""; 0]);
        assert!(blocking(move || is_reset(&mut client)).await);
        Ok::<(), Reason>(())
    });
}

#[test]
fn b25_a_write_stall_leaves_nothing_in_the_system() {
    cut(ConnectionTimeouts::new().write_stall_timeout(Duration::from_millis(200)), false, None);
}

#[test]
fn b25_the_deadline_of_a_drain_leaves_nothing_in_the_system() {
    for hook in [false, true] {
        cut(ConnectionTimeouts::new(), hook, Some(Duration::from_millis(200)));
    }
}

//! A connection that is cut leaves nothing in the system (B25).
#![cfg(target_os = "linux")]

mod common;

use std::{
    io::{self, Read},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use common::run;
use riot_actor::{Reason, runtime::blocking, sleep};
use riot_socket::{Connection, ConnectionTimeouts, Server};

/// Returns the states and send queues of the server's sockets that are connected with the client, as
/// `/proc/net/tcp` shows them.
fn in_the_system(server: SocketAddr, client: SocketAddr) -> Vec<String> {
    let (server, client) = (format!(":{:04X}", server.port()), format!(":{:04X}", client.port()));
    let table = std::fs::read_to_string("/proc/net/tcp").expect("Linux has it");
    let fields = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    fields
        .filter(|fields| fields.len() > 4 && fields[1].ends_with(&server) && fields[2].ends_with(&client))
        .map(|fields| format!("state {} queues {}", fields[3], fields[4]))
        .collect()
}

/// Returns whether the client's connection ends with a reset, behind what it had received.
fn is_reset(client: &mut TcpStream) -> bool {
    client.set_read_timeout(Some(Duration::from_secs(20))).expect("more than zero");
    let mut buffer = vec![0; 1 << 20];
    loop {
        match client.read(&mut buffer) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) => return error.kind() == io::ErrorKind::ConnectionReset,
        }
    }
}

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

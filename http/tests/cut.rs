//! A connection that is cut leaves nothing in the system (B25 of the contract of `riot-socket`).
#![cfg(all(feature = "driver", target_os = "linux"))]

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use riot_actor::{Reason, runtime::blocking, sleep};
use riot_http::{Reqd, Response, Server, Timeouts};

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

async fn handle(reqd: Reqd) {
    if reqd.request().path() == "/whole" {
        let _ = reqd.respond_with_bytes(Response::ok(), vec![b'x'; 64 << 20]);
    } else if let Ok(mut body) = reqd.respond_with_streaming(Response::ok()) {
        while body.write(vec![b'x'; 64 * 1024]).await.is_ok() {}
    }
}

/// Serves a client that takes nothing, until the connection is cut.
fn cut(path: &'static str, timeouts: Timeouts, stop: Option<Duration>) {
    let reason = riot_actor::run(async move {
        let server = Server::bind("127.0.0.1:0")?.timeouts(timeouts).handler(handle).start_link().await?;
        let address = server.local_addr();
        let mut client = blocking(move || TcpStream::connect(address)).await?;
        client.write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes())?;
        while server.info().bytes_sent < 64 * 1024 {
            sleep(Duration::from_millis(1)).await;
        }
        match stop {
            Some(limit) => drop(server.stop(limit).await),
            None => {
                server.wait_for_connections(|connections| connections == 0).await;
            }
        }
        // The last word of a flow may take a second.
        while in_the_system(address, client.local_addr()?).iter().any(|socket| socket.contains("state 01")) {
            sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(in_the_system(address, client.local_addr()?), [""; 0], "{path}");
        assert!(blocking(move || is_reset(&mut client)).await, "{path}");
        Ok::<(), Reason>(())
    });
    assert_eq!(reason, Reason::Normal);
}

#[test]
fn b25_a_write_stall_leaves_nothing_in_the_system() {
    for path in ["/stream", "/whole"] {
        cut(path, Timeouts::new().write_stall_timeout(Duration::from_millis(200)), None);
    }
}

#[test]
fn b25_the_deadline_of_a_drain_leaves_nothing_in_the_system() {
    for path in ["/stream", "/whole"] {
        cut(path, Timeouts::new(), Some(Duration::from_millis(200)));
    }
}

//! A connection that is cut leaves nothing in the system (B25 of the contract of `riot-socket`).
#![cfg(all(feature = "driver", target_os = "linux"))]

#[path = "../../socket/tests/common/in_the_system.rs"]
mod in_the_system;

use std::{io::Write, net::TcpStream, time::Duration};

use in_the_system::{in_the_system, is_reset};
use riot_actor::{Reason, runtime::blocking, sleep};
use riot_http::{Reqd, Response, Server, Timeouts};

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

//! Any process of the tree is killed while clients are connected, on real sockets and real threads: the next
//! client is served, and nothing is left behind, neither processes nor descriptors.
#![cfg(all(feature = "driver", target_os = "linux"))]

#[path = "common/ask.rs"]
mod ask;
#[path = "../../socket/tests/common/descriptors.rs"]
mod descriptors;

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ask::ask;
use descriptors::Descriptors;
use riot_actor::{
    Reason, exit, monitor, now,
    process::{join, processes, tree},
    runtime::Config,
    sleep, timeout,
};
use riot_http::{Request, Response, Server, ServerHandle};
use riot_socket::{Address, Connection, TcpStream};

/// Descriptors are counted for the whole program, so one test at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

async fn connect(address: SocketAddr) -> io::Result<Connection> {
    Ok(Connection::new(Arc::new(TcpStream::connect(address).await?), Address::Ip(address)))
}

/// The next client is served: it may have to knock more than once while a supervisor restarts what was
/// killed.
async fn next_client_is_served(address: SocketAddr) {
    let limit = now() + Duration::from_secs(20);
    loop {
        let attempt =
            timeout(Duration::from_secs(2), async { ask(&mut connect(address).await?).await }).await;
        match attempt {
            Ok(Ok(())) => return,
            _ if now() < limit => sleep(Duration::from_millis(1)).await,
            failed => panic!("nobody is served any more: {failed:?}\n{}", tree()),
        }
    }
}

/// Waits until something is so; it is going to be.
async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let limit = now() + Duration::from_secs(20);
    while !is_so() {
        assert!(now() < limit, "{what}\n{}", tree());
        sleep(Duration::from_millis(1)).await;
    }
}

/// Kills every process with this label that there is when a few clients are connected.
fn kill(label: &'static str, processes_left: usize) {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let before = Descriptors::open();
    let reason = Config::new().workers(2).run(async move {
        let server: ServerHandle = Server::bind("127.0.0.1:0")?
            .acceptors(3)
            .service(|_| async { Response::text("Hello, World!") })
            .start_link()
            .await?;
        let address = server.local_addr();
        let at_rest = processes().len();
        let mut clients = Vec::new();
        for _ in 0..3 {
            let mut client = connect(address).await?;
            ask(&mut client).await?;
            clients.push(client);
        }
        let victims = tree().labelled(label);
        assert!(!victims.is_empty(), "there is a {label}");
        let victim = victims[0];
        let down = monitor(victim);
        exit(victim, Reason::Kill);
        assert_eq!(down.down().await.reason, Reason::Killed);

        next_client_is_served(address).await;
        drop(clients);
        eventually("connections end", || server.info().active == 0).await;
        eventually("the tree is whole again", || processes().len() == at_rest).await;
        assert_eq!(tree().labelled("Acceptor.Worker").len(), processes_left);
        next_client_is_served(address).await;
        let top = server.pid().expect("it runs");
        server.stop(Duration::from_secs(5)).await;
        join(&[top]).await;
        Ok::<(), Reason>(())
    });
    assert_eq!(reason.expect("it runs"), Reason::Normal);
    before.none_left();
}

#[test]
fn a_reader() {
    kill("Reader", 3);
}

#[test]
fn a_writer() {
    kill("Writer", 3);
}

#[test]
fn a_connector() {
    kill("Connector", 3);
}

#[test]
fn an_acceptor() {
    kill("Acceptor.Worker", 3);
}

#[test]
fn the_acceptors_supervisor() {
    kill("Acceptor.Sup", 3);
}

#[test]
fn a_connections_supervisor() {
    kill("Connections.Sup", 3);
}

#[test]
fn the_supervisor_above_them() {
    kill("Connections.Sup.Sup", 3);
}

#[test]
fn h02_a_request_whose_process_is_killed_is_answered_with_500() {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let before = Descriptors::open();
    let reason = Config::new().workers(2).run(async {
        let server = Server::bind("127.0.0.1:0")?
            .service(|request: Request| async move {
                if request.path() == "/stuck" {
                    std::future::pending::<()>().await;
                }
                Response::text("Hello, World!")
            })
            .start_link()
            .await?;
        let at_rest = processes().len();
        for label in ["Connector", "Reader", "Writer"] {
            for _ in 0..10 {
                let mut client = connect(server.local_addr()).await?;
                // A part of the body stays unread, so that a careless close would be a reset.
                client.write_all(b"POST /stuck HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhi").await?;
                eventually("it is handled", || {
                    server.connections().iter().any(|connection| connection.state == "handling")
                })
                .await;
                exit(tree().labelled(label)[0], Reason::Kill);
                let heard = client.read_to_end(10_000).await?;
                let heard = String::from_utf8_lossy(&heard).into_owned();
                assert!(heard.starts_with("HTTP/1.1 500 "), "{label}: {heard}");
                drop(client);
                eventually("the connection ends", || server.info().active == 0).await;
                eventually("nothing is left", || processes().len() == at_rest).await;
            }
        }
        next_client_is_served(server.local_addr()).await;
        let top = server.pid().expect("it runs");
        server.stop(Duration::from_secs(5)).await;
        join(&[top]).await;
        Ok::<(), Reason>(())
    });
    assert_eq!(reason.expect("it runs"), Reason::Normal);
    before.none_left();
}

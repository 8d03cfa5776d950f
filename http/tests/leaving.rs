//! A client that leaves is noticed, whatever the state of its connection (H11, H12): in simulation, and on
//! sockets of the system.
#![cfg(feature = "driver")]

use std::{
    io::Write,
    net::{Shutdown, TcpStream},
    time::Duration,
};

use riot_actor::{
    Pid, Reason, now, receive, runtime::blocking, send, simulation::Simulation, sleep, this, timeout,
};
use riot_http::{Reqd, Response, Server, ServerHandle, Timeouts};
use riot_socket::{Connection, memory::Listener};
use socket2::SockRef;

/// The longest time that a test on sockets of the system waits for an event.
const LONG: Duration = Duration::from_secs(20);

/// Tells the test when a handler is dropped.
struct Guard(Pid);

impl Drop for Guard {
    fn drop(&mut self) {
        send(self.0, "dropped");
    }
}

/// Handles a request without an end of its own, and tells the test when it begins and when it is dropped.
async fn handle(reqd: Reqd, test: Pid) {
    let path = reqd.request().path().to_owned();
    let _guard = Guard(test);
    if path == "/kept" {
        reqd.keep_handler();
    }
    let mut body = None;
    match path.as_str() {
        "/stream" | "/endless" => {
            let mut stream = reqd.respond_with_streaming(Response::ok()).expect("it is the first response");
            while path == "/endless" && stream.write(vec![b'x'; 32 * 1024]).await.is_ok() {}
            body = Some(stream);
            send(test, "begun");
            std::future::pending::<()>().await;
        }
        _ => {
            send(test, "begun");
            sleep(Duration::from_secs(1_000_000)).await;
            drop(reqd);
        }
    }
    drop(body);
}

fn leaving(server: Server, timeouts: Timeouts) -> impl Future<Output = ServerHandle> {
    let test = this();
    let server = server.timeouts(timeouts).handler(move |reqd: Reqd| handle(reqd, test));
    async move { server.start_link().await.expect("the server starts") }
}

/// A state of a connection, as a client brings it about.
#[derive(Clone, Copy)]
struct Leaves {
    /// The first bytes that the client sends.
    first: &'static str,
    /// Bytes of nonsense that follow, and how often.
    then: (&'static str, usize),
    /// The client ends its sending direction.
    ends: bool,
}

const fn after(first: &'static str) -> Leaves {
    Leaves { first, then: ("", 0), ends: false }
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const BODY: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n";
const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: other\r\n\r\n";
const STREAM: &str = "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n";
const LAST: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// Each state in which a handler can be when its client leaves.
const STATES: [(&str, Leaves); 12] = [
    ("the handler computes", after(GET)),
    ("of the last request", after(LAST)),
    ("half a head follows", after("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HT")),
    ("the body is unread", Leaves { then: ("body", 50_000), ..after(BODY) }),
    ("the pipeline is full", Leaves { then: (GET, 100), ..after(GET) }),
    ("an upgrade is offered", after(UPGRADE)),
    ("bytes follow the offer", Leaves { then: ("bytes", 1_000), ..after(UPGRADE) }),
    ("a stream is silent", after(STREAM)),
    ("the pipeline behind a stream is full", Leaves { then: (GET, 100), ..after(STREAM) }),
    ("the client has stopped sending", Leaves { ends: true, ..after(GET) }),
    ("and a stream is silent", Leaves { ends: true, ..after(STREAM) }),
    ("and the pipeline is full", Leaves { then: (GET, 100), ends: true, ..after(GET) }),
];

async fn until_idle(server: &ServerHandle) {
    while server.info().active > 0 {
        sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn h12_f17_a_reset_is_noticed_at_once_in_every_state() {
    for (state, leaves) in STATES {
        Simulation::sweep(0..20, move || async move {
            let listener = Listener::new();
            let server = leaving(Server::listen(listener.clone()), Timeouts::new()).await;
            let (stream, address) = listener.connect_stream()?;
            let mut client = Connection::new(stream.clone(), address);
            client.write_all(leaves.first.as_bytes()).await?;
            assert_eq!(receive::<&str>().await, "begun");
            let writer = riot_actor::spawn(async move {
                // The reset ends a write that waits for room.
                for _ in 0..leaves.then.1 {
                    let _ = client.write_all(leaves.then.0.as_bytes()).await;
                }
                if leaves.ends {
                    let _ = client.shutdown(Shutdown::Write);
                }
                std::future::pending::<()>().await;
            });
            sleep(Duration::from_secs(1)).await;
            assert_eq!(server.info().active, 1, "{state}");
            let left = now();
            stream.reset();
            assert_eq!(receive::<&str>().await, "dropped");
            until_idle(&server).await;
            assert!(now() - left < Duration::from_millis(20), "{state}: {:?}", now() - left);
            riot_actor::exit(writer, Reason::Kill);
            server.stop(Duration::ZERO).await;
            Ok::<(), Reason>(())
        });
    }
}

#[test]
fn h12_f17_a_reset_of_a_socket_is_noticed_at_once_in_every_state() {
    let reason = riot_actor::run(async {
        let server =
            leaving(Server::bind("127.0.0.1:0")?, Timeouts::new().without_half_closed_timeout()).await;
        for (state, leaves) in STATES {
            let address = server.local_addr();
            let client = blocking(move || {
                let mut client = TcpStream::connect(address)?;
                client.write_all(leaves.first.as_bytes())?;
                Ok::<_, std::io::Error>(client)
            });
            let mut client = client.await?;
            let begun = timeout(LONG, receive::<&str>()).await;
            assert_eq!(begun.ok(), Some("begun"), "{state}");
            client.set_nonblocking(true)?;
            for _ in 0..leaves.then.1 {
                // What the system does not take is enough.
                let _ = client.write(leaves.then.0.as_bytes());
            }
            if leaves.ends {
                client.shutdown(Shutdown::Write)?;
            }
            // The server may handle what has come; whether it has does not change what is expected.
            sleep(Duration::from_millis(20)).await;
            assert_eq!(server.info().active, 1, "{state}");
            SockRef::from(&client).set_linger(Some(Duration::ZERO))?;
            drop(client);
            let dropped = timeout(LONG, receive::<&str>()).await;
            assert_eq!(dropped.ok(), Some("dropped"), "{state}");
            assert!(timeout(LONG, until_idle(&server)).await.is_ok(), "{state}");
        }
        server.stop(Duration::ZERO).await;
        Ok::<(), Reason>(())
    });
    assert_eq!(reason, Reason::Normal);
}

/// Sends `first`, ends the sending direction, and returns after how long the connection and the handler were
/// gone.
async fn half_closed(
    timeouts: Timeouts,
    first: &'static str,
    reads: bool,
) -> Result<(Duration, Duration), Reason> {
    let listener = Listener::new();
    let server = leaving(Server::listen(listener.clone()), timeouts).await;
    let mut client = listener.connect()?;
    client.write_all(first.as_bytes()).await?;
    client.shutdown(Shutdown::Write)?;
    let start = now();
    if reads {
        riot_actor::spawn(
            async move { while client.read(&mut [0; 4096]).await.is_ok_and(|read| read > 0) {} },
        );
    } else {
        riot_actor::spawn(async move {
            sleep(Duration::from_secs(100_000)).await;
            drop(client);
        });
    }
    while server.info().timeouts.values().sum::<u64>() == 0 && now() - start < Duration::from_secs(1_000) {
        sleep(Duration::from_millis(100)).await;
    }
    let gone = now() - start;
    if gone < Duration::from_secs(1_000) {
        assert_eq!(server.info().timeouts.get("half_closed"), Some(&1), "{:?}", server.info().timeouts);
    }
    let mut dropped = receive::<&str>().await;
    while dropped != "dropped" {
        dropped = receive::<&str>().await;
    }
    server.stop(Duration::ZERO).await;
    Ok((gone, now() - start))
}

#[test]
fn h12_a_client_that_stops_sending_and_leaves_takes_its_handler_with_it() {
    for first in [GET, STREAM, LAST, "GET / HTTP/1.0\r\n\r\n"] {
        for reads in [true, false] {
            Simulation::sweep(0..5, move || async move {
                for (timeouts, seconds) in [
                    (Timeouts::new(), 10),
                    (Timeouts::new().half_closed_timeout(Duration::from_secs(25)), 25),
                ] {
                    let (gone, dropped) = half_closed(timeouts, first, reads).await?;
                    assert_eq!((gone.as_secs(), dropped.as_secs()), (seconds, seconds), "{first}");
                }
                Ok::<(), Reason>(())
            });
        }
    }
}

#[test]
fn h12_a_kept_handler_outlives_a_client_that_stopped_sending() {
    Simulation::sweep(0..10, || async {
        let kept = "GET /kept HTTP/1.1\r\nHost: a\r\n\r\n";
        let (gone, dropped) = half_closed(Timeouts::new(), kept, true).await?;
        assert_eq!(gone.as_secs(), 10, "the connection is closed");
        assert!(dropped >= Duration::from_secs(1_000), "{dropped:?}");
        Ok::<(), Reason>(())
    });
}

/// A client that accepts a byte at a time of an endless response; says when the connection was cut.
async fn trickles(pace: Duration, bytes: usize) -> Result<Duration, Reason> {
    let listener = Listener::new();
    let server = leaving(Server::listen(listener.clone()), Timeouts::new()).await;
    let mut client = listener.connect()?;
    client.write_all(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n").await?;
    let start = now();
    let reader = riot_actor::spawn(async move {
        let mut buffer = vec![0; bytes];
        while client.read(&mut buffer).await.is_ok_and(|read| read > 0) {
            sleep(pace).await;
        }
    });
    while server.info().timeouts.is_empty() && now() - start < Duration::from_secs(600) {
        sleep(Duration::from_millis(100)).await;
    }
    let cut = now() - start;
    if cut < Duration::from_secs(600) {
        assert_eq!(server.info().timeouts.get("write_rate"), Some(&1), "{:?}", server.info().timeouts);
    }
    riot_actor::exit(reader, Reason::Kill);
    server.stop(Duration::ZERO).await;
    Ok(cut)
}

#[test]
fn h11_a_client_that_accepts_a_byte_now_and_then_is_cut() {
    Simulation::sweep(0..10, || async {
        let cut = trickles(Duration::from_secs(29), 1).await?;
        assert!((30..=31).contains(&cut.as_secs()), "{cut:?}");
        let cut = trickles(Duration::from_secs(10), 2_500).await?;
        assert_eq!(cut.as_secs(), 600, "it keeps the lowest rate");
        Ok::<(), Reason>(())
    });
}

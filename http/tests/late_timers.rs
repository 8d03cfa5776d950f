//! Bytes that have arrived win over a timer that has run out (H11): a program that was stopped, or whose
//! workers were busy, looks at the socket once more before it cuts a connection.
#![cfg(feature = "driver")]

use std::{
    io::{self, IoSlice},
    net::Shutdown,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use riot_actor::{Reason, now, simulation::Simulation, sleep, spawn};
use riot_flow::drive;
use riot_http::{Http1, HttpConfig, Reqd, Response, serve_requests};
use riot_socket::{Address, Connection, Transport, memory};

/// A transport whose events are not seen while the program is stopped. Whether the system has bytes is known
/// only to a caller that asks it.
struct Unseen {
    transport: Arc<dyn Transport>,
    stopped: Arc<AtomicBool>,
}

impl Transport for Unseen {
    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.stopped.load(SeqCst) { Poll::Pending } else { self.transport.poll_read(cx, buffer) }
    }

    fn poll_write(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if self.stopped.load(SeqCst) { Poll::Pending } else { self.transport.poll_write(cx, slices) }
    }

    fn assume_ready(&self) {
        self.stopped.store(false, SeqCst);
    }

    fn local_address(&self) -> io::Result<Address> {
        self.transport.local_address()
    }

    fn shutdown(&self, side: Shutdown) -> io::Result<()> {
        self.transport.shutdown(side)
    }
}

async fn count(mut reqd: Reqd) {
    if let Ok(body) = reqd.body().bytes(1_000).await {
        let _ = reqd.respond_with_string(Response::ok(), format!("{} bytes", body.len()));
    }
}

/// Sends `first`, and `rest` while events are not seen. Returns what the client gets until `seconds` after
/// the stop, and when the first byte of it comes.
async fn heard(first: &'static str, rest: &'static str, seconds: u64) -> Result<(String, Duration), Reason> {
    let (here, there) = memory::pair();
    let stopped = Arc::new(AtomicBool::new(false));
    let transport = Arc::new(Unseen { transport: here, stopped: stopped.clone() });
    let (flow, requests) = Http1::new(Arc::new(HttpConfig::new()));
    spawn(drive(Connection::new(transport, Address::Memory(1)), flow, async move {
        serve_requests(requests, &count).await
    }));
    let mut client = Connection::new(there, Address::Memory(2));
    client.write_all(first.as_bytes()).await?;
    let mut buffer = [0; 4096];
    if first.ends_with("\r\n\r\n") {
        client.read(&mut buffer).await?;
    }
    sleep(Duration::from_millis(1)).await;
    stopped.store(true, SeqCst);
    client.write_all(rest.as_bytes()).await?;
    let start = now();
    let read = riot_actor::timeout(Duration::from_secs(seconds), client.read(&mut buffer)).await;
    let read = read.map_or(0, |read| read.unwrap_or(0));
    Ok((String::from_utf8_lossy(&buffer[..read]).into_owned(), now() - start))
}

#[test]
fn h11_f18_bytes_that_have_arrived_win_over_a_timer_that_has_run_out() {
    const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234";
    for (first, rest, seconds, expected) in [
        ("GET / HTTP/1.1\r\nHos", "t: a\r\n\r\n", 10, "HTTP/1.1 200 "),
        // What is still not complete is cut.
        ("GET / HTTP/1.1\r\nHos", "t: a\r\n", 10, "HTTP/1.1 408 "),
        (GET, GET, 60, "HTTP/1.1 200 "),
        (POST, "56789", 30, "HTTP/1.1 200 "),
        (POST, "", 30, "HTTP/1.1 408 "),
    ] {
        Simulation::sweep(0..20, move || async move {
            let (text, after) = heard(first, rest, seconds + 5).await?;
            assert!(text.starts_with(expected), "{first:?}: {text:?} after {after:?}");
            // The first timer of a connection may be one that has moved out since.
            assert!(after <= Duration::from_secs(seconds + 1), "{first:?}: {after:?}");
            Ok::<(), Reason>(())
        });
    }
}

#[test]
fn h11_f18_room_that_the_peer_has_made_wins_over_the_write_stall() {
    Simulation::sweep(0..20, || async {
        let (here, there) = memory::pair();
        let stopped = Arc::new(AtomicBool::new(false));
        let transport = Arc::new(Unseen { transport: here, stopped: stopped.clone() });
        let (flow, requests) = Http1::new(Arc::new(HttpConfig::new()));
        let stops = stopped.clone();
        let answer = move |reqd: Reqd| {
            // The response is queued, and no room is seen.
            stops.store(true, SeqCst);
            async move { reqd.respond_with_string(Response::ok(), "hello").map(|_| ()) }
        };
        spawn(drive(Connection::new(transport, Address::Memory(1)), flow, async move {
            serve_requests(requests, &answer).await
        }));
        let mut client = Connection::new(there, Address::Memory(2));
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await?;
        let text = client.read_to_end(4096).await?;
        assert!(text.ends_with(b"hello"), "{text:?}");
        Ok::<(), Reason>(())
    });
}

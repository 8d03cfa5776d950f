//! Every timer of a connection (H11) through the driver: the whole server under a clock of its own. Hours
//! pass in milliseconds, and every figure is exact.
#![cfg(feature = "driver")]

use std::{io, time::Duration};

use riot_actor::{Reason, now, simulation::Simulation, sleep};
use riot_http::{Reqd, Response, Server, Timeouts};
use riot_socket::{Connection, Shutdown, memory::Listener};

/// The time that steps of the simulated scheduler may add.
const STEPS: Duration = Duration::from_millis(1);

async fn hello(mut reqd: Reqd) {
    match reqd.request().path() {
        "/echo" => {
            if let Ok(body) = reqd.body().bytes(1 << 20).await {
                let _ = reqd.respond_with_bytes(Response::ok(), body);
            }
        }
        "/endless" => {
            if let Ok(mut body) = reqd.respond_with_streaming(Response::ok()) {
                while body.write(vec![b'x'; 32 * 1024]).await.is_ok() {}
            }
        }
        "/for-ever" => sleep(Duration::from_secs(1_000_000)).await,
        _ => drop(reqd.respond_with_string(Response::ok(), "hello")),
    }
}

/// Returns what a client receives that sends `bytes`, one every `pace`, and how long it takes until the
/// server has closed.
async fn told(
    timeouts: Timeouts,
    bytes: &'static [u8],
    pace: Duration,
) -> Result<(String, Duration), Reason> {
    let listener = Listener::new();
    let server = Server::listen(listener.clone()).timeouts(timeouts).handler(hello).start_link().await?;
    let mut client = listener.connect()?;
    let start = now();
    let writer = client.transport().clone();
    let writing = riot_actor::spawn(async move {
        let mut writer = Connection::new(writer, riot_socket::Address::Memory(0));
        let pieces: Vec<&[u8]> = if pace.is_zero() { vec![bytes] } else { bytes.chunks(1).collect() };
        for piece in pieces {
            if writer.write_all(piece).await.is_err() {
                return;
            }
            sleep(pace).await;
        }
    });
    let heard = read_to_end(&mut client).await?;
    let time = now() - start;
    riot_actor::exit(writing, Reason::Kill);
    drop(client);
    while server.info().active > 0 {
        sleep(STEPS).await;
    }
    assert_eq!(server.info().timeouts.values().sum::<u64>(), 1, "the timer that ended it is counted");
    server.stop(Duration::ZERO).await;
    Ok((heard, time))
}

async fn read_to_end(client: &mut Connection) -> io::Result<String> {
    let (mut heard, mut buffer) = (Vec::new(), [0; 512]);
    loop {
        match client.read(&mut buffer).await {
            Ok(0) => return Ok(String::from_utf8_lossy(&heard).into_owned()),
            Ok(read) => heard.extend_from_slice(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                return Ok(String::from_utf8_lossy(&heard).into_owned());
            }
            Err(error) => return Err(error),
        }
    }
}

#[track_caller]
fn is_after(time: Duration, seconds: u64) {
    let due = Duration::from_secs(seconds);
    assert!(time >= due && time < due + 20 * STEPS, "{time:?}, not {due:?}");
}

fn check(
    bytes: &'static [u8],
    pace: Duration,
    timeouts: fn() -> Timeouts,
    expected: &'static str,
    seconds: u64,
) {
    Simulation::sweep(0..30, move || async move {
        let (heard, time) = told(timeouts(), bytes, pace).await?;
        assert!(heard.starts_with(expected) && heard.is_empty() == expected.is_empty(), "{heard}");
        is_after(time, seconds);
        Ok::<(), Reason>(())
    });
}

const AT_ONCE: Duration = Duration::ZERO;

#[test]
fn h11_a_slow_head_is_cut_at_ten_seconds() {
    check(b"GET / HT", AT_ONCE, Timeouts::new, "HTTP/1.1 408 ", 10);
}

#[test]
fn h11_however_busily_it_drips() {
    let slowloris = b"GET / HTTP/1.1\r\nHost: a\r\nX-A: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    check(slowloris, Duration::from_millis(900), Timeouts::new, "HTTP/1.1 408 ", 10);
}

#[test]
fn h11_an_idle_connection_ends_at_sixty_seconds() {
    check(b"", AT_ONCE, Timeouts::new, "", 60);
    check(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", AT_ONCE, Timeouts::new, "HTTP/1.1 200 ", 60);
}

#[test]
fn h11_among_many_an_idle_connection_ends_at_fifteen_seconds() {
    Simulation::sweep(0..30, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone()).max_connections(10).handler(hello).start_link().await?;
        let start = now();
        // Eight of ten are below the share from which idle connections end early.
        let mut first: Vec<_> = (0..8).map(|_| listener.connect()).collect::<io::Result<_>>()?;
        sleep(Duration::from_secs(20)).await;
        assert_eq!(server.info().active, 8);
        let mut ninth = listener.connect()?;
        // They are looked at every fifteen seconds, and the first of them to go make room for the others.
        for client in &mut first {
            assert_eq!(read_to_end(client).await?, "");
        }
        let before = now() - start;
        assert!(before >= Duration::from_secs(30) && before <= Duration::from_secs(61), "{before:?}");
        assert_eq!(read_to_end(&mut ninth).await?, "");
        server.stop(Duration::ZERO).await;
        Ok::<(), Reason>(())
    });
    Simulation::sweep(0..30, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone()).max_connections(1).handler(hello).start_link().await?;
        let start = now();
        assert_eq!(read_to_end(&mut listener.connect()?).await?, "");
        is_after(now() - start, 15);
        server.stop(Duration::ZERO).await;
        Ok::<(), Reason>(())
    });
}

#[test]
fn h11_a_body_that_does_not_come_is_waited_for_thirty_seconds() {
    let head = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab";
    check(head, AT_ONCE, Timeouts::new, "HTTP/1.1 408 ", 30);
}

#[test]
fn h11_a_body_that_drips_falls_behind_the_minimum_rate() {
    Simulation::sweep(0..30, || async {
        let dripping =
            b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\naaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
        let (heard, time) = told(Timeouts::new(), dripping, Duration::from_millis(1500)).await?;
        assert!(heard.is_empty() || heard.starts_with("HTTP/1.1 408 "), "{heard}");
        assert!(time < Duration::from_secs(60), "{time:?}");
        Ok::<(), Reason>(())
    });
}

#[test]
fn h11_a_handler_that_takes_too_long_is_ended_if_asked_for() {
    let limit = || Timeouts::new().handler_timeout(Duration::from_secs(7));
    check(b"GET /for-ever HTTP/1.1\r\nHost: a\r\n\r\n", AT_ONCE, limit, "HTTP/1.1 503 ", 7);
}

#[test]
fn h11_a_client_that_takes_nothing_is_dropped_after_thirty_seconds() {
    Simulation::sweep(0..30, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone()).handler(hello).start_link().await?;
        let mut client = listener.connect()?;
        client.write_all(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n").await?;
        let start = now();
        while server.info().active > 0 || server.info().accepted == 0 {
            sleep(STEPS).await;
        }
        is_after(now() - start, 30);
        assert_eq!(server.info().timeouts.into_iter().collect::<Vec<_>>(), [("write_stall", 1)]);
        server.stop(Duration::ZERO).await;
        Ok::<(), Reason>(())
    });
}

#[test]
fn h11_after_a_refusal_the_client_may_take_a_second_to_read_it() {
    Simulation::sweep(0..30, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone()).handler(hello).start_link().await?;
        let mut client = listener.connect()?;
        client.write_all(b"GET / HTTP/1.1\r\nHost : a\r\n\r\n").await?;
        let start = now();
        assert!(read_to_end(&mut client).await?.starts_with("HTTP/1.1 400 "));
        assert!(now() - start < Duration::from_millis(100), "the answer and its end come at once");
        assert_eq!(server.info().active, 1, "the client may still be sending");
        while server.info().active > 0 {
            sleep(STEPS).await;
        }
        is_after(now() - start, 1);
        server.stop(Duration::ZERO).await;
        Ok::<(), Reason>(())
    });
}

#[test]
fn h11_a_client_that_closes_as_well_is_not_waited_for() {
    Simulation::sweep(0..30, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone()).handler(hello).start_link().await?;
        let mut client = listener.connect()?;
        client.write_all(b"GET / HTTP/1.1\r\nHost : a\r\n\r\n").await?;
        let start = now();
        assert!(read_to_end(&mut client).await?.starts_with("HTTP/1.1 400 "));
        client.shutdown(Shutdown::Write)?;
        while server.info().active > 0 {
            sleep(STEPS).await;
        }
        assert!(now() - start < 20 * STEPS);
        server.stop(Duration::ZERO).await;
        Ok::<(), Reason>(())
    });
}

#[test]
fn h11_a_connection_of_age_ends_between_two_requests() {
    Simulation::sweep(0..30, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone())
            .timeouts(Timeouts::new().age_timeout(Duration::from_secs(100)))
            .handler(hello)
            .start_link()
            .await?;
        let mut client = listener.connect()?;
        let start = now();
        let mut answers = 0;
        while client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.is_ok() {
            let mut answer = Vec::new();
            while !answer.ends_with(b"hello") {
                let mut byte = [0];
                match client.read(&mut byte).await? {
                    0 => break,
                    _ => answer.push(byte[0]),
                }
            }
            if answer.is_empty() {
                break;
            }
            assert!(answer.ends_with(b"hello"), "never half an answer");
            answers += 1;
            sleep(Duration::from_secs(1)).await;
        }
        let age = now() - start;
        assert!(
            age >= Duration::from_secs(90) && age <= Duration::from_secs(102),
            "{age:?}, {answers} answers"
        );
        server.stop(Duration::ZERO).await;
        Ok::<(), Reason>(())
    });
}

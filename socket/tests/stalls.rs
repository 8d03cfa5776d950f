//! How long the reads and writes of a protocol may wait without a byte, in simulation: B22.

mod common;

use std::{
    future::poll_fn,
    io::{self, ErrorKind},
    task::Poll,
    time::Duration,
};

use common::{SEEDS, echo, says_it_back};
use riot_actor::{Reason, now, receive, send, simulation::Simulation, sleep, spawn_link, this};
use riot_socket::{Connection, ConnectionTimeouts, Server, ServerHandle, memory::Listener};

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Sends the error of a protocol, and when it came, to the test.
async fn started<F>(
    listener: &Listener,
    timeouts: ConnectionTimeouts,
    protocol: impl Fn(Connection) -> F + Send + Sync + 'static,
) -> ServerHandle
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let test = this();
    let server = Server::listen(listener.clone()).connection_timeouts(timeouts);
    let started = server.start_link(move |connection: Connection| {
        let serving = protocol(connection);
        async move {
            let result = serving.await;
            send(test, (result.as_ref().err().map(io::Error::kind), now()));
            result
        }
    });
    started.await.expect("the server starts")
}

async fn ended() -> (Option<ErrorKind>, std::time::Instant) {
    receive::<(Option<ErrorKind>, std::time::Instant)>().await
}

#[track_caller]
fn about(time: Duration, wanted: Duration) {
    assert!((wanted..wanted + Duration::from_millis(50)).contains(&time), "{time:?}, not {wanted:?}");
}

#[test]
fn b22_a_silent_client_is_cut_after_a_minute_without_a_byte() {
    Simulation::sweep(SEEDS, || async {
        for said in [0, 59] {
            let listener = Listener::new();
            let server = started(&listener, ConnectionTimeouts::new(), echo).await;
            let mut client = listener.connect()?;
            if said > 0 {
                says_it_back(&mut client, b"hello").await;
                sleep(seconds(said)).await;
                says_it_back(&mut client, b"again").await;
            }
            let start = now();
            assert_eq!(client.read(&mut [0]).await?, 0, "it is closed");
            let (error, at) = ended().await;
            assert_eq!(error, Some(ErrorKind::TimedOut));
            about(at - start, seconds(60));
            server.wait_for_connections(|connections| connections == 0).await;
            sleep(seconds(1)).await;
            let info = server.info();
            assert_eq!(info.timeouts.iter().collect::<Vec<_>>(), [(&"idle", &1)]);
            assert_eq!((info.ended.disconnected, info.ended.crashed), (1, 0), "it is no crash");
        }
        Ok::<(), Reason>(())
    });
}

async fn units(mut connection: Connection) -> io::Result<()> {
    loop {
        connection.read_exact(&mut [0; 4]).await?;
    }
}

#[test]
fn b22_the_rest_of_a_unit_must_come_within_half_a_minute() {
    let to_end = |mut connection: Connection| async move { connection.read_to_end(100).await.map(drop) };
    Simulation::sweep(SEEDS, move || async move {
        for whole in [true, false] {
            let listener = Listener::new();
            let timeouts = ConnectionTimeouts::new();
            let server = match whole {
                true => started(&listener, timeouts, units).await,
                false => started(&listener, timeouts, to_end).await,
            };
            let mut client = listener.connect()?;
            sleep(seconds(50)).await;
            // The first byte may come late, and every other one after 29 seconds.
            for _ in 0..3 {
                client.write_all(b"x").await?;
                sleep(seconds(29)).await;
            }
            client.write_all(if whole { b"xy" } else { b"x" }).await?;
            let start = now();
            let (error, at) = ended().await;
            assert_eq!(error, Some(ErrorKind::TimedOut));
            about(at - start, seconds(30));
            assert_eq!(server.info().timeouts.iter().collect::<Vec<_>>(), [(&"read_stall", &1)]);
        }
        Ok::<(), Reason>(())
    });
}

#[test]
fn b22_b23_a_process_that_takes_no_more_bytes_waits_for_the_close_in_time() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let timeouts = ConnectionTimeouts::new().idle_timeout(seconds(5));
        let server = started(&listener, timeouts, |mut connection: Connection| async move {
            poll_fn(|cx| connection.poll_closed_in_time(cx)).await
        });
        let (server, began) = (server.await, now());
        let mut client = listener.connect()?;
        client.write_all(b"nobody reads this").await?;
        let (error, at) = ended().await;
        assert_eq!(error, Some(ErrorKind::TimedOut));
        about(at - began, seconds(5));
        let client = listener.connect()?;
        sleep(seconds(1)).await;
        drop(client);
        assert_eq!(ended().await.0, Some(ErrorKind::ConnectionReset));
        server.stop(Duration::ZERO).await;
        Ok::<(), Reason>(())
    });
}

#[test]
fn b22_between_units_the_idle_timeout_applies() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = started(&listener, ConnectionTimeouts::new(), units).await;
        let mut client = listener.connect()?;
        client.write_all(b"unit").await?;
        let start = now();
        about(ended().await.1 - start, seconds(60));
        assert_eq!(server.info().timeouts.get("idle"), Some(&1));
        Ok::<(), Reason>(())
    });
}

#[test]
fn b22_a_peer_that_accepts_no_byte_is_cut_after_half_a_minute() {
    let flood = |mut connection: Connection| async move {
        loop {
            connection.write_all(&[7; 100_000]).await?;
        }
    };
    Simulation::sweep(SEEDS, move || async move {
        let listener = Listener::new();
        let server = started(&listener, ConnectionTimeouts::new(), flood).await;
        let mut client = listener.connect()?;
        for _ in 0..5 {
            sleep(seconds(29)).await;
            client.read(&mut [0; 1000]).await?;
        }
        let start = now();
        let (error, at) = ended().await;
        assert_eq!(error, Some(ErrorKind::TimedOut));
        about(at - start, seconds(30));
        assert_eq!(server.info().timeouts.iter().collect::<Vec<_>>(), [(&"write_stall", &1)]);
        Ok::<(), Reason>(())
    });
}

#[test]
fn b22_bytes_that_are_sent_count_too() {
    let halves = |connection: Connection| async move {
        let (mut reader, mut writer) = connection.into_split();
        spawn_link(async move {
            for _ in 0..5 {
                sleep(seconds(50)).await;
                writer.write_all(b"tick").await.expect("the client is there");
            }
            std::future::pending::<()>().await;
        });
        reader.read(&mut [0; 10]).await.map(drop)
    };
    // One process that waits for its client and for something else, and gives the read up each time.
    let either = |mut connection: Connection| async move {
        let mut ticks = 0;
        let mut tick = Box::pin(sleep(seconds(50)));
        loop {
            let read = poll_fn(|cx| match connection.poll_read(cx, &mut [0; 10]) {
                Poll::Ready(read) => Poll::Ready(Some(read)),
                Poll::Pending if ticks < 5 => tick.as_mut().poll(cx).map(|()| None),
                Poll::Pending => Poll::Pending,
            });
            match read.await {
                Some(read) => return read.map(drop),
                None => connection.write_all(b"tick").await?,
            }
            ticks += 1;
            tick = Box::pin(sleep(seconds(50)));
        }
    };
    Simulation::sweep(SEEDS, move || async move {
        for split in [true, false] {
            let listener = Listener::new();
            let timeouts = ConnectionTimeouts::new();
            let _server = match split {
                true => started(&listener, timeouts, halves).await,
                false => started(&listener, timeouts, either).await,
            };
            let (_client, start) = (listener.connect()?, now());
            let (error, at) = ended().await;
            assert_eq!(error, Some(ErrorKind::TimedOut));
            about(at - start, seconds(310));
        }
        Ok::<(), Reason>(())
    });
}

#[test]
fn b22_the_timeouts_can_be_set_and_switched_off() {
    Simulation::sweep(SEEDS, || async {
        let short = ConnectionTimeouts::new().idle_timeout(seconds(5)).read_stall_timeout(seconds(2));
        for (timeouts, wanted) in [
            (short, Some(5)),
            (short.without_idle_timeout(), None),
            (ConnectionTimeouts::none(), None),
            (ConnectionTimeouts::new().idle_timeout(Duration::MAX).read_stall_timeout(Duration::MAX), None),
        ] {
            let listener = Listener::new();
            let _server = started(&listener, timeouts, units).await;
            let (mut client, start) = (listener.connect()?, now());
            match wanted {
                Some(wanted) => about(ended().await.1 - start, seconds(wanted)),
                None => {
                    sleep(seconds(100_000)).await;
                    client.write_all(b"unit").await?;
                    drop(client);
                    assert_eq!(ended().await.0, Some(ErrorKind::UnexpectedEof));
                }
            }
        }
        // A protocol sets them for its own connection.
        let own = |mut connection: Connection| async move {
            connection.set_timeouts(ConnectionTimeouts::none().idle_timeout(seconds(7)));
            echo(connection).await
        };
        let listener = Listener::new();
        let _server = started(&listener, ConnectionTimeouts::new(), own).await;
        let (_client, start) = (listener.connect()?, now());
        about(ended().await.1 - start, seconds(7));
        Ok::<(), Reason>(())
    });
}

#[test]
fn b22_a_connection_of_a_client_has_no_timeouts() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let timeouts = ConnectionTimeouts::none();
        let server = started(&listener, timeouts, |mut connection: Connection| async move {
            sleep(seconds(1000)).await;
            connection.write_all(b"late").await
        });
        let _server = server.await;
        let mut client = listener.connect()?;
        client.read_exact(&mut [0; 4]).await?;
        Ok::<(), Reason>(())
    });
}

#[test]
fn b22_a_read_that_is_given_up_loses_nothing() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let _server = Server::listen(listener.clone()).start_link(echo).await?;
        let mut client = listener.connect()?;
        client.set_timeouts(ConnectionTimeouts::new().idle_timeout(seconds(1)));
        assert_eq!(client.read(&mut [0]).await.expect_err("nothing came").kind(), ErrorKind::TimedOut);
        // The connection itself is as it was.
        says_it_back(&mut client, b"hello").await;
        Ok::<(), Reason>(())
    });
}

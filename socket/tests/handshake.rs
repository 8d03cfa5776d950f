//! Handshakes: they run in the Connector, in order and in time, and fail silently.

mod common;

use std::{
    io::{self, IoSlice},
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use common::{SEEDS, echo, says_it_back, settle};
use riot_actor::{
    Pid, Reason,
    mailbox::receive_timeout,
    monitor, now,
    process::{MonitorRef, info, tree},
    receive, send,
    simulation::Simulation,
    sleep, spawn, this,
};
use riot_socket::{
    Address, Connection, HandshakeError, HandshakeFailed, Server, ServerHandle, Shutdown, Transport,
    memory::Listener,
};

/// A handshake in which the client has to send "hi".
async fn greeted(mut connection: Connection) -> io::Result<Connection> {
    let mut word = [0; 2];
    connection.read_exact(&mut word).await?;
    if &word != b"hi" {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "that is no greeting"));
    }
    Ok(connection)
}

/// Returns the numbers of errors, timeouts, crashes, and live connections.
fn counts(server: &ServerHandle) -> (u64, u64, u64, usize) {
    let info = server.info();
    (
        info.handshake_errors,
        info.timeouts.get("handshake").copied().unwrap_or(0),
        info.ended.crashed,
        info.active,
    )
}

/// Monitors the only Connector.
async fn the_connector() -> MonitorRef {
    settle().await;
    let [connector] = tree().labelled("Connector")[..] else { panic!("one connector:\n{}", tree()) };
    monitor(connector)
}

#[test]
fn b06_the_handshake_comes_before_the_protocol_and_in_its_process() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let watcher = this();
        Server::listen(listener.clone())
            .handshake(move |connection: Connection| async move {
                send(watcher, ("first", this()));
                greeted(connection).await
            })
            .handshake(move |connection: Connection| async move {
                send(watcher, ("second", this()));
                Ok(connection)
            })
            .start_link(move |connection: Connection| async move {
                send(watcher, ("protocol", this()));
                echo(connection).await
            })
            .await?;
        let mut client = listener.connect()?;
        let first = receive::<(&str, Pid)>().await;
        assert_eq!(first.0, "first");
        assert_eq!(tree().labelled("Connector"), [first.1], "it runs in the Connector");
        assert!(receive_timeout::<(&str, Pid)>(Duration::from_secs(1)).await.is_err(), "one after the other");
        client.write_all(b"hi").await?;
        assert_eq!(receive::<(&str, Pid)>().await, ("second", first.1));
        assert_eq!(receive::<(&str, Pid)>().await, ("protocol", first.1));
        says_it_back(&mut client, b"welcome").await;
        Ok::<(), Reason>(())
    });
}

#[test]
fn b06_a_silent_client_delays_no_other_and_is_closed_in_time() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server =
            Server::listen(listener.clone()).acceptors(1).handshake(greeted).start_link(echo).await?;
        let start = now();
        let mut silent = listener.connect()?;
        let mut polite = listener.connect()?;
        polite.write_all(b"hi").await?;
        says_it_back(&mut polite, b"served").await;
        assert!(now() - start < Duration::from_secs(1), "the acceptor does not wait");
        assert_eq!(silent.read(&mut [0]).await?, 0);
        let waited = now() - start;
        assert!((Duration::from_secs(5)..Duration::from_millis(5100)).contains(&waited), "{waited:?}");
        settle().await;
        assert_eq!(counts(&server), (0, 1, 0, 1));
        says_it_back(&mut polite, b"still there").await;
        Ok::<(), Reason>(())
    });
}

#[test]
fn b06_all_handshakes_share_the_time() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let slow = |connection| async {
            sleep(Duration::from_millis(400)).await;
            Ok(connection)
        };
        let limit = Duration::from_secs(1);
        let server = Server::listen(listener.clone())
            .handshake_timeout(limit)
            .handshake(slow)
            .handshake(slow)
            .handshake(slow)
            .start_link(echo)
            .await?;
        let start = now();
        let mut client = listener.connect()?;
        let peer = client.peer().clone();
        let end = the_connector().await.down().await.reason;
        assert_eq!(end, Reason::shutdown_with(HandshakeFailed { peer, error: HandshakeError::TimedOut }));
        assert!(now() - start < limit + Duration::from_millis(100), "{:?}", now() - start);
        assert_eq!(client.read(&mut [0]).await?, 0);
        assert_eq!(counts(&server), (0, 1, 0, 0));
        Ok::<(), Reason>(())
    });
}

#[test]
fn b06_a_handshake_that_fails_is_counted_and_silent() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone()).handshake(greeted).start_link(echo).await?;
        let mut client = listener.connect()?;
        let peer = client.peer().clone();
        let connector = the_connector().await;
        client.write_all(b"GET / HTTP/1.1").await?;
        let reason = connector.down().await.reason;
        assert!(reason.is_clean(), "{reason}");
        let kind = io::ErrorKind::InvalidData;
        let error = HandshakeError::Failed { kind, text: "that is no greeting".into() };
        assert_eq!(reason, Reason::shutdown_with(HandshakeFailed { peer, error }));
        assert_eq!(client.read(&mut [0]).await?, 0);
        assert_eq!(counts(&server), (1, 0, 0, 0));
        Ok::<(), Reason>(())
    });
}

#[test]
fn b06_a_client_that_leaves_in_the_middle_harms_nothing() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server =
            Server::listen(listener.clone()).acceptors(1).handshake(greeted).start_link(echo).await?;
        let acceptors = tree().labelled("Acceptor.Worker");
        for leaves in 0..10 {
            let (client, address) = listener.connect_stream()?;
            let mut connection = Connection::new(client.clone(), address);
            connection.write_all(b"h").await?;
            if leaves % 2 == 0 {
                client.reset();
            }
        }
        let mut polite = listener.connect()?;
        polite.write_all(b"hi").await?;
        says_it_back(&mut polite, b"served").await;
        settle().await;
        assert_eq!(counts(&server), (10, 0, 0, 1));
        assert_eq!(tree().labelled("Acceptor.Worker"), acceptors);
        Ok::<(), Reason>(())
    });
}

#[test]
fn b06_a_panic_in_a_handshake_is_a_crash_of_that_connection() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone())
            .handshake(|connection: Connection| async move {
                assert_eq!(*connection.peer(), Address::Memory(1), "the first client only");
                Ok(connection)
            })
            .start_link(echo)
            .await?;
        let mut first = listener.connect()?;
        let mut second = listener.connect()?;
        assert_eq!(second.read(&mut [0]).await?, 0);
        says_it_back(&mut first, b"untouched").await;
        settle().await;
        assert_eq!(counts(&server), (0, 0, 1, 1));
        Ok::<(), Reason>(())
    });
}

#[test]
fn b12_a_handshake_goes_on_while_the_server_drains() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone())
            .handshake_timeout(Duration::from_secs(60))
            .handshake(greeted)
            .start_link(echo)
            .await?;
        let (mut late, _silent) = (listener.connect()?, listener.connect()?);
        settle().await;
        let stopping = server.clone();
        let stop = spawn(async move { drop(stopping.stop(Duration::from_secs(15)).await) });
        let stopped = monitor(stop);
        let start = now();
        sleep(Duration::from_secs(5)).await;
        late.write_all(b"hi").await?;
        sleep(Duration::from_millis(900)).await;
        says_it_back(&mut late, b"at last").await;
        assert_eq!(late.read(&mut [0]).await?, 0, "its input ends a second after the handshake");
        assert!((6..7).contains(&(now() - start).as_secs()), "{:?}", now() - start);
        stopped.down().await;
        assert_eq!((now() - start).as_secs(), 15, "the silent one is cut");
        Ok::<(), Reason>(())
    });
}

/// A transport that a handshake puts around another one: it counts sent bytes.
struct Counting {
    inner: Arc<dyn Transport>,
    sent: Arc<Mutex<usize>>,
}

impl Transport for Counting {
    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.inner.poll_read(cx, buffer)
    }

    fn poll_write(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = self.inner.poll_write(cx, slices);
        if let Poll::Ready(Ok(written)) = written {
            *self.sent.lock().expect("no panic while locked") += written;
        }
        written
    }

    fn local_address(&self) -> io::Result<Address> {
        self.inner.local_address()
    }

    fn shutdown(&self, side: Shutdown) -> io::Result<()> {
        self.inner.shutdown(side)
    }
}

#[derive(Debug, PartialEq)]
struct Agreed(&'static str);

#[test]
fn b06_a_handshake_replaces_transport_and_peer_and_leaves_its_results() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let sent = Arc::new(Mutex::new(0));
        let counted = sent.clone();
        let server = Server::listen(listener.clone())
            .handshake(move |mut connection: Connection| {
                let (inner, sent) = (connection.transport().clone(), counted.clone());
                connection.set_transport(Arc::new(Counting { inner, sent }));
                connection.set_peer(Address::Memory(4711));
                connection.set_local_address(Address::Memory(80));
                connection.insert(Agreed("too early"));
                connection.insert(Agreed("at last"));
                async { Ok(connection) }
            })
            .start_link(|connection: Connection| {
                assert_eq!(*connection.peer(), Address::Memory(4711));
                assert_eq!(connection.local_address().ok(), Some(Address::Memory(80)));
                assert_eq!(connection.get::<Agreed>(), Some(&Agreed("at last")));
                assert_eq!(connection.get::<u8>(), None);
                echo(connection)
            })
            .await?;
        let mut client = listener.connect()?;
        says_it_back(&mut client, b"hello").await;
        assert_eq!(*sent.lock().expect("no panic while locked"), 5);
        let peers: Vec<_> = server.connections().into_iter().map(|connection| connection.peer).collect();
        assert_eq!(peers, [Address::Memory(4711)]);
        // The drain reaches the new transport, and the permit is released.
        assert!(server.stop(Duration::from_secs(15)).await.cut.is_empty());
        assert_eq!((client.read(&mut [0]).await?, server.info().active), (0, 0));
        Ok::<(), Reason>(())
    });
}

#[test]
fn bytes_put_back_in_a_handshake_come_first_in_the_protocol() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        Server::listen(listener.clone())
            .handshake(|mut connection: Connection| async move {
                let mut buffer = [0; 64];
                let read = connection.read(&mut buffer).await?;
                connection.put_back(&buffer[..read]);
                Ok(connection)
            })
            .start_link(echo)
            .await?;
        let mut client = listener.connect()?;
        says_it_back(&mut client, b"not a byte is lost").await;
        assert_eq!(info(this()).expect("the process runs").mailbox, 0);
        Ok::<(), Reason>(())
    });
}

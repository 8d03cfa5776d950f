//! A reset is noticed at once by a process that does not read; bytes that have arrived win over a timer.
#![cfg(target_os = "linux")]

mod common;

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    sync::mpsc,
    time::{Duration, Instant},
};

use common::{Folder, echo, run};
use riot_actor::{
    Reason, monitor, receive, runtime::Config, runtime::blocking, send, simulation::Simulation, sleep, spawn,
    this,
};
use riot_socket::{Address, Connection, ConnectionTimeouts, Server, memory};
use socket2::SockRef;

/// Starts a server whose connections never read, and tell the test when their peer has closed.
async fn never_reads(server: Server) -> riot_socket::ServerHandle {
    let test = this();
    let watch = move |mut connection: Connection| async move {
        send(test, "served");
        connection.closed().await;
        send(test, "closed");
    };
    server.start_link(watch).await.expect("the server starts")
}

#[test]
fn b23_a_reset_is_noticed_without_a_read() {
    run(async {
        let server = never_reads(Server::bind("127.0.0.1:0")?).await;
        for unread in [0, 1, 100_000] {
            let address = server.local_addr();
            let mut client = blocking(move || TcpStream::connect(address)).await?;
            assert_eq!(receive::<&str>().await, "served");
            client.write_all(&vec![b'x'; unread])?;
            client.shutdown(Shutdown::Write)?;
            // The end of what the client sends is no close: it still receives.
            sleep(Duration::from_millis(20)).await;
            assert_eq!(server.info().active, 1, "{unread}");
            SockRef::from(&client).set_linger(Some(Duration::ZERO))?;
            drop(client);
            assert_eq!(receive::<&str>().await, "closed");
            server.wait_for_connections(|connections| connections == 0).await;
        }
        server.stop(Duration::ZERO).await;
        Ok::<(), Reason>(())
    });
}

#[test]
fn b23_the_close_of_a_unix_socket_is_noticed_without_a_read() {
    let folder = Folder::new();
    let path = folder.path("socket");
    run(async move {
        let server = never_reads(Server::bind_unix(&path)).await;
        let mut client = std::os::unix::net::UnixStream::connect(&path)?;
        client.write_all(b"unread")?;
        assert_eq!(receive::<&str>().await, "served");
        drop(client);
        assert_eq!(receive::<&str>().await, "closed");
        server.stop(Duration::ZERO).await;
        Ok::<(), Reason>(())
    });
}

#[test]
fn b23_a_half_notices_a_reset_and_reads_on_afterwards() {
    run(async {
        let test = this();
        let server = Server::bind("127.0.0.1:0")?
            .start_link(move |connection: Connection| async move {
                let (mut reader, writer) = connection.into_split();
                // Bytes that come do not end the wait, and are read afterwards.
                let waited = riot_actor::timeout(Duration::from_millis(50), reader.closed()).await;
                assert!(waited.is_err());
                let mut buffer = [0; 5];
                reader.read_exact(&mut buffer).await?;
                send(test, buffer);
                reader.closed().await;
                send(test, "closed");
                drop(writer);
                Ok::<(), std::io::Error>(())
            })
            .await?;
        let mut client = TcpStream::connect(server.local_addr())?;
        client.write_all(b"hello")?;
        assert_eq!(&receive::<[u8; 5]>().await, b"hello");
        SockRef::from(&client).set_linger(Some(Duration::ZERO))?;
        drop(client);
        assert_eq!(receive::<&str>().await, "closed");
        server.stop(Duration::ZERO).await;
        Ok::<(), Reason>(())
    });
}

#[test]
fn b23_in_memory_too() {
    Simulation::sweep(0..40, || async {
        for reset in [true, false] {
            let (here, there) = memory::pair();
            let watch = spawn(async move {
                Connection::new(here, Address::Memory(1)).closed().await;
            });
            let mut client = Connection::new(there.clone(), Address::Memory(2));
            client.write_all(b"unread").await?;
            client.close().await?;
            sleep(Duration::from_secs(1)).await;
            assert!(riot_actor::process::is_alive(watch), "it still receives");
            if reset {
                there.reset();
            }
            drop((client, there));
            assert_eq!(monitor(watch).down().await.reason, Reason::Normal);
        }
        Ok::<(), Reason>(())
    });
}

#[test]
#[cfg(feature = "tls")]
fn b23_behind_tls_too() {
    use riot_socket::tls::{Certificate, Roots, Tls, TlsClient};

    Simulation::sweep(0..10, || async {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let tls = Tls::new(Certificate::from_pem(chain.as_bytes(), key.as_bytes())?);
        let listener = memory::Listener::new();
        let server = never_reads(Server::listen(listener.clone()).tls(tls)).await;
        let (stream, address) = listener.connect_stream()?;
        let client = TlsClient::new(Roots::from_pem(chain.as_bytes())?);
        let mut client = client.connect(Connection::new(stream.clone(), address), "localhost").await?;
        assert_eq!(receive::<&str>().await, "served");
        client.write_all(b"unread").await?;
        sleep(Duration::from_secs(1)).await;
        assert_eq!(server.info().active, 1);
        stream.reset();
        assert_eq!(receive::<&str>().await, "closed");
        Ok::<(), Reason>(())
    });
}

/// Blocks the only worker, as a stopped program does, while bytes come and the timer runs out.
#[test]
fn b22_bytes_that_have_arrived_win_over_a_timer_that_has_run_out() {
    let (tell, told) = mpsc::channel();
    let (blocked, is_blocked) = mpsc::channel::<()>();
    let client = std::thread::spawn(move || {
        let address: std::net::SocketAddr = told.recv().expect("the server starts");
        let mut client = TcpStream::connect(address).expect("it listens");
        let mut echoed = |text: &[u8; 5]| {
            client.write_all(text).expect("it is connected");
            let mut back = [0; 5];
            client.read_exact(&mut back).expect("it is answered");
            assert_eq!(&back, text);
        };
        echoed(b"hello");
        is_blocked.recv().expect("the worker is about to be blocked");
        echoed(b"again");
    });
    let reason = Config::new().workers(1).run(async move {
        let timeouts = ConnectionTimeouts::new().idle_timeout(Duration::from_millis(200));
        let server = Server::bind("127.0.0.1:0")?.connection_timeouts(timeouts).start_link(echo).await?;
        tell.send(server.local_addr()).expect("the client waits");
        while server.info().bytes_sent < 5 {
            sleep(Duration::from_millis(1)).await;
        }
        blocked.send(()).expect("the client waits");
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(500) {
            std::hint::spin_loop();
        }
        while server.info().bytes_sent < 10 && server.info().active > 0 {
            sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(server.info().bytes_sent, 10, "the bytes win");
        server.stop(Duration::ZERO).await;
        Ok::<(), Reason>(())
    });
    assert_eq!(reason.expect("the runtime starts"), Reason::Normal);
    client.join().expect("the client is served");
}

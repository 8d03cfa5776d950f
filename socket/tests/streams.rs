//! Streams: connecting, options, halves, deadlines, and the traits of the ecosystem.

mod common;

use std::{
    io::{self, IoSlice, Read},
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use common::{echo, run, says_it_back};
use riot_actor::{
    Reason, monitor, receive, send, simulation::Simulation, spawn, this, time::TimedOut, timeout,
};
use riot_socket::{
    Address, Connection, OpenSocket, Options, Server, ServerHandle, Shutdown, TcpStream, UnixStream,
    memory::Listener,
};

async fn server() -> ServerHandle {
    Server::bind("127.0.0.1:0").expect("an address").start_link(echo).await.expect("the server starts")
}

/// Returns an address that refuses connections, as long as the socket lives.
fn refusing() -> (socket2::Socket, SocketAddr) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    socket.bind(&any.into()).expect("the bind succeeds");
    let address = socket.local_addr().expect("the listener is bound").as_socket().expect("TCP");
    (socket, address)
}

#[test]
fn connecting_by_name_finds_the_address_that_answers() {
    run(async {
        let server = server().await;
        // The name also has the address ::1, where no process listens.
        let name = format!("localhost:{}", server.local_addr().port());
        let mut client = Connection::connect(&name).await?;
        says_it_back(&mut client, b"hello").await;
        server.stop(Duration::ZERO).await;
        Ok::<(), Reason>(())
    });
}

#[test]
fn connecting_reports_the_error() {
    let (_held, address) = refusing();
    run(async move {
        let refused = TcpStream::connect(address).await.expect_err("no process listens");
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        let refused = Connection::connect(&address.to_string()).await.expect_err("no process listens");
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        assert!(refused.to_string().starts_with(&format!("cannot connect to {address}: ")), "{refused}");
        let unknown = Connection::connect("no.such.name.invalid:80").await.expect_err("it does not exist");
        assert!(unknown.to_string().starts_with("cannot look up no.such.name.invalid:80: "), "{unknown}");
        let nonsense = Connection::connect("no port").await.expect_err("it has no port");
        assert_eq!(nonsense.kind(), io::ErrorKind::InvalidInput);
        Ok::<(), Reason>(())
    });
}

#[test]
fn an_attempt_ends_at_its_deadline() {
    // The backlog is full, so connects are not answered.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&any.into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    run(async move {
        let options = Options::new().attempt_timeout(Duration::from_millis(50));
        let mut connected = Vec::new();
        let error = loop {
            match TcpStream::connect_host(&address.to_string(), &options).await {
                Ok(stream) => connected.push(stream),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
        drop(socket);
        Ok::<(), Reason>(())
    });
}

#[test]
fn a_connection_knows_both_its_addresses() {
    run(async {
        let listener = riot_socket::TcpListener::bind("127.0.0.1:0".parse()?, &Options::new())?;
        let address = listener.local_addr()?;
        let client: Connection = TcpStream::connect(address).await?.try_into()?;
        let (transport, peer) =
            std::future::poll_fn(|cx| riot_socket::Listen::poll_accept(&listener, cx)).await?;
        let served = Connection::new(transport, peer);
        assert_eq!(client.peer(), &Address::Ip(address));
        assert_eq!(served.local_address()?, Address::Ip(address));
        assert_eq!(served.peer(), &client.local_address()?);
        Ok::<(), Reason>(())
    });
}

#[test]
fn sockets_of_the_standard_library_are_taken_over() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    run(async move {
        let server = Server::listen(OpenSocket::from(listener)).start_link(echo).await?;
        assert_eq!(server.local_addr(), address);
        let blocking = std::net::TcpStream::connect(address)?;
        let mut client: Connection = TcpStream::from_std(blocking)?.try_into()?;
        says_it_back(&mut client, b"hello").await;
        server.stop(Duration::ZERO).await;
        Ok::<(), Reason>(())
    });
}

#[test]
fn borrowed_halves_read_and_write_at_once() {
    run(async {
        let (one, other) = UnixStream::pair()?;
        let mut here = Connection::new(std::sync::Arc::new(one), Address::Memory(1));
        let other = Connection::new(std::sync::Arc::new(other), Address::Memory(2));
        here.put_back(b"put back, ");
        // More than the system holds: the write ends only if the echo is read meanwhile.
        let sent = vec![b'x'; 4 * 1024 * 1024];
        let mut echoing = riot_actor::task::Task::spawn(echo(other));
        let (mut reader, mut writer) = here.split();
        let writing = async {
            writer.write_all(&sent).await?;
            writer.close().await
        };
        let (written, read) = both(writing, reader.read_to_end(usize::MAX)).await;
        written?;
        let read = read?;
        assert_eq!(&read[..10], b"put back, ");
        assert!(read[10..] == sent);
        echoing.wait(None).await.expect("the program ends normally")?;
        Ok::<(), Reason>(())
    });
}

async fn both<A, B>(one: impl Future<Output = A>, other: impl Future<Output = B>) -> (A, B) {
    let (mut one, mut other) = (std::pin::pin!(one), std::pin::pin!(other));
    let (mut a, mut b) = (None, None);
    std::future::poll_fn(|cx| {
        use std::task::Poll::{Pending, Ready};
        if a.is_none()
            && let Ready(value) = one.as_mut().poll(cx)
        {
            a = Some(value);
        }
        if b.is_none()
            && let Ready(value) = other.as_mut().poll(cx)
        {
            b = Some(value);
        }
        if a.is_some() && b.is_some() { Ready(()) } else { Pending }
    })
    .await;
    (a.expect("both are ready"), b.expect("both are ready"))
}

#[test]
fn owned_halves_work_in_two_processes_and_give_the_place_back_together() {
    Simulation::sweep(0..40, || async {
        let listener = Listener::new();
        let watcher = this();
        let server = Server::listen(listener.clone())
            .start_link(move |connection: Connection| async move {
                let (mut reader, mut writer) = connection.into_split();
                let writing = spawn(async move {
                    writer.write_all(b"hello").await.expect("the client reads");
                    receive::<()>().await;
                });
                let said = reader.read_to_end(100).await?;
                send(watcher, (writing, said));
                Ok::<(), io::Error>(())
            })
            .await?;
        let mut client = listener.connect()?;
        client.write_all(b"good morning").await?;
        client.shutdown(Shutdown::Write)?;
        let (writing, said) = receive::<(riot_actor::Pid, Vec<u8>)>().await;
        assert_eq!(said, b"good morning");
        riot_actor::sleep(Duration::from_secs(1)).await;
        assert_eq!(server.info().active, 1, "one half is still there");
        send(writing, ());
        monitor(writing).down().await;
        assert_eq!(client.read_to_end(100).await?, b"hello", "the dropped half ends what is sent");
        assert_eq!(server.info().active, 0);
        Ok::<(), Reason>(())
    });
}

#[test]
fn halves_are_put_together_again() {
    Simulation::sweep(0..10, || async {
        let listener = Listener::new();
        Server::listen(listener.clone()).start_link(echo).await?;
        let (reader, writer) = listener.connect()?.into_split();
        let (other, other_writer) = listener.connect()?.into_split();
        let wrong = reader.reunite(other_writer).expect_err("they are of two connections");
        let (reader, other_writer) = (wrong.0, wrong.1);
        let mut client = reader.reunite(writer).expect("they are of one");
        says_it_back(&mut client, b"whole").await;
        says_it_back(&mut other.reunite(other_writer).expect("they are of one"), b"too").await;
        Ok::<(), Reason>(())
    });
}

#[test]
fn reading_to_the_end_has_a_limit() {
    Simulation::sweep(0..10, || async {
        let (one, other) = riot_socket::memory::pair();
        let mut here = Connection::new(one, Address::Memory(1));
        let mut there = Connection::new(other, Address::Memory(2));
        there.write_all(b"12345").await?;
        let error = here.read_to_end(4).await.expect_err("that is one too many");
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        there.write_all(b"1234").await?;
        drop(there);
        assert_eq!(here.read_to_end(4).await?, b"1234");
        Ok::<(), Reason>(())
    });
}

#[test]
fn a_read_that_takes_too_long_is_given_up_and_loses_nothing() {
    Simulation::sweep(0..10, || async {
        let (one, other) = riot_socket::memory::pair();
        let mut here = Connection::new(one, Address::Memory(1));
        let mut there = Connection::new(other, Address::Memory(2));
        let mut buffer = [0; 8];
        for _ in 0..3 {
            let late = timeout(Duration::from_secs(1), here.read(&mut buffer)).await;
            assert!(matches!(late, Err(TimedOut)));
        }
        there.write_all(b"at last").await?;
        assert_eq!(timeout(Duration::from_secs(1), here.read(&mut buffer)).await??, 7);
        Ok::<(), Reason>(())
    });
}

#[test]
fn a_write_that_takes_too_long_is_given_up() {
    run(async {
        let (one, _silent) = UnixStream::pair()?;
        let mut here = Connection::new(std::sync::Arc::new(one), Address::Memory(1));
        let bytes = vec![0; 1024 * 1024];
        let writing = async {
            loop {
                here.write_vectored(&[IoSlice::new(&bytes), IoSlice::new(&bytes)]).await?;
            }
        };
        let result: Result<io::Result<()>, TimedOut> = timeout(Duration::from_millis(50), writing).await;
        assert!(matches!(result, Err(TimedOut)));
        Ok::<(), Reason>(())
    });
}

#[test]
fn inherit_options_reach_the_connection() {
    run(async {
        let options = Options::new().send_buffer(20_000);
        let server = Server::bind("127.0.0.1:0")?
            .options(options)
            .start_link(|mut connection: Connection| async move { connection.write_all(&[0; 100_000]).await })
            .await?;
        let mut client = std::net::TcpStream::connect(server.local_addr())?;
        client.set_read_timeout(Some(Duration::from_secs(20)))?;
        let received = riot_actor::runtime::blocking(move || client.read_to_end(&mut Vec::new())).await?;
        assert_eq!(received, 100_000);
        server.stop(Duration::ZERO).await;
        Ok::<(), Reason>(())
    });
}

#[test]
fn libraries_on_futures_io_work_on_connections_and_halves() {
    use async_tungstenite::{accept_async, client_async, tungstenite::Message};
    use futures_util::StreamExt;
    Simulation::sweep(0..10, || async {
        let listener = Listener::new();
        listener.max_transfer(3);
        Server::listen(listener.clone())
            .start_link(|connection: Connection| async move {
                let mut socket = accept_async(connection).await.map_err(io::Error::other)?;
                while let Some(Ok(message)) = socket.next().await {
                    if message.is_text() {
                        socket.send(message).await.map_err(io::Error::other)?;
                    }
                }
                Ok::<(), io::Error>(())
            })
            .await?;
        let (mut socket, _) = client_async("ws://localhost/", listener.connect()?).await?;
        for text in ["hello", "", "and once more, longer than a piece"] {
            socket.send(Message::text(text)).await?;
            assert_eq!(socket.next().await.expect("the supervisor answers")?, Message::text(text));
        }
        Ok::<(), Reason>(())
    });
    run(async {
        let server = server().await;
        let connection = Connection::connect(&server.local_addr().to_string()).await?;
        let (reader, mut writer) = connection.into_split();
        futures_util::AsyncWriteExt::write_all(&mut writer, b"one\ntwo\n").await?;
        futures_util::AsyncWriteExt::close(&mut writer).await?;
        let lines = futures_util::AsyncBufReadExt::lines(futures_util::io::BufReader::new(reader));
        let lines: Vec<_> = lines.map(|line| line.expect("a line")).collect().await;
        assert_eq!(lines, ["one", "two"]);
        server.stop(Duration::ZERO).await;
        Ok::<(), Reason>(())
    });
}

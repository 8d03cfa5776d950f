//! Connections as tokio's streams, in processes and in tasks of tokio, and servers inside tokio: TK5 and TK2.
#![cfg(feature = "tokio")]

use std::{
    io,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use riot_actor::{
    Reason, exit, now,
    process::{tree, wait},
    receive,
    runtime::{Config, in_tokio},
    send,
    simulation::Simulation,
    sleep, spawn, this,
};
use riot_socket::{
    Connection, ConnectionTimeouts, Control, Server, ServerHandle, Status,
    memory::{Faults, Listener},
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

fn with_tokio<F: Future<Output = Result<(), Reason>> + Send + 'static>(main: F) {
    assert_eq!(Config::new().workers(2).tokio().tokio_workers(2).run(main).expect("it runs"), Reason::Normal);
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Echoes by tokio's traits alone.
async fn echo<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) -> io::Result<u64> {
    let mut buffer = vec![0; 64 * 1024];
    let mut echoed = 0;
    loop {
        match stream.read(&mut buffer).await? {
            0 => break,
            read => {
                stream.write_all(&buffer[..read]).await?;
                echoed += read as u64;
            }
        }
    }
    stream.shutdown().await?;
    Ok(echoed)
}

/// Sends `total` bytes to an echo, and returns whether they come back.
async fn is_echoed(connection: Connection, total: usize) -> io::Result<()> {
    let (mut reader, mut writer) = connection.into_split();
    let main = this();
    spawn(async move {
        let piece: Vec<u8> = (0..=u8::MAX).cycle().take(50_000).collect();
        let mut left = total;
        while left > 0 {
            let sent = left.min(piece.len());
            AsyncWriteExt::write_all(&mut writer, &piece[..sent]).await?;
            left -= sent;
        }
        AsyncWriteExt::shutdown(&mut writer).await?;
        // The other half may still read.
        send(main, writer);
        Ok::<(), io::Error>(())
    });
    let (mut buffer, mut heard) = (vec![0; 64 * 1024], 0);
    loop {
        match AsyncReadExt::read(&mut reader, &mut buffer).await? {
            0 => break,
            read => {
                for (at, byte) in buffer[..read].iter().enumerate() {
                    assert_eq!(*byte, ((heard + at) % 50_000 % 256) as u8, "byte {}", heard + at);
                }
                heard += read;
            }
        }
    }
    assert_eq!(heard, total);
    Ok(())
}

#[test]
fn tk05_a_process_uses_a_connection_by_the_traits_of_tokio() {
    for seed in 0..50 {
        Simulation::sweep([seed], || async {
            let listener = Listener::new();
            listener.faults(Faults::new(riot_actor::runtime::random()).short(200).delay(50, millis(30)));
            let server = Server::listen(listener.clone())
                .start_link(|connection: Connection| async { echo(connection).await.map(drop) })
                .await?;
            is_echoed(listener.connect()?, 300_000).await?;
            server.stop(Duration::ZERO).await;
            Ok::<(), Reason>(())
        });
    }
}

async fn serve_in_a_task() -> Result<ServerHandle, Reason> {
    let server = Server::bind("127.0.0.1:0")?.tokio();
    let serve = |connection: Connection| async {
        // The Connector awaits the task, which has the connection.
        let echoed = tokio::spawn(echo(connection)).await.map_err(io::Error::other)??;
        assert!(echoed > 0);
        Ok::<(), io::Error>(())
    };
    Ok(server.start_link(serve).await?)
}

#[test]
fn tk05_a_connection_in_a_task_of_tokio_echoes_all_bytes() {
    // `RIOT_SOAK=1` sends 100 MB.
    let total = if std::env::var_os("RIOT_SOAK").is_some() { 100_000_000 } else { 20_000_000 };
    with_tokio(async move {
        let server = serve_in_a_task().await?;
        is_echoed(Connection::connect(&server.local_addr().to_string()).await?, total).await?;
        server.wait_for_connections(|connections| connections == 0).await;
        let info = server.info();
        assert_eq!((info.bytes_received, info.bytes_sent), (total as u64, total as u64));
        assert_eq!((info.ended.normal, info.ended.total()), (1, 1));
        server.stop(Duration::ZERO).await;
        Ok(())
    });
}

/// A protocol that has nothing to say.
struct Quiet;

impl Control for Quiet {
    fn drain(&self, _: Option<Instant>) {}
    fn status(&self) -> Status {
        Status { state: "quiet", requests: 0 }
    }
}

#[test]
fn tk05_the_end_of_the_owner_ends_the_stream_in_the_task() {
    for is_controlled in [false, true] {
        with_tokio(async move {
            let ended: Arc<Mutex<Option<io::Result<u64>>>> = Arc::default();
            let told = ended.clone();
            let server = Server::bind("127.0.0.1:0")?
                .tokio()
                .start_link(move |connection: Connection| {
                    let told = told.clone();
                    async move {
                        let control: Arc<dyn Control> = Arc::new(Quiet);
                        if is_controlled {
                            connection.controlled_by(Arc::downgrade(&control));
                        }
                        let echoing = tokio::spawn(async move {
                            let echoed = echo(connection).await;
                            *told.lock().expect("no panic") = Some(echoed);
                        });
                        let _ = echoing.await;
                    }
                })
                .await?;
            let mut client = Connection::connect(&server.local_addr().to_string()).await?;
            client.write_all(b"hello").await?;
            client.read_exact(&mut [0; 5]).await?;
            exit(tree().labelled("Connector")[0], Reason::Kill);
            assert_eq!(client.read_to_end(10).await.unwrap_or_default(), b"");
            while ended.lock().expect("no panic").is_none() {
                sleep(millis(1)).await;
            }
            server.stop(Duration::ZERO).await;
            Ok(())
        });
    }
}

#[test]
fn tk05_a_task_that_is_late_finds_the_connection_ended() {
    with_tokio(async {
        let (give, mut given) = tokio::sync::mpsc::unbounded_channel::<Connection>();
        let server = Server::bind("127.0.0.1:0")?
            .tokio()
            .start_link(move |connection: Connection| {
                // The Connector ends at once, and nothing has polled the connection yet.
                let _ = give.send(connection);
                async {}
            })
            .await?;
        let mut client = Connection::connect(&server.local_addr().to_string()).await?;
        let connection = given.recv().await.expect("it was given");
        while !tree().labelled("Connector").is_empty() || server.info().ended.total() == 0 {
            sleep(millis(1)).await;
        }
        let task = in_tokio(async { tokio::spawn(echo(connection)).await });
        assert_eq!(task.await.map_err(Reason::from)?.unwrap_or_default(), 0);
        assert_eq!(client.read_to_end(10).await.unwrap_or_default(), b"");
        server.stop(Duration::ZERO).await;
        Ok(())
    });
}

#[test]
fn tk05_the_halves_of_a_connection_work_in_two_tasks() {
    with_tokio(async {
        let server = Server::bind("127.0.0.1:0")?
            .tokio()
            .start_link(|connection: Connection| async {
                let (mut reader, mut writer) = connection.into_split();
                let (pass, mut passed) = tokio::sync::mpsc::channel::<Vec<u8>>(4);
                let reading = tokio::spawn(async move {
                    let mut buffer = vec![0; 4096];
                    loop {
                        match AsyncReadExt::read(&mut reader, &mut buffer).await? {
                            0 => return Ok::<(), io::Error>(()),
                            read => drop(pass.send(buffer[..read].to_vec()).await),
                        }
                    }
                });
                let writing = tokio::spawn(async move {
                    while let Some(bytes) = passed.recv().await {
                        AsyncWriteExt::write_all(&mut writer, &bytes).await?;
                    }
                    AsyncWriteExt::shutdown(&mut writer).await
                });
                reading.await.map_err(io::Error::other)??;
                writing.await.map_err(io::Error::other)?
            })
            .await?;
        is_echoed(Connection::connect(&server.local_addr().to_string()).await?, 1_000_000).await?;
        server.stop(Duration::ZERO).await;
        Ok(())
    });
}

#[test]
fn tk05_the_timers_of_a_connection_run_in_a_task() {
    with_tokio(async {
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel::<io::Result<u64>>();
        let server = Server::bind("127.0.0.1:0")?
            .tokio()
            .connection_timeouts(ConnectionTimeouts::new().idle_timeout(millis(50)))
            .start_link(move |connection: Connection| {
                let tell = tell.clone();
                async move {
                    let _ = tell.send(tokio::spawn(echo(connection)).await.expect("no panic"));
                }
            })
            .await?;
        let began = now();
        let _client = Connection::connect(&server.local_addr().to_string()).await?;
        let ended = told.recv().await.expect("it tells");
        assert_eq!(ended.map_err(|error| error.kind()), Err(io::ErrorKind::TimedOut));
        assert!(now() - began >= millis(50));
        server.stop(Duration::ZERO).await;
        Ok(())
    });
}

#[test]
fn tk05_a_connection_of_a_client_works_in_a_task() {
    with_tokio(async {
        let server = Server::bind("127.0.0.1:0")?
            .start_link(|connection: Connection| async { echo(connection).await.map(drop) })
            .await?;
        let mut client = Connection::connect(&server.local_addr().to_string()).await?;
        let main = this();
        in_tokio(async move {
            tokio::spawn(async move {
                AsyncWriteExt::write_all(&mut client, b"hello").await.expect("it sends");
                let mut heard = [0; 5];
                AsyncReadExt::read_exact(&mut client, &mut heard).await.expect("it hears");
                heard
            })
            .await
            .map(|heard| send(main, heard))
        })
        .await
        .map_err(Reason::from)?;
        assert_eq!(&receive::<[u8; 5]>().await, b"hello");
        server.stop(Duration::ZERO).await;
        Ok(())
    });
}

#[test]
fn tk02_a_server_inside_tokio_does_not_start_without_one() {
    let reason = riot_actor::run(async {
        let serve = |connection: Connection| async { echo(connection).await.map(drop) };
        let starting = Server::bind("127.0.0.1:0")?.tokio().start_link(serve).await;
        let text = starting.expect_err("it does not start").to_string();
        assert!(text.contains("this future needs tokio: use Config::tokio()"), "{text}");
        Ok::<(), Reason>(())
    });
    assert_eq!(reason, Reason::Normal);
}

#[test]
fn tk02_a_connector_is_inside_tokio_and_other_processes_are_not() {
    with_tokio(async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone())
            .tokio()
            .start_link(|mut connection: Connection| async move {
                tokio::time::sleep(millis(1)).await;
                let outside = spawn(async {
                    assert!(tokio::runtime::Handle::try_current().is_err());
                });
                assert!(wait(outside).await.is_clean());
                connection.write_all(b"ok").await
            })
            .await?;
        assert_eq!(listener.connect()?.read_to_end(2).await?, b"ok");
        server.stop(Duration::ZERO).await;
        Ok(())
    });
}

/// Waits for the result that a task tells.
fn told<T>(told: &std::sync::mpsc::Receiver<T>) -> T {
    told.recv_timeout(Duration::from_secs(30)).expect("the task goes on")
}

#[test]
fn tk05_a_connection_that_outlives_its_runtime_ends_with_an_error() {
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let tokio = tokio.expect("it starts");
    let peer = std::net::TcpListener::bind("127.0.0.1:0").expect("it binds");
    let address = peer.local_addr().expect("it is bound").to_string();
    let riot = Config::new().workers(2).start(std::future::pending::<()>()).expect("it starts");
    let serving = riot.handle().run(async {
        // The workers have pollers from then on.
        let serve = |connection: Connection| async { echo(connection).await.map(drop) };
        let server = Server::bind("127.0.0.1:0").expect("it binds").start_link(serve).await;
        server.expect("it starts").stop(Duration::ZERO).await;
    });
    serving.wait().expect("it runs");
    let connect = |address: String| {
        let connecting = riot.handle().run(async move { Connection::connect(&address).await });
        connecting.wait().expect("it runs").expect("it connects")
    };
    let (waiting, late, never) = (connect(address.clone()), connect(address.clone()), connect(address));
    let (tell, hear) = std::sync::mpsc::channel();
    let (reading, has_read) = std::sync::mpsc::channel();
    let tell_late = tell.clone();
    tokio.spawn(async move {
        let (mut reader, _writer) = waiting.into_split();
        let mut bytes = [0; 8];
        let mut buffer = tokio::io::ReadBuf::new(&mut bytes);
        let read = std::future::poll_fn(|cx| {
            let polled = std::pin::Pin::new(&mut reader).poll_read(cx, &mut buffer);
            let _ = reading.send(());
            polled
        });
        let _ = tell.send(read.await.map(|()| 0));
    });
    told(&has_read);
    // The handle keeps what is left of the runtime.
    let handle = riot.handle().clone();
    handle.shutdown(Reason::Normal);
    riot.wait().expect("it ends");
    let not_connected = |read: io::Result<u64>| read.map_err(|error| error.kind());
    assert_eq!(not_connected(told(&hear)), Err(io::ErrorKind::NotConnected), "a read that waits");
    tokio.spawn(async move { tell_late.send(echo(late).await) });
    assert_eq!(not_connected(told(&hear)), Err(io::ErrorKind::NotConnected), "a read that begins later");
    drop(tokio.spawn(async move { drop(never.into_split()) }));
    drop(tokio);
}

#[test]
fn tk05_a_connection_works_in_a_task_before_any_worker_has_waited_for_a_socket() {
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let tokio = tokio.expect("it starts");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("it binds");
    let address = listener.local_addr().expect("it is bound").to_string();
    let riot = Config::new().workers(1).start(std::future::pending::<()>()).expect("it starts");
    let connecting = riot.handle().run(async move { Connection::connect(&address).await });
    let mut connection = connecting.wait().expect("it runs").expect("it connects");
    let (mut peer, _) = listener.accept().expect("it is connected");
    let (tell, hear) = std::sync::mpsc::channel();
    let (polling, polled) = std::sync::mpsc::channel();
    tokio.spawn(async move {
        let mut bytes = [0; 5];
        let reading = AsyncReadExt::read_exact(&mut connection, &mut bytes);
        let mut reading = std::pin::pin!(reading);
        let read = std::future::poll_fn(|cx| {
            let read = reading.as_mut().poll(cx);
            let _ = polling.send(());
            read
        });
        let _ = tell.send(read.await.map(|_| ()));
    });
    told(&polled);
    io::Write::write_all(&mut peer, b"hello").expect("it is sent");
    told(&hear).expect("the bytes come");
    riot.handle().shutdown(Reason::Normal);
    riot.wait().expect("it ends");
}

//! The suite acceptor_SUITE, over TCP or in memory.

use super::*;

#[test]
fn echo() {
    let reason = Config::new().workers(2).run(async {
        let server = Server::bind("127.0.0.1:0")?.start_link(common::echo).await?;
        let address = server.local_addr();
        let connect = async || {
            let stream = TcpStream::connect(address).await?;
            io::Result::Ok(Connection::new(Arc::new(stream), Address::Ip(address)))
        };
        let mut client = connect().await?;
        says_it_back(&mut client, b"TCP Ranch is working!").await;
        server.stop(Duration::from_secs(5)).await;
        assert_eq!(client.read(&mut [0]).await?, 0, "a stop closes the client");
        assert_eq!(server.address(), None);
        assert!(connect().await.is_err());
        Ok::<(), Reason>(())
    });
    assert_eq!(reason.expect("the process runs"), Reason::Normal);
}

#[test]
fn graceful() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone()).acceptors(3).start_link(common::echo).await?;
        let mut before = listener.connect()?;
        says_it_back(&mut before, b"Hello!").await;
        server.suspend().await;
        assert_eq!(server.info().state, ServerState::Suspended);
        assert!(listener.connect().is_err());
        says_it_back(&mut before, b"Still here.").await;
        server.set_max_connections(2);
        server.set_acceptors(1);
        server.resume().await?;
        let mut clients = connect(&listener, 2);
        settle().await;
        assert_eq!(counts(&server, &listener), (2, 2, 1), "options changed meanwhile hold");
        says_it_back(&mut clients[0], b"Hello again!").await;
        assert_eq!(tree().labelled("Acceptor.Worker").len(), 1);
        Ok::<(), Reason>(())
    });
}

#[test]
fn max_connections() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone())
            .acceptors(1)
            .max_connections(10)
            .start_link(common::echo)
            .await?;
        let mut clients = connect(&listener, 11);
        settle().await;
        assert_eq!(counts(&server, &listener), (10, 10, 1));
        assert_eq!(served(&mut clients).await, 10);
        settle().await;
        assert_eq!(counts(&server, &listener), (1, 1, 0), "the eleventh, when the others have ended");
        assert_eq!(served(&mut clients).await, 1);
        Ok::<(), Reason>(())
    });
}

#[test]
fn max_connections_and_beyond() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        // The first ten release their permits.
        let begun = Arc::new(AtomicUsize::new(0));
        let server = Server::listen(listener.clone())
            .acceptors(1)
            .max_connections(10)
            .start_link(move |connection: Connection| {
                if begun.fetch_add(1, SeqCst) < 10 {
                    connection.remove();
                }
                common::echo(connection)
            })
            .await?;
        let _clients = connect(&listener, 21);
        settle().await;
        assert_eq!(counts(&server, &listener), (10, 20, 1));
        Ok::<(), Reason>(())
    });
}

#[test]
fn max_connections_infinity() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server =
            Server::listen(listener.clone()).acceptors(1).max_connections(10).start_link(never_ends).await?;
        let mut clients = connect(&listener, 20);
        settle().await;
        assert_eq!(counts(&server, &listener), (10, 10, 10));
        server.set_max_connections(usize::MAX);
        settle().await;
        assert_eq!(counts(&server, &listener), (20, 20, 0));
        server.set_max_connections(10);
        clients.extend(connect(&listener, 1));
        settle().await;
        assert_eq!(counts(&server, &listener), (20, 20, 1), "no client is sent away, and none admitted");
        Ok::<(), Reason>(())
    });
}

#[test]
fn remove_connections() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone())
            .start_link(|connection: Connection| {
                connection.remove();
                common::echo(connection)
            })
            .await?;
        let mut clients = connect(&listener, 10);
        settle().await;
        assert_eq!(counts(&server, &listener), (0, 10, 0));
        assert_eq!(served(&mut clients).await, 10);
        Ok::<(), Reason>(())
    });
}

#[test]
fn remove_connections_acceptor_wakeup() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone())
            .acceptors(1)
            .max_connections(1)
            .start_link(|mut connection: Connection| async move {
                let mut order = [0];
                while connection.read(&mut order).await? == 1 {
                    if order == *b"r" {
                        connection.remove();
                    }
                    connection.write_all(&order).await?;
                }
                Ok::<(), io::Error>(())
            })
            .await?;
        let mut clients = connect(&listener, 3);
        settle().await;
        assert_eq!(counts(&server, &listener), (1, 1, 2));
        says_it_back(&mut clients[0], b"r").await;
        says_it_back(&mut clients[1], b".").await;
        assert_eq!(counts(&server, &listener), (1, 2, 1), "one removal lets one in");
        says_it_back(&mut clients[1], b"r").await;
        says_it_back(&mut clients[2], b".").await;
        Ok::<(), Reason>(())
    });
}

#[test]
fn set_max_connections() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server =
            Server::listen(listener.clone()).acceptors(1).max_connections(10).start_link(never_ends).await?;
        let _clients = connect(&listener, 20);
        settle().await;
        assert_eq!(counts(&server, &listener), (10, 10, 10));
        server.set_max_connections(20);
        settle().await;
        assert_eq!((counts(&server, &listener), server.info().max_connections), ((20, 20, 0), 20));
        Ok::<(), Reason>(())
    });
}

#[test]
fn set_max_connections_clean() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone())
            .acceptors(4)
            .max_connections(10)
            .start_link(common::echo)
            .await?;
        let tree_before = supervisors();
        for number in 0..80 {
            let server = server.clone();
            spawn(async move { server.set_max_connections(1 + number * 7 % 20) });
        }
        let mut clients = connect(&listener, 100);
        let mut answered = 0;
        while !clients.is_empty() {
            answered += served(&mut clients).await;
            settle().await;
        }
        assert_eq!((answered, supervisors()), (100, tree_before), "no process of the tree has changed");
        Ok::<(), Reason>(())
    });
}

#[test]
fn getstat_capability() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone()).start_link(common::echo).await?;
        let mut client = listener.connect()?;
        says_it_back(&mut client, b"Hello!").await;
        let [connection] = &server.connections()[..] else { panic!("there is one") };
        assert_eq!((connection.bytes_received, connection.bytes_sent), (6, 6));
        Ok::<(), Reason>(())
    });
}

#[test]
fn upgrade() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone()).start_link(common::echo).await?;
        let mut before = listener.connect()?;
        says_it_back(&mut before, b"Hello!").await;
        server.set_protocol(
            |mut connection: Connection| async move { connection.write_all(b"upgraded").await },
        );
        let mut greeting = [0; 8];
        listener.connect()?.read_exact(&mut greeting).await?;
        assert_eq!(&greeting, b"upgraded");
        says_it_back(&mut before, b"Still the same.").await;
        Ok::<(), Reason>(())
    });
}

/// Runs on real sockets: the system spreads the clients over them.
#[test]
fn ten_acceptors_ten_listen_sockets() {
    let reason = Config::new().workers(2).run(async {
        let listening = Arc::new(AtomicUsize::new(0));
        let count = listening.clone();
        let server = Server::bind("127.0.0.1:0")?
            .options(Options::new().reuse_port())
            .acceptors(10)
            .listeners(10)
            .on_listen(move |_| {
                count.fetch_add(1, SeqCst);
                Ok(())
            })
            .start_link(common::echo)
            .await?;
        let address = server.local_addr();
        assert_eq!(listening.load(SeqCst), 10);
        for _ in 0..100 {
            let stream = TcpStream::connect(address).await?;
            let mut client = Connection::new(Arc::new(stream), Address::Ip(address));
            says_it_back(&mut client, b"Hello!").await;
        }
        assert_eq!(server.info().accepted, 100);
        server.stop(Duration::from_secs(5)).await;
        Ok::<(), Reason>(())
    });
    assert_eq!(reason.expect("the process runs"), Reason::Normal);
}

#[test]
fn many_listen_sockets_no_reuseport() {
    let reason = Config::new().workers(1).run(async {
        let before = processes().len();
        match Server::bind("127.0.0.1:0")?.listeners(2).start_link(common::echo).await {
            Err(ServerStartError::Bind(error)) => assert_eq!(error.kind(), io::ErrorKind::AddrInUse),
            other => panic!("{other:?}"),
        }
        assert_eq!(processes().len(), before);
        Ok::<(), Reason>(())
    });
    assert_eq!(reason.expect("the process runs"), Reason::Normal);
}

#[test]
fn error_eaddrinuse() {
    let reason = Config::new().workers(1).run(async {
        let taken = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let _taker = std::net::TcpListener::bind(taken)?;
        match Server::bind(taken)?.start_link(common::echo).await {
            Err(error @ ServerStartError::Bind(_)) => {
                assert_eq!(error.to_string(), format!("cannot listen on {taken}: the address is in use"));
            }
            other => panic!("{other:?}"),
        }
        Ok::<(), Reason>(())
    });
    assert_eq!(reason.expect("the process runs"), Reason::Normal);
}

#[test]
fn error_eacces() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        listener.refuse_bind(Some(io::ErrorKind::PermissionDenied));
        match Server::listen(listener).start_link(common::echo).await {
            Err(ServerStartError::Bind(error)) => assert_eq!(error.kind(), io::ErrorKind::PermissionDenied),
            other => panic!("{other:?}"),
        }
        Ok::<(), Reason>(())
    });
}

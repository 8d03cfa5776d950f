//! The group `misc` of acceptor_SUITE.

use super::*;

#[test]
fn repeated_remove() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone())
            .start_link(|connection: Connection| async move {
                for _ in 0..5 {
                    connection.remove();
                }
                common::echo(connection).await
            })
            .await?;
        let mut client = listener.connect()?;
        says_it_back(&mut client, b"Hello!").await;
        assert_eq!(counts(&server, &listener), (0, 1, 0));
        drop(client);
        settle().await;
        assert_eq!(counts(&server, &listener), (0, 0, 0));
        Ok::<(), Reason>(())
    });
}

#[test]
fn info() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let begun = AtomicUsize::new(0);
        let server = Server::listen(listener.clone())
            .start_link(move |connection: Connection| {
                if begun.fetch_add(1, SeqCst) < 3 {
                    connection.remove();
                }
                never_ends(connection)
            })
            .await?;
        let clients = connect(&listener, 5);
        settle().await;
        server.set_max_connections(77);
        let info = server.info();
        assert_eq!((info.active, info.all, info.max_connections), (2, 5, 77), "two of five");
        assert_eq!((info.state, info.address), (ServerState::Running, Some(Address::Memory(0))));
        let mut peers: Vec<_> = server.connections().iter().map(|one| one.peer.to_string()).collect();
        peers.sort();
        let mut expected: Vec<_> = clients.iter().map(|client| client.peer().to_string()).collect();
        expected.sort();
        assert_eq!(peers, expected);
        server.stop(Duration::ZERO).await;
        assert_eq!((server.info().state, server.info().address), (ServerState::Down, None));
        assert!(server.connections().is_empty());
        Ok::<(), Reason>(())
    });
}

#[test]
fn info_embedded() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let (spec, server) = Server::listen(listener.clone()).child("echo", common::echo);
        assert_eq!(server.info().state, ServerState::Down, "it was not started");
        let supervisor = Supervisor::one_for_one().child(spec).start_link().await?;
        let _clients = connect(&listener, 2);
        settle().await;
        assert_eq!(counts(&server, &listener), (2, 2, 0));
        supervisor.terminate_child("echo").await?;
        assert_eq!((server.info().state, server.info().active), (ServerState::Down, 0));
        supervisor.restart_child("echo").await?;
        says_it_back(&mut listener.connect()?, b"Hello!").await;
        assert_eq!((server.info().state, server.info().accepted), (ServerState::Running, 3));
        Ok::<(), Reason>(())
    });
}

#[test]
fn metrics() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone()).start_link(common::echo).await?;
        let counted = async || {
            settle().await;
            let info = server.info();
            (info.accepted, info.ended.normal)
        };
        let first = connect(&listener, 10);
        assert_eq!(counted().await, (10, 0));
        let second = connect(&listener, 10);
        assert_eq!(counted().await, (20, 0));
        drop(first);
        assert_eq!(counted().await, (20, 10));
        drop(second);
        assert_eq!(counted().await, (20, 20));
        Ok::<(), Reason>(())
    });
}

#[test]
fn post_listen_callback() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let watcher = this();
        let _server = Server::listen(listener.clone())
            .on_listen(move |address| {
                assert!(tree().labelled("Acceptor.Worker").is_empty(), "no process accepts yet");
                send(watcher, address.clone());
                Ok(())
            })
            .start_link(common::echo)
            .await?;
        assert_eq!(receive_timeout::<Address>(Duration::ZERO).await, Ok(Address::Memory(0)));
        says_it_back(&mut listener.connect()?, b"Hello!").await;
        Ok::<(), Reason>(())
    });
}

#[test]
fn post_listen_callback_error() {
    Simulation::sweep(SEEDS, || async {
        let before = processes().len();
        let server = Server::listen(Listener::new()).on_listen(|_| Err(io::Error::other("not here")));
        match server.start_link(common::echo).await {
            Err(ServerStartError::Bind(error)) => assert_eq!(error.to_string(), "not here"),
            other => panic!("{other:?}"),
        }
        assert_eq!(processes().len(), before, "{}", tree());
        Ok::<(), Reason>(())
    });
}

#[test]
fn every_hook_is_called_in_order_up_to_the_first_that_fails() {
    Simulation::sweep(SEEDS, || async {
        let watcher = this();
        let hook = move |number: u8| {
            move |_: &Address| {
                send(watcher, number);
                if number < 2 { Ok(()) } else { Err(io::Error::other("not here")) }
            }
        };
        let server = Server::listen(Listener::new());
        let server = server.on_listen(hook(1)).on_listen(hook(2)).on_listen(hook(3));
        assert!(server.start_link(common::echo).await.is_err());
        let mut called = Vec::new();
        while let Ok(number) = receive_timeout::<u8>(Duration::ZERO).await {
            called.push(number);
        }
        assert_eq!(called, [1, 2]);
        Ok::<(), Reason>(())
    });
}

#[test]
fn processes_that_accept_and_serve_have_the_priority_of_their_server() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone()).priority(riot_actor::process::Priority::High);
        let _server = server.start_link(never_ends).await?;
        let _client = listener.connect()?;
        settle().await;
        let is_high = |pid| {
            let info = riot_actor::process::info(pid);
            info.is_some_and(|info| info.priority == riot_actor::process::Priority::High)
        };
        for label in ["Acceptor.Worker", "Connections.Sup", "Connector"] {
            let pids = tree().labelled(label);
            assert!(!pids.is_empty(), "{label}");
            assert!(pids.iter().all(|&pid| is_high(pid)));
        }
        Ok::<(), Reason>(())
    });
}

#[test]
fn set_transport_options() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let (spec, server) = Server::listen(listener.clone())
            .acceptors(2)
            .handshake(|connection: Connection| async move {
                sleep(Duration::from_secs(2)).await;
                Ok(connection)
            })
            .child("server", never_ends);
        let supervisor = Supervisor::one_for_one().child(spec).start_link().await?;
        server.set_handshake_timeout(Duration::from_secs(1));
        let start = now();
        assert_eq!(listener.connect()?.read(&mut [0]).await?, 0);
        assert_eq!((now() - start).as_secs(), 1, "at once");
        server.set_acceptors(7);
        assert_eq!(tree().labelled("Acceptor.Worker").len(), 2, "when it listens again");
        server.suspend().await;
        server.resume().await?;
        assert_eq!(tree().labelled("Acceptor.Worker").len(), 7);
        server.set_handshake_timeout(Duration::from_secs(60));
        let _client = listener.connect()?;
        sleep(Duration::from_secs(3)).await;
        server.set_shutdown_timeout(Duration::from_secs(1));
        let start = now();
        supervisor.terminate_child("server").await?;
        assert_eq!((now() - start).as_secs(), 1, "at once");
        Ok::<(), Reason>(())
    });
}

#[test]
fn wait_for_connections() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone()).start_link(common::echo).await?;
        type Wanted = fn(usize) -> bool;
        let up: [Wanted; 5] = [|all| all > 0, |all| all >= 5, |all| all == 10, |all| all != 0, |all| all > 9];
        let down: [Wanted; 4] = [|all| all < 10, |all| all <= 5, |all| all == 0, |all| all < 1];
        let watcher = this();
        let watch = |wanted: Wanted| {
            let server = server.clone();
            spawn(async move {
                server.wait_for_connections(wanted).await;
                send(watcher, "reached");
            });
        };
        let reached = async || {
            settle().await;
            let mut reached = 0;
            while receive_timeout::<&str>(Duration::ZERO).await.is_ok() {
                reached += 1;
            }
            reached
        };
        up.into_iter().for_each(watch);
        assert_eq!(reached().await, 0);
        let mut clients = connect(&listener, 10);
        assert_eq!(reached().await, 5);
        down.into_iter().for_each(watch);
        assert_eq!(reached().await, 0);
        clients.truncate(5);
        assert_eq!(reached().await, 2);
        clients.clear();
        assert_eq!(reached().await, 2);
        Ok::<(), Reason>(())
    });
}

#[test]
fn connection_alarms() {
    Simulation::sweep(SEEDS, || async {
        struct Rang(&'static str, usize);
        let listener = Listener::new();
        let watcher = this();
        let alarm = |name: &'static str, threshold, cooldown| {
            let tell = move |raised: AlarmEvent| async move {
                assert_eq!(raised.connections.len(), raised.active);
                send(watcher, Rang(name, raised.active));
            };
            Alarm::new(name, threshold, tell).cooldown(Duration::from_millis(cooldown))
        };
        Server::listen(listener.clone())
            .acceptors(1)
            .connection_supervisors(1)
            .alarm(alarm("two", 2, 0))
            .alarm(alarm("three", 3, 100))
            .start_link(common::echo)
            .await?;
        let rang = async || {
            settle().await;
            let mut rang = Vec::new();
            while let Ok(Rang(name, active)) = receive_timeout::<Rang>(Duration::ZERO).await {
                rang.push((name, active));
            }
            rang.sort_unstable();
            rang
        };
        let mut clients = connect(&listener, 1);
        assert_eq!(rang().await, []);
        clients.extend(connect(&listener, 1));
        assert_eq!(rang().await, [("two", 2)]);
        clients.extend(connect(&listener, 1));
        assert_eq!(rang().await, [("three", 3), ("two", 3)]);
        clients.extend(connect(&listener, 1));
        assert_eq!(rang().await, [("two", 4)], "the other cools down");
        sleep(Duration::from_millis(100)).await;
        assert_eq!(rang().await, [("three", 4)], "there still are as many");
        clients.clear();
        sleep(Duration::from_millis(300)).await;
        assert_eq!(rang().await, []);
        Ok::<(), Reason>(())
    });
}

#[test]
fn stop_unknown_listener() {
    Simulation::sweep(SEEDS, || async {
        let server = Server::listen(Listener::new()).start_link(common::echo).await?;
        server.stop(Duration::ZERO).await;
        assert!(server.stop(Duration::ZERO).await.cut.is_empty());
        server.suspend().await;
        assert!(matches!(server.resume().await, Err(ServerStartError::Supervisor(Reason::NoProc))));
        Ok::<(), Reason>(())
    });
}

#[test]
fn repeated_start_stop() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        for _ in 0..10 {
            let server = Server::listen(listener.clone()).start_link(common::echo).await?;
            says_it_back(&mut listener.connect()?, b"Hello!").await;
            server.stop(Duration::from_secs(1)).await;
            settle().await;
            assert_eq!(processes(), [this()], "{}", tree());
        }
        Ok::<(), Reason>(())
    });
}

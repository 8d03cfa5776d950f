//! Ranch's own test scenarios, by their names, as far as they mean something here. Those of its ssl, proxy_header and
//! sendfile suites are with what they are about.
//!
//! Not here: `active_echo`, `active_n_echo` and `getopts_capability` (there are no read modes), `bad_transport`,
//! `bad_transport_options`, `opts_logger` and the bad arguments of `wait_for_connections` (the compiler refuses them),
//! `embedded_ranch_server_crash` and `server_recover_state` (there is no such process), `multiple_ip_local_socket_opts`
//! (an option has one value).

mod common;

use std::{
    future::pending,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use common::{SEEDS, connect, echo, holds_on, kill, says_it_back, settle};
use riot_actor::{
    Config, Pid, Reason, is_alive, now, processes, receive_timeout, send, simulation::Simulation, sleep,
    spawn, this, timeout, tree,
};
use riot_socket::{
    Address, Alarm, Connection, Options, Raised, Server, ServerRef, ServerState, StartError, TcpStream,
    memory::Listener, supervised,
};
use riot_supervisor::{AutoShutdown, Supervisor, process};

/// Active connections, all connections, clients outside.
fn counts(server: &ServerRef, listener: &Listener) -> (usize, usize, usize) {
    let info = server.info();
    (info.active, info.all, listener.waiting())
}

/// Asks every client something, and ends those that get an answer.
async fn served(clients: &mut Vec<Connection>) -> usize {
    let mut answered = Vec::new();
    for mut client in std::mem::take(clients) {
        client.write_all(b"?").await.expect("it is connected");
        match timeout(Duration::from_millis(1), client.read(&mut [0])).await {
            Ok(read) => {
                assert_eq!(read.expect("it is connected"), 1);
                answered.push(client);
            }
            Err(_) => clients.push(client),
        }
    }
    answered.len()
}

mod acceptor_suite {
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
        assert_eq!(reason.expect("it runs"), Reason::Normal);
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
            // The first ten take themselves out of the count.
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
            let server = Server::listen(listener.clone())
                .acceptors(1)
                .max_connections(10)
                .start_link(holds_on)
                .await?;
            let mut clients = connect(&listener, 20);
            settle().await;
            assert_eq!(counts(&server, &listener), (10, 10, 10));
            server.set_max_connections(usize::MAX);
            settle().await;
            assert_eq!(counts(&server, &listener), (20, 20, 0));
            server.set_max_connections(10);
            clients.extend(connect(&listener, 1));
            settle().await;
            assert_eq!(counts(&server, &listener), (20, 20, 1), "nobody is sent away, nobody let in");
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
            let server = Server::listen(listener.clone())
                .acceptors(1)
                .max_connections(10)
                .start_link(holds_on)
                .await?;
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
            server.set_protocol(|mut connection: Connection| async move {
                connection.write_all(b"upgraded").await
            });
            let mut greeting = [0; 8];
            listener.connect()?.read_exact(&mut greeting).await?;
            assert_eq!(&greeting, b"upgraded");
            says_it_back(&mut before, b"Still the same.").await;
            Ok::<(), Reason>(())
        });
    }

    /// On real sockets: the system spreads the clients over them.
    #[test]
    fn ten_acceptors_ten_listen_sockets() {
        let reason = Config::new().workers(2).run(async {
            let listening = Arc::new(AtomicUsize::new(0));
            let count = listening.clone();
            let server = Server::bind("127.0.0.1:0")?
                .options(Options::new().reuse_port(true))
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
        assert_eq!(reason.expect("it runs"), Reason::Normal);
    }

    #[test]
    fn many_listen_sockets_no_reuseport() {
        let reason = Config::new().workers(1).run(async {
            let before = processes().len();
            match Server::bind("127.0.0.1:0")?.listeners(2).start_link(common::echo).await {
                Err(StartError::Bind(error)) => assert_eq!(error.kind(), io::ErrorKind::AddrInUse),
                other => panic!("{other:?}"),
            }
            assert_eq!(processes().len(), before);
            Ok::<(), Reason>(())
        });
        assert_eq!(reason.expect("it runs"), Reason::Normal);
    }

    #[test]
    fn error_eaddrinuse() {
        let reason = Config::new().workers(1).run(async {
            let taken = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
            let _taker = std::net::TcpListener::bind(taken)?;
            match Server::bind(taken)?.start_link(common::echo).await {
                Err(error @ StartError::Bind(_)) => {
                    assert_eq!(error.to_string(), format!("cannot listen on {taken}: the address is in use"));
                }
                other => panic!("{other:?}"),
            }
            Ok::<(), Reason>(())
        });
        assert_eq!(reason.expect("it runs"), Reason::Normal);
    }

    #[test]
    fn error_eacces() {
        Simulation::sweep(SEEDS, || async {
            let listener = Listener::new();
            listener.refuse_bind(Some(io::ErrorKind::PermissionDenied));
            match Server::listen(listener).start_link(common::echo).await {
                Err(StartError::Bind(error)) => assert_eq!(error.kind(), io::ErrorKind::PermissionDenied),
                other => panic!("{other:?}"),
            }
            Ok::<(), Reason>(())
        });
    }
}

/// Every process of the tree but connections.
fn supervisors() -> Vec<Pid> {
    ["Server.Sup", "Connections.Sup.Sup", "Connections.Sup", "Acceptor.Sup", "Acceptor.Worker"]
        .into_iter()
        .flat_map(|label| tree().labelled(label))
        .collect()
}

mod misc {
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
                    holds_on(connection)
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
                    assert!(tree().labelled("Acceptor.Worker").is_empty(), "nobody accepts yet");
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
                Err(StartError::Bind(error)) => assert_eq!(error.to_string(), "not here"),
                other => panic!("{other:?}"),
            }
            assert_eq!(processes().len(), before, "{}", tree());
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
                .child("server", holds_on);
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
            server.set_shutdown(Duration::from_secs(1));
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
            let up: [Wanted; 5] =
                [|all| all > 0, |all| all >= 5, |all| all == 10, |all| all != 0, |all| all > 9];
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
                let tell = move |raised: Raised| async move {
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
            assert!(server.stop(Duration::ZERO).await.is_empty());
            server.suspend().await;
            assert!(matches!(server.resume().await, Err(StartError::Supervisor(Reason::NoProc))));
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
}

mod supervisor {
    use super::*;

    #[test]
    fn connection_type_supervisor() {
        Simulation::sweep(SEEDS, || async {
            let listener = Listener::new();
            let server = Server::listen(listener.clone())
                .start_link(supervised(|connection: Connection| {
                    let connection = std::sync::Mutex::new(Some(connection));
                    let talker = move || {
                        let connection = connection.lock().expect("nobody panics with it").take();
                        async move {
                            if let Some(connection) = connection {
                                let _ = common::echo(connection).await;
                            }
                        }
                    };
                    Supervisor::one_for_all()
                        .label("Connection.Sup")
                        .auto_shutdown(AutoShutdown::AnySignificant)
                        .child(process("helper", pending::<()>))
                        .child(process("talker", talker).temporary().significant())
                }))
                .await?;
            let at_rest = processes().len();
            let mut clients = connect(&listener, 3);
            for client in &mut clients {
                says_it_back(client, b"Hello!").await;
            }
            assert_eq!((tree().labelled("Connection.Sup").len(), server.info().active), (3, 3));
            // A supervisor that dies takes its connection; one that is done ends with it.
            kill(tree().labelled("Connection.Sup")[0]).await;
            drop(clients.pop());
            settle().await;
            assert_eq!(
                (tree().labelled("Connection.Sup").len(), tree().labelled("Connector").len()),
                (1, 1),
                "{}",
                tree()
            );
            server.stop(Duration::from_secs(5)).await;
            settle().await;
            assert!(processes().len() < at_rest);
            assert_eq!(processes(), [this()], "{}", tree());
            Ok::<(), Reason>(())
        });
    }

    /// A mapping of acceptors to Connections.Sup covers all of them.
    fn mapping(acceptors: usize, supervisors: usize) {
        Simulation::sweep(SEEDS, move || async move {
            let listener = Listener::new();
            let server = Server::listen(listener.clone())
                .acceptors(acceptors)
                .connection_supervisors(supervisors)
                .start_link(common::echo)
                .await?;
            let mut clients = connect(&listener, 100);
            settle().await;
            assert_eq!(counts(&server, &listener), (100, 100, 0));
            assert_eq!(tree().labelled("Connections.Sup").len(), supervisors);
            assert_eq!(served(&mut clients).await, 100);
            Ok::<(), Reason>(())
        });
    }

    #[test]
    fn ten_acceptors_1_conns_sup() {
        mapping(10, 1);
    }

    #[test]
    fn nine_acceptors_4_conns_sups() {
        mapping(9, 4);
    }

    #[test]
    fn ten_acceptors_10_conns_sups() {
        mapping(10, 10);
    }

    #[test]
    fn one_acceptor_10_conns_sups() {
        mapping(1, 10);
    }

    #[test]
    fn changed_options_restart() {
        Simulation::sweep(SEEDS, || async {
            let listener = Listener::new();
            let (spec, server) = Server::listen(listener.clone()).acceptors(2).child("echo", common::echo);
            // A killed Server.Sup leaves its children to end by themselves: until they have, the address is taken.
            let patient = Supervisor::one_for_one().intensity(10, Duration::from_secs(5));
            patient.retry_delay(Duration::from_millis(1)).child(spec).start_link().await?;
            server.set_acceptors(4);
            server.set_max_connections(1);
            kill(server.pid().expect("it runs")).await;
            settle().await;
            let _clients = connect(&listener, 2);
            settle().await;
            assert_eq!(counts(&server, &listener), (1, 1, 1));
            assert_eq!(tree().labelled("Acceptor.Worker").len(), 4);
            Ok::<(), Reason>(())
        });
    }

    /// The listening socket's end restarts Acceptor.Sup and nothing else; its connections do not notice.
    #[test]
    fn clean_child_restart_and_conns_alive() {
        Simulation::sweep(SEEDS, || async {
            let listener = Listener::new();
            let server = Server::listen(listener.clone()).acceptors(1).start_link(common::echo).await?;
            let mut live = listener.connect()?;
            says_it_back(&mut live, b"Hello!").await;
            let before = [
                tree().labelled("Server.Sup"),
                tree().labelled("Connections.Sup.Sup"),
                tree().labelled("Connections.Sup"),
            ];
            let acceptors = tree().labelled("Acceptor.Sup");
            // Each acceptor that meets a dead listener ends; more than a few and its supervisor does.
            for _ in 0..2 {
                listener.fail_accept(io::Error::from_raw_os_error(libc::EBADF));
            }
            settle().await;
            let after = [
                tree().labelled("Server.Sup"),
                tree().labelled("Connections.Sup.Sup"),
                tree().labelled("Connections.Sup"),
            ];
            assert_eq!(after, before);
            assert_ne!(tree().labelled("Acceptor.Sup"), acceptors);
            says_it_back(&mut live, b"Still here!").await;
            says_it_back(&mut listener.connect()?, b"Hello!").await;
            assert_eq!(server.info().accept_errors.listener, 2);
            Ok::<(), Reason>(())
        });
    }

    #[test]
    fn clean_restart() {
        Simulation::sweep(SEEDS, || async {
            let listener = Listener::new();
            let server = Server::listen(listener.clone()).acceptors(2).start_link(common::echo).await?;
            let (top, before) = (server.pid(), supervisors());
            kill(tree().labelled("Connections.Sup.Sup")[0]).await;
            settle().await;
            let after = supervisors();
            assert_eq!((server.pid(), after.len()), (top, before.len()));
            assert!(after[1..].iter().all(|pid| !before.contains(pid)), "it and the acceptors, once");
            says_it_back(&mut listener.connect()?, b"Hello!").await;
            Ok::<(), Reason>(())
        });
    }

    #[test]
    fn protocol_start_link_crash() {
        fn crashing(_: Connection) -> std::future::Ready<()> {
            panic!("the protocol is broken")
        }
        Simulation::sweep(SEEDS, || async {
            let listener = Listener::new();
            let server = Server::listen(listener.clone()).start_link(crashing).await?;
            let before = supervisors();
            let mut client = listener.connect()?;
            assert_eq!(client.read(&mut [0]).await?, 0, "it is closed");
            settle().await;
            assert_eq!((supervisors(), server.info().active, server.info().ended.crashed), (before, 0, 1));
            Ok::<(), Reason>(())
        });
    }

    #[test]
    fn unexpected_message() {
        struct Unexpected;
        Simulation::sweep(SEEDS, || async {
            let listener = Listener::new();
            Server::listen(listener.clone()).start_link(common::echo).await?;
            let mut client = listener.connect()?;
            says_it_back(&mut client, b"Hello!").await;
            for pid in supervisors() {
                send(pid, Unexpected);
            }
            says_it_back(&mut client, b"Still here!").await;
            says_it_back(&mut listener.connect()?, b"Hello!").await;
            Ok::<(), Reason>(())
        });
    }
}

mod shutdown_suite {
    use super::*;

    /// Stops a server with one connection; says how long that took, and what the client saw.
    async fn stop(protocol: impl riot_socket::Protocol, limit: Duration) -> Result<Duration, Reason> {
        let listener = Listener::new();
        let server = Server::listen(listener.clone()).start_link(protocol).await?;
        let mut client = listener.connect()?;
        settle().await;
        let connector = tree().labelled("Connector")[0];
        let start = now();
        server.stop(limit).await;
        let took = now() - start;
        assert!(!is_alive(connector) && server.pid().is_none(), "{}", tree());
        assert_eq!(client.read(&mut [0]).await?, 0);
        assert!(listener.connect().is_err());
        Ok(took)
    }

    const AT_ONCE: std::ops::Range<u128> = 0..100;

    #[test]
    fn brutal_kill() {
        Simulation::sweep(SEEDS, || async {
            let took = stop(holds_on, Duration::ZERO).await?;
            assert!(AT_ONCE.contains(&took.as_millis()), "{took:?}");
            Ok::<(), Reason>(())
        });
    }

    #[test]
    fn infinity() {
        Simulation::sweep(SEEDS, || async {
            let took = stop(echo, Duration::MAX).await?;
            assert!(AT_ONCE.contains(&took.as_millis()), "{took:?}");
            Ok::<(), Reason>(())
        });
    }

    #[test]
    fn infinity_trap_exit() {
        Simulation::sweep(SEEDS, || async {
            let listener = Listener::new();
            let server = Server::listen(listener.clone()).start_link(holds_on).await?;
            let _client = listener.connect()?;
            settle().await;
            let stopping = server.clone();
            let stopper = spawn(async move { drop(stopping.stop(Duration::MAX).await) });
            sleep(Duration::from_secs(3600)).await;
            assert!(is_alive(stopper), "it waits for the connection");
            assert!(listener.connect().is_err());
            kill(tree().labelled("Connector")[0]).await;
            settle().await;
            assert!(!is_alive(stopper) && server.pid().is_none());
            Ok::<(), Reason>(())
        });
    }

    #[test]
    fn timeout() {
        Simulation::sweep(SEEDS, || async {
            let took = stop(echo, Duration::from_millis(500)).await?;
            assert!(AT_ONCE.contains(&took.as_millis()), "{took:?}");
            Ok::<(), Reason>(())
        });
    }

    #[test]
    fn timeout_trap_exit() {
        Simulation::sweep(SEEDS, || async {
            let took = stop(holds_on, Duration::from_millis(500)).await?;
            assert!((500..600).contains(&took.as_millis()), "{took:?}");
            Ok::<(), Reason>(())
        });
    }
}

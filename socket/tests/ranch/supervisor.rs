//! The group `supervisor` of acceptor_SUITE.

use super::*;

#[test]
fn connection_type_supervisor() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone())
            .start_link(supervised(|connection: Connection| {
                let connection = std::sync::Mutex::new(Some(connection));
                let talker = move || {
                    let connection = connection.lock().expect("no panic while locked").take();
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
        // A supervisor that is killed ends its connection. A supervisor whose connection is served ends with
        // it.
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

/// Checks that the mapping of acceptors to Connections.Sup covers all of them.
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
        // A killed Server.Sup does not stop its children. Until they have ended, the address is in use.
        let patient = Supervisor::one_for_one().intensity(10, Duration::from_secs(5));
        patient.retry_delay(Duration::from_millis(1)).child(spec).start_link().await?;
        server.set_acceptors(4);
        server.set_max_connections(1);
        kill(server.pid().expect("the process runs")).await;
        settle().await;
        let _clients = connect(&listener, 2);
        settle().await;
        assert_eq!(counts(&server, &listener), (1, 1, 1));
        assert_eq!(tree().labelled("Acceptor.Worker").len(), 4);
        Ok::<(), Reason>(())
    });
}

/// The end of the listening socket restarts Acceptor.Sup and nothing else; connections go on.
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
        // Each acceptor that uses a closed listener ends. After a few of them their supervisor ends.
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

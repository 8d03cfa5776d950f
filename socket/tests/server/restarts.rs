//! Crashes and restarts: B8 to B10.

use super::*;

#[test]
fn b08_a_crash_costs_its_own_connection_only() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone())
            .start_link(|mut connection: Connection| async move {
                let mut byte = [0];
                while connection.read(&mut byte).await? == 1 {
                    assert_ne!(byte, *b"!", "the client asked for a panic");
                    connection.write_all(&byte).await?;
                }
                Ok::<(), io::Error>(())
            })
            .await?;
        let (mut good, mut bad) = (listener.connect()?, listener.connect()?);
        says_it_back(&mut good, b"1").await;
        bad.write_all(b"!").await?;
        assert_eq!(bad.read(&mut [0]).await?, 0, "it is closed");
        says_it_back(&mut good, b"2").await;
        settle().await;
        assert_eq!((server.info().active, server.info().ended.crashed), (1, 1));
        Ok::<(), Reason>(())
    });
}

#[test]
fn b09_an_acceptor_that_dies_is_replaced_on_the_same_socket() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone()).acceptors(2).start_link(echo).await?;
        let mut live = listener.connect()?;
        says_it_back(&mut live, b"before").await;
        let supervisor = tree().labelled("Acceptor.Sup");
        kill(tree().labelled("Acceptor.Worker")[0]).await;
        let mut next = listener.connect()?;
        says_it_back(&mut next, b"next").await;
        says_it_back(&mut live, b"after").await;
        settle().await;
        assert_eq!(tree().labelled("Acceptor.Sup"), supervisor);
        assert_eq!((tree().labelled("Acceptor.Worker").len(), server.info().active), (2, 2));
        Ok::<(), Reason>(())
    });
}

#[test]
fn b09_the_listener_is_bound_again_under_live_connections() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone()).acceptors(3).start_link(echo).await?;
        let mut live = listener.connect()?;
        says_it_back(&mut live, b"before").await;
        kill(tree().labelled("Acceptor.Sup")[0]).await;
        settle().await;
        let mut next = listener.connect()?;
        says_it_back(&mut next, b"next").await;
        says_it_back(&mut live, b"after").await;
        assert_eq!((tree().labelled("Acceptor.Worker").len(), server.info().active), (3, 2));
        Ok::<(), Reason>(())
    });
}

#[test]
fn b09_a_connections_supervisor_takes_its_own_and_acceptors_go_on_with_the_new_one() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone()).connection_supervisors(1).start_link(echo).await?;
        let mut live = listener.connect()?;
        says_it_back(&mut live, b"before").await;
        let acceptors = tree().labelled("Acceptor.Worker");
        kill(tree().labelled("Connections.Sup")[0]).await;
        assert_eq!(live.read(&mut [0]).await?, 0, "its connections end");
        let mut next = listener.connect()?;
        says_it_back(&mut next, b"next").await;
        assert_eq!(tree().labelled("Acceptor.Worker"), acceptors, "the acceptors are the same");
        settle().await;
        assert_eq!(server.info().active, 1, "those that ended with their supervisor are not counted");
        Ok::<(), Reason>(())
    });
}

#[test]
fn b10_more_restarts_than_one_in_the_life_of_a_server() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone()).acceptors(2).start_link(echo).await?;
        for _ in 0..20 {
            kill(tree().labelled("Acceptor.Worker")[0]).await;
            sleep(Duration::from_secs(6)).await;
        }
        let mut client = listener.connect()?;
        says_it_back(&mut client, b"still there").await;
        assert!(is_alive(server.pid().expect("the process runs")));
        Ok::<(), Reason>(())
    });
}

#[test]
fn b10_a_random_process_killed_again_and_again() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server =
            Server::listen(listener.clone()).acceptors(4).connection_supervisors(2).start_link(echo).await?;
        let labels = [
            "Acceptor.Worker",
            "Connector",
            "Connections.Sup",
            "Acceptor.Sup",
            "Connections.Sup.Sup",
            "Drain.Worker",
        ];
        for round in 0..30 {
            let clients: Vec<_> = (0..3).filter_map(|_| listener.connect().ok()).collect();
            for _ in 0..round % 7 {
                yield_now().await;
            }
            if let Some(&victim) = tree().labelled(labels[round % labels.len()]).first() {
                kill(victim).await;
            }
            drop(clients);
            sleep(Duration::from_secs(6)).await;
        }
        let mut client = listener.connect()?;
        says_it_back(&mut client, b"whole again").await;
        assert_eq!(server.info().active, 1);
        assert_eq!(
            (tree().labelled("Acceptor.Worker").len(), tree().labelled("Connections.Sup").len()),
            (4, 2)
        );
        drop(client);
        settle().await;
        // The processes: main, Server.Sup, its three children, two Connections.Sup, four acceptors.
        assert_eq!((server.info().active, processes().len()), (0, 11), "{}", tree());
        Ok::<(), Reason>(())
    });
}

//! The bound of connections: B3, B4.

use super::*;

#[test]
fn b03_the_limit_is_exact_and_other_clients_wait_in_the_backlog() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server =
            Server::listen(listener.clone()).max_connections(10).acceptors(3).start_link(echo).await?;
        let mut clients = connect(&listener, 11);
        settle().await;
        assert_eq!((server.info().active, listener.waiting()), (10, 1));
        for client in &mut clients[..10] {
            says_it_back(client, b"served").await;
        }
        drop(clients.remove(0));
        settle().await;
        assert_eq!((server.info().active, listener.waiting()), (10, 0));
        says_it_back(clients.last_mut().expect("ten are left"), b"served at last").await;
        Ok::<(), Reason>(())
    });
}

#[test]
fn b04_a_raised_limit_admits_waiting_clients_and_a_lowered_one_closes_none() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone()).max_connections(1).start_link(echo).await?;
        let mut clients = connect(&listener, 4);
        settle().await;
        assert_eq!(server.info().active, 1);
        server.set_max_connections(3);
        settle().await;
        assert_eq!(server.info().active, 3);
        server.set_max_connections(1);
        settle().await;
        assert_eq!(server.info().active, 3);
        says_it_back(&mut clients[2], b"still here").await;
        Ok::<(), Reason>(())
    });
}

#[test]
fn b03_clients_beyond_the_limit_are_closed() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone())
            .max_connections(2)
            .overflow(ConnectionOverflow::Close)
            .start_link(echo)
            .await?;
        let mut clients = connect(&listener, 2);
        for client in &mut clients {
            says_it_back(client, b"served").await;
        }
        let mut third = listener.connect()?;
        assert_eq!(third.read(&mut [0]).await?, 0, "it is closed");
        assert_eq!((server.info().active, server.info().refused, server.info().accepted), (2, 1, 2));
        drop(clients.pop());
        settle().await;
        says_it_back(&mut listener.connect()?, b"served").await;
        Ok::<(), Reason>(())
    });
}

#[test]
fn b03_clients_beyond_the_limit_are_answered() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone())
            .max_connections(1)
            .overflow(ConnectionOverflow::Answer("full\n".into()))
            .start_link(echo)
            .await?;
        let mut served = listener.connect()?;
        says_it_back(&mut served, b"served").await;
        let mut refused = listener.connect()?;
        refused.write_all(b"a request without an answer").await?;
        let mut answer = [0; 5];
        refused.read_exact(&mut answer).await?;
        assert_eq!((&answer, refused.read(&mut [0]).await?), (b"full\n", 0), "told, then closed");
        let seen: Vec<_> = server.connections().iter().map(|connection| connection.state).collect();
        assert!(seen.contains(&"refused"), "it is told until it has closed: {seen:?}");
        let told = now();
        server.wait_for_connections(|connections| connections == 1).await;
        let info = server.info();
        assert_eq!((info.active, info.all, info.refused, info.accepted), (1, 1, 1, 1));
        // A client that never closes is closed after a second.
        while tree().labelled("Connector").len() > 1 {
            sleep(Duration::from_millis(50)).await;
        }
        assert!(now() - told <= Duration::from_millis(1100), "{:?}", now() - told);
        says_it_back(&mut served, b"still served").await;
        assert_eq!(server.info().ended.normal, 0, "it was no connection");
        Ok::<(), Reason>(())
    });
}

#[test]
fn b03_no_permit_is_held_while_there_is_no_client() {
    Simulation::sweep(SEEDS, || async {
        // Two listeners and ten acceptors for each: the bound of two holds for both together.
        let listener = Listener::shared();
        let server = Server::listen(listener.clone())
            .max_connections(2)
            .acceptors(20)
            .listeners(2)
            .start_link(echo)
            .await?;
        let mut clients = connect(&listener, 2);
        for client in &mut clients {
            says_it_back(client, b"served").await;
        }
        assert_eq!(server.info().active, 2);
        Ok::<(), Reason>(())
    });
}

#[test]
fn b04_a_connection_can_be_taken_out_of_the_count_once() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone()).max_connections(1).start_link(echo).await?;
        let mut clients = connect(&listener, 3);
        says_it_back(&mut clients[0], b"first").await;
        let [first] = &server.connections()[..] else { panic!("there is one") };
        for _ in 0..5 {
            server.remove_connection(first.pid);
        }
        says_it_back(&mut clients[1], b"second").await;
        settle().await;
        let info = server.info();
        assert_eq!((info.active, info.all, listener.waiting()), (1, 2, 1), "the third waits");
        drop(clients.remove(0));
        settle().await;
        assert_eq!((server.info().active, server.info().all), (1, 1), "it has left the count before");
        Ok::<(), Reason>(())
    });
}

//! Stopping: B12, DR1, DR8.

use std::time::Instant;

use riot_socket::DrainReport;
use riot_supervisor::Supervisor;

use super::*;

#[test]
fn b12_stop_ends_idle_connections_lets_busy_ones_finish_and_cuts_the_rest() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone())
            .start_link(|mut connection: Connection| async move {
                let mut order = [0];
                while connection.read(&mut order).await? == 1 {
                    match order[0] {
                        b'b' => sleep(Duration::from_secs(1)).await,
                        b's' => pending().await,
                        _ => {}
                    }
                    connection.write_all(b"done").await?;
                }
                Ok::<(), io::Error>(())
            })
            .await?;
        let [mut idle, mut busy, mut stuck] = [listener.connect()?, listener.connect()?, listener.connect()?];
        let mut done = [0; 4];
        idle.write_all(b"i").await?;
        idle.read_exact(&mut done).await?;
        busy.write_all(b"b").await?;
        stuck.write_all(b"s").await?;
        settle().await;
        let start = now();
        let stopping = server.clone();
        let watcher = this();
        spawn(async move { send(watcher, stopping.stop(Duration::from_secs(5)).await.cut.len()) });
        settle().await;
        assert!(listener.connect().is_err(), "nothing more is accepted");
        let end = timeout(Duration::from_millis(50), idle.read(&mut [0])).await;
        assert!(matches!(end, Ok(Ok(0))), "an idle connection ends at once: {end:?}");
        busy.read_exact(&mut done).await?;
        assert_eq!(&done, b"done");
        assert_eq!(receive::<usize>().await, 1, "one had to be cut");
        assert!(now() - start < Duration::from_secs(6));
        assert!(server.pid().is_none());
        settle().await;
        assert_eq!(processes(), [this()], "{}", tree());
        Ok::<(), Reason>(())
    });
}

#[test]
fn b12_a_stop_returns_the_cut_connections() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone()).start_link(never_ends).await?;
        let client = listener.connect()?;
        sleep(Duration::from_secs(3)).await;
        let [connection] = &server.connections()[..] else { panic!("there is one") };
        let cut = server.stop(Duration::from_secs(2)).await.cut;
        let [cut] = &cut[..] else { panic!("one was cut: {cut:?}") };
        assert_eq!((cut.pid, &cut.peer, cut.state), (connection.pid, client.peer(), "finishing"));
        assert!((5..6).contains(&cut.age.as_secs()), "{:?}", cut.age);
        assert_eq!(server.info().state, ServerState::Down);
        assert!(server.stop(Duration::ZERO).await.cut.is_empty(), "there is nothing left to stop");
        Ok::<(), Reason>(())
    });
}

#[test]
fn b12_a_stop_goes_on_without_its_caller_and_an_earlier_deadline_holds() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone()).start_link(never_ends).await?;
        let _client = listener.connect()?;
        settle().await;
        let top = server.pid().expect("the process runs");
        let stopping = server.clone();
        let caller = spawn(async move { drop(stopping.stop(Duration::from_secs(3600)).await) });
        settle().await;
        kill(caller).await;
        assert!(is_alive(top), "it waits for the connection");
        let start = now();
        server.stop(Duration::from_secs(1)).await;
        assert!(!is_alive(top) && now() - start < Duration::from_secs(2), "{:?}", now() - start);
        settle().await;
        assert_eq!(processes(), [this()], "{}", tree());
        Ok::<(), Reason>(())
    });
}

#[test]
fn dr08_a_client_that_has_sent_nothing_has_a_second() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone()).start_link(echo).await?;
        let (mut silent, mut late) = (listener.connect()?, listener.connect()?);
        settle().await;
        let begin = now();
        let (stopping, watcher) = (server.clone(), this());
        spawn(async move { send(watcher, stopping.stop(Duration::from_secs(15)).await) });
        sleep(Duration::from_millis(900)).await;
        says_it_back(&mut late, b"late").await;
        assert_eq!((silent.read(&mut [0]).await?, late.read(&mut [0]).await?), (0, 0));
        let report = receive::<DrainReport>().await;
        assert_eq!((report.unused, report.cut.len()), (1, 0));
        assert!((1000..1200).contains(&(now() - begin).as_millis()), "{:?}", now() - begin);
        Ok::<(), Reason>(())
    });
}

#[test]
fn dr08_a_protocol_with_a_hook_is_told_at_once() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let watcher = this();
        let server = Server::listen(listener.clone())
            .start_link(move |connection: Connection| {
                connection.on_drain(move || send(watcher, now()));
                never_ends(connection)
            })
            .await?;
        let _client = listener.connect()?;
        settle().await;
        let begin = now();
        let stopping = server.clone();
        spawn(async move { send(watcher, stopping.stop(Duration::from_secs(15)).await) });
        assert!(receive::<Instant>().await - begin < Duration::from_millis(50));
        assert_eq!(receive::<DrainReport>().await.cut.len(), 1);
        Ok::<(), Reason>(())
    });
}

#[test]
fn dr01_a_drain_worker_that_is_killed_is_replaced_and_the_drain_goes_on() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone()).start_link(never_ends).await?;
        let _client = listener.connect()?;
        settle().await;
        let begin = now();
        let (stopping, watcher) = (server.clone(), this());
        spawn(async move { send(watcher, stopping.stop(Duration::from_secs(5)).await) });
        sleep(Duration::from_secs(1)).await;
        kill(tree().labelled("Drain.Worker")[0]).await;
        assert_eq!(server.info().state, ServerState::Draining);
        assert_eq!(receive::<DrainReport>().await.cut.len(), 1);
        assert_eq!((now() - begin).as_secs(), 5, "the deadline is still that of the first request");
        assert!(server.pid().is_none());
        Ok::<(), Reason>(())
    });
}

#[test]
fn dr01_a_server_that_is_started_again_after_a_drain_accepts() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let (spec, server) = Server::listen(listener.clone()).child("echo", echo);
        let top = Supervisor::one_for_one().child(spec).start_link().await?;
        for _ in 0..3 {
            let mut client = listener.connect()?;
            says_it_back(&mut client, b"hello").await;
            top.terminate_child("echo").await?;
            assert_eq!(server.info().state, ServerState::Down);
            top.restart_child("echo").await?;
            assert_eq!((server.info().state, server.info().drain), (ServerState::Running, None));
        }
        Ok::<(), Reason>(())
    });
}

#[test]
fn dr01_a_client_that_waits_for_an_idle_connection_does_not_hold_up_the_stop() {
    Simulation::sweep(SEEDS, || async {
        for deadline in [Duration::ZERO, Duration::from_secs(5)] {
            let listener = Listener::new();
            let server = Server::listen(listener.clone())
                .max_connections(2)
                .overflow(ConnectionOverflow::ReapOldestIdle)
                .start_link(|mut connection: Connection| async move {
                    connection.read_exact(&mut [0]).await?;
                    pending::<io::Result<()>>().await
                })
                .await?;
            let mut busy = connect(&listener, 2);
            for client in &mut busy {
                client.write_all(b"x").await?;
            }
            settle().await;
            let waiting = connect(&listener, 3);
            sleep(Duration::from_secs(1)).await;
            let start = now();
            let report = timeout(Duration::from_secs(60), server.stop(deadline)).await;
            let report = report.expect("the stop has a deadline");
            assert!(now() - start <= deadline + Duration::from_millis(10), "{:?}", now() - start);
            let (cut, refused) = (report.cut.len() as u64, server.info().refused);
            assert!(cut >= 2 && cut + refused == 5, "every client is in the report or counted: {report:?}");
            drop(waiting);
        }
        Ok::<(), Reason>(())
    });
}

#[test]
fn dr03_a_client_that_waits_for_an_idle_connection_is_served_by_the_drain() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone())
            .max_connections(1)
            .overflow(ConnectionOverflow::ReapOldestIdle)
            .start_link(|mut connection: Connection| async move {
                let mut order = [0];
                connection.read_exact(&mut order).await?;
                sleep(Duration::from_millis(500)).await;
                connection.write_all(&order).await
            })
            .await?;
        let mut busy = listener.connect()?;
        busy.write_all(b"b").await?;
        settle().await;
        let mut waiting = listener.connect()?;
        waiting.write_all(b"w").await?;
        settle().await;
        let report = server.stop(Duration::from_secs(5)).await;
        assert_eq!(waiting.read_to_end(10).await?, b"w");
        assert_eq!(busy.read_to_end(10).await?, b"b");
        assert_eq!((report.cut.len(), server.info().refused), (0, 0));
        Ok::<(), Reason>(())
    });
}

/// Starts an echo server with two idle connections.
async fn with_idle_connections(listener: &Listener) -> (ServerHandle, Vec<Connection>) {
    let server = Server::listen(listener.clone()).acceptors(1).start_link(echo).await.expect("it starts");
    let mut idle = connect(listener, 2);
    for client in &mut idle {
        says_it_back(client, b"idle").await;
    }
    (server, idle)
}

#[test]
fn dr03_out_of_descriptors_the_drain_makes_room_for_the_clients_in_the_queue() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let (server, idle) = with_idle_connections(&listener).await;
        (0..4).for_each(|_| listener.fail_accept(io::Error::from_raw_os_error(libc::EMFILE)));
        settle().await;
        let mut waiting = connect(&listener, 2);
        for client in &mut waiting {
            client.write_all(b"hello").await?;
        }
        let stopping = server.clone();
        spawn(async move { drop(stopping.stop(Duration::from_secs(5)).await) });
        sleep(Duration::from_millis(200)).await;
        assert!(server.info().active == 0, "idle connections have given way");
        for client in &mut waiting {
            assert_eq!(client.read_to_end(10).await?, b"hello");
        }
        drop(idle);
        server.wait_for_connections(|connections| connections == 0).await;
        let info = server.info();
        assert_eq!((info.accepted, info.refused, info.accept_errors.exhausted), (4, 0, 4));
        Ok::<(), Reason>(())
    });
}

#[test]
fn dr03_out_of_descriptors_for_good_the_clients_in_the_queue_are_counted() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let (server, idle) = with_idle_connections(&listener).await;
        let waiting = connect(&listener, 3);
        // The last failure comes when the patience has ended, and the reserve is lent.
        let failures = 12;
        (0..failures).for_each(|_| listener.fail_accept(io::Error::from_raw_os_error(libc::EMFILE)));
        settle().await;
        server.stop(Duration::from_secs(5)).await;
        let info = server.info();
        assert_eq!((info.accepted, info.refused, info.accept_errors.exhausted), (2, 3, failures));
        drop((idle, waiting));
        Ok::<(), Reason>(())
    });
}

#[test]
fn dr02_connections_that_are_cut_while_the_queue_is_emptied_are_reported() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone()).max_connections(2).start_link(never_ends).await?;
        let clients = connect(&listener, 3);
        settle().await;
        // The deadline comes before the client in the queue would be refused.
        let report = server.stop(Duration::from_millis(500)).await;
        let (cut, refused) = (report.cut.len() as u64, server.info().refused);
        assert!(cut >= 2 && cut + refused == 3, "{report:?}");
        drop(clients);
        Ok::<(), Reason>(())
    });
}

#[test]
fn dr01_a_second_stop_shortens_the_time_while_the_queue_is_emptied() {
    const HOUR: Duration = Duration::from_secs(3600);
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone())
            .max_connections(1)
            .drain_first_timeout(HOUR)
            .start_link(never_ends)
            .await?;
        let clients = connect(&listener, 2);
        settle().await;
        let patient = server.clone();
        spawn(async move { drop(patient.stop(2 * HOUR).await) });
        settle().await;
        let start = now();
        server.stop(Duration::from_secs(1)).await;
        assert!(now() - start < Duration::from_secs(2), "{:?}", now() - start);
        drop(clients);
        Ok::<(), Reason>(())
    });
}

//! The server over connections in memory, under many seeds: every test is a whole program, its network included.

mod common;

use std::{
    future::pending,
    io,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    time::Duration,
};

use common::{SEEDS, connect, echo, holds_on, kill, says_it_back, settle};
use riot_actor::{
    Pid, Reason, now,
    process::{is_alive, processes, tree, yield_now},
    receive, send,
    simulation::Simulation,
    sleep, spawn, this, timeout,
};
use riot_socket::{
    Alarm, Connection, ConnectionInfo, ConnectionOverflow, Server, ServerHandle, ServerStartError,
    ServerState, memory::Listener,
};

async fn started(listener: &Listener, server: Server) -> ServerHandle {
    let server = server.start_link(echo).await.expect("it starts");
    assert!(listener.connect().is_ok(), "it is bound when start_link returns");
    server
}

#[test]
fn b01_start_link_returns_once_every_acceptor_is_there() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        started(&listener, Server::listen(listener.clone()).acceptors(7)).await;
        assert_eq!(tree().labelled("Acceptor.Worker").len(), 7);
    });
}

#[test]
fn b01_a_bind_error_is_the_result_and_nothing_is_left_behind() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        listener.refuse_bind(Some(io::ErrorKind::AddrInUse));
        let before = processes().len();
        match Server::listen(listener.clone()).start_link(echo).await {
            Err(ServerStartError::Bind(error)) => assert_eq!(error.kind(), io::ErrorKind::AddrInUse),
            other => panic!("{other:?}"),
        }
        assert_eq!(processes().len(), before, "{}", tree());
    });
}

#[test]
fn b03_the_limit_is_exact_and_the_rest_wait_outside() {
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
fn b04_a_raised_limit_lets_waiting_clients_in_and_a_lowered_one_sends_nobody_away() {
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
fn b03_clients_there_is_no_place_for_are_closed() {
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
fn b03_clients_there_is_no_place_for_are_told_so() {
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
        refused.write_all(b"a request that nobody will answer").await?;
        let mut answer = [0; 5];
        refused.read_exact(&mut answer).await?;
        assert_eq!((&answer, refused.read(&mut [0]).await?), (b"full\n", 0), "told, then closed");
        let seen: Vec<_> = server.connections().iter().map(|connection| connection.state).collect();
        assert!(seen.contains(&"refused"), "it is told until it has closed: {seen:?}");
        let told = now();
        server.wait_for_connections(|connections| connections == 1).await;
        let info = server.info();
        assert_eq!((info.active, info.all, info.refused, info.accepted), (1, 1, 1, 1));
        // One that never closes is left after a second.
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
fn b03_nobody_keeps_a_place_while_there_is_no_client() {
    Simulation::sweep(SEEDS, || async {
        // Two doors and ten acceptors for each: whichever door they come to, there is room for two.
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

#[test]
fn b05_the_connection_is_the_connectors_before_it_begins() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let watcher = this();
        Server::listen(listener.clone())
            .start_link(move |connection: Connection| async move {
                send(watcher, (this(), connection.peer().clone()));
                pending::<()>().await;
            })
            .await?;
        let _client = listener.connect()?;
        let (connector, _) = receive::<(Pid, riot_socket::Address)>().await;
        assert_eq!(tree().labelled("Connector"), [connector], "the protocol runs in the Connector");
        Ok::<(), Reason>(())
    });
}

#[test]
fn b07_an_acceptor_outlives_the_errors_of_single_connections() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone()).acceptors(1).start_link(echo).await?;
        let acceptors = tree().labelled("Acceptor.Worker");
        for code in [libc::ECONNABORTED, libc::EPROTO, libc::ECONNRESET] {
            listener.fail_accept(io::Error::from_raw_os_error(code));
        }
        let mut client = listener.connect()?;
        says_it_back(&mut client, b"hello").await;
        assert_eq!(tree().labelled("Acceptor.Worker"), acceptors);
        assert_eq!(server.info().accept_errors.total(), 3);
        Ok::<(), Reason>(())
    });
}

#[test]
fn b07_out_of_descriptors_it_pauses_and_serves_again_by_itself() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone()).acceptors(1).start_link(echo).await?;
        let acceptors = tree().labelled("Acceptor.Worker");
        listener.fail_accept(io::Error::from_raw_os_error(libc::EMFILE));
        let mut client = listener.connect()?;
        let start = now();
        says_it_back(&mut client, b"hello").await;
        let waited = now() - start;
        assert!((Duration::from_millis(100)..Duration::from_millis(200)).contains(&waited), "{waited:?}");
        assert_eq!((tree().labelled("Acceptor.Worker"), server.info().accept_errors.total()), (acceptors, 1));
        Ok::<(), Reason>(())
    });
}

/// The one way to be out of descriptors that the simulation has.
fn no_descriptors() -> io::Error {
    io::Error::from_raw_os_error(libc::EMFILE)
}

#[test]
fn b07_out_of_descriptors_clients_that_are_not_to_wait_are_sent_away() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone())
            .acceptors(1)
            .overflow(ConnectionOverflow::Answer("full\n".into()))
            .start_link(echo)
            .await?;
        listener.fail_accept(no_descriptors());
        for mut client in connect(&listener, 5) {
            let mut answer = [0; 5];
            client.read_exact(&mut answer).await?;
            assert_eq!((&answer, client.read(&mut [0]).await?), (b"full\n", 0));
        }
        assert_eq!((server.info().refused, server.info().accept_errors.exhausted), (5, 1));
        says_it_back(&mut listener.connect()?, b"hello").await;
        Ok::<(), Reason>(())
    });
}

#[test]
fn b08_a_crash_costs_its_own_connection_only() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone())
            .start_link(|mut connection: Connection| async move {
                let mut byte = [0];
                while connection.read(&mut byte).await? == 1 {
                    assert_ne!(byte, *b"!", "somebody said so");
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
        assert!(is_alive(server.pid().expect("it runs")));
        Ok::<(), Reason>(())
    });
}

#[test]
fn b10_a_random_process_killed_again_and_again() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server =
            Server::listen(listener.clone()).acceptors(4).connection_supervisors(2).start_link(echo).await?;
        let labels =
            ["Acceptor.Worker", "Connector", "Connections.Sup", "Acceptor.Sup", "Connections.Sup.Sup"];
        for round in 0..25 {
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
        // main, Server.Sup, two supervisors below it, two of connections, four acceptors.
        assert_eq!((server.info().active, processes().len()), (0, 10), "{}", tree());
        Ok::<(), Reason>(())
    });
}

#[test]
fn b11_suspended_it_refuses_and_resumed_it_accepts_with_what_was_changed() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone()).acceptors(2).start_link(echo).await?;
        let mut live = listener.connect()?;
        says_it_back(&mut live, b"before").await;
        for _ in 0..2 {
            server.suspend().await;
            assert!(listener.connect().is_err(), "new clients are refused");
            assert_eq!((server.info().state, server.address()), (ServerState::Suspended, None));
        }
        says_it_back(&mut live, b"meanwhile").await;
        server.set_acceptors(5);
        server.set_protocol(|mut connection: Connection| async move { connection.write_all(b"new").await });
        for _ in 0..2 {
            server.resume().await?;
            assert_eq!(server.info().state, ServerState::Running);
        }
        assert_eq!(tree().labelled("Acceptor.Worker").len(), 5);
        let mut greeting = [0; 3];
        listener.connect()?.read_exact(&mut greeting).await?;
        assert_eq!(&greeting, b"new");
        says_it_back(&mut live, b"after").await;
        Ok::<(), Reason>(())
    });
}

#[test]
fn b11_what_cannot_be_bound_again_stays_suspended_and_says_why() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone()).start_link(echo).await?;
        server.suspend().await;
        listener.refuse_bind(Some(io::ErrorKind::AddrInUse));
        match server.resume().await {
            Err(ServerStartError::Bind(error)) => assert_eq!(error.kind(), io::ErrorKind::AddrInUse),
            other => panic!("{other:?}"),
        }
        assert_eq!(server.info().state, ServerState::Suspended);
        listener.refuse_bind(None);
        server.resume().await?;
        says_it_back(&mut listener.connect()?, b"hello").await;
        Ok::<(), Reason>(())
    });
}

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
        spawn(async move { send(watcher, stopping.stop(Duration::from_secs(5)).await.len()) });
        settle().await;
        assert!(listener.connect().is_err(), "nothing more is accepted");
        let end = timeout(Duration::from_millis(50), idle.read(&mut [0])).await;
        assert!(matches!(end, Ok(Ok(0))), "an idle connection ends at once: {end:?}");
        busy.read_exact(&mut done).await?;
        assert_eq!(&done, b"done");
        assert_eq!(receive::<usize>().await, 1, "one had to be cut");
        assert!(now() - start < Duration::from_secs(6));
        assert!(server.pid().is_none());
        assert_eq!(processes(), [this()], "{}", tree());
        Ok::<(), Reason>(())
    });
}

#[test]
fn b12_a_stop_says_what_it_cut() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone()).start_link(holds_on).await?;
        let client = listener.connect()?;
        sleep(Duration::from_secs(3)).await;
        let [connection] = &server.connections()[..] else { panic!("there is one") };
        let cut = server.stop(Duration::from_secs(2)).await;
        let [cut] = &cut[..] else { panic!("one was cut: {cut:?}") };
        assert_eq!((cut.pid, &cut.peer, cut.state), (connection.pid, client.peer(), "finishing"));
        assert!((5..6).contains(&cut.age.as_secs()), "{:?}", cut.age);
        assert_eq!(server.info().state, ServerState::Down);
        assert!(server.stop(Duration::ZERO).await.is_empty(), "there is nothing left to stop");
        Ok::<(), Reason>(())
    });
}

#[test]
fn b12_a_stop_goes_on_without_its_caller_and_an_earlier_deadline_holds() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone()).start_link(holds_on).await?;
        let _client = listener.connect()?;
        settle().await;
        let top = server.pid().expect("it runs");
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
fn b13_the_connections_can_be_seen_and_one_of_them_closed() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone()).start_link(echo).await?;
        let mut clients = [listener.connect()?, listener.connect()?];
        for client in &mut clients {
            says_it_back(client, b"hello").await;
        }
        sleep(Duration::from_secs(3)).await;
        let connections = server.connections();
        assert_eq!(connections.len(), 2);
        assert!(connections.iter().all(|connection| connection.age >= Duration::from_secs(3)));
        let [first, second] = &mut clients;
        let one = connections.iter().find(|one| one.peer == *first.peer()).expect("it is listed");
        server.close(one.pid);
        assert_eq!(first.read(&mut [0]).await?, 0);
        says_it_back(second, b"still here").await;
        settle().await;
        assert_eq!(server.connections().len(), 1);
        Ok::<(), Reason>(())
    });
}

#[test]
fn b13_the_counts_are_exact_and_say_how_connections_ended() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone())
            .connection_supervisors(2)
            .start_link(|mut connection: Connection| async move {
                let mut order = [0];
                while connection.read(&mut order).await? == 1 {
                    match order[0] {
                        b'e' => return Err(io::Error::other("an error")),
                        b'p' => panic!("a panic"),
                        _ => connection.write_all(&order).await?,
                    }
                }
                Ok(())
            })
            .await?;
        let mut clients = connect(&listener, 6);
        for client in &mut clients {
            says_it_back(client, b".").await;
        }
        let info = server.info();
        assert_eq!((info.active, info.accepted, info.bytes_received, info.bytes_sent), (6, 6, 6, 6));
        let pid_of = |client: &Connection| {
            let one = |connection: &ConnectionInfo| connection.peer == *client.peer();
            server.connections().into_iter().find(one).expect("it is listed").pid
        };
        kill(pid_of(&clients[5])).await;
        clients[0].write_all(b"e").await?;
        clients[1].write_all(b"p").await?;
        drop(clients.remove(2));
        settle().await;
        let info = server.info();
        assert_eq!((info.ended.crashed, info.ended.normal, info.ended.killed, info.active), (2, 1, 1, 2));
        // Those that go with their supervisor are counted too.
        for supervisor in tree().labelled("Connections.Sup") {
            kill(supervisor).await;
        }
        settle().await;
        let info = server.info();
        assert_eq!((info.ended.killed, info.active, info.all), (3, 0, 0));
        assert_eq!((info.bytes_received, info.bytes_sent), (8, 6), "of those that are gone too");
        Ok::<(), Reason>(())
    });
}

#[test]
fn b14_an_alarm_goes_off_at_its_threshold_and_again_after_its_cooldown() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let watcher = this();
        let tell = move |raised: riot_socket::AlarmEvent| async move {
            send(watcher, (raised.alarm, raised.active));
        };
        let alarm = Alarm::new("two", 2, tell).cooldown(Duration::from_secs(10));
        let server = Server::listen(listener.clone()).acceptors(1).alarm(alarm).start_link(echo).await?;
        let raised = async || {
            settle().await;
            let mut raised = 0;
            while riot_actor::mailbox::receive_timeout::<(std::borrow::Cow<'static, str>, usize)>(
                Duration::ZERO,
            )
            .await
            .is_ok()
            {
                raised += 1;
            }
            raised
        };
        let mut clients = connect(&listener, 1);
        assert_eq!(raised().await, 0, "below the threshold");
        clients.extend(connect(&listener, 3));
        assert_eq!(raised().await, 1, "then it is silent");
        sleep(Duration::from_secs(10)).await;
        assert_eq!(raised().await, 1, "there are as many still");
        clients.truncate(1);
        sleep(Duration::from_secs(30)).await;
        assert_eq!(raised().await, 0, "there are fewer now");
        clients.extend(connect(&listener, 1));
        assert_eq!(raised().await, 1);
        server.set_alarms(Vec::new());
        sleep(Duration::from_secs(30)).await;
        assert_eq!(raised().await, 0, "it is no more");
        Ok::<(), Reason>(())
    });
}

#[test]
fn b14_an_alarm_that_crashes_harms_nothing() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let alarm =
            Alarm::new("broken", 1, |_| async { panic!("the alarm is broken") }).cooldown(Duration::ZERO);
        let server = Server::listen(listener.clone()).alarm(alarm).start_link(echo).await?;
        for _ in 0..3 {
            says_it_back(&mut listener.connect()?, b"hello").await;
        }
        settle().await;
        assert_eq!(server.info().ended.normal, 3);
        Ok::<(), Reason>(())
    });
}

#[test]
fn b17_several_servers_live_in_one_runtime() {
    Simulation::sweep(SEEDS, || async {
        let listeners = [Listener::new(), Listener::new()];
        for listener in &listeners {
            Server::listen(listener.clone()).start_link(echo).await?;
        }
        for listener in &listeners {
            says_it_back(&mut listener.connect()?, b"hello").await;
        }
        Ok::<(), Reason>(())
    });
}

#[test]
fn b17_a_server_is_a_child_like_any_other() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let spec = Server::listen(listener.clone()).child_spec("echo", echo);
        // A killed Server.Sup leaves its children to end by themselves; the next one waits until the address is free.
        let supervisor = riot_supervisor::Supervisor::one_for_one()
            .intensity(1, Duration::from_secs(5))
            .child(spec)
            .start_link()
            .await?;
        says_it_back(&mut listener.connect()?, b"hello").await;
        kill(tree().labelled("Server.Sup")[0]).await;
        settle().await;
        says_it_back(&mut listener.connect()?, b"again").await;
        // Linked with us, it says its reason: only this one harms nobody.
        supervisor.stop(Reason::Normal).await.expect("it stops");
        assert_eq!(processes(), [this()], "{}", tree());
        Ok::<(), Reason>(())
    });
}

#[test]
fn connections_are_forgotten_when_they_end() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone()).start_link(echo).await?;
        let before = processes().len();
        for _ in 0..50 {
            says_it_back(&mut listener.connect()?, b"short").await;
        }
        settle().await;
        let info = server.info();
        assert_eq!((info.active, info.accepted, processes().len()), (0, 50, before));
        Ok::<(), Reason>(())
    });
}

#[test]
fn a_client_that_leaves_before_it_is_served_harms_nothing() {
    static SERVED: AtomicUsize = AtomicUsize::new(0);
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone())
            .start_link(|connection: Connection| {
                SERVED.fetch_add(1, SeqCst);
                echo(connection)
            })
            .await?;
        for _ in 0..10 {
            let (client, _) = listener.connect_stream()?;
            client.reset();
        }
        says_it_back(&mut listener.connect()?, b"hello").await;
        settle().await;
        assert_eq!(server.info().active, 0);
        Ok::<(), Reason>(())
    });
    assert!(SERVED.load(SeqCst) > 0);
}

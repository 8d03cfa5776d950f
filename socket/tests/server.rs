//! The server over connections in memory, under many seeds: every test is a whole program, its network included.

use std::{
    future::pending,
    io,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    time::Duration,
};

use riot_actor::{
    Down, Pid, Reason, exit, is_alive, monitor, now, processes, receive, send, simulation::Simulation, sleep,
    spawn, this, timeout, tree, yield_now,
};
use riot_socket::{Connection, Server, ServerRef, StartError, memory::Listener};

const SEEDS: std::ops::Range<u64> = 0..40;

async fn echo(mut connection: Connection) -> io::Result<()> {
    let mut buffer = [0; 1024];
    loop {
        match connection.read(&mut buffer).await? {
            0 => return Ok(()),
            read => connection.write_all(&buffer[..read]).await?,
        }
    }
}

async fn says_it_back(client: &mut Connection, text: &[u8]) {
    client.write_all(text).await.expect("the client can write");
    let mut back = vec![0; text.len()];
    client.read_exact(&mut back).await.expect("the client gets its answer");
    assert_eq!(back, text);
}

async fn kill(pid: Pid) {
    let down = monitor(pid);
    exit(pid, Reason::Kill);
    let Down { reason, .. } = down.down().await;
    assert_eq!(reason, Reason::Killed);
}

/// Lets everything run that can, and the clock go on a little.
async fn settle() {
    sleep(Duration::from_millis(10)).await;
}

async fn started(listener: &Listener, server: Server) -> ServerRef {
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
            Err(StartError::Bind(error)) => assert_eq!(error.kind(), io::ErrorKind::AddrInUse),
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
        let mut clients: Vec<_> = (0..11).map(|_| listener.connect().expect("it listens")).collect();
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
        let mut clients: Vec<_> = (0..4).map(|_| listener.connect().expect("it listens")).collect();
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
        assert_eq!(server.info().accept_errors, 3);
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
        assert_eq!((tree().labelled("Acceptor.Worker"), server.info().accept_errors), (acceptors, 1));
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
        assert_eq!((server.info().active, server.info().crashed), (1, 1));
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
        assert!(is_alive(server.pid()));
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
        assert!(!is_alive(server.pid()));
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
        let connections = server.connections().await;
        assert_eq!(connections.len(), 2);
        assert!(connections.iter().all(|connection| connection.age >= Duration::from_secs(3)));
        let [first, second] = &mut clients;
        let one = connections.iter().find(|one| one.peer == *first.peer()).expect("it is listed");
        server.close(one.pid);
        assert_eq!(first.read(&mut [0]).await?, 0);
        says_it_back(second, b"still here").await;
        settle().await;
        assert_eq!(server.connections().await.len(), 1);
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
        let supervisor = riot_supervisor::Supervisor::one_for_one().child(spec).start_link().await?;
        says_it_back(&mut listener.connect()?, b"hello").await;
        kill(tree().labelled("Server.Sup")[0]).await;
        settle().await;
        says_it_back(&mut listener.connect()?, b"again").await;
        supervisor.stop(Reason::Shutdown, None).await.expect("it stops");
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

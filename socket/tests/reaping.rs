//! Idle connections give way to new clients: when the server is full, and when the program has run out of
//! descriptors.

mod common;

use std::{
    io,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use common::{SEEDS, connect, echo, never_ends, says_it_back, settle};
use riot_actor::{Reason, now, receive, send, simulation::Simulation, sleep, this};
use riot_socket::{Connection, ConnectionOverflow, Control, Load, Server, Status, memory::Listener};

fn no_descriptors() -> io::Error {
    io::Error::from_raw_os_error(libc::EMFILE)
}

fn reaping(listener: &Listener, max: usize) -> Server {
    Server::listen(listener.clone())
        .max_connections(max)
        .acceptors(2)
        .overflow(ConnectionOverflow::ReapOldestIdle)
}

#[test]
fn b20_a_client_that_has_said_nothing_gives_way_the_oldest_first() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = reaping(&listener, 3).start_link(echo).await?;
        let mut silent = Vec::new();
        for _ in 0..3 {
            silent.extend(connect(&listener, 1));
            sleep(Duration::from_secs(1)).await;
        }
        for client in 0..3 {
            let mut new = listener.connect()?;
            says_it_back(&mut new, b"served").await;
            assert_eq!(silent[client].read(&mut [0]).await?, 0, "the oldest is closed");
            drop(new);
            server.wait_for_connections(|connections| connections == 2).await;
            // Another one takes the place, and says something.
            let mut busy = listener.connect()?;
            says_it_back(&mut busy, b"hello").await;
            silent.push(busy);
            let info = server.info();
            assert_eq!((info.active, info.reaped, info.refused), (3, client as u64 + 1, 0));
        }
        Ok::<(), Reason>(())
    });
}

#[test]
fn b20_while_no_connection_is_idle_clients_wait() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = reaping(&listener, 2).start_link(echo).await?;
        let mut busy = connect(&listener, 2);
        for client in &mut busy {
            says_it_back(client, b"x").await;
        }
        let mut waiting = connect(&listener, 3);
        sleep(Duration::from_secs(5)).await;
        assert_eq!((server.info().active, server.info().reaped), (2, 0), "the limit is exact");
        for client in &mut busy {
            says_it_back(client, b"still here").await;
        }
        drop(busy.pop());
        says_it_back(&mut waiting[0], b"served").await;
        assert_eq!(server.info().active, 2);
        Ok::<(), Reason>(())
    });
}

#[test]
fn b20_a_client_that_came_a_moment_ago_does_not_give_way() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = reaping(&listener, 1).start_link(echo).await?;
        let start = now();
        let mut clients = connect(&listener, 3);
        sleep(Duration::from_millis(400)).await;
        says_it_back(&mut clients[0], b"in time").await;
        drop(clients.remove(0));
        // The next ones say nothing: each has half a second.
        assert_eq!(clients[0].read(&mut [0]).await?, 0);
        assert!((Duration::from_millis(900)..Duration::from_millis(1200)).contains(&(now() - start)));
        says_it_back(&mut clients[1], b"served").await;
        assert_eq!(server.info().reaped, 1);
        Ok::<(), Reason>(())
    });
}

#[test]
fn b20_a_silent_handshake_gives_way() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = reaping(&listener, 2).handshake_timeout(Duration::from_secs(3600));
        let server = server.handshake(|mut connection: Connection| async move {
            connection.read_exact(&mut [0; 4]).await.map(|()| connection)
        });
        let server = server.start_link(echo).await?;
        let _silent = connect(&listener, 2);
        sleep(Duration::from_secs(1)).await;
        let mut client = listener.connect()?;
        client.write_all(b"open").await?;
        says_it_back(&mut client, b"served").await;
        assert_eq!(server.info().active, 2);
        Ok::<(), Reason>(())
    });
}

/// A protocol that says itself since when it has been idle.
struct Session {
    idle_since: Mutex<Option<Instant>>,
    connection: Mutex<Option<Connection>>,
}

impl Control for Session {
    fn drain(&self, _deadline: Option<Instant>) {
        self.connection.lock().expect("no panic").take();
    }

    fn status(&self) -> Status {
        Status { state: "open", requests: 0 }
    }

    fn idle_since(&self) -> Option<Instant> {
        *self.idle_since.lock().expect("no panic")
    }
}

#[test]
fn b20_a_protocol_says_since_when_it_is_idle() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let test = this();
        let server = reaping(&listener, 3)
            .start_link(move |mut connection: Connection| async move {
                connection.read_exact(&mut [0]).await?;
                let control = connection.meter();
                drop(control);
                let session =
                    Arc::new(Session { idle_since: Mutex::default(), connection: Mutex::default() });
                let weak: std::sync::Weak<dyn Control> = Arc::<Session>::downgrade(&session);
                connection.controlled_by(weak);
                *session.connection.lock().expect("no panic") = Some(connection);
                send(test, session.clone());
                std::future::pending::<()>().await;
                drop(session);
                Ok::<(), io::Error>(())
            })
            .await?;
        let mut clients = connect(&listener, 3);
        let mut sessions = Vec::new();
        for client in &mut clients {
            client.write_all(b"x").await?;
            sessions.push(receive::<Arc<Session>>().await);
        }
        let start = now();
        let at = |seconds| Some(start + Duration::from_secs(seconds));
        *sessions[0].idle_since.lock().expect("no panic") = at(20);
        *sessions[1].idle_since.lock().expect("no panic") = at(10);
        sleep(Duration::from_secs(30)).await;
        let mut next = listener.connect()?;
        next.write_all(b"x").await?;
        assert_eq!(clients[1].read(&mut [0]).await?, 0, "that has been idle longest");
        assert!(server.info().reaped >= 1);
        Ok::<(), Reason>(())
    });
}

#[test]
fn b20_out_of_descriptors_idle_connections_give_way_under_every_policy() {
    for policy in [
        ConnectionOverflow::Wait,
        ConnectionOverflow::Close,
        ConnectionOverflow::Answer("full".into()),
        ConnectionOverflow::ReapOldestIdle,
    ] {
        Simulation::sweep(0..10, move || {
            let policy = policy.clone();
            async move {
                let listener = Listener::new();
                let server = Server::listen(listener.clone()).overflow(policy).start_link(echo).await?;
                let mut silent = connect(&listener, 16);
                let mut busy = listener.connect()?;
                says_it_back(&mut busy, b"busy").await;
                sleep(Duration::from_secs(1)).await;
                listener.fail_accept(no_descriptors());
                let (mut client, start) = (listener.connect()?, now());
                says_it_back(&mut client, b"served").await;
                assert!(now() - start < Duration::from_millis(50), "{:?}", now() - start);
                settle().await;
                let info = server.info();
                assert_eq!((info.reaped, info.refused, info.accept_errors.exhausted), (2, 0, 1), "an eighth");
                assert_eq!(info.active, 16);
                assert_eq!(silent[0].read(&mut [0]).await?, 0);
                says_it_back(&mut busy, b"still busy").await;
                Ok::<(), Reason>(())
            }
        });
    }
}

#[test]
fn b20_servers_of_one_program_share_its_descriptors() {
    Simulation::sweep(SEEDS, || async {
        let (crowded, other) = (Listener::new(), Listener::new());
        let first = Server::listen(crowded.clone()).start_link(echo).await?;
        let second = Server::listen(other.clone()).start_link(echo).await?;
        let _crowd = connect(&crowded, 40);
        let _few = connect(&other, 2);
        sleep(Duration::from_secs(1)).await;
        other.fail_accept(no_descriptors());
        says_it_back(&mut other.connect()?, b"served").await;
        settle().await;
        assert_eq!((first.info().reaped, second.info().reaped), (5, 0), "the larger one gives way");
        Ok::<(), Reason>(())
    });
}

#[test]
fn b20_out_of_descriptors_every_server_is_overloaded_for_a_while() {
    Simulation::sweep(0..5, || async {
        let (one, other) = (Listener::new(), Listener::new());
        let test = this();
        let _first = Server::listen(one.clone())
            .start_link(move |connection: Connection| async move {
                send(test, connection.load().expect("it belongs to a server"));
                never_ends(connection).await;
            })
            .await?;
        let _second = Server::listen(other.clone()).start_link(echo).await?;
        let _client = one.connect()?;
        let load = receive::<Load>().await;
        assert!(!load.is_overloaded());
        other.fail_accept(no_descriptors());
        settle().await;
        assert!(load.is_overloaded());
        sleep(Duration::from_secs(9)).await;
        assert!(load.is_overloaded());
        sleep(Duration::from_secs(2)).await;
        assert!(!load.is_overloaded());
        Ok::<(), Reason>(())
    });
}

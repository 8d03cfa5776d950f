//! Information, counts and alarms: B13, B14.

use super::*;

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
        let one = connections.iter().find(|one| one.peer == *first.peer()).expect("the child is listed");
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
            server.connections().into_iter().find(one).expect("the child is listed").pid
        };
        kill(pid_of(&clients[5])).await;
        clients[0].write_all(b"e").await?;
        clients[1].write_all(b"p").await?;
        drop(clients.remove(2));
        settle().await;
        let info = server.info();
        assert_eq!((info.ended.crashed, info.ended.normal, info.ended.killed, info.active), (2, 1, 1, 2));
        // Connections that end with their supervisor are counted too.
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

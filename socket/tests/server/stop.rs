//! Stopping: B12.

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

//! The suite shutdown_SUITE.

use super::*;

/// Stops a server with one connection, and returns how long that took, and the error of the client.
async fn stop(protocol: impl riot_socket::Protocol, timeout: Duration) -> Result<Duration, Reason> {
    let listener = Listener::new();
    let server = Server::listen(listener.clone()).start_link(protocol).await?;
    let mut client = listener.connect()?;
    // A client that has sent nothing yet would be waited for.
    client.write_all(b"x").await?;
    settle().await;
    let connector = tree().labelled("Connector")[0];
    let start = now();
    server.stop(timeout).await;
    let took = now() - start;
    assert!(!is_alive(connector) && server.pid().is_none(), "{}", tree());
    client.read_to_end(1).await?;
    assert!(listener.connect().is_err());
    Ok(took)
}

const AT_ONCE: std::ops::Range<u128> = 0..100;

#[test]
fn brutal_kill() {
    Simulation::sweep(SEEDS, || async {
        let took = stop(never_ends, Duration::ZERO).await?;
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
        let server = Server::listen(listener.clone()).start_link(never_ends).await?;
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
        let took = stop(never_ends, Duration::from_millis(500)).await?;
        assert!((500..600).contains(&took.as_millis()), "{took:?}");
        Ok::<(), Reason>(())
    });
}

//! Wakers of users that panic when they are woken: B28. (Futures of this crate may be polled by any executor
//! inside a process.)
mod common;

use std::{
    future::Future,
    sync::{Arc, Mutex},
    task::{Context, Wake},
    time::Duration,
};

use common::{echo, says_it_back};
use riot_actor::{Reason, runtime::Config, simulation::Simulation, sleep};
use riot_socket::{Connection, Server, memory::Listener};

struct Bad;

impl Wake for Bad {
    fn wake(self: Arc<Self>) {
        panic!("a waker");
    }
}

/// Polls a future once with a waker that panics, which stays registered.
fn poll_badly<T>(future: impl Future<Output = T> + Send + 'static) {
    let mut future = Box::pin(future);
    let waker = Arc::new(Bad).into();
    assert!(future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    std::mem::forget(future);
}

async fn listen_badly(mut connection: Connection) {
    connection.write_all(b"hello").await.expect("the peer reads");
    poll_badly(async move { connection.read(&mut [0]).await });
    std::future::pending::<()>().await;
}

#[test]
fn b28_a_waker_that_panics_harms_no_worker() {
    let result = Config::new().workers(1).run(async {
        let server = Server::bind("127.0.0.1:0")?.start_link(listen_badly).await?;
        let echoes = Server::bind("127.0.0.1:0")?.start_link(echo).await?;
        let waited_for = echoes.clone();
        poll_badly(async move { waited_for.wait_for_connections(|connections| connections == 1).await });
        for _ in 0..3 {
            let mut client = Connection::connect(&server.local_addr().to_string()).await?;
            let mut hello = [0; 5];
            client.read_exact(&mut hello).await?;
            client.write_all(b"x").await?;
            says_it_back(
                &mut Connection::connect(&echoes.local_addr().to_string()).await?,
                b"and on it goes",
            )
            .await;
        }
        server.stop(Duration::ZERO).await;
        Ok::<(), Reason>(())
    });
    assert_eq!(result.expect("it runs"), Reason::Normal);
}

#[test]
fn b28_a_waker_that_panics_harms_no_peer_in_memory() {
    Simulation::sweep(0..20, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone()).start_link(listen_badly).await?;
        for _ in 0..3 {
            let mut client = listener.connect()?;
            client.read_exact(&mut [0; 5]).await?;
            // The waker is woken by this write, in the client.
            client.write_all(b"x").await?;
            let waited_for = server.clone();
            poll_badly(async move { waited_for.wait_for_connections(|connections| connections > 10).await });
        }
        Ok::<(), Reason>(())
    });
}

#[test]
fn b13_a_condition_on_connections_may_end_connections() {
    Simulation::sweep(0..20, || async {
        let listener = Listener::new();
        let kept = Arc::new(Mutex::new(None));
        let keep = kept.clone();
        let server = Server::listen(listener.clone())
            .start_link(move |connection: Connection| {
                *keep.lock().expect("no panic") = Some(connection);
                std::future::pending::<()>()
            })
            .await?;
        let _client = listener.connect()?;
        server.wait_for_connections(|connections| connections == 1).await;
        sleep(Duration::from_millis(1)).await;
        server
            .wait_for_connections(|connections| {
                drop(kept.lock().expect("no panic").take());
                connections == 0
            })
            .await;
        Ok::<(), Reason>(())
    });
}

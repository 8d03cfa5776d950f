//! Wakers of handlers are code of users: what they do harms no other, and they are gone when nothing waits.
//! Each test runs on a connection of this crate's own HTTP, and on one that hyper serves.

use std::{
    panic::resume_unwind,
    pin::Pin,
    sync::Weak,
    task::{Context, Poll, Wake, Waker},
};

use axum::Extension;

use super::*;

/// Polls once with this waker.
fn poll_with(signal: &mut DrainSignal, waker: &Waker) -> Poll<()> {
    Pin::new(signal).poll(&mut Context::from_waker(waker))
}

/// A router whose handler at `/held` hands its signal to `first`, and then waits for it. The one at `/good`
/// only waits.
fn waits(first: impl Fn(&mut DrainSignal) + Clone + Send + Sync + 'static) -> Router {
    let held = move |Extension(mut signal): Extension<DrainSignal>| async move {
        first(&mut signal);
        signal.await;
        "drained"
    };
    let good = |Extension(signal): Extension<DrainSignal>| async move {
        signal.await;
        "drained"
    };
    Router::new().route("/held", get(held)).route("/good", get(good))
}

/// Stops a server while one handler waits at `/held` and one at `/good`, and checks that both answer.
fn both_answer(router: &Router) {
    for fields in ["", ASKS] {
        let router = router.clone();
        with_tokio(async move {
            let server = Server::bind("127.0.0.1:0")?.axum(router).upgrade_by_hyper().start_link().await?;
            let mut clients = Vec::new();
            for path in ["/held", "/good"] {
                let mut client = connect(&server).await;
                client.write_all(get_with(path, fields).as_bytes()).await?;
                clients.push(client);
            }
            let is_waiting = |state: &str| matches!(state, "handling" | "hyper");
            let all_wait = || {
                let known = server.connections();
                known.len() == 2 && known.iter().all(|connection| is_waiting(connection.state))
            };
            until("both wait", all_wait).await;
            sleep(millis(20)).await;
            let report = server.stop(Duration::from_secs(30)).await;
            assert!(report.cut.is_empty(), "{fields}: {report:?}");
            for client in &mut clients {
                let (head, body) = read_response(client).await;
                assert!(head.starts_with("http/1.1 200 ") && body == "drained", "{fields}: {head}{body}");
            }
            Ok(())
        });
    }
}

struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        resume_unwind(Box::new("a waker"));
    }
}

#[test]
fn tk09_h12_a_waker_that_panics_keeps_no_other_from_being_woken() {
    both_answer(&waits(|signal| {
        // Kept alive: its slot stays.
        let signal = Box::leak(Box::new(signal.clone()));
        assert!(poll_with(signal, &Waker::from(Arc::new(Panics))).is_pending());
    }));
}

/// Asks when it is woken.
struct Asks(DrainSignal);

impl Wake for Asks {
    fn wake(self: Arc<Self>) {
        let _ = self.0.is_draining();
    }
}

#[test]
fn tk09_h12_a_waker_may_ask_the_connection_when_it_is_woken() {
    both_answer(&waits(|signal| {
        let waker = Waker::from(Arc::new(Asks(signal.clone())));
        let signal = Box::leak(Box::new(signal.clone()));
        assert!(poll_with(signal, &waker).is_pending());
    }));
}

/// Asks when it is dropped.
struct AsksAtItsEnd(DrainSignal);

impl Wake for AsksAtItsEnd {
    fn wake(self: Arc<Self>) {}
}

impl Drop for AsksAtItsEnd {
    fn drop(&mut self) {
        let _ = self.0.is_draining();
    }
}

#[test]
fn tk09_h12_a_waker_may_ask_the_connection_when_it_is_dropped() {
    both_answer(&waits(|signal| {
        for _ in 0..2 {
            let waker = Waker::from(Arc::new(AsksAtItsEnd(signal.clone())));
            assert!(poll_with(signal, &waker).is_pending());
        }
    }));
}

#[test]
fn h12_a_waker_may_ask_the_connection_when_a_body_comes() {
    with_tokio(async {
        let (tell, mut told) = mpsc::unbounded_channel();
        let late = move |Extension(signal): Extension<DrainSignal>, mut body: Body| {
            let tell = tell.clone();
            async move {
                let waker = Waker::from(Arc::new(Asks(signal)));
                let first = Pin::new(&mut body);
                assert!(http_body::Body::poll_frame(first, &mut Context::from_waker(&waker)).is_pending());
                let _ = tell.send(());
                // It is woken by nobody, since the body has that waker.
                std::future::pending::<&'static str>().await
            }
        };
        let router = Router::new().route("/late", any(late));
        let server = Server::bind("127.0.0.1:0")?.axum(router).start_link().await?;
        let mut client = connect(&server).await;
        client.write_all(b"POST /late HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n").await?;
        told.recv().await.expect("the handler runs");
        client.write_all(b"hello").await?;
        client.transport().reset_on_close();
        drop(client);
        until("the connection has ended", || server.info().all == 0).await;
        server.stop(Duration::ZERO).await;
        Ok(())
    });
}

struct Idle;

impl Wake for Idle {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn h19_wakers_of_requests_that_are_done_are_dropped() {
    with_tokio(async {
        let seen: Arc<Mutex<Vec<Weak<Idle>>>> = Arc::default();
        let polled = seen.clone();
        let once = move |Extension(mut signal): Extension<DrainSignal>| {
            let polled = polled.clone();
            async move {
                let waker = Arc::new(Idle);
                polled.lock().expect("no handler panics").push(Arc::downgrade(&waker));
                assert!(poll_with(&mut signal, &Waker::from(waker)).is_pending());
                "done"
            }
        };
        let router = Router::new().route("/once", get(once));
        let server = Server::bind("127.0.0.1:0")?.axum(router).upgrade_by_hyper().start_link().await?;
        let mut client = connect(&server).await;
        for _ in 0..100 {
            let (_, body) = ask(&mut client, &get_with("/once", "")).await;
            assert_eq!(body, "done");
        }
        let alive =
            || seen.lock().expect("no handler panics").iter().filter(|seen| seen.strong_count() > 0).count();
        assert_eq!(seen.lock().expect("no handler panics").len(), 100);
        until("none is left", || alive() == 0).await;
        assert_eq!(server.info().active, 1, "the connection is still there");
        server.stop(Duration::ZERO).await;
        Ok(())
    });
}

//! The observer as a tower service: OB12.
#![cfg(feature = "tower")]

mod common;

use axum::{Router, routing::get as get_method};
use common::{Kept, ask_from, get};
use riot_actor::{Reason, simulation::Simulation};
use riot_http::{Server, http};
use riot_observer::{Observer, ObserverService};
use riot_socket::{memory::Listener, proxy::ProxyProtocol};
use tower_service::Service as _;

fn router(observer: ObserverService) -> Router {
    Router::new().route("/", get_method(|| async { "hello" })).nest_service("/observer", observer)
}

#[test]
fn ob12_below_a_router_other_machines_are_refused_and_one_line_says_so() {
    let kept = Kept::of("riot::observer");
    tracing::subscriber::with_default(kept.clone(), || {
        Simulation::sweep(1..2, || async {
            let listener = Listener::new();
            let server = Server::listen(listener.clone()).proxy_protocol(ProxyProtocol::required());
            server.tower(router(Observer::new().tower())).start_link().await?;
            let status = async |peer: &str, path: &str| ask_from(peer, &listener, path, "").await.status;
            for _ in 0..3 {
                assert_eq!(status("192.0.2.1", "/observer/metrics").await, 403);
            }
            assert_eq!(status("192.0.2.1", "/observer/readyz").await, 200);
            assert_eq!(status("192.0.2.1", "/").await, 200);
            assert_eq!(status("127.0.0.1", "/observer/metrics").await, 200);
            assert_eq!(status("127.0.0.1", "/observer/nothing").await, 404);
            let host = ask_from("127.0.0.1", &listener, "/observer/metrics", "Host: evil.example\r\n").await;
            assert_eq!(host.status, 403);
            Ok::<(), Reason>(())
        });
    });
    assert_eq!(kept.lines().len(), 1, "{:?}", kept.lines());
}

#[test]
fn ob12_below_a_router_credentials_are_checked_and_every_path_is_there() {
    Simulation::sweep(0..10, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone()).proxy_protocol(ProxyProtocol::required());
        let observer = Observer::new().bearer("s3cr3t").auth(|head| head.query() == Some("key=7"));
        server.tower(router(observer.tower())).start_link().await?;
        let from = async |path: &str, fields: &str| ask_from("192.0.2.1", &listener, path, fields).await;
        assert_eq!(from("/observer/metrics", "").await.status, 401);
        assert_eq!(from("/observer/metrics", "Authorization: Bearer x\r\n").await.status, 401);
        assert_eq!(from("/observer/metrics?key=8", "").await.status, 401);
        assert_eq!(from("/observer/metrics?key=7", "").await.status, 200, "a judge sees the head");
        let right = "Authorization: Bearer s3cr3t\r\n";
        for path in ["/observer", "/observer/", "/observer/metrics", "/observer/livez", "/observer/readyz"] {
            let answer = from(path, right).await;
            assert_eq!(answer.status, 200, "{path}");
            assert!(answer.field("content-security-policy").is_some(), "{path}");
            assert_eq!(answer.all("content-length").count(), 1, "{path}");
        }
        Ok::<(), Reason>(())
    });
}

#[test]
fn ob12_peers_in_memory_are_this_machine_below_a_router_too() {
    Simulation::sweep(1..2, || async {
        let listener = Listener::new();
        Server::listen(listener.clone()).tower(router(Observer::new().tower())).start_link().await?;
        let answer = get(&listener, "/observer/metrics").await;
        assert!(answer.status == 200 && answer.body.contains("riot_processes "), "{answer:?}");
        Ok::<(), Reason>(())
    });
}

#[test]
fn ob12_a_peer_that_is_not_known_counts_as_another_machine() {
    Simulation::sweep(1..2, || async {
        let mut service = Observer::new().tower();
        let request = http::Request::get("/metrics")
            .header("host", "localhost")
            .body(String::new())
            .expect("a request");
        let response = service.call(request).await.expect("it has no errors");
        assert_eq!(response.status(), 403);
        Ok::<(), Reason>(())
    });
}

#[test]
fn ob12_outside_of_a_runtime_the_service_says_so() {
    let request = http::Request::get("/metrics").body(String::new()).expect("a request");
    let mut answering = Observer::new().tower().call(request);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(Ok(response)) = answering.as_mut().poll(&mut context) else {
        panic!("it answers at once");
    };
    assert_eq!(response.status(), 503);
}

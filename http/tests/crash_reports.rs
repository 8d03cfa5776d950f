//! The crash report of a Connector names the request under way (H14).
#![cfg(feature = "driver")]

#[path = "../../actor/tests/common/kept_crashes.rs"]
mod kept_crashes;

use std::{io, time::Duration};

use kept_crashes::KeptCrashes;
use riot_actor::{Reason, simulation::Simulation, sleep, spawn_link};
use riot_http::{Handler, Reqd, Request, Response, Server, service};
use riot_socket::memory::Listener;

fn panics_before_it_is_a_future(reqd: Reqd) -> impl Future<Output = ()> {
    assert_eq!(reqd.request().path(), "/", "no such page");
    async move { _ = reqd.respond_with_string(Response::ok(), "home") }
}

async fn answer(reqd: Reqd) {
    let path = reqd.request().path().to_owned();
    match path.as_str() {
        "/" => _ = reqd.respond_with_string(Response::ok(), "home"),
        "/panic" => panic!("no such page"),
        "/later" => {
            let kept = [0_u8; 1000];
            sleep(Duration::from_secs(1)).await;
            panic!("no such page among {}", kept.len());
        }
        _ => {
            // Its end comes over the link.
            spawn_link(async { Err::<(), _>(io::Error::other("no disk")) });
            std::future::pending().await
        }
    }
}

/// Sends a request for the home page and then another to a server, and returns the request that the report of
/// the Connector names.
fn named_request(handler: impl Handler, request: &'static str) -> Option<String> {
    let crashes = KeptCrashes::default();
    let reason = Simulation::new(7).config(crashes.config("Connector")).run(async move {
        let listener = Listener::new();
        let server = Server::listen(listener.clone()).handler(handler).start_link().await?;
        let mut client = listener.connect()?;
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await?;
        sleep(Duration::from_secs(1)).await;
        client.write_all(request.as_bytes()).await?;
        sleep(Duration::from_secs(3)).await;
        for connector in riot_actor::process::tree().labelled("Connector") {
            riot_actor::exit(connector, io::Error::other("enough").into());
        }
        drop(client);
        server.wait_for_connections(|connections| connections == 0).await;
        server.stop(Duration::ZERO).await;
        Ok::<(), Reason>(())
    });
    assert_eq!(reason, Reason::Normal);
    let reports = crashes.take();
    let [report] = &reports[..] else { panic!("one report: {reports:?}") };
    let named = |name| report.details.iter().filter(move |detail| detail.0 == name);
    assert_eq!(["peer", "server", "age"].map(|name| named(name).count()), [1; 3], "{:?}", report.details);
    assert!(named("request").count() <= 1, "{:?}", report.details);
    named("request").next().map(|(_, request)| request.clone())
}

#[test]
fn h14_the_crash_report_names_the_request_of_a_handler_that_panics() {
    let request = "GET /panic?token=secret HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(named_request(answer, request).as_deref(), Some("GET /panic"));
    let named = named_request(panics_before_it_is_a_future, request);
    assert_eq!(named.as_deref(), Some("GET /panic"));
    let panics = service(|request: Request| async move {
        assert_eq!(request.path(), "/", "no such page");
        Response::text("home")
    });
    assert_eq!(named_request(panics, request).as_deref(), Some("GET /panic"));
    let request = "POST /later HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody";
    assert_eq!(named_request(answer, request).as_deref(), Some("POST /later"));
}

#[test]
fn h14_the_crash_report_names_the_request_under_way_when_a_process_linked_to_the_handler_fails() {
    let request = "DELETE /all HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(named_request(answer, request).as_deref(), Some("DELETE /all"));
}

#[test]
fn h14_the_crash_report_of_an_idle_connection_names_no_request() {
    let request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(named_request(answer, request), None);
}

/// Handlers panic, and other connections go on, before each has said its last word and exits.
#[test]
fn h14_each_of_several_requests_that_panic_at_once_is_named() {
    for seed in 0..50 {
        let crashes = KeptCrashes::default();
        let reason = Simulation::new(seed).config(crashes.config("Connector")).run(async move {
            let listener = Listener::new();
            let server = Server::listen(listener.clone()).handler(answer).start_link().await?;
            let mut clients = Vec::new();
            for _ in 0..4 {
                clients.push(listener.connect()?);
            }
            for client in &mut clients {
                client.write_all(b"GET /panic HTTP/1.1\r\nHost: a\r\n\r\n").await?;
            }
            for client in &mut clients {
                assert!(client.read_to_end(1000).await?.starts_with(b"HTTP/1.1 500"));
            }
            server.wait_for_connections(|connections| connections == 0).await;
            server.stop(Duration::ZERO).await;
            Ok::<(), Reason>(())
        });
        assert_eq!(reason, Reason::Normal, "seed {seed}");
        let reports = crashes.take();
        assert_eq!(reports.len(), 4, "seed {seed}");
        for report in reports {
            let request = report.details.iter().find(|detail| detail.0 == "request");
            assert_eq!(request.map(|detail| &*detail.1), Some("GET /panic"), "seed {seed}: {report:?}");
        }
    }
}

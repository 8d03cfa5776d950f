//! A server that is started in `main` finishes its requests when the runtime shuts down: F11, B12.
#![cfg(feature = "driver")]

use std::{
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use riot_actor::{Reason, now, runtime::shutdown, simulation::Simulation, sleep, spawn};
use riot_http::{Reqd, Response, Server};
use riot_socket::memory;

const SECOND: Duration = Duration::from_secs(1);

/// Runs a server whose handler takes some time, shuts the runtime down while it does, and returns what a
/// client got and after how long.
fn client_of(seed: u64, takes: Duration, end: fn()) -> (String, Duration) {
    let heard = Arc::new(Mutex::new(None));
    let told = heard.clone();
    Simulation::new(seed).run(async move {
        let listener = memory::Listener::new();
        let _server = Server::listen(listener.clone())
            .handler(move |reqd: Reqd| async move {
                sleep(takes).await;
                reqd.respond_with_string(Response::ok(), "finished")
            })
            .start_link()
            .await?;
        let mut client = listener.connect()?;
        let start = now();
        spawn(async move {
            // The client is no part of the server, and outlives it.
            riot_actor::trap_exit(true);
            client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("it reads");
            let text = client.read_to_end(10_000).await.unwrap_or_default();
            *told.lock().expect("no panic") = Some((String::from_utf8(text).expect("text"), now() - start));
        });
        sleep(SECOND).await;
        end();
        pending::<Result<(), Reason>>().await
    });
    let heard = heard.lock().expect("no panic").take();
    heard.expect("the client got to its end")
}

#[test]
fn f11_a_request_of_eight_seconds_is_answered_by_a_server_in_main() {
    for seed in 0..50 {
        let (text, took) = client_of(seed, 8 * SECOND, || shutdown(Reason::Shutdown));
        assert!(
            text.starts_with("HTTP/1.1 200 ") && text.ends_with("\r\n\r\nfinished"),
            "seed {seed}: {text}"
        );
        assert!(text.contains("\r\nconnection: close\r\n"), "seed {seed}: {text}");
        assert_eq!(took.as_secs(), 8, "seed {seed}");
    }
}

#[test]
fn b12_a_request_that_takes_longer_than_the_shutdown_timeout_is_cut() {
    for seed in 0..50 {
        let (text, took) = client_of(seed, 1000 * SECOND, || shutdown(Reason::Shutdown));
        assert!(!text.contains("finished"), "seed {seed}: {text}");
        assert_eq!(took.as_secs(), 16, "seed {seed}: 15 s after the shutdown began");
    }
}

//! Metrics of requests and crashes: OB7.

mod common;

use std::time::Duration;

use common::{
    ask, get,
    openmetrics::{Exposition, parse},
};
use riot_actor::{Pid, Reason, process::SpawnOptions, simulation::Simulation, sleep, spawn};
use riot_http::{HandlerError, Reqd, Response, Server, http::StatusCode};
use riot_observer::Observer;
use riot_socket::memory::Listener;

const SEEDS: std::ops::Range<u64> = 0..10;
const OPEN: &str = "Accept: application/openmetrics-text; version=1.0.0\r\n";

async fn answer(reqd: Reqd) -> Result<(), HandlerError> {
    let path = reqd.request().path().to_owned();
    match path.as_str() {
        "/missing" => reqd.respond_with_string(Response::not_found(), "none")?,
        "/wrong" => return Err("out of cheese".into()),
        "/panic" => panic!("in the handler"),
        "/late" => {
            sleep(Duration::from_secs(3)).await;
            reqd.respond_with_string(Response::new(StatusCode::ACCEPTED), "x".repeat(100))?
        }
        "/never" => return std::future::pending().await,
        _ => reqd.respond_with_string(Response::ok(), "hello")?,
    };
    Ok(())
}

async fn scrape(listener: &Listener) -> Exposition {
    let answer = ask(listener, "GET", "/metrics", OPEN).await;
    parse(&answer.body).unwrap_or_else(|error| panic!("{error}\n{}", answer.body))
}

#[test]
fn ob07_sums_of_requests_equal_a_load_with_errors_and_cuts() {
    Simulation::sweep(SEEDS, || async {
        let (web, own) = (Listener::new(), Listener::new());
        Observer::new().listen_on(own.clone()).start_link().await?;
        let server = Server::listen(web.clone()).name("web").handler(answer).start_link().await?;
        // Reading lets the server note requests.
        scrape(&own).await;
        for (path, status, times) in
            [("/", 200, 40), ("/missing", 404, 7), ("/wrong", 500, 5), ("/late", 202, 2), ("/panic", 500, 3)]
        {
            for _ in 0..times {
                assert_eq!(get(&web, path).await.status, status, "{path}");
            }
        }
        for _ in 0..4 {
            let mut client = web.connect()?;
            client.write_all(b"GET /never HTTP/1.1\r\nHost: a\r\n\r\n").await?;
            sleep(Duration::from_millis(10)).await;
            assert_eq!(active(&scrape(&own).await), Some(1.0));
            drop(client);
            server.wait_for_connections(|connections| connections == 0).await;
        }
        server.wait_for_connections(|connections| connections == 0).await;
        let seen = scrape(&own).await;
        let of =
            |name: &str, label: &str, value: &str| seen.value(name, &[("server", "web"), (label, value)]);
        let class = |class| of("riot_http_requests_total", "class", class);
        let classes = ["1xx", "2xx", "3xx", "4xx", "5xx", "none"].map(class);
        assert_eq!(classes, [Some(0.0), Some(42.0), Some(0.0), Some(7.0), Some(8.0), Some(4.0)]);
        let cut = |reason| of("http_requests_cut_total", "reason", reason);
        assert_eq!([cut("client_gone"), cut("panic"), cut("timeout")], [Some(4.0), Some(3.0), Some(0.0)]);
        let errors = seen.value("http_handler_errors_total", &[("server", "web")]);
        assert_eq!(errors, Some(5.0));
        assert_eq!(active(&seen), Some(0.0));
        let sum = |name: &str| -> f64 {
            let all = seen.all(name).filter(|(labels, _)| labels["server"] == "web");
            all.map(|(_, value)| value).sum()
        };
        for family in ["request_duration_seconds", "request_body_size_bytes", "response_body_size_bytes"] {
            assert_eq!(sum(&format!("http_server_{family}_count")), 61.0, "{family}");
        }
        let late = [
            ("server", "web"),
            ("http_request_method", "GET"),
            ("http_response_status_code", "202"),
            ("network_protocol_version", "1.1"),
        ];
        let late = seen.value("http_server_request_duration_seconds_sum", &late).expect("it is there");
        assert!((6.0..6.1).contains(&late), "{late}");
        assert!(sum("http_server_response_body_size_bytes_sum") >= 40.0 * 5.0 + 7.0 * 4.0 + 2.0 * 100.0);
        let limit = of("riot_limit_hits_total", "limit", "max_connections");
        assert_eq!(limit, Some(0.0));
        server.stop(Duration::ZERO).await;
        Ok::<(), Reason>(())
    });
}

fn active(seen: &Exposition) -> Option<f64> {
    let labels = [("server", "web"), ("http_request_method", "GET")];
    seen.value("http_server_active_requests", &labels)
}

#[test]
fn ob07_bounds_that_clients_meet_are_counted_by_their_name() {
    Simulation::sweep(SEEDS, || async {
        let (web, own) = (Listener::new(), Listener::new());
        Observer::new().listen_on(own.clone()).start_link().await?;
        let server = Server::listen(web.clone()).name("web").handler(answer).start_link().await?;
        let mut client = web.connect()?;
        let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(200_000));
        // The server may close before it has read all of it.
        let _ = client.write_all(long.as_bytes()).await;
        drop(client);
        server.wait_for_connections(|connections| connections == 0).await;
        let labels = [("server", "web"), ("limit", "max_head_bytes")];
        assert_eq!(scrape(&own).await.value("riot_limit_hits_total", &labels), Some(1.0));
        server.stop(Duration::ZERO).await;
        Ok::<(), Reason>(())
    });
}

#[test]
fn ob07_crashes_are_counted_by_label_without_those_that_follow_from_others() {
    Simulation::sweep(SEEDS, || async {
        let own = Listener::new();
        Observer::new().listen_on(own.clone()).start_link().await?;
        let crash = |label: &'static str| -> Pid {
            SpawnOptions::new().label(label).spawn(async { Err::<(), _>(Reason::other("out of cheese")) })
        };
        (0..3).for_each(|_| _ = crash("Clerk"));
        crash("Chief");
        spawn(async { Err::<(), _>(Reason::other("nameless")) });
        spawn(async {
            let options = SpawnOptions::new().label("Follower").link();
            options.spawn(std::future::pending::<()>());
            Err::<(), _>(Reason::other("nameless"))
        });
        sleep(Duration::from_secs(1)).await;
        let seen = scrape(&own).await;
        let crashes = |label| seen.value("riot_process_crashes_total", &[("label", label)]);
        assert_eq!([crashes("Clerk"), crashes("Chief"), crashes("-")], [Some(3.0), Some(1.0), Some(2.0)]);
        assert_eq!(crashes("Follower"), None);
        Ok::<(), Reason>(())
    });
}

//! Liveness and readiness as probes see them: OB8, HL1, HL3, HL4.

mod common;

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    time::{Duration, Instant},
};

use common::{Answer, ask, ask_from, get};
use riot_actor::{
    Reason, now, process::tree, runtime::Config, simulation::Simulation, sleep, spawn, time::send_after,
};
use riot_http::{Handler, HandlerError, Reqd, Response, Server, http::StatusCode};
use riot_observer::{Health, Observer};
use riot_socket::{memory::Listener, proxy::ProxyProtocol};

const SEEDS: std::ops::Range<u64> = 0..20;
const SECOND: Duration = Duration::from_secs(1);

async fn hello(reqd: Reqd) {
    let _ = reqd.respond_with_string(Response::ok(), "hello");
}

async fn serve(handler: impl Handler) -> Result<Listener, Reason> {
    let listener = Listener::new();
    Server::listen(listener.clone()).handler(handler).start_link().await?;
    Ok(listener)
}

fn ok() -> (u16, &'static str) {
    (200, "ok")
}

fn brief(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.body.as_str())
}

#[test]
fn hl01_health_alone_answers_two_paths_and_passes_everything_else_on() {
    Simulation::sweep(SEEDS, || async {
        let listener = serve(Health::new().mount(hello)).await?;
        for path in ["/livez", "/readyz", "/livez?x=1", "/readyz?exclude=db"] {
            let answer = get(&listener, path).await;
            assert_eq!(answer.status, 200, "{path}");
            assert_eq!(answer.field("cache-control"), Some("no-store"));
        }
        for path in ["/", "/livez/", "/livezz", "/LIVEZ", "/metrics", "/observer", "/readyz/db"] {
            assert_eq!(get(&listener, path).await.body, "hello", "{path}");
        }
        assert_eq!(brief(&get(&listener, "/livez").await), ok());
        let head = ask(&listener, "HEAD", "/readyz", "").await;
        assert_eq!(brief(&head), (200, ""));
        let post = ask(&listener, "POST", "/readyz", "Content-Length: 0\r\n").await;
        assert_eq!((post.status, post.field("allow")), (405, Some("GET, HEAD")));
        Ok::<(), Reason>(())
    });
}

#[test]
fn hl01_the_paths_are_what_the_program_says() {
    Simulation::sweep(SEEDS, || async {
        let health = Health::new().live_path("/health/live").ready_path("/health/ready-1_A");
        let listener = serve(health.mount(hello)).await?;
        for path in ["/health/live", "/health/ready-1_A"] {
            assert_eq!(brief(&get(&listener, path).await), ok(), "{path}");
        }
        assert_eq!(get(&listener, "/livez").await.body, "hello");
        let listener = serve(Observer::new().health(&health).mount("/o", hello)).await?;
        assert_eq!(brief(&get(&listener, "/o/health/live").await), ok());
        assert_eq!(get(&listener, "/o/livez").await.status, 404);
        Ok::<(), Reason>(())
    });
}

#[test]
fn hl01_a_wrong_path_or_name_panics_in_the_builder() {
    let panics: [fn(); 10] = [
        || drop(Health::new().live_path("livez")),
        || drop(Health::new().live_path("")),
        || drop(Health::new().ready_path("/ready?")),
        || drop(Health::new().ready_path("/ready.txt")),
        || drop(Health::new().ready_path("/bereit/ä")),
        || drop(Health::new().ready_path("/livez")),
        || drop(Health::new().readiness("a b", || async {})),
        || drop(Health::new().readiness("", || async {})),
        || drop(Health::new().readiness("state", || async {})),
        || drop(Health::new().readiness("db", || async {}).readiness("db", || async {})),
    ];
    for (nth, panics) in panics.into_iter().enumerate() {
        assert!(std::panic::catch_unwind(panics).is_err(), "{nth}");
    }
}

#[test]
fn ob08_a_failed_check_is_a_503_and_is_listed_in_the_form_of_kubernetes() {
    Simulation::sweep(SEEDS, || async {
        let health = Health::new()
            .readiness("db", || async { Err::<(), _>("no route to\n[+]db ok") })
            .readiness("cache", || async {})
            .readiness("queue", || async { false })
            .readiness("disk", || async { Ok::<u8, std::io::Error>(7) });
        let listener = serve(health.mount(hello)).await?;
        let listed = "[+]state ok\n[-]db failed: no route to\\n[+]db ok\n[+]cache ok\n\
                      [-]queue failed: the check returned false\n[+]disk ok\nreadyz check failed\n";
        for path in ["/readyz", "/readyz?verbose", "/readyz?verbose=1", "/readyz?a&verbose&b"] {
            assert_eq!(brief(&get(&listener, path).await), (503, listed), "{path}");
        }
        let without = get(&listener, "/readyz?exclude=db&exclude=queue").await;
        assert_eq!(brief(&without), ok());
        let listed = "[+]state ok\n[+]cache ok\n[+]disk ok\nreadyz check passed\n";
        let without = get(&listener, "/readyz?exclude=db&exclude=queue&verbose").await;
        assert_eq!(brief(&without), (200, listed));
        let one = get(&listener, "/readyz?exclude=db").await;
        assert_eq!(one.status, 503);
        // What does not exist is said, and not repeated: it may be anything.
        let unknown =
            get(&listener, "/readyz?verbose&exclude=db&exclude=queue&exclude=%0aevil&exclude=state").await;
        assert_eq!(
            brief(&unknown),
            (
                200,
                "[+]state ok\n[+]cache ok\n[+]disk ok\nwarn: a check that was excluded does not exist\n\
                 readyz check passed\n"
            )
        );
        Ok::<(), Reason>(())
    });
}

#[test]
fn hl03_checks_of_the_program_never_influence_liveness() {
    Simulation::sweep(SEEDS, || async {
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = asked.clone();
        let health = Health::new().readiness("db", move || {
            counted.fetch_add(1, SeqCst);
            async { false }
        });
        let listener = serve(health.mount(hello)).await?;
        assert_eq!(brief(&get(&listener, "/livez").await), ok());
        let verbose = get(&listener, "/livez?verbose&exclude=workers").await;
        assert_eq!(brief(&verbose), (200, "[+]workers ok\nlivez check passed\n"));
        assert_eq!(asked.load(SeqCst), 0);
        assert_eq!(get(&listener, "/readyz").await.status, 503);
        assert_eq!(asked.load(SeqCst), 1);
        Ok::<(), Reason>(())
    });
}

#[test]
fn ob08_reasons_are_shown_to_this_machine_and_to_authenticated_peers_alone() {
    Simulation::sweep(SEEDS, || async {
        let health = Health::new().readiness("db", || async { Err::<(), _>("password of db is wrong") });
        let shown = "[-]db failed: password of db is wrong\n";
        let listener = Listener::new();
        let server = Server::listen(listener.clone()).proxy_protocol(ProxyProtocol::required());
        let observer = Observer::new().bearer("s3cr3t").health(&health);
        server.handler(health.mount(observer.mount("/o", hello))).start_link().await?;
        for (peer, path, fields, is_shown) in [
            ("127.0.0.1", "/readyz", "", true),
            ("::1", "/readyz", "", true),
            ("192.0.2.1", "/readyz", "", false),
            ("192.0.2.1", "/o/readyz?verbose", "", false),
            ("192.0.2.1", "/o/readyz?verbose", "Authorization: Bearer s3cr3t\r\n", true),
            ("192.0.2.1", "/o/readyz?verbose", "Authorization: Bearer guess\r\n", false),
        ] {
            let answer = ask_from(peer, &listener, path, fields).await;
            assert_eq!(answer.status, 503);
            assert_eq!(answer.body.contains(shown), is_shown, "{peer} {path} {fields}: {}", answer.body);
            assert_eq!(answer.body.contains("[-]db failed: reason withheld\n"), !is_shown);
        }
        Ok::<(), Reason>(())
    });
}

#[test]
fn ob08_a_check_has_two_seconds_and_all_run_at_the_same_time() {
    Simulation::sweep(SEEDS, || async {
        let slow = |takes: Duration| move || async move { sleep(takes).await };
        let health = Health::new()
            .readiness("in_time", slow(Duration::from_millis(1_999)))
            .readiness("late", slow(Duration::from_secs(3600)))
            .readiness("never", pending::<bool>);
        let listener = serve(health.mount(hello)).await?;
        let start = now();
        let answer = get(&listener, "/readyz").await;
        assert_eq!((now() - start).as_secs(), 2);
        let listed = "[+]state ok\n[+]in_time ok\n[-]late failed: no result within 2 s\n\
                      [-]never failed: no result within 2 s\nreadyz check failed\n";
        assert_eq!(brief(&answer), (503, listed));
        sleep(Duration::from_millis(1)).await;
        assert_eq!(tree().labelled("HealthCheck"), [], "late ones are ended");
        Ok::<(), Reason>(())
    });
}

#[test]
fn ob08_a_result_is_kept_for_a_second_and_one_run_serves_all_that_ask_meanwhile() {
    Simulation::sweep(SEEDS, || async {
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = runs.clone();
        let health = Health::new().readiness("db", move || {
            let run = counted.fetch_add(1, SeqCst);
            async move {
                sleep(Duration::from_millis(500)).await;
                run == 0
            }
        });
        let listener = serve(health.mount(hello)).await?;
        let probes: Vec<_> = (0..10)
            .map(|_| {
                let listener = listener.clone();
                riot_actor::task::Task::spawn(async move { get(&listener, "/readyz").await.status })
            })
            .collect();
        for mut probe in probes {
            assert_eq!(probe.wait(None).await, Ok(200));
        }
        assert_eq!((runs.load(SeqCst), get(&listener, "/readyz").await.status), (1, 200));
        sleep(Duration::from_millis(900)).await;
        assert_eq!((get(&listener, "/readyz").await.status, runs.load(SeqCst)), (200, 1), "still kept");
        sleep(Duration::from_millis(200)).await;
        assert_eq!((get(&listener, "/readyz").await.status, runs.load(SeqCst)), (503, 2), "asked anew");
        // The clone of an observer has the same results.
        let other = serve(Observer::new().health(&health).mount("/o", hello)).await?;
        assert_eq!((get(&other, "/o/readyz").await.status, runs.load(SeqCst)), (503, 2));
        Ok::<(), Reason>(())
    });
}

#[test]
fn ob08_a_check_that_panics_or_is_killed_has_failed_and_the_next_run_may_pass() {
    Simulation::sweep(SEEDS, || async {
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = runs.clone();
        let health = Health::new().readiness("db", move || {
            let run = counted.fetch_add(1, SeqCst);
            assert_ne!(run, 0, "before its future");
            async move {
                assert_ne!(run, 1, "in its future");
                if run == 2 {
                    pending::<()>().await;
                }
            }
        });
        let listener = serve(health.mount(hello)).await?;
        let failure = async || {
            let body = get(&listener, "/readyz").await.body;
            sleep(SECOND).await;
            body.lines().find_map(|line| line.strip_prefix("[-]db failed: ").map(str::to_owned))
        };
        let first = failure().await.expect("it fails");
        assert!(first.starts_with("the check panicked: ") && first.contains("before its future"), "{first}");
        let second = failure().await.expect("it fails");
        assert!(second.starts_with("the check panicked: ") && second.contains("in its future"), "{second}");
        spawn(async {
            sleep(Duration::from_millis(500)).await;
            tree().labelled("HealthCheck").into_iter().for_each(|pid| riot_actor::exit(pid, Reason::Kill));
        });
        assert_eq!(failure().await.as_deref(), Some("the check was ended"));
        assert_eq!(failure().await, None);
        assert_eq!(runs.load(SeqCst), 4);
        Ok::<(), Reason>(())
    });
}

/// Answers every request with 503, as a limit of requests does.
struct Limited<H>(H);

impl<H: Handler> Handler for Limited<H> {
    async fn handle(&self, reqd: Reqd) -> Result<(), HandlerError> {
        reqd.respond_with_string(Response::new(StatusCode::SERVICE_UNAVAILABLE), "too many requests")?;
        Ok(())
    }
}

#[test]
fn hl04_health_is_answered_before_what_limits_requests() {
    Simulation::sweep(SEEDS, || async {
        let listener = serve(Health::new().mount(Limited(hello))).await?;
        assert_eq!(get(&listener, "/").await.status, 503);
        assert_eq!(brief(&get(&listener, "/livez").await), ok());
        assert_eq!(brief(&get(&listener, "/readyz").await), ok());
        let listener = serve(Observer::new().at_root().mount("/o", Limited(hello))).await?;
        assert_eq!(brief(&get(&listener, "/livez").await), ok());
        assert_eq!(get(&listener, "/o/metrics").await.status, 200);
        Ok::<(), Reason>(())
    });
}

#[test]
fn ob08_a_check_that_blocks_its_worker_fails_in_time_and_runs_once() {
    let reason = Config::new().workers(2).run(async {
        let (tell, told) = mpsc::channel::<()>();
        let (runs, told) = (Arc::new(AtomicUsize::new(0)), std::sync::Mutex::new(told));
        let counted = runs.clone();
        let health = Health::new().readiness("db", move || {
            counted.fetch_add(1, SeqCst);
            // Blocks its worker.
            let _ = told.lock().expect("no panic while locked").recv();
            async {}
        });
        let listener = serve(health.mount(hello)).await?;
        for _ in 0..2 {
            let start = Instant::now();
            let answer = get(&listener, "/readyz").await;
            assert!(answer.body.contains("[-]db failed: no result within 2 s"), "{}", answer.body);
            assert!(start.elapsed() < 4 * SECOND, "{:?}", start.elapsed());
            // Over the second in which the result is kept.
            send_after(SECOND, riot_actor::this(), ());
            riot_actor::receive::<()>().await;
        }
        assert_eq!(runs.load(SeqCst), 1, "no second one blocks another worker");
        drop(tell);
        Ok::<(), Reason>(())
    });
    assert_eq!(reason.expect("the runtime starts"), Reason::Normal);
}

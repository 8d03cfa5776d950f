//! The answers to probes while a program starts, stops, or is stuck: HL2, HL3.

mod common;

use std::{
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant},
};

use common::{Answer, get, try_get};
use riot_actor::{
    Reason, now,
    process::SpawnOptions,
    runtime::{Application, Config, shutdown},
    simulation::Simulation,
    sleep, spawn,
};
use riot_http::{Reqd, Response, Server};
use riot_observer::{Health, HealthState, Observer};
use riot_socket::memory::Listener;

const SEEDS: std::ops::Range<u64> = 0..50;
const SECOND: Duration = Duration::from_secs(1);

async fn hello(reqd: Reqd) {
    let _ = reqd.respond_with_string(Response::ok(), "hello");
}

fn state_in(answer: &Answer) -> String {
    let line = answer.body.lines().find(|line| line.starts_with("[-]state failed: the state is "));
    line.and_then(|line| line.rsplit("is ").next()).unwrap_or("ready").to_owned()
}

/// The times of a log, in milliseconds since the drain began.
type Log = Arc<Mutex<Vec<(u128, String)>>>;

/// Runs a program with two servers. One second after its start `begin` begins to stop it. Until nothing is
/// answered any more, a client asks `/readyz` and the application of the first server every 250 ms, over
/// connections of its own; returns what it got.
fn probes(seed: u64, lame_duck: Duration, begin: fn(riot_http::ServerHandle)) -> Vec<(u128, String)> {
    let log = Log::default();
    let kept = log.clone();
    Simulation::new(seed).run(async move {
        let (web, other) = (Listener::new(), Listener::new());
        let health = Health::new();
        let server = Server::listen(web.clone()).lame_duck_timeout(lame_duck);
        let first = server.handler(health.mount(hello)).start_link().await?;
        let server = Server::listen(other.clone()).lame_duck_timeout(lame_duck);
        server.handler(Observer::new().health(&health).mount("/o", hello)).start_link().await?;
        let (start, kept) = (now() + SECOND, kept.clone());
        spawn(async move {
            // The client is no part of the program, and outlives it.
            riot_actor::trap_exit(true);
            sleep(SECOND).await;
            begin(first);
            for _ in 0..20 {
                let mut line = Vec::new();
                for (listener, path) in [(&web, "/readyz"), (&other, "/o/readyz"), (&web, "/")] {
                    line.push(match try_get(listener, path).await {
                        Err(_) => "refused".to_owned(),
                        Ok(answer) if path == "/" => answer.body,
                        Ok(answer) => state_in(&answer),
                    });
                }
                let at = (now() - start).as_millis();
                kept.lock().expect("no panic").push((at, line.join(", ")));
                sleep(Duration::from_millis(250)).await;
            }
            shutdown(Reason::Shutdown);
        });
        std::future::pending::<Result<(), Reason>>().await
    });
    let log = log.lock().expect("no panic").clone();
    assert!(log.len() > 2, "seed {seed}: {log:?}");
    log
}

#[test]
fn hl02_readiness_falls_with_the_first_instant_of_a_shutdown_for_all_servers_together() {
    for seed in SEEDS {
        let log = probes(seed, 2 * SECOND, |_| shutdown(Reason::Shutdown));
        for (at, line) in log {
            match at {
                0..2_000 => assert_eq!(line, "lame duck, lame duck, hello", "seed {seed}: {at} ms"),
                2_000..2_250 => {}
                _ => assert!(line.starts_with("refused, "), "seed {seed}: {at} ms: {line}"),
            }
        }
    }
}

#[test]
fn hl02_readiness_falls_with_the_first_instant_of_one_servers_lame_duck() {
    for seed in SEEDS {
        let log = probes(seed, 2 * SECOND, |server| {
            spawn(async move { drop(server.stop(SECOND).await) });
        });
        for (at, line) in log {
            match at {
                // The stop begins in a process of its own.
                0 => {}
                1..2_000 => assert_eq!(line, "lame duck, lame duck, hello", "seed {seed}: {at} ms"),
                2_000..3_250 => {}
                // The other server goes on, and the program is ready without the first.
                _ => assert_eq!(line, "refused, ready, refused", "seed {seed}: {at} ms"),
            }
        }
    }
}

#[test]
fn hl02_without_a_lame_duck_readiness_never_says_ready_while_the_program_stops() {
    for seed in SEEDS {
        for (at, line) in probes(seed, Duration::ZERO, |_| shutdown(Reason::Shutdown)) {
            assert!(!line.contains("ready"), "seed {seed}: {at} ms: {line}");
        }
    }
}

#[test]
fn hl02_a_program_is_starting_until_its_named_servers_accept() {
    Simulation::sweep(SEEDS, || async {
        let health = Health::new().server("web").server("admin");
        let own = Listener::new();
        Observer::new().health(&health).listen_on(own.clone()).start_link().await?;
        assert_eq!(state_in(&get(&own, "/readyz").await), "starting");
        assert_eq!(get(&own, "/livez").await.status, 200);
        let web = Server::listen(Listener::new()).name("web").handler(hello).start_link().await?;
        assert_eq!(state_in(&get(&own, "/readyz").await), "starting");
        let admin = Server::listen(Listener::new()).name("admin").handler(hello).start_link().await?;
        assert_eq!(get(&own, "/readyz").await.body, "ok");
        // Another one does not matter.
        let third = Server::listen(Listener::new()).name("third").handler(hello).start_link().await?;
        third.suspend().await;
        assert_eq!((get(&own, "/readyz").await.body.as_str(), health.state()), ("ok", HealthState::Ready));
        assert_eq!(Health::new().state(), HealthState::Starting, "all of them do");
        admin.suspend().await;
        assert_eq!(state_in(&get(&own, "/readyz").await), "starting");
        admin.resume().await?;
        assert_eq!(get(&own, "/readyz").await.status, 200);
        web.stop(Duration::ZERO).await;
        assert_eq!(
            state_in(&get(&own, "/readyz").await),
            "starting",
            "a server that is gone does not accept"
        );
        Ok::<(), Reason>(())
    });
}

#[test]
fn hl02_a_program_is_starting_until_every_application_has_started() {
    let (listener, states) = (Listener::new(), Arc::new(Mutex::new(Vec::new())));
    let (first, asked, kept) = (listener.clone(), listener.clone(), states.clone());
    let reason = Config::new()
        .workers(2)
        .application(Application::new("observer", move || async move {
            let server = Observer::new().listen_on(first).start_link().await.map_err(Reason::error)?;
            server.pid().ok_or(Reason::NoProc)
        }))
        .application(Application::new("slow", move || async move {
            let state = state_in(&get(&asked, "/readyz").await);
            kept.lock().expect("no panic").push(state);
            Ok::<_, Reason>(riot_actor::spawn_link(std::future::pending::<()>()))
        }))
        .run(async move {
            let state = state_in(&get(&listener, "/readyz").await);
            states.lock().expect("no panic").push(state);
            assert_eq!(*states.lock().expect("no panic"), ["starting", "ready"]);
            Reason::Normal
        });
    assert_eq!(reason.expect("the runtime starts"), Reason::Normal);
}

#[test]
fn hl02_checks_are_asked_only_while_the_program_is_ready() {
    Simulation::sweep(SEEDS, || async {
        let health = Health::new().server("web").readiness("db", std::future::pending::<()>);
        let own = Listener::new();
        Observer::new().health(&health).listen_on(own.clone()).start_link().await?;
        let start = now();
        let answer = get(&own, "/readyz?verbose").await;
        assert_eq!(answer.body, "[-]state failed: the state is starting\nreadyz check failed\n");
        assert!(now() - start < SECOND, "nothing was waited for");
        Ok::<(), Reason>(())
    });
}

#[test]
fn hl03_a_blocked_worker_turns_liveness_to_503_within_three_seconds_and_back() {
    let reason = Config::new().workers(2).run(async {
        let listener = Listener::new();
        Observer::new().listen_on(listener.clone()).start_link().await?;
        assert_eq!(get(&listener, "/livez").await.body, "ok");
        let (tell, told) = mpsc::channel::<()>();
        let since = Instant::now();
        let (_, blocked) = SpawnOptions::new().pinned_to(1).spawn_monitor(async move {
            // Blocks its worker.
            let _ = told.recv();
        });
        let answer = loop {
            let answer = get(&listener, "/livez").await;
            if answer.status != 200 {
                break answer;
            }
            assert!(since.elapsed() < 10 * SECOND, "the worker is held up, and liveness does not say so");
            sleep(Duration::from_millis(10)).await;
        };
        let took = since.elapsed();
        assert!(took >= 2 * SECOND && took < 3 * SECOND, "{took:?}");
        let listed =
            "[-]workers failed: a process has held up its worker for more than 2 s\nlivez check failed\n";
        assert_eq!((answer.status, answer.body.as_str()), (503, listed));
        // Readiness asks other things.
        assert_eq!(get(&listener, "/readyz").await.status, 200);
        drop(tell);
        blocked.down().await;
        while get(&listener, "/livez").await.status != 200 {
            sleep(Duration::from_millis(10)).await;
        }
        Ok::<(), Reason>(())
    });
    assert_eq!(reason.expect("the runtime starts"), Reason::Normal);
}

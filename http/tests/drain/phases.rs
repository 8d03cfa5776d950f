//! The phases of a drain, what each connection gets, and the report.

use std::{
    io,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use riot_actor::{
    Reason, now,
    runtime::{random, shutdown},
    send,
    simulation::Simulation,
    sleep, spawn, telemetry, this, timeout,
};
use riot_http::{DrainSignal, Event, Reqd, Request, Response, Server, ServerHandle, Timeouts};
use riot_socket::{DrainPhase, ServerPhase, ServerState, memory::Listener};

use super::*;

#[test]
fn dr01_the_phases_follow_each_other() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone())
            .lame_duck_timeout(5 * SECOND)
            .handler(answer)
            .start_link()
            .await?;
        let mut client = listener.connect()?;
        client.write_all(b"GET /60000 HTTP/1.1\r\nHost: a\r\n\r\n").await?;
        sleep(SECOND).await;
        let (start, watcher) = (now(), this());
        telemetry::attach(move |event: &ServerPhase| send(watcher, (event.phase, now())));
        stop(&server, 15 * SECOND);
        for (phase, after) in [
            (DrainPhase::LameDuck, 0),
            (DrainPhase::Closing, 5),
            (DrainPhase::Draining, 5),
            (DrainPhase::Killing, 20),
        ] {
            let (seen, at) = riot_actor::receive::<(DrainPhase, Instant)>().await;
            assert_eq!((seen, (at - start).as_secs()), (phase, after));
            let info = server.info();
            let expected =
                if phase == DrainPhase::LameDuck { ServerState::LameDuck } else { ServerState::Draining };
            assert_eq!(info.state, expected);
            let drain = info.drain.expect("it drains");
            assert!(drain.phase >= phase, "{drain:?}");
            assert_eq!(drain.deadline.map(|at| (at - start).as_secs()), Some(20));
            if phase < DrainPhase::Killing {
                assert_eq!((drain.handling, drain.fresh + drain.reading + drain.idle), (1, 0));
            }
        }
        let report = report().await;
        assert_eq!(report.cut.len(), 1);
        assert_eq!(report.took.as_secs(), 20);
        let info = server.info();
        assert_eq!((info.state, info.drain), (ServerState::Down, None));
        Ok::<(), Reason>(())
    });
}

#[test]
fn dr01_a_second_stop_shortens_and_does_not_lengthen() {
    Simulation::sweep(SEEDS, || async {
        for (second, expected) in [(2 * SECOND, 3), (60 * SECOND, 15)] {
            let listener = Listener::new();
            let server = start(&listener).await?;
            let mut client = listener.connect()?;
            client.write_all(b"GET /60000 HTTP/1.1\r\nHost: a\r\n\r\n").await?;
            sleep(SECOND).await;
            let begin = now();
            stop(&server, 15 * SECOND);
            sleep(SECOND).await;
            stop(&server, second);
            let reports = [report().await, report().await];
            assert_eq!((now() - begin).as_secs(), expected);
            assert_eq!(reports.iter().map(|report| report.cut.len()).sum::<usize>(), 1);
        }
        Ok::<(), Reason>(())
    });
}

#[test]
fn dr02_the_report_says_what_became_of_the_connections() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = start(&listener).await?;
        let _unused = listener.connect()?;
        let (mut busy, mut stuck) = (listener.connect()?, listener.connect()?);
        busy.write_all(b"GET /3000 HTTP/1.1\r\nHost: a\r\n\r\n").await?;
        stuck.write_all(b"GET /60000 HTTP/1.1\r\nHost: a\r\n\r\n").await?;
        let mut late = listener.connect()?;
        late.write_all(GET).await?;
        sleep(SECOND).await;
        hear_now(&mut late).await?;
        stop(&server, 10 * SECOND);
        sleep(600 * MS).await;
        // It does not look whether the server has closed before it sends.
        let _ = late.write_all(GET).await;
        let report = report().await;
        let cut: Vec<_> = report.cut.iter().map(|cut| (cut.state, cut.requests)).collect();
        assert_eq!(cut, [("handling", 1)]);
        assert_eq!((report.served, report.unused, report.crossed), (1, 1, 1));
        assert_eq!(report.took.as_secs(), 10);
        assert_eq!(
            report.to_string(),
            "drained in 10.0 s; requests served: 1; connections unused: 1, crossed: 1, cut: 1"
        );
        assert!(says_last(&hear(&mut busy).await?));
        let refusal = hear(&mut stuck).await?;
        assert!(refusal.starts_with("HTTP/1.1 503 "), "{refusal}");
        Ok::<(), Reason>(())
    });
}

#[test]
fn dr03_clients_in_the_queue_are_served() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone()).max_connections(1).handler(answer).start_link().await?;
        let mut first = listener.connect()?;
        first.write_all(b"GET /500 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await?;
        sleep(10 * MS).await;
        let mut waiting: Vec<_> = (0..3).map(|_| listener.connect()).collect::<Result<_, _>>()?;
        for client in &mut waiting {
            client.write_all(GET).await?;
        }
        stop(&server, 15 * SECOND);
        sleep(MS).await;
        assert!(listener.connect().is_err(), "no client can connect any more");
        assert!(hear(&mut first).await?.starts_with("HTTP/1.1 200 "));
        for mut client in waiting {
            assert!(says_last(&hear(&mut client).await?));
        }
        let report = report().await;
        assert_eq!((report.cut.len(), report.served), (0, 4));
        assert_eq!((server.info().accepted, server.info().refused), (4, 0));
        Ok::<(), Reason>(())
    });
}

#[test]
fn dr03_clients_for_whom_no_place_becomes_free_are_told() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone())
            .max_connections(1)
            .busy(7 * SECOND)
            .overflow(riot_socket::ConnectionOverflow::Wait)
            .handler(answer)
            .start_link()
            .await?;
        let mut first = listener.connect()?;
        first.write_all(b"GET /5000 HTTP/1.1\r\nHost: a\r\n\r\n").await?;
        sleep(10 * MS).await;
        let mut waiting = listener.connect()?;
        let begin = now();
        stop(&server, 15 * SECOND);
        assert_eq!(hear(&mut waiting).await?, "", "it is closed");
        assert_eq!((now() - begin).as_secs(), 1);
        assert!(says_last(&hear(&mut first).await?));
        report().await;
        assert_eq!((server.info().accepted, server.info().refused), (1, 1));
        Ok::<(), Reason>(())
    });
}

#[test]
fn dr04_a_fresh_connection_has_a_second_for_its_first_request() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = start(&listener).await?;
        let (mut silent, mut late) = (listener.connect()?, listener.connect()?);
        sleep(SECOND).await;
        let begin = now();
        stop(&server, 15 * SECOND);
        sleep(900 * MS).await;
        late.write_all(GET).await?;
        assert!(says_last(&hear(&mut late).await?));
        assert_eq!(hear(&mut silent).await?, "");
        drop((silent, late));
        let report = report().await;
        assert_eq!((report.served, report.unused, report.crossed, report.cut.len()), (1, 1, 0, 0));
        assert!((1000..1200).contains(&(now() - begin).as_millis()), "{:?}", now() - begin);
        Ok::<(), Reason>(())
    });
}

#[test]
fn dr04_a_head_that_has_begun_may_be_finished() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = start(&listener).await?;
        let (mut slow, mut stuck) = (listener.connect()?, listener.connect()?);
        for client in [&mut slow, &mut stuck] {
            client.write_all(&GET[..9]).await?;
        }
        sleep(SECOND).await;
        stop(&server, 15 * SECOND);
        sleep(8 * SECOND).await;
        slow.write_all(&GET[9..]).await?;
        assert!(says_last(&hear(&mut slow).await?));
        let refused = hear(&mut stuck).await?;
        assert!(refused.starts_with("HTTP/1.1 408 "), "{refused}");
        assert_eq!(report().await.cut.len(), 0);
        Ok::<(), Reason>(())
    });
}

#[test]
fn dr04_an_idle_connection_waits_for_a_request_that_may_be_on_its_way() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = start(&listener).await?;
        let mut clients = Vec::new();
        for _ in 0..10 {
            let mut client = listener.connect()?;
            client.write_all(GET).await?;
            clients.push(client);
        }
        sleep(SECOND).await;
        let mut asking = clients.pop().expect("there are ten");
        for client in clients.iter_mut().chain([&mut asking]) {
            assert!(hear_now(client).await?.starts_with("HTTP/1.1 200 "));
        }
        let begin = now();
        stop(&server, 15 * SECOND);
        sleep(240 * MS).await;
        asking.write_all(GET).await?;
        assert!(says_last(&hear(&mut asking).await?));
        let mut ends = Vec::new();
        for mut client in clients {
            let watcher = this();
            spawn(async move {
                let heard = hear(&mut client).await;
                send(watcher, (heard, now()));
            });
        }
        for _ in 0..9 {
            let (heard, at) = riot_actor::receive::<(Result<String, Reason>, Instant)>().await;
            assert_eq!(heard?, "");
            ends.push((at - begin).as_millis());
        }
        assert!(ends.iter().all(|at| (250..=520).contains(at)), "{ends:?}");
        ends.dedup();
        assert!(ends.len() > 3, "they are spread: {ends:?}");
        assert_eq!(report().await.served, 1);
        Ok::<(), Reason>(())
    });
}

#[test]
fn dr04_idle_connections_can_be_kept_for_their_last_response() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone())
            .timeouts(Timeouts::new().drain_idle_forever())
            .handler(answer)
            .start_link()
            .await?;
        let mut client = listener.connect()?;
        client.write_all(GET).await?;
        hear_now(&mut client).await?;
        stop(&server, 15 * SECOND);
        sleep(14 * SECOND).await;
        client.write_all(GET).await?;
        assert!(says_last(&hear(&mut client).await?));
        drop(client);
        assert_eq!(report().await.cut.len(), 0);
        Ok::<(), Reason>(())
    });
}

#[test]
fn dr04_event_streams_end_in_order_unless_they_are_kept() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone())
            .service(|request: Request| async move {
                let kept = request.path() == "/kept";
                Response::events(move |mut events| async move {
                    if kept {
                        events.keep_on_drain();
                    }
                    let _ = events.send(Event::new("hello")).await;
                    std::future::pending::<()>().await;
                })
            })
            .start_link()
            .await?;
        let (mut stream, mut kept) = (listener.connect()?, listener.connect()?);
        stream.write_all(GET).await?;
        kept.write_all(b"GET /kept HTTP/1.1\r\nHost: a\r\n\r\n").await?;
        sleep(SECOND).await;
        let begin = now();
        stop(&server, 10 * SECOND);
        let heard = hear(&mut stream).await?;
        assert!(heard.ends_with("data: hello\n\n\r\n0\r\n\r\n"), "{heard}");
        assert!(now() - begin <= 5 * SECOND + 20 * MS, "{:?}", now() - begin);
        let heard = hear(&mut kept).await?;
        assert!(heard.ends_with("data: hello\n\n\r\n"), "{heard}");
        assert_eq!((now() - begin).as_secs(), 10);
        assert_eq!(report().await.cut.len(), 1);
        Ok::<(), Reason>(())
    });
}

#[test]
fn dr05_a_request_that_crosses_the_end_does_not_reset_the_last_response() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = start(&listener).await?;
        let mut client = listener.connect()?;
        client.write_all(b"GET /1000 HTTP/1.1\r\nHost: a\r\n\r\n").await?;
        sleep(10 * MS).await;
        stop(&server, 15 * SECOND);
        sleep(1100 * MS).await;
        client.write_all(GET).await?;
        assert!(says_last(&hear(&mut client).await?));
        drop(client);
        let report = report().await;
        assert_eq!((report.served, report.crossed, report.cut.len()), (1, 1, 0));
        Ok::<(), Reason>(())
    });
}

#[test]
fn dr06_a_handler_can_wait_for_the_drain() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let watcher = this();
        let server = Server::listen(listener.clone())
            .service(move |request: Request| async move {
                let signal: DrainSignal = request.drain_signal();
                assert!(!signal.is_draining());
                let elsewhere = signal.clone();
                spawn(async move {
                    elsewhere.await;
                    send(watcher, "told elsewhere");
                });
                signal.await;
                Response::text("early")
            })
            .start_link()
            .await?;
        let mut client = listener.connect()?;
        client.write_all(GET).await?;
        sleep(10 * SECOND).await;
        let begin = now();
        stop(&server, 15 * SECOND);
        let heard = hear(&mut client).await?;
        assert!(says_last(&heard) && heard.ends_with("early"), "{heard}");
        assert!(now() - begin < SECOND);
        assert_eq!(riot_actor::receive::<&str>().await, "told elsewhere");
        Ok::<(), Reason>(())
    });
}

#[test]
fn dr06_a_signal_ends_with_its_connection() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let watcher = this();
        let server = Server::listen(listener.clone())
            .handler(move |reqd: Reqd| async move {
                let signal = reqd.drain_signal();
                spawn(async move {
                    signal.await;
                    send(watcher, "over");
                });
                reqd.respond_with_string(Response::ok(), "")
            })
            .start_link()
            .await?;
        let mut client = listener.connect()?;
        client.write_all(GET).await?;
        sleep(SECOND).await;
        drop(client);
        assert_eq!(riot_actor::receive::<&str>().await, "over");
        assert_eq!(server.info().state, ServerState::Running);
        Ok::<(), Reason>(())
    });
}

#[test]
fn dr09_a_lame_duck_says_so_in_every_response() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone())
            .lame_duck_timeout(5 * SECOND)
            .handler(answer)
            .start_link()
            .await?;
        let mut kept = listener.connect()?;
        kept.write_all(GET).await?;
        sleep(SECOND).await;
        assert!(!says_last(&hear_now(&mut kept).await?));
        stop(&server, 15 * SECOND);
        sleep(3 * SECOND).await;
        kept.write_all(GET).await?;
        assert!(says_last(&hear(&mut kept).await?));
        let mut new = listener.connect()?;
        new.write_all(GET).await?;
        assert!(says_last(&hear(&mut new).await?), "a new client is served as well");
        assert_eq!(server.info().state, ServerState::LameDuck);
        report().await;
        Ok::<(), Reason>(())
    });
}

#[test]
fn dr12_all_servers_are_lame_ducks_from_the_moment_of_the_shutdown() {
    for seed in SEEDS {
        let phases: Arc<Mutex<Vec<(DrainPhase, Duration)>>> = Arc::default();
        let seen = phases.clone();
        Simulation::new(seed).run(async move {
            let begin = now();
            telemetry::attach(move |event: &ServerPhase| {
                seen.lock().expect("no panic").push((event.phase, now() - begin));
            });
            for _ in 0..2 {
                let listener = Listener::new();
                let server = Server::listen(listener.clone()).lame_duck_timeout(4 * SECOND);
                server.handler(answer).start_link().await?;
                let mut client = listener.connect()?;
                client.write_all(b"GET /5000 HTTP/1.1\r\nHost: a\r\n\r\n").await?;
                spawn(async move {
                    riot_actor::trap_exit(true);
                    let _ = hear(&mut client).await;
                });
            }
            sleep(SECOND).await;
            shutdown(Reason::Shutdown);
            std::future::pending::<Result<(), Reason>>().await
        });
        let phases = phases.lock().expect("no panic").clone();
        let at = |phase| {
            let of = phases.iter().filter(move |(seen, _)| *seen == phase);
            of.map(|(_, at)| at.as_secs()).collect::<Vec<_>>()
        };
        assert_eq!(at(DrainPhase::LameDuck), [1, 1], "seed {seed}: {phases:?}");
        assert_eq!(at(DrainPhase::Closing), [5, 5], "seed {seed}: {phases:?}");
    }
}

#[test]
fn dr13_a_handler_that_waits_for_the_stop_of_its_server_is_cut() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let handle: Arc<Mutex<Option<ServerHandle>>> = Arc::default();
        let given = handle.clone();
        let server = Server::listen(listener.clone())
            .handler(move |reqd: Reqd| {
                let server = given.lock().expect("no panic").clone().expect("it was given");
                async move {
                    server.stop(2 * SECOND).await;
                    let _ = reqd.respond_with_string(Response::ok(), "never");
                }
            })
            .start_link()
            .await?;
        *handle.lock().expect("no panic") = Some(server.clone());
        let mut client = listener.connect()?;
        client.write_all(GET).await?;
        let begin = now();
        let heard = hear(&mut client).await?;
        assert!(!heard.contains("never"), "{heard}");
        assert_eq!((now() - begin).as_secs(), 2);
        Ok::<(), Reason>(())
    });
}

#[test]
fn h11_a_connection_of_age_is_drained_without_a_loss() {
    Simulation::sweep(0..2, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone())
            .timeouts(Timeouts::new().age_timeout(SECOND))
            .handler(answer)
            .start_link()
            .await?;
        let watcher = this();
        let end = now() + 60 * SECOND;
        for _ in 0..40 {
            let listener = listener.clone();
            spawn(async move {
                let mut counts = (0_u32, 0_u32);
                let outcome = ask_until(end, &listener, &mut counts).await;
                send(watcher, (outcome.map_err(|error| error.to_string()), counts));
            });
        }
        for _ in 0..40 {
            let (outcome, (served, connections)) =
                riot_actor::receive::<(Result<(), String>, (u32, u32))>().await;
            assert_eq!(outcome, Ok(()), "no request is lost");
            assert!(served > 1000 && connections > 50, "{served} {connections}");
        }
        drop(server);
        Ok::<(), Reason>(())
    });
}

/// Sends requests one after the other on kept connections, and counts responses and connections.
async fn ask_until(end: Instant, listener: &Listener, counts: &mut (u32, u32)) -> io::Result<()> {
    while now() < end {
        let mut client = listener.connect()?;
        counts.1 += 1;
        // A client looks whether the server has closed before it sends.
        while timeout(MS, client.read(&mut [0; 1])).await.is_err() {
            client.write_all(GET).await?;
            let heard = first_response(&mut client).await?;
            counts.0 += 1;
            if says_last(&heard) {
                break;
            }
            sleep(random() as u32 % 50 * MS).await;
        }
    }
    Ok(())
}

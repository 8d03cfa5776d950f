//! The events and the statistics of requests: whole, in order, and true. H20.
#![cfg(feature = "driver")]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use riot_actor::{Reason, exit, simulation::Simulation, sleep, task::Task, telemetry::attach};
use riot_http::{
    CutReason, HandlerError, Reqd, Response, Route, Server, ServerHandle, Timeouts,
    socket::{Connection, memory::Listener, telemetry::ConnectionEnded},
    stats,
    telemetry::{
        RequestAnswered, RequestEnded, RequestKey, RequestOutcome, RequestStarted, RequestUpgraded, Timings,
    },
};

#[derive(Clone, Debug)]
enum Event {
    Started(RequestStarted),
    Answered(RequestAnswered),
    Ended(RequestEnded),
    Upgraded(RequestUpgraded),
}

/// The events of requests, in their order.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<Event>>>);

impl Seen {
    fn attach() -> Self {
        let seen = Self::default();
        let keep = seen.clone();
        attach(move |event: &RequestStarted| keep.lock().push(Event::Started(event.clone())));
        let keep = seen.clone();
        attach(move |event: &RequestAnswered| keep.lock().push(Event::Answered(event.clone())));
        let keep = seen.clone();
        attach(move |event: &RequestEnded| keep.lock().push(Event::Ended(event.clone())));
        let keep = seen.clone();
        attach(move |event: &RequestUpgraded| keep.lock().push(Event::Upgraded(event.clone())));
        seen
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Event>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ended(&self) -> Vec<RequestEnded> {
        let ended = |event: &Event| if let Event::Ended(ended) = event { Some(ended.clone()) } else { None };
        self.lock().iter().filter_map(ended).collect()
    }

    /// Waits for ten minutes of the simulation at most.
    async fn wait_for_ends(&self, ends: usize) {
        for _ in 0..60_000 {
            if self.ended().len() >= ends {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("{ends} requests do not end: {:#?}", self.lock());
    }

    /// Checks that every start has one end behind it, with at most one answer between them. Returns the
    /// number of requests.
    fn check(&self) -> usize {
        let mut open: BTreeMap<String, (RequestStarted, Option<RequestAnswered>)> = BTreeMap::new();
        let mut requests = 0;
        for event in self.lock().iter() {
            match event {
                Event::Started(started) => {
                    let before = open.insert(started.key.to_string(), (started.clone(), None));
                    assert!(before.is_none(), "{started:?} has started before");
                }
                Event::Answered(answered) => {
                    let (_, answer) = open.get_mut(&answered.key.to_string()).expect("it has started");
                    assert!(answer.replace(answered.clone()).is_none(), "{answered:?} was answered before");
                }
                Event::Upgraded(upgraded) => assert!(open.contains_key(&upgraded.key.to_string())),
                Event::Ended(ended) => {
                    let (started, answered) = open.remove(&ended.key.to_string()).expect("it has started");
                    assert_eq!((started.method, &started.path), (ended.method, &ended.path));
                    assert_eq!(answered.map(|answered| answered.status), ended.status);
                    check_times(ended);
                    requests += 1;
                }
            }
        }
        assert!(open.is_empty(), "these have not ended: {open:#?}");
        requests
    }
}

/// Checks that the times of a request stand in their order.
fn check_times(ended: &RequestEnded) {
    let times = [ended.handler_after, ended.answered_after, ended.first_byte_after, ended.last_byte_after];
    let known: Vec<_> = times.into_iter().flatten().collect();
    assert!(known.is_sorted(), "{ended:?}");
    assert!(ended.outcome != RequestOutcome::Complete || ended.last_byte_after.is_some(), "{ended:?}");
}

/// Answers by the path.
async fn answer(mut reqd: Reqd) -> Result<(), HandlerError> {
    let path = reqd.request().path().to_owned();
    let route = path.split('/').nth(1).map_or_else(String::new, |first| format!("/{first}"));
    reqd.set_route(Route::new(route));
    match path.as_str() {
        "/echo" => {
            let mut bytes = 0;
            while let Some(piece) = reqd.body().chunk().await? {
                bytes += piece.len();
            }
            reqd.respond_with_string(Response::ok(), "e".repeat(bytes))?;
        }
        "/slow" => {
            sleep(Duration::from_millis(250)).await;
            reqd.respond_with_string(Response::ok(), "slow")?;
        }
        "/stream" => {
            let mut writer = reqd.respond_with_streaming(Response::ok())?;
            for _ in 0..3 {
                writer.write("piece").await?;
                sleep(Duration::from_millis(10)).await;
            }
            writer.close()?;
        }
        "/unfinished" => {
            let mut writer = reqd.respond_with_streaming(Response::ok())?;
            writer.write("piece").await?;
            return Err("as asked".into());
        }
        "/error" => return Err("as asked".into()),
        "/panic" => panic!("as asked"),
        "/never" => std::future::pending().await,
        _ => {
            reqd.respond_with_string(Response::ok(), "hello")?;
        }
    }
    Ok(())
}

const GET: &str = "HTTP/1.1\r\nhost: a\r\n\r\n";

/// A path, the bytes of its response's body, and the reason for which it is cut.
type Case = (&'static str, u64, Option<&'static str>);

const CASES: [Case; 7] = [
    ("GET /", 5, None),
    ("GET /slow", 4, None),
    ("GET /stream", 15, None),
    ("HEAD /", 0, None),
    ("GET /error", 0, None),
    ("GET /unfinished", 5, Some("unfinished")),
    ("GET /panic", 0, Some("panic")),
];

async fn start(listener: &Listener) -> ServerHandle {
    let timeouts = Timeouts::new().handler_timeout(Duration::from_secs(5));
    let server = Server::listen(listener.clone()).name("web").timeouts(timeouts);
    server.handler(answer).start_link().await.expect("it listens")
}

/// Reads until the end, or until nothing has come for a minute.
async fn read_all(client: &mut Connection) -> usize {
    let (mut heard, mut buffer) = (0, [0; 256]);
    while let Ok(bytes @ 1..) = client.read(&mut buffer).await {
        heard += bytes;
    }
    heard
}

/// Sends requests at once, and then the end of its side; returns the bytes that came back.
async fn pipeline(listener: &Listener, requests: &[Case]) -> usize {
    let mut client = listener.connect().expect("it listens");
    let text: String = requests.iter().map(|(line, ..)| format!("{line} {GET}")).collect();
    client.write_all(text.as_bytes()).await.expect("it is read");
    let _ = client.shutdown(riot_http::socket::Shutdown::Write);
    read_all(&mut client).await
}

#[test]
fn h20_every_request_that_starts_ends_once_with_its_bytes_and_its_cause() {
    Simulation::sweep(0..400, || async {
        let seen = Seen::attach();
        let ends = Arc::new(Mutex::new(Vec::new()));
        let kept = ends.clone();
        attach(move |e: &ConnectionEnded| kept.lock().unwrap().push((e.bytes_sent, e.requests)));
        let listener = Listener::new();
        let server = start(&listener).await;
        let mut clients: Vec<_> = (0..CASES.len())
            .map(|first| {
                let listener = listener.clone();
                // A response that is cut ends the connection, so it stands last.
                let requests = [CASES[first % 4], CASES[first]];
                Task::spawn(async move { (requests, pipeline(&listener, &requests).await) })
            })
            .collect();
        let (mut expected, mut heard) = (Vec::new(), Vec::new());
        for client in &mut clients {
            let (requests, bytes) = client.wait(None).await.unwrap();
            heard.push(bytes as u64);
            expected.extend(requests.map(|(line, bytes, cut)| (line.to_owned(), bytes, cut)));
        }
        seen.wait_for_ends(expected.len()).await;
        server.stop(Duration::from_secs(10)).await;
        assert_eq!(seen.check(), expected.len());
        let errors = |line: &str| ["GET /error", "GET /panic"].contains(&line);
        let found = |ended: &RequestEnded| {
            let line = format!("{} {}", ended.method, ended.path);
            let cut =
                if let RequestOutcome::Cut(reason) = ended.outcome { Some(reason.name()) } else { None };
            let status = if errors(&line) { 500 } else { 200 };
            assert_eq!(ended.status.map(|status| status.as_u16()), Some(status), "{ended:?}");
            let bytes = if errors(&line) { 0 } else { ended.body_sent };
            (line, bytes, cut)
        };
        let mut found: Vec<_> = seen.ended().iter().map(found).collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected);
        let mut sent: Vec<_> = ends.lock().unwrap().clone();
        assert!(sent.iter().all(|(_, requests)| *requests == 2), "{sent:?}");
        sent.sort_unstable();
        heard.sort_unstable();
        assert_eq!(sent.iter().map(|(bytes, _)| *bytes).collect::<Vec<_>>(), heard);
    });
}

/// Runs one client against the server, and returns the one request that ends.
fn cut(seeds: u64, disturb: fn(&ServerHandle, Connection) -> Task<()>, reasons: &'static [CutReason]) {
    Simulation::sweep(0..seeds, move || async move {
        let seen = Seen::attach();
        let listener = Listener::new();
        let server = start(&listener).await;
        let mut client = listener.connect().expect("it listens");
        client.write_all(format!("GET /never {GET}").as_bytes()).await.expect("it is read");
        while seen.lock().is_empty() {
            sleep(Duration::from_millis(1)).await;
        }
        disturb(&server, client).wait(None).await.expect("it ends");
        seen.wait_for_ends(1).await;
        server.stop(Duration::from_secs(10)).await;
        assert_eq!(seen.check(), 1);
        let RequestOutcome::Cut(reason) = seen.ended()[0].outcome else { panic!("{:?}", seen.ended()) };
        assert!(reasons.contains(&reason), "{reason:?}");
        let counted = stats(&server).expect("it speaks HTTP").cut;
        assert!(counted.contains(&(reason.name(), 1)), "{counted:?}");
        assert_eq!(counted.iter().map(|(_, count)| count).sum::<u64>(), 1, "{counted:?}");
    });
}

#[test]
fn h20_a_client_that_leaves_cuts_its_request() {
    let leave = |_: &ServerHandle, client: Connection| Task::spawn(async move { drop(client) });
    cut(100, leave, &[CutReason::ClientGone]);
}

#[test]
fn h20_a_timer_cuts_a_request_and_is_named() {
    let wait = |_: &ServerHandle, mut client: Connection| {
        Task::spawn(async move {
            let heard = read_all(&mut client).await;
            assert!(heard > 0, "503 was sent");
        })
    };
    cut(50, wait, &[CutReason::TimedOut("handler")]);
}

#[test]
fn h20_a_killed_connector_cuts_a_request() {
    let kill = |server: &ServerHandle, mut client: Connection| {
        let connector = server.connections()[0].pid;
        Task::spawn(async move {
            exit(connector, Reason::Kill);
            read_all(&mut client).await;
        })
    };
    cut(100, kill, &[CutReason::Killed]);
}

#[test]
fn h20_the_deadline_of_a_drain_cuts_a_request() {
    let stop = |server: &ServerHandle, mut client: Connection| {
        let server = server.clone();
        Task::spawn(async move {
            server.stop(Duration::from_millis(100)).await;
            read_all(&mut client).await;
        })
    };
    cut(100, stop, &[CutReason::Drained]);
}

#[test]
fn h20_bytes_that_are_no_request_are_a_request_of_another_method() {
    Simulation::sweep(0..50, || async {
        let seen = Seen::attach();
        let listener = Listener::new();
        let server = start(&listener).await;
        let mut client = listener.connect().expect("it listens");
        client.write_all(format!("GET / {GET}nonsense\r\n\r\n").as_bytes()).await.expect("it is read");
        read_all(&mut client).await;
        seen.wait_for_ends(2).await;
        server.stop(Duration::ZERO).await;
        assert_eq!(seen.check(), 2);
        let ended = seen.ended();
        let summary = |ended: &RequestEnded| (ended.method, ended.status.map(|status| status.as_u16()));
        assert_eq!(
            ended.iter().map(summary).collect::<Vec<_>>(),
            [("GET", Some(200)), ("_OTHER", Some(400))]
        );
        let responses = stats(&server).expect("it speaks HTTP").responses;
        assert_eq!((responses[2], responses[4]), (1, 1));
    });
}

#[test]
fn h20_a_switch_of_protocols_is_an_event() {
    Simulation::sweep(0..50, || async {
        let seen = Seen::attach();
        let listener = Listener::new();
        let shout = |reqd: Reqd| async move {
            let switch = Response::new(riot_http::http::StatusCode::SWITCHING_PROTOCOLS);
            let Ok(upgrade) = reqd.respond_with_upgrade(switch) else { return };
            let mut connection = upgrade.connection().await.expect("the client is there");
            let _ = connection.write_all(b"HELLO").await;
        };
        let server = Server::listen(listener.clone()).handler(shout).start_link().await.expect("it listens");
        let mut client = listener.connect().expect("it listens");
        let head = "GET /chat HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: shout\r\n\r\n";
        client.write_all(head.as_bytes()).await.expect("it is read");
        read_all(&mut client).await;
        seen.wait_for_ends(1).await;
        server.stop(Duration::ZERO).await;
        assert_eq!(seen.check(), 1);
        let upgraded = |event: &Event| match event {
            Event::Upgraded(upgraded) => Some((upgraded.protocol.clone(), upgraded.by)),
            _ => None,
        };
        let upgrades: Vec<_> = seen.lock().iter().filter_map(upgraded).collect();
        assert_eq!(upgrades, [(Some("shout".to_owned()), "101")]);
    });
}

#[test]
fn h20_statistics_count_always_and_note_requests_once_they_are_read() {
    Simulation::sweep(0..50, || async {
        let listener = Listener::new();
        let server = start(&listener).await;
        pipeline(&listener, &[CASES[0], CASES[4]]).await;
        let first = stats(&server).expect("it speaks HTTP");
        assert_eq!((first.responses[2], first.responses[5], first.handler_errors), (1, 1, 1));
        assert!(first.ended.is_empty(), "nothing was noted before");

        pipeline(&listener, &[CASES[1], CASES[1]]).await;
        // The last end is reported when the connection is released.
        sleep(Duration::from_secs(1)).await;
        let second = stats(&server).expect("it speaks HTTP");
        let [slow] = &second.ended[..] else { panic!("{second:?}") };
        let route = slow.route.as_ref().map(Route::as_str);
        assert_eq!((slow.method, slow.status, route), ("GET", Some(200), Some("/slow")));
        // The first took a little more than 250 ms, and the second has waited for it.
        assert_eq!((slow.durations.counts[7], slow.durations.counts[8]), (1, 1), "{slow:?}");
        assert_eq!((slow.body_sent.sum, second.active.get("GET")), (8.0, Some(&0)));

        sleep(Duration::from_secs(601)).await;
        pipeline(&listener, &[CASES[0]]).await;
        sleep(Duration::from_secs(1)).await;
        pipeline(&listener, &[CASES[0]]).await;
        sleep(Duration::from_secs(1)).await;
        let third = stats(&server).expect("it speaks HTTP");
        let plain: u64 =
            third.ended.iter().filter(|one| one.body_sent.sum == 5.0).map(|one| one.durations.count()).sum();
        assert_eq!(plain, 1, "the first request after ten minutes is the last that is noted: {third:?}");
        server.stop(Duration::ZERO).await;
    });
}

#[test]
fn h20_without_timings_nothing_is_noted() {
    Simulation::sweep(0..10, || async {
        let seen = Seen::attach();
        let listener = Listener::new();
        let server = Server::listen(listener.clone()).timings(Timings::Off).handler(answer);
        let server = server.start_link().await.expect("it listens");
        let _ = stats(&server);
        pipeline(&listener, &[CASES[0], CASES[1]]).await;
        server.stop(Duration::ZERO).await;
        assert_eq!(seen.check(), 0);
        let stats = stats(&server).expect("it speaks HTTP");
        assert_eq!((stats.responses[2], stats.ended.len()), (2, 0));
    });
}

#[test]
fn h20_a_key_names_its_connection_and_its_number() {
    Simulation::sweep(0..10, || async {
        let seen = Seen::attach();
        let listener = Listener::new();
        let server = start(&listener).await;
        pipeline(&listener, &[CASES[0], CASES[0]]).await;
        seen.wait_for_ends(2).await;
        server.stop(Duration::ZERO).await;
        let keys: Vec<RequestKey> = seen.ended().iter().map(|ended| ended.key).collect();
        assert_eq!(keys[0].connector, keys[1].connector);
        let pid = keys[0].connector.expect("it is one of a server");
        assert_eq!(keys[1].to_string(), format!("{pid}:2"));
    });
}

#[test]
fn h20_a_handler_may_look_at_the_server_and_may_panic() {
    Simulation::sweep(0..50, || async {
        let listener = Listener::new();
        let server = start(&listener).await;
        let looked = Arc::new(Mutex::new(0_u64));
        let (shown, count) = (server.clone(), looked.clone());
        let look = move || {
            assert!(shown.connections().len() <= 1);
            assert!(stats(&shown).is_some(), "it speaks HTTP");
            *count.lock().unwrap() += 1;
        };
        let look = Arc::new(look);
        let again = look.clone();
        attach(move |_: &RequestStarted| again());
        let again = look.clone();
        attach(move |_: &RequestAnswered| again());
        let again = look.clone();
        attach(move |_: &RequestEnded| again());
        attach(move |_: &ConnectionEnded| look());
        attach(|_: &RequestEnded| panic!("as asked"));
        let heard = pipeline(&listener, &[CASES[0], CASES[2]]).await;
        assert!(heard > 0, "the client is served");
        server.stop(Duration::from_secs(1)).await;
        assert_eq!(*looked.lock().unwrap(), 7, "two requests with three events each, and a connection");
    });
}

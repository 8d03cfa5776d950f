//! The events of servers and connections: whole, in order, and true. B30.

mod common;

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use riot_actor::{
    Pid, Reason, exit,
    process::{ProcessSummary, summaries},
    simulation::Simulation,
    sleep,
    telemetry::attach,
};
use riot_socket::{
    Connection, ConnectionOverflow, ConnectionTimeouts, Server, ServerHandle,
    memory::Listener,
    telemetry::{
        AcceptFailed, ConnectionEnded, ConnectionEnding, ConnectionHandshake, ConnectionStarted, LimitHit,
        ListenerStarted, ListenerStopReason, ListenerStopped, TimeoutHit,
    },
};

/// The events of a server, in their order.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<Event>>>);

#[derive(Clone, Debug)]
enum Event {
    Listens(String),
    ListensNoMore(ListenerStopReason),
    AcceptFailed(&'static str),
    Started(Pid),
    Shaken(Option<String>),
    Ended(ConnectionEnded),
    Limit(&'static str),
    Timeout(&'static str),
}

impl Seen {
    /// Attaches handlers that keep all events.
    fn attach() -> Self {
        let seen = Self::default();
        let keep = || {
            let seen = seen.clone();
            move |event| seen.lock().push(event)
        };
        let keep_it = keep();
        attach(move |e: &ListenerStarted| keep_it(Event::Listens(e.server.to_string())));
        let keep_it = keep();
        attach(move |e: &ListenerStopped| keep_it(Event::ListensNoMore(e.reason)));
        let keep_it = keep();
        attach(move |e: &AcceptFailed| keep_it(Event::AcceptFailed(e.kind)));
        let keep_it = keep();
        attach(move |e: &ConnectionStarted| keep_it(Event::Started(e.pid)));
        let keep_it = keep();
        attach(move |e: &ConnectionHandshake| {
            keep_it(Event::Shaken(e.error.as_ref().map(ToString::to_string)));
        });
        let keep_it = keep();
        attach(move |e: &ConnectionEnded| keep_it(Event::Ended(e.clone())));
        let keep_it = keep();
        attach(move |e: &LimitHit| keep_it(Event::Limit(e.limit)));
        let keep_it = keep();
        attach(move |e: &TimeoutHit| keep_it(Event::Timeout(e.timer)));
        seen
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Event>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn all(&self) -> Vec<Event> {
        self.lock().clone()
    }

    fn ended(&self) -> Vec<ConnectionEnded> {
        let ended = |event| if let Event::Ended(ended) = event { Some(ended) } else { None };
        self.all().into_iter().filter_map(ended).collect()
    }

    fn started(&self) -> usize {
        self.all().iter().filter(|event| matches!(event, Event::Started(_))).count()
    }

    /// Waits until so many connections have ended.
    async fn wait_for_ends(&self, ends: usize) {
        self.wait_until(|seen| seen.ended().len() >= ends).await;
    }

    /// Waits for a minute of the simulation at most.
    async fn wait_until(&self, is_so: impl Fn(&Self) -> bool) {
        for _ in 0..60_000 {
            if is_so(self) {
                return;
            }
            sleep(Duration::from_millis(1)).await;
        }
        panic!("it does not happen: {:?}", self.all());
    }
}

/// Answers each byte with three; `e` ends with an error, `p` with a panic, `q` in order.
async fn thrice(mut connection: Connection) -> io::Result<()> {
    loop {
        let mut byte = [0; 1];
        connection.read_exact(&mut byte).await?;
        connection.write_all(&[byte[0]; 3]).await?;
        match byte[0] {
            b'e' => return Err(io::Error::other("as asked")),
            b'p' => panic!("as asked"),
            b'q' => return Ok(()),
            _ => {}
        }
    }
}

/// Says these bytes, and returns how many bytes came back until the end.
async fn converse(listener: &Listener, words: &[u8]) -> io::Result<usize> {
    let mut client = listener.connect()?;
    client.write_all(words).await?;
    let mut heard = 0;
    let mut buffer = [0; 64];
    while let Ok(bytes @ 1..) = client.read(&mut buffer).await {
        heard += bytes;
        if heard == 3 * words.len()
            && !words.ends_with(b"q")
            && !words.ends_with(b"e")
            && !words.ends_with(b"p")
        {
            break;
        }
    }
    Ok(heard)
}

async fn kill_the_only_connection(server: &ServerHandle) {
    let only = loop {
        match server.connections().first() {
            Some(connection) if connection.bytes_sent > 0 => break connection.pid,
            _ => sleep(Duration::from_millis(1)).await,
        }
    };
    exit(only, Reason::Kill);
}

/// The words of a client, how its connection ends, and whether it stays.
const CLIENTS: [(&[u8], ConnectionEnding); 4] = [
    (b"abcq", ConnectionEnding::Done),
    (b"abe", ConnectionEnding::Crashed),
    (b"p", ConnectionEnding::Crashed),
    (b"ab", ConnectionEnding::Disconnected),
];

#[test]
fn b30_each_connection_has_one_start_and_one_end_with_the_bytes_of_its_client() {
    Simulation::sweep(0..300, || async {
        let seen = Seen::attach();
        let listener = Listener::new();
        let server = Server::listen(listener.clone()).name("three").start_link(thrice).await.unwrap();
        let tasks: Vec<_> = (0..12)
            .map(|number| {
                let (listener, (words, _)) = (listener.clone(), CLIENTS[number % CLIENTS.len()]);
                riot_actor::task::Task::spawn(async move { converse(&listener, words).await.unwrap_or(0) })
            })
            .collect();
        let mut heard = Vec::new();
        for mut task in tasks {
            heard.push(task.wait(None).await.unwrap());
        }
        seen.wait_for_ends(heard.len()).await;
        server.stop(Duration::from_secs(1)).await;

        let mut ends: Vec<_> =
            seen.ended().into_iter().map(|end| (end.ending.name(), end.bytes_sent)).collect();
        let expected = |(number, heard): (usize, &usize)| {
            let (words, ending) = CLIENTS[number % CLIENTS.len()];
            assert_eq!(*heard, 3 * words.len());
            (ending.name(), *heard as u64)
        };
        let mut expected: Vec<_> = heard.iter().enumerate().map(expected).collect();
        ends.sort_unstable();
        expected.sort_unstable();
        assert_eq!(ends, expected);

        let mut alive = BTreeMap::new();
        for event in seen.all() {
            match event {
                Event::Started(pid) => assert!(alive.insert(pid.to_string(), ()).is_none()),
                Event::Ended(end) => {
                    assert_eq!(&*end.server, "three");
                    assert!(alive.remove(&end.pid.to_string()).is_some(), "it had started");
                }
                _ => {}
            }
        }
        assert!(alive.is_empty(), "all have ended");
        let all = seen.all();
        assert!(matches!(all.first(), Some(Event::Listens(name)) if name == "three"));
        assert!(matches!(all.last(), Some(Event::ListensNoMore(ListenerStopReason::Draining))));
    });
}

#[test]
fn b30_what_ends_a_connection_is_told() {
    Simulation::sweep(0..50, || async {
        let seen = Seen::attach();
        let listener = Listener::new();
        let timeouts = ConnectionTimeouts::new().idle_timeout(Duration::from_secs(5));
        let server =
            Server::listen(listener.clone()).connection_timeouts(timeouts).start_link(thrice).await.unwrap();

        let mut killed = listener.connect().unwrap();
        killed.write_all(b"a").await.unwrap();
        kill_the_only_connection(&server).await;
        seen.wait_for_ends(1).await;

        let mut idle = listener.connect().unwrap();
        idle.write_all(b"a").await.unwrap();
        seen.wait_for_ends(2).await;

        let drained = listener.connect().unwrap();
        server.wait_for_connections(|connections| connections == 1).await;
        server.stop(Duration::from_secs(10)).await;
        drop((killed, idle, drained));

        let endings: Vec<_> = seen.ended().iter().map(|end| end.ending).collect();
        let drained = ConnectionEnding::Drained;
        assert_eq!(endings[..2], [ConnectionEnding::Killed, ConnectionEnding::TimedOut("idle")]);
        // A connection that ends with the error of an input that ended has lost its peer.
        assert!(endings[2] == drained || endings[2] == ConnectionEnding::Disconnected, "{endings:?}");
        let timeouts: Vec<_> = seen.all();
        assert!(timeouts.iter().any(|event| matches!(event, Event::Timeout("idle"))), "{timeouts:?}");
    });
}

#[test]
fn b30_connections_that_die_with_their_supervisor_have_ended() {
    Simulation::sweep(0..50, || async {
        let seen = Seen::attach();
        let listener = Listener::new();
        let server = Server::listen(listener.clone()).start_link(thrice).await.unwrap();
        let clients: Vec<_> = (0..5).map(|_| listener.connect().unwrap()).collect();
        seen.wait_until(|seen| seen.started() == 5).await;
        let is_supervisor = |process: &ProcessSummary| process.label.as_deref() == Some("Connections.Sup");
        summaries()
            .iter()
            .filter(|process| is_supervisor(process))
            .for_each(|one| exit(one.pid, Reason::Kill));
        seen.wait_for_ends(5).await;
        assert!(seen.ended().iter().all(|end| end.ending == ConnectionEnding::Killed));
        drop(clients);
        server.stop(Duration::ZERO).await;
    });
}

#[test]
fn b30_handshakes_limits_and_failed_accepts_are_events() {
    Simulation::sweep(0..50, || async {
        let seen = Seen::attach();
        let listener = Listener::new();
        let shake = |mut connection: Connection| async move {
            let mut password = [0; 1];
            connection.read_exact(&mut password).await?;
            match password[0] {
                b'!' => Ok(connection),
                _ => Err(io::Error::other("no password")),
            }
        };
        let server = Server::listen(listener.clone())
            .handshake(shake)
            .handshake_timeout(Duration::from_secs(1))
            .max_connections(1)
            .overflow(ConnectionOverflow::Close)
            .start_link(thrice)
            .await
            .unwrap();
        assert_eq!(converse(&listener, b"?").await.unwrap(), 0);
        seen.wait_for_ends(1).await;
        let silent = listener.connect().unwrap();
        seen.wait_for_ends(2).await;
        drop(silent);
        let mut good = listener.connect().unwrap();
        good.write_all(b"!a").await.unwrap();
        good.read_exact(&mut [0; 3]).await.unwrap();
        let mut refused = listener.connect().unwrap();
        assert_eq!(refused.read(&mut [0; 1]).await.unwrap(), 0);
        listener.fail_accept(io::ErrorKind::ConnectionAborted.into());
        good.write_all(b"q").await.unwrap();
        seen.wait_for_ends(3).await;
        server.stop(Duration::ZERO).await;

        let events: Vec<_> = seen
            .all()
            .iter()
            .filter_map(|event| match event {
                Event::Shaken(error) => Some(error.clone().unwrap_or_else(|| "shaken".into())),
                Event::Limit(name) => Some((*name).to_owned()),
                Event::Timeout(name) => Some(format!("timeout {name}")),
                Event::Ended(end) => Some(format!("ended: {}", end.ending.name())),
                _ => None,
            })
            .collect();
        let expected = [
            "no password",
            "ended: shutdown",
            "timed out",
            "timeout handshake",
            "ended: timeout",
            "shaken",
            "max_connections",
            "ended: done",
        ];
        assert_eq!(events, expected);
        assert!(seen.all().iter().any(|event| matches!(event, Event::AcceptFailed("connection"))));
        assert_eq!(server.info().limits, BTreeMap::from([("max_connections", 1)]));
    });
}

//! Every setting that is a duration takes any duration: none is too long for the clock.

mod common;

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use common::{echo, run, says_it_back};
use riot_actor::{Reason, simulation::Simulation, sleep, spawn};
use riot_socket::{
    Alarm, Connection, ConnectionTimeouts, KeepAlive, Options, Server, ServerState, TcpStream,
    memory::{Faults, Listener},
};

/// Durations at and beyond the ends of all clocks and system calls.
fn long() -> Vec<Duration> {
    let seconds = [u64::MAX, u64::MAX / 2, i64::MAX as u64, u32::MAX.into(), i32::MAX as u64 + 1, 32_768];
    let mut long: Vec<_> = seconds.map(Duration::from_secs).into();
    long.extend([Duration::MAX, Duration::MAX / 2, Duration::from_nanos(u64::MAX)]);
    long
}

/// The functions that the tests below call with long durations.
const TESTED: [&str; 18] = [
    "attempt_timeout",
    "cooldown",
    "delay",
    "drain_first_timeout",
    "handshake_timeout",
    "idle",
    "idle_timeout",
    "interval",
    "lame_duck_timeout",
    "linger",
    "read_stall_timeout",
    "set_handshake_timeout",
    "set_lame_duck_timeout",
    "set_shutdown_timeout",
    "shutdown_timeout",
    "stop",
    "user_timeout",
    "write_stall_timeout",
];

#[test]
fn every_function_that_takes_a_duration_is_tested() {
    fn collect(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                collect(&path, found);
                continue;
            }
            let text = fs::read_to_string(&path).expect("text");
            for (start, _) in text.match_indices("pub fn ").chain(text.match_indices("pub async fn ")) {
                let signature = text[start..].split(['{', ';']).next().expect("a signature");
                let arguments = signature.split("->").next().expect("arguments");
                if arguments.contains("Duration") {
                    let name = signature.split('(').next().expect("a name").rsplit(' ').next();
                    found.insert(name.expect("a name").to_owned());
                }
            }
        }
    }
    let mut found = BTreeSet::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), TESTED);
}

fn server(listener: &Listener, long: Duration, raised: &Arc<AtomicUsize>) -> Server {
    let raised = raised.clone();
    let alarm = Alarm::new("long", 1, move |_| {
        raised.fetch_add(1, Relaxed);
        async {}
    });
    let timeouts = ConnectionTimeouts::new();
    let timeouts = timeouts.idle_timeout(long).read_stall_timeout(long).write_stall_timeout(long);
    Server::listen(listener.clone())
        .alarm(alarm.cooldown(long))
        .shutdown_timeout(long)
        .lame_duck_timeout(long)
        .drain_first_timeout(long)
        .handshake_timeout(long)
        .handshake(|mut connection: Connection| async move {
            connection.read_exact(&mut [0]).await.map(|()| connection)
        })
        .connection_timeouts(timeouts)
}

#[test]
fn no_duration_of_a_server_is_too_long() {
    for long in long() {
        Simulation::sweep(0..2, move || async move {
            let (listener, raised) = (Listener::new(), Arc::default());
            let server = server(&listener, long, &raised).start_link(echo).await?;
            server.set_handshake_timeout(long);
            server.set_shutdown_timeout(long);
            server.set_lame_duck_timeout(Duration::ZERO);
            let mut clients = Vec::new();
            for _ in 0..3 {
                let mut client = listener.connect()?;
                client.set_timeouts(ConnectionTimeouts::none().idle_timeout(long));
                client.write_all(b"!").await?;
                says_it_back(&mut client, b"hello").await;
                clients.push(client);
            }
            sleep(Duration::from_secs(30_000)).await;
            for client in &mut clients {
                says_it_back(client, b"still here").await;
            }
            assert_eq!(raised.load(Relaxed), 1, "the alarm is silent for its cooldown");
            assert!(server.stop(long).await.cut.is_empty());
            Ok::<(), Reason>(())
        });
    }
}

#[test]
fn a_lame_duck_can_go_on_for_ever() {
    for long in long() {
        Simulation::sweep(0..2, move || async move {
            let listener = Listener::new();
            let server = server(&listener, long, &Arc::default()).start_link(echo).await?;
            let stopping = server.clone();
            spawn(async move { drop(stopping.stop(long).await) });
            sleep(Duration::from_secs(30_000)).await;
            assert_eq!(server.info().state, ServerState::LameDuck);
            Ok::<(), Reason>(())
        });
    }
}

#[test]
fn no_duration_of_a_network_in_memory_is_too_long() {
    for long in long() {
        Simulation::sweep(0..2, move || async move {
            let listener = Listener::new();
            listener.faults(Faults::new(1).delay(500, long));
            let server = Server::listen(listener.clone()).start_link(echo).await?;
            let mut client = listener.connect()?;
            client.write_all(b"hello").await?;
            sleep(Duration::from_secs(100)).await;
            server.stop(Duration::ZERO).await;
            Ok::<(), Reason>(())
        });
    }
}

#[test]
fn no_duration_of_a_socket_is_too_long_or_too_short() {
    run(async {
        let keepalive = |time| KeepAlive::new().idle(time).interval(time);
        let short = Options::new().keepalive(keepalive(Duration::from_nanos(1)));
        let mut all = vec![short.user_timeout(Duration::from_nanos(1))];
        for long in long() {
            all.push(
                Options::new()
                    .keepalive(keepalive(long))
                    .linger(long)
                    .user_timeout(long)
                    .attempt_timeout(long),
            );
        }
        for options in all {
            let server = Server::bind("127.0.0.1:0")?.options(options.clone()).start_link(echo).await?;
            let host = server.local_addr().to_string();
            let mut client: Connection = TcpStream::connect_host(&host, &options).await?.try_into()?;
            says_it_back(&mut client, b"hello").await;
            client.close().await?;
            assert_eq!(client.read(&mut [0]).await?, 0);
            server.stop(Duration::from_secs(5)).await;
        }
        Ok::<(), Reason>(())
    });
}

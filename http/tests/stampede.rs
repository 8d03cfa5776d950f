//! The stampede: a random process of the tree is killed again and again while clients are served. Afterwards
//! the next client is served, the counts are exact, and nothing is left behind. (Ranch: stampede_SUITE.)
//!
//! On real sockets and threads, and in simulation under many seeds; `cargo xtask soak` runs it for longer.
#![cfg(all(feature = "driver", target_os = "linux"))]

#[path = "common/ask.rs"]
mod ask;
#[path = "../../socket/tests/common/descriptors.rs"]
mod descriptors;

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use ask::ask;
use descriptors::Descriptors;
use riot_actor::{
    Pid, Reason, exit, monitor, now,
    process::{processes, tree},
    runtime::{Config, random},
    simulation::Simulation,
    sleep, spawn, timeout,
};
use riot_http::{Response, Server, ServerHandle};
use riot_socket::{Address, Connection, ServerInfo, TcpStream, memory::Listener};
use riot_supervisor::Supervisor;

const LABELS: [&str; 8] = [
    "Server.Sup",
    "Connections.Sup.Sup",
    "Connections.Sup",
    "Connector",
    "Reader",
    "Writer",
    "Acceptor.Sup",
    "Acceptor.Worker",
];

/// Descriptors are counted for the whole program, so one test at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn soaking() -> bool {
    std::env::var_os("RIOT_SOAK").is_some()
}

/// A victim by chance, which in simulation is the seed's.
fn choose() -> Option<Pid> {
    let below = |limit: usize| (random() % limit as u64) as usize;
    let found = tree().labelled(LABELS[below(LABELS.len())]);
    (!found.is_empty()).then(|| found[below(found.len())])
}

/// Kills a process every `pace` until `kills` have died, while clients come by `connect`; then looks at what
/// is left.
async fn stampede<C, F>(
    server: Server,
    kills: u32,
    pace: Duration,
    connect: C,
) -> Result<(u64, ServerInfo, Duration), Reason>
where
    C: Fn(&ServerHandle) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = io::Result<Connection>> + Send + 'static,
{
    let (spec, server) = server
        .acceptors(3)
        .socket(|socket| socket.connection_supervisors(2))
        .service(|_| async { Response::text("Hello, World!") })
        .child("http");
    // Whatever dies, and however often: the one above starts it again.
    let above = Supervisor::one_for_one().intensity(usize::MAX, Duration::from_secs(1)).child(spec);
    let above = above.start_link().await?;
    let (at_rest, began) = (processes().len(), now());

    let (over, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let clients: Vec<Pid> = (0..6)
        .map(|_| {
            let (server, connect, over, served) =
                (server.clone(), connect.clone(), over.clone(), served.clone());
            spawn(async move {
                while !over.load(Relaxed) {
                    let requests = async {
                        let mut client = connect(&server).await?;
                        for _ in 0..2 {
                            ask(&mut client).await?;
                            served.fetch_add(1, Relaxed);
                        }
                        io::Result::Ok(())
                    };
                    // Its connection may be killed; it comes again.
                    let _ = timeout(Duration::from_secs(5), requests).await;
                    sleep(Duration::from_millis(1)).await;
                }
            })
        })
        .collect();

    let mut killed = 0;
    while killed < kills {
        if let Some(victim) = choose() {
            exit(victim, Reason::Kill);
            killed += 1;
        }
        sleep(pace).await;
    }
    over.store(true, Relaxed);
    for client in clients {
        monitor(client).down().await;
    }

    let limit = now() + Duration::from_secs(20);
    loop {
        let next = async { ask(&mut connect(&server).await?).await };
        match timeout(Duration::from_secs(2), next).await {
            Ok(Ok(())) => break,
            failed if now() >= limit => panic!("nobody is served any more: {failed:?}\n{}", tree()),
            _ => sleep(Duration::from_millis(1)).await,
        }
    }
    let exact = || {
        let info = server.info();
        let ended = info.ended.total();
        (info.active, info.all, server.connections().len()) == (0, 0, 0)
            && ended == info.accepted
            && processes().len() == at_rest
    };
    while !exact() {
        assert!(
            now() < limit,
            "{:?}\n{} processes, {at_rest} before\n{}",
            server.info(),
            processes().len(),
            tree()
        );
        sleep(Duration::from_millis(1)).await;
    }
    assert!(served.load(Relaxed) > 0, "somebody was served meanwhile");
    above.stop(Reason::Normal).await.expect("it stops");
    Ok((served.load(Relaxed), server.info(), now() - began))
}

#[test]
fn stampede_tcp() {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let before = Descriptors::open();
    let start = Instant::now();
    let (kills, pace) = (if soaking() { 6_000 } else { 100 }, Duration::from_millis(10));
    let reason = Config::new().workers(2).on_crash(|_| {}).run(async move {
        let server = Server::bind("127.0.0.1:0")?;
        stampede(server, kills, pace, |server: &ServerHandle| {
            let address = server.address().and_then(|address| address.as_ip());
            async move {
                let address = address.ok_or(io::ErrorKind::ConnectionRefused)?;
                let stream = TcpStream::connect(address).await?;
                Ok(Connection::new(Arc::new(stream), Address::Ip(address)))
            }
        })
        .await
        .map(drop)
    });
    assert_eq!(reason.expect("it runs"), Reason::Normal);
    before.none_left();
    println!("{kills} processes killed in {:?}", start.elapsed());
}

/// Describes the outcome of a seed.
fn simulated(seed: u64) -> String {
    let came = Arc::new(Mutex::new(String::new()));
    let told = came.clone();
    let config = Config::new().on_crash(|_| {});
    let reason = Simulation::new(seed).config(config).run(async move {
        let listener = Listener::new();
        let connecting = listener.clone();
        let connect = move |_: &ServerHandle| {
            let client = connecting.connect();
            async move { client }
        };
        let end = stampede(Server::listen(listener), 40, Duration::from_millis(3), connect).await?;
        *told.lock().unwrap() = format!("{end:?}");
        Ok::<(), Reason>(())
    });
    assert_eq!(reason, Reason::Normal, "seed {seed}");
    came.lock().unwrap().clone()
}

#[test]
fn stampede_simulated() {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let seeds = if soaking() { 5_000 } else { 100 };
    for seed in 0..seeds {
        simulated(seed);
    }
}

#[test]
fn a_stampede_replays_exactly() {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    for seed in 0..10 {
        assert_eq!(simulated(seed), simulated(seed), "seed {seed}");
    }
}

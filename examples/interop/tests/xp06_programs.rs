//! The programs with one library each, with a real peer that goes and comes back.
#![cfg(target_os = "linux")]

mod common;

use std::{
    collections::BTreeSet,
    fs,
    net::SocketAddr,
    time::{Duration, Instant},
};

use common::{Answer, Example, Postgres, Redis, Upstream, ask, send_signal, threads, until};
use tonic_health::{ServingStatus, server::HealthReporter};

fn start(name: &str, arguments: &[&str]) -> Example {
    Example::start(name, &[&["--addr", "127.0.0.1:0"], arguments].concat())
}

fn answer(status: u16, text: &str) -> Answer {
    Answer(status, text.to_owned())
}

fn has_tokio(program: &Example) -> bool {
    threads(program).iter().any(|name| name.contains("tokio"))
}

/// Asks for greetings until this many sessions of the database have made one.
fn sessions(program: &Example, count: usize) -> BTreeSet<String> {
    let mut sessions = BTreeSet::new();
    until("all sessions answer", || {
        let Answer(status, text) = ask(&program.address, "GET /world", "");
        if status == 200 {
            let session = text.trim().strip_prefix("hello, world from session ");
            sessions.insert(session.unwrap_or_else(|| panic!("no greeting: {text}")).to_owned());
        }
        sessions.len() == count
    });
    sessions
}

#[test]
fn xp06_postgres_on_our_socket_survives_a_killed_database() {
    let Some(mut database) = Postgres::start() else { return };
    let program = start("postgres_on_our_socket", &["--database", &database.settings()]);
    let first = sessions(&program, 4);
    assert!(!has_tokio(&program), "{:?}", threads(&program));
    let mut before = first;
    for signal in ["-QUIT", "-INT"] {
        database.stop(signal);
        let (began, mut asked) = (Instant::now(), 0);
        while began.elapsed() < Duration::from_secs(1) {
            let asking = Instant::now();
            let Answer(status, text) = ask(&program.address, "GET /world", "");
            assert!(status == 503 && text.starts_with("the database is away: "), "{status} {text}");
            assert!(asking.elapsed() < Duration::from_secs(8), "{:?}", asking.elapsed());
            asked += 1;
        }
        assert!(asked > 0);
        database.resume();
        let after = sessions(&program, 4);
        assert!(after.is_disjoint(&before), "{before:?} {after:?}");
        before = after;
    }
    program.signal("-TERM");
    let (code, _, log) = program.end();
    println!("{} lines:\n{log}", log.lines().count());
    assert_eq!(code, Some(0), "{log}");
}

#[test]
fn xp06_postgres_on_our_socket_replaces_one_connection() {
    let Some(database) = Postgres::start() else { return };
    let program = start("postgres_on_our_socket", &["--database", &database.settings()]);
    let before = sessions(&program, 4);
    let ended = before.first().expect("there are four").clone();
    assert!(send_signal(&ended, "-TERM"));
    until("another session is there", || sessions(&program, 1).is_disjoint(&before));
    let after = sessions(&program, 4);
    assert_eq!(after.intersection(&before).count(), 3, "{before:?} {after:?}");
    // One that hangs is given up after two seconds.
    let hung = after.first().expect("there are four").clone();
    assert!(send_signal(&hung, "-STOP"));
    until("a request meets the session that hangs", || ask(&program.address, "GET /world", "").0 == 503);
    let replaced = sessions(&program, 4);
    assert!(!replaced.contains(&hung), "{hung} {replaced:?}");
    assert!(send_signal(&hung, "-CONT"));
    assert_eq!(program.stop(), Some(0));
}

#[test]
fn xp06_redis_client_connects_again() {
    let Some(mut redis) = Redis::start() else { return };
    let program = start("redis_client", &["--redis", &redis.url()]);
    let count = |name: &str| ask(&program.address, &format!("GET /{name}"), "");
    assert_eq!(
        [count("a"), count("a"), count("b")],
        [answer(200, "1\n"), answer(200, "2\n"), answer(200, "1\n")]
    );
    redis.stop();
    for _ in 0..5 {
        let Answer(status, text) = count("a");
        assert!(status == 503 && text.starts_with("Redis is away: "), "{status} {text}");
    }
    redis.resume();
    until("Redis is back", || count("c").0 == 200);
    assert_eq!(count("a"), answer(200, "1\n"), "a server that has kept nothing");
    assert_eq!(program.stop(), Some(0));
}

#[test]
fn xp06_sqlite_counts_inside_tokio_and_by_smol() {
    let file = std::env::temp_dir().join(format!("riot-sqlite-{}", std::process::id()));
    let _ = fs::remove_file(&file);
    let database = format!("sqlite://{}?mode=rwc", file.display());
    for (runtime, counts) in [("tokio", 1..=3), ("smol", 4..=6)] {
        let program = start("sqlite", &["--database", &database, "--runtime", runtime]);
        for number in counts {
            assert_eq!(
                ask(&program.address, "GET /apples", ""),
                answer(200, &format!("{number}\n")),
                "{runtime}"
            );
        }
        assert_eq!(has_tokio(&program), runtime == "tokio", "{:?}", threads(&program));
        assert_eq!(program.stop(), Some(0));
        let program = start("sqlite", &["--runtime", runtime]);
        let address = &program.address;
        std::thread::scope(|scope| {
            let ask = || (0..50).for_each(|_| assert_eq!(ask(address, "GET /apples", "").0, 200));
            (0..8).for_each(|_| drop(scope.spawn(ask)));
        });
        assert_eq!(ask(address, "GET /apples", ""), answer(200, "401\n"), "{runtime} in memory");
        assert_eq!(program.stop(), Some(0));
    }
    fs::remove_file(&file).expect("the database is there");
}

/// Tests a program that forwards requests to an upstream.
fn forwards(name: &str, scheme: &str, large: (u16, usize)) {
    let upstream = Upstream::start();
    let address = upstream.address.clone();
    let program = start(name, &["--upstream", &format!("{scheme}{address}")]);
    let get = |path: &str| ask(&program.address, &format!("GET {path}"), "");
    assert_eq!(get("/"), answer(200, "hello"));
    assert_eq!(get("/nothing"), answer(404, "none"));
    let Answer(status, text) = get("/large");
    assert_eq!((status, text.len()), large);
    assert_eq!(get("/reset").0, 502);
    let asking = Instant::now();
    assert_eq!(get("/silent").0, 504);
    assert!(asking.elapsed() >= Duration::from_millis(1900), "{:?}", asking.elapsed());
    drop(upstream);
    assert_eq!(get("/").0, 502);
    let _upstream = Upstream::start_on(&address);
    assert_eq!(get("/"), answer(200, "hello"));
    program.signal("-TERM");
    let (code, _, log) = program.end();
    assert!(code == Some(0) && !log.contains("ERROR"), "{code:?} {log}");
}

#[test]
fn xp06_reqwest_in_handler_forwards() {
    forwards("reqwest_in_handler", "http://", (502, "the answer is too large\n".len()));
}

#[test]
fn xp06_ureq_blocking_forwards() {
    forwards("ureq_blocking", "http://", (502, "the answer is too large\n".len()));
}

#[test]
fn xp06_hyper_on_our_socket_forwards() {
    // Chunks: the length of a body that comes through as it arrives is not known before.
    let upstream = Upstream::start();
    let program = start("hyper_on_our_socket", &["--upstream", &upstream.address]);
    assert!(!has_tokio(&program), "{:?}", threads(&program));
    let Answer(status, text) = ask(&program.address, "GET /", "");
    assert_eq!((status, text.as_str()), (200, "5\r\nhello\r\n0\r\n\r\n"));
    let Answer(status, text) = ask(&program.address, "GET /large", "");
    assert!(status == 200 && text.ends_with("\r\n0\r\n\r\n"), "{status}");
    assert_eq!(text.matches('x').count(), 3 << 20);
    let Answer(status, text) = ask(&program.address, "GET /short", "");
    assert!(status == 200 && !text.ends_with("0\r\n\r\n"), "an answer that broke off stays one: {text}");
    assert_eq!(ask(&program.address, "GET /reset", "").0, 502);
    assert_eq!(ask(&program.address, "GET /silent", "").0, 504);
    drop(upstream);
    assert_eq!(ask(&program.address, "GET /", "").0, 502);
    assert_eq!(program.stop(), Some(0));
}

/// A gRPC server that says how it is; it ends when this is dropped.
struct Health {
    address: SocketAddr,
    reporter: HealthReporter,
    runtime: tokio::runtime::Runtime,
}

impl Health {
    fn start_on(address: SocketAddr) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let (reporter, service) = tonic_health::server::health_reporter();
        let _entered = runtime.enter();
        let incoming = tonic::transport::server::TcpIncoming::bind(address).expect("the address is free");
        let address = incoming.local_addr().expect("the listener is bound");
        runtime.spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming));
        drop(_entered);
        Self { address, reporter, runtime }
    }

    fn set(&self, service: &str, status: ServingStatus) {
        self.runtime.block_on(self.reporter.set_service_status(service, status));
    }
}

#[test]
fn xp06_tonic_client_calls_a_service() {
    let health = Health::start_on("127.0.0.1:0".parse().expect("an address"));
    let address = health.address;
    let program = start("tonic_client", &["--service", &format!("http://{address}")]);
    let check = |name: &str| ask(&program.address, &format!("GET /{name}"), "");
    assert_eq!(check(""), answer(200, "Serving\n"));
    assert_eq!(check("shop").0, 404);
    health.set("shop", ServingStatus::NotServing);
    assert_eq!(check("shop"), answer(200, "NotServing\n"));
    health.set("shop", ServingStatus::Serving);
    assert_eq!(check("shop"), answer(200, "Serving\n"));
    health.runtime.shutdown_timeout(Duration::from_secs(10));
    until("the service is away", || check("").0 == 502);
    let _health = Health::start_on(address);
    until("the service is back", || check("") == answer(200, "Serving\n"));
    assert_eq!(program.stop(), Some(0));
}

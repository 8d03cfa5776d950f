//! Faults of machines, networks and clients, on real sockets: many connections, many connects, no descriptors
//! left, clients that reset, half-close, stall and send byte by byte.
//!
//! `cargo test` runs a short form of each; `cargo xtask soak` a long one.
#![cfg(target_os = "linux")]

mod common;
#[path = "common/descriptors.rs"]
mod descriptors;

use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use descriptors::Descriptors;
use riot_actor::{Reason, process::processes, runtime::Config, sleep};
use riot_socket::{ConnectionOverflow, Server, ServerHandle};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::SockRef;

/// The lock of every test here, since descriptors are counted for the whole program.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Returns whether `cargo xtask soak` runs the tests.
fn soaking() -> bool {
    std::env::var_os("RIOT_SOAK").is_some()
}

/// Raises the program's limit of descriptors to the hard limit, and returns it.
fn all_descriptors() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })
        .expect("the limit can be raised to the hard limit");
    limit.maximum.unwrap_or(u64::MAX)
}

fn connect(address: SocketAddr) -> TcpStream {
    let client = TcpStream::connect(address).expect("the listener is bound");
    client.set_read_timeout(Some(Duration::from_secs(20))).expect("the option can be set");
    client
}

fn says_it_back(client: &mut TcpStream) {
    client.write_all(b"hello").expect("the client is connected");
    let mut back = [0; 5];
    client.read_exact(&mut back).expect("the server answers");
    assert_eq!(&back, b"hello");
}

/// Runs clients, which are plain threads, against an echo server. Nothing may be left of them afterwards.
fn against_echo(
    change: impl FnOnce(Server) -> Server + Send + 'static,
    clients: impl FnOnce(SocketAddr, &ServerHandle) + Send + 'static,
) {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let before = Descriptors::open();
    let reason = Config::new().workers(2).run(async move {
        let server = change(Server::bind("127.0.0.1:0")?).start_link(common::echo).await?;
        let (address, at_rest) = (server.local_addr(), processes().len());
        let seen = server.clone();
        let clients = std::thread::spawn(move || clients(address, &seen));
        while !clients.is_finished() {
            sleep(Duration::from_millis(5)).await;
        }
        let clients = clients.join();
        server.wait_for_connections(|connections| connections == 0).await;
        let info = server.info();
        assert_eq!(info.active, 0);
        let ended = info.ended.total();
        let limit = Instant::now() + Duration::from_secs(20);
        while processes().len() > at_rest || ended_of(&server) < info.accepted {
            assert!(
                Instant::now() < limit,
                "{ended} of {} ended\n{}",
                info.accepted,
                riot_actor::process::tree()
            );
            sleep(Duration::from_millis(1)).await;
        }
        server.stop(Duration::from_secs(5)).await;
        assert!(clients.is_ok(), "a client was not served");
        Ok::<(), Reason>(())
    });
    assert_eq!(reason.expect("the process runs"), Reason::Normal);
    before.none_left();
}

fn ended_of(server: &ServerHandle) -> u64 {
    server.info().ended.total()
}

#[test]
fn idle_connections() {
    let wanted = if soaking() { 10_000 } else { 1_000 };
    let connections = wanted.min((all_descriptors() - 200) / 2) as usize;
    against_echo(
        |server| server,
        move |address, server| {
            let mut clients: Vec<_> = (0..connections).map(|_| connect(address)).collect();
            clients.iter_mut().for_each(says_it_back);
            assert_eq!(server.info().active, connections);
            assert_eq!(server.connections().len(), connections);
            clients.iter_mut().for_each(says_it_back);
        },
    );
}

#[test]
fn connects() {
    let (a_second, seconds) = (2_000, if soaking() { 60 } else { 1 });
    all_descriptors();
    against_echo(
        |server| server,
        move |address, server| {
            let (start, total) = (Instant::now(), a_second * seconds);
            for number in 0..total {
                let due = start + Duration::from_secs(1) / a_second * number;
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                let mut client = connect(address);
                says_it_back(&mut client);
                // The client resets the connection, so that its port does not stay in TIME_WAIT.
                SockRef::from(&client).set_linger(Some(Duration::ZERO)).expect("the option can be set");
            }
            let took = start.elapsed();
            println!("{total} connects, {:.0} a second", f64::from(total) / took.as_secs_f64());
            assert_eq!(server.info().accepted, u64::from(total));
        },
    );
}

#[test]
fn clients_that_reset() {
    against_echo(
        |server| server,
        |address, _| {
            for number in 0..200 {
                let mut client = connect(address);
                SockRef::from(&client).set_linger(Some(Duration::ZERO)).expect("the option can be set");
                if number % 2 == 0 {
                    says_it_back(&mut client);
                }
                client.write_all(b"the answer to this is never read").expect("the client is connected");
            }
            says_it_back(&mut connect(address));
        },
    );
}

#[test]
fn clients_that_half_close() {
    against_echo(
        |server| server,
        |address, _| {
            for _ in 0..100 {
                let mut client = connect(address);
                client.write_all(b"and that is all").expect("the client is connected");
                client.shutdown(Shutdown::Write).expect("the client is connected");
                let mut answer = String::new();
                client.read_to_string(&mut answer).expect("the server answers");
                assert_eq!(answer, "and that is all");
            }
        },
    );
}

#[test]
fn clients_that_stall_and_dribble() {
    against_echo(
        |server| server.max_connections(300),
        |address, server| {
            // Clients that send until the system takes no more, and read nothing.
            let stalled: Vec<_> = (0..20)
                .map(|_| {
                    let mut client = connect(address);
                    client.set_nonblocking(true).expect("the option can be set");
                    let mut stalls = 0;
                    while stalls < 3 {
                        match client.write(&[b'x'; 64 * 1024]) {
                            Ok(_) => stalls = 0,
                            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                                stalls += 1;
                                std::thread::yield_now();
                            }
                            Err(error) => panic!("{error}"),
                        }
                    }
                    client
                })
                .collect();
            let mut dribbling: Vec<_> = (0..100).map(|_| connect(address)).collect();
            for byte in *b"drip" {
                for client in &mut dribbling {
                    client.write_all(&[byte]).expect("the client is connected");
                    let mut back = [0];
                    client.read_exact(&mut back).expect("the server answers");
                    assert_eq!(back, [byte]);
                }
            }
            assert_eq!(server.info().active, 120);
            drop(stalled);
        },
    );
}

/// A server with few descriptors, in a process of its own: this test program, run once more.
struct LimitedServer {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
    address: SocketAddr,
}

const POOR: &str = "RIOT_POOR_SERVER";
const POOR_LIMIT: u64 = 64;

impl LimitedServer {
    fn start(overflow: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("the process runs"))
            .args(["--exact", "a_poor_server", "--nocapture"])
            .env(POOR, overflow)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let output = BufReader::new(child.stdout.take().expect("the pipe was requested"));
        let mut poor = Self { child, output, address: ([127, 0, 0, 1], 0).into() };
        poor.address = poor.text_after("listening ").parse().expect("an address");
        poor
    }

    /// Returns the text behind `word` in the next line that contains it.
    fn text_after(&mut self, word: &str) -> String {
        loop {
            let mut line = String::new();
            assert!(
                self.output.read_line(&mut line).expect("the pipe was requested") > 0,
                "the server has ended"
            );
            // The test runner prints the name of the test in the same line.
            if let Some((_, rest)) = line.split_once(word) {
                return rest.trim().to_owned();
            }
        }
    }

    /// Returns the processor time it has used, in clock ticks.
    fn ticks(&self) -> u64 {
        let stat =
            std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("the process runs");
        let fields: Vec<_> = stat.rsplit_once(") ").expect("a name").1.split(' ').collect();
        fields[11..13].iter().map(|field| field.parse::<u64>().expect("a number")).sum()
    }

    /// Returns its counts: connections, accepts that failed for want of descriptors, clients sent away.
    fn counts(&mut self) -> [u64; 3] {
        writeln!(self.child.stdin.as_mut().expect("the pipe was requested"), "count")
            .expect("the process runs");
        let counts = self.text_after("counts ");
        let counts: Vec<_> = counts.split(' ').map(|count| count.parse().expect("a number")).collect();
        counts.try_into().expect("three")
    }
}

impl Drop for LimitedServer {
    fn drop(&mut self) {
        drop(self.child.stdin.take()); // The child ends when its input does.
        let _ = self.child.wait();
    }
}

/// Runs the server of the two tests below; on its own it tests nothing.
#[test]
fn a_poor_server() {
    let Ok(overflow) = std::env::var(POOR) else { return };
    let limit = getrlimit(Resource::Nofile);
    // The hard limit too, to which a server raises the soft one.
    assert!(limit.maximum.is_none_or(|maximum| maximum >= POOR_LIMIT));
    setrlimit(Resource::Nofile, Rlimit { current: Some(POOR_LIMIT), maximum: Some(POOR_LIMIT) })
        .expect("the limit can be lowered");
    let overflow = if overflow == "close" { ConnectionOverflow::Close } else { ConnectionOverflow::Wait };
    let reason = Config::new().workers(2).run(async move {
        let server = Server::bind("127.0.0.1:0")?.overflow(overflow).start_link(common::echo).await?;
        println!("listening {}", server.local_addr());
        let asked = server.clone();
        let asking = std::thread::spawn(move || {
            for _ in std::io::stdin().lines() {
                let info = asked.info();
                println!("counts {} {} {}", info.active, info.accept_errors.exhausted, info.refused);
            }
        });
        while !asking.is_finished() {
            sleep(Duration::from_millis(10)).await;
        }
        server.stop(Duration::ZERO).await;
        Ok::<(), Reason>(())
    });
    assert_eq!(reason.expect("the process runs"), Reason::Normal);
}

#[test]
fn out_of_descriptors_clients_wait_and_are_served_when_there_are_some() {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let mut server = LimitedServer::start("wait");
    // Each has said something, so none is idle and gives way.
    let busy = |_| {
        let mut client = connect(server.address);
        client.write_all(b"x").expect("the client is connected");
        client
    };
    let mut clients: Vec<_> = (0..2 * POOR_LIMIT).map(busy).collect();
    let mut rounds = 0;
    while server.counts()[1] < 5 {
        rounds += 1;
        assert!(rounds < 10_000, "it never runs out");
        std::thread::sleep(Duration::from_millis(1));
    }
    let [served, ..] = server.counts();
    assert!((POOR_LIMIT / 2..POOR_LIMIT).contains(&served), "{served} of {POOR_LIMIT}");
    let answered = |client: &mut TcpStream| {
        client.read_exact(&mut [0]).expect("the server answers");
        says_it_back(client);
    };
    answered(&mut clients[0]);
    // The acceptors try again now and then, and do not spin.
    let (ticks, start) = (server.ticks(), Instant::now());
    std::thread::sleep(Duration::from_millis(500));
    let busy = Duration::from_millis(10 * (server.ticks() - ticks));
    assert!(busy < start.elapsed() / 4, "busy for {busy:?} of {:?}", start.elapsed());
    // The waiting clients are served without further action, in the order in which they came.
    says_it_back(&mut clients.remove(0));
    while !clients.is_empty() {
        answered(&mut clients.remove(0));
    }
    says_it_back(&mut connect(server.address));
    let [_, exhausted, refused] = server.counts();
    assert!(exhausted >= 5 && refused == 0, "{exhausted} {refused}");
}

#[test]
fn out_of_descriptors_clients_that_are_not_to_wait_are_sent_away_through_the_one_in_reserve() {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let mut server = LimitedServer::start("close");
    let mut clients: Vec<_> = (0..2 * POOR_LIMIT).map(|_| connect(server.address)).collect();
    let mut served = 0;
    clients.retain_mut(|client| {
        // A client may be sent away before it has sent anything.
        let answered =
            client.write_all(b"x").and_then(|()| client.read(&mut [0])).is_ok_and(|read| read == 1);
        served += u64::from(answered);
        answered
    });
    let [active, exhausted, refused] = server.counts();
    assert_eq!((active, refused), (served, 2 * POOR_LIMIT - served), "all the others, none left waiting");
    assert!(exhausted >= 1 && served >= POOR_LIMIT / 2, "{exhausted} {served}");
    clients.clear();
    loop {
        let mut client = connect(server.address);
        if client.write_all(b"x").and_then(|()| client.read(&mut [0])).is_ok_and(|read| read == 1) {
            break;
        }
    }
}

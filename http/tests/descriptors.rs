//! A server with few descriptors and many silent clients: an honest client is served soon all the same.
#![cfg(all(feature = "driver", target_os = "linux"))]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use riot_actor::{Reason, runtime::Config, sleep};
use riot_http::{Response, Server};
use riot_socket::ServerHandle;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Names the limit of the server in the child process.
const LIMIT: &str = "RIOT_DESCRIPTOR_LIMIT";

/// Two servers in a process of their own with a limit of descriptors: this test program, run once more.
struct LimitedServers {
    child: Child,
    output: BufReader<ChildStdout>,
    addresses: [SocketAddr; 2],
}

impl LimitedServers {
    /// Starts the servers with a soft and a hard limit.
    fn start(soft: u64, hard: u64) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("the program runs"))
            .args(["--exact", "limited_servers", "--nocapture"])
            .env(LIMIT, format!("{soft} {hard}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the servers start");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        let none = ([127, 0, 0, 1], 0).into();
        let mut servers = Self { child, output, addresses: [none; 2] };
        let line = servers.line("listening ");
        let addresses: Vec<_> = line.split(' ').map(|text| text.parse().expect("an address")).collect();
        servers.addresses = addresses.try_into().expect("two");
        servers
    }

    /// Returns the text behind `word` in the next line that contains it.
    fn line(&mut self, word: &str) -> String {
        loop {
            let mut line = String::new();
            assert!(self.output.read_line(&mut line).expect("it is piped") > 0, "the servers have ended");
            if let Some((_, rest)) = line.split_once(word) {
                return rest.trim().to_owned();
            }
        }
    }

    /// Ends the servers, and returns what they have logged.
    fn logged(mut self) -> String {
        drop(self.child.stdin.take()); // The child ends when its input does.
        let mut logged = String::new();
        self.child.stderr.take().expect("it is piped").read_to_string(&mut logged).expect("text");
        assert!(self.child.wait().expect("it ends").success());
        logged
    }
}

impl Drop for LimitedServers {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

async fn started() -> Result<ServerHandle, Reason> {
    let server = Server::bind("127.0.0.1:0").map_err(Reason::from)?;
    let server = server.service(|_| async { Response::text("hello") }).start_link().await;
    Ok(server?)
}

/// Runs the servers of the tests below; on its own it tests nothing.
#[test]
fn limited_servers() {
    let Ok(limits) = std::env::var(LIMIT) else { return };
    let (soft, hard) = limits.split_once(' ').expect("two limits");
    let number = |text: &str| Some(text.parse::<u64>().expect("a number"));
    let limit = Rlimit { current: number(soft), maximum: number(hard) };
    setrlimit(Resource::Nofile, limit).expect("the limit can be lowered");
    let reason = Config::new().workers(2).run(async move {
        let servers = [started().await?, started().await?];
        println!("listening {} {}", servers[0].local_addr(), servers[1].local_addr());
        println!("limit {}", getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX));
        let waiting = std::thread::spawn(|| std::io::stdin().lines().for_each(drop));
        while !waiting.is_finished() {
            sleep(Duration::from_millis(10)).await;
        }
        for server in servers {
            server.stop(Duration::ZERO).await;
        }
        Ok::<(), Reason>(())
    });
    assert_eq!(reason.expect("the runtime starts"), Reason::Normal);
}

/// Raises the limit of this program, which has the clients, and returns whether there is room for them.
fn has_room_for(clients: u64) -> bool {
    let limit = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).is_ok();
    raised && limit.maximum.is_none_or(|maximum| maximum > clients + 100)
}

fn silent(address: SocketAddr, clients: usize) -> Vec<TcpStream> {
    (0..clients).map(|_| TcpStream::connect(address).expect("the backlog has room")).collect()
}

/// Sends a request, and returns how long the answer took.
fn asked(address: SocketAddr) -> Duration {
    let start = Instant::now();
    let mut client = TcpStream::connect(address).expect("the backlog has room");
    client.set_read_timeout(Some(Duration::from_secs(70))).expect("the option can be set");
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").expect("it is connected");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("it is answered");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    start.elapsed()
}

/// Without idle connections that give way this takes the whole idle timeout, of a minute.
const SOON: Duration = Duration::from_secs(5);

#[test]
fn b20_an_honest_client_is_served_soon_beside_silent_ones_that_take_all_descriptors() {
    if !has_room_for(2_500) {
        return eprintln!("skipped: this machine has too few descriptors for the clients");
    }
    let servers = LimitedServers::start(1024, 1024);
    let _silent = silent(servers.addresses[0], 1_100);
    for address in [servers.addresses[0], servers.addresses[1], servers.addresses[0]] {
        let took = asked(address);
        assert!(took < SOON, "{took:?} at {address}");
    }
    let _more = silent(servers.addresses[1], 1_100);
    for address in [servers.addresses[0], servers.addresses[1]] {
        let took = asked(address);
        assert!(took < SOON, "{took:?} at {address}");
    }
}

#[test]
fn b21_the_soft_limit_is_raised_to_the_hard_one() {
    let hard = getrlimit(Resource::Nofile).maximum.unwrap_or(4096).min(4096);
    let mut servers = LimitedServers::start(256, hard);
    assert_eq!(servers.line("limit "), hard.to_string());
}

#[test]
fn b21_a_limit_without_room_for_the_connections_is_warned_of_once() {
    let logged = LimitedServers::start(256, 256).logged();
    let warnings = logged.matches("the limit of 256 open files has no room for").count();
    assert_eq!(warnings, 1, "{logged}");
}

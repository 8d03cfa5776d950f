//! Rolling restarts: a new program takes over while forty clients go on, and no request is lost. Rules DR3,
//! DR4 and DR5.
//!
//! `RIOT_SOAK=1` restarts eight times instead of twice.
#![cfg(target_os = "linux")]

mod common;

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    os::fd::AsRawFd,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use common::Example;
use socket2::{Domain, SockAddr, Socket, Type};

const CLIENTS: usize = 40;
/// The pause of a client between two requests.
const PAUSE: Duration = Duration::from_millis(2);

fn restarts() -> usize {
    if std::env::var_os("RIOT_SOAK").is_some() { 8 } else { 2 }
}

/// The way in which a client uses connections.
#[derive(Clone, Copy, Debug)]
enum Use {
    /// A connection per request.
    Once,
    /// Connections are kept. Before it sends, the client looks whether the server has closed.
    Kept,
}

/// Clients that ask all the time.
struct Crowd {
    done: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    threads: Vec<thread::JoinHandle<Vec<String>>>,
}

impl Crowd {
    fn start(address: SocketAddr, way: Use) -> Self {
        let (done, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let client = |_| {
            let (done, answered) = (done.clone(), answered.clone());
            thread::spawn(move || ask(address, way, &done, &answered))
        };
        let threads = (0..CLIENTS).map(client).collect();
        Self { done, answered, threads }
    }

    /// Waits until the clients have got some more answers.
    fn wait(&self) {
        let enough = self.answered.load(Relaxed) + 20 * CLIENTS as u64;
        while self.answered.load(Relaxed) < enough {
            thread::sleep(PAUSE);
        }
    }

    /// Stops the clients, and returns how many requests were answered, and the errors of those that were not.
    fn stop(self) -> (u64, Vec<String>) {
        self.done.store(true, Relaxed);
        let lost = self.threads.into_iter().flat_map(|thread| thread.join().expect("no client panics"));
        let lost = lost.collect();
        (self.answered.load(Relaxed), lost)
    }
}

/// Asks until `done`; returns the errors of lost requests.
fn ask(address: SocketAddr, way: Use, done: &AtomicBool, answered: &AtomicU64) -> Vec<String> {
    let (mut kept, mut lost) = (None, Vec::new());
    while !done.load(Relaxed) {
        match ask_once(address, way, &mut kept) {
            Ok(()) => drop(answered.fetch_add(1, Relaxed)),
            Err(error) => {
                kept = None;
                lost.push(error.to_string());
            }
        }
        thread::sleep(PAUSE);
    }
    lost
}

/// Returns whether the server has closed the connection.
fn has_ended(stream: &TcpStream) -> io::Result<bool> {
    stream.set_nonblocking(true)?;
    let peeked = stream.peek(&mut [0]);
    stream.set_nonblocking(false)?;
    match peeked {
        Ok(0) => Ok(true),
        Ok(_) => Err(io::Error::other("a response without a request")),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}

fn ask_once(address: SocketAddr, way: Use, kept: &mut Option<TcpStream>) -> io::Result<()> {
    let mut stream = match kept.take() {
        Some(stream) if !has_ended(&stream)? => stream,
        _ => {
            let stream = TcpStream::connect(address)?;
            stream.set_read_timeout(Some(Duration::from_secs(20)))?;
            stream
        }
    };
    let close = if let Use::Once = way { "Connection: close\r\n" } else { "" };
    stream.write_all(format!("GET / HTTP/1.1\r\nHost: a\r\n{close}\r\n").as_bytes())?;
    let (mut heard, mut buffer) = (Vec::new(), [0; 4096]);
    let (head, body) = loop {
        let text = String::from_utf8_lossy(&heard).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
            if length.and_then(|length| length.parse().ok()) == Some(body.len()) {
                break (head.to_owned(), body.to_owned());
            }
        }
        match stream.read(&mut buffer)? {
            0 => return Err(io::Error::other(format!("it ended after {} bytes", heard.len()))),
            read => heard.extend_from_slice(&buffer[..read]),
        }
    };
    if !head.starts_with("HTTP/1.1 200 ") || body.is_empty() {
        return Err(io::Error::other(head));
    }
    if !head.contains("connection: close") {
        *kept = Some(stream);
    }
    Ok(())
}

fn assert_none_is_lost(rig: &str, way: Use, (answered, lost): (u64, Vec<String>)) {
    println!("{rig}, {way:?}: {} of {answered} requests lost", lost.len());
    assert!(lost.is_empty(), "{rig}, {way:?}: {} of {answered} requests lost: {:?}", lost.len(), &lost[0]);
}

#[test]
fn dr04_two_programs_that_share_a_port() {
    for way in [Use::Once, Use::Kept] {
        let mut old = Example::start("http_server", &["--port", "0", "--share-port"]);
        let address: SocketAddr = old.address.parse().expect("an address");
        let crowd = Crowd::start(address, way);
        for _ in 0..restarts() {
            crowd.wait();
            let new = Example::start("http_server", &["--addr", &address.to_string(), "--share-port"]);
            let (code, printed, logged) = {
                old.signal("-TERM");
                std::mem::replace(&mut old, new).end()
            };
            assert_eq!(code, Some(0), "{printed}{logged}");
            assert!(logged.contains("cut: 0"), "{logged}");
        }
        crowd.wait();
        assert_none_is_lost("a shared port", way, crowd.stop());
    }
}

/// Creates a listening socket that survives exec(2).
fn listening() -> (Socket, SocketAddr) {
    let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SockAddr::from(any)).expect("it binds");
    socket.listen(1024).expect("it listens");
    socket.set_cloexec(false).expect("it is ours");
    let address = socket.local_addr().expect("it is bound").as_socket().expect("TCP");
    (socket, address)
}

/// Starts a program with the socket at 3, as systemd would, and waits until it serves.
fn activate(socket: &Socket) -> Child {
    let (socket, program) = (socket.as_raw_fd(), common::path("activated"));
    let script = format!(
        "exec 103<&{socket} 3<&103 103<&-; LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=web exec {}",
        program.display()
    );
    let mut bash = Command::new("bash");
    bash.arg("-c").arg(script).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut child = bash.spawn().expect("bash is there");
    let mut said = [0; 10];
    let output = child.stdout.as_mut().expect("it is piped");
    output.read_exact(&mut said).expect("it says that it serves");
    assert_eq!(&said, b"web serves");
    child
}

fn stop(mut child: Child) {
    assert!(common::send_signal(child.id(), "-TERM"));
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn dr04_an_inherited_socket_with_old_and_new_at_once() {
    for way in [Use::Once, Use::Kept] {
        let (socket, address) = listening();
        let mut old = activate(&socket);
        let crowd = Crowd::start(address, way);
        for _ in 0..restarts() {
            crowd.wait();
            let new = activate(&socket);
            stop(std::mem::replace(&mut old, new));
        }
        crowd.wait();
        assert_none_is_lost("an inherited socket, overlapping", way, crowd.stop());
        stop(old);
    }
}

#[test]
fn dr04_an_inherited_socket_with_old_before_new() {
    for way in [Use::Once, Use::Kept] {
        let (socket, address) = listening();
        let mut program = activate(&socket);
        let crowd = Crowd::start(address, way);
        for _ in 0..restarts() {
            crowd.wait();
            stop(program);
            program = activate(&socket);
        }
        crowd.wait();
        assert_none_is_lost("an inherited socket, stop before start", way, crowd.stop());
        stop(program);
    }
}

//! A server started the way systemd does it: the socket exists before the program. Rule B15.
#![cfg(target_os = "linux")]

mod common;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    process::{Child, Command, Stdio},
    time::Duration,
};

use socket2::{Domain, SockAddr, Socket, Type};

/// Creates a listening socket that survives exec(2).
fn listening(domain: Domain, address: &SockAddr) -> Socket {
    let socket = Socket::new(domain, Type::STREAM, None).expect("a socket");
    socket.bind(address).expect("it binds");
    socket.listen(16).expect("it listens");
    socket.set_cloexec(false).expect("it is ours");
    socket
}

/// Starts the program with the sockets at 3 and 4, as systemd would. Its `LISTEN_PID` is the program's own.
fn activate(sockets: [&Socket; 2], pid: &str) -> Child {
    let [first, second] = sockets.map(AsRawFd::as_raw_fd);
    let program = common::path("activated");
    assert!(program.exists(), "`cargo test` builds the examples beside the tests");
    // Move them out of the way first: either may be at 3 or 4 already.
    let script = format!(
        "exec 103<&{first} 104<&{second} 3<&103 4<&104 103<&- 104<&-; \
         LISTEN_PID={pid} LISTEN_FDS=2 LISTEN_FDNAMES=web:admin exec {}",
        program.display()
    );
    let mut bash = Command::new("bash");
    bash.arg("-c").arg(script).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("bash is there")
}

fn get(stream: impl Into<OwnedFd>) -> String {
    let mut stream = Socket::from(stream.into());
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("it can be set");
    stream.write_all(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n").expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    answer
}

fn stop(mut child: Child) {
    assert!(common::send_signal(child.id(), "-TERM"));
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn b15_it_serves_on_inherited_sockets_and_refuses_no_client_between_two_lives() {
    let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    let tcp = listening(Domain::IPV4, &any.into());
    let address = tcp.local_addr().expect("it is bound").as_socket().expect("TCP");
    let path = std::env::temp_dir().join(format!("riot-activation-{}", std::process::id()));
    let unix = listening(Domain::UNIX, &SockAddr::unix(&path).expect("a short path"));

    let first = activate([&tcp, &unix], "$$");
    // Clients wait in the backlog until the program runs.
    assert!(get(TcpStream::connect(address).expect("systemd listens")).ends_with("called web\n"));
    assert!(get(UnixStream::connect(&path).expect("systemd listens")).ends_with("called admin\n"));
    stop(first);
    assert!(path.exists(), "the file is not the program's");
    let early = TcpStream::connect(address).expect("nobody is refused while nobody serves");
    let second = activate([&tcp, &unix], "$$");
    assert!(get(early).ends_with("called web\n"));
    stop(second);
    std::fs::remove_file(path).expect("it is there");
}

/// Returns the standard error of a program that fails at once.
fn failing(sockets: [&Socket; 2], pid: &str) -> String {
    let mut child = activate(sockets, pid);
    let mut logged = String::new();
    let stderr = BufReader::new(child.stderr.take().expect("it is piped"));
    stderr.lines().map_while(Result::ok).for_each(|line| logged += &line);
    assert_eq!(child.wait().expect("it ends").code(), Some(1));
    logged
}

#[test]
fn b15_a_descriptor_that_cannot_be_accepted_from_is_named_with_the_reason() {
    let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    let good = listening(Domain::IPV4, &any.into());
    let kept = |socket: Socket| {
        socket.set_cloexec(false).expect("it is ours");
        socket
    };
    let bound = kept(Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket"));
    bound.bind(&any.into()).expect("it binds");
    let datagrams = kept(Socket::new(Domain::IPV4, Type::DGRAM, None).expect("a socket"));
    let packets = kept(Socket::new(Domain::UNIX, Type::SEQPACKET, None).expect("a socket"));
    let file =
        kept(std::os::fd::OwnedFd::from(std::fs::File::open("/dev/null").expect("it is there")).into());
    for (wrong, reason) in [
        (bound, "the socket does not listen"),
        (datagrams, "fd 4 is not a valid unix stream socket"),
        (packets, "fd 4 is not a valid unix stream socket"),
        (file, "fd 4 is not a socket"),
    ] {
        let logged = failing([&good, &wrong], "$$");
        assert!(logged.contains(&format!("descriptor 4 (admin) is refused: {reason}")), "{logged}");
    }
}

#[test]
fn b15_sockets_meant_for_another_process_are_left_alone() {
    let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    let sockets = [listening(Domain::IPV4, &any.into()), listening(Domain::IPV4, &any.into())];
    let logged = failing([&sockets[0], &sockets[1]], "1");
    assert!(logged.contains("nobody has opened a socket"), "{logged}");
}

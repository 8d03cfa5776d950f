//! The example as a user meets it: a program that is started, asked, and stopped.
#![cfg(target_os = "linux")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

/// `cargo test` builds the examples beside the tests.
fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test is a program");
    test.parent()
        .and_then(|deps| deps.parent())
        .expect("it stands in target/PROFILE/deps")
        .join("examples")
        .join(name)
}

struct Running {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
    address: String,
    greeting: String,
}

fn start(arguments: &[&str]) -> Running {
    let mut child = Command::new(example("http_server"))
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the example was built");
    let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut greeting = String::new();
    let address = loop {
        let mut line = String::new();
        assert_ne!(output.read_line(&mut line).expect("it says something"), 0, "it ended early: {greeting}");
        greeting += &line;
        if let Some((_, address)) = line.trim().split_once("listening on http://0.0.0.0:") {
            break format!("127.0.0.1:{address}");
        }
    };
    Running { child, output, address, greeting }
}

impl Running {
    fn get(&self, path: &str) -> String {
        let mut client = TcpStream::connect(&self.address).expect("it accepts");
        client.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout can be set");
        write!(client, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .expect("it reads");
        let mut answer = String::new();
        client.read_to_string(&mut answer).expect("it answers");
        answer
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(sent.expect("kill is there").success());
    }

    /// The exit code, what else it printed, and what it logged.
    fn end(mut self) -> (Option<i32>, String, String) {
        let (mut printed, mut logged) = (String::new(), String::new());
        self.output.read_to_string(&mut printed).expect("text");
        self.child.stderr.take().expect("it is piped").read_to_string(&mut logged).expect("text");
        (self.child.wait().expect("it ends").code(), printed, logged)
    }
}

#[test]
fn it_greets_shows_its_tree_survives_a_crash_and_stops() {
    let server = start(&["--port", "0", "--acceptors", "2", "--workers", "2"]);
    assert!(server.greeting.contains("Server.Sup"), "its tree is printed: {}", server.greeting);
    assert!(server.get("/").ends_with("\r\n\r\nHello, World!"));
    let tree = server.get("/tree");
    for part in [
        "main",
        "Server.Sup",
        "Connections.Sup",
        "Connector",
        "Reader",
        "Writer",
        "Acceptor.Sup",
        "mailbox 0",
    ] {
        assert!(tree.contains(part), "{part} in {tree}");
    }
    assert!(server.get("/crash").starts_with("HTTP/1.1 500 "));
    assert!(server.get("/").starts_with("HTTP/1.1 200 "));
    server.signal("-TERM");
    let (code, printed, logged) = server.end();
    assert_eq!(code, Some(0), "{printed}{logged}");
    assert!(printed.contains("SIGTERM"), "{printed}");
    assert_eq!(logged.matches("somebody asked for /crash").count(), 1, "a crash is logged once: {logged}");
}

#[test]
fn a_port_in_use_is_a_readable_error_and_exit_code_1() {
    let first = start(&["--port", "0"]);
    let port = first.address.rsplit_once(':').expect("an address has a port").1;
    let second = Command::new(example("http_server")).args(["--port", port]).output().expect("it runs");
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8(second.stderr).expect("text");
    assert!(said.contains(&format!("cannot listen on 0.0.0.0:{port}: the address is in use")), "{said}");
    first.signal("-INT");
    assert_eq!(first.end().0, Some(0));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let server = start(&["--port", "0"]);
    // A client in the middle of a request keeps it from stopping in order.
    let mut client = TcpStream::connect(&server.address).expect("it accepts");
    client.write_all(b"GET / HTTP/1.1\r\nHost: ").expect("it reads");
    assert!(server.get("/").starts_with("HTTP/1.1 200 "));
    server.signal("-TERM");
    let mut line = String::new();
    let mut server = server;
    server.output.read_line(&mut line).expect("it says so");
    assert!(line.contains("SIGTERM"), "{line}");
    server.signal("-TERM");
    let (code, ..) = server.end();
    assert!(code == Some(143) || code == Some(0), "{code:?}");
}

#[test]
fn options_it_does_not_know_are_refused() {
    let refused = Command::new(example("http_server")).args(["--colour", "blue"]).output().expect("it runs");
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("usage"));
}

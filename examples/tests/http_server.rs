//! The example as a user meets it: a program that is started, asked, and stopped.
#![cfg(target_os = "linux")]

mod common;

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::{Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use common::{Example, path, send_signal};

#[test]
fn it_greets_shows_its_tree_survives_a_crash_and_stops() {
    let server = Example::start("http_server", &["--port", "0", "--acceptors", "2", "--workers", "2"]);
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
    let home = server.get("/observer/api/1/home");
    assert!(home.contains("\"name\":\"http_server\""), "the observer is below its path: {home}");
    assert!(server.get("/crash").starts_with("HTTP/1.1 500 "));
    assert!(server.get("/").starts_with("HTTP/1.1 200 "));
    server.signal("-TERM");
    let (code, printed, logged) = server.end();
    assert_eq!(code, Some(0), "{printed}{logged}");
    assert!(logged.contains("SIGTERM"), "{logged}");
    assert_eq!(logged.matches("somebody asked for /crash").count(), 1, "a crash is logged once: {logged}");
}

#[test]
fn a_port_in_use_is_a_readable_error_and_exit_code_1() {
    let first = Example::start("http_server", &["--port", "0"]);
    let port = first.address.rsplit_once(':').expect("an address has a port").1;
    let second = Command::new(path("http_server")).args(["--port", port]).output().expect("it runs");
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8(second.stderr).expect("text");
    assert!(said.contains(&format!("cannot listen on 127.0.0.1:{port}: the address is in use")), "{said}");
    first.signal("-INT");
    assert_eq!(first.end().0, Some(0));
}

#[test]
fn b12_a_second_signal_ends_it_at_once() {
    let mut server = Example::start("http_server", &["--port", "0"]);
    // A client in the middle of a request keeps the server from stopping in order.
    let mut client = TcpStream::connect(&server.address).expect("it accepts");
    client.write_all(b"GET / HTTP/1.1\r\nHost: ").expect("it reads");
    assert!(server.get("/").starts_with("HTTP/1.1 200 "));
    server.signal("-TERM");
    let log = BufReader::new(server.child.stderr.take().expect("it is piped"));
    assert!(log.lines().map_while(Result::ok).any(|line| line.contains("SIGTERM")), "it says so");
    server.signal("-TERM");
    let code = server.end_unread();
    assert!(code == Some(143) || code == Some(0), "{code:?}");
}

#[test]
fn a_standard_output_that_is_not_read_does_not_hold_up_the_stop() {
    let (read, write) = UnixStream::pair().expect("the system has sockets");
    let mut command = Command::new(path("http_server"));
    command.args(["--port", "0"]).stdout(OwnedFd::from(write.try_clone().expect("it is open")));
    let mut child = command.stderr(Stdio::null()).spawn().expect("it runs");
    let mut said = BufReader::new(read).lines();
    assert!(said.by_ref().map_while(Result::ok).any(|line| line.contains("listening on")));
    write.set_write_timeout(Some(Duration::from_millis(50))).expect("it is open");
    while (&write).write(&[b'#'; 4096]).is_ok() {}
    write.set_write_timeout(None).expect("it is open");
    assert!(send_signal(child.id(), "-TERM"));
    let (tell, told) = mpsc::channel();
    let id = child.id();
    std::thread::spawn(move || tell.send(child.wait().expect("it ran").code()));
    let code = told.recv_timeout(Duration::from_secs(60));
    assert_eq!(code.unwrap_or_else(|_| panic!("the program {id} does not end")), Some(0));
    drop(said);
}

#[test]
fn options_it_does_not_know_are_refused() {
    let refused = Command::new(path("http_server")).args(["--colour", "blue"]).output().expect("it runs");
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("usage"));
}

#[test]
fn only_this_machine_reaches_it_unless_it_is_told_otherwise() {
    let server = Example::start("http_server", &["--port", "0"]);
    assert!(server.greeting.contains("on http://127.0.0.1:"), "{}", server.greeting);
    assert_eq!(server.stop(), Some(0));
    let server = Example::start("http_server", &["--addr", "0.0.0.0:0"]);
    assert!(server.greeting.contains("on http://0.0.0.0:"), "{}", server.greeting);
    assert!(server.get("/").starts_with("HTTP/1.1 200 "));
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_log_that_is_never_read_stops_no_client_and_not_the_end() {
    let server = Example::start("http_server", &["--port", "0", "--workers", "2"]);
    for _ in 0..1000 {
        assert!(server.get("/crash").starts_with("HTTP/1.1 500 "));
    }
    assert!(server.get("/").starts_with("HTTP/1.1 200 "));
    server.signal("-TERM");
    assert_eq!(server.end_unread(), Some(0));
}

#[test]
fn a_log_that_fails_stops_no_client() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
    let server = Example::start_logging_to(full.into(), "http_server", &["--port", "0"]);
    for _ in 0..10 {
        assert!(server.get("/crash").starts_with("HTTP/1.1 500 "));
        assert!(server.get("/").starts_with("HTTP/1.1 200 "));
    }
    server.signal("-TERM");
    assert_eq!(server.end_unread(), Some(0));
}

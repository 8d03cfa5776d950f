//! Requests to the axum application over a socket.
#![cfg(target_os = "linux")]

mod common;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::Duration,
};

use common::Example;

/// One connection, kept for several requests.
struct Client(BufReader<TcpStream>);

impl Client {
    fn new(server: &Example) -> Self {
        let stream = TcpStream::connect(&server.address).expect("it accepts");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout can be set");
        Self(BufReader::new(stream))
    }

    /// Sends a request; returns status, head and body of the response.
    fn ask(&mut self, method: &str, path: &str, fields: &str, body: &str) -> (u16, String, String) {
        let length = body.len();
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n{fields}\r\n{body}");
        self.0.get_mut().write_all(request.as_bytes()).expect("it reads");
        let (mut head, mut length) = (String::new(), 0);
        while !head.ends_with("\r\n\r\n") {
            let mut line = String::new();
            assert_ne!(self.0.read_line(&mut line).expect("it answers"), 0, "closed behind {head:?}");
            if let Some(value) = line.to_lowercase().strip_prefix("content-length: ") {
                length = value.trim().parse().expect("a number");
            }
            head += &line;
        }
        let mut body = vec![0; if method == "HEAD" { 0 } else { length }];
        self.0.read_exact(&mut body).expect("it answers");
        let status = head[9..12].parse().expect("a status");
        (status, head, String::from_utf8(body).expect("text"))
    }

    fn get(&mut self, path: &str) -> (u16, String) {
        let (status, _, body) = self.ask("GET", path, "", "");
        (status, body)
    }
}

const JSON: &str = "Content-Type: application/json\r\n";

#[test]
fn routes_extractors_middleware_and_state() {
    let server = Example::start("axum_router", &["--addr", "127.0.0.1:0"]);
    let mut client = Client::new(&server);
    assert_eq!(client.get("/"), (200, "Hello, World!".into()));
    assert_eq!(client.get("/hello/J%C3%BCrgen"), (200, "Hello, Jürgen!".into()));
    assert_eq!(client.get("/nowhere").0, 404);
    assert_eq!(client.get("/me"), (200, "127.0.0.1".into()));
    assert_eq!(client.get("/slow"), (200, "at last".into()));

    for (name, age) in [("Ada", 36), ("Joe", 68), ("Robert", 70)] {
        let user = format!(r#"{{"name":"{name}","age":{age}}}"#);
        let (status, head, body) = client.ask("POST", "/users", JSON, &user);
        assert_eq!((status, body), (201, user));
        assert!(head.contains("content-type: application/json\r\n"), "{head}");
    }
    assert_eq!(
        client.get("/users?from=1&size=1"),
        (200, r#"[{"name":"Joe","age":68}]"#.into()),
        "state is shared, and another connection sees it"
    );
    assert_eq!(Client::new(&server).get("/users?from=2").1, r#"[{"name":"Robert","age":70}]"#);
    assert_eq!(client.ask("POST", "/users", JSON, "{}").0, 422);
    assert_eq!(client.ask("POST", "/users", JSON, "{").0, 400);
    assert_eq!(client.ask("POST", "/users", "", "{}").0, 415);
    assert_eq!(client.get("/users?size=x").0, 400);
    assert_eq!(client.ask("DELETE", "/users", "", "").0, 405);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn head_and_its_length_and_the_numbers_of_the_middleware() {
    let server = Example::start("axum_router", &["--addr", "127.0.0.1:0"]);
    let mut client = Client::new(&server);
    let (status, head, _) = client.ask("HEAD", "/", "", "");
    assert_eq!(status, 200);
    assert!(head.contains("content-length: 13\r\n") && head.contains("x-number: 0\r\n"), "{head}");
    assert!(client.ask("GET", "/", "", "").1.contains("x-number: 1\r\n"));
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_body_above_axums_limit_is_413_and_the_connection_in_step() {
    let server = Example::start("axum_router", &["--addr", "127.0.0.1:0"]);
    let mut client = Client::new(&server);
    let large = format!(r#"{{"name":"{}","age":1}}"#, "x".repeat(2_100_000));
    let mut asking = client.0.get_ref().try_clone().expect("it can be shared");
    // Another thread sends the body, because the response comes before all of it is read.
    let sender = std::thread::spawn(move || {
        let length = large.len();
        let head = format!("POST /users HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n{JSON}\r\n");
        let _ = asking.write_all(head.as_bytes()).and_then(|()| asking.write_all(large.as_bytes()));
    });
    let mut line = String::new();
    client.0.read_line(&mut line).expect("it answers");
    assert!(line.starts_with("HTTP/1.1 413 "), "{line}");
    sender.join().expect("it does not panic");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_handler_that_panics_costs_its_client_alone() {
    let server = Example::start("axum_router", &["--addr", "127.0.0.1:0"]);
    let mut other = Client::new(&server);
    assert_eq!(other.get("/").0, 200);
    assert_eq!(Client::new(&server).get("/panic").0, 500);
    assert_eq!(other.get("/").0, 200);
    assert_eq!(server.stop(), Some(0));
}

//! The server of the conformance routes, as the benchmark uses it.
#![cfg(target_os = "linux")]

mod common;

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use common::Example;

#[test]
fn it_answers_what_is_measured_and_stops() {
    let server = Example::start("conformance_server", &["--addr", "127.0.0.1:0", "--workers", "2"]);
    let get = |path: &str| {
        let mut client = TcpStream::connect(&server.address).expect("it accepts");
        write!(client, "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").expect("it reads");
        let mut answer = String::new();
        client.read_to_string(&mut answer).expect("it answers");
        answer
    };
    let plain = get("/plaintext");
    assert!(plain.starts_with("HTTP/1.1 200 OK\r\n") && plain.ends_with("\r\n\r\nHello, World!"), "{plain}");
    assert!(plain.contains("\r\nDate: ") && plain.contains("\r\nserver: riot\r\n"), "{plain}");
    assert!(
        get("/big")
            .ends_with(&format!("content-length: 65536\r\nconnection: close\r\n\r\n{}", "x".repeat(65_536)))
    );
    assert!(get("/bytes/3").ends_with("\r\n\r\nxxx"));
    assert_eq!(server.stop(), Some(0));
}

//! The WebSocket example, with a client of another library.
#![cfg(target_os = "linux")]

mod common;

use std::{net::TcpStream, time::Duration};

use common::Example;
use tungstenite::{Error, Message, WebSocket, client, protocol::frame::coding::CloseCode};

fn connect(server: &Example, path: &str) -> WebSocket<TcpStream> {
    let stream = TcpStream::connect(&server.address).expect("it accepts");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout can be set");
    client(format!("ws://{}{path}", server.address), stream).expect("it switches").0
}

#[test]
fn it_echoes_and_answers_pings_and_closes() {
    let server = Example::start("websocket", &["--addr", "127.0.0.1:0"]);
    let mut socket = connect(&server, "/echo");
    for length in [0, 1, 125, 126, 60_000] {
        for message in [Message::text("x".repeat(length)), Message::binary(vec![7; length])] {
            socket.send(message.clone()).expect("it reads");
            assert_eq!(socket.read().expect("it answers"), message);
        }
    }
    socket.send(Message::Ping("are you there".into())).expect("it reads");
    assert_eq!(socket.read().expect("it answers"), Message::Pong("are you there".into()));
    socket.close(None).expect("it reads");
    assert!(matches!(socket.read(), Ok(Message::Close(_))));
    assert!(matches!(socket.read(), Err(Error::ConnectionClosed)));
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_message_too_large_is_refused_with_a_reason() {
    let server = Example::start("websocket", &["--addr", "127.0.0.1:0"]);
    let mut socket = connect(&server, "/echo");
    // The head of the message alone exceeds the bound.
    socket.send(Message::text("x".repeat(66_000))).expect("it reads");
    match socket.read() {
        Ok(Message::Close(Some(frame))) => assert_eq!(frame.code, CloseCode::Size),
        // The rest of the message lay unread when the server closed: then the system may drop what the server
        // sent.
        Err(Error::Io(_)) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn what_one_says_everybody_in_the_room_hears_in_order() {
    let server = Example::start("websocket", &["--addr", "127.0.0.1:0"]);
    let mut clients: Vec<_> = (0..8).map(|_| connect(&server, "/chat")).collect();
    // A client that receives its own words is in the room.
    for number in 0..clients.len() {
        clients[number].send(Message::text(format!("{number} is here"))).expect("it reads");
        for client in &mut clients[..=number] {
            while client.read().expect("it says so") != Message::text(format!("{number} is here")) {}
        }
    }
    drop(clients.split_off(4));
    for word in 0..50 {
        clients[word % 2].send(Message::text(format!("{word}"))).expect("it reads");
        for client in &mut clients {
            let mut heard = client.read().expect("it says so");
            while heard.to_text().is_ok_and(|text| text.ends_with("here")) {
                heard = client.read().expect("it says so");
            }
            assert_eq!(heard, Message::text(format!("{word}")));
        }
    }
    assert_eq!(server.stop(), Some(0), "with clients still in the room");
}

#[test]
fn without_the_handshake_there_is_no_switch() {
    use std::io::{Read, Write};
    let server = Example::start("websocket", &["--addr", "127.0.0.1:0"]);
    let ask = |fields: &str| {
        let mut stream = TcpStream::connect(&server.address).expect("it accepts");
        write!(stream, "GET /echo HTTP/1.1\r\nHost: a\r\nConnection: close{fields}\r\n\r\n")
            .expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        answer
    };
    assert!(ask("").starts_with("HTTP/1.1 426 "));
    let old = ask(", upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 8");
    assert!(old.starts_with("HTTP/1.1 400 ") && old.contains("sec-websocket-version: 13"), "{old}");
    assert!(ask(", upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13").starts_with("HTTP/1.1 400 "));
}

#[test]
fn an_offer_that_is_incomplete_is_refused_and_one_of_http_1_0_is_none() {
    let server = Example::start("websocket", &["--addr", "127.0.0.1:0"]);
    let offer = "Host: a\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for path in ["/echo", "/chat"] {
        let heard = server.say(&format!("GET {path} HTTP/1.1\r\n{offer}\r\n"));
        assert!(heard.starts_with("HTTP/1.1 400 "), "{heard}");
        let heard = server.say(&format!("GET {path} HTTP/1.0\r\nConnection: upgrade\r\n{offer}\r\n"));
        assert!(heard.starts_with("HTTP/1.1 426 ") && heard.contains("upgrade: websocket\r\n"), "{heard}");
    }
    assert_eq!(server.stop(), Some(0));
}

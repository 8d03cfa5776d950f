//! Row 11 of the first table in `http/TOKIO.md`: axum's own `WebSocketUpgrade`, and fastwebsockets'
//! `upgrade`, in a program that is served by this server.
#![cfg(target_os = "linux")]

mod common;

use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
};

use common::{Answer, Example, PATIENCE, ask, until};
use tungstenite::{
    Bytes, Error, Message, WebSocket,
    error::ProtocolError,
    handshake::derive_accept_key,
    protocol::{CloseFrame, Role, frame::coding::CloseCode},
};

/// The routes of the program: one by axum, one by fastwebsockets.
const ROUTES: [&str; 2] = ["/echo", "/fast"];

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

fn start() -> Example {
    Example::start("axum_websocket_hyper", &["--addr", "127.0.0.1:0"])
}

fn connect(program: &Example) -> BufReader<TcpStream> {
    let stream = TcpStream::connect(&program.address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    BufReader::new(stream)
}

fn handshake(target: &str, fields: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{fields}\r\n"
    )
}

/// Reads a head, in lower case but for the key.
fn read_head(reader: &mut impl BufRead) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut head).expect("a line"), 0, "the end behind {head:?}");
    }
    head
}

/// Reads a response with a length.
fn read_answer(reader: &mut impl BufRead) -> Answer {
    let head = read_head(reader).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().expect("a number"))];
    reader.read_exact(&mut body).expect("the whole body");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Answer(status.expect("a status"), String::from_utf8(body).expect("it is text"))
}

fn read_switch(reader: &mut impl BufRead) {
    let head = read_head(reader);
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(head.contains(&derive_accept_key(KEY.as_bytes())), "{head}");
}

/// Opens a WebSocket.
fn open(program: &Example, target: &str) -> WebSocket<TcpStream> {
    let mut reader = connect(program);
    reader.get_mut().write_all(handshake(target, "").as_bytes()).expect("it is sent");
    read_switch(&mut reader);
    assert!(reader.buffer().is_empty(), "nothing comes before it is asked for");
    WebSocket::from_raw_socket(reader.into_inner(), Role::Client, None)
}

fn echoes(socket: &mut WebSocket<TcpStream>, message: Message) {
    socket.send(message.clone()).expect("it is sent");
    let heard = socket.read().expect("a message");
    assert!(heard == message, "{} bytes in place of {}", heard.len(), message.len());
}

#[test]
fn row_11_text_and_bytes_of_any_size_come_back() {
    let program = start();
    for route in ROUTES {
        let mut socket = open(&program, route);
        echoes(&mut socket, Message::text("hello"));
        echoes(&mut socket, Message::binary(vec![0, 1, 255]));
        echoes(&mut socket, Message::text(""));
        let large: Vec<u8> = (0..=u8::MAX).cycle().take(1024 * 1024).collect();
        echoes(&mut socket, Message::binary(large));
        echoes(&mut socket, Message::text("é".repeat(300_000)));
    }
}

#[test]
fn row_11_pings_are_answered_and_a_close_is_one() {
    let program = start();
    for route in ROUTES {
        let mut socket = open(&program, route);
        socket.send(Message::Ping(Bytes::from_static(b"are you there"))).expect("it is sent");
        assert_eq!(socket.read().expect("a pong"), Message::Pong(Bytes::from_static(b"are you there")));
        let frame = CloseFrame { code: CloseCode::Normal, reason: "enough".into() };
        socket.close(Some(frame)).expect("it is sent");
        let answer = socket.read().expect("a close");
        assert!(
            matches!(&answer, Message::Close(Some(frame)) if frame.code == CloseCode::Normal),
            "{answer}"
        );
        assert!(matches!(socket.read(), Err(Error::ConnectionClosed)), "{route}");
    }
}

/// Returns the frame of a short text, masked with zeros as RFC 6455 §5.3 allows.
fn text_frame(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).expect("it is short");
    [&[0x81, 0x80 | length, 0, 0, 0, 0], text.as_bytes()].concat()
}

#[test]
fn row_11_messages_in_the_packet_of_the_request_are_heard() {
    let program = start();
    for route in ROUTES {
        let mut reader = connect(&program);
        let packet = [handshake(route, "").into_bytes(), text_frame("one"), text_frame("two")].concat();
        reader.get_mut().write_all(&packet).expect("it is sent");
        read_switch(&mut reader);
        let mut heard = [0; 10];
        reader.read_exact(&mut heard).expect("two frames");
        assert_eq!(&heard, b"\x81\x03one\x81\x03two", "{route}");
    }
}

#[test]
fn row_11_a_refused_upgrade_is_answered_and_ends_its_connection() {
    let program = start();
    // The library refuses the last one: the key is missing.
    let without_a_key = "GET /echo HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    for (request, status, text) in [
        (&*handshake("/echo?no", ""), 403, "not for you\n"),
        (&*handshake("/none", ""), 404, ""),
        (without_a_key, 400, ""),
    ] {
        let mut reader = connect(&program);
        // A plain request before it is served as ever.
        reader.get_mut().write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("it is sent");
        let Answer(first, hello) = read_answer(&mut reader);
        assert!(first == 200 && hello.starts_with("Hello, 127.0.0.1:"), "{first} {hello}");
        reader.get_mut().write_all(request.as_bytes()).expect("it is sent");
        let Answer(refused, why) = read_answer(&mut reader);
        assert!(refused == status && why.starts_with(text), "{refused} {why}");
        assert_eq!(reader.read(&mut [0]).expect("the end"), 0);
    }
    let mut socket = open(&program, "/echo");
    echoes(&mut socket, Message::text("after all"));
}

#[test]
fn row_11_without_an_offer_or_with_a_body_there_is_no_upgrade() {
    let program = start();
    let fields = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for (offer, status) in [
        ("", 400),
        ("Connection: upgrade\r\nUpgrade: h2c\r\n", 400),
        ("Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n", 426),
    ] {
        let mut reader = connect(&program);
        let body = if offer.contains("Content-Length") { "x" } else { "" };
        let request = format!("GET /echo HTTP/1.1\r\nHost: a\r\n{offer}{fields}\r\n{body}");
        reader.get_mut().write_all(request.as_bytes()).expect("it is sent");
        assert_eq!(read_answer(&mut reader).0, status, "{offer}");
    }
    assert_eq!(ask(&program.address, "GET /fast", "").0, 400);
}

#[test]
fn row_11_a_client_that_leaves_in_the_middle_harms_no_other() {
    let program = start();
    let mut other = open(&program, "/echo");
    for route in ROUTES {
        let socket = open(&program, route);
        // Half of a frame of 100 bytes.
        let half = [&[0x82, 0x80 | 100, 0, 0, 0, 0][..], &[0; 50]].concat();
        socket.get_ref().write_all(&half).expect("it is sent");
        socket.get_ref().shutdown(Shutdown::Write).expect("it is open");
        let mut left = Vec::new();
        let end = socket.get_ref().read_to_end(&mut left).map_err(|error| error.kind());
        assert!(matches!(end, Ok(_) | Err(ErrorKind::ConnectionReset)), "{route}: {end:?}");
        drop(open(&program, route));
    }
    echoes(&mut other, Message::text("still here"));
}

#[test]
fn row_11_a_stop_ends_the_sockets_in_order() {
    let program = start();
    let mut sockets = ROUTES.map(|route| open(&program, route));
    sockets.iter_mut().for_each(|socket| echoes(socket, Message::text("hello")));
    program.signal("-TERM");
    for socket in &mut sockets {
        // The library hears that its input has ended, and leaves.
        let end = socket.read();
        let is_end = |error: &Error| {
            matches!(error, Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) | Error::Io(_))
        };
        assert!(end.as_ref().is_err_and(is_end), "{end:?}");
    }
    until("the program has ended", || TcpStream::connect(&program.address).is_err());
    let (code, _, log) = program.end();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains(" cut: 0"), "{log}");
}

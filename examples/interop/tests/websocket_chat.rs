//! The chat whose users are processes: the list of users, a client that is cut, the end of the server.
#![cfg(target_os = "linux")]

mod common;

use std::net::TcpStream;

use common::{Example, PATIENCE, ask};
use tungstenite::{
    Message, WebSocket, client,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

struct User(WebSocket<TcpStream>);

impl User {
    fn enter(program: &Example, path: &str) -> Self {
        let stream = TcpStream::connect(&program.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let address = format!("ws://{}{path}", program.address);
        Self(client(address, stream).expect("it is a WebSocket").0)
    }

    fn say(&mut self, text: &str) {
        self.0.send(Message::text(text)).expect("it is sent");
    }

    fn hears(&mut self, text: &str) {
        assert_eq!(self.0.read().expect("a message"), Message::text(text));
    }
}

#[test]
fn each_user_is_a_process_that_hears_the_others_and_is_missed_once() {
    let program = Example::start("websocket_chat", &["--addr", "127.0.0.1:0"]);
    let mut joe = User::enter(&program, "/lobby/joe");
    joe.hears("* here are: ");
    let mut ann = User::enter(&program, "/lobby/ann");
    ann.hears("* here are: joe");
    joe.hears("* ann has joined");
    let mut sue = User::enter(&program, "/cellar/sue");
    sue.hears("* here are: ");
    ann.say("hello");
    joe.hears("ann: hello");
    ann.hears("ann: hello");
    assert_eq!(ask(&program.address, "GET /lobby", "").1, r#"["joe","ann"]"#);

    // Cut without a word.
    drop(ann);
    joe.hears("* ann has left");
    joe.say("is it still on");
    joe.hears("joe: is it still on");
    assert_eq!(ask(&program.address, "GET /lobby", "").1, r#"["joe"]"#);

    program.signal("-TERM");
    for mut user in [joe, sue] {
        let close = user.0.read().expect("a close");
        let away = |frame: &CloseFrame| frame.code == CloseCode::Away;
        assert!(matches!(&close, Message::Close(Some(frame)) if away(frame)), "{close}");
        assert!(user.0.read().is_err());
    }
    let (code, _, log) = program.end();
    assert_eq!(code, Some(0), "{log}");
}

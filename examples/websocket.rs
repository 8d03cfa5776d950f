//! A chat over WebSocket: `cargo run --release --example websocket -- --addr 127.0.0.1:8080`, then open it in
//! two windows of a browser.
//!
//! `GET /` is a page that chats, `/chat` sends every message to all clients, `/echo` sends it back. The
//! process of a client first answers its HTTP requests. After the switch it holds its side of the
//! conversation: it waits for bytes from its client or a message from the room, whichever comes first. The
//! room is one more process; it monitors the clients and forgets those that end, however they end.

use std::{
    collections::{HashMap, VecDeque},
    future::{Future, poll_fn},
    io::{self, Read, Write},
    pin::pin,
    task::Poll,
    time::Duration,
};

use riot_actor::{Down, Pid, Reason, monitor, receive, run, send, spawn_link, this};
use riot_http::{
    Head, Reqd, Response, Server,
    http::{HeaderValue, StatusCode, header},
};
use riot_socket::{Connection, ConnectionTimeouts, signals::Signals};
use tungstenite::{
    Error, Message, WebSocket,
    handshake::derive_accept_key,
    protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
};

/// Bounds a message of a client, in bytes; 64 KiB.
const MAX_MESSAGE_BYTES: usize = 64 * 1024;

fn main() -> Reason {
    let address = std::env::args().skip_while(|argument| argument != "--addr").nth(1);
    run(serve(address.unwrap_or_else(|| "127.0.0.1:8080".into())))
}

async fn serve(address: String) -> Result<(), Reason> {
    let mut signals = Signals::new()?;
    let room = spawn_link(room());
    let server = Server::bind(address)?.handler(move |reqd: Reqd| answer(reqd, room)).start_link().await?;
    println!("listening on http://{}", server.local_addr());
    signals.next().await?;
    server.stop(Duration::from_secs(5)).await;
    Ok(())
}

async fn answer(reqd: Reqd, room: Pid) -> Result<(), Error> {
    let room = match reqd.request().path() {
        "/chat" => Some(room),
        "/echo" => None,
        "/" => {
            let _ = reqd.respond_with_string(Response::html(""), PAGE);
            return Ok(());
        }
        _ => {
            let _ = reqd.respond_with_string(Response::not_found(), "there is nothing here\n");
            return Ok(());
        }
    };
    let upgrade = match switch(reqd.request()) {
        Ok(response) => reqd.respond_with_upgrade(response),
        Err(refusal) => {
            let _ = reqd.respond_with_string(refusal, "this is a place for WebSocket\n");
            return Ok(());
        }
    };
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err((reqd, error)) => {
            let _ = reqd.respond_with_string(Response::new(StatusCode::BAD_REQUEST), format!("{error}\n"));
            return Ok(());
        }
    };
    // The switch fails if the client has disconnected already.
    let Ok(mut connection) = upgrade.connection().await else { return Ok(()) };
    // A client that only listens may be silent for longer than a minute.
    connection.set_timeouts(ConnectionTimeouts::new().idle_timeout(Duration::from_secs(3600)));
    talk(Socket::new(connection), room).await
}

/// Checks the opening handshake (RFC 6455 §4.2), and returns the response to it.
fn switch(head: &Head) -> Result<Response, Response> {
    let asked = |name: &str, value: &str| {
        head.headers().get_str(name).is_some_and(|given| given.eq_ignore_ascii_case(value))
    };
    if !head.offered_protocols().any(|protocol| protocol.eq_ignore_ascii_case("websocket")) {
        return Err(Response::new(StatusCode::UPGRADE_REQUIRED)
            .header(header::UPGRADE, HeaderValue::from_static("websocket")));
    }
    if !asked("sec-websocket-version", "13") {
        return Err(Response::new(StatusCode::BAD_REQUEST)
            .header(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13")));
    }
    let key = head.headers().get("sec-websocket-key").map(derive_accept_key);
    let Some(Ok(key)) = key.map(|key| HeaderValue::from_str(&key)) else {
        return Err(Response::new(StatusCode::BAD_REQUEST));
    };
    Ok(Response::new(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::UPGRADE, HeaderValue::from_static("websocket"))
        .header(header::SEC_WEBSOCKET_ACCEPT, key))
}

/// Holds a client's side of the conversation after the switch, until one of both sides closes.
async fn talk(mut socket: Socket, room: Option<Pid>) -> Result<(), Error> {
    if let Some(room) = room {
        send(room, Enter(this()));
    }
    loop {
        let event = either(socket.receive(), receive::<Said>()).await;
        match (event, room) {
            (Event::Client(None), _) => return Ok(()),
            (Event::Client(Some(message)), Some(room)) if message.is_text() => {
                send(room, Said(message.into_text()?.to_string()));
            }
            (Event::Client(Some(message)), None) if message.is_text() || message.is_binary() => {
                socket.send(message).await?;
            }
            // The library has answered pings and closes.
            (Event::Client(Some(_)), _) => {}
            (Event::Room(Said(text)), _) => socket.send(Message::text(text)).await?,
            (Event::Failed(Error::Io(_) | Error::ConnectionClosed), _) => return Ok(()),
            (Event::Failed(error), _) => return socket.refuse(&error).await,
        }
    }
}

/// A client joins the room.
struct Enter(Pid);

/// A client has said something.
#[derive(Clone)]
struct Said(String);

async fn room() {
    let mut members = HashMap::new();
    loop {
        riot_actor::receive! {
            Enter(member) => {
                members.insert(member, monitor(member));
            },
            said: Said => for &member in members.keys() {
                send(member, said.clone());
            },
            down: Down => {
                members.retain(|_, &mut watched| watched != down.reference);
            },
        }
    }
}

enum Event {
    Client(Option<Message>),
    Room(Said),
    Failed(Error),
}

/// Waits for whichever comes first. Both may be dropped half-way: neither has taken anything then.
async fn either(
    client: impl Future<Output = Result<Option<Message>, Error>>,
    room: impl Future<Output = Said>,
) -> Event {
    let (mut client, mut room) = (pin!(client), pin!(room));
    poll_fn(|cx| {
        if let Poll::Ready(said) = room.as_mut().poll(cx) {
            return Poll::Ready(Event::Room(said));
        }
        client.as_mut().poll(cx).map(|received| received.map_or_else(Event::Failed, Event::Client))
    })
    .await
}

/// The library's protocol, which reads and writes a pair of buffers, on a connection.
struct Socket {
    connection: Connection,
    protocol: WebSocket<Buffers>,
}

#[derive(Default)]
struct Buffers {
    incoming: VecDeque<u8>,
    ended: bool,
    outgoing: Vec<u8>,
}

impl Socket {
    fn new(connection: Connection) -> Self {
        let config = WebSocketConfig::default()
            .max_message_size(Some(MAX_MESSAGE_BYTES))
            .max_frame_size(Some(MAX_MESSAGE_BYTES));
        let protocol = WebSocket::from_raw_socket(Buffers::default(), Role::Server, Some(config));
        Self { connection, protocol }
    }

    /// Returns the next message, or none after the last. Dropped before it is ready, it has lost nothing.
    async fn receive(&mut self) -> Result<Option<Message>, Error> {
        let mut buffer = [0; 4096];
        loop {
            // Flush first, so that nothing taken out of the protocol is held while this waits.
            self.flush().await?;
            match self.protocol.read() {
                Ok(message) => return Ok(Some(message)),
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(Error::ConnectionClosed | Error::AlreadyClosed) => {
                    self.flush().await?;
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
            let read = self.connection.read(&mut buffer).await?;
            let buffers = self.protocol.get_mut();
            buffers.incoming.extend(&buffer[..read]);
            buffers.ended = read == 0;
        }
    }

    async fn send(&mut self, message: Message) -> Result<(), Error> {
        self.protocol.write(message)?;
        self.flush().await
    }

    /// Closes with a reason (RFC 6455 §7.4.1).
    async fn refuse(&mut self, error: &Error) -> Result<(), Error> {
        let code = match error {
            Error::Capacity(_) => CloseCode::Size,
            Error::Utf8(_) => CloseCode::Invalid,
            _ => CloseCode::Protocol,
        };
        self.protocol.close(Some(CloseFrame { code, reason: "".into() }))?;
        self.flush().await
    }

    /// Sends what was written. What is not sent yet stays if this is dropped half-way.
    async fn flush(&mut self) -> Result<(), Error> {
        match self.protocol.flush() {
            Ok(()) | Err(Error::ConnectionClosed | Error::AlreadyClosed) => {}
            Err(error) => return Err(error),
        }
        loop {
            let outgoing = &mut self.protocol.get_mut().outgoing;
            if outgoing.is_empty() {
                return Ok(());
            }
            let sent = self.connection.write(outgoing).await?;
            outgoing.drain(..sent);
        }
    }
}

impl Read for Buffers {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.incoming.is_empty() && !self.ended {
            true => Err(io::ErrorKind::WouldBlock.into()),
            false => self.incoming.read(buffer),
        }
    }
}

impl Write for Buffers {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.outgoing.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const PAGE: &str = r#"<!doctype html>
<meta charset="utf-8">
<title>chat</title>
<ul id="said"></ul>
<form id="form"><input id="text" autofocus autocomplete="off"><button>say</button></form>
<script>
  const socket = new WebSocket(`ws://${location.host}/chat`);
  socket.onmessage = (event) => {
    const line = document.createElement("li");
    line.textContent = event.data;
    document.getElementById("said").append(line);
  };
  socket.onopen = () => socket.send("somebody came in");
  document.getElementById("form").onsubmit = (event) => {
    event.preventDefault();
    const text = document.getElementById("text");
    socket.send(text.value);
    text.value = "";
  };
</script>
"#;

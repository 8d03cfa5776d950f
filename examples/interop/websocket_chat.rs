//! A chat in which each user is a process: the client's Connector, which hears the WebSocket and messages of
//! others at once. `cargo run --example websocket_chat -- --addr 127.0.0.1:8080`.
//!
//! Try this in the console of a browser: `w = new WebSocket("ws://localhost:8080/lobby/joe"); w.onmessage =
//! e => console.log(e.data)`, then `w.send("hello")`, and the same as `ann` in another window. `curl
//! localhost:8080/lobby` lists the users. A client that is killed leaves the room, and the others hear it
//! once.

use std::process::ExitCode;

use axum::{
    Extension, Json, Router,
    extract::Path,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::get,
};
use futures_util::{SinkExt, StreamExt};
use riot_actor::{
    Reason,
    group::{GroupChange, GroupEvent, broadcast, join_group_with, members_with, monitor_group_with},
    mailbox::alias,
    receive,
    runtime::Config,
    this,
};
use riot_http::{OnUpgrade, Server};
use riot_socket::Connection;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        handshake::derive_accept_key,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};

/// A line that a user has said.
#[derive(Clone)]
struct Said(String);
/// The server stops.
struct GoAway;

async fn enter(
    Path((room, user)): Path<(String, String)>,
    Extension(on_upgrade): Extension<OnUpgrade>,
    headers: HeaderMap,
) -> Response {
    let Some(key) = headers.get("sec-websocket-key") else {
        return (StatusCode::BAD_REQUEST, "this is for a WebSocket\n").into_response();
    };
    let accept = derive_accept_key(key.as_bytes());
    on_upgrade.then(move |upgrade| async move {
        if let Ok(connection) = upgrade.connection().await {
            // An error means that the client has gone.
            let _ = chat(connection, &room, &user).await;
        }
    });
    let fields = [("upgrade", "websocket"), ("connection", "upgrade"), ("sec-websocket-accept", &accept)];
    (StatusCode::SWITCHING_PROTOCOLS, fields).into_response()
}

/// Serves one user. The body of a Connector: it leaves the room when it ends, however it does.
async fn chat(connection: Connection, room: &str, user: &str) -> Result<(), Error> {
    let stopping = alias::<GoAway>();
    connection.on_drain(move || stopping.send(GoAway));
    let bounds = WebSocketConfig::default().max_message_size(Some(16 * 1024));
    let mut socket = WebSocketStream::from_raw_socket(connection, Role::Server, Some(bounds)).await;
    let (_, present) = monitor_group_with::<String>(room.to_owned());
    join_group_with(room.to_owned(), this(), user.to_owned());
    let names: Vec<String> = present.into_iter().map(|(_, name)| name).collect();
    socket.send(Message::text(format!("* here are: {}", names.join(", ")))).await?;
    loop {
        let line = tokio::select! {
            message = socket.next() => {
                match message.transpose()? {
                    Some(Message::Text(text)) => broadcast(room, Said(format!("{user}: {text}"))).await,
                    Some(_) => {}
                    None => return Ok(()),
                }
                None
            }
            Said(line) = receive() => Some(line),
            event = receive() => presence(&event),
            GoAway = receive() => {
                let frame = CloseFrame { code: CloseCode::Away, reason: "the server stops".into() };
                return socket.close(Some(frame)).await;
            }
        };
        if let Some(line) = line {
            socket.send(Message::text(line)).await?;
        }
    }
}

/// Returns how a change of the room is told to a user, unless it is the user's own.
fn presence(GroupEvent { change, meta, pid, .. }: &GroupEvent) -> Option<String> {
    let name = meta.as_ref()?.get::<String>()?;
    match change {
        GroupChange::Joined if *pid != this() => Some(format!("* {name} has joined")),
        GroupChange::Left => Some(format!("* {name} has left")),
        _ => None,
    }
}

async fn users(Path(room): Path<String>) -> Json<Vec<String>> {
    Json(members_with::<String>(&room).into_iter().map(|(_, name)| name).collect())
}

fn main() -> ExitCode {
    let [address] = riot_interop::options([("--addr", "127.0.0.1:8080")]);
    Config::new().stop_on_signals().main(async move {
        riot_interop::start_log()?;
        let router = Router::new().route("/{room}/{user}", get(enter)).route("/{room}", get(users));
        // Nothing here needs tokio, so the router is served as any other service.
        let server = Server::bind(&*address)?.tower(router).start_link().await?;
        println!("listening on http://{}", server.local_addr());
        std::future::pending::<Result<(), Reason>>().await
    })
}

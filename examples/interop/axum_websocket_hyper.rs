//! An axum application with axum's own `WebSocketUpgrade`, unchanged: hyper serves the requests that ask for
//! an upgrade. `cargo run --example axum_websocket_hyper -- --addr 127.0.0.1:8080`.
//!
//! Every message comes back, at `/echo` by axum and at `/fast` by fastwebsockets. Try this in the console of
//! a browser: `w = new WebSocket("ws://localhost:8080/echo"); w.onmessage = e => console.log(e.data)`, then
//! `w.send("hello")`, and `curl -i localhost:8080/` at any time.

use std::{net::SocketAddr, process::ExitCode};

use axum::{
    Router,
    extract::{
        ConnectInfo, Request,
        ws::{Message, WebSocket, WebSocketUpgrade},
    },
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use fastwebsockets::{FragmentCollector, OpCode, WebSocketError, upgrade};
use riot_actor::{Reason, runtime::Config};
use riot_http::Server;

/// The most bytes of a message, for both libraries.
const MAX_MESSAGE_BYTES: usize = 4 * 1024 * 1024;

fn router() -> Router {
    Router::new()
        .route(
            "/",
            get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { format!("Hello, {peer}!\n") }),
        )
        .route("/echo", get(echo))
        .route("/fast", get(fast))
}

/// Says every message back. Those to whom `no` is the answer get it before the upgrade.
async fn echo(upgrade: WebSocketUpgrade, request: Request) -> Response {
    if request.uri().query() == Some("no") {
        return (StatusCode::FORBIDDEN, "not for you\n").into_response();
    }
    upgrade.max_message_size(MAX_MESSAGE_BYTES).on_upgrade(say_back)
}

async fn say_back(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        // Pings are answered by the library.
        let is_data = matches!(message, Message::Text(_) | Message::Binary(_));
        if is_data && socket.send(message).await.is_err() {
            return;
        }
    }
}

/// Says every message back, by fastwebsockets.
async fn fast(mut request: Request) -> Response {
    let Ok((response, upgraded)) = upgrade::upgrade(&mut request) else {
        return (StatusCode::BAD_REQUEST, "this is for a WebSocket\n").into_response();
    };
    tokio::spawn(async move {
        let mut socket = upgraded.await?;
        socket.set_max_message_size(MAX_MESSAGE_BYTES);
        let mut socket = FragmentCollector::new(socket);
        loop {
            let frame = socket.read_frame().await?;
            match frame.opcode {
                OpCode::Close => return Ok::<(), WebSocketError>(()),
                OpCode::Text | OpCode::Binary => socket.write_frame(frame).await?,
                _ => {}
            }
        }
    });
    response.map(axum::body::Body::new).into_response()
}

fn main() -> ExitCode {
    let [address] = riot_interop::options([("--addr", "127.0.0.1:8080")]);
    Config::new().tokio().stop_on_signals().main(async move {
        riot_interop::start_log()?;
        let server = Server::bind(&*address)?.axum(router()).upgrade_by_hyper().start_link().await?;
        println!("listening on http://{}", server.local_addr());
        std::future::pending::<Result<(), Reason>>().await
    })
}

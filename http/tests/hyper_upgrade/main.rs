//! Upgrades by hyper: requests that ask for an upgrade are served by hyper, in the client's Connector, and
//! all others never touch it.
#![cfg(feature = "hyper-upgrade")]

mod ends;
mod requests;
mod wakers;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{any, get},
};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use riot_actor::{
    Reason, exit, monitor, now, process::tree, receive, runtime::Config, send, sleep, spawn, this,
};
use riot_http::{AxumServing, DrainSignal, Limits, Server, ServerHandle, Timeouts};
use riot_socket::{Connection, ConnectionTimeouts, DrainReport, Shutdown};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::{Notify, mpsc},
};

/// A request that asks for an upgrade.
const UPGRADE: &str = "GET /shout HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\n";

fn with_tokio<F: Future<Output = Result<(), Reason>> + Send + 'static>(main: F) {
    let config = Config::new().workers(2).tokio().without_default_log();
    assert_eq!(config.run(main).expect("it runs"), Reason::Normal);
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Waits for a condition that has no event.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = now();
    while !holds() {
        assert!(now() - began < Duration::from_secs(60), "{what}");
        sleep(millis(1)).await;
    }
}

/// Upgrades to a protocol that says everything back in capitals, and `bye` at the end of its input.
async fn shout(request: Request) -> Response {
    if request.headers().get("x-refuse").is_some() {
        return (StatusCode::FORBIDDEN, "not for you").into_response();
    }
    // The task is one of tokio's, as with axum's own server.
    tokio::spawn(async move {
        let Ok(upgraded) = hyper::upgrade::on(request).await else { return };
        let _ = talk(TokioIo::new(upgraded)).await;
    });
    (StatusCode::SWITCHING_PROTOCOLS, [("connection", "upgrade"), ("upgrade", "shout")]).into_response()
}

async fn talk(mut stream: TokioIo<Upgraded>) -> std::io::Result<()> {
    let mut buffer = vec![0; 4096];
    loop {
        match stream.read(&mut buffer).await? {
            0 => break,
            read => stream.write_all(&buffer[..read].to_ascii_uppercase()).await?,
        }
    }
    stream.write_all(b"bye").await?;
    stream.shutdown().await
}

/// Says what the request has got.
async fn describe(request: Request) -> String {
    let extensions = request.extensions();
    format!(
        "{} {} hyper={} peer={} info={} drain={} cookie={} fields={}",
        request.method(),
        request.uri(),
        extensions.get::<OnUpgrade>().is_some(),
        extensions.get::<SocketAddr>().is_some(),
        extensions.get::<ConnectInfo<SocketAddr>>().is_some(),
        extensions.get::<DrainSignal>().is_some_and(|signal| !signal.is_draining()),
        request.headers().get(header::COOKIE).is_some_and(|cookie| cookie.is_sensitive()),
        request.headers().get("x-field").and_then(|value| value.to_str().ok()).unwrap_or("-"),
    )
}

async fn panics() -> &'static str {
    panic!("a handler")
}

fn router() -> Router {
    Router::new()
        .route("/shout", get(shout))
        .route("/describe", any(describe))
        .route("/panic", get(panics))
        .route("/pending", get(std::future::pending::<&'static str>))
        .route("/body", any(|body: Body| async move { body }))
}

fn server() -> AxumServing {
    changed(|server| server)
}

fn changed(change: impl FnOnce(Server) -> Server) -> AxumServing {
    change(Server::bind("127.0.0.1:0").expect("an address")).axum(router()).upgrade_by_hyper()
}

async fn connect(server: &ServerHandle) -> Connection {
    Connection::connect(&server.local_addr().to_string()).await.expect("it listens")
}

/// Reads up to this text.
async fn read_until(client: &mut Connection, end: &str) -> String {
    let mut heard = Vec::new();
    while !heard.ends_with(end.as_bytes()) {
        let mut byte = [0];
        if let Err(error) = client.read_exact(&mut byte).await {
            panic!("{error} behind {:?}", String::from_utf8_lossy(&heard));
        }
        heard.extend(byte);
    }
    String::from_utf8(heard).expect("it is text")
}

/// Reads a response with a length. Returns its head, in lower case, and its body.
async fn read_response(client: &mut Connection) -> (String, String) {
    let head = read_until(client, "\r\n\r\n").await.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).map(str::parse::<usize>);
    let mut body = vec![0; length.map_or(0, |length| length.expect("a number"))];
    client.read_exact(&mut body).await.expect("the whole body");
    (head, String::from_utf8(body).expect("it is text"))
}

async fn ask(client: &mut Connection, request: &str) -> (String, String) {
    client.write_all(request.as_bytes()).await.expect("it is sent");
    read_response(client).await
}

/// Reads to the end of the connection; none if it was reset.
async fn rest(client: &mut Connection) -> String {
    let rest = client.read_to_end(1024 * 1024).await.unwrap_or_default();
    String::from_utf8(rest).expect("it is text")
}

/// Upgrades a connection.
async fn upgrade(server: &ServerHandle) -> Connection {
    let mut client = connect(server).await;
    client.write_all(UPGRADE.as_bytes()).await.expect("it is sent");
    let head = read_until(&mut client, "\r\n\r\n").await.to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    assert!(head.contains("connection: upgrade\r\n") && head.contains("upgrade: shout\r\n"), "{head}");
    client
}

async fn is_heard(client: &mut Connection, text: &str) {
    client.write_all(text.as_bytes()).await.expect("it is sent");
    assert_eq!(read_until(client, &text.to_ascii_uppercase()).await, text.to_ascii_uppercase());
}

fn get_with(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
}

const ASKS: &str = "Connection: upgrade\r\nUpgrade: shout\r\n";

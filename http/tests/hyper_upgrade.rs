//! Upgrades by hyper: requests that ask for an upgrade are served by hyper, in the client's Connector, and
//! all others never touch it.
#![cfg(feature = "hyper-upgrade")]

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
    Reason, exit, monitor, now,
    process::tree,
    receive,
    runtime::Config,
    send, sleep, spawn, this,
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

#[test]
fn tk09_an_upgraded_stream_gets_what_came_behind_the_request() {
    with_tokio(async {
        let server = server().start_link().await?;
        let mut client = connect(&server).await;
        // A request before it, and two pieces of the other protocol behind it, in one packet.
        let packet = format!("{}{UPGRADE}early ", get_with("/describe", ""));
        let (head, body) = ask(&mut client, &packet).await;
        assert!(head.starts_with("http/1.1 200 ") && body.contains("hyper=false"), "{head}{body}");
        let head = read_until(&mut client, "\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert_eq!(read_until(&mut client, "EARLY ").await, "EARLY ");
        is_heard(&mut client, "and late").await;
        client.shutdown(Shutdown::Write)?;
        assert_eq!(rest(&mut client).await, "bye");
        until("the Connector has ended", || server.info().active == 0).await;
        assert_eq!(server.info().ended.crashed, 0);
        server.stop(Duration::ZERO).await;
        Ok(())
    });
}

#[test]
fn tk09_a_request_cut_anywhere_and_large_talk_behind_it_arrive_whole() {
    with_tokio(async {
        let server = server().start_link().await?;
        let text = format!("{UPGRADE}x");
        for cut in 1..text.len() {
            let mut client = connect(&server).await;
            client.write_all(&text.as_bytes()[..cut]).await?;
            // The rest goes in a packet of its own, most of the time.
            sleep(millis(1)).await;
            client.write_all(&text.as_bytes()[cut..]).await?;
            assert!(read_until(&mut client, "\r\n\r\n").await.starts_with("HTTP/1.1 101 "));
            assert_eq!(read_until(&mut client, "X").await, "X");
        }
        let client = upgrade(&server).await;
        let (mut reader, mut writer) = client.into_split();
        let size = 1024 * 1024;
        spawn(async move { writer.write_all(&vec![b'a'; size]).await });
        let mut heard = vec![0; size];
        reader.read_exact(&mut heard).await?;
        assert!(heard.iter().all(|&byte| byte == b'A'));
        server.stop(Duration::ZERO).await;
        Ok(())
    });
}

#[test]
fn tk09_a_refused_upgrade_is_answered_and_hyper_serves_what_follows() {
    with_tokio(async {
        let server = server().start_link().await?;
        let mut client = connect(&server).await;
        let refused = get_with("/shout", &format!("X-Refuse: 1\r\n{ASKS}"));
        let (head, body) = ask(&mut client, &refused).await;
        assert!(head.starts_with("http/1.1 403 ") && body == "not for you", "{head}{body}");
        assert!(!head.contains("connection: close"), "{head}");
        let (head, body) = ask(&mut client, &get_with("/describe", "")).await;
        assert!(head.starts_with("http/1.1 200 "), "{head}");
        assert_eq!(body, "GET /describe hyper=false peer=true info=true drain=true cookie=false fields=-");
        let (_, body) = ask(&mut client, "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello").await;
        assert_eq!(body, "hello");
        let connections = server.connections();
        assert_eq!((connections[0].state, connections[0].requests), ("hyper", 3));
        // And at last an upgrade.
        client.write_all(format!("{UPGRADE}x").as_bytes()).await?;
        assert!(read_until(&mut client, "\r\n\r\n").await.starts_with("HTTP/1.1 101 "));
        assert_eq!(read_until(&mut client, "X").await, "X");
        drop(client);
        until("the Connector has ended", || server.info().active == 0).await;
        assert_eq!(server.info().ended.crashed, 0);
        server.stop(Duration::ZERO).await;
        Ok(())
    });
}

#[test]
fn tk09_only_requests_that_ask_for_an_upgrade_touch_hyper() {
    with_tokio(async {
        let server = server().start_link().await?;
        let h2c = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n";
        for (fields, by_hyper) in [
            ("", false),
            ("Connection: close\r\n", false),
            ("Upgrade: shout\r\n", false),
            ("Connection: upgrade\r\n", false),
            (h2c, false),
            ("Connection: upgrade\r\nUpgrade: H2C\r\n", false),
            ("Connection: upgrade\r\nUpgrade:\r\n", false),
            (ASKS, true),
            ("connection:\tfoo , UPGRADE\r\nupgrade: h2c, shout/1\r\n", true),
            ("Connection: upgrade\r\nUpgrade: a\r\nUpgrade: b\r\nContent-Length: 0\r\n", true),
        ] {
            for method in ["GET", "DELETE"] {
                let mut client = connect(&server).await;
                let request = format!("{method} /describe?q=1 HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
                let (head, body) = ask(&mut client, &request).await;
                assert!(head.starts_with("http/1.1 200 "), "{fields}: {head}");
                let expected = format!("{method} /describe?q=1 hyper={by_hyper} peer=true info=true drain=true");
                assert!(body.starts_with(&expected), "{fields}: {body}");
                let is_of_hyper = server.connections().iter().any(|connection| connection.state == "hyper");
                assert_eq!(is_of_hyper, by_hyper, "{fields}");
                drop(client);
                until("it has ended", || server.info().active == 0).await;
            }
        }
        let mut client = connect(&server).await;
        let (_, body) = ask(&mut client, &format!("GET /describe HTTP/1.0\r\n{ASKS}\r\n")).await;
        assert!(body.contains("hyper=false"), "{body}");
        server.stop(Duration::ZERO).await;
        Ok(())
    });
}

#[test]
fn tk09_a_request_with_a_body_is_not_upgraded() {
    with_tokio(async {
        let server = server().start_link().await?;
        for framing in ["Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"] {
            let mut client = connect(&server).await;
            let (_, body) = ask(&mut client, &format!("POST /describe HTTP/1.1\r\nHost: a\r\n{ASKS}{framing}")).await;
            assert!(body.starts_with("POST /describe hyper=false"), "{body}");
            // Our own rule holds for a handler that tries to switch all the same.
            let mut client = connect(&server).await;
            let (head, _) = ask(&mut client, &format!("GET /shout HTTP/1.1\r\nHost: a\r\n{ASKS}{framing}")).await;
            assert!(head.starts_with("http/1.1 500 "), "{head}");
        }
        server.stop(Duration::ZERO).await;
        Ok(())
    });
}

#[test]
fn tk09_limits_and_framing_are_checked_before_hyper_sees_the_head() {
    with_tokio(async {
        let limits = Limits::new().max_headers(8).max_head_bytes(4096);
        let server = changed(|server| server.limits(limits)).start_link().await?;
        let many = "X-A: b\r\n".repeat(8);
        let large = format!("X-A: {}\r\n", "b".repeat(5000));
        for (fields, status) in [
            (many.as_str(), 431),
            (large.as_str(), 431),
            ("Host: b\r\n", 400),
            ("X : b\r\n", 400),
            ("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", 400),
            ("Transfer-Encoding: gzip\r\n", 501),
        ] {
            let mut client = connect(&server).await;
            let (head, _) = ask(&mut client, &get_with("/describe", &format!("{ASKS}{fields}"))).await;
            assert!(head.starts_with(&format!("http/1.1 {status} ")), "{fields}: {head}");
        }
        // A head that is as long as it may be is passed on whole.
        let field = format!("X-Field: {}\r\nCookie: a=b\r\n", "c".repeat(3900));
        let mut client = connect(&server).await;
        let (_, body) = ask(&mut client, &get_with("/describe", &format!("{field}{ASKS}"))).await;
        assert!(body.contains(" cookie=true ") && body.ends_with(&"c".repeat(3900)), "{body}");
        server.stop(Duration::ZERO).await;
        Ok(())
    });
}

#[test]
fn tk09_an_expected_100_goes_ahead_and_close_is_obeyed() {
    with_tokio(async {
        let server = server().start_link().await?;
        let mut client = connect(&server).await;
        client.write_all(get_with("/shout", &format!("Expect: 100-continue\r\n{ASKS}")).as_bytes()).await?;
        assert!(read_until(&mut client, "\r\n\r\n").await.starts_with("HTTP/1.1 100 "));
        assert!(read_until(&mut client, "\r\n\r\n").await.starts_with("HTTP/1.1 101 "));
        is_heard(&mut client, "hello").await;
        let closes = "Connection: close, upgrade\r\nUpgrade: shout\r\n";
        let mut client = connect(&server).await;
        let (head, _) = ask(&mut client, &get_with("/describe", closes)).await;
        assert!(head.contains("connection: close\r\n"), "{head}");
        assert_eq!(rest(&mut client).await, "");
        let mut client = connect(&server).await;
        client.write_all(format!("{}x", get_with("/shout", closes)).as_bytes()).await?;
        let head = read_until(&mut client, "\r\n\r\n").await.to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 101 ") && !head.contains("close"), "{head}");
        assert_eq!(read_until(&mut client, "X").await, "X");
        server.stop(Duration::ZERO).await;
        Ok(())
    });
}

#[test]
fn tk09_requests_of_one_connection_are_bounded_by_hyper_too() {
    with_tokio(async {
        let server = changed(|server| server.limits(Limits::new().max_requests(3))).start_link().await?;
        let mut client = connect(&server).await;
        for (nth, fields) in ["", ASKS, ""].into_iter().enumerate() {
            let (head, _) = ask(&mut client, &get_with("/describe", fields)).await;
            assert_eq!(head.contains("connection: close\r\n"), nth == 2, "{nth}: {head}");
        }
        assert_eq!(rest(&mut client).await, "");
        server.stop(Duration::ZERO).await;
        Ok(())
    });
}

#[test]
fn tk09_the_connector_stays_until_the_stream_is_dropped() {
    with_tokio(async {
        let (keep, mut kept) = mpsc::unbounded_channel();
        let router = Router::new().route(
            "/shout",
            get(move |mut request: Request| {
                let keep = keep.clone();
                async move {
                    let on_upgrade = hyper::upgrade::on(&mut request);
                    tokio::spawn(async move { keep.send(on_upgrade.await) });
                    (StatusCode::SWITCHING_PROTOCOLS, [("connection", "upgrade"), ("upgrade", "shout")])
                }
            }),
        );
        let server = Server::bind("127.0.0.1:0")?.max_connections(1).axum(router).upgrade_by_hyper();
        let server = server.start_link().await?;
        let mut client = upgrade(&server).await;
        let stream = kept.recv().await.expect("it is upgraded").map_err(Reason::error)?;
        let connection = server.connections().remove(0);
        assert_eq!((connection.state, connection.requests), ("hyper", 1));
        let ends = monitor(connection.pid);
        let mut second = connect(&server).await;
        second.write_all(UPGRADE.as_bytes()).await?;
        assert_eq!(server.info().active, 1);
        // The permit comes back with the stream.
        drop(stream);
        assert_eq!(rest(&mut client).await, "");
        assert!(read_until(&mut second, "\r\n\r\n").await.starts_with("HTTP/1.1 101 "));
        assert_eq!(ends.down().await.reason, Reason::Normal);
        server.stop(Duration::ZERO).await;
        Ok(())
    });
}

#[test]
fn tk09_a_killed_connector_ends_the_stream() {
    with_tokio(async {
        let server = server().start_link().await?;
        for _ in 0..20 {
            let mut client = upgrade(&server).await;
            is_heard(&mut client, "hello").await;
            let mut other = upgrade(&server).await;
            let of_client = tree().labelled("Connector");
            assert_eq!(of_client.len(), 2);
            let first = server.connections().into_iter().min_by_key(|known| known.pid).expect("there are two");
            exit(first.pid, Reason::Kill);
            // One of the two ends.
            until("one has ended", || server.info().active == 1).await;
            let left = server.connections().remove(0).peer;
            let is_first = client.local_address()? == left;
            let (mut alive, mut dead) = if is_first { (client, other) } else { (other, client) };
            rest(&mut dead).await;
            is_heard(&mut alive, "still here").await;
            other = alive;
            drop(other);
            until("both have ended", || server.info().all == 0).await;
        }
        server.stop(Duration::ZERO).await;
        Ok(())
    });
}

#[test]
fn tk09_a_drain_ends_the_input_of_an_upgraded_stream() {
    with_tokio(async {
        let server = server().start_link().await?;
        let mut client = upgrade(&server).await;
        is_heard(&mut client, "hello").await;
        let report = server.stop(Duration::from_secs(30)).await;
        assert!(report.cut.is_empty(), "{report:?}");
        assert_eq!(rest(&mut client).await, "bye");
        Ok(())
    });
}

#[test]
fn tk09_a_stream_that_does_not_end_is_cut_at_the_deadline() {
    with_tokio(async {
        let (keep, mut kept) = mpsc::unbounded_channel();
        let router = Router::new().route(
            "/shout",
            get(move |request: Request| {
                let keep = keep.clone();
                async move {
                    tokio::spawn(async move { keep.send(hyper::upgrade::on(request).await) });
                    (StatusCode::SWITCHING_PROTOCOLS, [("connection", "upgrade"), ("upgrade", "shout")])
                }
            }),
        );
        let server = Server::bind("127.0.0.1:0")?.axum(router).upgrade_by_hyper().start_link().await?;
        let mut client = upgrade(&server).await;
        let stream = kept.recv().await.expect("it is upgraded").map_err(Reason::error)?;
        let mut stream = TokioIo::new(stream);
        let report = server.stop(millis(50)).await;
        assert_eq!(report.cut.len(), 1, "{report:?}");
        assert_eq!(report.cut[0].state, "hyper");
        assert_eq!(rest(&mut client).await, "");
        assert!(stream.write_all(&[0; 10]).await.is_err() || stream.flush().await.is_err());
        Ok(())
    });
}

/// A router whose handler says that it runs, and then that its connection drains. It answers when it is told
/// to.
fn held(status: StatusCode) -> (Router, mpsc::UnboundedReceiver<()>, Arc<Notify>) {
    let (tell, told) = mpsc::unbounded_channel();
    let go_on = Arc::new(Notify::new());
    let waits = go_on.clone();
    let handler = move |request: Request| {
        let (tell, waits) = (tell.clone(), waits.clone());
        async move {
            let _ = tell.send(());
            let signal = request.extensions().get::<DrainSignal>().cloned().expect("it is there");
            tokio::spawn(async move {
                signal.await;
                tell.send(())
            });
            waits.notified().await;
            if status == StatusCode::SWITCHING_PROTOCOLS {
                return shout(request).await;
            }
            (status, "at last").into_response()
        }
    };
    (Router::new().route("/shout", get(handler)), told, go_on)
}

#[test]
fn tk09_a_drain_waits_for_the_response_of_hyper() {
    for status in [StatusCode::OK, StatusCode::SWITCHING_PROTOCOLS] {
        with_tokio(async move {
            let (router, mut told, go_on) = held(status);
            let server = Server::bind("127.0.0.1:0")?.axum(router).upgrade_by_hyper().start_link().await?;
            let mut client = connect(&server).await;
            client.write_all(UPGRADE.as_bytes()).await?;
            told.recv().await.expect("the handler runs");
            let (stopping, address) = (server.clone(), client.local_address()?);
            let (main, seconds) = (this(), Duration::from_secs(30));
            spawn(async move { send(main, stopping.stop(seconds).await) });
            told.recv().await.expect("it drains");
            assert_eq!(server.connections()[0].peer, address, "it is still there");
            go_on.notify_one();
            let (head, body) = read_response(&mut client).await;
            if status == StatusCode::OK {
                assert!(head.starts_with("http/1.1 200 ") && body == "at last", "{head}{body}");
                assert!(head.contains("connection: close\r\n"), "{head}");
                assert_eq!(rest(&mut client).await, "");
            } else {
                assert!(head.starts_with("http/1.1 101 ") && !head.contains("close"), "{head}");
                assert_eq!(rest(&mut client).await, "bye");
            }
            let report: DrainReport = receive().await;
            assert!(report.cut.is_empty(), "{report:?}");
            Ok(())
        });
    }
}

#[test]
fn tk09_a_drain_ends_an_idle_connection_of_hyper() {
    with_tokio(async {
        let server = server().start_link().await?;
        let mut client = connect(&server).await;
        ask(&mut client, &get_with("/describe", ASKS)).await;
        let report = server.stop(Duration::from_secs(30)).await;
        assert!(report.cut.is_empty(), "{report:?}");
        assert_eq!(rest(&mut client).await, "");
        Ok(())
    });
}

#[test]
fn tk09_a_stream_without_bytes_ends_in_time() {
    with_tokio(async {
        let timeouts = ConnectionTimeouts::new().idle_timeout(millis(100));
        let server = changed(|server| server.socket(|socket| socket.connection_timeouts(timeouts)));
        let server = server.start_link().await?;
        let began = now();
        let mut upgraded = upgrade(&server).await;
        let mut refused = connect(&server).await;
        ask(&mut refused, &get_with("/describe", ASKS)).await;
        for client in [&mut upgraded, &mut refused] {
            rest(client).await;
            assert!(now() - began >= millis(100), "{:?}", now() - began);
        }
        until("both have ended", || server.info().all == 0).await;
        assert_eq!(server.info().timeouts.get("idle"), Some(&2), "{:?}", server.info().timeouts);
        assert_eq!(server.info().ended.crashed, 0);
        server.stop(Duration::ZERO).await;
        Ok(())
    });
}

#[test]
fn tk09_a_client_that_reads_nothing_is_cut() {
    with_tokio(async {
        let timeouts = ConnectionTimeouts::new().write_stall_timeout(millis(100));
        let router = Router::new().route(
            "/shout",
            get(|request: Request| async move {
                tokio::spawn(async move {
                    let Ok(upgraded) = hyper::upgrade::on(request).await else { return };
                    let mut stream = TokioIo::new(upgraded);
                    while stream.write_all(&[b'x'; 64 * 1024]).await.is_ok() {}
                });
                (StatusCode::SWITCHING_PROTOCOLS, [("connection", "upgrade"), ("upgrade", "shout")])
            }),
        );
        let server = Server::bind("127.0.0.1:0")?.socket(|socket| socket.connection_timeouts(timeouts));
        let server = server.axum(router).upgrade_by_hyper().start_link().await?;
        let _client = upgrade(&server).await;
        until("it is cut", || server.info().all == 0).await;
        assert_eq!(server.info().timeouts.get("write_stall"), Some(&1));
        server.stop(Duration::ZERO).await;
        Ok(())
    });
}

#[test]
fn tk09_a_client_that_leaves_ends_its_connection() {
    with_tokio(async {
        let server = server().start_link().await?;
        // Inside of the request, behind the switch, in the middle of the talk, between two requests.
        let mut client = connect(&server).await;
        client.write_all(&UPGRADE.as_bytes()[..30]).await?;
        drop(client);
        drop(upgrade(&server).await);
        let mut client = upgrade(&server).await;
        client.write_all(&[b'x'; 5000]).await?;
        drop(client);
        let mut client = connect(&server).await;
        ask(&mut client, &get_with("/describe", ASKS)).await;
        drop(client);
        let mut client = connect(&server).await;
        client.write_all(UPGRADE.as_bytes()).await?;
        drop(client);
        until("all have ended", || server.info().accepted == 5 && server.info().all == 0).await;
        assert_eq!(server.info().ended.crashed, 0, "{:?}", server.info().ended);
        server.stop(Duration::ZERO).await;
        Ok(())
    });
}

#[test]
fn tk09_a_client_that_stops_sending_is_answered_within_its_time() {
    with_tokio(async {
        let timeouts = Timeouts::new().half_closed_timeout(millis(200));
        let (router, mut told, go_on) = held(StatusCode::OK);
        let dropped = Arc::new(Mutex::new(()));
        let weak = Arc::downgrade(&dropped);
        let router = router.layer(axum::middleware::map_request(move |request: Request| {
            let kept = dropped.clone();
            async move {
                let mut request = request;
                request.extensions_mut().insert(kept);
                request
            }
        }));
        let server = Server::bind("127.0.0.1:0")?.timeouts(timeouts).axum(router).upgrade_by_hyper();
        let server = server.start_link().await?;
        let before = weak.strong_count();
        for answers in [true, false] {
            let mut client = connect(&server).await;
            client.write_all(UPGRADE.as_bytes()).await?;
            told.recv().await.expect("the handler runs");
            client.shutdown(Shutdown::Write)?;
            let began = now();
            if answers {
                go_on.notify_one();
                let (head, body) = read_response(&mut client).await;
                assert!(head.starts_with("http/1.1 200 ") && body == "at last", "{head}{body}");
            }
            assert_eq!(rest(&mut client).await, "");
            assert!(answers || now() - began >= millis(200), "{:?}", now() - began);
            told.recv().await.expect("the connection has ended");
            until("the handler is dropped", || server.info().all == 0).await;
            assert!(weak.strong_count() <= before, "nothing is left of the request");
        }
        assert_eq!(server.info().ended.crashed, 0);
        server.stop(Duration::ZERO).await;
        Ok(())
    });
}

#[test]
fn tk09_a_handler_that_panics_is_500_and_ends_its_connection_alone() {
    with_tokio(async {
        let server = server().start_link().await?;
        let mut other = upgrade(&server).await;
        let mut client = connect(&server).await;
        let (head, _) = ask(&mut client, &get_with("/panic", ASKS)).await;
        assert!(head.starts_with("http/1.1 500 ") && head.contains("connection: close\r\n"), "{head}");
        assert_eq!(rest(&mut client).await, "");
        until("it has crashed", || server.info().ended.crashed == 1).await;
        is_heard(&mut other, "still here").await;
        server.stop(Duration::ZERO).await;
        Ok(())
    });
}

#[test]
fn tk09_a_drain_signal_reaches_requests_of_hyper() {
    with_tokio(async {
        let (tell, mut told) = mpsc::unbounded_channel();
        let router = Router::new().route(
            "/describe",
            get(move |request: Request| {
                let tell = tell.clone();
                async move {
                    let signal = request.extensions().get::<DrainSignal>().cloned().expect("it is there");
                    let _ = tell.send(());
                    signal.await;
                    "drained"
                }
            }),
        );
        let server = Server::bind("127.0.0.1:0")?.axum(router).upgrade_by_hyper().start_link().await?;
        let mut client = connect(&server).await;
        client.write_all(get_with("/describe", ASKS).as_bytes()).await?;
        told.recv().await.expect("the handler runs");
        let report = server.stop(Duration::from_secs(30)).await;
        assert!(report.cut.is_empty(), "{report:?}");
        let (head, body) = read_response(&mut client).await;
        assert!(body == "drained" && head.contains("connection: close\r\n"), "{head}{body}");
        Ok(())
    });
}

#[test]
fn tk09_later_heads_have_their_time_and_server_names_are_sent() {
    with_tokio(async {
        let timeouts = Timeouts::new().head_timeout(millis(100)).idle_timeout(millis(100));
        let name = axum::http::HeaderValue::from_static("riot");
        let server = changed(|server| server.timeouts(timeouts).server_name(name)).start_link().await?;
        let mut client = connect(&server).await;
        let (head, _) = ask(&mut client, &get_with("/describe", ASKS)).await;
        assert!(head.contains("server: riot\r\n"), "{head}");
        let began = now();
        client.write_all(b"GET / HT").await?;
        rest(&mut client).await;
        assert!(now() - began >= millis(100) && now() - began < Duration::from_secs(20));
        until("it has ended", || server.info().all == 0).await;
        assert_eq!(server.info().ended.crashed, 0);
        server.stop(Duration::ZERO).await;
        Ok(())
    });
}

#[test]
fn tk09_a_connection_that_drains_already_is_upgraded_and_ends() {
    for (path, status) in [("/shout", "101"), ("/describe", "200")] {
        with_tokio(async move {
            let (tell, mut told) = mpsc::unbounded_channel();
            let first = get(move |request: Request| {
                let tell = tell.clone();
                async move { drop(tell.send(request.extensions().get::<DrainSignal>().cloned())) }
            });
            let timeouts = Timeouts::new().drain_idle_forever();
            let server = Server::bind("127.0.0.1:0")?.timeouts(timeouts).axum(router().route("/first", first));
            let server = server.upgrade_by_hyper().start_link().await?;
            let mut client = connect(&server).await;
            ask(&mut client, &get_with("/first", "")).await;
            let signal = told.recv().await.flatten().expect("it is there");
            let (main, stopping) = (this(), server.clone());
            spawn(async move { send(main, stopping.stop(Duration::from_secs(30)).await) });
            signal.await;
            let (head, _) = ask(&mut client, &get_with(path, ASKS)).await;
            assert!(head.starts_with(&format!("http/1.1 {status} ")), "{head}");
            assert_eq!(head.contains("connection: close\r\n"), status == "200", "{head}");
            assert_eq!(rest(&mut client).await, if status == "101" { "bye" } else { "" });
            let report: DrainReport = receive().await;
            assert!(report.cut.is_empty(), "{report:?}");
            Ok(())
        });
    }
}

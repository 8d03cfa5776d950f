//! A client alone writes nothing into the log above `DEBUG`, and every class of events has a level of its own
//! (B26).
#![cfg(feature = "driver")]

use std::time::Duration;

use kept_log::KeptLog;
use riot_actor::{Reason, log::LogLevel, simulation::Simulation, sleep};
use riot_http::{HandlerError, Reqd, Response, Server, ServerHandle};
use riot_socket::{
    Connection, LogLevels, Server as SocketServer,
    memory::{Listener, ScriptStep},
};
use tracing::Level;

#[path = "../../actor/tests/common/kept_log.rs"]
mod kept_log;

/// Returns the levels and the messages of a log.
fn lines(log: &KeptLog) -> Vec<(Level, String)> {
    log.events().into_iter().map(|event| (event.level, event.message)).collect()
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

async fn answer(reqd: Reqd) -> Result<(), HandlerError> {
    match reqd.request().path() {
        "/error" => Err("no database".into()),
        "/panic" => panic!("out of luck"),
        "/large" => {
            let mut body = reqd.respond_with_streaming(Response::ok())?;
            for _ in 0..1_000 {
                body.write(vec![b'x'; 10_000]).await?;
            }
            Ok(body.close()?)
        }
        _ => Ok(reqd.respond_with_string(Response::ok(), "").map(|_| ())?),
    }
}

/// Sends bytes, and leaves after a while.
async fn send(listener: &Listener, bytes: &[u8]) -> Result<(), Reason> {
    let mut client = listener.connect()?;
    let _ = client.write_all(bytes).await;
    sleep(Duration::from_secs(90)).await;
    Ok(())
}

/// Everything a client can do wrong.
async fn misbehave(listener: &Listener) -> Result<(), Reason> {
    send(listener, b"").await?;
    send(listener, b"GET / HT").await?;
    send(listener, b"nonsense\r\n\r\n").await?;
    send(listener, b"GET / HTTP/1.1\r\n\r\n").await?;
    send(listener, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nx").await?;
    send(listener, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n").await?;
    send(listener, b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n").await?;
    for cut in [0, 5, GET.len()] {
        let (stream, peer) = listener.connect_stream()?;
        let mut client = Connection::new(stream.clone(), peer);
        client.write_all(&GET[..cut]).await?;
        stream.script_writes([ScriptStep::Reset]);
        let _ = client.write_all(b"?").await;
        sleep(Duration::from_secs(1)).await;
    }
    Ok(())
}

/// Runs a program with a server, and returns the lines of its log.
fn log_of<F>(
    levels: LogLevels,
    program: impl FnOnce(Listener, ServerHandle) -> F + Send + 'static,
) -> Vec<(Level, String)>
where
    F: Future<Output = Result<(), Reason>> + Send,
{
    let log = KeptLog::default();
    tracing::subscriber::with_default(log.clone(), || {
        let reason = Simulation::new(3).run(async move {
            let listener = Listener::new();
            let server = Server::listen(listener.clone())
                .max_connections(2)
                .log_levels(levels)
                .handler(answer)
                .start_link()
                .await?;
            program(listener, server).await
        });
        assert_eq!(reason, Reason::Normal);
    });
    lines(&log)
}

#[test]
fn b26_a_client_alone_writes_nothing_above_debug() {
    let lines = log_of(LogLevels::new(), |listener, server| async move {
        misbehave(&listener).await?;
        let info = server.info();
        assert!(info.protocol_errors >= 3, "{info:?}");
        assert!(info.timeouts.values().sum::<u64>() >= 3, "{info:?}");
        Ok(())
    });
    let loud: Vec<_> = lines.iter().filter(|(level, _)| *level < Level::INFO).collect();
    assert!(loud.is_empty(), "{loud:?}");
    for text in ["broke the protocol: the host is missing", "timed out: head", "timed out: idle"] {
        assert!(lines.iter().any(|(_, line)| line.contains(text)), "{text} in {lines:?}");
    }
}

#[test]
fn b26_every_class_has_its_level() {
    let levels = LogLevels::new()
        .protocol_error(LogLevel::Error)
        .timeout(LogLevel::Warn)
        .handler_error(LogLevel::Info)
        .crash(LogLevel::Info)
        .limit(LogLevel::Info);
    let lines = log_of(levels, |listener, _server| async move {
        send(&listener, b"nonsense\r\n\r\n").await?;
        send(&listener, b"GET /").await?;
        send(&listener, b"GET /error HTTP/1.1\r\nHost: a\r\n\r\n").await?;
        send(&listener, b"GET /panic HTTP/1.1\r\nHost: a\r\n\r\n").await?;
        let _clients = [listener.connect()?, listener.connect()?, listener.connect()?];
        sleep(Duration::from_secs(1)).await;
        Ok(())
    });
    for (level, text) in [
        (Level::ERROR, "broke the protocol"),
        (Level::WARN, "timed out: head"),
        (Level::INFO, "a handler failed: no database"),
        (Level::INFO, "process crashed: panic: out of luck"),
        (Level::INFO, "the limit of 2 connections is reached"),
    ] {
        let found: Vec<_> = lines.iter().filter(|(_, line)| line.contains(text)).collect();
        assert!(matches!(found[..], [(at, _)] if *at == level), "{text}: {found:?} in {lines:?}");
    }
}

#[test]
fn b26_the_count_of_lines_that_repeat_has_their_level() {
    let levels = LogLevels::new().crash(LogLevel::Info);
    let lines = log_of(levels, |listener, _server| async move {
        for _ in 0..9 {
            let mut client = listener.connect()?;
            client.write_all(b"GET /panic HTTP/1.1\r\nHost: a\r\n\r\n").await?;
            client.read_to_end(10_000).await?;
        }
        for _ in 0..9 {
            let clients = [listener.connect()?, listener.connect()?, listener.connect()?];
            sleep(Duration::from_millis(10)).await;
            drop(clients);
            sleep(Duration::from_millis(10)).await;
        }
        sleep(Duration::from_secs(30)).await;
        Ok(())
    });
    for (level, text) in
        [(Level::INFO, "out of luck"), (Level::WARN, "the limit of 2 connections is reached")]
    {
        let counts: Vec<_> =
            lines.iter().filter(|(_, line)| line.contains("repeated ") && line.contains(text)).collect();
        assert!(!counts.is_empty(), "{text} in {lines:?}");
        assert!(counts.iter().all(|(at, _)| *at == level), "{text}: {counts:?}");
    }
}

#[test]
fn b26_every_class_can_be_off() {
    let off = LogLevels::new()
        .protocol_error(LogLevel::Off)
        .client_gone(LogLevel::Off)
        .timeout(LogLevel::Off)
        .limit(LogLevel::Off)
        .handshake(LogLevel::Off)
        .handler_error(LogLevel::Off)
        .crash(LogLevel::Off);
    let lines = log_of(off, |listener, _server| async move {
        misbehave(&listener).await?;
        send(&listener, b"GET /error HTTP/1.1\r\nHost: a\r\n\r\n").await?;
        send(&listener, b"GET /panic HTTP/1.1\r\nHost: a\r\n\r\n").await?;
        let _clients = [listener.connect()?, listener.connect()?, listener.connect()?];
        sleep(Duration::from_secs(1)).await;
        Ok(())
    });
    // The end of the server has lines of its own.
    let is_end = |line: &str| line.contains("drained") || line.contains("process exited");
    let lines: Vec<_> = lines.iter().filter(|(level, line)| *level < Level::TRACE && !is_end(line)).collect();
    assert!(lines.is_empty(), "{lines:?}");
}

#[test]
fn b26_handshakes_and_disconnects_have_levels() {
    let log = KeptLog::default();
    tracing::subscriber::with_default(log.clone(), || {
        let reason = Simulation::new(3).run(async move {
            let listener = Listener::new();
            let levels = LogLevels::new().handshake(LogLevel::Warn).client_gone(LogLevel::Info);
            let greeted = |mut connection: Connection| async move {
                connection.read_exact(&mut [0]).await.map(|()| connection)
            };
            SocketServer::listen(listener.clone())
                .log_levels(levels)
                .handshake(greeted)
                .start_link(
                    |mut connection: Connection| async move { connection.read_exact(&mut [0; 2]).await },
                )
                .await?;
            drop(listener.connect()?);
            let mut client = listener.connect()?;
            client.write_all(b"hi").await?;
            drop(client);
            sleep(Duration::from_secs(1)).await;
            Ok::<(), Reason>(())
        });
        assert_eq!(reason, Reason::Normal);
    });
    let lines = lines(&log);
    for (level, text) in [(Level::WARN, "the handshake with memory:1 failed"), (Level::INFO, "disconnected")]
    {
        let found: Vec<_> = lines.iter().filter(|(_, line)| line.contains(text)).collect();
        assert!(matches!(found[..], [(at, _)] if *at == level), "{text}: {found:?} in {lines:?}");
    }
}

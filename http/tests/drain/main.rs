//! A server that stops loses no request (DR1 to DR9): the phases of a drain, what each connection gets, and
//! the report.
#![cfg(feature = "driver")]

mod phases;
mod property;

use std::{io, ops::Range, time::Duration};

use riot_actor::{Reason, send, sleep, spawn, this, timeout};
use riot_http::{Reqd, Response, Server, ServerHandle};
use riot_socket::{Connection, DrainReport, memory::Listener};

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const SEEDS: Range<u64> = 0..50;

/// Answers at once, or after the number of milliseconds in the path.
async fn answer(reqd: Reqd) {
    let digits = reqd.request().path().trim_start_matches('/').split('/').next().unwrap_or_default();
    if let Ok(millis) = digits.parse::<u32>() {
        sleep(millis * MS).await;
    }
    let path = reqd.request().path().to_owned();
    let _ = reqd.respond_with_string(Response::ok(), path);
}

async fn start(listener: &Listener) -> Result<ServerHandle, Reason> {
    Ok(Server::listen(listener.clone()).handler(answer).start_link().await?)
}

/// Stops the server in a process of its own, which sends the report to the caller.
fn stop(server: &ServerHandle, timeout: Duration) {
    let (server, caller) = (server.clone(), this());
    spawn(async move { send(caller, server.stop(timeout).await) });
}

async fn report() -> DrainReport {
    riot_actor::receive().await
}

async fn hear(client: &mut Connection) -> Result<String, Reason> {
    Ok(String::from_utf8_lossy(&client.read_to_end(100_000).await?).into_owned())
}

/// Returns what comes within a short time.
async fn hear_now(client: &mut Connection) -> Result<String, Reason> {
    let mut buffer = [0; 4096];
    let read = timeout(10 * MS, client.read(&mut buffer)).await.unwrap_or(Ok(0))?;
    Ok(String::from_utf8_lossy(&buffer[..read]).into_owned())
}

fn says_last(heard: &str) -> bool {
    heard.starts_with("HTTP/1.1 200 ") && heard.contains("\r\nconnection: close\r\n")
}

/// Reads one response with a length.
async fn first_response(client: &mut Connection) -> io::Result<String> {
    let mut heard = Vec::new();
    loop {
        let mut byte = [0; 1];
        client.read_exact(&mut byte).await?;
        heard.push(byte[0]);
        if heard.ends_with(b"\r\n\r\n") {
            break;
        }
    }
    let head = String::from_utf8_lossy(&heard).into_owned();
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
    let mut body = vec![0; length.and_then(|length| length.parse().ok()).unwrap_or(0)];
    client.read_exact(&mut body).await?;
    Ok(head + &String::from_utf8_lossy(&body))
}

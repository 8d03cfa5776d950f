//! Requests to a server in memory, and a log that is kept.
#![allow(dead_code, reason = "every test file uses its own part")]
#![allow(unreachable_pub, reason = "shared by several crates")]

pub mod openmetrics;

use std::{
    fmt, io,
    sync::{Arc, Mutex},
};

use riot_socket::memory::Listener;
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

/// A response as a client gets it.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case, and values.
    pub fields: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8(bytes.to_vec()).expect("responses are text here");
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {text:?}"));
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status line");
        let fields = lines.filter_map(|line| line.split_once(": "));
        Self {
            status: status.parse().expect("a number"),
            fields: fields.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect(),
            body: body.to_owned(),
        }
    }

    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields.iter().filter(move |(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

/// Sends a request over a connection of its own, as a peer without an internet address.
pub async fn ask(listener: &Listener, method: &str, target: &str, fields: &str) -> Answer {
    talk(listener, "", method, target, fields).await
}

pub async fn get(listener: &Listener, target: &str) -> Answer {
    ask(listener, "GET", target, "").await
}

/// Sends a request as a peer with this address, to a server that expects the PROXY protocol.
pub async fn ask_from(peer: &str, listener: &Listener, target: &str, fields: &str) -> Answer {
    let family = if peer.contains(':') { "TCP6" } else { "TCP4" };
    let proxy = format!("PROXY {family} {peer} {peer} 5000 80\r\n");
    talk(listener, &proxy, "GET", target, fields).await
}

async fn talk(listener: &Listener, proxy: &str, method: &str, target: &str, fields: &str) -> Answer {
    try_talk(listener, proxy, method, target, fields).await.expect("the server answers")
}

/// Sends a request to a server that may not listen any more.
pub async fn try_get(listener: &Listener, target: &str) -> io::Result<Answer> {
    try_talk(listener, "", "GET", target, "").await
}

async fn try_talk(
    listener: &Listener,
    proxy: &str,
    method: &str,
    target: &str,
    fields: &str,
) -> io::Result<Answer> {
    let mut client = listener.connect()?;
    let host = if fields.contains("Host:") { "" } else { "Host: localhost\r\n" };
    let request = format!("{proxy}{method} {target} HTTP/1.1\r\n{host}Connection: close\r\n{fields}\r\n");
    client.write_all(request.as_bytes()).await?;
    Ok(Answer::parse(&client.read_to_end(4 * 1024 * 1024).await?))
}

/// The lines of the log from a level on.
#[derive(Clone)]
pub struct Kept {
    lines: Arc<Mutex<Vec<String>>>,
    target: &'static str,
}

impl Kept {
    /// Keeps what has this target.
    pub fn of(target: &'static str) -> Self {
        Self { lines: Arc::default(), target }
    }

    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("no panic while locked").clone()
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0 += &format!(" {field}={value:?}");
    }
}

impl Subscriber for Kept {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == self.target && *metadata.level() <= Level::INFO
    }
    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.lines.lock().expect("no panic while locked").push(line.0);
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

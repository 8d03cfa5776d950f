//! A strict reader of responses. It repairs nothing: whatever departs from the grammar of RFC 9112 is written
//! down as a defect.
#![allow(dead_code, reason = "every test file uses its own part")]

use std::collections::BTreeSet;

const HEAD_BYTES_MAX: usize = 256 * 1024;

/// Fields that come once at most.
const SINGLETONS: [&str; 9] = [
    "date",
    "content-length",
    "content-type",
    "server",
    "location",
    "last-modified",
    "etag",
    "age",
    "retry-after",
];

#[derive(Clone, Debug, Default)]
pub(crate) struct Response {
    pub(crate) minor: u8,
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
    pub(crate) framing: &'static str,
    pub(crate) complete: bool,
    pub(crate) defects: Vec<String>,
    pub(crate) interim: Vec<Response>,
}

impl Response {
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + 'a {
        self.headers.iter().filter(move |(key, _)| key == name).map(|(_, value)| &value[..])
    }

    /// The response is the one to `GET /bytes/7`.
    pub(crate) fn is_probes(&self) -> bool {
        self.complete && self.status == 200 && self.body == b"xxxxxxx"
    }

    pub(crate) fn brief(&self) -> String {
        let cut = if self.complete { "" } else { " (cut short)" };
        format!("{} {}:{}{cut}", self.status, self.framing, self.body.len())
    }

    fn parse(raw: &[u8]) -> Self {
        let mut response = Self { minor: 1, ..Self::default() };
        let text: String = raw.iter().map(|&byte| char::from(byte)).collect();
        let mut lines = text.split("\r\n");
        let status = lines.next().unwrap_or_default();
        match status_line(status) {
            Some((minor, code)) => (response.minor, response.status) = (minor, code),
            None => response.defects.push(format!("bad status line {status:?}")),
        }
        for line in lines {
            let Some((name, value)) = line.split_once(':').filter(|(name, _)| is_token(name)) else {
                response.defects.push(format!("bad field line {line:?}"));
                continue;
            };
            let value = value.trim_matches([' ', '\t']);
            if value.chars().any(|c| c.is_control() && c != '\t' && c < '\u{80}') {
                response.defects.push(format!("control byte in {line:?}"));
            }
            let value = value.chars().map(|c| c as u8).collect();
            response.headers.push((name.to_ascii_lowercase(), value));
        }
        for name in SINGLETONS {
            if response.all(name).count() > 1 {
                response.defects.push(format!("field {name} sent more than once"));
            }
        }
        response
    }

    /// How the body is delimited, and its length if that says so.
    fn frame(&mut self, to_head: bool) -> (&'static str, usize) {
        let codings: Vec<String> = self
            .all("transfer-encoding")
            .flat_map(|value| value.split(|&byte| byte == b','))
            .map(|coding| String::from_utf8_lossy(coding).trim().to_ascii_lowercase())
            .collect();
        let lengths: Vec<String> =
            self.all("content-length").map(|value| String::from_utf8_lossy(value).into_owned()).collect();
        let bodyless = self.status < 200 || self.status == 204;
        if !codings.is_empty() && !lengths.is_empty() {
            self.defects.push("both Transfer-Encoding and Content-Length".into());
        }
        if bodyless && !(codings.is_empty() && lengths.is_empty()) {
            self.defects.push(format!("framing fields in a {}", self.status));
        }
        let length = lengths.first().map(|length| {
            let digits = length.bytes().all(|byte| byte.is_ascii_digit()) && (1..=18).contains(&length.len());
            if !digits {
                self.defects.push(format!("Content-Length {length:?}"));
            }
            length.parse().unwrap_or(0)
        });
        if to_head || bodyless || self.status == 304 {
            return ("none", 0);
        }
        if !codings.is_empty() {
            if codings != ["chunked"] {
                self.defects.push(format!("Transfer-Encoding {codings:?}"));
            }
            return if codings.last().is_some_and(|last| last == "chunked") {
                ("chunked", 0)
            } else {
                ("eof", 0)
            };
        }
        length.map_or(("eof", 0), |length| ("cl", length))
    }
}

fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// `HTTP/1.x NNN reason`, to the letter.
fn status_line(line: &str) -> Option<(u8, u16)> {
    let rest = line.strip_prefix("HTTP/1.")?;
    let minor = rest.chars().next().filter(|c| matches!(c, '0' | '1'))?;
    let (code, reason) = rest[1..].strip_prefix(' ')?.split_at_checked(3)?;
    let digits = code.bytes().all(|byte| byte.is_ascii_digit()) && ("100"..="599").contains(&code);
    let reason = reason.strip_prefix(' ')?;
    let printable = reason.chars().all(|c| c == '\t' || !c.is_control());
    (digits && printable).then(|| (minor as u8 - b'0', code.parse().unwrap_or(0)))
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Head,
    Fixed,
    Size,
    Data,
    DataEnd,
    Trailers,
    UntilClose,
}

/// Takes bytes, gives responses.
#[derive(Debug)]
pub(crate) struct Reader {
    /// Which responses answer HEAD.
    pub(crate) heads: BTreeSet<usize>,
    pub(crate) buffer: Vec<u8>,
    pub(crate) finals: Vec<Response>,
    pub(crate) pending: Vec<Response>,
    pub(crate) current: Option<Response>,
    left: usize,
    state: State,
    /// The bytes are not HTTP, or not any more.
    pub(crate) dead: bool,
}

impl Reader {
    pub(crate) fn new(heads: BTreeSet<usize>) -> Self {
        Self {
            heads,
            buffer: Vec::new(),
            finals: Vec::new(),
            pending: Vec::new(),
            current: None,
            left: 0,
            state: State::Head,
            dead: false,
        }
    }

    /// Takes bytes in.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        while !self.dead && self.step() {}
    }

    fn fail(&mut self, why: &str) -> bool {
        let start = String::from_utf8_lossy(&self.buffer[..self.buffer.len().min(60)]).into_owned();
        let current = self.current.get_or_insert_with(|| Response { framing: "?", ..Response::default() });
        current.defects.push(format!("{why}: {start:?}"));
        self.done(false);
        self.dead = true;
        false
    }

    fn done(&mut self, complete: bool) {
        self.state = State::Head;
        let Some(mut response) = self.current.take() else { return };
        response.complete = complete;
        if complete && (100..200).contains(&response.status) && response.status != 101 {
            self.pending.push(response);
            return;
        }
        if response.status == 101 {
            self.dead = true;
            self.buffer.clear();
        }
        response.interim = std::mem::take(&mut self.pending);
        self.finals.push(response);
    }

    fn take(&mut self, bytes: usize) {
        if let Some(current) = &mut self.current {
            current.body.extend(self.buffer.drain(..bytes));
        }
    }

    /// A line, without its end, if it is there.
    fn line(&mut self) -> Option<String> {
        let end = self.buffer.windows(2).position(|two| two == b"\r\n")?;
        let line = self.buffer.drain(..end + 2).take(end).map(char::from).collect();
        Some(line)
    }

    /// Goes on by one step; false if more bytes are needed.
    fn step(&mut self) -> bool {
        if self.buffer.is_empty() {
            return false;
        }
        match self.state {
            State::Head => {
                let start = &self.buffer[..self.buffer.len().min(7)];
                if !b"HTTP/1.".starts_with(start) {
                    return self.fail("bytes that are no response");
                }
                let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") else {
                    return self.buffer.len() > HEAD_BYTES_MAX && self.fail("the head is too long");
                };
                let mut response = Response::parse(&self.buffer[..end]);
                self.buffer.drain(..end + 4);
                (response.framing, self.left) = response.frame(self.heads.contains(&self.finals.len()));
                self.state = match response.framing {
                    "cl" if self.left > 0 => State::Fixed,
                    "chunked" => State::Size,
                    "eof" => State::UntilClose,
                    _ => State::Head,
                };
                self.current = Some(response);
                if self.state == State::Head {
                    self.done(true);
                }
            }
            State::Fixed | State::Data => {
                let taken = self.left.min(self.buffer.len());
                self.take(taken);
                self.left -= taken;
                match (self.left, self.state) {
                    (0, State::Fixed) => self.done(true),
                    (0, _) => self.state = State::DataEnd,
                    _ => {}
                }
            }
            State::Size => {
                let Some(line) = self.line() else {
                    let long = self.buffer.len() > 4096 || self.buffer.contains(&b'\n');
                    return long && self.fail("bad chunk size");
                };
                let size = line.split(';').next().unwrap_or_default().trim_end_matches([' ', '\t']);
                let is_size = size.bytes().all(|byte| byte.is_ascii_hexdigit());
                match usize::from_str_radix(size, 16) {
                    Ok(size) if is_size => self.left = size,
                    _ => return self.fail("bad chunk size"),
                }
                self.state = if self.left == 0 { State::Trailers } else { State::Data };
            }
            State::DataEnd => {
                if self.buffer.len() < 2 {
                    return false;
                }
                if !self.buffer.starts_with(b"\r\n") {
                    return self.fail("a chunk does not end");
                }
                self.buffer.drain(..2);
                self.state = State::Size;
            }
            State::Trailers => {
                let Some(line) = self.line() else { return false };
                if line.is_empty() {
                    self.done(true);
                } else if !line.split_once(':').is_some_and(|(name, _)| is_token(name))
                    && let Some(current) = &mut self.current
                {
                    current.defects.push(format!("bad trailer line {line:?}"));
                }
            }
            State::UntilClose => self.take(self.buffer.len()),
        }
        true
    }

    /// There are no more.
    pub(crate) fn end(&mut self) {
        if self.dead {
            return;
        }
        if self.current.is_some() {
            self.done(self.state == State::UntilClose);
        } else if !self.buffer.is_empty() {
            self.fail("closed inside a head");
        }
    }
}

//! A client of raw bytes.

use std::{
    collections::BTreeSet,
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use super::responses::Reader;
pub(crate) use super::responses::Response;

/// A connection that remembers how it ended.
pub(crate) struct Client {
    stream: TcpStream,
    pub(crate) reader: Reader,
    pub(crate) closed: bool,
    /// The peer takes nothing more.
    refused: bool,
    /// Bytes received.
    pub(crate) received: usize,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr, heads: BTreeSet<usize>) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(Duration::from_millis(20)))?;
        Ok(Self { stream, reader: Reader::new(heads), closed: false, refused: false, received: 0 })
    }

    /// Sends all of it. While the peer takes nothing, what it says is read, so that two large bodies do not
    /// block each other. Says whether the peer took it.
    pub(crate) fn send(&mut self, mut bytes: &[u8]) -> bool {
        let limit = Instant::now() + Duration::from_secs(30);
        while !bytes.is_empty() && !self.refused {
            match self.stream.write(bytes) {
                Ok(sent) => bytes = &bytes[sent..],
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    self.pump(Duration::from_millis(1));
                    self.refused = Instant::now() > limit;
                }
                Err(_) => self.refused = true,
            }
        }
        !self.refused
    }

    pub(crate) fn dribble(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if !self.send(&[*byte]) {
                return;
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// Reads once; says whether something came, bytes or the end.
    pub(crate) fn pump(&mut self, wait: Duration) -> bool {
        if self.closed {
            return false;
        }
        let mut buffer = [0; 64 * 1024];
        let _ = self.stream.set_read_timeout(Some(wait.max(Duration::from_millis(1))));
        match self.stream.read(&mut buffer) {
            Ok(0) => {
                self.closed = true;
                self.reader.end();
            }
            Ok(read) => {
                self.received += read;
                self.reader.feed(&buffer[..read]);
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return false;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => {
                self.closed = true;
                self.reader.end();
            }
        }
        true
    }

    /// Reads until it is so, the peer closes, or the time is over; says whether it is so.
    pub(crate) fn read_until(&mut self, time: Duration, mut is_so: impl FnMut(&Self) -> bool) -> bool {
        let limit = Instant::now() + time;
        loop {
            if is_so(self) {
                return true;
            }
            let left = limit.saturating_duration_since(Instant::now());
            if self.closed || self.reader.dead || left.is_zero() {
                return is_so(self);
            }
            self.pump(left);
        }
    }

    pub(crate) fn wait_finals(&mut self, responses: usize, time: Duration) -> bool {
        self.read_until(time, |client| client.reader.finals.len() >= responses)
    }

    pub(crate) fn wait_closed(&mut self, time: Duration) -> bool {
        let limit = Instant::now() + time;
        while !self.closed {
            let left = limit.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            self.pump(left);
        }
        true
    }

    pub(crate) fn fin(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Goes away with a reset.
    pub(crate) fn reset(self) {
        let _ = socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }
}

/// An ordinary request.
pub(crate) fn request(method: &str, target: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    let mut request = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{fields}").into_bytes();
    if !body.is_empty() && !fields.starts_with("Transfer-Encoding") {
        request.extend(format!("Content-Length: {}\r\n", body.len()).bytes());
    }
    request.extend(b"\r\n");
    if fields.starts_with("Transfer-Encoding") {
        for chunk in body.chunks(1 + body.len() / 3) {
            request.extend(format!("{:x}\r\n", chunk.len()).bytes());
            request.extend(chunk);
            request.extend(b"\r\n");
        }
        request.extend(b"0\r\n\r\n");
    } else {
        request.extend(body);
    }
    request
}

//! The connections of the load generator, and the loop that serves them.
//!
//! Sockets are registered once, for both directions, edge-triggered. A read that does not fill the buffer has
//! emptied the socket, so a response takes one read.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, Read, Write},
    net::SocketAddr,
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Token, net::TcpStream};

use super::{super::workload::NUMBER, LoadShape, Spec};

/// The size of the read buffer.
const BUFFER_BYTES: usize = 256 * 1024;

/// Connections opened before requests are sent on them, so that no server's backlog overflows.
const OPENED_AT_ONCE: usize = 64;

/// The run fails after this time without any response.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(10);

/// The end of a run.
#[derive(Clone, Copy)]
pub(crate) enum Until {
    /// Until this time has passed and at least one response has come.
    Elapsed(Duration),
    /// Until at least this number of responses has come; batches are whole.
    Requests(u64),
}

/// The counts of a run.
#[derive(Default)]
pub(crate) struct Counted {
    pub(crate) requests: u64,
    pub(crate) elapsed: Duration,
    /// Latency of each batch.
    pub(crate) nanos: Vec<u32>,
}

struct Connection {
    stream: Option<TcpStream>,
    /// Bytes of the current batch that are not yet sent.
    unsent: usize,
    /// Bytes of its responses that have not come yet.
    expected: usize,
    since: Instant,
}

pub(crate) struct Client {
    address: SocketAddr,
    shape: LoadShape,
    active: usize,
    pipeline: usize,
    /// The bytes of a batch of requests.
    batch: Vec<u8>,
    /// Offsets in the batch of the digits by which requests differ, and the last number used.
    numbers: Vec<usize>,
    number: u64,
    answers_bytes: usize,
    poll: Poll,
    connections: Vec<Connection>,
    buffer: Vec<u8>,
}

impl Client {
    /// Opens every connection, and waits for one response on each.
    pub(crate) fn connect(spec: &Spec) -> Result<Self, String> {
        let batch = spec.request.repeat(spec.pipeline);
        let mut client = Self {
            address: spec.address.parse().map_err(|_| format!("`{}` is not an address", spec.address))?,
            shape: spec.shape,
            active: spec.active,
            pipeline: spec.pipeline,
            numbers: batch.match_indices(NUMBER).map(|(at, _)| at + NUMBER.len()).collect(),
            number: 0,
            batch: batch.into_bytes(),
            answers_bytes: spec.answer_bytes * spec.pipeline,
            poll: Poll::new().map_err(|error| error.to_string())?,
            connections: Vec::new(),
            buffer: vec![0; BUFFER_BYTES],
        };
        while client.connections.len() < spec.connections {
            let first = client.connections.len();
            let now = Instant::now();
            for _ in first..spec.connections.min(first + OPENED_AT_ONCE) {
                client.connections.push(Connection { stream: None, unsent: 0, expected: 0, since: now });
            }
            if client.shape != LoadShape::Churn {
                client.ask_once(first).map_err(|error| client.failed(&error))?;
            }
        }
        Ok(client)
    }

    /// Sends a batch on all connections from `first` on, and waits for the responses.
    fn ask_once(&mut self, first: usize) -> io::Result<()> {
        for nth in first..self.connections.len() {
            self.start(nth, Instant::now())?;
        }
        let mut missing = self.connections.len() - first;
        let mut events = Events::with_capacity(1024);
        while missing > 0 {
            self.wait(&mut events, Some(SILENCE_TIMEOUT))?;
            for event in &events {
                missing -= usize::from(self.progress(event.token().0)?);
            }
        }
        Ok(())
    }

    /// Sends requests until `until`. Batches in flight at that time are awaited but not counted.
    pub(crate) fn run(&mut self, until: Until) -> Result<Counted, String> {
        let counted = self.try_run(until);
        counted.map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &io::Error) -> String {
        format!("load on {}: {error}", self.address)
    }

    fn try_run(&mut self, until: Until) -> io::Result<Counted> {
        let mut events = Events::with_capacity(1024);
        let mut counted = Counted::default();
        let start = Instant::now();
        let mut due = start;
        // Connections waiting for a request to be due, or for a free port.
        let mut idle: VecDeque<usize> = (0..self.active).collect();
        let mut busy = 0;
        let is_enough = |counted: &Counted, in_flight: usize, now: Instant| match until {
            Until::Elapsed(time) => now - start >= time && counted.requests > 0,
            Until::Requests(count) => counted.requests + in_flight as u64 >= count,
        };
        loop {
            let now = Instant::now();
            let over = is_enough(&counted, busy * self.pipeline, now);
            let is_last = busy == 0 || matches!(until, Until::Elapsed(_));
            if over && is_last && counted.elapsed.is_zero() {
                counted.elapsed = now - start;
            }
            if over && busy == 0 {
                return Ok(counted);
            }
            while !idle.is_empty() && !is_enough(&counted, busy * self.pipeline, now) {
                let since = match self.shape {
                    LoadShape::Rate(_) if due > now => break,
                    LoadShape::Rate(rate) => {
                        let next = due + Duration::from_secs_f64(1.0 / rate);
                        std::mem::replace(&mut due, next)
                    }
                    LoadShape::Closed | LoadShape::Churn => Instant::now(),
                };
                let nth = idle.pop_front().expect("one is idle");
                match self.start(nth, since) {
                    Ok(()) => busy += 1,
                    Err(error) if error.kind() == ErrorKind::AddrNotAvailable => {
                        idle.push_back(nth);
                        break;
                    }
                    Err(error) => return Err(error),
                }
            }
            self.wait(&mut events, self.poll_timeout(over, busy))?;
            for event in &events {
                let nth = event.token().0;
                if self.progress(nth)? {
                    busy -= 1;
                    idle.push_back(nth);
                    if counted.elapsed.is_zero() {
                        let nanos = self.connections[nth].since.elapsed().as_nanos();
                        counted.requests += self.pipeline as u64;
                        counted.nanos.push(u32::try_from(nanos).unwrap_or(u32::MAX));
                    }
                }
            }
        }
    }

    /// Returns the time to wait for an event: zero if a request may become due.
    fn poll_timeout(&self, over: bool, busy: usize) -> Option<Duration> {
        match self.shape {
            LoadShape::Rate(_) if !over => Some(Duration::ZERO),
            LoadShape::Churn if !over && busy < self.active => Some(Duration::from_millis(1)),
            _ => Some(SILENCE_TIMEOUT),
        }
    }

    fn wait(&mut self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        loop {
            match self.poll.poll(events, timeout) {
                Ok(()) if events.is_empty() && timeout == Some(SILENCE_TIMEOUT) => {
                    return Err(io::Error::new(ErrorKind::TimedOut, "no response in time"));
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }

    fn start(&mut self, nth: usize, since: Instant) -> io::Result<()> {
        for &at in &self.numbers {
            self.number += 1;
            self.batch[at..at + 8].copy_from_slice(format!("{:08}", self.number % 100_000_000).as_bytes());
        }
        let connection = &mut self.connections[nth];
        if connection.stream.is_none() {
            let mut stream = TcpStream::connect(self.address)?;
            let both = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, Token(nth), both)?;
            connection.stream = Some(stream);
        }
        connection.since = since;
        connection.unsent = self.batch.len();
        connection.expected = self.answers_bytes;
        self.send(nth)
    }

    fn send(&mut self, nth: usize) -> io::Result<()> {
        let connection = &mut self.connections[nth];
        let Some(stream) = &mut connection.stream else { return Ok(()) };
        while connection.unsent > 0 {
            match stream.write(&self.batch[self.batch.len() - connection.unsent..]) {
                Ok(count) => connection.unsent -= count,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {
                    break;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Sends and receives without blocking. Returns whether the batch is now answered.
    fn progress(&mut self, nth: usize) -> io::Result<bool> {
        self.send(nth)?;
        let connection = &mut self.connections[nth];
        let Some(stream) = &mut connection.stream else { return Ok(false) };
        while connection.expected > 0 {
            let count = match stream.read(&mut self.buffer) {
                Ok(0) => {
                    return Err(io::Error::new(
                        ErrorKind::UnexpectedEof,
                        "the server closed a connection early",
                    ));
                }
                Ok(count) => count,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {
                    break;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let begins = connection.expected == self.answers_bytes;
            if begins && !self.buffer[..count].starts_with(&b"HTTP/1.1 200"[..count.min(12)]) {
                let line = String::from_utf8_lossy(&self.buffer[..count.min(32)]).into_owned();
                return Err(io::Error::other(format!("a response begins with {line:?}")));
            }
            let Some(left) = connection.expected.checked_sub(count) else {
                return Err(io::Error::other("a response is longer than the checked one"));
            };
            connection.expected = left;
            if left == 0 {
                if self.shape == LoadShape::Churn {
                    connection.stream = None;
                }
                return Ok(true);
            }
            if count < self.buffer.len() {
                break;
            }
        }
        Ok(false)
    }
}

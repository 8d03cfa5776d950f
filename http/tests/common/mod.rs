//! A connection held by hand, with a handler or without.
#![allow(dead_code, reason = "every test file uses its own part")]
#![allow(unreachable_pub, reason = "shared by several crates")]

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Waker},
    time::UNIX_EPOCH,
};

use riot_flow::ManualDriver;
use riot_http::{Handler, Http1, HttpConfig, Limits, Reqd, Requests, Timeouts, serve_requests};

/// The line that every final answer has here.
pub const DATE: &str = "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n";

/// The smallest request.
pub const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// A configuration whose clock stands still.
pub fn config() -> HttpConfig {
    HttpConfig::new().clock(|| UNIX_EPOCH)
}

pub fn limited(limits: Limits) -> HttpConfig {
    config().limits(limits)
}

pub fn timed(timeouts: Timeouts) -> HttpConfig {
    config().timeouts(timeouts)
}

/// A connection and its requests; the test is driver and handler.
pub struct Held {
    pub hand: ManualDriver<Http1>,
    pub requests: Requests,
}

impl Held {
    pub fn new(config: HttpConfig) -> Self {
        let (connection, requests) = Http1::new(Arc::new(config));
        Self { hand: ManualDriver::new(connection), requests }
    }

    /// The next request, if it is there.
    pub fn next(&mut self) -> Option<Reqd> {
        match poll(self.requests.next()) {
            Poll::Ready(Some(reqd)) => Some(reqd),
            _ => None,
        }
    }

    /// A request of these bytes.
    pub fn request(&mut self, bytes: &str) -> Reqd {
        self.hand.push(bytes.as_bytes());
        self.next().unwrap_or_else(|| panic!("no request came of {bytes:?}"))
    }

    /// No more requests will come.
    pub fn is_over(&mut self) -> bool {
        matches!(poll(self.requests.next()), Poll::Ready(None))
    }

    /// Collects what is sent, without its dates.
    pub fn heard(&mut self) -> String {
        undated(self.hand.collect())
    }

    /// Both directions have ended.
    pub fn is_closed(&mut self) -> bool {
        self.hand.read_is_closed() && self.hand.write_is_closed().is_some()
    }
}

/// Returns a response to a GET as it is heard: 200 with this body, without its date.
pub fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

pub fn undated(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("answers are text here").replace(DATE, "")
}

/// A connection whose requests are handled.
pub struct Served {
    pub hand: ManualDriver<Http1>,
    task: Option<Pin<Box<dyn Future<Output = ()>>>>,
}

impl Served {
    pub fn new(config: HttpConfig, handler: impl Handler) -> Self {
        let (connection, requests) = Http1::new(Arc::new(config));
        let task = Box::pin(async move { serve_requests(requests, &handler).await });
        Self { hand: ManualDriver::new(connection), task: Some(task) }
    }

    /// Runs both sides until neither has anything to do; returns what was sent meanwhile, in writes of at
    /// most `piece`.
    pub fn run(&mut self, piece: usize) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            if let Some(task) = &mut self.task
                && poll(task.as_mut()).is_ready()
            {
                self.task = None;
            }
            self.hand.pump();
            let sent = self.hand.collect_at_most(piece);
            if sent.is_empty() && self.is_quiet() {
                return all;
            }
            all.extend(sent);
        }
    }

    fn is_quiet(&mut self) -> bool {
        let before = self.hand.unread().len();
        if let Some(task) = &mut self.task
            && poll(task.as_mut()).is_ready()
        {
            self.task = None;
        }
        self.hand.pump();
        before == self.hand.unread().len() && self.hand.collect_at_most(0).is_empty() && !self.has_output()
    }

    fn has_output(&mut self) -> bool {
        let now = self.hand.now();
        let operation = riot_flow::Flow::next_write_operation(&mut self.hand.flow, now);
        let has_output = matches!(operation, riot_flow::WriteOperation::Write(_));
        if has_output {
            let nothing = riot_flow::WriteResult::Written(0);
            riot_flow::Flow::report_write_result(&mut self.hand.flow, nothing, now);
        }
        has_output
    }

    /// Returns what is sent for these bytes, without dates.
    pub fn talk(&mut self, bytes: impl AsRef<[u8]>) -> String {
        self.hand.push(bytes.as_ref());
        undated(self.run(usize::MAX))
    }

    pub fn is_closed(&mut self) -> bool {
        self.hand.read_is_closed() && self.hand.write_is_closed().is_some()
    }
}

/// Polls once.
pub fn poll<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Takes what must be ready.
pub fn ready<F: Future>(future: F) -> F::Output {
    match poll(future) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("not ready"),
    }
}

/// A waker that counts.
pub struct Count(AtomicUsize);

impl Count {
    pub fn new() -> (Arc<Self>, Waker) {
        let count = Arc::new(Self(AtomicUsize::new(0)));
        (count.clone(), Waker::from(count))
    }
    pub fn get(&self) -> usize {
        self.0.load(SeqCst)
    }
}

impl std::task::Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

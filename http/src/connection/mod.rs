//! The flow for one peer: bytes on one side, requests on the other.

use std::{
    any::Any,
    fmt,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Instant, SystemTime},
};

use bytes::Bytes;
use http::HeaderValue;
use riot_flow::{Flow, FlowError, Output, ReadOperation, WriteOperation, WriteResult};

use crate::{Limits, RequestError, Timeouts};

mod answer;
mod deadlines;
mod incoming;
mod input;
mod reqd;
pub(crate) mod state;

pub(crate) use answer::Payload;
pub use reqd::{Reqd, Responder, Upgrade, Upgraded};
use state::{Shared, Writing, register};

/// What is the same for all connections of a server.
pub struct Config {
    pub(crate) limits: Limits,
    pub(crate) timeouts: Timeouts,
    pub(crate) server_name: Option<HeaderValue>,
    pub(crate) clock: Box<dyn Fn() -> SystemTime + Send + Sync>,
}

impl Config {
    /// Every limit and timeout on, no `Server` field, the system's clock.
    #[must_use]
    pub fn new() -> Self {
        let (limits, timeouts) = (Limits::new(), Timeouts::new());
        Self { limits, timeouts, server_name: None, clock: Box::new(SystemTime::now) }
    }

    /// Other bounds.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Other timers.
    #[must_use]
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// What answers say in `Server` (RFC 9110 §10.2.4); nothing by default.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<Option<HeaderValue>>) -> Self {
        self.server_name = name.into();
        self
    }

    /// Where `Date` is taken from: something cheaper than the system's clock, or one that is wound by hand.
    #[must_use]
    pub fn clock(mut self, clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        self.clock = Box::new(clock);
        self
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Config");
        debug.field("limits", &self.limits).field("timeouts", &self.timeouts);
        debug.field("server_name", &self.server_name).finish_non_exhaustive()
    }
}

/// HTTP/1.1 for one peer (RFC 9112), as a [`Flow`]: to be driven by two loops, while its [`Requests`] are answered
/// wherever one likes.
///
/// Two things its driver has to know beyond [`Flow`]: bytes left over when the reader yielded are to be presented
/// again as soon as it may read, whether new ones came or not; and the flow can end while a read is under way, so
/// whoever sees [`is_closed`](Flow::is_closed) ends that read.
///
/// Dropped, it takes its requests with it: nothing can be answered any more.
#[derive(Debug)]
pub struct Connection {
    shared: Arc<Shared>,
    /// Bytes the writing loop has been given. Sent before those it has not.
    sending: Output,
}

impl Connection {
    /// A connection just opened, and the requests that will come on it.
    #[must_use]
    pub fn new(config: Arc<Config>) -> (Self, Requests) {
        let shared = Shared::new(config);
        let requests = Requests { shared: shared.clone() };
        (Self { shared, sending: Output::new() }, requests)
    }

    /// Hands the transport over after a switch of protocols, with what was read of it and not consumed. Whoever
    /// holds the [`Upgrade`] gets it.
    pub fn offer_transport<T: Any + Send>(&mut self, transport: T, unread: Bytes) {
        let mut inner = self.shared.lock();
        inner.offer = Some((Box::new(transport), unread));
        inner.wake_switch();
    }

    /// Requests received so far, refused ones included.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.shared.lock().requests
    }

    /// No request is under way and nothing is left to send.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.shared.lock().is_idle()
    }
}

impl Flow for Connection {
    fn next_read_operation(&mut self) -> ReadOperation {
        self.shared.lock().read_operation()
    }

    fn read(&mut self, bytes: &[u8], now: Instant) -> usize {
        self.shared.lock().read(bytes, now)
    }

    fn read_eof(&mut self, bytes: &[u8], now: Instant) -> usize {
        self.shared.lock().read_eof(bytes, now)
    }

    fn yield_reader(&mut self, waker: &Waker) {
        let mut inner = self.shared.lock();
        inner.held_back &= inner.is_paused();
        match inner.read_operation() {
            ReadOperation::Yield => {
                inner.reader.register(waker);
                inner.reader_waits = true;
            }
            _ => waker.wake_by_ref(),
        }
    }

    fn next_write_operation(&mut self, now: Instant) -> WriteOperation<'_> {
        let mut inner = self.shared.lock();
        inner.deadlines.enter(now);
        if self.sending.is_empty() {
            std::mem::swap(&mut self.sending, &mut inner.output);
        }
        if !self.sending.is_empty() {
            inner.writing_begun();
            inner.leave();
            return WriteOperation::Write(self.sending.slices());
        }
        inner.leave();
        if inner.writer_is_done() { WriteOperation::Close(inner.undelivered) } else { WriteOperation::Yield }
    }

    fn report_write_result(&mut self, result: WriteResult, now: Instant) {
        let mut inner = self.shared.lock();
        inner.deadlines.enter(now);
        match result {
            WriteResult::Written(bytes) => {
                self.sending.advance(bytes);
                inner.sent(bytes);
            }
            WriteResult::Closed => {
                self.sending.clear();
                inner.lose();
            }
        }
        inner.leave();
    }

    fn yield_writer(&mut self, waker: &Waker) {
        let mut inner = self.shared.lock();
        if inner.pending() > 0 || inner.writer_is_done() {
            waker.wake_by_ref();
        } else {
            inner.writer.register(waker);
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.shared.lock().deadlines.next()
    }

    fn watch_deadline(&mut self, waker: &Waker) {
        self.shared.lock().deadlines.watch(waker);
    }

    fn handle_deadline(&mut self, now: Instant) {
        let mut inner = self.shared.lock();
        inner.handle_deadline(now);
        if inner.lost_at.is_some() {
            self.sending.clear();
        }
        if inner.is_idle() {
            self.sending.release();
        }
    }

    fn report_error(&mut self, error: FlowError) {
        let mut inner = self.shared.lock();
        match error {
            FlowError::Transport(_) => {
                self.sending.clear();
                inner.lose();
            }
            FlowError::Application(_) => {
                inner.fail_handler(RequestError::HandlerFailed);
                inner.end();
            }
        }
        inner.leave();
    }

    fn shutdown_gracefully(&mut self) {
        let mut inner = self.shared.lock();
        inner.drain();
        inner.leave();
    }

    fn shutdown(&mut self) {
        let mut inner = self.shared.lock();
        inner.close();
        inner.leave();
    }

    fn is_closed(&self) -> bool {
        self.shared.lock().is_over()
    }

    fn is_upgraded(&self) -> bool {
        self.shared.lock().is_switched()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut inner = self.shared.lock();
        if !inner.is_over() {
            inner.lose();
            inner.leave();
        }
        inner.driver_gone = true;
        inner.wake_switch();
    }
}

/// The requests of one connection, one after the other (H1).
///
/// The next comes when the one before it has been answered and its body has been read or dropped. Dropped, it lets
/// the request under way finish and takes no more.
#[derive(Debug)]
pub struct Requests {
    shared: Arc<Shared>,
}

impl Requests {
    /// The next request; none when the connection will bring no more.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, it has taken nothing.
    pub async fn next(&mut self) -> Option<Reqd> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    /// As [`next`](Self::next). Ready at once if a request waits and there is room to answer it.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Reqd>> {
        let mut inner = self.shared.lock();
        if inner.requests_are_over() {
            return Poll::Ready(None);
        }
        if inner.has_room() {
            if let Some((id, head)) = inner.hand_over() {
                let has_body = inner.active(id).is_some_and(|exchange| exchange.incoming.is_some());
                drop(inner);
                return Poll::Ready(Some(Reqd::new(self.shared.clone(), id, head, has_body)));
            }
        } else {
            inner.next_needs_room = true;
        }
        register(&mut inner.next, context.waker());
        Poll::Pending
    }

    /// Ready when the peer is gone, or both directions are closed: whatever a handler still does, nobody will see it
    /// (H12). A peer that only stopped sending is not gone.
    pub fn closed(&self) -> Closed {
        Closed { shared: self.shared.clone() }
    }
}

impl Drop for Requests {
    fn drop(&mut self) {
        let mut inner = self.shared.lock();
        if inner.writing == Writing::Open {
            let waiting = usize::from(
                inner.exchanges.front().is_some_and(|first| first.answer != state::Answer::Queued),
            );
            inner.forget_from(waiting);
            inner.drain();
            inner.leave();
        }
    }
}

/// The end of a connection, to be waited for; see [`Requests::closed`].
#[derive(Debug)]
#[must_use = "it is to be awaited"]
pub struct Closed {
    shared: Arc<Shared>,
}

impl Future for Closed {
    type Output = ();

    fn poll(self: std::pin::Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.shared.lock();
        if inner.lost_at.is_some() || inner.is_over() {
            return Poll::Ready(());
        }
        if !inner.closed.iter().any(|waker| waker.will_wake(context.waker())) {
            inner.closed.push(context.waker().clone());
        }
        Poll::Pending
    }
}

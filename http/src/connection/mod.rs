//! The flow for one peer: bytes on one side, requests on the other.

use std::{any::Any, hint::cold_path, sync::Arc, task::Waker, time::Instant};

use bytes::Bytes;
use riot_flow::{Activity, Flow, FlowError, Output, ReadOperation, WriteOperation, WriteResult};

use crate::RequestError;

mod answer;
mod config;
mod deadlines;
pub(crate) mod exchange;
mod incoming;
mod input;
mod reqd;
mod requests;
pub(crate) mod state;

pub(crate) use answer::Payload;
pub use config::HttpConfig;
pub use reqd::{Reqd, Responder, Upgrade, Upgraded};
pub use requests::{Closed, Requests};
use state::{Inner, Shared};

/// HTTP/1.1 for one peer (RFC 9112), as a [`Flow`]: to be driven by two loops, while its [`Requests`] are answered
/// wherever one likes.
///
/// Two things its driver has to know beyond [`Flow`]: bytes left over when the reader yielded are to be presented
/// again as soon as it may read, whether new ones came or not; and the flow can end while a read is under way, so
/// whoever sees [`is_closed`](Flow::is_closed) ends that read.
///
/// Dropped, it takes its requests with it: nothing can be answered any more.
#[derive(Debug)]
pub struct Http1 {
    shared: Arc<Shared>,
    /// Bytes the writing loop has been given. Sent before those it has not.
    sending: Output,
}

impl Http1 {
    /// A connection just opened, and the requests that will come on it.
    #[must_use]
    pub fn new(config: Arc<HttpConfig>) -> (Self, Requests) {
        let shared = Shared::new(config);
        let requests = Requests::new(shared.clone());
        (Self { shared, sending: Output::new() }, requests)
    }

    /// Hands the transport over after a switch of protocols, with what was read of it and not consumed. Whoever
    /// holds the [`Upgrade`] gets it. The same as [`Flow::hand_over`].
    pub fn offer_transport<T: Any + Send>(&mut self, transport: T, unread: Bytes) {
        self.hand_over(Box::new(transport), unread);
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

impl Flow for Http1 {
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

    fn read_on(&mut self, bytes: &[u8], now: Instant) -> (usize, ReadOperation) {
        let mut inner = self.shared.lock();
        let consumed = inner.read(bytes, now);
        (consumed, inner.read_operation())
    }

    fn read_bytes(&mut self, bytes: &Bytes, now: Instant) -> (usize, ReadOperation) {
        let mut inner = self.shared.lock();
        let consumed = inner.read_bytes(bytes, now);
        (consumed, inner.read_operation())
    }

    fn next_write_operation(&mut self, now: Instant) -> WriteOperation<'_> {
        next_write(&mut self.sending, &mut self.shared.lock(), now)
    }

    fn report_write_result(&mut self, result: WriteResult, now: Instant) {
        report_write(&mut self.sending, &mut self.shared.lock(), result, now);
    }

    fn yield_writer(&mut self, waker: &Waker) {
        self.shared.lock().yield_writer(waker);
    }

    fn write_on(&mut self, result: WriteResult, now: Instant, waker: &Waker) -> WriteOperation<'_> {
        let mut inner = self.shared.lock();
        report_write(&mut self.sending, &mut inner, result, now);
        let next = to_write(&mut self.sending, &mut inner);
        if matches!(next, WriteOperation::Yield) {
            inner.writer.register(waker);
        }
        next
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.shared.lock().deadlines.next()
    }

    fn watch_deadline(&mut self, waker: &Waker, before: Option<Instant>) -> bool {
        self.shared.lock().deadlines.watch(waker, before)
    }

    fn handle_deadline(&mut self, now: Instant) {
        let mut inner = self.shared.lock();
        inner.handle_deadline(now);
        if inner.lost_at.is_some() {
            self.sending.clear();
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

    fn activity(&self) -> Activity {
        let inner = self.shared.lock();
        Activity { state: inner.activity(), requests: inner.requests }
    }

    fn timed_out(&self) -> Option<&'static str> {
        self.shared.lock().rare.as_ref()?.timed_out
    }

    fn is_upgraded(&self) -> bool {
        self.shared.lock().is_switched()
    }

    fn hand_over(&mut self, transport: Box<dyn Any + Send>, unread: Bytes) {
        let mut inner = self.shared.lock();
        inner.rare().offer = Some((transport, unread));
        inner.wake_switch();
    }
}

fn next_write<'a>(sending: &'a mut Output, inner: &mut Inner, now: Instant) -> WriteOperation<'a> {
    if inner.deadlines.pass(now) {
        inner.leave();
    }
    inner.second = 0;
    to_write(sending, inner)
}

fn to_write<'a>(sending: &'a mut Output, inner: &mut Inner) -> WriteOperation<'a> {
    if sending.is_empty() && !inner.output.is_empty() {
        std::mem::swap(sending, &mut inner.output);
    }
    if let Some(operation) = sending.operation() {
        inner.writing_begun();
        return operation;
    }
    if inner.writer_is_done() {
        WriteOperation::Close(inner.rare.as_ref().map_or(0, |rare| rare.undelivered))
    } else {
        WriteOperation::Yield
    }
}

fn report_write(sending: &mut Output, inner: &mut Inner, result: WriteResult, now: Instant) {
    inner.deadlines.enter(now);
    match result {
        // The other loop saw the transport fail while this write was under way: it counts as lost.
        WriteResult::Written(_) if inner.lost_at.is_some() => cold_path(),
        WriteResult::Written(bytes) => {
            sending.advance(bytes);
            inner.sent(bytes);
        }
        WriteResult::Closed => {
            cold_path();
            sending.clear();
            inner.lose();
        }
    }
    inner.leave();
}

impl Drop for Http1 {
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

//! HTTP/1.1 as a flow (RFC 9112): bytes on one side, exchanges on the other.
//!
//! [`Http1`] is what a driver drives; everything it shares with handlers is [`State`](state::State), behind
//! one lock. `read` turns bytes into requests and bodies, `respond` and `streaming` turn responses into
//! bytes, `waits` has what handlers wait for, `switch` ends HTTP for another protocol, `failure` answers
//! for handlers that fail, `finish` ends each call, `timers` acts on deadlines, `traces` notes what becomes
//! of watched requests, `queue` holds the exchanges in order, `codec` knows the grammar, `cache` what a
//! worker keeps from one request to the next.
//!
//! The way of a request: `read_on` → [`State::read_bytes`](state::State) → `read_heads` → `accept` →
//! `exchanges.push` → `advance`, which wakes the handler; the handler answers by `respond`,
//! which appends to `output`; `write_on` → [`to_write`] gives that output to the driver.
//!
//! **Invariants:** nothing here reads a clock, opens a file or calls user code, except the clock and the
//! error page that the configuration brings, and the clock of the runtime while requests are watched.
//! Positions in the stream only grow, and `bytes_sent <= bytes_queued`.

pub(crate) mod cache;
pub(crate) mod codec;
mod failure;
mod finish;
mod moves;
mod queue;
mod read;
mod request_body;
mod request_note;
mod respond;
mod shared;
mod state;
mod streaming;
mod switch;
mod timers;
mod traces;
mod waits;

use std::{any::Any, hint::cold_path, sync::Arc, task::Waker, time::Instant};

use bytes::Bytes;
use riot_flow::{
    Activity, Ending, Flow, FlowError, Output, ReadOperation, WriteOperation, WriteResult, defer,
};

use crate::{RequestError, observe::CutReason};
pub(crate) use failure::Failure;
pub(crate) use queue::BodyRemaining;
pub(crate) use request_body::Chunk;
pub(crate) use request_note::RequestNote;
pub(crate) use respond::Payload;
pub(crate) use shared::Shared;
pub(crate) use state::State;
pub(crate) use state::{Follows, Offer};
#[cfg(feature = "hyper-upgrade")]
pub(crate) use switch::Unanswered;
pub(crate) use waits::{FlushState, poll_unlocked};

/// HTTP/1.1 for one peer (RFC 9112), as a [`Flow`]. Two loops drive it, while its
/// [`Requests`](crate::Requests) are answered in any process or thread.
///
/// A driver has to know two things beyond [`Flow`]. Bytes left over when the reader yielded are to be
/// presented again as soon as reading may go on, whether new bytes arrived or not. And the flow can end while
/// a read is under way: a driver that sees [`is_closed`](Flow::is_closed) ends that read.
///
/// When it is dropped, nothing can be answered any more.
#[derive(Debug)]
pub struct Http1 {
    shared: Arc<Shared>,
    /// Bytes that the writer has been given. They are sent before those in the state's `output`.
    sending: Output,
}

impl Http1 {
    /// The names of HTTP/1.1 and HTTP/1.0 for ALPN (RFC 7301 §6), the preferred one first.
    ///
    /// ```
    /// assert_eq!(riot_http::Http1::ALPN, ["http/1.1", "http/1.0"]);
    /// ```
    pub const ALPN: &'static [&'static str] = &["http/1.1", "http/1.0"];

    pub(crate) fn with_state(shared: Arc<Shared>) -> Self {
        Self { shared, sending: Output::new() }
    }

    /// Hands the transport over after a switch of protocols, with the bytes read and not consumed, to the
    /// holder of the [`Upgrade`](crate::Upgrade). Does what [`Flow::hand_over`] does.
    pub fn offer_transport<T: Any + Send>(&mut self, transport: T, unread: Bytes) {
        self.hand_over(Box::new(transport), unread);
    }

    /// Returns the number of requests received, rejected ones included.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.shared.lock_quiet().requests
    }

    /// Returns whether no request is under way and nothing is left to send.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.shared.lock_quiet().is_idle()
    }
}

impl Flow for Http1 {
    fn next_read_operation(&mut self) -> ReadOperation {
        self.shared.lock_quiet().read_operation()
    }

    fn read(&mut self, bytes: &[u8], now: Instant) -> usize {
        self.shared.lock().read(bytes, now)
    }

    fn read_eof(&mut self, bytes: &[u8], now: Instant) -> usize {
        self.shared.lock().read_eof(bytes, now)
    }

    fn yield_reader(&mut self, waker: &Waker) {
        let mut state = self.shared.lock_quiet();
        state.backpressured &= state.is_paused();
        match state.read_operation() {
            ReadOperation::Yield => {
                state.reader.register(waker);
                state.reader_waits = true;
            }
            _ => waker.wake_by_ref(),
        }
    }

    fn may_read_ahead(&self) -> bool {
        self.shared.lock_quiet().may_read_ahead()
    }

    fn read_on(&mut self, bytes: &[u8], now: Instant) -> (usize, ReadOperation) {
        let mut state = self.shared.lock();
        let consumed = state.read(bytes, now);
        (consumed, state.read_operation())
    }

    fn read_bytes(&mut self, bytes: &Bytes, now: Instant) -> (usize, ReadOperation) {
        let mut state = self.shared.lock();
        let consumed = state.read_bytes(bytes, now);
        (consumed, state.read_operation())
    }

    fn next_write_operation(&mut self, now: Instant) -> WriteOperation<'_> {
        next_write(&mut self.sending, &mut self.shared.lock(), now)
    }

    fn report_write_result(&mut self, result: WriteResult, now: Instant) {
        let _until_unlocked = defer();
        report_write(&mut self.sending, &mut self.shared.lock(), result, now);
    }

    fn yield_writer(&mut self, waker: &Waker) {
        self.shared.lock_quiet().yield_writer(waker);
    }

    fn write_on(&mut self, result: WriteResult, now: Instant, waker: &Waker) -> WriteOperation<'_> {
        let mut state = self.shared.lock();
        report_write(&mut self.sending, &mut state, result, now);
        let next = to_write(&mut self.sending, &mut state);
        if matches!(next, WriteOperation::Yield) {
            state.writer.register(waker);
        }
        next
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.shared.lock_quiet().timers.next()
    }

    fn watch_deadline(&mut self, waker: &Waker, before: Option<Instant>) -> bool {
        self.shared.lock_quiet().timers.watch(waker, before)
    }

    fn handle_deadline(&mut self, now: Instant) {
        let _until_unlocked = defer();
        let mut state = self.shared.lock();
        state.handle_deadline(now);
        if state.lost_at.is_some() {
            self.sending.clear();
        }
    }

    fn report_error(&mut self, error: FlowError) {
        let _until_unlocked = defer();
        let mut state = self.shared.lock();
        match error {
            FlowError::Transport(_) => {
                self.sending.clear();
                state.transport_failed();
            }
            FlowError::Ended if state.is_draining() => {
                state.fail_handler(RequestError::Stopped);
                state.end();
            }
            FlowError::Ended => {
                state.cut(CutReason::Killed);
                state.fail_handler(RequestError::HandlerFailed);
                state.end();
            }
            _ => {
                state.fail_handler(RequestError::HandlerFailed);
                state.end();
            }
        }
        state.finish_call();
    }

    fn announce_shutdown(&mut self) {
        let mut state = self.shared.lock();
        state.announce_end();
        state.finish_call();
    }

    fn shutdown_gracefully(&mut self, deadline: Option<Instant>, now: Instant) {
        let mut state = self.shared.lock();
        state.timers.enter(now);
        state.drain(deadline);
        state.finish_call();
    }

    fn drains_fresh_connections(&self) -> bool {
        true
    }

    fn shutdown(&mut self) {
        let mut state = self.shared.lock();
        state.close();
        state.finish_call();
    }

    fn is_closed(&self) -> bool {
        self.shared.lock_quiet().is_closed()
    }

    fn activity(&self) -> Activity {
        let state = self.shared.lock();
        Activity { state: state.activity(), requests: state.requests }
    }

    fn idle_since(&self) -> Option<Instant> {
        self.shared.lock_quiet().idle_since()
    }

    fn ending(&self) -> Ending {
        let state = self.shared.lock();
        let requests = state.requests;
        let Some(cold) = &state.cold else { return Ending { requests, ..Ending::default() } };
        let drained = cold.drain.as_ref().map(|drain| (drain.served, drain.crossed));
        let (served, crossed) = drained.unwrap_or_default();
        let protocol_error = cold.protocol_error.map(|error| error.to_string());
        let limit = cold.protocol_error.and_then(|error| error.limit());
        Ending { timed_out: cold.timed_out, protocol_error, served, crossed, requests, limit }
    }

    fn is_upgraded(&self) -> bool {
        self.shared.lock_quiet().is_upgraded()
    }

    fn hand_over(&mut self, transport: Box<dyn Any + Send>, unread: Bytes) {
        let mut state = self.shared.lock();
        state.cold_mut().offer = Some((transport, unread));
        state.wake_upgrade();
    }
}

fn next_write<'a>(sending: &'a mut Output, state: &mut State, now: Instant) -> WriteOperation<'a> {
    if state.timers.enter_read_only(now) {
        state.finish_call();
    }
    state.date_secs = 0;
    to_write(sending, state)
}

fn to_write<'a>(sending: &'a mut Output, state: &mut State) -> WriteOperation<'a> {
    if sending.is_empty() && !state.output.is_empty() {
        std::mem::swap(sending, &mut state.output);
    }
    if let Some(operation) = sending.operation() {
        state.writing_begun();
        return operation;
    }
    if state.writer_is_done() {
        WriteOperation::Close(state.cold.as_ref().map_or(0, |cold| cold.undelivered))
    } else {
        WriteOperation::Yield
    }
}

fn report_write(sending: &mut Output, state: &mut State, result: WriteResult, now: Instant) {
    state.timers.enter(now);
    match result {
        // The other loop saw the transport fail while this write was under way: it counts as lost.
        WriteResult::Written(_) if state.lost_at.is_some() => cold_path(),
        WriteResult::Written(bytes) => {
            sending.advance(bytes);
            state.sent(bytes);
            if !sending.is_empty() {
                cold_path();
                state.writing_waits();
            }
        }
        WriteResult::Closed => {
            cold_path();
            sending.clear();
            state.transport_failed();
        }
    }
    state.finish_call();
}

impl Drop for Http1 {
    fn drop(&mut self) {
        let _until_unlocked = defer();
        let mut state = self.shared.lock();
        if !state.is_closed() {
            state.transport_failed();
            state.finish_call();
        }
        state.driver_gone = true;
        state.wake_upgrade();
        if state.unreported {
            cold_path();
            let reports = state.take_reports();
            drop(state);
            self.shared.report(&reports);
        }
    }
}

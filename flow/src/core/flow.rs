//! The trait: what a protocol is asked and told. It answers at once, and does nothing by itself.

use std::{any::Any, task::Waker, time::Instant};

use bytes::Bytes;

use super::{FilePart, FlowError, Slices};

/// A protocol for one connection, without any I/O: bytes and instants come in, bytes and deadlines go out.
///
/// Two loops drive it, one for each direction, and never enter it at the same time. Each asks for its next operation,
/// carries it out and reports back:
///
/// ```text
///            next_read_operation                       next_write_operation
///   Read  →  fill a buffer, then read / read_eof       Write →  send, then report_write_result
///   Yield →  yield_reader(waker), sleep                Yield →  yield_writer(waker), sleep
///   Close →  shut the receiving side down              Close →  shut the sending side down
/// ```
///
/// A flow never blocks, never reads a clock and never touches a socket. What it knows of the time it was told: every
/// call that can start a timer takes `now`.
pub trait Flow {
    /// What the reading loop does next. Asked again with no event in between it answers the same. A `Read` stands until the
    /// transport has brought something, or the loop is woken: a read under way is not asked for again.
    fn next_read_operation(&mut self) -> ReadOperation;

    /// Takes bytes received, and returns how many it consumed: `0..=bytes.len()`. The caller presents the rest
    /// again, in front of what comes next. Only called after [`ReadOperation::Read`].
    ///
    /// A flow that consumes nothing of a full buffer has met its limit and must say so: an answer, then `Close`.
    fn read(&mut self, bytes: &[u8], now: Instant) -> usize;

    /// The same for the last bytes; the peer sends no more. What came complete before the end is still served.
    fn read_eof(&mut self, bytes: &[u8], now: Instant) -> usize;

    /// Registers who is woken, once, when reading may go on. Only called after [`ReadOperation::Yield`]; if reading
    /// may already go on the wake-up comes at once. A second registration replaces the first.
    ///
    /// Whoever was woken and is told to read presents what was not consumed at once, without waiting for more: it may
    /// be all that the peer will ever send.
    fn yield_reader(&mut self, waker: &Waker);

    /// What the writing loop does next.
    fn next_write_operation(&mut self, now: Instant) -> WriteOperation<'_>;

    /// Answers a [`WriteOperation::Write`] or [`WriteOperation::File`], exactly once each.
    fn report_write_result(&mut self, result: WriteResult, now: Instant);

    /// Registers who is woken, once, when there is something to write. Only called after [`WriteOperation::Yield`];
    /// if there already is, the wake-up comes at once. A second registration replaces the first.
    fn yield_writer(&mut self, waker: &Waker);

    /// [`read`](Flow::read), then [`next_read_operation`](Flow::next_read_operation), which a loop asks next anyway: a flow
    /// behind a lock can do both under one.
    fn read_on(&mut self, bytes: &[u8], now: Instant) -> (usize, ReadOperation) {
        let consumed = self.read(bytes, now);
        (consumed, self.next_read_operation())
    }

    /// As [`read_on`](Flow::read_on), with bytes that can be kept without being copied: a driver has them where they come
    /// in bulk. Whoever keeps some of them keeps the memory they all are in, so few bytes had better be copied.
    fn read_bytes(&mut self, bytes: &Bytes, now: Instant) -> (usize, ReadOperation) {
        self.read_on(bytes, now)
    }

    /// [`report_write_result`](Flow::report_write_result), then [`next_write_operation`](Flow::next_write_operation); and
    /// if that is [`WriteOperation::Yield`], [`yield_writer`](Flow::yield_writer). Likewise.
    fn write_on(&mut self, result: WriteResult, now: Instant, waker: &Waker) -> WriteOperation<'_> {
        self.report_write_result(result, now);
        if matches!(self.next_write_operation(now), WriteOperation::Yield) {
            self.yield_writer(waker);
            return WriteOperation::Yield;
        }
        self.next_write_operation(now)
    }

    /// The next instant at which the flow wants to be told the time. It may change with any call.
    fn next_deadline(&self) -> Option<Instant> {
        None
    }

    /// Registers who is woken, once, when [`next_deadline`](Flow::next_deadline) becomes earlier than `before`, or there
    /// comes to be one at all, if that is none. If it is earlier already this says false, and registers nobody. A second
    /// registration replaces the first. Deadlines that move out need no wake-up: whoever sleeps until the old one asks
    /// again then.
    fn watch_deadline(&mut self, _waker: &Waker, before: Option<Instant>) -> bool {
        self.next_deadline().is_none_or(|next| before.is_some_and(|before| before <= next))
    }

    /// Acts on every deadline that is not after `now`.
    fn handle_deadline(&mut self, _now: Instant) {}

    /// The transport or the application failed. Said once; what the peer sees of it follows from the state. It may
    /// come while a write is under way; that write is reported all the same.
    fn report_error(&mut self, error: FlowError);

    /// Ends in order: at once if idle, else after what was accepted has been answered.
    fn shutdown_gracefully(&mut self);

    /// Ends: both sides close after what is already queued.
    fn shutdown(&mut self);

    /// Both directions are closed and nothing is left to write. It can become so while a read is under way; whoever
    /// drives the flow then ends that read.
    fn is_closed(&self) -> bool;

    /// What it is doing, for whoever looks at the running system.
    fn activity(&self) -> Activity {
        Activity { state: "open", requests: 0 }
    }

    /// The timer that ended it, if one did: in a word, such as `idle`.
    fn timed_out(&self) -> Option<&'static str> {
        None
    }

    /// The flow has ended and another protocol goes on: neither side is shut down. The transport, and every byte read
    /// but not consumed, belong to whoever asked for the change.
    fn is_upgraded(&self) -> bool {
        false
    }

    /// Takes the transport of an upgraded flow from whoever drove it, with the bytes read and not consumed, for
    /// whoever asked for the change. Called once, after both loops have ended; by default both are dropped.
    fn hand_over(&mut self, _transport: Box<dyn Any + Send>, _unread: Bytes) {}
}

/// What a flow is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Activity {
    /// In a word, such as `idle`.
    pub state: &'static str,
    /// Requests it has served, if it serves such.
    pub requests: u64,
}

/// What the reading loop does next.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadOperation {
    /// Receive, then [`Flow::read`] or [`Flow::read_eof`].
    Read,
    /// Nothing until the waker given to [`Flow::yield_reader`] is woken.
    Yield,
    /// Nothing more will be read: shut the receiving side down.
    Close,
}

/// What the writing loop does next.
#[must_use]
#[derive(Debug)]
pub enum WriteOperation<'a> {
    /// Send some of these bytes, from their start, then [`Flow::report_write_result`]. Never empty.
    Write(Slices<'a>),
    /// Send some of this part of a file, from its start, then [`Flow::report_write_result`]. Never empty. A file that
    /// has become shorter than its part is reported as [`WriteResult::Closed`].
    File(&'a FilePart),
    /// Nothing until the waker given to [`Flow::yield_writer`] is woken.
    Yield,
    /// Nothing more will be written: shut the sending side down. Says how many bytes were accepted from the
    /// application and never delivered.
    Close(u64),
}

/// How a [`WriteOperation::Write`] or [`WriteOperation::File`] went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteResult {
    /// So many bytes have left, counted from the first; any number from none to all.
    Written(usize),
    /// The peer takes no more.
    Closed,
}

//! The trait of a protocol: what it is asked and told.

use std::{any::Any, task::Waker, time::Instant};

use bytes::Bytes;

use super::{FilePart, FlowError, Slices};

/// A protocol for one connection, without any I/O: bytes and instants come in, bytes and deadlines go out.
///
/// Two loops drive it, one for each direction, and never enter it at the same time. Each asks for its next
/// operation, carries it out and reports back:
///
/// ```text
///          next_read_operation                       next_write_operation
/// Read  →  fill a buffer, then read / read_eof       Write →  send, then report_write_result
/// Yield →  yield_reader(waker), sleep                Yield →  yield_writer(waker), sleep
/// Close →  shut the receiving side down              Close →  shut the sending side down
/// ```
///
/// A flow never blocks, never reads a clock and never touches a socket. It knows of the time what it is told:
/// every call that can start a timer takes `now`. The front page of this crate shows a complete flow; the
/// rules are in [`contract`](crate::contract).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a flow, which is a protocol without I/O",
    label = "this type does not implement `Flow`",
    note = "implement `Flow` for it; the front page of riot_flow shows a complete one"
)]
pub trait Flow {
    /// Returns what the reader does next. Asked again with no event in between, the flow answers the same. A
    /// `Read` stands until the transport has brought something or the reader is woken: the flow is not asked
    /// again for a read that is pending.
    fn next_read_operation(&mut self) -> ReadOperation;

    /// Takes bytes received, and returns how many it consumed: `0..=bytes.len()`. The driver presents the
    /// leftover again, in front of what comes next. Called only after [`ReadOperation::Read`].
    ///
    /// A flow that consumes nothing of a full buffer has reached its limit and must say so: a response, then
    /// `Close`.
    fn read(&mut self, bytes: &[u8], now: Instant) -> usize;

    /// Takes the last bytes, and returns how many it consumed; the peer sends no more. What was complete
    /// before the end is still served.
    fn read_eof(&mut self, bytes: &[u8], now: Instant) -> usize;

    /// Registers the waker that is woken once when reading may go on. Called only after
    /// [`ReadOperation::Yield`]; if reading may already go on, the waker is woken at once. A second
    /// registration replaces the first.
    ///
    /// A reader that was woken and is told to read presents its leftover at once, without waiting for more:
    /// it may be all that the peer will ever send.
    fn yield_reader(&mut self, waker: &Waker);

    /// Returns whether the reader may read on while it yields, if it holds no leftover; default false. It
    /// presents what comes, of which nothing may be consumed, and the end of input. Only a driver that can
    /// give a read up asks: reading may end while it waits.
    fn may_read_ahead(&self) -> bool {
        false
    }

    /// Returns what the writer does next.
    fn next_write_operation(&mut self, now: Instant) -> WriteOperation<'_>;

    /// Reports the result of a [`WriteOperation::Write`] or [`WriteOperation::File`], exactly once each.
    fn report_write_result(&mut self, result: WriteResult, now: Instant);

    /// Registers the waker that is woken once when there is something to write. Called only after
    /// [`WriteOperation::Yield`]; if there already is, the waker is woken at once. A second registration
    /// replaces the first.
    fn yield_writer(&mut self, waker: &Waker);

    /// Calls [`read`](Flow::read), then [`next_read_operation`](Flow::next_read_operation), which the reader
    /// asks next anyway. A flow behind a lock can do both under one lock.
    // perf: keep-alive, 2533 → 2430 instructions a request by this and `write_on`, which save three locks
    fn read_on(&mut self, bytes: &[u8], now: Instant) -> (usize, ReadOperation) {
        let consumed = self.read(bytes, now);
        (consumed, self.next_read_operation())
    }

    /// Takes bytes as [`read_on`](Flow::read_on) does; these can be kept without a copy. A driver has such
    /// bytes where they arrive in bulk. A flow that keeps some of them keeps the memory of all, so it should
    /// copy a few.
    fn read_bytes(&mut self, bytes: &Bytes, now: Instant) -> (usize, ReadOperation) {
        self.read_on(bytes, now)
    }

    /// Calls [`report_write_result`](Flow::report_write_result), then
    /// [`next_write_operation`](Flow::next_write_operation), and, if that is [`WriteOperation::Yield`],
    /// [`yield_writer`](Flow::yield_writer). A flow behind a lock can do all three under one lock.
    fn write_on(&mut self, result: WriteResult, now: Instant, waker: &Waker) -> WriteOperation<'_> {
        self.report_write_result(result, now);
        if matches!(self.next_write_operation(now), WriteOperation::Yield) {
            self.yield_writer(waker);
            return WriteOperation::Yield;
        }
        self.next_write_operation(now)
    }

    /// Returns the next instant at which the flow wants to be told the time. It may change with any call.
    fn next_deadline(&self) -> Option<Instant> {
        None
    }

    /// Registers the waker that is woken once when [`next_deadline`](Flow::next_deadline) becomes earlier
    /// than `before`, or, if that is none, when there is a deadline at all. Returns false, and registers
    /// nothing, if it is earlier already. A second registration replaces the first. A deadline that moves out
    /// needs no wake-up: the driver that sleeps until the old one asks again then.
    fn watch_deadline(&mut self, _waker: &Waker, before: Option<Instant>) -> bool {
        self.next_deadline().is_none_or(|next| before.is_some_and(|before| before <= next))
    }

    /// Acts on every deadline that is not after `now`.
    fn handle_deadline(&mut self, _now: Instant) {}

    /// Reports that the transport or the application failed. It is reported once; what the peer sees of it
    /// follows from the state. It may be reported while a write is under way; that write is reported all the
    /// same.
    fn report_error(&mut self, error: FlowError);

    /// Tells the flow that [`shutdown_gracefully`](Flow::shutdown_gracefully) will follow: its next response
    /// should say that it is the last. By default nothing happens.
    fn announce_shutdown(&mut self) {}

    /// Ends in order: what was accepted is finished, and the last response says so to the peer. The
    /// connection is cut at `deadline`, if there is one.
    fn shutdown_gracefully(&mut self, deadline: Option<Instant>, now: Instant);

    /// Returns whether the flow is told of a shutdown before it has received a byte, because it waits for the
    /// peer's first request itself; default false. A driver tells other flows when they have received bytes
    /// and answered, or after the time that a peer has for its first bytes.
    fn drains_fresh_connections(&self) -> bool {
        false
    }

    /// Ends: both sides close after what is already queued.
    fn shutdown(&mut self);

    /// Returns whether both directions are closed and nothing is left to write. This can become true while a
    /// read is under way; the driver then ends that read.
    fn is_closed(&self) -> bool;

    /// Returns what the flow is doing, for tools that show the running system.
    fn activity(&self) -> Activity {
        Activity { state: "open", requests: 0 }
    }

    /// Returns since when the flow has been idle, as far as it was told the time: nothing is under way, and
    /// the peer's next request has not begun. `None` while it is busy, and by default.
    ///
    /// A server may ask such a flow to [finish](Self::shutdown_gracefully) for the sake of a new client.
    fn idle_since(&self) -> Option<Instant> {
        None
    }

    /// Returns how the flow has ended, for the statistics of its server.
    fn ending(&self) -> Ending {
        Ending::default()
    }

    /// Returns whether the flow has ended and another protocol goes on. Then neither side is shut down: the
    /// transport, and every byte read but not consumed, belong to the code that asked for the change.
    fn is_upgraded(&self) -> bool {
        false
    }

    /// Takes the transport of an upgraded flow from its driver, with the bytes read and not consumed. Called
    /// once, after both loops have ended; by default both are dropped.
    fn hand_over(&mut self, _transport: Box<dyn Any + Send>, _unread: Bytes) {}
}

/// The activity of a flow, for tools that show the running system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Activity {
    /// One word, such as `idle`.
    pub state: &'static str,
    /// Requests served, in a protocol that has requests.
    pub requests: u64,
}

/// How a flow has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ending {
    /// The name of the timer that ended the flow, if one did, such as `idle`.
    pub timed_out: Option<&'static str>,
    /// The error by which the peer broke the protocol, if it did.
    pub protocol_error: Option<String>,
    /// Requests whose response began after [`Flow::shutdown_gracefully`].
    pub served: u64,
    /// Bytes came after the flow had ended its side in order: a request of the peer crossed the end.
    pub crossed: bool,
    /// Requests received, in a protocol that has requests.
    pub requests: u64,
    /// The name of the bound that the peer has exceeded, if it did, such as `max_body_bytes`.
    pub limit: Option<&'static str>,
}

/// The next operation of the reader.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadOperation {
    /// Receive, then call [`Flow::read`] or [`Flow::read_eof`].
    Read,
    /// Wait until the waker given to [`Flow::yield_reader`] is woken.
    Yield,
    /// Read nothing more: shut the receiving side down.
    Close,
}

/// The next operation of the writer.
#[must_use]
#[derive(Debug)]
pub enum WriteOperation<'a> {
    /// Send some of these bytes, from their start, then call [`Flow::report_write_result`]. Never empty.
    Write(Slices<'a>),
    /// Send some of this part of a file, from its start, then call [`Flow::report_write_result`]. Never
    /// empty. A file that has become shorter than its part is reported as [`WriteResult::Closed`].
    File(&'a FilePart),
    /// Wait until the waker given to [`Flow::yield_writer`] is woken.
    Yield,
    /// Write nothing more: shut the sending side down. Carries the number of bytes that were accepted from
    /// the application and never delivered.
    Close(u64),
}

/// The result of a [`WriteOperation::Write`] or [`WriteOperation::File`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteResult {
    /// This many bytes were sent, counted from the first; any number from none to all.
    Written(usize),
    /// The peer accepts no more.
    Closed,
}

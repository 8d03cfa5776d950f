//! Flow → socket: sends what the flow has, and tells the flow how much was sent.

use std::{
    hint::cold_path,
    io,
    task::{Context, Poll, ready},
    time::Instant,
};

use riot_socket::Transport;

use super::Link;
use crate::{FilePart, Flow, FlowError, WriteOperation, WriteResult, defer};

/// The sending direction of a [`Link`].
pub(super) struct Outbound {
    /// The transport may hold back bytes that it has accepted, and has to be flushed.
    is_buffered: bool,
    /// The transport has accepted bytes since it was last flushed. Always false unless `is_buffered`.
    unflushed: bool,
    /// The flow will never have more to send.
    closed: bool,
}

/// The outcome of [`Link::flush`].
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flushed {
    /// The flow has nothing more for now, or the transport is full; the context is woken when that changes.
    Waiting,
    /// The flow will never have more: the Writer closes the sending side.
    Closed {
        /// Bytes that were accepted from the application and could not be delivered.
        undelivered: u64,
    },
}

impl Outbound {
    pub(super) fn new(is_buffered: bool) -> Self {
        Self { is_buffered, unflushed: false, closed: false }
    }

    /// Returns whether the flow will never have more to send.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }
}

impl<F: Flow> Link<F> {
    /// Sends until the flow has nothing more or the transport is full.
    ///
    /// The Connector calls this in its poll slice, and the Writer when it takes over. In both cases `cx` is
    /// the Writer's: the Writer continues when the transport has room again.
    pub(super) fn flush(&self, cx: &mut Context<'_>, now: Instant) -> Flushed {
        let transport = &*self.transport;
        let _until_unlocked = defer();
        let state = &mut *self.state.lock();
        let (flow, outbound) = (&mut state.flow, &mut state.outbound);
        let mut next = flow.next_write_operation(now);
        // Whether the flow has the waker: `write_on` registers it.
        let mut registered = false;
        loop {
            let sent = match next {
                WriteOperation::Write(slices) => {
                    slices.with_io_slices(|slices| transport.poll_write(cx, slices))
                }
                WriteOperation::Yield => {
                    if !registered {
                        cold_path();
                        flow.yield_writer(&self.write_waker);
                    }
                    if !outbound.unflushed {
                        return Flushed::Waiting;
                    }
                    cold_path();
                    let Poll::Ready(flushed) = transport.poll_flush(cx) else { return Flushed::Waiting };
                    outbound.unflushed = false;
                    let Err(error) = flushed else { return Flushed::Waiting };
                    self.write_failed(flow, error);
                    registered = false;
                    next = flow.next_write_operation(now);
                    continue;
                }
                // perf: keep-alive; in `flush_slow`, since all four cases here make a jump through a table,
                // which processors seldom predict.
                other => match flush_slow(transport, other, cx) {
                    Ok(sent) => sent,
                    Err(closed) => {
                        outbound.closed = true;
                        return closed;
                    }
                },
            };
            match sent {
                Poll::Ready(Ok(sent)) => {
                    self.meter.sent(sent);
                    outbound.unflushed = outbound.is_buffered;
                    registered = true;
                    next = flow.write_on(WriteResult::Written(sent), now, &self.write_waker);
                }
                Poll::Ready(Err(error)) => {
                    cold_path();
                    flow.report_write_result(WriteResult::Closed, now);
                    self.write_failed(flow, error);
                    registered = false;
                    next = flow.next_write_operation(now);
                }
                Poll::Pending => return Flushed::Waiting,
            }
        }
    }

    #[cold]
    fn write_failed(&self, flow: &mut F, error: io::Error) {
        flow.report_error(FlowError::Transport(error));
        self.wakes.wake_reader();
    }
}

/// Handles the rare operations: a part of a file, and the end.
#[cold]
fn flush_slow(
    transport: &dyn Transport,
    next: WriteOperation<'_>,
    cx: &mut Context<'_>,
) -> Result<Poll<io::Result<usize>>, Flushed> {
    match next {
        WriteOperation::File(part) => Ok(send_file(transport, part, cx)),
        WriteOperation::Close(undelivered) => Err(Flushed::Closed { undelivered }),
        WriteOperation::Write(_) | WriteOperation::Yield => unreachable!("the caller handles these"),
    }
}

/// Sends a part of a file. A file that ends before its part is an error: the peer must not take it for the
/// whole.
fn send_file(transport: &dyn Transport, part: &FilePart, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
    match ready!(transport.poll_send_file(cx, part.file(), part.offset(), part.length())) {
        Ok(0) => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
        result => Poll::Ready(result),
    }
}

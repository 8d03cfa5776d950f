//! The Writer: carries bytes from the flow to the transport, and tells the flow how far it came.

use std::{
    future::poll_fn,
    hint::cold_path,
    io,
    sync::atomic::Ordering::Relaxed,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use riot_actor::{
    time::{TimedOut, now_coarse},
    timeout,
};
use riot_socket::{Shutdown, Transport};

use super::{Joint, Loop, bell::OUTLET};
use crate::{FilePart, Flow, FlowError, WriteOperation, WriteResult};

/// How long a peer may take to accept the last of what a transport still holds back, such as the end of a TLS session.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// The body of a Writer: until the flow has nothing more to say.
pub(super) async fn run<F: Flow>(joint: Loop<F>) {
    let transport = &*joint.transport;
    let undelivered = poll_fn(|cx| {
        joint.bells.belong_to_writer(cx.waker());
        joint.bells.heard(OUTLET);
        joint.write(cx, now_coarse())
    })
    .await;
    joint.meter.undelivered(undelivered);
    // Only the sending side: the Reader may still have to hear the peer out.
    let upgraded = joint.lock().is_upgraded();
    let close =
        |cx: &mut Context<'_>| if upgraded { transport.poll_flush(cx) } else { transport.poll_close(cx) };
    // In a box, for a connection would have room for it from its first moment to its last.
    match Box::pin(timeout(CLOSE_TIMEOUT, poll_fn(close))).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(target: "riot::flow", "shutting the sending side down: {error}"),
        Err(TimedOut) => drop(transport.shutdown(Shutdown::Write)),
    }
    joint.bells.wake_reader();
}

impl<F: Flow> Joint<F> {
    /// Sends what the flow has, until it has nothing more or the transport takes no more. Ready when the flow will never
    /// have more, with the number of bytes it could not deliver. Called by the Writer, and by the Connector in its
    /// name: the context is the Writer's in any case.
    pub(super) fn write(&self, cx: &mut Context<'_>, now: Instant) -> Poll<u64> {
        let transport = &*self.transport;
        let mut flow = self.lock();
        let mut next = flow.next_write_operation(now);
        let mut registered = false;
        loop {
            let written = match next {
                WriteOperation::Write(slices) => {
                    ready!(slices.with_io_slices(|slices| transport.poll_write(cx, slices)))
                }
                WriteOperation::Yield => {
                    if !registered {
                        cold_path();
                        flow.yield_writer(&self.output);
                    }
                    if !self.unflushed.load(Relaxed) {
                        return Poll::Pending;
                    }
                    cold_path();
                    let flushed = ready!(transport.poll_flush(cx));
                    self.unflushed.store(false, Relaxed);
                    let Err(error) = flushed else { return Poll::Pending };
                    self.write_failed(&mut *flow, error);
                    registered = false;
                    next = flow.next_write_operation(now);
                    continue;
                }
                // Elsewhere, or all four would be found by a jump through a table, which processors seldom foresee.
                other => match send_otherwise(transport, other, cx) {
                    Ok(sent) => ready!(sent),
                    Err(undelivered) => return Poll::Ready(undelivered),
                },
            };
            match written {
                Ok(written) => {
                    self.meter.sent(written);
                    self.unflushed.store(self.holds_back, Relaxed);
                    registered = true;
                    next = flow.write_on(WriteResult::Written(written), now, &self.output);
                }
                Err(error) => {
                    cold_path();
                    flow.report_write_result(WriteResult::Closed, now);
                    self.write_failed(&mut *flow, error);
                    registered = false;
                    next = flow.next_write_operation(now);
                }
            }
        }
    }

    #[cold]
    fn write_failed(&self, flow: &mut F, error: io::Error) {
        flow.report_error(FlowError::Transport(error));
        self.bells.wake_reader();
    }

    /// Runs the application for a while, and sends what it made of its own accord: one turn of the Writer less for every
    /// answer. What the transport does not take at once is the Writer's. `time` is the time, if it is known.
    pub(super) fn produce<T>(&self, time: Option<Instant>, application: impl FnOnce() -> T) -> T {
        let due = self.bells.hold_lightly(OUTLET);
        let made = application();
        if (self.bells.let_go(OUTLET) || due)
            && let Some(writer) = self.bells.writer()
            && self.write(&mut Context::from_waker(writer), time.unwrap_or_else(now_coarse)).is_ready()
        {
            cold_path();
            writer.wake_by_ref();
        }
        made
    }
}

/// What is neither bytes nor a wait for them: a file, or that nothing more is to be sent and so many bytes were not
/// delivered.
#[cold]
fn send_otherwise(
    transport: &dyn Transport,
    next: WriteOperation<'_>,
    cx: &mut Context<'_>,
) -> Result<Poll<io::Result<usize>>, u64> {
    match next {
        WriteOperation::File(part) => Ok(send_file(transport, part, cx)),
        WriteOperation::Close(undelivered) => Err(undelivered),
        WriteOperation::Write(_) | WriteOperation::Yield => unreachable!("the caller has seen to these"),
    }
}

fn send_file(transport: &dyn Transport, part: &FilePart, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
    match transport.poll_send_file(cx, part.file(), part.offset(), part.length()) {
        // Less than was promised: the peer must not take it for the whole.
        Poll::Ready(Ok(0)) => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
        result => result,
    }
}

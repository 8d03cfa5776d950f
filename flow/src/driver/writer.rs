//! The Writer: carries bytes from the flow to the transport, and tells the flow how far it came.

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use riot_actor::{TimedOut, now, timeout};
use riot_socket::{Shutdown, Transport};

use super::Joint;
use crate::{Flow, FlowError, WriteOperation, WriteResult};

/// How long a peer may take to accept the last of what a transport still holds back, such as the end of a TLS session.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// The body of a Writer: until the flow has nothing more to say.
pub(super) async fn run<F: Flow>(joint: Arc<Joint<F>>, transport: Arc<dyn Transport>) {
    let mut writer = Writer { joint: &joint, transport: &*transport, unflushed: false };
    poll_fn(|cx| writer.poll(cx)).await;
    // Only the sending side: the Reader may still have to hear the peer out.
    let upgraded = joint.lock().is_upgraded();
    let close =
        |cx: &mut Context<'_>| if upgraded { transport.poll_flush(cx) } else { transport.poll_close(cx) };
    match timeout(CLOSE_TIMEOUT, poll_fn(close)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(target: "riot::flow", "shutting the sending side down: {error}"),
        Err(TimedOut) => drop(transport.shutdown(Shutdown::Write)),
    }
    joint.reader.get().map(Waker::wake_by_ref);
}

struct Writer<'a, F> {
    joint: &'a Joint<F>,
    transport: &'a dyn Transport,
    /// The transport has taken bytes since it was last known to hold none back.
    unflushed: bool,
}

impl<F: Flow> Writer<'_, F> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.joint.writer.get_or_init(|| cx.waker().clone());
        let now = now();
        loop {
            let mut flow = self.joint.lock();
            let written = match flow.next_write_operation(now) {
                WriteOperation::Write(slices) => self.transport.poll_write(cx, slices.as_io_slices()),
                WriteOperation::Yield => {
                    flow.yield_writer(cx.waker());
                    if !self.unflushed {
                        return Poll::Pending;
                    }
                    let Poll::Ready(flushed) = self.transport.poll_flush(cx) else { return Poll::Pending };
                    self.unflushed = false;
                    let Err(error) = flushed else { return Poll::Pending };
                    flow.report_error(FlowError::Transport(error));
                    drop(flow);
                    self.joint.reader.get().map(Waker::wake_by_ref);
                    continue;
                }
                WriteOperation::Close(undelivered) => {
                    self.joint.meter.undelivered(undelivered);
                    return Poll::Ready(());
                }
            };
            match written {
                Poll::Ready(Ok(written)) => {
                    self.joint.meter.sent(written);
                    flow.report_write_result(WriteResult::Written(written), now);
                    self.unflushed = true;
                }
                Poll::Ready(Err(error)) => {
                    flow.report_write_result(WriteResult::Closed, now);
                    flow.report_error(FlowError::Transport(error));
                    drop(flow);
                    self.joint.reader.get().map(Waker::wake_by_ref);
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

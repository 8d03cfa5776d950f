//! The Writer: carries bytes from the flow to the transport, and tells the flow how far it came.

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use riot_actor::now;
use riot_socket::{Shutdown, Transport};

use super::Joint;
use crate::{Flow, FlowError, WriteOperation, WriteResult};

/// The body of a Writer: until the flow has nothing more to say.
pub(super) async fn run<F: Flow>(joint: Arc<Joint<F>>, transport: Arc<dyn Transport>) {
    poll_fn(|cx| poll(&joint, &*transport, cx)).await;
    // Only the sending side: the Reader may still have to hear the peer out.
    if !joint.lock().is_upgraded()
        && let Err(error) = transport.shutdown(Shutdown::Write)
    {
        tracing::debug!(target: "riot::flow", "shutting the sending side down: {error}");
    }
    joint.reader.get().map(Waker::wake_by_ref);
}

fn poll<F: Flow>(joint: &Joint<F>, transport: &dyn Transport, cx: &mut Context<'_>) -> Poll<()> {
    joint.writer.get_or_init(|| cx.waker().clone());
    let now = now();
    loop {
        let mut flow = joint.lock();
        let written = match flow.next_write_operation(now) {
            WriteOperation::Write(slices) => transport.poll_write(cx, slices.as_io_slices()),
            WriteOperation::Yield => {
                flow.yield_writer(cx.waker());
                return Poll::Pending;
            }
            WriteOperation::Close(_undelivered) => return Poll::Ready(()),
        };
        match written {
            Poll::Ready(Ok(written)) => {
                joint.meter.sent(written);
                flow.report_write_result(WriteResult::Written(written), now);
            }
            Poll::Ready(Err(error)) => {
                flow.report_write_result(WriteResult::Closed, now);
                flow.report_error(FlowError::Transport(error));
                drop(flow);
                joint.reader.get().map(Waker::wake_by_ref);
            }
            Poll::Pending => return Poll::Pending,
        }
    }
}

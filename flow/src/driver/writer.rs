//! The Writer: carries bytes from the flow to the transport, and tells the flow how far it came.

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Waker},
    time::Duration,
};

use riot_actor::{TimedOut, timeout};
use riot_socket::{Shutdown, Transport};

use super::Joint;
use crate::Flow;

/// How long a peer may take to accept the last of what a transport still holds back, such as the end of a TLS session.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// The body of a Writer: until the flow has nothing more to say.
pub(super) async fn run<F: Flow>(joint: Arc<Joint<F>>, transport: Arc<dyn Transport>) {
    let undelivered = poll_fn(|cx| {
        joint.outlet.writer.get_or_init(|| cx.waker().clone());
        joint.write(&*transport, cx)
    })
    .await;
    joint.meter.undelivered(undelivered);
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

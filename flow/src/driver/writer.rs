//! The Writer: the process that takes over writing while the transport is full, and ends the sending side.

use std::{future::poll_fn, task::Poll, time::Duration};

use riot_actor::{
    time::{TimedOut, now_coarse},
    timeout,
};
use riot_socket::Shutdown;

use super::{Side, outbound::Flushed, wake_flags::Due};
use crate::Flow;

/// Bounds how long a peer may take to accept the last bytes that a transport holds back, such as the end of a
/// TLS session; 5 s.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// The body of a Writer. Ends when the flow will never have more to send and the sending side is closed.
pub(super) async fn run<F: Flow>(link: Side<F>) {
    let undelivered = poll_fn(|cx| {
        link.wakes.set_writer(cx.waker());
        link.wakes.take_one(Due::WRITE);
        match link.flush(cx, now_coarse()) {
            Flushed::Waiting => Poll::Pending,
            Flushed::Closed { undelivered } => Poll::Ready(undelivered),
        }
    })
    .await;
    link.meter.undelivered(undelivered);
    if undelivered > 0 {
        // The connection was cut: nothing of it is left in the system for a peer that takes nothing.
        link.transport.reset_on_close();
    }
    // Only the sending side is closed: the Reader may still have to hear the peer out.
    let upgraded = link.lock_flow().is_upgraded();
    let transport = &*link.transport;
    let close = poll_fn(|cx| if upgraded { transport.poll_flush(cx) } else { transport.poll_close(cx) });
    // Boxed: otherwise every connection would have room for it from its first moment to its last.
    match Box::pin(timeout(CLOSE_TIMEOUT, close)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            riot_actor::log_event!(DEBUG, "riot::flow", "closing the sending side failed: {error}")
        }
        Err(TimedOut) => {
            transport.reset_on_close();
            let _ = transport.shutdown(Shutdown::Write);
        }
    }
    link.wakes.wake_reader();
}

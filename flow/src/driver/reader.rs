//! The Reader: the process that takes over reading while the Connector is busy, and ends the receiving side.

use std::{future::poll_fn, task::Poll};

use riot_socket::Shutdown;

use super::{Side, inbound::Filled};
use crate::Flow;

/// The body of a Reader. Ends when nothing will be read any more.
pub(super) async fn run<F: Flow>(link: Side<F>) {
    poll_fn(|cx| {
        link.wakes.set_reader(cx.waker());
        // What woke the Reader may have changed what the flow wants.
        link.state.lock().inbound.ask_flow_again();
        match link.fill(&mut None) {
            Filled::Waiting => Poll::Pending,
            Filled::Closed => Poll::Ready(()),
        }
    })
    .await;
    // Only the receiving side is shut down: what is still to be sent must not be cut off. If nothing is left
    // to send either, the connection closes at once.
    let closes = {
        let flow = link.lock_flow();
        flow.is_upgraded() || flow.is_closed()
    };
    if !closes {
        if let Err(error) = link.transport.shutdown(Shutdown::Read) {
            riot_actor::log_event!(DEBUG, "riot::flow", "shutting down the receiving side failed: {error}");
        }
        link.watch_peer();
    }
}

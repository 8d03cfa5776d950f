//! The last word of a flow whose Connector was ended by a signal.

use std::{future::poll_fn, sync::Arc, task::Poll, time::Duration};

use riot_actor::{
    process::{SpawnOptions, contain},
    time::now_coarse,
    timeout,
};

use super::{Link, outbound::Flushed};
use crate::{Flow, FlowError, WriteOperation, defer};

/// Bounds how long the peer may take to receive the last word and to close; 1 s.
const LAST_WORD_TIMEOUT: Duration = Duration::from_secs(1);

/// Bounds the bytes that are received and discarded meanwhile; 64 KiB.
const MAX_DISCARDED_BYTES: usize = 64 * 1024;

/// Tells the flow that its application is lost, and leaves what it still has to say to a process of its own:
/// the Connector is condemned, and its Reader and Writer end with it.
///
/// The caller is a destructor. Whatever panics here must not end the program.
#[cold]
pub(super) fn leave<F: Flow + Send + 'static>(link: &Arc<Link<F>>) {
    let _ = contain(|| {
        let has_more = {
            let _until_unlocked = defer();
            let mut flow = link.lock_flow();
            link.meter.requests(flow.activity().requests);
            flow.report_error(FlowError::Ended);
            let next = flow.next_write_operation(now_coarse());
            matches!(next, WriteOperation::Write(_) | WriteOperation::File(_))
        };
        if has_more {
            let said = link.meter.last_word();
            SpawnOptions::new().label("LastWord").spawn(run(link.clone(), said));
        }
    });
}

/// The body of a LastWord. A peer that does not take the last word in time is cut off.
async fn run<F: Flow>(link: Arc<Link<F>>, last_word: impl Send + 'static) {
    let mut said = false;
    if timeout(LAST_WORD_TIMEOUT, say(&link, &mut said)).await.is_err() && !said {
        link.transport.reset_on_close();
    }
    drop(last_word);
}

/// Sends what the flow has, closes the sending side, and waits until the peer closes as well: a connection
/// that is closed with unread bytes is reset, and the peer may lose what was sent last.
async fn say<F: Flow>(link: &Link<F>, said: &mut bool) {
    let undelivered = poll_fn(|cx| match link.flush(cx, now_coarse()) {
        Flushed::Waiting => Poll::Pending,
        Flushed::Closed { undelivered } => Poll::Ready(undelivered),
    })
    .await;
    link.meter.undelivered(undelivered);
    if undelivered > 0 {
        link.transport.reset_on_close();
    }
    *said = true;
    if poll_fn(|cx| link.transport.poll_close(cx)).await.is_err() {
        return;
    }
    let (mut left, mut buffer) = (MAX_DISCARDED_BYTES, [0; 1024]);
    while left > 0 {
        match poll_fn(|cx| link.transport.poll_read(cx, &mut buffer)).await {
            Ok(read @ 1..) => left = left.saturating_sub(read),
            _ => return,
        }
    }
}

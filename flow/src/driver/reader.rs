//! The Reader: carries bytes from the transport to the flow, and keeps what the flow did not take.

use std::{
    cell::RefCell,
    future::poll_fn,
    io,
    sync::Arc,
    task::{Context, Poll},
};

use riot_actor::now;
use riot_socket::{Shutdown, Transport};

use super::Joint;
use crate::{Flow, FlowError, ReadOperation};

/// What one read takes in at most. It goes into a buffer of the worker, so a connection that waits owns none.
const READ_MAX: usize = 64 * 1024;

/// Bytes a flow leaves again and again are its fault beyond this: its own limits have to end the matter before.
const REST_MAX: usize = 1024 * 1024;

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_MAX].into_boxed_slice());
}

/// The body of a Reader: until the flow wants nothing more from the peer.
/// `rest` has been read already.
pub(super) async fn run<F: Flow>(joint: Arc<Joint<F>>, transport: Arc<dyn Transport>, rest: Vec<u8>) {
    let again = !rest.is_empty();
    let mut reader = Reader { joint: &joint, transport: &*transport, rest, again, ended: false };
    poll_fn(|cx| reader.poll(cx)).await;
    if joint.lock().is_upgraded() {
        *joint.unread() = std::mem::take(&mut reader.rest).into();
        return;
    }
    // Only the receiving side: what the Writer has still to say must not be cut off.
    if let Err(error) = transport.shutdown(Shutdown::Read) {
        tracing::debug!(target: "riot::flow", "shutting the receiving side down: {error}");
    }
}

struct Reader<'a, F> {
    joint: &'a Joint<F>,
    transport: &'a dyn Transport,
    /// What the flow did not consume; it comes first next time.
    rest: Vec<u8>,
    /// The flow has not seen the rest, or has yielded since, so it may take it now.
    again: bool,
    /// The peer sends no more.
    ended: bool,
}

impl<F: Flow> Reader<'_, F> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.joint.reader.get_or_init(|| cx.waker().clone());
        loop {
            let mut flow = self.joint.lock();
            match flow.next_read_operation() {
                ReadOperation::Close => return Poll::Ready(()),
                ReadOperation::Yield => {
                    flow.yield_reader(cx.waker());
                    self.again = true;
                    return Poll::Pending;
                }
                ReadOperation::Read => {}
            }
            if std::mem::take(&mut self.again) && (self.ended || !self.rest.is_empty()) {
                self.present(&mut flow);
                continue;
            }
            drop(flow);
            if self.ended {
                return Poll::Ready(()); // It has been told, and there is nothing more to read.
            }
            match BUFFER.with_borrow_mut(|buffer| self.receive(cx, buffer)) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => {
                    self.joint.change(|flow| flow.report_error(FlowError::Transport(error)));
                    self.ended = true;
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn receive(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<()>> {
        let read = match self.transport.poll_read(cx, buffer) {
            Poll::Ready(Ok(read)) => read,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => return Poll::Pending,
        };
        self.joint.meter.received(read);
        let mut flow = self.joint.lock();
        if read == 0 {
            self.ended = true;
            self.present(&mut flow);
        } else if self.rest.is_empty() {
            let consumed = flow.read(&buffer[..read], now());
            self.rest.extend_from_slice(&buffer[consumed..read]);
        } else {
            self.rest.extend_from_slice(&buffer[..read]);
            self.present(&mut flow);
        }
        if self.rest.len() > REST_MAX {
            return Poll::Ready(Err(io::Error::other(
                "the protocol takes no more bytes and does not say so",
            )));
        }
        Poll::Ready(Ok(()))
    }

    /// Shows the flow what is there.
    fn present(&mut self, flow: &mut F) {
        let consumed =
            if self.ended { flow.read_eof(&self.rest, now()) } else { flow.read(&self.rest, now()) };
        if consumed == self.rest.len() {
            self.rest = Vec::new();
        } else {
            self.rest.drain(..consumed);
        }
    }
}

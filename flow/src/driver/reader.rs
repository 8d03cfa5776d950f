//! The Reader: carries bytes from the transport to the flow, and keeps what the flow did not take.

use std::{
    cell::RefCell,
    future::poll_fn,
    io,
    task::{Context, Poll, ready},
    time::Instant,
};

use riot_actor::now;
use riot_socket::Shutdown;

use super::{Joint, Loop, Sides};
use crate::{Flow, FlowError, ReadOperation};

/// What one read takes in at most. It goes into a buffer of the worker, so a connection that waits owns none.
const READ_MAX: usize = 64 * 1024;

/// Bytes a flow leaves again and again are its fault beyond this: its own limits have to end the matter before.
const REST_MAX: usize = 1024 * 1024;

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_MAX].into_boxed_slice());
}

/// The body of a Reader: until the flow wants nothing more from the peer.
pub(super) async fn run<F: Flow>(joint: Loop<F>) {
    poll_fn(|cx| {
        joint.bells.belong_to_reader(cx.waker());
        joint.read(&mut None)
    })
    .await;
    // Only the receiving side: what the Writer has still to say must not be cut off. If nothing is left to say either the
    // connection closes at once.
    let done = {
        let flow = joint.lock();
        flow.is_upgraded() || flow.is_closed()
    };
    if !done && let Err(error) = joint.transport.shutdown(Shutdown::Read) {
        tracing::debug!(target: "riot::flow", "shutting the receiving side down: {error}");
    }
}

/// What has been read and the flow has not taken.
pub(super) struct Intake {
    /// It comes first next time.
    pub(super) rest: Vec<u8>,
    /// The flow has not seen the rest, or has yielded since, so it may take it now.
    again: bool,
    /// The peer sends no more.
    ended: bool,
}

impl Intake {
    /// `rest` has been read already.
    pub(super) fn new(rest: Vec<u8>) -> Self {
        Self { again: !rest.is_empty(), rest, ended: false }
    }
}

impl<F: Flow> Joint<F> {
    /// Reads what there is, until the flow or the transport has no more for now. Ready when nothing more will be read.
    /// Called by the Reader, and by the Connector in its name. If it looks at the clock it says what that shows.
    pub(super) fn read(&self, time: &mut Option<Instant>) -> Poll<()> {
        let sides = &mut *self.sides.lock();
        let cx = &mut Context::from_waker(&self.input);
        let mut drained = false;
        let mut next = sides.flow.next_read_operation();
        loop {
            let Sides { flow, intake } = sides;
            match next {
                ReadOperation::Close => return Poll::Ready(()),
                ReadOperation::Yield => {
                    flow.yield_reader(&self.input);
                    intake.again = true;
                    return Poll::Pending;
                }
                ReadOperation::Read => {}
            }
            if std::mem::take(&mut intake.again) && (intake.ended || !intake.rest.is_empty()) {
                intake.present(flow);
                next = flow.next_read_operation();
                continue;
            }
            if intake.ended {
                return Poll::Ready(()); // It has been told, and there is nothing more to read.
            }
            if drained {
                return Poll::Pending;
            }
            match BUFFER.with_borrow_mut(|buffer| self.receive(sides, cx, buffer, time)) {
                Poll::Ready(Ok(read)) => (next, drained) = read,
                Poll::Ready(Err(error)) => {
                    sides.flow.report_error(FlowError::Transport(error));
                    sides.intake.ended = true;
                    next = sides.flow.next_read_operation();
                    self.bells.wake_reader();
                    self.bells.wake_writer();
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Says what the flow wants next, and whether the transport has nothing more for now.
    fn receive(
        &self,
        Sides { flow, intake }: &mut Sides<F>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
        time: &mut Option<Instant>,
    ) -> Poll<io::Result<(ReadOperation, bool)>> {
        let (read, drained) = ready!(self.transport.poll_read_all(cx, buffer))?;
        self.meter.received(read);
        let next = if read > 0 && intake.rest.is_empty() {
            let (consumed, next) = flow.read_on(&buffer[..read], *time.insert(now()));
            intake.rest.extend_from_slice(&buffer[consumed..read]);
            next
        } else {
            intake.ended = read == 0;
            intake.rest.extend_from_slice(&buffer[..read]);
            intake.present(flow);
            flow.next_read_operation()
        };
        if intake.rest.len() > REST_MAX {
            return Poll::Ready(Err(io::Error::other(
                "the protocol takes no more bytes and does not say so",
            )));
        }
        Poll::Ready(Ok((next, drained)))
    }
}

impl Intake {
    /// Shows the flow what is there.
    fn present(&mut self, flow: &mut impl Flow) {
        let consumed =
            if self.ended { flow.read_eof(&self.rest, now()) } else { flow.read(&self.rest, now()) };
        if consumed == self.rest.len() {
            self.rest = Vec::new();
        } else {
            self.rest.drain(..consumed);
        }
    }
}

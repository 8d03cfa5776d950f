//! The Reader: carries bytes from the transport to the flow, and keeps what the flow did not take.

use std::{
    cell::RefCell,
    future::poll_fn,
    hint::cold_path,
    io,
    task::{Context, Poll, ready},
    time::Instant,
};

use bytes::{Buf, Bytes, BytesMut};
use riot_actor::time::now_coarse;
use riot_socket::Shutdown;

use super::{Joint, Loop, Sides, block};
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
        // Whoever wakes the Reader may have changed what the flow wants.
        joint.ask_again();
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
    rest: Rest,
    /// The flow has not seen the rest, or has yielded since, so it may take it now.
    again: bool,
    /// The peer sends no more.
    ended: bool,
    /// The last read was as long as a read can be: more of the kind will follow.
    bulk: bool,
    /// The flow was told that it may be read for, and the transport had nothing: that read is still under way.
    under_way: bool,
}

enum Rest {
    Copied(Vec<u8>),
    /// Out of a block.
    Kept(Bytes),
}

impl Intake {
    /// `rest` has been read already.
    pub(super) fn new(rest: Vec<u8>) -> Self {
        Self {
            again: !rest.is_empty(),
            rest: Rest::Copied(rest),
            ended: false,
            bulk: false,
            under_way: false,
        }
    }

    fn rest(&self) -> &[u8] {
        match &self.rest {
            Rest::Copied(bytes) => bytes,
            Rest::Kept(bytes) => bytes,
        }
    }

    pub(super) fn take_rest(&mut self) -> Bytes {
        match std::mem::replace(&mut self.rest, Rest::Copied(Vec::new())) {
            Rest::Copied(bytes) => bytes.into(),
            Rest::Kept(bytes) => bytes,
        }
    }

    fn append(&mut self, bytes: &[u8]) {
        if let Rest::Kept(kept) = &self.rest {
            self.rest = Rest::Copied(kept.to_vec());
        }
        if let Rest::Copied(rest) = &mut self.rest {
            rest.extend_from_slice(bytes);
        }
    }

    /// Shows the flow what is there, if there is something, and asks what it wants then.
    #[inline(never)]
    fn present_again(&mut self, flow: &mut impl Flow) -> Option<ReadOperation> {
        if !self.ended && self.rest().is_empty() {
            return None;
        }
        self.present(flow);
        Some(flow.next_read_operation())
    }

    /// Shows the flow what is there.
    fn present(&mut self, flow: &mut impl Flow) {
        let consumed = match &self.rest {
            _ if self.ended => flow.read_eof(self.rest(), now_coarse()),
            Rest::Copied(bytes) => flow.read(bytes, now_coarse()),
            Rest::Kept(bytes) => flow.read_bytes(bytes, now_coarse()).0,
        };
        if consumed == self.rest().len() {
            self.rest = Rest::Copied(Vec::new());
        }
        match &mut self.rest {
            Rest::Copied(bytes) if bytes.is_empty() => {}
            Rest::Copied(bytes) => drop(bytes.drain(..consumed)),
            Rest::Kept(bytes) => bytes.advance(consumed),
        }
    }
}

impl<F: Flow> Joint<F> {
    /// Reads what there is, until the flow or the transport has no more for now. Ready when nothing more will be read.
    /// Called by the Reader, and by the Connector in its name. If it looks at the clock it says what that shows.
    pub(super) fn read(&self, time: &mut Option<Instant>) -> Poll<()> {
        let sides = &mut *self.sides.lock();
        let cx = &mut Context::from_waker(&self.input);
        let under_way = std::mem::take(&mut sides.intake.under_way);
        let mut next = ReadOperation::Read;
        if !under_way {
            cold_path();
            next = sides.flow.next_read_operation();
        }
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
            if std::mem::take(&mut intake.again)
                && let Some(then) = intake.present_again(flow)
            {
                next = then;
                continue;
            }
            if intake.ended {
                return Poll::Ready(()); // It has been told, and there is nothing more to read.
            }
            let block = if intake.bulk { block::take() } else { None };
            let received = match block {
                Some(block) => self.receive_block(sides, cx, block, time),
                None => BUFFER.with_borrow_mut(|buffer| self.receive(sides, cx, buffer, time)),
            };
            match received {
                Poll::Ready(Ok((ReadOperation::Read, true))) if !sides.intake.ended => break,
                Poll::Ready(Ok((then, _))) => next = then,
                Poll::Ready(Err(error)) => next = self.read_failed(sides, error),
                Poll::Pending => break,
            }
        }
        sides.intake.under_way = true;
        Poll::Pending
    }

    #[cold]
    fn read_failed(&self, Sides { flow, intake }: &mut Sides<F>, error: io::Error) -> ReadOperation {
        flow.report_error(FlowError::Transport(error));
        intake.ended = true;
        self.bells.wake_reader();
        self.bells.wake_writer();
        flow.next_read_operation()
    }

    /// Has the next read ask the flow what it wants, though one may be under way.
    fn ask_again(&self) {
        self.sides.lock().intake.under_way = false;
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
        intake.bulk = read == READ_MAX;
        if read == 0 || !intake.rest().is_empty() {
            cold_path();
            return Poll::Ready(
                self.received_more(flow, intake, &buffer[..read]).map(|next| (next, drained)),
            );
        }
        let (consumed, next) = flow.read_on(&buffer[..read], *time.insert(now_coarse()));
        if consumed < read {
            cold_path();
            intake.append(&buffer[consumed..read]);
        }
        Poll::Ready(Ok((next, drained)))
    }

    /// The same with a block.
    #[inline(never)]
    fn receive_block(
        &self,
        Sides { flow, intake }: &mut Sides<F>,
        cx: &mut Context<'_>,
        mut block: BytesMut,
        time: &mut Option<Instant>,
    ) -> Poll<io::Result<(ReadOperation, bool)>> {
        let received = self.transport.poll_read_all(cx, &mut block);
        let (read, drained) = match received {
            Poll::Ready(Ok(received)) => received,
            Poll::Ready(Err(_)) | Poll::Pending => (0, false),
        };
        let bytes = block::give_back(block, read);
        ready!(received)?;
        self.meter.received(read);
        intake.bulk = read >= READ_MAX;
        if read == 0 || !intake.rest().is_empty() {
            return Poll::Ready(self.received_more(flow, intake, &bytes).map(|next| (next, drained)));
        }
        let (consumed, next) = flow.read_bytes(&bytes, *time.insert(now_coarse()));
        if consumed < read {
            intake.rest = Rest::Kept(bytes.slice(consumed..));
        }
        Poll::Ready(Ok((next, drained)))
    }

    /// The end, or bytes behind others that the flow has not taken.
    #[inline(never)]
    fn received_more(&self, flow: &mut F, intake: &mut Intake, bytes: &[u8]) -> io::Result<ReadOperation> {
        intake.ended = bytes.is_empty();
        intake.append(bytes);
        intake.present(flow);
        if intake.rest().len() > REST_MAX {
            return Err(io::Error::other("the protocol takes no more bytes and does not say so"));
        }
        Ok(flow.next_read_operation())
    }
}

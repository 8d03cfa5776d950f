//! Socket → flow: reads from the transport, gives the bytes to the flow, and keeps what the flow did not
//! consume.

use std::{
    cell::RefCell,
    hint::cold_path,
    io,
    task::{Context, Poll, ready},
    time::Instant,
};

use bytes::{Buf, Bytes, BytesMut};
use riot_actor::time::now_coarse;

use super::{Link, buffers, link::LinkState};
use crate::{Flow, FlowError, ReadOperation, defer};

/// Bounds one read into the worker's buffer, in bytes. The buffer is the worker's, so an idle connection owns
/// none.
const MAX_READ_BYTES: usize = 64 * 1024;

/// Bounds the bytes kept for a flow that does not consume them. A flow that leaves more than this unread is
/// broken; its own limits must reject such input earlier.
const MAX_UNREAD_BYTES: usize = 1024 * 1024;

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; MAX_READ_BYTES].into_boxed_slice());
}

/// The outcome of [`Link::fill`].
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filled {
    /// Nothing more can be read for now; [`Due::READ`](super::wake_flags::Due) is notified when that changes.
    Waiting,
    /// Nothing will be read any more: the Reader closes the receiving side.
    Closed,
}

/// The receiving direction of a [`Link`].
pub(super) struct Inbound {
    /// Bytes read and not consumed. They are presented before newer ones.
    unread: Unread,
    /// The unread bytes can be presented again before more is read: the flow has not seen them, or has
    /// yielded since.
    present_again: bool,
    /// The peer sends no more.
    ended: bool,
    /// The flow has been told that the transport failed.
    failed: bool,
    /// Nothing more is read, and the transport says when the peer has gone.
    is_watched: bool,
    /// The last read filled its buffer, so the next one uses a block that the flow can keep without a copy.
    bulk: bool,
    /// The flow has asked for a read and the transport had nothing yet, so the flow need not be asked again.
    read_pending: bool,
}

enum Unread {
    Copied(Vec<u8>),
    /// A part of a block; see [`buffers`].
    Shared(Bytes),
}

/// The outcome of one read.
struct Received {
    next: ReadOperation,
    /// The transport is known to have nothing more for now.
    would_block_next: bool,
}

impl Inbound {
    pub(super) fn new(unread: Vec<u8>) -> Self {
        Self {
            present_again: !unread.is_empty(),
            unread: Unread::Copied(unread),
            ended: false,
            failed: false,
            is_watched: false,
            bulk: false,
            read_pending: false,
        }
    }

    /// Makes the next [`Link::fill`] ask the flow what it wants, although a read may be pending.
    pub(super) fn ask_flow_again(&mut self) {
        self.read_pending = false;
    }

    pub(super) fn take_unread(&mut self) -> Bytes {
        match std::mem::replace(&mut self.unread, Unread::Copied(Vec::new())) {
            Unread::Copied(bytes) => bytes.into(),
            Unread::Shared(bytes) => bytes,
        }
    }

    fn unread(&self) -> &[u8] {
        match &self.unread {
            Unread::Copied(bytes) => bytes,
            Unread::Shared(bytes) => bytes,
        }
    }

    fn append(&mut self, bytes: &[u8]) {
        if let Unread::Shared(shared) = &self.unread {
            self.unread = Unread::Copied(shared.to_vec());
        }
        if let Unread::Copied(unread) = &mut self.unread {
            unread.extend_from_slice(bytes);
        }
    }

    /// Presents the unread bytes, if there are any, and asks the flow what it wants next.
    #[inline(never)]
    fn present_unread(&mut self, flow: &mut impl Flow) -> Option<ReadOperation> {
        if !self.ended && self.unread().is_empty() {
            return None;
        }
        self.present(flow);
        Some(flow.next_read_operation())
    }

    fn present(&mut self, flow: &mut impl Flow) {
        let consumed = match &self.unread {
            _ if self.ended => flow.read_eof(self.unread(), now_coarse()),
            Unread::Copied(bytes) => flow.read(bytes, now_coarse()),
            Unread::Shared(bytes) => flow.read_bytes(bytes, now_coarse()).0,
        };
        if consumed == self.unread().len() {
            self.unread = Unread::Copied(Vec::new());
        }
        match &mut self.unread {
            Unread::Copied(bytes) if bytes.is_empty() => {}
            Unread::Copied(bytes) => drop(bytes.drain(..consumed)),
            Unread::Shared(bytes) => bytes.advance(consumed),
        }
    }
}

impl<F: Flow> Link<F> {
    /// Reads until the flow or the transport has no more for now. `time` is set to the instant that the flow
    /// was told.
    ///
    /// The Connector calls this in its poll slice, and the Reader when it takes over. In both cases the
    /// transport is registered with [`Link::read_waker`](Link).
    pub(super) fn fill(&self, time: &mut Option<Instant>) -> Filled {
        // Bytes are lost only where the flow is told of an error.
        let mut until_unlocked = None;
        let state = &mut *self.state.lock();
        let cx = &mut Context::from_waker(&self.read_waker);
        let read_pending = std::mem::take(&mut state.inbound.read_pending);
        let mut next = ReadOperation::Read;
        if !read_pending {
            cold_path();
            next = state.flow.next_read_operation();
        }
        loop {
            let LinkState { flow, inbound, .. } = state;
            match next {
                ReadOperation::Close => {
                    cold_path();
                    until_unlocked.get_or_insert_with(defer);
                    return self.input_closed(state);
                }
                ReadOperation::Yield => {
                    flow.yield_reader(&self.read_waker);
                    inbound.present_again = true;
                    if !inbound.ended && inbound.unread().is_empty() && flow.may_read_ahead() {
                        match self.read_ahead(flow, inbound, cx) {
                            Poll::Pending => return Filled::Waiting,
                            Poll::Ready(Ok(then)) => next = then,
                            Poll::Ready(Err(error)) => {
                                until_unlocked.get_or_insert_with(defer);
                                next = self.read_failed(state, error);
                            }
                        }
                        continue;
                    }
                    // No read reports that the peer has gone before the flow goes on.
                    if inbound.failed || self.transport.poll_closed(cx).is_pending() {
                        return Filled::Waiting;
                    }
                    until_unlocked.get_or_insert_with(defer);
                    next = self.read_failed(state, io::ErrorKind::ConnectionReset.into());
                    continue;
                }
                ReadOperation::Read => {}
            }
            if std::mem::take(&mut inbound.present_again)
                && let Some(then) = inbound.present_unread(flow)
            {
                next = then;
                continue;
            }
            if inbound.ended {
                cold_path();
                until_unlocked.get_or_insert_with(defer);
                return self.input_closed(state); // The flow has been told of the end.
            }
            let block = if inbound.bulk { buffers::take_block() } else { None };
            let received = match block {
                Some(block) => self.receive_block(flow, inbound, cx, block, time),
                None => BUFFER.with_borrow_mut(|buffer| self.receive(flow, inbound, cx, buffer, time)),
            };
            match received {
                Poll::Ready(Ok(Received { next: ReadOperation::Read, would_block_next: true }))
                    if !state.inbound.ended =>
                {
                    break;
                }
                Poll::Ready(Ok(received)) => next = received.next,
                Poll::Ready(Err(error)) => {
                    cold_path();
                    until_unlocked.get_or_insert_with(defer);
                    next = self.read_failed(state, error);
                }
                Poll::Pending => break,
            }
        }
        state.inbound.read_pending = true;
        Filled::Waiting
    }

    /// Watches the peer from now on, although nothing more is read: it may go away while the flow still
    /// sends.
    #[cold]
    pub(super) fn watch_peer(&self) {
        let _until_unlocked = defer();
        let state = &mut *self.state.lock();
        state.inbound.is_watched = true;
        let _ = self.input_closed(state);
    }

    fn input_closed(&self, state: &mut LinkState<F>) -> Filled {
        if state.inbound.is_watched {
            cold_path();
            self.look_at_peer(state);
        }
        Filled::Closed
    }

    /// Tells the flow if the peer has gone, else registers for that.
    #[inline(never)]
    fn look_at_peer(&self, state: &mut LinkState<F>) {
        let LinkState { flow, inbound, outbound } = state;
        let ends = inbound.failed || outbound.is_closed() || flow.is_closed() || flow.is_upgraded();
        if !ends && self.transport.poll_closed(&mut Context::from_waker(&self.read_waker)).is_ready() {
            let _ = self.read_failed(state, io::ErrorKind::ConnectionReset.into());
        }
    }

    #[cold]
    fn read_failed(
        &self,
        LinkState { flow, inbound, .. }: &mut LinkState<F>,
        error: io::Error,
    ) -> ReadOperation {
        flow.report_error(FlowError::Transport(error));
        (inbound.ended, inbound.failed) = (true, true);
        self.wakes.wake_reader();
        self.wakes.wake_writer();
        flow.next_read_operation()
    }

    /// Reads while the flow yields. What comes is kept, and the flow learns of the end.
    #[cold]
    #[inline(never)]
    fn read_ahead(
        &self,
        flow: &mut F,
        inbound: &mut Inbound,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<ReadOperation>> {
        BUFFER.with_borrow_mut(|buffer| {
            let read = ready!(self.transport.poll_read(cx, buffer))?;
            self.meter.received(read);
            Poll::Ready(receive_slow(flow, inbound, &buffer[..read]))
        })
    }

    /// Reads into the worker's buffer and gives the flow the bytes.
    fn receive(
        &self,
        flow: &mut F,
        inbound: &mut Inbound,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
        time: &mut Option<Instant>,
    ) -> Poll<io::Result<Received>> {
        let outcome = ready!(self.transport.poll_read_hint(cx, buffer))?;
        let (read, would_block_next) = (outcome.bytes, outcome.would_block_next);
        self.meter.received(read);
        inbound.bulk = read == MAX_READ_BYTES;
        if read == 0 || !inbound.unread().is_empty() {
            cold_path();
            let next = receive_slow(flow, inbound, &buffer[..read])?;
            return Poll::Ready(Ok(Received { next, would_block_next }));
        }
        let (consumed, next) = flow.read_on(&buffer[..read], *time.insert(now_coarse()));
        if consumed < read {
            cold_path();
            inbound.append(&buffer[consumed..read]);
        }
        Poll::Ready(Ok(Received { next, would_block_next }))
    }

    /// Reads into a block, and gives the flow bytes that it can keep without a copy.
    #[inline(never)]
    fn receive_block(
        &self,
        flow: &mut F,
        inbound: &mut Inbound,
        cx: &mut Context<'_>,
        mut block: BytesMut,
        time: &mut Option<Instant>,
    ) -> Poll<io::Result<Received>> {
        let outcome = self.transport.poll_read_hint(cx, &mut block);
        let read = match &outcome {
            Poll::Ready(Ok(outcome)) => outcome.bytes,
            Poll::Ready(Err(_)) | Poll::Pending => 0,
        };
        let bytes = buffers::freeze_block(block, read);
        let would_block_next = ready!(outcome)?.would_block_next;
        self.meter.received(read);
        inbound.bulk = read >= MAX_READ_BYTES;
        if read == 0 || !inbound.unread().is_empty() {
            let next = receive_slow(flow, inbound, &bytes)?;
            return Poll::Ready(Ok(Received { next, would_block_next }));
        }
        let (consumed, next) = flow.read_bytes(&bytes, *time.insert(now_coarse()));
        if consumed < read {
            inbound.unread = Unread::Shared(bytes.slice(consumed..));
        }
        Poll::Ready(Ok(Received { next, would_block_next }))
    }
}

/// Handles the end of input, and bytes that follow unread ones.
#[inline(never)]
fn receive_slow(flow: &mut impl Flow, inbound: &mut Inbound, bytes: &[u8]) -> io::Result<ReadOperation> {
    inbound.ended = bytes.is_empty();
    inbound.append(bytes);
    inbound.present(flow);
    if inbound.unread().len() > MAX_UNREAD_BYTES {
        return Err(io::Error::other("the protocol neither consumes its input nor closes"));
    }
    Ok(flow.next_read_operation())
}

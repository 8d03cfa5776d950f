//! The hold that a handler has on its exchange.

use std::{
    net::SocketAddr,
    num::NonZeroU64,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

use crate::{
    BodyError, RespondError, Route, UpgradeError, WriteError,
    h1::{BodyRemaining, Chunk, FlushState, Offer, Payload, Shared, State, poll_unlocked},
    message::ResponseHead,
};

/// Names one exchange of one connection, and carries every operation on it to the connection's protocol.
///
/// A second version of HTTP becomes a second case of what `connection` points to: nothing else in this room
/// knows the protocol. Every operation takes the connection's lock once.
#[derive(Clone, Debug)]
pub(super) struct ExchangeHandle {
    connection: Arc<Shared>,
    id: u64,
}

impl ExchangeHandle {
    #[inline]
    pub(super) fn new(connection: Arc<Shared>, id: u64) -> Self {
        Self { connection, id }
    }

    #[inline]
    pub(super) fn peer(&self) -> Option<SocketAddr> {
        self.connection.peer()
    }

    /// Responds with a body known as a whole.
    #[inline]
    pub(super) fn respond(
        &self,
        head: &ResponseHead<'_>,
        mut payload: Payload<'_>,
    ) -> Result<(), RespondError> {
        self.connection.lock().respond(self.id, head, &mut payload)
    }

    /// Begins a response whose body is written in pieces, and returns what may be written.
    pub(super) fn respond_streaming(&self, head: &ResponseHead<'_>) -> Result<BodyRemaining, RespondError> {
        self.connection.lock().respond_streaming(self.id, head)
    }

    pub(super) fn respond_upgrade(&self, head: &ResponseHead<'_>) -> Result<(), RespondError> {
        self.connection.lock().respond_upgrade(self.id, head)
    }

    #[cfg(feature = "hyper-upgrade")]
    pub(super) fn leave_unanswered(&self) -> Option<crate::h1::Unanswered> {
        self.connection.lock().leave_unanswered(self.id)
    }

    pub(super) fn early_hints(&self, fields: &[(HeaderName, HeaderValue)]) -> Result<(), RespondError> {
        let fields = fields.iter().map(|(name, value)| (name, value));
        self.connection.lock().respond_early_hints(self.id, fields)
    }

    /// Records that no response will be given.
    #[cold]
    pub(super) fn abandon(&self) {
        self.connection.lock().abandon(self.id, std::thread::panicking());
    }

    /// Names the route of the request, if it is watched. What is not kept is dropped outside the lock.
    pub(super) fn set_route(&self, route: Route) {
        let mut route = Some(route);
        self.connection.lock_quiet().set_route(self.id, &mut route);
    }

    pub(super) fn keep_handler(&self) {
        self.connection.lock().keep_handler(self.id);
    }

    /// Returns whether the connection ends in order, or has ended.
    pub(super) fn is_ending(&self) -> bool {
        self.connection.lock_quiet().is_ending()
    }

    /// Ready when the connection ends in order, or has ended.
    pub(super) fn poll_drain(&self, key: &mut Option<NonZeroU64>, waker: &Waker) -> Poll<()> {
        self.connection.poll_ending(key, waker, State::poll_drain)
    }

    /// Frees the slot of a wait for the drain.
    pub(super) fn forget_drain(&self, key: NonZeroU64) {
        let waker = self.connection.lock_quiet().forget_ending(key);
        drop(waker);
    }

    pub(super) fn keep_on_drain(&self) {
        self.connection.lock().keep_on_drain(self.id);
    }

    pub(super) fn poll_chunk(&self, cx: &mut Context<'_>) -> Poll<Result<Chunk, BodyError>> {
        poll_unlocked(cx.waker(), |waker| self.connection.lock().poll_chunk(self.id, waker))
    }

    pub(super) fn write(&self, mut piece: Bytes) -> Result<(), WriteError> {
        self.connection.lock().write(self.id, &mut piece)
    }

    /// Ready when a piece may be written below the high-water mark, or will be refused.
    pub(super) fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        poll_unlocked(cx.waker(), |waker| self.connection.lock_quiet().poll_room(self.id, waker))
    }

    /// Returns the position behind everything written so far.
    pub(super) fn written_position(&self) -> u64 {
        self.connection.lock().bytes_queued
    }

    /// Ready when everything before `position` has been sent, or is lost.
    pub(super) fn poll_flush(&self, position: u64, cx: &mut Context<'_>) -> Poll<FlushState> {
        poll_unlocked(cx.waker(), |waker| self.connection.lock_quiet().poll_flush(position, waker))
    }

    pub(super) fn finish(&self, trailers: &[(HeaderName, HeaderValue)]) -> Result<(), WriteError> {
        self.connection.lock().finish(self.id, trailers)
    }

    /// Cuts a body off that was not finished.
    pub(super) fn abort(&self) {
        self.connection.lock().abort(self.id, std::thread::panicking());
    }

    /// Ready when the driver has handed the transport over, or never will.
    pub(super) fn poll_transport(&self, waker: &Waker) -> Poll<Result<Offer, UpgradeError>> {
        poll_unlocked(waker, |waker| self.connection.lock_quiet().poll_transport(waker))
    }
}

//! The exchanges of a connection, in order.

use std::hint::cold_path;
use std::ops::Range;

use super::{
    cache::WorkerCache,
    codec::framing::{RequestTraits, UpgradeOffer},
    request_body::RequestBody,
};
use crate::{Head, RequestError};

/// The state of the response to a request. The legal moves are in [`ResponseState::MOVES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResponseState {
    /// No handler has taken the request.
    Queued,
    /// The request has a handler, and no final response.
    Waiting,
    /// The head is queued, and the body is being written.
    Streaming(BodyRemaining),
    /// All of the response is queued.
    Complete,
}

/// The part of a streamed body that may still be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyRemaining {
    /// Whatever is written is dropped, because the response has no body.
    Nothing,
    /// Exactly this many bytes.
    Bytes(u64),
    /// Chunks, then the last chunk.
    Chunks,
    /// Bytes, then the end of the connection.
    UntilClose,
}

/// A request that waits in the queue.
#[derive(Debug)]
pub(crate) struct PendingRequest {
    /// The head, until a handler takes it. Empty also in a rejected request.
    pub(crate) head: Head,
    /// The body, if there is one.
    pub(crate) body: Option<Box<RequestBody>>,
    pub(crate) traits: RequestTraits,
}

impl PendingRequest {
    /// Returns the bytes kept for a handler that has not taken them.
    fn buffered_bytes(&self) -> usize {
        self.head.bytes().len() + self.body.as_ref().map_or(0, |incoming| incoming.buffered())
    }
}

impl Default for PendingRequest {
    fn default() -> Self {
        Self { head: Head::none(), body: None, traits: RequestTraits::default() }
    }
}

/// A request and its response.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) id: u64,
    pub(crate) response: ResponseState,
    pub(crate) request: PendingRequest,
}

impl Exchange {
    pub(crate) fn body_is_complete(&self) -> bool {
        self.request.body.as_ref().is_none_or(|incoming| incoming.is_complete())
    }
}

/// Requests in arrival order. The first is inline; the queue is allocated only for pipelining.
#[derive(Debug)]
pub(crate) struct ExchangeQueue {
    /// The oldest exchange, if `any`.
    first: Exchange,
    any: bool,
    /// Slots for the requests behind the first. Invariant: slots outside `waiting` are empty.
    slots: Vec<PendingRequest>,
    /// The slots in use. Invariant: empty if there is no first.
    waiting: Range<usize>,
    /// The reason for which the connection answers the last request itself.
    rejection: Option<Box<RequestError>>,
}

/// Bounds the queues whose slots a worker keeps; 16.
const MAX_POOLED_QUEUES: usize = 16;

/// The slots that a queue has at first, and bounds those that are kept for another queue; 16.
const MAX_POOLED_SLOTS: usize = 16;

impl Default for ExchangeQueue {
    fn default() -> Self {
        let first = Exchange { id: 0, response: ResponseState::Queued, request: PendingRequest::default() };
        Self { first, any: false, slots: Vec::new(), waiting: 0..0, rejection: None }
    }
}

impl ExchangeQueue {
    /// Appends a request, whose `id` follows that of the one before it. Returns whether it is the first.
    #[inline(always)] // perf: keep-alive, 2456 → 2433 instructions
    pub(crate) fn push(&mut self, id: u64, request: PendingRequest) -> bool {
        if self.any {
            self.push_slow(request);
            return false;
        }
        self.any = true;
        (self.first.id, self.first.response) = (id, ResponseState::Queued);
        self.first.request = request;
        true
    }

    #[inline(always)] // perf: 16 pipelined, 815 → 790 instructions
    fn push_slow(&mut self, request: PendingRequest) {
        if self.waiting.end == self.slots.len() {
            cold_path();
            self.grow();
        }
        // perf: pipelined; field by field, so that dropping an empty slot is a comparison.
        let PendingRequest { head, body: incoming, traits } = request;
        let place = &mut self.slots[self.waiting.end];
        (place.head, place.body, place.traits) = (head, incoming, traits);
        self.waiting.end += 1;
    }

    #[inline(never)]
    fn grow(&mut self) {
        if self.slots.is_empty() {
            self.slots =
                WorkerCache::try_with(|cache| cache.slots.borrow_mut().pop()).flatten().unwrap_or_default();
        }
        let left = self.waiting.start;
        self.slots.rotate_left(left);
        self.waiting = 0..self.waiting.end - left;
        if self.waiting.end == self.slots.len() {
            let more = self.slots.len().max(MAX_POOLED_SLOTS);
            self.slots.extend(std::iter::repeat_with(PendingRequest::default).take(more));
        }
    }

    /// Makes the connection answer the last request itself. Returns the bytes that were kept for it.
    pub(crate) fn reject_last(&mut self, error: RequestError) -> usize {
        self.rejection = Some(Box::new(error));
        let last = self.last_mut();
        let kept = last.buffered_bytes();
        (last.head, last.body) = (Head::none(), None);
        kept
    }

    /// Returns the error with which the connection answers the first request itself, if it does.
    pub(crate) fn rejection(&self) -> Option<RequestError> {
        self.rejection.as_deref().copied().filter(|_| self.len() == 1)
    }

    /// Removes the first exchange; returns the bytes that were kept for it.
    #[inline]
    pub(crate) fn pop(&mut self) -> usize {
        if !self.any {
            return 0;
        }
        let kept = self.first.request.buffered_bytes();
        (self.first.request.head, self.first.request.body) = (Head::none(), None);
        self.pop_answered();
        kept
    }

    /// Removes the first exchange, for which nothing is kept any more.
    #[inline]
    pub(crate) fn pop_answered(&mut self) {
        if self.waiting.start < self.waiting.end {
            std::mem::swap(&mut self.first.request, &mut self.slots[self.waiting.start]);
            self.waiting.start += 1;
            self.first.id += 1;
            self.first.response = ResponseState::Queued;
            return;
        }
        self.any = false;
        if !self.slots.is_empty() {
            cold_path();
            self.recycle_slots();
        }
    }

    #[inline(never)]
    fn recycle_slots(&mut self) {
        let room = std::mem::take(&mut self.slots);
        self.waiting = 0..0;
        if room.len() <= MAX_POOLED_SLOTS {
            WorkerCache::try_with(|cache| {
                let mut pool = cache.slots.borrow_mut();
                if pool.len() < MAX_POOLED_QUEUES {
                    pool.push(room);
                }
            });
        }
    }

    /// Drops the requests behind the first `length`.
    pub(crate) fn truncate(&mut self, length: usize) {
        if length >= self.len() {
            return;
        }
        self.rejection = None;
        match length.checked_sub(1) {
            Some(length) => self.truncate_waiting(self.waiting.start + length),
            None => self.clear(),
        }
    }

    pub(crate) fn clear(&mut self) {
        (self.any, self.rejection, self.first.request) = (false, None, PendingRequest::default());
        self.truncate_waiting(0);
        self.waiting = 0..0;
    }

    /// Drops the requests from this slot on.
    fn truncate_waiting(&mut self, place: usize) {
        self.slots[place..].fill_with(PendingRequest::default);
        self.waiting.end = place;
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        usize::from(self.any) + (self.waiting.end - self.waiting.start)
    }

    fn waiting(&self) -> &[PendingRequest] {
        &self.slots[self.waiting.clone()]
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.any
    }

    #[inline]
    pub(crate) fn front(&self) -> Option<&Exchange> {
        self.any.then_some(&self.first)
    }

    #[inline]
    pub(crate) fn front_mut(&mut self) -> Option<&mut Exchange> {
        self.any.then_some(&mut self.first)
    }

    /// Returns the first exchange, which must exist.
    pub(crate) fn active_mut(&mut self) -> &mut Exchange {
        self.front_mut().expect("a request is under way")
    }

    /// Returns whether another protocol may follow the last request.
    #[inline]
    pub(crate) fn last_may_upgrade(&self) -> bool {
        self.any && self.newest().traits.upgrade == UpgradeOffer::Complete
    }

    /// Returns the last request, which must exist.
    #[inline]
    fn newest(&self) -> &PendingRequest {
        if self.waiting.is_empty() { &self.first.request } else { &self.slots[self.waiting.end - 1] }
    }

    /// Returns the last request and the state of its response.
    #[inline]
    pub(crate) fn last(&self) -> Option<(&PendingRequest, ResponseState)> {
        let answer = if self.waiting.is_empty() { self.first.response } else { ResponseState::Queued };
        self.any.then(|| (self.newest(), answer))
    }

    /// Returns the body of the last request.
    pub(crate) fn last_body(&mut self) -> Option<&mut RequestBody> {
        self.last_mut().body.as_deref_mut()
    }

    /// Returns the last request, which must exist.
    pub(crate) fn last_mut(&mut self) -> &mut PendingRequest {
        self.slots[self.waiting.clone()].last_mut().unwrap_or(&mut self.first.request)
    }

    /// Returns the bytes kept for handlers that have not taken them.
    pub(crate) fn buffered_bytes(&self) -> usize {
        self.front().map_or(0, |first| first.request.buffered_bytes())
            + self.waiting().iter().map(PendingRequest::buffered_bytes).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Push { minor: u8, may_upgrade: bool },
        Pop,
        Truncate(usize),
        Clear,
    }

    fn offer(may_upgrade: bool) -> UpgradeOffer {
        if may_upgrade { UpgradeOffer::Complete } else { UpgradeOffer::None }
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            20 => (any::<u8>(), any::<bool>())
                .prop_map(|(minor, may_upgrade)| Step::Push { minor, may_upgrade }),
            15 => Just(Step::Pop),
            1 => (0..40_usize).prop_map(Step::Truncate),
            1 => Just(Step::Clear),
        ]
    }

    proptest! {
        #[test]
        fn they_stay_in_order_however_many_there_are(steps in vec(step(), 0..300)) {
            let (mut exchanges, mut model) = (ExchangeQueue::default(), VecDeque::new());
            let mut id = 0;
            for step in steps {
                match step {
                    Step::Push { minor, may_upgrade } => {
                        let upgrade = offer(may_upgrade);
                        let traits = RequestTraits { minor, upgrade, ..RequestTraits::default() };
                        // Numbers continue behind dropped requests.
                        id = exchanges.front().map_or(id, |first| first.id + exchanges.len() as u64 - 1) + 1;
                        let request = PendingRequest { traits, ..PendingRequest::default() };
                        let is_first = exchanges.push(id, request);
                        prop_assert_eq!(is_first, model.is_empty());
                        model.push_back((id, traits));
                    }
                    Step::Pop => {
                        prop_assert_eq!(exchanges.pop(), 0);
                        model.pop_front();
                    }
                    Step::Truncate(length) => {
                        exchanges.truncate(length);
                        model.truncate(length);
                    }
                    Step::Clear => {
                        exchanges.clear();
                        model.clear();
                    }
                }
                let first = exchanges.front().map(|first| (first.id, first.request.traits));
                prop_assert_eq!(first, model.front().copied());
                let last = exchanges.last().map(|(last, _)| last.traits);
                prop_assert_eq!(last, model.back().map(|&(_, traits)| traits));
                prop_assert_eq!(exchanges.len(), model.len());
                prop_assert_eq!(exchanges.is_empty(), model.is_empty());
                let may_upgrade = model.back().is_some_and(|(_, traits)| traits.upgrade == offer(true));
                prop_assert_eq!(exchanges.last_may_upgrade(), may_upgrade);
            }
        }
    }

    #[test]
    fn room_is_bounded_by_those_in_it() {
        let mut exchanges = ExchangeQueue::default();
        for id in 1..4 {
            exchanges.push(id, PendingRequest::default());
        }
        for id in 4..10_000 {
            exchanges.push(id, PendingRequest::default());
            exchanges.pop();
        }
        assert_eq!((exchanges.len(), exchanges.slots.len()), (3, MAX_POOLED_SLOTS));
        while !exchanges.is_empty() {
            exchanges.pop();
        }
        assert_eq!(exchanges.slots.capacity(), 0, "it is left to others");
    }
}

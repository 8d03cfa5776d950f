//! The requests of a connection and their answers, in order.

use std::collections::VecDeque;

use super::incoming::Incoming;
use crate::{
    Head, RequestError,
    spare::{self, Spare},
};

/// How far the answer to a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// No handler has seen the request.
    Queued,
    /// It has a handler, and no final answer.
    Waiting,
    /// The head is out, and the body is being written.
    Streaming(Left),
    /// All of it is queued for sending.
    Complete,
}

/// What may still be written to a streamed body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// Whatever is written is dropped: the answer has no body by its nature.
    Nothing,
    /// So many bytes, no more and no less.
    Bytes(u64),
    /// Chunks, then the last one.
    Chunks,
    /// Bytes, then the end of the connection.
    UntilClose,
}

/// One request and its answer.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) id: u64,
    /// Until a handler takes it.
    pub(crate) head: Option<Head>,
    /// Set: the connection answers this one itself.
    pub(crate) refusal: Option<RequestError>,
    pub(crate) is_head: bool,
    pub(crate) is_connect: bool,
    /// Neither side has said so far that the connection ends after it.
    pub(crate) keep_alive: bool,
    /// The peer has said so.
    pub(crate) peer_closes: bool,
    pub(crate) minor: u8,
    pub(crate) may_switch: bool,
    /// The peer waits for `100 Continue`.
    pub(crate) continue_due: bool,
    /// None: the request has no body.
    pub(crate) incoming: Option<Box<Incoming>>,
    pub(crate) answer: Answer,
}

impl Exchange {
    fn new() -> Self {
        Self {
            id: 0,
            head: None,
            refusal: None,
            is_head: false,
            is_connect: false,
            keep_alive: false,
            peer_closes: false,
            minor: 1,
            may_switch: false,
            continue_due: false,
            incoming: None,
            answer: Answer::Queued,
        }
    }

    pub(crate) fn body_is_complete(&self) -> bool {
        self.incoming.as_ref().is_none_or(|incoming| incoming.is_complete())
    }

    /// Bytes kept for a handler that has not taken them.
    pub(crate) fn kept(&self) -> usize {
        let head = self.head.as_ref().map_or(0, |head| head.bytes().len());
        head + self.incoming.as_ref().map_or(0, |incoming| incoming.buffered())
    }
}

/// Oldest first.
///
/// Each stays where it was made: to carry one about would cost as much as answering half of it. What most connections have
/// is one at a time, so they own no queue.
#[derive(Debug, Default)]
pub(crate) struct Exchanges {
    first: Option<Box<Exchange>>,
    /// Invariant: empty if there is no first.
    rest: VecDeque<Box<Exchange>>,
}

thread_local! {
    static PLACES: Spare<Box<Exchange>> = const { Spare::new(64) };
    static QUEUES: Spare<VecDeque<Box<Exchange>>> = const { Spare::new(16) };
}

/// The room of a queue that is left to others.
const QUEUE_MAX: usize = 16;

impl Exchanges {
    /// One more, to be filled in: it has no head, no body and no refusal, and no handler has seen it.
    #[inline]
    pub(crate) fn push(&mut self, id: u64) -> &mut Exchange {
        let mut place = spare::take(&PLACES).unwrap_or_else(|| Box::new(Exchange::new()));
        place.id = id;
        place.answer = Answer::Queued;
        if self.first.is_some() { self.push_behind(place) } else { self.first.insert(place) }
    }

    #[inline(never)]
    fn push_behind(&mut self, place: Box<Exchange>) -> &mut Exchange {
        if self.rest.capacity() == 0
            && let Some(queue) = spare::take(&QUEUES)
        {
            self.rest = queue;
        }
        self.rest.push_back(place);
        self.rest.back_mut().expect("it was just put there")
    }

    /// Takes the first one away; says how many bytes were kept for it.
    #[inline]
    pub(crate) fn pop(&mut self) -> usize {
        let Some(mut place) = self.first.take() else { return 0 };
        if self.rest.capacity() > 0 {
            self.move_up();
        }
        let kept = place.kept();
        place.head = None;
        place.incoming = None;
        place.refusal = None;
        spare::leave(&PLACES, place);
        kept
    }

    #[inline(never)]
    fn move_up(&mut self) {
        self.first = self.rest.pop_front();
        if self.first.is_none() {
            let queue = std::mem::take(&mut self.rest);
            if queue.capacity() <= QUEUE_MAX {
                spare::leave(&QUEUES, queue);
            }
        }
    }

    /// Drops those behind the first `length`.
    pub(crate) fn truncate(&mut self, length: usize) {
        match length.checked_sub(1) {
            Some(length) => self.rest.truncate(length),
            None => self.clear(),
        }
    }

    pub(crate) fn clear(&mut self) {
        self.first = None;
        self.rest.clear();
    }

    pub(crate) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(crate) fn front(&self) -> Option<&Exchange> {
        self.first.as_deref()
    }

    pub(crate) fn front_mut(&mut self) -> Option<&mut Exchange> {
        self.first.as_deref_mut()
    }

    /// The first one, where there is one.
    pub(crate) fn active(&mut self) -> &mut Exchange {
        self.front_mut().expect("a request is under way")
    }

    pub(crate) fn back(&self) -> Option<&Exchange> {
        self.rest.back().or(self.first.as_ref()).map(|last| &**last)
    }

    pub(crate) fn back_mut(&mut self) -> Option<&mut Exchange> {
        self.rest.back_mut().or(self.first.as_mut()).map(|last| &mut **last)
    }

    /// Bytes kept for handlers that have not taken them.
    pub(crate) fn kept(&self) -> usize {
        self.first.iter().chain(&self.rest).map(|exchange| exchange.kept()).sum()
    }
}

//! The requests of a connection and their answers, in order.

use std::collections::VecDeque;

use super::incoming::Incoming;
use crate::{
    Head, RequestError,
    framing::Terms,
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

/// A request, as far as its connection has to know it.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// Until a handler takes it. None as well in one that the connection answers itself.
    pub(crate) head: Option<Head>,
    /// None: it has no body.
    pub(crate) incoming: Option<Box<Incoming>>,
    pub(crate) terms: Terms,
}

impl Asked {
    /// Bytes kept for a handler that has not taken them.
    fn kept(&self) -> usize {
        let head = self.head.as_ref().map_or(0, |head| head.bytes().len());
        head + self.incoming.as_ref().map_or(0, |incoming| incoming.buffered())
    }
}

/// A request and its answer.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) id: u64,
    pub(crate) answer: Answer,
    pub(crate) asked: Asked,
}

impl Exchange {
    pub(crate) fn body_is_complete(&self) -> bool {
        self.asked.incoming.as_ref().is_none_or(|incoming| incoming.is_complete())
    }
}

/// Oldest first. What most connections have is one at a time, so they own no queue.
#[derive(Debug)]
pub(crate) struct Exchanges {
    /// The oldest, if there is any.
    first: Exchange,
    any: bool,
    /// Those behind it, which no handler has seen. Invariant: none if there is no first.
    rest: VecDeque<Asked>,
    /// Set: the connection answers the last one itself.
    refusal: Option<Box<RequestError>>,
}

thread_local! {
    static QUEUES: Spare<VecDeque<Asked>> = const { Spare::new(16) };
}

/// The room of a queue that is left to others.
const QUEUE_MAX: usize = 16;

impl Default for Exchanges {
    fn default() -> Self {
        let first = Exchange { id: 0, answer: Answer::Queued, asked: Asked::default() };
        Self { first, any: false, rest: VecDeque::new(), refusal: None }
    }
}

impl Exchanges {
    /// One more; `id` is one more than that of the one before it.
    #[inline]
    pub(crate) fn push(&mut self, id: u64, asked: Asked) {
        if self.any {
            return self.push_behind(asked);
        }
        self.any = true;
        (self.first.id, self.first.answer) = (id, Answer::Queued);
        self.first.asked = asked;
    }

    #[inline(never)]
    fn push_behind(&mut self, asked: Asked) {
        if self.rest.capacity() == 0
            && let Some(queue) = spare::take(&QUEUES)
        {
            self.rest = queue;
        }
        self.rest.push_back(asked);
    }

    /// The connection answers the last one itself. Says how many bytes were kept for it.
    pub(crate) fn refuse_last(&mut self, error: RequestError) -> usize {
        self.refusal = Some(Box::new(error));
        let last = self.rest.back_mut().unwrap_or(&mut self.first.asked);
        let kept = last.kept();
        (last.head, last.incoming) = (None, None);
        kept
    }

    /// The connection answers the first one itself.
    pub(crate) fn refusal(&self) -> Option<RequestError> {
        self.refusal.as_deref().copied().filter(|_| self.rest.is_empty())
    }

    /// Takes the first one away; says how many bytes were kept for it.
    #[inline]
    pub(crate) fn pop(&mut self) -> usize {
        if !self.any {
            return 0;
        }
        let kept = self.first.asked.kept();
        (self.first.asked.head, self.first.asked.incoming) = (None, None);
        self.any = self.rest.capacity() > 0 && self.move_up();
        kept
    }

    #[inline(never)]
    fn move_up(&mut self) -> bool {
        if let Some(asked) = self.rest.pop_front() {
            self.first = Exchange { id: self.first.id + 1, answer: Answer::Queued, asked };
            return true;
        }
        let queue = std::mem::take(&mut self.rest);
        if queue.capacity() <= QUEUE_MAX {
            spare::leave(&QUEUES, queue);
        }
        false
    }

    /// Drops those behind the first `length`.
    pub(crate) fn truncate(&mut self, length: usize) {
        if length >= self.len() {
            return;
        }
        self.refusal = None;
        match length.checked_sub(1) {
            Some(length) => self.rest.truncate(length),
            None => self.clear(),
        }
    }

    pub(crate) fn clear(&mut self) {
        (self.any, self.refusal, self.first.asked) = (false, None, Asked::default());
        self.rest.clear();
    }

    pub(crate) fn len(&self) -> usize {
        usize::from(self.any) + self.rest.len()
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

    /// The first one, where there is one.
    pub(crate) fn under_way(&mut self) -> &mut Exchange {
        self.front_mut().expect("a request is under way")
    }

    /// The last one, and how far its answer is.
    #[inline]
    pub(crate) fn last(&self) -> Option<(&Asked, Answer)> {
        match self.rest.back() {
            Some(asked) => Some((asked, Answer::Queued)),
            None => self.front().map(|first| (&first.asked, first.answer)),
        }
    }

    /// The body of the last one.
    pub(crate) fn last_incoming(&mut self) -> Option<&mut Incoming> {
        let last = self.rest.back_mut().unwrap_or(&mut self.first.asked);
        last.incoming.as_deref_mut()
    }

    /// Bytes kept for handlers that have not taken them.
    pub(crate) fn kept(&self) -> usize {
        self.front().map_or(0, |first| first.asked.kept()) + self.rest.iter().map(Asked::kept).sum::<usize>()
    }
}

//! The requests of a connection and their answers, in order.

use std::hint::cold_path;
use std::ops::Range;

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
#[derive(Debug)]
pub(crate) struct Asked {
    /// Until a handler takes it. None as well in one that the connection answers itself.
    pub(crate) head: Head,
    /// None: it has no body.
    pub(crate) incoming: Option<Box<Incoming>>,
    pub(crate) terms: Terms,
}

impl Asked {
    /// Bytes kept for a handler that has not taken them.
    fn kept(&self) -> usize {
        self.head.bytes().len() + self.incoming.as_ref().map_or(0, |incoming| incoming.buffered())
    }
}

impl Default for Asked {
    fn default() -> Self {
        Self { head: Head::none(), incoming: None, terms: Terms::default() }
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
    /// Room for those behind it, which no handler has seen. Invariant: nothing is in it but they.
    room: Vec<Asked>,
    /// Where in the room they are. Invariant: nowhere if there is no first.
    behind: Range<usize>,
    /// Set: the connection answers the last one itself.
    refusal: Option<Box<RequestError>>,
}

thread_local! {
    static ROOMS: Spare<Vec<Asked>> = const { Spare::new(16) };
}

/// For so many there is room at first, and so much is left to others.
const ROOM_MAX: usize = 16;

impl Default for Exchanges {
    fn default() -> Self {
        let first = Exchange { id: 0, answer: Answer::Queued, asked: Asked::default() };
        Self { first, any: false, room: Vec::new(), behind: 0..0, refusal: None }
    }
}

impl Exchanges {
    /// One more; `id` is one more than that of the one before it. Says whether it is the first.
    #[inline(always)]
    pub(crate) fn push(&mut self, id: u64, asked: Asked) -> bool {
        if self.any {
            self.push_behind(asked);
            return false;
        }
        self.any = true;
        (self.first.id, self.first.answer) = (id, Answer::Queued);
        self.first.asked = asked;
        true
    }

    #[inline(always)]
    fn push_behind(&mut self, asked: Asked) {
        if self.behind.end == self.room.len() {
            cold_path();
            self.make_room();
        }
        // Field by field: what is nothing is then dropped by a look.
        let Asked { head, incoming, terms } = asked;
        let place = &mut self.room[self.behind.end];
        (place.head, place.incoming, place.terms) = (head, incoming, terms);
        self.behind.end += 1;
    }

    #[inline(never)]
    fn make_room(&mut self) {
        if self.room.is_empty() {
            self.room = spare::take(&ROOMS).unwrap_or_default();
        }
        let left = self.behind.start;
        self.room.rotate_left(left);
        self.behind = 0..self.behind.end - left;
        if self.behind.end == self.room.len() {
            let more = self.room.len().max(ROOM_MAX);
            self.room.extend(std::iter::repeat_with(Asked::default).take(more));
        }
    }

    /// The connection answers the last one itself. Says how many bytes were kept for it.
    pub(crate) fn refuse_last(&mut self, error: RequestError) -> usize {
        self.refusal = Some(Box::new(error));
        let last = self.last_mut();
        let kept = last.kept();
        (last.head, last.incoming) = (Head::none(), None);
        kept
    }

    /// The connection answers the first one itself.
    pub(crate) fn refusal(&self) -> Option<RequestError> {
        self.refusal.as_deref().copied().filter(|_| self.len() == 1)
    }

    /// Takes the first one away; says how many bytes were kept for it.
    #[inline]
    pub(crate) fn pop(&mut self) -> usize {
        if !self.any {
            return 0;
        }
        let kept = self.first.asked.kept();
        (self.first.asked.head, self.first.asked.incoming) = (Head::none(), None);
        self.move_up();
        kept
    }

    /// The first one is done with, and nothing is kept for it.
    #[inline]
    pub(crate) fn move_up(&mut self) {
        if self.behind.start < self.behind.end {
            std::mem::swap(&mut self.first.asked, &mut self.room[self.behind.start]);
            self.behind.start += 1;
            self.first.id += 1;
            self.first.answer = Answer::Queued;
            return;
        }
        self.any = false;
        if !self.room.is_empty() {
            cold_path();
            self.leave_room();
        }
    }

    #[inline(never)]
    fn leave_room(&mut self) {
        let room = std::mem::take(&mut self.room);
        self.behind = 0..0;
        if room.len() <= ROOM_MAX {
            spare::leave(&ROOMS, room);
        }
    }

    /// Drops those behind the first `length`.
    pub(crate) fn truncate(&mut self, length: usize) {
        if length >= self.len() {
            return;
        }
        self.refusal = None;
        match length.checked_sub(1) {
            Some(length) => self.forget_behind(self.behind.start + length),
            None => self.clear(),
        }
    }

    pub(crate) fn clear(&mut self) {
        (self.any, self.refusal, self.first.asked) = (false, None, Asked::default());
        self.forget_behind(0);
        self.behind = 0..0;
    }

    /// Drops those from this place on.
    fn forget_behind(&mut self, place: usize) {
        self.room[place..].fill_with(Asked::default);
        self.behind.end = place;
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        usize::from(self.any) + (self.behind.end - self.behind.start)
    }

    fn behind(&self) -> &[Asked] {
        &self.room[self.behind.clone()]
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

    /// What comes after the last one may be another protocol.
    #[inline]
    pub(crate) fn may_end_in_a_switch(&self) -> bool {
        self.any && self.newest().terms.may_switch
    }

    /// The last one, where there is one.
    #[inline]
    fn newest(&self) -> &Asked {
        if self.behind.is_empty() { &self.first.asked } else { &self.room[self.behind.end - 1] }
    }

    /// The last one, and how far its answer is.
    #[inline]
    pub(crate) fn last(&self) -> Option<(&Asked, Answer)> {
        let answer = if self.behind.is_empty() { self.first.answer } else { Answer::Queued };
        self.any.then(|| (self.newest(), answer))
    }

    /// The body of the last one.
    pub(crate) fn last_incoming(&mut self) -> Option<&mut Incoming> {
        self.last_mut().incoming.as_deref_mut()
    }

    fn last_mut(&mut self) -> &mut Asked {
        self.room[self.behind.clone()].last_mut().unwrap_or(&mut self.first.asked)
    }

    /// Bytes kept for handlers that have not taken them.
    pub(crate) fn kept(&self) -> usize {
        self.front().map_or(0, |first| first.asked.kept())
            + self.behind().iter().map(Asked::kept).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Push { minor: u8, may_switch: bool },
        Pop,
        Truncate(usize),
        Clear,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            20 => (any::<u8>(), any::<bool>()).prop_map(|(minor, may_switch)| Step::Push { minor, may_switch }),
            15 => Just(Step::Pop),
            1 => (0..40_usize).prop_map(Step::Truncate),
            1 => Just(Step::Clear),
        ]
    }

    proptest! {
        #[test]
        fn they_stay_in_order_however_many_there_are(steps in vec(step(), 0..300)) {
            let (mut exchanges, mut model) = (Exchanges::default(), VecDeque::new());
            let mut id = 0;
            for step in steps {
                match step {
                    Step::Push { minor, may_switch } => {
                        let terms = Terms { minor, may_switch, ..Terms::default() };
                        // Numbers go on behind what was forgotten.
                        id = exchanges.front().map_or(id, |first| first.id + exchanges.len() as u64 - 1) + 1;
                        let is_first = exchanges.push(id, Asked { terms, ..Asked::default() });
                        prop_assert_eq!(is_first, model.is_empty());
                        model.push_back((id, terms));
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
                let first = exchanges.front().map(|first| (first.id, first.asked.terms));
                prop_assert_eq!(first, model.front().copied());
                let last = exchanges.last().map(|(last, _)| last.terms);
                prop_assert_eq!(last, model.back().map(|&(_, terms)| terms));
                prop_assert_eq!(exchanges.len(), model.len());
                prop_assert_eq!(exchanges.is_empty(), model.is_empty());
                let may_switch = model.back().is_some_and(|(_, terms)| terms.may_switch);
                prop_assert_eq!(exchanges.may_end_in_a_switch(), may_switch);
            }
        }
    }

    #[test]
    fn room_is_bounded_by_those_in_it() {
        let mut exchanges = Exchanges::default();
        for id in 1..4 {
            exchanges.push(id, Asked::default());
        }
        for id in 4..10_000 {
            exchanges.push(id, Asked::default());
            exchanges.pop();
        }
        assert_eq!((exchanges.len(), exchanges.room.len()), (3, ROOM_MAX));
        while !exchanges.is_empty() {
            exchanges.pop();
        }
        assert_eq!(exchanges.room.capacity(), 0, "it is left to others");
    }
}

//! The mailbox of a process: messages in order of arrival, taken selectively.
//!
//! Every message has a number, so that a receive that found nothing goes on behind the last one it has
//! scanned. The messages that came last have consecutive numbers up to the next one, so only those that were
//! passed over store theirs.

use std::collections::VecDeque;

use super::message::Message;

/// Messages accepted for a process and not drained into its mailbox. Most processes have none, and own no
/// queue.
#[derive(Default)]
#[expect(
    clippy::box_collection,
    reason = "few have one, and those that do not pay for a pointer instead of four words"
)]
pub(crate) struct Arrivals(Option<Box<VecDeque<Message>>>);

impl Arrivals {
    pub(crate) fn push(&mut self, message: Message) {
        match &mut self.0 {
            Some(messages) => messages.push_back(message),
            none => message.pass(none, |none, message| {
                let mut messages = VecDeque::with_capacity(1);
                messages.push_back(message);
                *none = Some(Box::new(messages));
            }),
        }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|messages| messages.is_empty())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |messages| messages.len())
    }

    pub(crate) fn drain_into(&mut self, mailbox: &mut Mailbox) {
        if let Some(messages) = &mut self.0 {
            mailbox.append(messages);
        }
    }

    pub(crate) fn take(&mut self) -> VecDeque<Message> {
        self.0.take().map(|messages| *messages).unwrap_or_default()
    }

    /// Takes the memory of an empty queue.
    pub(crate) fn take_empty(&mut self) -> Option<impl Sized + use<>> {
        self.0.take_if(|messages| messages.is_empty())
    }

    /// Frees an empty, small queue before the process parks, which it may do for long.
    #[inline]
    pub(crate) fn shrink(&mut self) {
        if self.0.is_some() {
            self.shrink_slow();
        }
    }

    #[inline(never)]
    fn shrink_slow(&mut self) {
        if self
            .0
            .as_ref()
            .is_some_and(|messages| messages.is_empty() && messages.capacity() <= SMALL_CAPACITY)
        {
            self.0 = None;
        }
    }
}

/// The capacity of a queue that is new.
const SMALL_CAPACITY: usize = 4;

/// The messages of one process. Most processes have at most one waiting, and own no queues.
///
/// The order of arrival is `passed`, `first`, `fresh`.
#[derive(Default)]
pub(crate) struct Mailbox {
    /// The oldest message that was not passed over, if it came when there was no other.
    first: Option<Message>,
    queues: Option<Box<Queues>>,
    /// The number of the next message to come.
    next: u64,
}

/// The queues of a mailbox with more than one message. They are kept when they are empty, because they may
/// soon be needed again.
#[derive(Default)]
struct Queues {
    /// Messages passed over by a receive that took a later one. Invariant: numbers rise, and all are below
    /// those of the others.
    passed: VecDeque<(u64, Message)>,
    /// The other messages, in order. The last one has the number below `next`.
    fresh: VecDeque<Message>,
}

impl Queues {
    #[inline]
    fn is_empty(&self) -> bool {
        self.passed.is_empty() && self.fresh.is_empty()
    }
}

/// A queue with more capacity than this is freed when it is empty.
const MAX_KEPT: usize = 256;

impl Mailbox {
    #[inline(always)] // perf: call, 1162 → 1154 instructions; pingpong, 1070 → 1060
    pub(crate) fn push(&mut self, message: Message) {
        self.next += 1;
        let alone = self.first.is_none() && self.queues.as_ref().is_none_or(|queues| queues.fresh.is_empty());
        if alone {
            self.first = Some(message);
        } else {
            self.push_slow(message);
        }
    }

    // perf: ring, 714 → 621 instructions, together with the other slow paths of a receive
    #[inline(never)]
    fn push_slow(&mut self, message: Message) {
        self.queues.get_or_insert_default().fresh.push_back(message);
    }

    /// Appends the arrivals, in their order.
    pub(crate) fn append(&mut self, arrivals: &mut VecDeque<Message>) {
        if arrivals.len() == 1 {
            // Into `first`, if that is free.
            return arrivals.pop_front().into_iter().for_each(|message| self.push(message));
        }
        self.next += arrivals.len() as u64;
        let fresh = &mut self.queues.get_or_insert_default().fresh;
        if fresh.is_empty() {
            // The whole queue, not one by one. A queue that has grown large is freed when its last message is
            // gone.
            shrink_if_large(fresh);
            std::mem::swap(fresh, arrivals);
        } else {
            fresh.append(arrivals);
            shrink_if_large(arrivals);
        }
    }

    pub(crate) fn len(&self) -> usize {
        let queues = self.queues.as_ref().map_or(0, |queues| queues.passed.len() + queues.fresh.len());
        usize::from(self.first.is_some()) + queues
    }

    /// Takes the memory of empty queues.
    pub(crate) fn take_empty(&mut self) -> Option<impl Sized + use<>> {
        self.queues.take_if(|queues| queues.is_empty())
    }

    /// Resets the mailbox if it is empty and owns no queues. Returns whether it was.
    pub(crate) fn reset_if_bare(&mut self) -> bool {
        let is_bare = self.first.is_none() && self.queues.is_none();
        if is_bare {
            self.next = 0;
        }
        is_bare
    }

    /// Returns the number that the next message will have.
    pub(crate) fn end(&self) -> u64 {
        self.next
    }

    /// Sets the messages aside while code of a user looks at them. Messages that arrive meanwhile are
    /// numbered on.
    pub(crate) fn set_aside(&mut self) -> Mailbox {
        let next = self.next;
        std::mem::replace(self, Mailbox { first: None, queues: None, next })
    }

    /// Puts messages that were set aside back in front of those that arrived since.
    pub(crate) fn restore(&mut self, before: Mailbox) {
        let since = std::mem::replace(self, before);
        let queues = since.queues.map(|queues| *queues).unwrap_or_default();
        queues.passed.into_iter().for_each(|(_, message)| self.push(message));
        since.first.into_iter().chain(queues.fresh).for_each(|message| self.push(message));
    }

    /// Returns whether all messages have a number below `from`.
    pub(crate) fn is_scanned(&self, from: u64) -> bool {
        let Some(queues) = &self.queues else { return self.first.is_none() || self.next <= from };
        if self.first.is_some() || !queues.fresh.is_empty() {
            return self.next <= from;
        }
        queues.passed.back().is_none_or(|&(last, _)| last < from)
    }

    /// Takes the oldest message from number `from` on that `wanted` accepts. Each message is shown to
    /// `wanted` once.
    #[inline]
    pub(crate) fn take(&mut self, from: u64, mut wanted: impl FnMut(&Message) -> bool) -> Option<Message> {
        let Some(queues) = self.queues.as_deref_mut().filter(|queues| !queues.is_empty()) else {
            let first = self.first.as_ref()?;
            return if self.next > from && wanted(first) { self.first.take() } else { None };
        };
        // In a queue without passed messages, most receives want the front.
        if self.first.is_none() && queues.passed.is_empty() {
            let oldest = self.next - queues.fresh.len() as u64;
            let front = queues.fresh.front()?;
            if oldest >= from && wanted(front) {
                return queues.fresh.pop_front();
            }
            if queues.fresh.len() == 1 {
                return None;
            }
            return self.take_slow(from.max(oldest + 1), &mut wanted);
        }
        self.take_slow(from, &mut wanted)
    }

    /// The general case, compiled once for all receives, so that each contains the fast path only.
    // perf: ring, 714 → 621 instructions, together with the other slow paths of a receive
    #[inline(never)]
    fn take_slow(&mut self, from: u64, wanted: &mut dyn FnMut(&Message) -> bool) -> Option<Message> {
        let queues = self.queues.as_deref_mut()?;
        if queues.passed.back().is_some_and(|&(last, _)| last >= from) {
            let start = queues.passed.partition_point(|&(number, _)| number < from);
            if let Some(at) = (start..queues.passed.len()).find(|&at| wanted(&queues.passed[at].1)) {
                // In the middle, the shorter side moves.
                let taken = queues.passed.remove(at);
                shrink_if_large(&mut queues.passed);
                return taken.map(|(_, message)| message);
            }
        }
        let oldest = self.next - queues.fresh.len() as u64;
        if let Some(first) = &self.first
            && oldest > from
            && wanted(first)
        {
            return self.first.take();
        }
        let start = from.saturating_sub(oldest) as usize;
        let at = (start..queues.fresh.len()).find(|&at| wanted(&queues.fresh[at]))?;
        if let Some(first) = self.first.take() {
            queues.passed.push_back((oldest - 1, first));
        }
        if at > 0 {
            queues.passed.extend((oldest..).zip(queues.fresh.drain(..at)));
        }
        queues.fresh.pop_front()
    }
}

#[inline]
fn shrink_if_large<T>(queue: &mut VecDeque<T>) {
    if queue.is_empty() && queue.capacity() > MAX_KEPT {
        *queue = VecDeque::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mailbox(numbers: impl IntoIterator<Item = u32>) -> Mailbox {
        let mut mailbox = Mailbox::default();
        mailbox.append(&mut numbers.into_iter().map(Message::new).collect());
        mailbox
    }

    fn is(wanted: u32) -> impl FnMut(&Message) -> bool {
        move |message| message.downcast_ref() == Some(&wanted)
    }

    #[test]
    fn the_oldest_accepted_is_taken_and_the_others_keep_their_order() {
        let mut mailbox = mailbox([1, 2, 3, 2]);
        assert!(mailbox.take(0, is(2)).is_some());
        let queues: Vec<u32> =
            std::iter::from_fn(|| mailbox.take(0, |_| true)).map(|m| m.downcast().unwrap()).collect();
        assert_eq!(queues, [1, 3, 2]);
    }

    #[test]
    fn a_receive_that_goes_on_does_not_look_back() {
        let mut mailbox = mailbox([1, 1, 1]);
        let seen = mailbox.end();
        mailbox.append(&mut [Message::new(1_u32)].into());
        let mut scanned = 0;
        mailbox.take(seen, |_| {
            scanned += 1;
            false
        });
        assert_eq!(scanned, 1);
    }

    proptest! {
        #[test]
        fn equals_a_plain_list(moves in prop::collection::vec((0u32..5, any::<bool>(), 0u64..40), 0..100)) {
            let (mut mailbox, mut model, mut next) = (Mailbox::default(), Vec::<(u64, u32)>::new(), 0);
            for (kind, take, from) in moves {
                if take {
                    let at = model.iter().position(|&(at, k)| at >= from && k == kind);
                    let expected = at.map(|at| model.remove(at).1);
                    let taken = mailbox.take(from, is(kind)).map(|m| m.downcast::<u32>().unwrap());
                    prop_assert_eq!(taken, expected);
                } else {
                    mailbox.append(&mut [Message::new(kind)].into());
                    model.push((next, kind));
                    next += 1;
                }
                prop_assert_eq!(mailbox.len(), model.len());
            }
        }
    }
}

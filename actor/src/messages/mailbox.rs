//! The mailbox of a process: messages in order of arrival, taken selectively.
//!
//! Every message has a number, so that a receive that found nothing goes on behind the last one it has
//! scanned. The messages that came last have consecutive numbers up to the next one, so only those that were
//! passed over store theirs. Messages with priority are numbered apart, and stand before all others.

use std::{collections::VecDeque, hint::cold_path};

use super::message::{Message, MessageKind};

/// Messages accepted for a process and not drained into its mailbox. Most processes have none, and own no
/// queue.
#[derive(Default)]
// A box, because few have one, and those that do not pay for a pointer instead of many words.
pub(crate) struct Arrivals(Option<Box<ArrivalQueue>>);

#[derive(Default)]
struct ArrivalQueue {
    messages: VecDeque<Message>,
    /// Messages with priority.
    priority: VecDeque<Message>,
}

impl ArrivalQueue {
    fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.priority.is_empty()
    }
}

impl Arrivals {
    pub(crate) fn push(&mut self, message: Message) {
        match &mut self.0 {
            Some(queue) => queue.messages.push_back(message),
            none => message.pass(none, |none, message| {
                let mut messages = VecDeque::with_capacity(1);
                messages.push_back(message);
                *none = Some(Box::new(ArrivalQueue { messages, priority: VecDeque::new() }));
            }),
        }
    }

    pub(crate) fn push_priority(&mut self, message: Message) {
        self.0.get_or_insert_default().priority.push_back(message);
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|queue| queue.is_empty())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |queue| queue.messages.len() + queue.priority.len())
    }

    pub(crate) fn drain_into(&mut self, mailbox: &mut Mailbox) {
        let Some(queue) = &mut self.0 else { return };
        mailbox.append(&mut queue.messages);
        if !queue.priority.is_empty() {
            cold_path();
            std::mem::take(&mut queue.priority)
                .into_iter()
                .for_each(|message| mailbox.push_priority(message));
        }
    }

    pub(crate) fn take(&mut self) -> VecDeque<Message> {
        let Some(queue) = self.0.take() else { return VecDeque::new() };
        let ArrivalQueue { messages, mut priority } = *queue;
        if priority.is_empty() {
            return messages;
        }
        priority.extend(messages);
        priority
    }

    /// Takes the memory of an empty queue.
    pub(crate) fn take_empty(&mut self) -> Option<impl Sized + use<>> {
        self.0.take_if(|queue| queue.is_empty())
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
        let is_small =
            |queue: &mut Box<ArrivalQueue>| queue.is_empty() && queue.messages.capacity() <= SMALL_CAPACITY;
        drop(self.0.take_if(is_small));
    }
}

/// The capacity of a queue that is new.
const SMALL_CAPACITY: usize = 4;

/// The messages of one process. Most processes have at most one waiting, and own no queues.
///
/// The order is: messages with priority, `passed`, `first`, `fresh`.
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
    /// Is there from the first message with priority on.
    priority: Option<Box<PriorityQueue>>,
    /// How many messages have priority or were passed over. None of them is the common case, with one look.
    special: usize,
}

/// The messages with priority, which have numbers of their own.
#[derive(Default)]
struct PriorityQueue {
    /// Invariant: numbers rise.
    messages: VecDeque<(u64, Message)>,
    /// The number of the next one to come.
    next: u64,
    /// How many became ordinary messages, because there were too many.
    demoted: u64,
}

/// How many messages with priority may be unread at a time. More of them become ordinary messages.
pub(crate) const MAX_PRIORITY: usize = 1024;

/// A position in a mailbox: the numbers of the first messages behind it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) ordinary: u64,
    pub(crate) priority: u64,
}

impl Position {
    /// Returns the position before all messages.
    #[inline]
    pub(crate) const fn start() -> Self {
        Self { ordinary: 0, priority: 0 }
    }
}

impl Queues {
    #[inline]
    fn is_empty(&self) -> bool {
        self.special == 0 && self.fresh.is_empty()
    }

    fn count_special(&mut self) {
        let priority = self.priority.as_ref().map_or(0, |queue| queue.messages.len());
        self.special = self.passed.len() + priority;
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

    /// Adds a message before all that have no priority, and behind those that have.
    #[cold]
    pub(crate) fn push_priority(&mut self, message: Message) {
        let queues = self.queues.get_or_insert_default();
        let queue = queues.priority.get_or_insert_default();
        if queue.messages.len() >= MAX_PRIORITY {
            queue.demoted += 1;
            return self.push(message);
        }
        queue.messages.push_back((queue.next, message));
        queue.next += 1;
        queues.special += 1;
    }

    /// Returns how many messages with priority have become ordinary ones.
    pub(crate) fn demoted(&self) -> u64 {
        self.priority_queue().map_or(0, |queue| queue.demoted)
    }

    fn priority_queue(&self) -> Option<&PriorityQueue> {
        self.queues.as_ref()?.priority.as_deref()
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
        let queues = self.queues.as_ref().map_or(0, |queues| queues.special + queues.fresh.len());
        usize::from(self.first.is_some()) + queues
    }

    /// Returns the descriptions of all messages behind the first ones, in order. The first ones are
    /// skipped at no cost.
    pub(crate) fn kinds_from(&self, skipped: usize) -> impl Iterator<Item = &'static MessageKind> {
        let mut left = skipped;
        let mut skip = move |len: usize| {
            let skipped = left.min(len);
            left -= skipped;
            skipped
        };
        let queues = self.queues.as_deref();
        let priority = self.priority_queue().map(|queue| &queue.messages);
        let priority = priority.map(|messages| messages.range(skip(messages.len())..));
        let passed = queues.map(|queues| queues.passed.range(skip(queues.passed.len())..));
        let first = self.first.as_ref().filter(|_| skip(1) == 0);
        let fresh = queues.map(|queues| queues.fresh.range(skip(queues.fresh.len())..));
        let numbered = priority.into_iter().flatten().chain(passed.into_iter().flatten());
        let others = first.into_iter().chain(fresh.into_iter().flatten());
        numbered.map(|(_, message)| message.kind()).chain(others.map(Message::kind))
    }

    /// Takes the memory of empty queues.
    pub(crate) fn take_empty(&mut self) -> Option<impl Sized + use<>> {
        self.queues.take_if(|queues| queues.is_empty() && queues.priority.is_none())
    }

    /// Resets the mailbox if it is empty and owns no queues. Returns whether it was.
    pub(crate) fn reset_if_bare(&mut self) -> bool {
        let is_bare = self.first.is_none() && self.queues.is_none();
        if is_bare {
            self.next = 0;
        }
        is_bare
    }

    /// Returns the position behind all messages.
    pub(crate) fn end(&self) -> Position {
        let priority = self.priority_queue().map_or(0, |queue| queue.next);
        Position { ordinary: self.next, priority }
    }

    /// Returns the number that the next message without priority will have.
    #[inline]
    pub(crate) fn ordinary_end(&self) -> u64 {
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
        let mut queues = since.queues.map(|queues| *queues).unwrap_or_default();
        if let Some(queue) = queues.priority.take() {
            let own = self.queues.get_or_insert_default().priority.get_or_insert_default();
            own.demoted += queue.demoted;
            queue.messages.into_iter().for_each(|(_, message)| self.push_priority(message));
        }
        queues.passed.into_iter().for_each(|(_, message)| self.push(message));
        since.first.into_iter().chain(queues.fresh).for_each(|message| self.push(message));
    }

    /// Returns whether all messages are before `from`.
    pub(crate) fn is_scanned(&self, from: Position) -> bool {
        let (from, priority) = (from.ordinary, from.priority);
        let Some(queues) = &self.queues else { return self.first.is_none() || self.next <= from };
        let last = self.priority_queue().and_then(|queue| queue.messages.back());
        if last.is_some_and(|&(last, _)| last >= priority) {
            return false;
        }
        if self.first.is_some() || !queues.fresh.is_empty() {
            return self.next <= from;
        }
        queues.passed.back().is_none_or(|&(last, _)| last < from)
    }

    /// Takes the first message from `from` on that `wanted` accepts. Each message is shown to `wanted` once:
    /// if none is accepted, `from` is moved behind those with priority.
    #[inline]
    pub(crate) fn take(
        &mut self,
        from: &mut Position,
        mut wanted: impl FnMut(&Message) -> bool,
    ) -> Option<Message> {
        let Some(queues) = self.queues.as_deref_mut().filter(|queues| !queues.is_empty()) else {
            let first = self.first.as_ref()?;
            return if self.next > from.ordinary && wanted(first) { self.first.take() } else { None };
        };
        // In a queue without passed messages, most receives want the front.
        if self.first.is_none() && queues.special == 0 {
            let oldest = self.next - queues.fresh.len() as u64;
            let front = queues.fresh.front()?;
            if oldest >= from.ordinary && wanted(front) {
                return queues.fresh.pop_front();
            }
            if queues.fresh.len() == 1 {
                return None;
            }
            let rest = from.ordinary.max(oldest + 1);
            return self.take_ordinary(rest, &mut wanted);
        }
        self.take_slow(from, &mut wanted)
    }

    /// The general case, compiled once for all receives, so that each contains the fast path only.
    // perf: ring, 714 → 621 instructions, together with the other slow paths of a receive
    #[inline(never)]
    fn take_slow(
        &mut self,
        from: &mut Position,
        wanted: &mut dyn FnMut(&Message) -> bool,
    ) -> Option<Message> {
        if let Some(queue) = self.queues.as_deref_mut()?.priority.as_deref_mut()
            && let Some(message) = queue.take(from, wanted)
        {
            self.queues.as_deref_mut()?.special -= 1;
            return Some(message);
        }
        self.take_ordinary(from.ordinary, wanted)
    }

    /// Takes a message without priority.
    #[inline(never)]
    fn take_ordinary(&mut self, from: u64, wanted: &mut dyn FnMut(&Message) -> bool) -> Option<Message> {
        let queues = self.queues.as_deref_mut()?;
        if queues.passed.back().is_some_and(|&(last, _)| last >= from) {
            let start = queues.passed.partition_point(|&(number, _)| number < from);
            if let Some(at) = (start..queues.passed.len()).find(|&at| wanted(&queues.passed[at].1)) {
                // In the middle, the shorter side moves.
                let taken = queues.passed.remove(at);
                shrink_if_large(&mut queues.passed);
                queues.special -= 1;
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
        queues.count_special();
        queues.fresh.pop_front()
    }
}

impl PriorityQueue {
    /// Takes the first message from `from` on that `wanted` accepts, or moves `from` to the end.
    fn take(&mut self, from: &mut Position, wanted: &mut dyn FnMut(&Message) -> bool) -> Option<Message> {
        let start = self.messages.partition_point(|&(number, _)| number < from.priority);
        match (start..self.messages.len()).find(|&at| wanted(&self.messages[at].1)) {
            Some(at) => {
                let (_, message) = self.messages.remove(at)?;
                shrink_if_large(&mut self.messages);
                Some(message)
            }
            None => {
                from.priority = self.next;
                None
            }
        }
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
    fn the_kinds_behind_any_number_of_messages_are_those_of_the_rest() {
        let mut mailbox = Mailbox::default();
        mailbox.push(Message::new(1_u8));
        mailbox.push(Message::new(2_u16));
        assert!(mailbox.take(&mut Position::start(), |message| message.is::<u16>()).is_some());
        mailbox.push(Message::new(3_u32));
        mailbox.push(Message::new(4_u64));
        mailbox.push(Message::new(5_u128));
        mailbox.push_priority(Message::new(6_i8));
        mailbox.push_priority(Message::new(7_i16));
        let mut in_first = Mailbox::default();
        in_first.push(Message::new(1_u8));
        in_first.push(Message::new(2_u16));
        assert!(mailbox.queues.as_ref().is_some_and(|queues| !queues.passed.is_empty()));
        assert!(in_first.first.is_some() && in_first.len() == 2);
        for (mailbox, all) in
            [(&mailbox, &["i8", "i16", "u8", "u32", "u64", "u128"][..]), (&in_first, &["u8", "u16"])]
        {
            for skipped in 0..=all.len() + 1 {
                let kinds: Vec<&str> = mailbox.kinds_from(skipped).map(MessageKind::name).collect();
                assert_eq!(kinds, all.get(skipped..).unwrap_or_default(), "{skipped}");
            }
        }
    }

    #[test]
    fn the_oldest_accepted_is_taken_and_the_others_keep_their_order() {
        let mut mailbox = mailbox([1, 2, 3, 2]);
        assert!(mailbox.take(&mut Position::start(), is(2)).is_some());
        let queues: Vec<u32> = std::iter::from_fn(|| mailbox.take(&mut Position::start(), |_| true))
            .map(|m| m.downcast().unwrap())
            .collect();
        assert_eq!(queues, [1, 3, 2]);
    }

    #[test]
    fn a_receive_that_goes_on_does_not_look_back() {
        let mut mailbox = mailbox([1, 1, 1]);
        let mut seen = mailbox.end();
        mailbox.append(&mut [Message::new(1_u32)].into());
        let mut scanned = 0;
        mailbox.take(&mut seen, |_| {
            scanned += 1;
            false
        });
        assert_eq!(scanned, 1);
    }

    proptest! {
        #[test]
        fn equals_a_plain_list(moves in prop::collection::vec((0u32..5, 0..6_u8, 0..8_usize), 0..120)) {
            let mut mailbox = Mailbox::default();
            // Each list has a message with its number; those with priority come first.
            let (mut priority, mut ordinary) = (Vec::<(u64, u32)>::new(), Vec::<(u64, u32)>::new());
            let mut marks = vec![Position::start()];
            for (kind, what, nth) in moves {
                match what {
                    0 => {
                        mailbox.push_priority(Message::new(kind));
                        priority.push((mailbox.end().priority - 1, kind));
                    }
                    1 => {
                        mailbox.append(&mut [Message::new(kind)].into());
                        ordinary.push((mailbox.end().ordinary - 1, kind));
                    }
                    2 => {
                        mailbox.append(&mut [Message::new(kind), Message::new(kind + 1)].into());
                        ordinary.push((mailbox.end().ordinary - 2, kind));
                        ordinary.push((mailbox.end().ordinary - 1, kind + 1));
                    }
                    3 => marks.push(mailbox.end()),
                    _ => {
                        let mut from = marks[nth % marks.len()];
                        let first = |list: &mut Vec<(u64, u32)>, from: u64| {
                            let at = list.iter().position(|&(at, k)| at >= from && k == kind)?;
                            Some(list.remove(at).1)
                        };
                        let has_unseen = priority.iter().any(|&(at, _)| at >= from.priority)
                            || ordinary.iter().any(|&(at, _)| at >= from.ordinary);
                        prop_assert!(!mailbox.is_scanned(from) || !has_unseen);
                        let expected = first(&mut priority, from.priority);
                        let expected = expected.or_else(|| first(&mut ordinary, from.ordinary));
                        let taken = mailbox.take(&mut from, is(kind)).map(|m| m.downcast::<u32>().unwrap());
                        prop_assert_eq!(taken, expected);
                    }
                }
                prop_assert_eq!(mailbox.len(), priority.len() + ordinary.len());
            }
            let rest: Vec<u32> = std::iter::from_fn(|| mailbox.take(&mut Position::start(), |_| true))
                .map(|m| m.downcast().unwrap())
                .collect();
            prop_assert_eq!(rest, priority.into_iter().chain(ordinary).map(|(_, k)| k).collect::<Vec<_>>());
        }
    }
}

//! The owner's side of a mailbox: messages in order of arrival, taken selectively.
//!
//! Every message has a number, so that a receive that found nothing goes on behind the last one it looked at.

use std::collections::VecDeque;

use crate::message::Message;

/// Most processes have no message waiting, or one: those own no queue.
#[derive(Default)]
pub(crate) struct Mailbox {
    /// The oldest message.
    first: Option<Numbered>,
    /// Those behind it. Invariants: numbers rise; without a first there are none.
    #[expect(clippy::box_collection, reason = "a million processes have none: a word each, not four")]
    rest: Option<Box<VecDeque<Numbered>>>,
    /// The number of the next message to come.
    next: u64,
}

type Numbered = (u64, Message);

/// A queue that has grown beyond this is given back when it is empty.
const KEEP_MAX: usize = 256;

impl Mailbox {
    pub(crate) fn push(&mut self, message: Message) {
        let numbered = (self.next, message);
        self.next += 1;
        if self.first.is_none() {
            self.first = Some(numbered);
        } else {
            self.rest.get_or_insert_default().push_back(numbered);
        }
    }

    /// Takes over what has arrived, in its order.
    pub(crate) fn admit(&mut self, arrivals: &mut VecDeque<Message>) {
        while let Some(message) = arrivals.pop_front() {
            self.push(message);
        }
        if arrivals.capacity() > KEEP_MAX {
            *arrivals = VecDeque::new();
        }
    }

    pub(crate) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.as_ref().map_or(0, |rest| rest.len())
    }

    /// The number the next message will have.
    pub(crate) fn end(&self) -> u64 {
        self.next
    }

    /// Sets the messages aside while somebody else's code looks at them; what comes meanwhile is numbered on.
    pub(crate) fn set_aside(&mut self) -> Mailbox {
        let next = self.next;
        std::mem::replace(self, Mailbox { first: None, rest: None, next })
    }

    /// Puts the messages set aside back in front of what came since.
    pub(crate) fn restore(&mut self, mut before: Mailbox) {
        if let Some((_, message)) = self.first.take() {
            before.push(message);
            for (_, message) in self.rest.take().into_iter().flat_map(|rest| *rest) {
                before.push(message);
            }
        }
        *self = before;
    }

    /// Whether nothing is here from number `from` on.
    pub(crate) fn end_seen(&self, from: u64) -> bool {
        let last = self.rest.as_ref().and_then(|rest| rest.back()).or(self.first.as_ref());
        last.is_none_or(|&(last, _)| last < from)
    }

    /// Takes the oldest message from number `from` on that `wanted` accepts. Each is looked at once.
    pub(crate) fn take(&mut self, from: u64, mut wanted: impl FnMut(&Message) -> bool) -> Option<Message> {
        let (number, message) = self.first.as_ref()?;
        if *number >= from && wanted(message) {
            let (_, message) = self.first.take()?;
            if let Some(rest) = &mut self.rest {
                self.first = rest.pop_front();
                if rest.is_empty() && rest.capacity() > KEEP_MAX {
                    self.rest = None;
                }
            }
            return Some(message);
        }
        let rest = self.rest.as_mut()?;
        let start = match rest.front() {
            Some(&(first, _)) if first >= from => 0,
            Some(_) => rest.partition_point(|&(number, _)| number < from),
            None => return None,
        };
        let at = (start..rest.len()).find(|&at| wanted(&rest[at].1))?;
        // From the middle, the shorter side moves up.
        rest.remove(at).map(|(_, message)| message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mailbox(numbers: impl IntoIterator<Item = u32>) -> Mailbox {
        let mut mailbox = Mailbox::default();
        mailbox.admit(&mut numbers.into_iter().map(Message::new).collect());
        mailbox
    }

    fn is(wanted: u32) -> impl FnMut(&Message) -> bool {
        move |message| message.downcast_ref() == Some(&wanted)
    }

    #[test]
    fn the_oldest_accepted_is_taken_and_the_others_keep_their_order() {
        let mut mailbox = mailbox([1, 2, 3, 2]);
        assert!(mailbox.take(0, is(2)).is_some());
        let rest: Vec<u32> =
            std::iter::from_fn(|| mailbox.take(0, |_| true)).map(|m| m.downcast().unwrap()).collect();
        assert_eq!(rest, [1, 3, 2]);
    }

    #[test]
    fn a_receive_that_goes_on_does_not_look_back() {
        let mut mailbox = mailbox([1, 1, 1]);
        let seen = mailbox.end();
        mailbox.admit(&mut [Message::new(1_u32)].into());
        let mut looked_at = 0;
        mailbox.take(seen, |_| {
            looked_at += 1;
            false
        });
        assert_eq!(looked_at, 1);
    }

    proptest! {
        #[test]
        fn equals_a_plain_list(moves in prop::collection::vec((0u32..5, any::<bool>(), 0u64..40), 0..100)) {
            let (mut mailbox, mut model, mut next) = (Mailbox::default(), Vec::<(u64, u32)>::new(), 0);
            for (kind, take, from) in moves {
                if take {
                    let expected = model.iter().position(|&(at, k)| at >= from && k == kind).map(|at| model.remove(at).1);
                    prop_assert_eq!(mailbox.take(from, is(kind)).map(|m| m.downcast::<u32>().unwrap()), expected);
                } else {
                    mailbox.admit(&mut [Message::new(kind)].into());
                    model.push((next, kind));
                    next += 1;
                }
                prop_assert_eq!(mailbox.len(), model.len());
            }
        }
    }
}

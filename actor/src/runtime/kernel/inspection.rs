//! Questions about a mailbox, which the process itself answers at the beginning of its next poll slice.
//!
//! A question is a bit in the attention of the record and an entry in a list of the runtime, so a process
//! pays nothing where none is asked. The mailbox is counted in portions; the body is polled when all is
//! counted.

use std::{
    any::TypeId,
    cmp::Reverse,
    collections::HashMap,
    sync::{Arc, Mutex},
};

use super::{process::Process, record::Slot};
use crate::{
    messages::{mailbox::Mailbox, message::MessageKind},
    process::pid::Pid,
    runtime::{context::Local, shared::Shared},
    sync::lock::lock,
};

/// The contents of a mailbox, as its process has counted them.
///
/// See [`inspect`](crate::process::inspect) for an example.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inspection {
    /// Messages in the mailbox.
    pub messages: usize,
    /// The types of them, the most frequent one first: 16 at most.
    pub types: Vec<MessageCount>,
    /// How many types there are.
    pub distinct_types: usize,
    /// Bytes of the values of at most two words, which stand in the mailbox itself. What a value points to is
    /// not counted.
    pub inline_bytes: usize,
    /// Bytes of the larger values, each of which is in a box of its own. What a value points to is not
    /// counted.
    pub boxed_bytes: usize,
}

/// How many messages of a type are in a mailbox.
///
/// See [`inspect`](crate::process::inspect) for an example.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MessageCount {
    /// The name of the type.
    pub message: &'static str,
    /// Messages of this type.
    pub count: usize,
}

/// Types that an inspection lists at most.
const MAX_TYPES: usize = 16;

/// Messages that are counted in one poll slice, some 0.2 ms.
const PORTION: usize = 10_000;

/// Takes the answer to a question.
pub(crate) trait InspectionReply: Send + Sync {
    fn reply(&self, inspection: Inspection);
    /// Returns whether nothing waits for the answer any more.
    fn is_cancelled(&self) -> bool;
}

/// The questions that are not answered yet.
#[derive(Default)]
pub(crate) struct Inspections(Mutex<Vec<Question>>);

struct Question {
    pid: Pid,
    reply: Arc<dyn InspectionReply>,
    /// The count so far.
    census: Census,
}

/// A mailbox that is being counted.
#[derive(Default)]
struct Census {
    counted: usize,
    /// In the order in which they were met first.
    types: Vec<(&'static MessageKind, usize)>,
    places: HashMap<TypeId, usize>,
    inline_bytes: usize,
    boxed_bytes: usize,
}

/// Whether a mailbox is counted to its end.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answered {
    Yes,
    /// The process must be enqueued, and not polled.
    NotYet,
}

impl Census {
    /// Counts the next messages. Returns whether there are more.
    fn count(&mut self, mailbox: &Mailbox, at_most: usize) -> Answered {
        for kind in mailbox.kinds_from(self.counted).take(at_most) {
            self.counted += 1;
            let place = *self.places.entry(kind.value_type).or_insert_with(|| {
                self.types.push((kind, 0));
                self.types.len() - 1
            });
            self.types[place].1 += 1;
            let sum = if kind.boxed { &mut self.boxed_bytes } else { &mut self.inline_bytes };
            *sum += kind.bytes;
        }
        if self.counted < mailbox.len() { Answered::NotYet } else { Answered::Yes }
    }

    fn into_inspection(mut self) -> Inspection {
        // Stable: of two equally frequent ones that which was met first.
        self.types.sort_by_key(|&(_, count)| Reverse(count));
        let most = self.types.iter().take(MAX_TYPES);
        Inspection {
            messages: self.counted,
            types: most.map(|&(kind, count)| MessageCount { message: kind.name(), count }).collect(),
            distinct_types: self.types.len(),
            inline_bytes: self.inline_bytes,
            boxed_bytes: self.boxed_bytes,
        }
    }
}

impl Shared {
    /// Asks a process about its mailbox. A process that exits meanwhile gives no answer.
    pub(crate) fn ask_inspection(&self, pid: Pid, reply: Arc<dyn InspectionReply>) {
        let forgotten = {
            let mut questions = lock(&self.inspections.0);
            // Those that nothing waits for, such as of a process that does not give way, or that has exited.
            let forgotten: Vec<Question> =
                questions.extract_if(.., |question| question.reply.is_cancelled()).collect();
            questions.push(Question { pid, reply, census: Census::default() });
            forgotten
        };
        drop(forgotten);
        let runnable = self.table.of(pid).and_then(|slot| {
            let mut core = slot.lock_for(pid).filter(|core| core.is_live())?;
            slot.ask_for_inspection();
            slot.wake(&mut core)
        });
        self.enqueue(runnable);
    }
}

/// Answers the questions about the running process, or counts a part of its mailbox.
#[cold]
#[inline(never)]
pub(super) fn answer(local: &Local, slot: &Slot) -> Answered {
    let count = |_: &Slot, running: &mut Process| {
        let mut questions: Vec<Question> = {
            let mut all = lock(&local.shared.inspections.0);
            all.extract_if(.., |question| question.pid == running.pid).collect()
        };
        let Some(first) = questions.first_mut() else { return (questions, Answered::Yes) };
        if first.census.counted == 0 {
            slot.lock_and_drain_arrivals(&mut running.mailbox);
        }
        let answered = first.census.count(&running.mailbox, PORTION);
        (questions, answered)
    };
    slot.take_inspection();
    let (questions, answered) = local.with_running(count).expect("a process runs");
    if answered == Answered::NotYet {
        lock(&local.shared.inspections.0).splice(0..0, questions);
        let _core = slot.lock();
        slot.ask_for_inspection();
        return answered;
    }
    let mut questions = questions.into_iter();
    if let Some(Question { reply, census, .. }) = questions.next() {
        let inspection = census.into_inspection();
        questions.for_each(|other| other.reply.reply(inspection.clone()));
        reply.reply(inspection);
    }
    Answered::Yes
}

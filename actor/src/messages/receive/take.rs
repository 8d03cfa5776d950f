//! How a message is taken out of the mailbox of the running process.

use std::{
    panic::Location,
    task::{Context, Poll},
};

use crate::{
    messages::{
        mailbox::{Mailbox, Position},
        message::{Message, MessageKind},
    },
    observe::trace::{TraceEvent, TraceFlags},
    runtime::{
        context,
        coop::{self, Proceed},
        kernel::process::{Process, SliceNotes},
        shared::Shared,
    },
    testing::mutation::{Mutation, is_active},
};

/// Takes a message by a test of this crate, which may run while the running process is borrowed. `unwrap`
/// may, too.
///
/// (To unwrap only what is sure to be received takes five instructions less and a tenth more time: 105 ns for
/// a ping-pong instead of 95.)
#[inline]
pub(super) fn poll_take_in_place<R>(
    cx: &mut Context<'_>,
    from: &mut Position,
    at: &'static Location<'static>,
    wanted: impl FnMut(&Message) -> bool,
    unwrap: impl FnOnce(Message) -> R,
) -> Poll<R> {
    let (mut condemned, mut told, mut proceed) = (false, None, Proceed::Go);
    let taken = context::with_running("receive", |shared, slot, running| {
        proceed = coop::spend(slot, running);
        if proceed != Proceed::Go {
            return None;
        }
        let Some(message) = slot.take(running, from, wanted) else {
            slot.observed.note_receive(at);
            return None;
        };
        slot.observed.note_received(message.kind());
        condemned = slot.is_condemned();
        if must_tell(shared, running) {
            told = Some(Taken::of(&message));
        }
        Some(unwrap(message))
    });
    match taken {
        // A process that was condemned during the scan receives nothing more.
        Some(message) if !condemned => {
            if let Some(taken) = told {
                tell_taken(taken);
            }
            Poll::Ready(message)
        }
        _ => {
            proceed.wake_if_exhausted(cx);
            Poll::Pending
        }
    }
}

/// Takes the first message from `from` on that `wanted` accepts, or sets `from` to the end of the mailbox.
///
/// The guard is code of a user, which may call anything: the mailbox is set aside while it runs, and put back
/// even if it panics.
pub(super) fn poll_take(
    cx: &mut Context<'_>,
    from: &mut Position,
    at: &'static Location<'static>,
    wanted: impl FnMut(&Message) -> bool,
) -> Poll<Message> {
    let mut start = *from;
    let mut proceed = Proceed::Go;
    let aside = context::with_running("receive", |shared, slot, running| {
        proceed = coop::spend(slot, running);
        if proceed != Proceed::Go {
            return None;
        }
        if slot.has_arrivals() {
            slot.drain_arrivals(&mut slot.lock(), &mut running.mailbox);
        }
        running.notes.add(SliceNotes::MAILBOX_SCANNED);
        *from = running.mailbox.end();
        if running.mailbox.is_scanned(start) {
            // A later message wakes the process, or keeps it from parking.
            running.wants_messages = true;
            slot.observed.note_receive(at);
            return None;
        }
        let must_tell = must_tell(shared, running);
        Some((PutBack { mailbox: running.mailbox.set_aside(), at, taken: None }, must_tell))
    });
    let Some((mut aside, must_tell)) = aside else {
        proceed.wake_if_exhausted(cx);
        return Poll::Pending;
    };
    match aside.mailbox.take(&mut start, wanted) {
        Some(message) => {
            aside.taken = Some(message.kind());
            drop(aside);
            // A process that was condemned during the scan receives nothing more.
            if is_active(Mutation::CondemnedSeenOnlyBefore) || coop::poll_live().is_ready() {
                if must_tell {
                    tell_taken(Taken::of(&message));
                }
                return Poll::Ready(message);
            }
            Poll::Pending
        }
        None => Poll::Pending,
    }
}

/// Returns whether [`tell_taken`] must be called for a message that this process takes.
#[inline]
fn must_tell(shared: &Shared, process: &Process) -> bool {
    process.bounded || shared.tracer.is_on(TraceFlags::RECEIVE)
}

/// The description of a message that was taken.
struct Taken {
    counts: bool,
    type_name: &'static str,
}

impl Taken {
    #[cold]
    fn of(message: &Message) -> Self {
        Self { counts: message.counts(), type_name: message.type_name() }
    }
}

/// Releases the room of a message that was taken and traces it. May wake a sender that waits for room, so it
/// must not be called while the running process is borrowed.
#[cold]
fn tell_taken(taken: Taken) {
    let (pid, capacity) =
        context::with_running("receive", |_, slot, running| (running.pid, slot.lock().capacity().cloned()));
    if let Some(capacity) = capacity.filter(|_| taken.counts) {
        capacity.release();
    }
    let message = taken.type_name;
    context::with_shared("receive", |shared| {
        shared.trace(TraceFlags::RECEIVE, || TraceEvent::Received { pid, message });
    });
}

/// A mailbox that was set aside. Dropping it puts the messages back.
struct PutBack {
    mailbox: Mailbox,
    /// The place of the receive.
    at: &'static Location<'static>,
    /// The message that was taken. Without one the process waits for the next.
    taken: Option<&'static MessageKind>,
}

impl Drop for PutBack {
    fn drop(&mut self) {
        let mailbox = std::mem::take(&mut self.mailbox);
        context::with_running("receive", |_, slot, running| {
            running.mailbox.restore(mailbox);
            match self.taken {
                Some(kind) => slot.observed.note_received(kind),
                None => {
                    running.wants_messages = true;
                    slot.observed.note_receive(self.at);
                }
            }
        });
    }
}

/// Removes the messages of type `T` that `unwanted` accepts.
pub(crate) fn flush<T: Send + 'static>(unwanted: impl Fn(&T) -> bool) {
    let unwanted = |message: &Message| message.downcast_ref().is_some_and(&unwanted);
    let removed: Vec<Message> = context::with_running("receive", |_, slot, running| {
        slot.lock_and_drain_arrivals(&mut running.mailbox);
        running.notes.add(SliceNotes::MAILBOX_SCANNED);
        std::iter::from_fn(|| running.mailbox.take(&mut Position::start(), unwanted)).collect()
    });
    removed.iter().map(Taken::of).for_each(tell_taken);
}

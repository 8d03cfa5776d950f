//! The capacity of a bounded mailbox, and what happens when it is full.
//!
//! The bound is for messages between processes. Signals, and messages of the runtime itself (`Exit`, `Down`,
//! `Timeout`, group events, requests to a server about itself), are not bounded: a flooded process still
//! learns of exits, and can still be stopped.

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::Waker,
};

use crate::guard;
use crate::sync::lock::lock;

/// The effect of a plain [`send`](crate::send()) when the mailbox of the receiver is full.
/// [`try_send`](crate::mailbox::try_send) and [`send_async`](crate::mailbox::send_async) never overflow a
/// mailbox.
///
/// ```
/// # use riot_actor::{mailbox::MailboxOverflow, process::{SpawnOptions, wait}, run, send};
/// # run(async {
/// let options = SpawnOptions::new().max_mailbox(1, MailboxOverflow::Exit);
/// let slow = options.spawn(std::future::pending::<()>());
/// let end = wait(slow);
/// (1..=2).for_each(|number| send(slow, number));
/// assert_eq!(end.await.to_string(), "MailboxFull { max_messages: 1 }");
/// # });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MailboxOverflow {
    /// Drops the message and counts it in [`ProcessInfo::refused`](crate::process::ProcessInfo::refused).
    #[default]
    DropNewest,
    /// Ends the receiver with [`Reason::other`](crate::Reason::other) of [`MailboxFull`]: a restart by its
    /// supervisor may be better than a process that lags behind for good.
    Exit,
}

/// The exit reason of a process whose mailbox overflowed.
///
/// See [`MailboxOverflow`] for an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MailboxFull {
    /// The bound of the mailbox.
    pub max_messages: usize,
}

impl fmt::Display for MailboxFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a mailbox of {} messages is full", self.max_messages)
    }
}
impl std::error::Error for MailboxFull {}

pub(crate) struct Capacity {
    max_messages: usize,
    overflow: MailboxOverflow,
    /// Messages accepted and not taken yet. Grows under the lock of the process's record, and shrinks
    /// without.
    used: AtomicUsize,
    refused: AtomicU64,
    /// Whether a sender waits for room, to be read without the lock.
    has_waiters: AtomicBool,
    waiting: Mutex<SendQueue>,
}

/// The senders that wait for room, in FIFO order.
#[derive(Default)]
struct SendQueue {
    senders: VecDeque<(SendTicket, Waker)>,
    tickets: u64,
    /// The process has exited, so no sender waits any more.
    closed: bool,
}

/// Identifies a sender that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SendTicket(u64);

/// The result of [`Capacity::wait`].
#[must_use = "a sender that is not queued must try again at once"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RoomWait {
    /// The waker is woken when there may be room.
    Queued,
    /// There may be room now.
    TryNow,
}

impl Capacity {
    pub(crate) fn new(max_messages: usize, overflow: MailboxOverflow) -> Self {
        Self {
            max_messages,
            overflow,
            used: AtomicUsize::new(0),
            refused: AtomicU64::new(0),
            has_waiters: AtomicBool::new(false),
            waiting: Mutex::default(),
        }
    }

    pub(crate) fn max_messages(&self) -> usize {
        self.max_messages
    }

    pub(crate) fn full(&self) -> MailboxFull {
        MailboxFull { max_messages: self.max_messages }
    }

    /// Reserves room for a message. Returns false if there is none. The caller holds the lock of the record.
    pub(crate) fn try_reserve(&self) -> bool {
        if !self.has_room() {
            return false;
        }
        self.used.fetch_add(1, Ordering::SeqCst);
        true
    }

    pub(crate) fn has_room(&self) -> bool {
        self.used.load(Ordering::SeqCst) < self.max_messages
    }

    /// Handles a plain send that found no room, and returns the policy.
    pub(crate) fn overflow(&self) -> MailboxOverflow {
        if self.overflow == MailboxOverflow::DropNewest {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        self.overflow
    }

    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Releases the room of a message that was taken, for the next sender that waits.
    ///
    /// No sender is missed: this makes room first and then looks for senders; a sender queues itself first
    /// and then looks for room. One of them sees the other.
    pub(crate) fn release(&self) {
        self.used.fetch_sub(1, Ordering::SeqCst);
        if self.has_waiters.load(Ordering::SeqCst) {
            self.wake_next();
        }
    }

    fn wake_next(&self) {
        let next = {
            let mut waiting = lock(&self.waiting);
            let next = waiting.senders.pop_front();
            self.has_waiters.store(!waiting.senders.is_empty(), Ordering::SeqCst);
            next
        };
        if let Some((_, waker)) = next {
            guard::wake(waker);
        }
    }

    /// Queues a sender to be woken when there may be room. A sender with a ticket that is still queued keeps
    /// its position.
    pub(crate) fn wait(&self, ticket: &mut Option<SendTicket>, waker: &Waker) -> RoomWait {
        // A waker of a user is cloned before the lock is taken, and the one before is dropped after it.
        let copy = waker.clone();
        let before = {
            let mut waiting = lock(&self.waiting);
            if waiting.closed {
                return RoomWait::TryNow;
            }
            let queued = waiting.senders.iter_mut().find(|(other, _)| Some(*other) == *ticket);
            let before = match queued {
                Some((_, before)) => Some(std::mem::replace(before, copy)),
                None => {
                    waiting.tickets += 1;
                    let new = SendTicket(waiting.tickets);
                    *ticket = Some(new);
                    waiting.senders.push_back((new, copy));
                    None
                }
            };
            self.has_waiters.store(true, Ordering::SeqCst);
            before
        };
        drop(before);
        if self.has_room() { RoomWait::TryNow } else { RoomWait::Queued }
    }

    /// Removes a sender from the queue. If it was woken and did not use the room, the next sender is woken.
    pub(crate) fn leave_queue(&self, ticket: SendTicket, used_the_room: bool) {
        let (removed, room_left) = {
            let mut waiting = lock(&self.waiting);
            let at = waiting.senders.iter().position(|&(other, _)| other == ticket);
            let removed = at.and_then(|at| waiting.senders.remove(at));
            self.has_waiters.store(!waiting.senders.is_empty(), Ordering::SeqCst);
            let room_left = removed.is_none() && !used_the_room;
            (removed, room_left)
        };
        drop(removed);
        if room_left {
            self.wake_next();
        }
    }

    /// Wakes all senders, because the process is released.
    pub(crate) fn close(&self) {
        let senders = {
            let mut waiting = lock(&self.waiting);
            waiting.closed = true;
            std::mem::take(&mut waiting.senders)
        };
        senders.into_iter().for_each(|(_, waker)| guard::wake(waker));
    }
}

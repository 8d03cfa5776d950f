//! A mailbox with a bound: how many messages may wait in it, and what becomes of one too many.
//!
//! The bound is for what processes send each other. Signals, and what the runtime itself sends (`Exit`, `Down`,
//! `Timeout`, changes of a group, requests to a server about itself), have no bound: whoever is flooded still hears of
//! ends, and can still be stopped.

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::Waker,
};

use crate::sync::lock::lock;

/// What a plain [`send`](crate::send()) does when the mailbox of the receiver is full. [`try_send`](crate::mailbox::try_send)
/// and [`send_async`](crate::mailbox::send_async) ask first, so they never bring it about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MailboxOverflow {
    /// The message is dropped, and counted in [`ProcessInfo::refused`](crate::process::ProcessInfo::refused).
    #[default]
    DropNewest,
    /// The receiver ends with [`Reason::other`](crate::Reason::other) of [`MailboxFull`]: better a restart by its
    /// supervisor than a process that lags behind for ever.
    Exit,
}

/// A mailbox had no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MailboxFull {
    /// How many messages it takes.
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
    /// Messages accepted and not taken yet. It grows under the lock of the process's record, and shrinks without.
    used: AtomicUsize,
    refused: AtomicU64,
    /// Whether somebody waits for room, to be read without the lock.
    has_waiters: AtomicBool,
    waiting: Mutex<SendQueue>,
}

/// The senders that wait for room, first come first served.
#[derive(Default)]
struct SendQueue {
    senders: VecDeque<(Ticket, Waker)>,
    tickets: u64,
    /// The process has ended: nobody waits any more.
    closed: bool,
}

/// Names one who waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

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

    /// A message is about to be accepted; false if there is no room for it. Only under the lock of the record.
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

    /// A plain send found no room: what becomes of it.
    pub(crate) fn overflow(&self) -> MailboxOverflow {
        if self.overflow == MailboxOverflow::DropNewest {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        self.overflow
    }

    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// A message was taken: there is room for one who waits. (It looks who waits after it has made room; who waits says
    /// so and then looks whether there is room: one of them sees the other.)
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
            waker.wake();
        }
    }

    /// Has `waker` woken when there may be room; false if there may be right now. A ticket that is still in the queue
    /// keeps its place.
    pub(crate) fn wait(&self, ticket: &mut Option<Ticket>, waker: &Waker) -> bool {
        let before = {
            let mut waiting = lock(&self.waiting);
            if waiting.closed {
                return false;
            }
            let place = waiting.senders.iter_mut().find(|(other, _)| Some(*other) == *ticket);
            let before = match place {
                Some((_, before)) => Some(std::mem::replace(before, waker.clone())),
                None => {
                    waiting.tickets += 1;
                    let new = Ticket(waiting.tickets);
                    *ticket = Some(new);
                    waiting.senders.push_back((new, waker.clone()));
                    None
                }
            };
            self.has_waiters.store(true, Ordering::SeqCst);
            before
        };
        drop(before);
        !self.has_room()
    }

    /// One that waited does so no longer. Filter it was woken and did not use the room, the next one gets it.
    pub(crate) fn leave_queue(&self, ticket: Ticket, used_the_room: bool) {
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

    /// The process has been released: all who wait are told.
    pub(crate) fn close(&self) {
        let senders = {
            let mut waiting = lock(&self.waiting);
            waiting.closed = true;
            std::mem::take(&mut waiting.senders)
        };
        senders.into_iter().for_each(|(_, waker)| waker.wake());
    }
}

//! Sending: a message that is accepted is in the mailbox before the call returns.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use super::{
    capacity::{Capacity, MailboxOverflow, RoomWait, SendTicket},
    message::Message,
};
use crate::{
    observe::trace::{TraceEvent, TraceFlags},
    process::{pid::Pid, reason::Reason},
    runtime::{context, coop, kernel::record::Core, shared::Shared},
};

/// Sends a message of any type. Never waits and never fails.
///
/// When this returns the message is in the mailbox of `to`, behind all that the caller sent before. A message
/// to a process that has exited is dropped, and so is one to a full mailbox: see
/// [`SpawnOptions::max_mailbox`](crate::process::SpawnOptions::max_mailbox).
///
/// ```
/// # use riot_actor::{receive, run, send, this};
/// # run(async {
/// send(this(), "hello");
/// assert_eq!(receive::<&str>().await, "hello");
/// # });
/// ```
///
/// # Panics
/// Panics outside a process; plain threads use [`Handle::send`](crate::runtime::Handle::send).
pub fn send<M: Send + 'static>(to: Pid, message: M) {
    context::with_shared("send", |shared| shared.deliver(to, Message::new(message)));
}

/// Sends a message, or gives it back if `to` has exited or its mailbox is full. A message that was accepted
/// may still go unread.
///
/// ```
/// # use riot_actor::{mailbox::{MailboxOverflow, TrySendError, try_send}, process::SpawnOptions, run};
/// # run(async {
/// let options = SpawnOptions::new().max_mailbox(1, MailboxOverflow::DropNewest);
/// let slow = options.spawn(std::future::pending::<()>());
/// assert_eq!(try_send(slow, "first"), Ok(()));
/// assert_eq!(try_send(slow, "second"), Err(TrySendError::Full("second")));
/// # });
/// ```
///
/// # Errors
/// See [`TrySendError`].
///
/// # Panics
/// Panics outside a process.
pub fn try_send<M: Send + 'static>(to: Pid, message: M) -> Result<(), TrySendError<M>> {
    context::with_shared("try_send", |shared| {
        shared.try_deliver(to, Message::new(message)).map_err(TrySendError::take)
    })
}

/// Sends a message, waiting while the receiver's mailbox is full. Unbounded mailboxes never wait. Waiters are
/// served in FIFO order.
///
/// Two processes with bounded mailboxes that wait for each other wait forever, because a process that waits
/// here receives no message. Where that can happen, use a [`timeout`](crate::timeout).
///
/// ```
/// # use riot_actor::{mailbox::{MailboxOverflow, send_async}, process::SpawnOptions, receive, run};
/// # run(async {
/// let options = SpawnOptions::new().max_mailbox(2, MailboxOverflow::DropNewest);
/// let slow = options.spawn(async {
///     for expected in 0..10 {
///         assert_eq!(receive::<i32>().await, expected);
///     }
/// });
/// for number in 0..10 {
///     send_async(slow, number).await.expect("the receiver is there");
/// }
/// # });
/// ```
///
/// # Errors
/// The message, if `to` has exited.
///
/// # Cancel safety
/// If the future is dropped before it is ready, nothing was sent, and the message is dropped.
///
/// # Panics
/// Panics when awaited outside a process.
pub fn send_async<M: Send + 'static>(to: Pid, message: M) -> SendAsync<M> {
    SendAsync { to, message: Some(message), ticket: None }
}

/// The future of [`send_async`].
#[must_use = "nothing is sent before it is awaited"]
pub struct SendAsync<M> {
    to: Pid,
    message: Option<M>,
    /// The ticket in the queue of senders.
    ticket: Option<(Arc<Capacity>, Option<SendTicket>)>,
}

impl<M> Unpin for SendAsync<M> {}

impl<M> fmt::Debug for SendAsync<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendAsync").field("to", &self.to).finish_non_exhaustive()
    }
}

impl<M: Send + 'static> Future for SendAsync<M> {
    type Output = Result<(), M>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if coop::poll_proceed(cx).is_pending() {
            return Poll::Pending;
        }
        loop {
            let Some(message) = self.message.take() else {
                panic!("riot_actor: `send_async` was polled after its end")
            };
            let message = match try_send(self.to, message) {
                Ok(()) => {
                    self.leave_queue(true);
                    return Poll::Ready(Ok(()));
                }
                Err(TrySendError::NoProc(message)) => {
                    self.leave_queue(false);
                    return Poll::Ready(Err(message));
                }
                Err(TrySendError::Full(message)) => message,
            };
            self.message = Some(message);
            if self.ticket.is_none() {
                let capacity = context::with_shared("send_async", |shared| shared.capacity_of(self.to));
                self.ticket = capacity.map(|capacity| (capacity, None));
            }
            if let Some((capacity, ticket)) = &mut self.ticket
                && let RoomWait::Queued = capacity.wait(ticket, cx.waker())
            {
                return Poll::Pending;
            }
        }
    }
}

impl<M> SendAsync<M> {
    fn leave_queue(&mut self, sent: bool) {
        if let Some((capacity, Some(ticket))) = self.ticket.take() {
            capacity.leave_queue(ticket, sent);
        }
    }
}

impl<M> Drop for SendAsync<M> {
    fn drop(&mut self) {
        self.leave_queue(false);
    }
}

/// Why a message was not accepted. The message is given back.
///
/// See [`try_send`] for an example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrySendError<M> {
    /// The mailbox is full. Try later, do without, or use [`send_async`].
    Full(M),
    /// There is no such process.
    NoProc(M),
}

impl<M> TrySendError<M> {
    /// Returns the message.
    pub fn into_message(self) -> M {
        match self {
            Self::Full(message) | Self::NoProc(message) => message,
        }
    }
}

impl TrySendError<Message> {
    /// Returns the error with the value of the message, whose type the caller knows.
    pub(super) fn take<M: 'static>(self) -> TrySendError<M> {
        match self {
            Self::Full(message) => TrySendError::Full(message.take()),
            Self::NoProc(message) => TrySendError::NoProc(message.take()),
        }
    }
}

impl<M> fmt::Display for TrySendError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "the mailbox is full",
            Self::NoProc(_) => "there is no such process",
        })
    }
}
impl<M: fmt::Debug> std::error::Error for TrySendError<M> {}

impl Core {
    /// Reserves room for a message. Messages of the runtime need none.
    #[inline]
    pub(crate) fn admits(&self, message: &Message) -> bool {
        !self.is_bounded() || self.has_room(message)
    }

    #[cold]
    fn has_room(&self, message: &Message) -> bool {
        !message.counts() || self.capacity().is_none_or(|capacity| capacity.try_reserve())
    }
}

impl Shared {
    /// Puts a message into a mailbox, or gives it back.
    #[inline(always)] // perf: ring, 513 → 503 instructions; spawn, 1276 → 1262
    pub(crate) fn try_deliver(&self, pid: Pid, message: Message) -> Result<(), TrySendError<Message>> {
        if self.tracer.is_on(TraceFlags::SEND) {
            self.trace_sent(pid, &message);
        }
        let Some(slot) = self.table.of(pid) else { return Err(TrySendError::NoProc(message)) };
        let runnable = match slot.lock_for(pid) {
            Some(mut core) if core.is_live() => {
                if !core.admits(&message) {
                    return Err(TrySendError::Full(message));
                }
                slot.accept(&mut core, message)
            }
            _ => return Err(TrySendError::NoProc(message)),
        };
        self.enqueue(runnable);
        Ok(())
    }

    #[cold]
    pub(crate) fn trace_sent(&self, to: Pid, message: &Message) {
        if message.counts() {
            let message = message.type_name();
            self.trace(TraceFlags::SEND, || TraceEvent::Sent { from: context::current(), to, message });
        }
    }

    /// Puts a message into a mailbox. If that is full, the overflow policy of its owner applies.
    pub(crate) fn deliver(&self, pid: Pid, message: Message) {
        if let Err(refused) = self.try_deliver(pid, message) {
            self.refused(pid, refused);
        }
    }

    #[cold]
    pub(super) fn refused(&self, pid: Pid, refused: TrySendError<Message>) {
        if let TrySendError::Full(_) = &refused {
            self.act_on(pid, |slot, core| {
                let capacity = core.capacity().filter(|_| core.is_live())?;
                match capacity.overflow() {
                    MailboxOverflow::DropNewest => None,
                    MailboxOverflow::Exit => slot.end_by_signal(core, Reason::other(capacity.full())),
                }
            });
        }
        drop(refused);
    }

    /// Puts a message of the runtime itself into a mailbox.
    pub(crate) fn tell<M: Send + 'static>(&self, pid: Pid, message: M) {
        self.deliver(pid, Message::system(message));
    }

    fn capacity_of(&self, pid: Pid) -> Option<Arc<Capacity>> {
        self.table.of(pid)?.lock_for(pid)?.capacity().cloned()
    }
}

//! Aliases: a process gives others a way to send to it, and takes it back when it pleases.

use std::{fmt, marker::PhantomData, sync::Arc, time::Duration};

use super::{message::Message, send::TrySendError};
use crate::{
    observe::trace::TraceFlags,
    process::pid::Pid,
    runtime::{
        context,
        kernel::{process::Runnable, record::Slot},
        shared::{self, Shared},
    },
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

/// A way to send messages of type `T` to the process that has made it, its holder, as long as that wants
/// them. The holder takes it back with [`unalias`](Self::unalias), and its exit does too; whatever is sent
/// after that is dropped by the sender. Messages that were sent before stay in the mailbox. (OTP:
/// `erlang:alias/1`, EEP 53.)
///
/// Aliases are for subscriptions that end, and for protocols with replies of their own: a reply that comes
/// after the holder has given up is never in its mailbox. Any thread may send.
///
/// ```
/// use riot_actor::{mailbox::{alias, receive_timeout}, receive, run, spawn};
/// use std::time::Duration;
///
/// #[derive(Debug, PartialEq)]
/// struct Price(u32);
///
/// # run(async {
/// let prices = alias::<Price>();
/// let feed = prices.clone();
/// spawn(async move { feed.send(Price(7)) });
/// assert_eq!(receive::<Price>().await, Price(7));
/// prices.unalias();
/// prices.send(Price(8)); // dropped
/// assert!(receive_timeout::<Price>(Duration::ZERO).await.is_err());
/// # });
/// ```
pub struct Alias<T> {
    state: Arc<AliasState>,
    _message: PhantomData<fn(T)>,
}

/// The state that the clones of an alias share. It changes under the lock of the holder's record, under which
/// messages are accepted, so nothing is accepted once it is not active.
pub(crate) struct AliasState {
    holder: Pid,
    is_active: AtomicBool,
    is_one_shot: AtomicBool,
    has_priority: AtomicBool,
    /// The time until which it is active, in nanoseconds of the runtime's clock.
    until: AtomicU64,
}

/// Makes an alias of the running process, which is active at once.
///
/// See [`Alias`] for an example.
///
/// # Panics
/// Panics outside a process.
#[must_use]
pub fn alias<T: Send + 'static>() -> Alias<T> {
    Alias { state: Arc::new(AliasState::new(crate::this())), _message: PhantomData }
}

/// Returns how many messages with priority the running process was sent that were queued as ordinary ones,
/// because 1 024 were unread. See [`Alias::priority`].
///
/// # Panics
/// Panics outside a process.
#[must_use]
pub fn priority_overflows() -> u64 {
    context::with_running("priority_overflows", |_, slot, running| {
        slot.lock_and_drain_arrivals(&mut running.mailbox);
        running.mailbox.demoted()
    })
}

impl<T: Send + 'static> Alias<T> {
    /// Has the alias end with the first message that is accepted.
    ///
    /// ```
    /// # use riot_actor::{mailbox::{alias, receive_timeout}, receive, run};
    /// # run(async {
    /// let reply = alias::<u32>().one_shot();
    /// reply.send(1);
    /// reply.send(2); // dropped
    /// assert_eq!(receive::<u32>().await, 1);
    /// assert!(!reply.is_active());
    /// # });
    /// ```
    ///
    /// # Panics
    /// Panics in any other process than the holder.
    #[must_use]
    pub fn one_shot(self) -> Self {
        self.assert_held("one_shot");
        self.state.set_one_shot();
        self
    }

    /// Has the alias end after `timeout`, by the clock of the runtime. A timeout beyond the range of the
    /// clock is none.
    ///
    /// # Panics
    /// Panics in any other process than the holder.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        self.assert_held("with_timeout");
        let now = context::with_shared("with_timeout", |shared| shared.clock().now_nanos());
        let nanos = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        self.state.until.store(now.saturating_add(nanos), Ordering::Release);
        self
    }

    /// Gives the messages that are sent by this alias priority: they stand before all messages of the mailbox
    /// that have none, in their order. Only the receiver can give it. Beyond 1 024 unread messages with
    /// priority further ones are queued as ordinary messages, and [counted](priority_overflows). (OTP:
    /// `erlang:alias/1`, `priority`, EEP 76.)
    ///
    /// ```
    /// # use riot_actor::{mailbox::{alias, receive_any}, run, send, this};
    /// # run(async {
    /// let alarms = alias::<u32>().priority();
    /// (1..=1_000).for_each(|number| send(this(), number));
    /// alarms.send(112);
    /// assert_eq!(receive_any().await.downcast::<u32>().ok(), Some(112));
    /// assert_eq!(receive_any().await.downcast::<u32>().ok(), Some(1));
    /// # });
    /// ```
    ///
    /// # Panics
    /// Panics in any other process than the holder.
    #[must_use]
    pub fn priority(self) -> Self {
        self.assert_held("priority");
        self.state.has_priority.store(true, Ordering::Release);
        self
    }

    /// Sends a message to the holder, from any thread. Never waits and never fails: if the alias is not
    /// active the message is dropped here.
    pub fn send(&self, message: T) {
        let state = &*self.state;
        // A message is dropped inside a guard, also if the runtime is gone.
        let message = Message::new(message);
        shared::with_runtime(state.holder.runtime.get(), |shared| {
            if let Err(refused) = shared.deliver_by_alias(state, message) {
                shared.refused(state.holder, refused);
            }
        });
    }

    /// Sends a message to the holder, or gives it back.
    ///
    /// # Errors
    /// [`TrySendError::NoProc`] if the alias is not active, [`TrySendError::Full`] if the mailbox of the
    /// holder is full.
    pub fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        let state = &*self.state;
        let mut message = Some(message);
        let sent = shared::with_runtime(state.holder.runtime.get(), |shared| {
            let message = message.take().expect("it is there until it is sent");
            shared.deliver_by_alias(state, Message::new(message))
        });
        match (sent, message) {
            (Some(sent), _) => sent.map_err(TrySendError::take),
            // The runtime is gone.
            (None, message) => message.map_or(Ok(()), |message| Err(TrySendError::NoProc(message))),
        }
    }
}

impl<T> Alias<T> {
    /// Returns the process that has made the alias.
    #[must_use]
    pub fn holder(&self) -> Pid {
        self.state.holder
    }

    /// Returns whether a message that is sent now is accepted, as far as the alias decides it.
    #[must_use]
    pub fn is_active(&self) -> bool {
        let is_active = |shared: &Shared| {
            let slot = shared.table.of(self.state.holder)?;
            let core = slot.lock_for(self.state.holder)?;
            Some(core.is_live() && self.state.admits(shared.clock().now_nanos()))
        };
        let active = shared::with_runtime(self.state.holder.runtime.get(), is_active);
        active.flatten().unwrap_or(false)
    }

    /// Takes the alias back, and returns whether it was active. What has been sent is in the mailbox; nothing
    /// comes after this returns. Only the holder may: in any other process this does nothing, and returns
    /// false.
    pub fn unalias(&self) -> bool {
        if context::current() != Some(self.state.holder) {
            return false;
        }
        context::with_running("unalias", |shared, slot: &Slot, _| {
            self.state.take_back(slot, shared.clock().now_nanos())
        })
    }

    fn assert_held(&self, what: &str) {
        assert!(
            context::current() == Some(self.state.holder),
            "riot_actor: `{what}` of an alias is for the process that has made it"
        );
    }
}

impl AliasState {
    pub(crate) fn new(holder: Pid) -> Self {
        Self {
            holder,
            is_active: AtomicBool::new(true),
            is_one_shot: AtomicBool::new(false),
            has_priority: AtomicBool::new(false),
            until: AtomicU64::new(u64::MAX),
        }
    }

    fn admits(&self, now: u64) -> bool {
        self.is_active.load(Ordering::Acquire) && now < self.until.load(Ordering::Acquire)
    }

    /// Has the alias end with the first message that is accepted.
    pub(crate) fn set_one_shot(&self) {
        self.is_one_shot.store(true, Ordering::Release);
    }

    /// Puts a message into the mailbox of the holder, whose slot this is, or gives it back.
    pub(crate) fn deliver(
        &self,
        slot: &Slot,
        message: Message,
        now: u64,
    ) -> Result<Option<Runnable>, TrySendError<Message>> {
        let Some(mut core) = slot.lock_for(self.holder) else { return Err(TrySendError::NoProc(message)) };
        // Under the lock: a holder that has taken the alias back gets nothing more.
        if !core.is_live() || !self.admits(now) {
            return Err(TrySendError::NoProc(message));
        }
        if !core.admits(&message) {
            return Err(TrySendError::Full(message));
        }
        if self.is_one_shot.load(Ordering::Acquire) {
            self.is_active.store(false, Ordering::Release);
        }
        Ok(match self.has_priority.load(Ordering::Acquire) {
            true => slot.accept_priority(&mut core, message),
            false => slot.accept(&mut core, message),
        })
    }

    /// Ends the alias, and returns whether it was active. The slot is that of its holder, which calls this.
    pub(crate) fn take_back(&self, slot: &Slot, now: u64) -> bool {
        // A message that a sender is about to accept is in the mailbox before this returns.
        let _core = slot.lock();
        let was_active = self.admits(now);
        self.is_active.store(false, Ordering::Release);
        was_active
    }
}

impl Shared {
    /// Puts a message into the mailbox of the holder of an alias, or gives it back.
    fn deliver_by_alias(&self, alias: &AliasState, message: Message) -> Result<(), TrySendError<Message>> {
        if self.tracer.is_on(TraceFlags::SEND) {
            self.trace_sent(alias.holder, &message);
        }
        let Some(slot) = self.table.of(alias.holder) else { return Err(TrySendError::NoProc(message)) };
        let runnable = alias.deliver(slot, message, self.clock().now_nanos())?;
        self.enqueue(runnable);
        Ok(())
    }
}

impl<T> Clone for Alias<T> {
    fn clone(&self) -> Self {
        Self { state: self.state.clone(), _message: PhantomData }
    }
}
/// Two are equal if they are clones of one.
impl<T> PartialEq for Alias<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.state, &other.state)
    }
}
impl<T> Eq for Alias<T> {}
impl<T> fmt::Debug for Alias<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alias")
            .field("holder", &self.state.holder)
            .field("is_active", &self.is_active())
            .finish()
    }
}

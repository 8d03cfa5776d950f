//! Taking messages: by type, by guard, with a timeout, and the [`receive!`](crate::receive!) macro.
//!
//! A receive scans only messages that it has not seen before, however often the process is woken. A guard is
//! code of a user, so the mailbox is set aside while it runs; see `take`.

mod macros;
mod select;
mod take;

use std::{
    any::type_name,
    fmt,
    future::Future,
    marker::PhantomData,
    panic::Location,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

pub use macros::__private;
pub(crate) use select::select_here;
pub use select::{Select, receive_any, select};
pub(crate) use take::flush;
use take::{poll_take, poll_take_in_place};

use super::{mailbox::Position, message::Message};
use crate::{
    process::pid::Pid,
    runtime::context,
    time::timeout::{TimeoutFuture, timeout as with_timeout},
};

/// Takes the oldest message of type `T`; the others keep their places.
///
/// ```
/// # use riot_actor::{receive, run, send, this};
/// # run(async {
/// send(this(), 1_u8);
/// send(this(), "two");
/// assert_eq!(receive::<&str>().await, "two");
/// assert_eq!(receive::<u8>().await, 1);
/// # });
/// ```
///
/// # Cancel safety
/// If the future is dropped before it is ready, no message has been taken.
///
/// # Panics
/// Panics when awaited outside a process.
pub fn receive<T: Send + 'static>() -> Receive<T, ByType> {
    Receive { wanted: ByType, from: Position::start(), _type: PhantomData }
}

/// Takes the oldest message of type `T` that `wanted` accepts; the others keep their places. Each message is
/// shown to `wanted` once, however often the process is woken.
///
/// ```
/// # use riot_actor::{mailbox::receive_if, run, send, this};
/// # run(async {
/// (1..=3_u8).for_each(|number| send(this(), number));
/// assert_eq!(receive_if(|number: &u8| *number > 1).await, 2);
/// # });
/// ```
///
/// # Cancel safety
/// If the future is dropped before it is ready, no message has been taken.
///
/// # Panics
/// Panics when awaited outside a process. A panic in `wanted` ends the process.
pub fn receive_if<T: Send + 'static, F: FnMut(&T) -> bool>(wanted: F) -> Receive<T, Filter<F>> {
    Receive { wanted: Filter(wanted), from: Position::start(), _type: PhantomData }
}

/// Takes the oldest message of type `T`, if one is there or arrives within `timeout`. A timeout of zero scans
/// the whole mailbox and waits for nothing. Messages of other types do not lengthen the wait.
///
/// ```
/// # use std::time::Duration;
/// # use riot_actor::{mailbox::receive_timeout, run, time::TimedOut};
/// # run(async {
/// assert_eq!(receive_timeout::<u8>(Duration::ZERO).await, Err(TimedOut));
/// # });
/// ```
///
/// # Errors
/// [`TimedOut`](crate::time::TimedOut) if none arrived in time; the mailbox is as it was.
///
/// # Cancel safety
/// If the future is dropped before it is ready, no message has been taken.
///
/// # Panics
/// Panics when awaited outside a process.
pub fn receive_timeout<T: Send + 'static>(timeout: Duration) -> TimeoutFuture<Receive<T, ByType>> {
    with_timeout(timeout, receive::<T>())
}

/// A position in the mailbox of one process: what is behind it was accepted after [`mark`] returned.
///
/// See [`mark`] for an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    owner: Pid,
    end: Position,
}

/// Returns the end of the mailbox as it is now.
///
/// A receive [`since`](Receive::since) this mark scans only what arrives later, and costs nothing for what is
/// there. Use it to wait for the answer to something that is sent after the mark.
///
/// ```
/// # use riot_actor::{mailbox::mark, receive, run, send, this};
/// # run(async {
/// send(this(), "before");
/// let now = mark();
/// send(this(), "after");
/// assert_eq!(receive::<&str>().since(now).await, "after");
/// assert_eq!(receive::<&str>().await, "before");
/// # });
/// ```
///
/// # Panics
/// Panics outside a process.
#[must_use]
pub fn mark() -> Mark {
    context::with_running("mark", |_, slot, running| {
        if slot.has_arrivals() {
            slot.lock_and_drain_arrivals(&mut running.mailbox);
        }
        Mark { owner: running.pid, end: running.mailbox.end() }
    })
}

impl Mark {
    /// Returns the position of the mark.
    #[track_caller]
    fn start(self) -> Position {
        let this = crate::this();
        assert!(
            self.owner == this,
            "riot_actor: a mark of {} means nothing in the mailbox of {this}; \
             call `mark` in the process that receives",
            self.owner
        );
        self.end
    }
}

/// How a [`Receive`] chooses among messages of its type.
///
/// See [`receive_if`] for an example.
pub trait Wanted<T>: private::Sealed {
    /// Returns whether it takes this message.
    #[doc(hidden)]
    fn wants(&mut self, value: &T) -> bool;
    /// Whether `wants` runs code of a user.
    #[doc(hidden)]
    const FOREIGN: bool;
}

/// Takes every message of the type.
///
/// See [`receive`] for an example.
#[derive(Clone, Copy, Debug)]
pub struct ByType;

/// Takes the messages that a guard accepts.
///
/// See [`receive_if`] for an example.
#[derive(Clone, Copy, Debug)]
pub struct Filter<F>(F);

impl<T> Wanted<T> for ByType {
    fn wants(&mut self, _: &T) -> bool {
        true
    }
    const FOREIGN: bool = false;
}

impl<T, F: FnMut(&T) -> bool> Wanted<T> for Filter<F> {
    fn wants(&mut self, value: &T) -> bool {
        (self.0)(value)
    }
    const FOREIGN: bool = true;
}

mod private {
    pub trait Sealed {}
    impl Sealed for super::ByType {}
    impl<F> Sealed for super::Filter<F> {}
}

/// The future of [`receive`] and [`receive_if`].
#[must_use = "nothing is received before it is awaited"]
pub struct Receive<T, F> {
    wanted: F,
    /// The position behind the messages that it has scanned.
    from: Position,
    _type: PhantomData<fn() -> T>,
}

impl<T, F> fmt::Debug for Receive<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Receive<{}>", type_name::<T>())
    }
}

impl<T, F> Receive<T, F> {
    /// Scans only messages accepted after `mark`.
    ///
    /// # Panics
    /// Panics if the mark is one of another process.
    #[track_caller]
    pub fn since(mut self, mark: Mark) -> Self {
        self.from = mark.start();
        self
    }
}

impl<T, F> Unpin for Receive<T, F> {}

impl<T: Send + 'static, W: Wanted<T>> Future for Receive<T, W> {
    type Output = T;

    // The place of the `.await` is known where this is compiled into, so it takes no room in the future.
    // perf: ring, 503 → 492 instructions; a byte of the future is a byte of each process that waits
    #[track_caller]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let at = Location::caller();
        let Self { wanted, from, .. } = self.get_mut();
        let wants = |message: &Message| message.downcast_ref::<T>().is_some_and(|value| wanted.wants(value));
        if W::FOREIGN {
            poll_take(cx, from, at, wants).map(Message::take)
        } else {
            poll_take_in_place(cx, from, at, wants, Message::take)
        }
    }
}

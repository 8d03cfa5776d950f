//! Receiving by a test on messages of any type.

use std::{
    fmt,
    future::Future,
    panic::Location,
    pin::Pin,
    task::{Context, Poll},
};

use super::{
    Mark,
    take::{poll_take, poll_take_in_place},
};
use crate::messages::{mailbox::Position, message::Message};

/// Takes the oldest message, whatever its type.
///
/// ```
/// # use riot_actor::{mailbox::receive_any, run, send, this};
/// # run(async {
/// send(this(), 42_u32);
/// assert_eq!(receive_any().await.downcast::<u32>().unwrap(), 42);
/// # });
/// ```
///
/// # Cancel safety
/// If the future is dropped before it is ready, no message has been taken.
///
/// # Panics
/// Panics when awaited outside a process.
pub fn receive_any() -> Select<fn(&Message) -> bool> {
    select_here(|_| true)
}

/// Takes the oldest message that `wanted` accepts, whatever its type. [`receive!`](crate::receive!) is built
/// on this.
///
/// ```
/// # use riot_actor::{mailbox::select, run, send, this};
/// # run(async {
/// send(this(), "a word");
/// send(this(), 42_u32);
/// assert!(select(|message| !message.is::<&str>()).await.is::<u32>());
/// # });
/// ```
///
/// # Cancel safety
/// If the future is dropped before it is ready, no message has been taken.
///
/// # Panics
/// Panics when awaited outside a process.
pub fn select<F: FnMut(&Message) -> bool>(wanted: F) -> Select<F> {
    Select { wanted, from: Position::start(), foreign: true }
}

/// Takes a message, as [`select`] does, by a test that calls nothing of this crate, such as a comparison of
/// types.
#[doc(hidden)]
pub fn select_here<F: FnMut(&Message) -> bool>(wanted: F) -> Select<F> {
    Select { wanted, from: Position::start(), foreign: false }
}

/// The future of [`select`] and [`receive_any`].
#[must_use = "nothing is received before it is awaited"]
pub struct Select<F> {
    wanted: F,
    /// The position behind the messages that it has scanned.
    from: Position,
    /// Whether the test is code of a user.
    foreign: bool,
}

impl<F> fmt::Debug for Select<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Select")
    }
}

impl<F> Select<F> {
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

impl<F> Unpin for Select<F> {}

impl<F: FnMut(&Message) -> bool> Future for Select<F> {
    type Output = Message;

    #[track_caller]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Message> {
        let at = Location::caller();
        let Self { wanted, from, foreign } = self.get_mut();
        if *foreign {
            poll_take(cx, from, at, wanted)
        } else {
            poll_take_in_place(cx, from, at, wanted, |message| message)
        }
    }
}

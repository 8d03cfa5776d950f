//! Guards around values and code of users.
//!
//! Everything of a user's that the runtime drops, compares, prints or calls may panic: messages, exit
//! reasons, panic payloads, futures, hooks, wakers, and the subscriber of the log. All of it goes through
//! this room, except the polls of processes, which [`panic::catch_polling`] guards. `panic` makes values of
//! panics, `text` makes text fit for a line, `log` emits events, `stderr` writes lines where no subscriber
//! does.
//!
//! **Invariant:** no function here panics or blocks, whatever the user's code does, if that code returns.

pub(crate) mod catch_panic;
pub(crate) mod log;
pub(crate) mod panic;
pub(crate) mod stderr;
pub(crate) mod text;

use std::{
    fmt,
    mem::ManuallyDrop,
    ops::{Deref, DerefMut},
    task::Waker,
};

use panic::catch;

/// Runs code of a user outside any poll. A panic in it is reported, and none is returned.
///
/// The runtime uses it for destructors, comparisons, formatting and hooks. Use it for the same in code of
/// your own that must go on: a supervisor of your own, a thread.
///
/// ```
/// use riot_actor::process::contain;
///
/// assert_eq!(contain(|| 7), Some(7));
/// assert_eq!(contain(|| -> u8 { panic!("in a destructor") }), None);
/// ```
pub fn contain<R>(f: impl FnOnce() -> R) -> Option<R> {
    match catch(f) {
        Ok(value) => Some(value),
        Err(panic) => {
            crate::log_event!(
                ERROR,
                "riot::crash",
                process = crate::runtime::context::current().map(tracing::field::display),
                "code of a user panicked outside its process: {panic}"
            );
            None
        }
    }
}

/// Wakes a waker that may be a user's. Processes that wait for messages are woken without one.
#[cold]
pub(crate) fn wake(waker: Waker) {
    let _ = contain(|| waker.wake());
}

/// A value of a user whose destructor runs inside a guard.
pub(crate) struct Contained<T>(ManuallyDrop<T>);

impl<T> Contained<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(ManuallyDrop::new(value))
    }

    #[expect(unsafe_code, reason = "see the proof")]
    pub(crate) fn into_inner(self) -> T {
        let mut container = ManuallyDrop::new(self);
        // SAFETY: the container is not used or dropped after this, so the value is taken once.
        unsafe { ManuallyDrop::take(&mut container.0) }
    }
}

impl<T> DerefMut for Contained<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T> Deref for Contained<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> Drop for Contained<T> {
    #[expect(unsafe_code, reason = "see the proof")]
    fn drop(&mut self) {
        // SAFETY: the value is neither dropped elsewhere nor used after the drop of its container.
        panic::discard(|| unsafe { ManuallyDrop::drop(&mut self.0) });
    }
}

/// Prints a value of a user, piece by piece, so that a long text is nowhere as a whole. If its formatting
/// panics or fails, a notice follows.
pub(crate) fn print(
    f: &mut fmt::Formatter<'_>,
    write: impl Fn(&mut dyn fmt::Write) -> fmt::Result,
) -> fmt::Result {
    let mut out = Pieces { f, failed: false };
    match catch(|| write(&mut out)) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) if out.failed => Err(error),
        // `to_string` panics if a formatting fails of which the writer has not.
        Ok(Err(_)) => f.write_str("(printing the value failed)"),
        Err(panic) => write!(f, "(printing the value panicked: {panic})"),
    }
}

/// A writer that knows whether the one behind it has failed.
struct Pieces<'a, 'b> {
    f: &'a mut fmt::Formatter<'b>,
    failed: bool,
}

impl fmt::Write for Pieces<'_, '_> {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        self.f.write_str(piece).inspect_err(|_| self.failed = true)
    }
}

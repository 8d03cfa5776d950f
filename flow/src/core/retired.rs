//! Bytes of users, dropped where no lock is held.
//!
//! [`Bytes`](bytes::Bytes) may own a value of a user (`Bytes::from_owner`), so to drop them is to call code
//! of the user: it may panic, and it may use the connection whose bytes these were, which is locked while
//! they are sent. A driver [defers](defer) the drop until it has released its locks.

use std::cell::{Cell, RefCell};

use super::output::Chunk;

/// The fate of chunks that a thread has sent or lost.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// They are dropped at once.
    Drop,
    /// They are kept until the end of the [`Deferral`]. There is none yet.
    Defer,
    /// There are some.
    Deferred,
}

thread_local! {
    static MODE: Cell<Mode> = const { Cell::new(Mode::Drop) };
    static DEFERRED: RefCell<Vec<Chunk>> = const { RefCell::new(Vec::new()) };
}

/// Drops a chunk, now or at the end of the deferral.
pub(super) fn retire(chunk: Chunk) {
    if MODE.get() == Mode::Drop {
        return drop(chunk);
    }
    MODE.set(Mode::Deferred);
    DEFERRED.with_borrow_mut(|deferred| deferred.push(chunk));
}

/// Defers the drop of the bytes that an [`Output`](crate::Output) has sent or lost, on this thread, until the
/// result is dropped. Must be called before the lock is taken, so that the result is dropped after its
/// release.
#[doc(hidden)]
#[inline]
#[must_use = "it ends at once if it is not kept"]
pub fn defer() -> Deferral {
    let is_outermost = MODE.get() == Mode::Drop;
    if is_outermost {
        MODE.set(Mode::Defer);
    }
    Deferral { is_outermost }
}

/// The time in which bytes are not dropped; see [`defer`].
#[doc(hidden)]
#[derive(Debug)]
pub struct Deferral {
    is_outermost: bool,
}

impl Drop for Deferral {
    #[inline]
    fn drop(&mut self) {
        if self.is_outermost && MODE.replace(Mode::Drop) == Mode::Deferred {
            drop_deferred();
        }
    }
}

/// Drops the chunks one by one. A panic in one is reported where there is a runtime, and keeps no other from
/// being dropped.
#[cold]
fn drop_deferred() {
    for chunk in DEFERRED.take() {
        #[cfg(feature = "driver")]
        let _ = riot_actor::process::contain(|| drop(chunk));
        #[cfg(not(feature = "driver"))]
        drop(chunk);
    }
}

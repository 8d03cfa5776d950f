//! The caches of a worker: what one request leaves for the next, so that common requests cost little.
//!
//! | kept | bound | why |
//! |---|---|---|
//! | the last request head that repeated | 1 KiB, no credentials | clients that poll send the same head again and again |
//! | the last response head | one | most responses of a server begin alike |
//! | the `Date` line | one, for a second | formatting a date costs more than the rest of a head |
//! | scratch memory for heads | 8 KiB | a head is put together before it is appended |
//! | slots of request queues | 16 queues of 16 | an idle connection owns none |
//!
//! **Invariant:** nothing here changes what is sent; dropping all of it at any time would only cost time. It
//! is one thread-local, and no user code runs while a part of it is borrowed.

pub(crate) mod date;
pub(crate) mod request_heads;
pub(crate) mod response_heads;

use std::cell::{Cell, RefCell};

use super::{codec::framing::Framing, queue::PendingRequest};
use date::DateLine;
use response_heads::ResponseHeadCache;

/// The caches of one thread.
pub(crate) struct WorkerCache {
    /// The framing of the head that repeats, unless it is simple.
    framing: Cell<Framing>,
    response_head: RefCell<ResponseHeadCache>,
    date: RefCell<DateLine>,
    pub(crate) scratch: RefCell<Vec<u8>>,
    pub(crate) slots: RefCell<Vec<Vec<PendingRequest>>>,
}

thread_local! {
    static CACHE: WorkerCache = const {
        WorkerCache {
            framing: Cell::new(Framing::SIMPLE),
            response_head: RefCell::new(ResponseHeadCache::EMPTY),
            date: RefCell::new(DateLine::EMPTY),
            scratch: RefCell::new(Vec::new()),
            slots: RefCell::new(Vec::new()),
        }
    };
}

impl WorkerCache {
    #[inline]
    pub(crate) fn with<R>(f: impl FnOnce(&Self) -> R) -> R {
        CACHE.with(f)
    }

    /// Calls `f` unless the thread is about to end.
    #[inline]
    pub(crate) fn try_with<R>(f: impl FnOnce(&Self) -> R) -> Option<R> {
        CACHE.try_with(f).ok()
    }
}

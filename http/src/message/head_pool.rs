//! Memory of heads that were dropped, kept for the next heads of the same thread.

use std::cell::RefCell;

use super::HeadData;

/// Bounds the heads kept for any request; 64.
const MAX_BLANK: usize = 64;

/// Bounds the kept copies of the cached head; 16, a whole pipeline.
const MAX_COPIES: usize = 16;

/// Bounds the memory of a head that is kept; 4 KiB.
pub(super) const MAX_POOLED_BYTES: usize = 4 * 1024;

struct HeadPool {
    /// The cache id of `copies`; no head has the one that stands here before a head was cached.
    cache_id: u64,
    /// Copies of the cached head, which are as they were when it was parsed.
    #[expect(clippy::vec_box, reason = "they go in and out as they are, and do not move")]
    copies: Vec<Box<HeadData>>,
    /// Heads whose contents no longer matter. The last one in is the first one out: it is still in the
    /// processor's cache.
    #[expect(clippy::vec_box, reason = "they go in and out as they are, and do not move")]
    blank: Vec<Box<HeadData>>,
}

thread_local! {
    static POOL: RefCell<HeadPool> =
        const { RefCell::new(HeadPool { cache_id: u64::MAX, copies: Vec::new(), blank: Vec::new() }) };
}

/// Takes a head whose contents the caller overwrites.
#[inline]
pub(super) fn take() -> Box<HeadData> {
    POOL.try_with(|pool| pool.borrow_mut().blank.pop()).ok().flatten().unwrap_or_default()
}

/// Takes a copy of the cached head.
#[inline]
pub(crate) fn take_copy(cached: &HeadData) -> Box<HeadData> {
    let copy = POOL.with_borrow_mut(|pool| {
        if pool.cache_id == cached.cache_id() { pool.copies.pop() } else { pool.follow(cached.cache_id()) }
    });
    copy.unwrap_or_else(|| copy_slow(cached))
}

#[inline(never)]
fn copy_slow(cached: &HeadData) -> Box<HeadData> {
    Box::new(cached.clone())
}

/// Keeps the memory of a dropped head, unless the pool is full or the thread is about to end.
#[inline(never)]
pub(super) fn put(head: Box<HeadData>) {
    let _ = POOL.try_with(|pool| {
        let pool = &mut *pool.borrow_mut();
        if head.cache_id() == pool.cache_id && pool.copies.len() < MAX_COPIES {
            pool.copies.push(head);
        } else if head.capacity() <= MAX_POOLED_BYTES && pool.blank.len() < MAX_BLANK {
            pool.blank.push(head);
        }
    });
}

impl HeadPool {
    /// Drops the copies of another head than the cached one.
    #[cold]
    fn follow(&mut self, cache_id: u64) -> Option<Box<HeadData>> {
        self.copies = Vec::new();
        self.cache_id = cache_id;
        None
    }
}

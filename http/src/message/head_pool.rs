//! Heads that a thread keeps: the one that repeats, with copies of it, and the memory of dropped ones.

use std::{
    cell::RefCell,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use super::HeadData;

/// Bounds the heads kept for any request; 64.
const MAX_BLANK: usize = 64;

/// Bounds the kept copies of the head that repeats; 16, a whole pipeline.
const MAX_COPIES: usize = 16;

/// Bounds the memory of a head that is kept; 4 KiB.
pub(super) const MAX_POOLED_BYTES: usize = 4 * 1024;

struct HeadPool {
    /// The head that repeats, under the id that its copies have.
    repeated: Option<HeadData>,
    /// The caller's tag of `repeated`.
    tag: u64,
    /// The caller knows all about `repeated` without looking it up.
    is_simple: bool,
    /// Heads in a row that were others than `repeated`.
    misses: u8,
    /// Copies of `repeated`, which are as they were when it was parsed.
    #[expect(clippy::vec_box, reason = "they go in and out as they are, and do not move")]
    copies: Vec<Box<HeadData>>,
    /// Heads whose contents no longer matter. The last one in is the first one out: it is still in the
    /// processor's cache.
    #[expect(clippy::vec_box, reason = "they go in and out as they are, and do not move")]
    blank: Vec<Box<HeadData>>,
}

thread_local! {
    static POOL: RefCell<HeadPool> = const {
        RefCell::new(HeadPool {
            repeated: None,
            tag: 0,
            is_simple: false,
            misses: u8::MAX,
            copies: Vec::new(),
            blank: Vec::new(),
        })
    };
}

/// Source of cache ids. Global, because a head may be dropped on another thread than the one that parsed it.
static NEXT_CACHE_ID: AtomicU64 = AtomicU64::new(1);

/// Makes a head the one that repeats on this thread. `tag` stands for what its validity depends on;
/// [`take_repeated`] returns `is_simple` with it.
pub(crate) fn set_repeated(head: &HeadData, tag: u64, is_simple: bool) {
    let repeated = Some(head.with_cache_id(NEXT_CACHE_ID.fetch_add(1, Relaxed)));
    POOL.with_borrow_mut(|pool| {
        let (misses, copies, blank) = (0, Vec::new(), std::mem::take(&mut pool.blank));
        *pool = HeadPool { repeated, tag, is_simple, misses, copies, blank };
    });
}

/// Returns the head that repeats, if the input begins with it and it has this tag, and whether it is simple.
#[inline]
pub(crate) fn take_repeated(input: &[u8], tag: u64) -> Option<(Box<HeadData>, bool)> {
    POOL.with_borrow_mut(|pool| {
        let repeated = pool.repeated.as_ref().filter(|_| pool.tag == tag)?;
        if !input.starts_with(repeated.bytes()) {
            return None;
        }
        pool.misses = 0;
        Some((pool.copies.pop().unwrap_or_else(|| copy_slow(repeated)), pool.is_simple))
    })
}

/// Takes a head whose contents the caller overwrites.
#[inline]
pub(super) fn take() -> Box<HeadData> {
    POOL.try_with(|pool| pool.borrow_mut().blank.pop()).ok().flatten().unwrap_or_default()
}

/// Counts a head that is not the one that repeats, and returns how many there were in a row before it.
pub(crate) fn count_miss() -> u8 {
    POOL.with_borrow_mut(|pool| {
        let misses = pool.misses;
        pool.misses = misses.saturating_add(1);
        misses
    })
}

#[inline(never)]
fn copy_slow(head: &HeadData) -> Box<HeadData> {
    Box::new(head.clone())
}

/// Keeps the memory of a dropped head, unless the pool is full or the thread is about to end.
pub(super) fn put(head: Box<HeadData>) {
    let _ = POOL.try_with(|pool| {
        let pool = &mut *pool.borrow_mut();
        let is_copy = pool.repeated.as_ref().is_some_and(|repeated| repeated.cache_id() == head.cache_id());
        if is_copy && pool.copies.len() < MAX_COPIES {
            pool.copies.push(head);
        } else if head.capacity() <= MAX_POOLED_BYTES && pool.blank.len() < MAX_BLANK {
            pool.blank.push(head);
        }
    });
}

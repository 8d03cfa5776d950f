//! What one request or connection leaves to the next on its thread.
//!
//! The last one left is taken first: it is still in the processor's cache. So a connection that waits owns none of it.

use std::{cell::RefCell, thread::LocalKey};

/// So many things at most, that were used before and can be again.
pub(crate) struct Pool<T> {
    things: RefCell<Vec<T>>,
    max: usize,
}

impl<T> Pool<T> {
    pub(crate) const fn new(max: usize) -> Self {
        Self { things: RefCell::new(Vec::new()), max }
    }
}

/// Nothing is found where the thread is about to end.
#[inline]
pub(crate) fn take<T>(spare: &'static LocalKey<Pool<T>>) -> Option<T> {
    spare.try_with(|spare| spare.things.borrow_mut().pop()).ok().flatten()
}

/// Leaves a thing to others, if there is room for it; else it is dropped.
#[inline]
pub(crate) fn put<T>(spare: &'static LocalKey<Pool<T>>, thing: T) {
    let _ = spare.try_with(|spare| {
        let mut things = spare.things.borrow_mut();
        if things.len() < spare.max {
            things.push(thing);
        }
    });
}

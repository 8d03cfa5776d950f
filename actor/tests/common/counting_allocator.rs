//! An allocator that counts the memory in use, for tests of bounds.
#![allow(dead_code, unreachable_pub, reason = "every file of tests uses a part of it")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{
        AtomicUsize,
        Ordering::{Relaxed, SeqCst},
    },
};

/// The system's allocator, with a count of the bytes in use.
pub struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// Returns the bytes in use.
pub fn live() -> usize {
    LIVE.load(SeqCst)
}

/// Returns the most bytes that were in use since [`reset_peak`].
pub fn peak() -> usize {
    PEAK.load(SeqCst)
}

/// Begins to look for the most bytes in use, and returns the bytes in use now.
pub fn reset_peak() -> usize {
    let now = live();
    PEAK.store(now, SeqCst);
    now
}

fn add(bytes: usize) {
    let now = LIVE.fetch_add(bytes, Relaxed) + bytes;
    PEAK.fetch_max(now, Relaxed);
}

fn sub(bytes: usize) {
    LIVE.fetch_sub(bytes, Relaxed);
}

// SAFETY: 1. Every method passes its arguments on to `System` unchanged, so the caller's promises about them
// hold there. 2. The counters are atomic numbers: they allocate nothing and cannot panic.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: 1.
        let memory = unsafe { System.alloc(layout) };
        if !memory.is_null() {
            add(layout.size());
        }
        memory
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: 1.
        let memory = unsafe { System.alloc_zeroed(layout) };
        if !memory.is_null() {
            add(layout.size());
        }
        memory
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: 1.
        unsafe { System.dealloc(memory, layout) };
        sub(layout.size());
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: 1.
        let moved = unsafe { System.realloc(memory, layout, size) };
        if !moved.is_null() {
            add(size);
            sub(layout.size());
        }
        moved
    }
}

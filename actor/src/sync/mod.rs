//! Synchronization: the primitives of the standard library and crossbeam, or, under `--cfg riot_loom`,
//! loom's, which tries every order in which threads can run; and this crate's own locks and wakers.
//!
//! Code that has a loom model (`testing/loom_models.rs`) takes its types from here. This room uses no other
//! one.

pub(crate) mod indexed_waker;
pub(crate) mod lock;
pub(crate) mod spin_lock;

#[cfg(not(riot_loom))]
mod real {
    pub(crate) use std::{
        sync::{Arc, Condvar, Mutex, atomic},
        thread_local,
    };

    pub(crate) use crossbeam_deque as deque;

    pub(crate) use crate::sync::spin_lock::RawSpin as RawLock;
    /// How often the pause before the next try is doubled, from one instruction, before the thread yields the
    /// processor.
    const MAX_DOUBLINGS: u32 = 6;

    /// Pauses before the next try.
    pub(crate) fn back_off(tries: &mut u32) {
        if *tries < MAX_DOUBLINGS {
            (0..1 << *tries).for_each(|_| std::hint::spin_loop());
            *tries += 1;
        } else {
            std::thread::yield_now();
        }
    }

    pub(crate) use crate::sync::lock::lock;

    pub(crate) mod cell {
        /// The standard library's cell with the interface of loom's.
        pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

        impl<T> UnsafeCell<T> {
            pub(crate) fn new(value: T) -> Self {
                Self(std::cell::UnsafeCell::new(value))
            }

            #[inline]
            pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
                f(self.0.get())
            }
        }
    }
}

#[cfg(not(riot_loom))]
pub(crate) use real::*;

#[cfg(riot_loom)]
mod modelled {
    pub(crate) use loom::{
        cell,
        sync::{Arc, Condvar, Mutex, atomic},
        thread_local,
    };

    pub(crate) fn back_off(_: &mut u32) {
        loom::thread::yield_now();
    }

    /// A stand-in for `RawSpin` in models, which has a model of its own: a waiting thread sleeps instead of
    /// spinning.
    pub(crate) struct RawLock(Mutex<bool>, Condvar);

    impl RawLock {
        pub(crate) fn new() -> Self {
            Self(Mutex::new(false), Condvar::new())
        }
        pub(crate) fn lock(&self) {
            let mut taken = lock(&self.0);
            while *taken {
                taken = self.1.wait(taken).unwrap_or_else(std::sync::PoisonError::into_inner);
            }
            *taken = true;
        }
        pub(crate) fn unlock(&self) {
            *lock(&self.0) = false;
            self.1.notify_one();
        }
    }

    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> loom::sync::MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Deques with the interface of crossbeam's.
    pub(crate) mod deque {
        use std::collections::VecDeque;

        use super::{Mutex, lock};
        use loom::sync::Arc;

        pub(crate) enum Steal<T> {
            Empty,
            Success(T),
            #[allow(dead_code, reason = "a queue under a lock has nothing to try again")]
            Retry,
        }

        pub(crate) struct Worker<T>(Arc<Mutex<VecDeque<T>>>);
        pub(crate) struct Stealer<T>(Arc<Mutex<VecDeque<T>>>);
        pub(crate) struct Injector<T>(Mutex<VecDeque<T>>);

        fn steal_half<T>(from: &Mutex<VecDeque<T>>, into: &Worker<T>) -> Steal<T> {
            let (first, rest) = {
                let mut from = lock(from);
                let half = from.len().div_ceil(2);
                let mut taken = from.drain(..half);
                (taken.next(), taken.collect::<Vec<T>>())
            };
            lock(&into.0).extend(rest);
            first.map_or(Steal::Empty, Steal::Success)
        }

        impl<T> Worker<T> {
            pub(crate) fn new_fifo() -> Self {
                Self(Arc::new(Mutex::new(VecDeque::new())))
            }
            pub(crate) fn stealer(&self) -> Stealer<T> {
                Stealer(self.0.clone())
            }
            pub(crate) fn push(&self, item: T) {
                lock(&self.0).push_back(item);
            }
            pub(crate) fn pop(&self) -> Option<T> {
                lock(&self.0).pop_front()
            }
            pub(crate) fn len(&self) -> usize {
                lock(&self.0).len()
            }
            pub(crate) fn is_empty(&self) -> bool {
                self.len() == 0
            }
        }

        impl<T> Stealer<T> {
            pub(crate) fn len(&self) -> usize {
                lock(&self.0).len()
            }
            pub(crate) fn is_empty(&self) -> bool {
                self.len() == 0
            }
            pub(crate) fn steal_batch_and_pop(&self, into: &Worker<T>) -> Steal<T> {
                steal_half(&self.0, into)
            }
        }

        impl<T> Injector<T> {
            pub(crate) fn new() -> Self {
                Self(Mutex::new(VecDeque::new()))
            }
            pub(crate) fn push(&self, item: T) {
                lock(&self.0).push_back(item);
            }
            pub(crate) fn len(&self) -> usize {
                lock(&self.0).len()
            }
            pub(crate) fn is_empty(&self) -> bool {
                self.len() == 0
            }
            pub(crate) fn steal_batch_and_pop(&self, into: &Worker<T>) -> Steal<T> {
                steal_half(&self.0, into)
            }
        }
    }
}

#[cfg(riot_loom)]
pub(crate) use modelled::*;

//! Several wakers that share one allocation.

use std::{
    sync::Arc,
    task::{Wake, Waker},
};

/// A value with several wakers, which learns which of them was used. Like [`Wake`], with an index.
///
/// See [`indexed_waker`] for an example.
pub trait WakeByIndex: Send + Sync + 'static {
    /// Is called when the waker with index `part` was used.
    fn wake_by_index(&self, part: usize);
}

/// Returns the waker of `shared` with index `PART`. It owns a count of `shared`, and allocates nothing.
///
/// ```
/// use std::sync::{Arc, atomic::{AtomicUsize, Ordering::SeqCst}};
/// use riot_actor::driver::{WakeByIndex, indexed_waker};
///
/// #[derive(Default)]
/// struct Counts([AtomicUsize; 2]);
/// impl WakeByIndex for Counts {
///     fn wake_by_index(&self, part: usize) {
///         self.0[part].fetch_add(1, SeqCst);
///     }
/// }
///
/// let counts = Arc::new(Counts::default());
/// let (readable, writable) = (indexed_waker::<0, _>(counts.clone()), indexed_waker::<1, _>(counts.clone()));
/// writable.wake_by_ref();
/// writable.wake();
/// readable.wake();
/// assert_eq!(counts.0.each_ref().map(|count| count.load(SeqCst)), [1, 2]);
/// ```
#[must_use]
pub fn indexed_waker<const PART: usize, W: WakeByIndex>(shared: Arc<W>) -> Waker {
    let part = Arc::into_raw(shared).cast::<IndexedPart<PART, W>>();
    #[expect(
        unsafe_code,
        reason = "an allocation and a cache line a waker otherwise: four for each connection"
    )]
    // SAFETY:
    // 1. `IndexedPart` is a transparent wrapper of `W`, so it has the same size, alignment and validity.
    // 2. `from_raw` takes over the count that `into_raw` has left.
    let shared = unsafe { Arc::from_raw(part) };
    Waker::from(shared)
}

/// The shared value, as the waker of one index sees it.
#[repr(transparent)]
struct IndexedPart<const PART: usize, W>(W);

impl<const PART: usize, W: WakeByIndex> Wake for IndexedPart<PART, W> {
    fn wake(self: Arc<Self>) {
        self.0.wake_by_index(PART);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.wake_by_index(PART);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering::SeqCst},
        thread,
    };

    use super::*;

    #[derive(Default)]
    struct Counts([AtomicUsize; 2]);

    impl WakeByIndex for Counts {
        fn wake_by_index(&self, part: usize) {
            self.0[part].fetch_add(1, SeqCst);
        }
    }

    #[test]
    fn wakers_hold_what_they_share_and_let_it_go() {
        let counts = Arc::new(Counts::default());
        let wakers = [indexed_waker::<0, _>(counts.clone()), indexed_waker::<1, _>(counts.clone())];
        let threads: Vec<_> = (0..4)
            .map(|number: usize| {
                let waker = wakers[number % 2].clone();
                thread::spawn(move || {
                    for _ in 0..1_000 {
                        let copy = waker.clone();
                        waker.wake_by_ref();
                        copy.wake();
                    }
                })
            })
            .collect();
        drop(wakers);
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
        assert_eq!(counts.0.each_ref().map(|count| count.load(SeqCst)), [4_000; 2]);
        assert_eq!(Arc::strong_count(&counts), 1);
    }
}

//! The slot in which a loop that yielded waits to be woken.

use std::hint::cold_path;
use std::task::Waker;

/// The slot of one waiting loop. A wake-up that is due before the loop waits is kept, so none is lost.
///
/// The last waker is kept after it was woken: usually the same loop waits again, and registers at no cost.
///
/// ```
/// use riot_flow::WakerSlot;
///
/// let mut slot = WakerSlot::new();
/// slot.wake(); // due, although no loop waits
/// slot.register(std::task::Waker::noop()); // wakes at once
/// assert!(!slot.wake_waiting(), "the slot waits for nothing");
/// ```
#[derive(Debug, Default)]
pub struct WakerSlot {
    waker: Option<Waker>,
    waits: bool,
    due: bool,
}

impl WakerSlot {
    /// Creates an empty slot with nothing due.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers the waiting loop, in place of one before it. A wake-up that is due wakes it at once.
    pub fn register(&mut self, waker: &Waker) {
        if std::mem::take(&mut self.due) {
            cold_path();
            self.waits = false;
            return waker.wake_by_ref();
        }
        self.waits = true;
        if !self.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            cold_path();
            self.remember(waker);
        }
    }

    #[inline(never)]
    fn remember(&mut self, waker: &Waker) {
        self.waker = Some(waker.clone());
    }

    /// Wakes the waiting loop, or the next one to register.
    pub fn wake(&mut self) {
        if !self.wake_waiting() {
            self.due = true;
        }
    }

    /// Wakes the waiting loop, and returns whether there is one. A loop that registers later asks for the
    /// state anyway.
    pub fn wake_waiting(&mut self) -> bool {
        let waits = std::mem::take(&mut self.waits);
        if let (true, Some(waker)) = (waits, &self.waker) {
            waker.wake_by_ref();
        }
        waits
    }

    /// Forgets a wake-up that is due: the loop has looked at the state by itself.
    pub fn settle(&mut self) {
        self.due = false;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    };

    use super::*;

    struct Count(AtomicUsize);
    impl std::task::Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }
    fn counting() -> (Arc<Count>, Waker) {
        let count = Arc::new(Count(AtomicUsize::new(0)));
        (count.clone(), Waker::from(count))
    }

    #[test]
    fn a_waiter_is_woken_once() {
        let (count, waker) = counting();
        let mut wake = WakerSlot::new();
        wake.register(&waker);
        wake.wake();
        wake.wake();
        assert_eq!(count.0.load(SeqCst), 1);
    }

    #[test]
    fn a_wake_up_due_before_anyone_waits_comes_at_once() {
        let (count, waker) = counting();
        let mut wake = WakerSlot::new();
        wake.wake();
        wake.register(&waker);
        assert_eq!(count.0.load(SeqCst), 1);
        wake.register(&waker);
        assert_eq!(count.0.load(SeqCst), 1, "it was due once");
    }

    #[test]
    fn settled_nothing_is_due() {
        let (count, waker) = counting();
        let mut wake = WakerSlot::new();
        wake.wake();
        wake.settle();
        wake.register(&waker);
        assert_eq!(count.0.load(SeqCst), 0);
    }
}

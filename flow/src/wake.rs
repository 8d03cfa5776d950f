//! How a loop that yielded is resumed: one waiter, woken once, and never too early to be heard.

use std::hint::cold_path;
use std::task::Waker;

/// The place where one loop waits. A wake-up that is due before anyone waits is kept, so none is ever lost.
///
/// Whoever waited last is remembered: most often it waits again, and then costs nothing to register.
#[derive(Debug, Default)]
pub struct Wake {
    waker: Option<Waker>,
    waits: bool,
    due: bool,
}

impl Wake {
    /// Nobody waits, nothing is due.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers the one waiter, in place of any before it. If a wake-up is due it comes at once.
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

    /// Wakes the waiter, or the next one to register.
    pub fn wake(&mut self) {
        if !self.wake_waiting() {
            self.due = true;
        }
    }

    /// Wakes the waiter if there is one, and says whether there is; whoever registers later asks for the state anyway.
    pub fn wake_waiting(&mut self) -> bool {
        let waits = std::mem::take(&mut self.waits);
        if let (true, Some(waker)) = (waits, &self.waker) {
            waker.wake_by_ref();
        }
        waits
    }

    /// Forgets that a wake-up was due: the loop has come to look by itself.
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
        let mut wake = Wake::new();
        wake.register(&waker);
        wake.wake();
        wake.wake();
        assert_eq!(count.0.load(SeqCst), 1);
    }

    #[test]
    fn a_wake_up_due_before_anyone_waits_comes_at_once() {
        let (count, waker) = counting();
        let mut wake = Wake::new();
        wake.wake();
        wake.register(&waker);
        assert_eq!(count.0.load(SeqCst), 1);
        wake.register(&waker);
        assert_eq!(count.0.load(SeqCst), 1, "it was due once");
    }

    #[test]
    fn settled_nothing_is_due() {
        let (count, waker) = counting();
        let mut wake = Wake::new();
        wake.wake();
        wake.settle();
        wake.register(&waker);
        assert_eq!(count.0.load(SeqCst), 0);
    }
}

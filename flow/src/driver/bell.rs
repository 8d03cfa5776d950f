//! How the three processes of a connection wake each other, and how they spare themselves that.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{
            AtomicU8,
            Ordering::{Acquire, Release, SeqCst},
        },
    },
    task::{Wake, Waker},
};

/// A waker that remembers that it was used, and does not wake anybody who is about to look: while it is held a ring is
/// noted, and the holder looks when it lets go. So what the Connector causes itself costs no turn of another process,
/// and no second one of its own.
pub(super) struct Bell {
    state: AtomicU8,
    /// Who looks when nobody holds it. Set once that process has run.
    process: OnceLock<Waker>,
}

/// A ring wakes the process.
const OPEN: u8 = 0;
/// The holder will look.
const HELD: u8 = 1;
/// It rang, and whoever is to look knows.
const DUE: u8 = 2;

impl Bell {
    /// Nobody has rung.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { state: AtomicU8::new(OPEN), process: OnceLock::new() })
    }

    /// Sets whom it wakes; the first time counts. What rang before is heard by [`heard`](Self::heard).
    pub(super) fn belongs_to(&self, process: &Waker) {
        self.process.get_or_init(|| process.clone());
    }

    pub(super) fn process(&self) -> Option<&Waker> {
        self.process.get()
    }

    /// Wakes the process, whether it rang or not.
    pub(super) fn wake_process(&self) {
        self.process.get().map(Waker::wake_by_ref);
    }

    /// Whether it rang. If nobody holds it, the next ring wakes again.
    pub(super) fn heard(&self) -> bool {
        self.state.load(Acquire) == DUE && self.state.compare_exchange(DUE, OPEN, SeqCst, SeqCst).is_ok()
    }

    /// Takes it; says whether it had rung.
    pub(super) fn hold(&self) -> bool {
        self.state.swap(HELD, SeqCst) == DUE
    }

    /// The same at less cost: a ring at this very moment may not be noted, but it wakes the process.
    pub(super) fn hold_lightly(&self) -> bool {
        let due = self.state.load(Acquire) == DUE;
        self.state.store(HELD, Release);
        due
    }

    /// Lets it go; says whether it rang meanwhile.
    pub(super) fn let_go(&self) -> bool {
        self.state.swap(OPEN, SeqCst) == DUE
    }

    /// Lets it go, unless it rang meanwhile; says whether it did, and is held on.
    pub(super) fn hold_on_if_due(&self) -> bool {
        let due = self.state.compare_exchange(HELD, OPEN, SeqCst, SeqCst).is_err();
        if due {
            self.state.store(HELD, SeqCst);
        }
        due
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.swap(DUE, SeqCst) == OPEN {
            self.wake_process();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    fn bell() -> (Arc<Bell>, Waker, Arc<Count>) {
        let (bell, woken) = (Bell::new(), Arc::new(Count::default()));
        bell.belongs_to(&Waker::from(woken.clone()));
        (bell.clone(), Waker::from(bell), woken)
    }

    #[test]
    fn a_process_is_woken_once_until_it_looks() {
        let (bell, waker, woken) = bell();
        waker.wake_by_ref();
        waker.wake_by_ref();
        assert_eq!(woken.0.load(SeqCst), 1);
        assert!(bell.heard() && !bell.heard());
        waker.wake_by_ref();
        assert_eq!(woken.0.load(SeqCst), 2);
    }

    #[test]
    fn whoever_holds_it_looks_when_they_let_go() {
        let (bell, waker, woken) = bell();
        assert!(!bell.hold());
        waker.wake_by_ref();
        assert!(bell.hold_on_if_due() && !bell.hold_on_if_due());
        waker.wake_by_ref();
        assert!(bell.hold(), "it rang when it was let go");
        waker.wake_by_ref();
        assert!(bell.let_go() && !bell.heard());
        assert_eq!(woken.0.load(SeqCst), 1, "once in all: when nobody held it");
    }
}

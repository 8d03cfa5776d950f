//! How the three processes of a connection wake each other, and how they spare themselves that.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{
            AtomicU8,
            Ordering::{Acquire, Release, SeqCst},
        },
    },
    task::Waker,
};

use riot_actor::driver::{WakeByIndex, indexed_waker};

/// There may be something to read. It is the Connector's.
pub(super) const INLET: usize = 0;
/// The flow has something to write. It is the Writer's.
pub(super) const OUTLET: usize = 1;
/// The application may go on. It is the Connector's.
pub(super) const APPLICATION: usize = 2;
/// There is something to see to about the time. It is the Connector's.
pub(super) const TIMER: usize = 3;

/// Wakers that remember that they were used, and do not wake anybody who is about to look: while a bell is held a ring
/// is noted, and the holder looks when it lets go. So what the Connector causes itself costs no turn of another process,
/// and no second one of its own.
///
/// All of a connection's are one piece of memory: a request touches most of them.
#[derive(Default)]
pub(super) struct Bells {
    states: [AtomicU8; 4],
    /// How many of the two loops have ended.
    ended: AtomicU8,
    /// Who looks when nobody holds a bell. Set once that process has run.
    connector: OnceLock<Waker>,
    writer: OnceLock<Waker>,
    reader: OnceLock<Waker>,
}

/// A ring wakes the process.
const OPEN: u8 = 0;
/// The holder will look.
const HELD: u8 = 1;
/// It rang, and whoever is to look knows.
const DUE: u8 = 2;

impl Bells {
    /// Nobody has rung.
    pub(super) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// One of them as a waker.
    pub(super) fn waker<const BELL: usize>(self: &Arc<Self>) -> Waker {
        indexed_waker::<BELL, _>(self.clone())
    }

    /// Sets whom the Connector's bells wake; the first time counts. What rang before is heard by
    /// [`heard`](Self::heard).
    pub(super) fn belong_to_connector(&self, process: &Waker) {
        self.connector.get_or_init(|| process.clone());
    }

    /// The same for the Writer's.
    pub(super) fn belong_to_writer(&self, process: &Waker) {
        self.writer.get_or_init(|| process.clone());
    }

    /// The Reader has no bell: whoever wants it wakes it.
    pub(super) fn belong_to_reader(&self, process: &Waker) {
        self.reader.get_or_init(|| process.clone());
    }

    pub(super) fn writer(&self) -> Option<&Waker> {
        self.writer.get()
    }

    /// Wakes the Writer, whether its bell rang or not.
    pub(super) fn wake_writer(&self) {
        self.writer.get().map(Waker::wake_by_ref);
    }

    /// One that waits for the transport hears nothing of the flow, so whoever changes what the flow wants from outside
    /// the loops wakes it to ask again.
    pub(super) fn wake_reader(&self) {
        self.reader.get().map(Waker::wake_by_ref);
    }

    /// One of the loops has ended, and lets go of everything.
    pub(super) fn loop_ended(&self) {
        self.ended.fetch_add(1, SeqCst);
        self.connector.get().map(Waker::wake_by_ref);
    }

    /// Both have.
    pub(super) fn loops_ended(&self) -> bool {
        self.ended.load(SeqCst) == 2
    }

    /// Whether it rang. If nobody holds it, the next ring wakes again.
    pub(super) fn heard(&self, bell: usize) -> bool {
        let state = &self.states[bell];
        state.load(Acquire) == DUE && state.compare_exchange(DUE, OPEN, SeqCst, SeqCst).is_ok()
    }

    /// Takes it; says whether it had rung.
    pub(super) fn hold(&self, bell: usize) -> bool {
        self.states[bell].swap(HELD, SeqCst) == DUE
    }

    /// The same at less cost: a ring at this very moment may not be noted, but it wakes the process.
    pub(super) fn hold_lightly(&self, bell: usize) -> bool {
        let due = self.states[bell].load(Acquire) == DUE;
        self.states[bell].store(HELD, Release);
        due
    }

    /// Lets it go; says whether it rang meanwhile.
    pub(super) fn let_go(&self, bell: usize) -> bool {
        self.states[bell].swap(OPEN, SeqCst) == DUE
    }

    /// Lets it go, unless it rang meanwhile; says whether it did, and is held on.
    pub(super) fn hold_on_if_due(&self, bell: usize) -> bool {
        let due = self.states[bell].compare_exchange(HELD, OPEN, SeqCst, SeqCst).is_err();
        if due {
            self.states[bell].store(HELD, SeqCst);
        }
        due
    }

    pub(super) fn ring(&self, bell: usize) {
        if self.states[bell].swap(DUE, SeqCst) == OPEN {
            let process = if bell == OUTLET { &self.writer } else { &self.connector };
            process.get().map(Waker::wake_by_ref);
        }
    }
}

impl WakeByIndex for Bells {
    fn wake_part(&self, bell: usize) {
        self.ring(bell);
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::atomic::AtomicUsize, task::Wake};

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    fn bells() -> (Arc<Bells>, Waker, Arc<Count>) {
        let (bells, woken) = (Bells::new(), Arc::new(Count::default()));
        bells.belong_to_connector(&Waker::from(woken.clone()));
        (bells.clone(), bells.waker::<INLET>(), woken)
    }

    #[test]
    fn a_process_is_woken_once_until_it_looks() {
        let (bells, waker, woken) = bells();
        waker.wake_by_ref();
        waker.wake_by_ref();
        assert_eq!(woken.0.load(SeqCst), 1);
        assert!(bells.heard(INLET) && !bells.heard(INLET));
        waker.wake_by_ref();
        assert_eq!(woken.0.load(SeqCst), 2);
    }

    #[test]
    fn whoever_holds_it_looks_when_they_let_go() {
        let (bells, waker, woken) = bells();
        assert!(!bells.hold(INLET));
        waker.wake_by_ref();
        assert!(bells.hold_on_if_due(INLET) && !bells.hold_on_if_due(INLET));
        waker.wake_by_ref();
        assert!(bells.hold(INLET), "it rang when it was let go");
        waker.wake_by_ref();
        assert!(bells.let_go(INLET) && !bells.heard(INLET));
        assert_eq!(woken.0.load(SeqCst), 1, "once in all: when nobody held it");
    }

    #[test]
    fn each_bell_is_its_own_and_wakes_its_process() {
        let (bells, _, connector) = bells();
        let writer = Arc::new(Count::default());
        bells.belong_to_writer(&Waker::from(writer.clone()));
        let wakers = [
            bells.waker::<INLET>(),
            bells.waker::<OUTLET>(),
            bells.waker::<APPLICATION>(),
            bells.waker::<TIMER>(),
        ];
        for (bell, waker) in wakers.into_iter().enumerate() {
            waker.wake_by_ref();
            let rung: Vec<usize> = (0..4).filter(|&bell| bells.heard(bell)).collect();
            assert_eq!(rung, [bell]);
        }
        assert_eq!((connector.0.load(SeqCst), writer.0.load(SeqCst)), (3, 1));
    }
}

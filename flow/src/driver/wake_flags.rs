//! How the three processes of a connection wake each other, and how they avoid doing so.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{
            AtomicU8,
            Ordering::{AcqRel, Acquire, SeqCst},
        },
    },
    task::Waker,
};

use riot_actor::driver::{WakeByIndex, indexed_waker};

/// A set of reasons to run.
#[must_use = "a flag that was taken has to be acted on"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due(u8);

impl Due {
    /// The transport may have bytes. Wakes the Connector.
    pub(super) const READ: Self = Self(1);
    /// The flow has something to write. Wakes the Writer.
    pub(super) const WRITE: Self = Self(2);
    /// The application may continue. Wakes the Connector.
    pub(super) const APPLICATION: Self = Self(4);
    /// The flow's deadline has come or moved closer. Wakes the Connector.
    pub(super) const DEADLINE: Self = Self(8);

    const NONE: Self = Self(0);

    /// Returns the bits, by which [`WakeFlags::waker`] names a flag.
    pub(super) const fn bits(self) -> usize {
        self.0 as usize
    }

    #[inline]
    pub(super) fn has(self, flag: Self) -> bool {
        self.0 & flag.0 != 0
    }

    /// Takes a flag out of the set, and returns whether it was in it.
    #[inline]
    pub(super) fn remove(&mut self, flag: Self) -> bool {
        let had = self.has(flag);
        self.0 &= !flag.0;
        had
    }

    #[inline]
    pub(super) fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }

    #[inline]
    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The outcome of [`WakeFlags::end_slice`].
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SliceEnd {
    /// No flag was set: the flags wake processes again.
    Idle,
    /// These flags were set meanwhile. They are taken, and wake-ups are still suppressed: the Connector
    /// continues.
    Continue(Due),
}

/// Wake flags that can be suppressed. While suppressed, a notification is recorded instead of waking a
/// process; the Connector suppresses them for a poll slice and checks them at its end, so work it causes
/// itself wakes no process.
///
/// All flags are bits of one atomic, beside the bit that suppresses them.
#[derive(Default)]
pub(super) struct WakeFlags {
    state: AtomicU8,
    /// Sides (Reader, Writer) that have ended.
    ended: AtomicU8,
    /// The processes to wake. Each is set by its first poll.
    connector: OnceLock<Waker>,
    writer: OnceLock<Waker>,
    reader: OnceLock<Waker>,
}

/// The Connector runs, and will look at the flags before it returns.
const SUPPRESSED: u8 = 128;

impl WakeFlags {
    /// Creates flags that are set for the first poll slice: most clients have sent something by then, and the
    /// flow's first deadline is still to be learnt.
    pub(super) fn new() -> Arc<Self> {
        let state = AtomicU8::new(Due::READ.and(Due::DEADLINE).0);
        Arc::new(Self { state, ..Self::default() })
    }

    /// Creates a waker that notifies the flag `FLAG`, given as its bits.
    pub(super) fn waker<const FLAG: usize>(self: &Arc<Self>) -> Waker {
        indexed_waker::<FLAG, _>(self.clone())
    }

    pub(super) fn set_connector(&self, process: &Waker) {
        self.connector.get_or_init(|| process.clone());
    }

    pub(super) fn set_writer(&self, process: &Waker) {
        self.writer.get_or_init(|| process.clone());
    }

    pub(super) fn set_reader(&self, process: &Waker) {
        self.reader.get_or_init(|| process.clone());
    }

    /// Returns the Writer's own waker, once that process has run.
    pub(super) fn writer(&self) -> Option<&Waker> {
        self.writer.get()
    }

    /// Wakes the Writer whether or not its flag is set.
    pub(super) fn wake_writer(&self) {
        self.writer.get().map(Waker::wake_by_ref);
    }

    /// Wakes the Reader. A Reader that waits for the transport does not hear of changes in the flow: code
    /// that changes what the flow wants from outside the loop calls this, so that the Reader asks again.
    pub(super) fn wake_reader(&self) {
        self.reader.get().map(Waker::wake_by_ref);
    }

    /// Records that the Reader or the Writer has ended and released what it held.
    pub(super) fn side_ended(&self) {
        self.ended.fetch_add(1, SeqCst);
        self.connector.get().map(Waker::wake_by_ref);
    }

    /// Returns whether both the Reader and the Writer have ended.
    pub(super) fn both_sides_ended(&self) -> bool {
        self.ended.load(SeqCst) == 2
    }

    /// Suppresses wake-ups and takes the flags. The Connector calls this at the start of a poll slice.
    pub(super) fn begin_slice(&self) -> Due {
        Due(self.state.swap(SUPPRESSED, AcqRel) & !SUPPRESSED)
    }

    /// Takes the flags set since, while wake-ups stay suppressed.
    #[inline]
    pub(super) fn take(&self) -> Due {
        if self.state.load(Acquire) == SUPPRESSED {
            return Due::NONE;
        }
        Due(self.state.swap(SUPPRESSED, AcqRel) & !SUPPRESSED)
    }

    /// Ends the poll slice unless a flag was set meanwhile.
    pub(super) fn end_slice(&self) -> SliceEnd {
        match self.state.compare_exchange(SUPPRESSED, 0, AcqRel, Acquire) {
            Ok(_) => SliceEnd::Idle,
            Err(_) => SliceEnd::Continue(self.take()),
        }
    }

    /// Ends the poll slice although work is left, and returns the flags of that work: the caller must hand it
    /// over.
    pub(super) fn abandon_slice(&self) -> Due {
        Due(self.state.swap(0, AcqRel) & !SUPPRESSED)
    }

    /// Takes one flag, for the process it wakes.
    pub(super) fn take_one(&self, flag: Due) -> bool {
        Due(self.state.fetch_and(!flag.0, AcqRel)).has(flag)
    }

    /// Sets a flag, and wakes its process if the flag was not set and wake-ups are not suppressed.
    pub(super) fn notify(&self, flag: Due) {
        let before = self.state.fetch_or(flag.0, AcqRel);
        if before & (SUPPRESSED | flag.0) == 0 {
            let process = if flag == Due::WRITE { &self.writer } else { &self.connector };
            process.get().map(Waker::wake_by_ref);
        }
    }
}

impl WakeByIndex for WakeFlags {
    fn wake_by_index(&self, flag: usize) {
        self.notify(Due(flag as u8));
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

    const READ: usize = Due::READ.bits();

    /// Flags none of which is set, the waker of one, and how often the Connector was woken.
    fn flags() -> (Arc<WakeFlags>, Waker, Arc<Count>) {
        let (flags, woken) = (WakeFlags::new(), Arc::new(Count::default()));
        flags.set_connector(&Waker::from(woken.clone()));
        let _ = flags.begin_slice();
        assert_eq!(flags.end_slice(), SliceEnd::Idle);
        (flags.clone(), flags.waker::<READ>(), woken)
    }

    #[test]
    fn the_first_slice_reads_and_learns_the_deadline() {
        let due = WakeFlags::new().begin_slice();
        assert!(due.has(Due::READ) && due.has(Due::DEADLINE) && !due.has(Due::WRITE));
    }

    #[test]
    fn a_process_is_woken_once_until_it_looks() {
        let (flags, waker, woken) = flags();
        waker.wake_by_ref();
        waker.wake_by_ref();
        assert_eq!(woken.0.load(SeqCst), 1);
        assert!(flags.take_one(Due::READ) && !flags.take_one(Due::READ));
        waker.wake_by_ref();
        assert_eq!(woken.0.load(SeqCst), 2);
    }

    #[test]
    fn a_wake_up_within_a_slice_is_recorded() {
        let (flags, waker, woken) = flags();
        assert!(!flags.begin_slice().has(Due::READ));
        waker.wake_by_ref();
        assert_eq!(flags.end_slice(), SliceEnd::Continue(Due::READ));
        waker.wake_by_ref();
        assert_eq!((flags.take(), flags.take()), (Due::READ, Due::NONE));
        assert_eq!(flags.end_slice(), SliceEnd::Idle);
        assert_eq!(woken.0.load(SeqCst), 0);
        waker.wake_by_ref();
        assert_eq!(woken.0.load(SeqCst), 1, "once no slice is under way");
    }

    #[test]
    fn an_abandoned_slice_says_what_is_left() {
        let (flags, waker, woken) = flags();
        let _ = flags.begin_slice();
        waker.wake_by_ref();
        assert_eq!(flags.abandon_slice(), Due::READ);
        waker.wake_by_ref();
        assert_eq!(woken.0.load(SeqCst), 1);
    }

    #[test]
    fn each_flag_is_its_own_and_wakes_its_process() {
        let (flags, _, connector) = flags();
        let writer = Arc::new(Count::default());
        flags.set_writer(&Waker::from(writer.clone()));
        for flag in [Due::READ, Due::WRITE, Due::APPLICATION, Due::DEADLINE] {
            flags.notify(flag);
            assert_eq!(flags.begin_slice(), flag);
            assert_eq!(flags.end_slice(), SliceEnd::Idle);
        }
        assert_eq!((connector.0.load(SeqCst), writer.0.load(SeqCst)), (3, 1));
    }
}

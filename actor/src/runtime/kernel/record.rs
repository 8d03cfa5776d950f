//! The record of one process: everything known of it, under one lock.
//!
//! Whatever others do to a process they do here, before their call returns: that is what keeps signals in the order
//! they were sent, whoever sent them, and makes "first cause wins" a matter of who had the lock first. The lock is
//! mailbox_len for a few instructions; no code of a user runs under it.

use std::{
    borrow::Cow,
    future::Future,
    hint::cold_path,
    pin::Pin,
    sync::{Arc, Weak},
    task::Waker,
};

use super::{
    relations::Relations,
    table::SlotPtr,
    waker::{self, ProcessWaker},
};
use crate::process::{pid::Pid, priority::Priority, reason::Reason};
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::{
    messages::{
        capacity::Capacity,
        mailbox::{Arrivals, Mailbox},
        message::Message,
    },
    process::pid::Peer,
    runtime::shared::Shared,
    sync::spin_lock::{SpinGuard, SpinLock},
    testing::mutation::{Mutation, is_active},
    time::call_timer::CallTimer,
};

/// A place in the process table; it is used recycle when its process has been released.
#[repr(C, align(64))]
pub(crate) struct Slot {
    /// The calls of the processes here that have begun and ended: see [`call`](crate::call).
    pub(crate) calls: AtomicU64,
    core: SpinLock<Core, StateMirror>,
}

/// What can be seen of a record without the lock: by the process itself, but for `running`.
#[derive(Default)]
pub(crate) struct StateMirror {
    /// A copy of `core.condemned`.
    condemned: AtomicBool,
    /// A copy of "`core.arrivals` has some".
    arrived: AtomicBool,
    /// A copy of `core.woken`.
    woken: AtomicBool,
    /// A worker polls it; for those who look in.
    running: AtomicBool,
}

pub(crate) type CoreGuard<'a> = SpinGuard<'a, Core, StateMirror>;

/// Where a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nobody lives here.
    Free,
    /// Made, and in no queue yet.
    New,
    /// Suspended: all of it is parked here.
    Waiting,
    /// In a run queue or on a worker, exactly one: whoever has it owns it, and needs no lock to poll it.
    Scheduled,
    /// Its body is being dropped; nothing schedules it any more.
    Exiting,
}

/// What a message or a turn looks at comes first, in one line of the processor's cache, and the rest in a second one: with
/// many processes it is memory that takes the time. (The layout has a test.)
#[repr(C)]
pub(crate) struct Core {
    pub(crate) generation: u32,
    pub(crate) phase: Phase,
    pub(crate) trap_exit: bool,
    pub(crate) wants_messages: bool,
    /// It was woken while it was out: it is to be polled once more.
    pub(crate) woken: bool,
    /// Messages that had been seen and left when the process last stopped running.
    pub(crate) mailbox_len: u32,
    pub(crate) priority: Priority,
    /// Whether it has a cause to end.
    condemned: bool,
    /// Whether the cause came from outside, so that the report can tell a crash from its consequences.
    pub(crate) caused_by_signal: bool,
    /// Whether there is a bound to how many messages may wait: it is among the relations.
    pub(crate) bounded: bool,
    /// The process while it waits; in a free place the memory of the one before, for the next.
    pub(crate) parked: Option<Box<Process>>,
    /// Messages accepted and not yet seen by the process. Most come to one that waits, and never are here.
    pub(crate) arrivals: Arrivals,
    pub(crate) relations: Option<Box<Relations>>,
    /// Who spawned it.
    pub(crate) parent: Peer,
    /// Why it ends or ended: set once, by whatever was first.
    pub(crate) cause: Option<Reason>,
    pub(crate) label: Option<Cow<'static, str>>,
    /// When it was spawned, in nanoseconds of the clock.
    pub(crate) born: u64,
    /// How many processes there were before it.
    pub(crate) nth: u64,
}

/// What a process consists of. It passes from its record to a run queue to a worker and back, and is in one of them.
///
/// Two lines of the cache, of which the second one is for messages.
#[repr(C, align(64))]
pub(crate) struct Process {
    /// Not here while it is polled, nor between two lives.
    pub(crate) body: Option<Body>,
    /// What its wakers are.
    pub(crate) source: Arc<ProcessWaker>,
    /// Where its record is. The memory of a process stays with its place, so this never changes.
    pub(crate) slot_ptr: SlotPtr,
    pub(crate) pid: Pid,
    /// What is left of this turn; every await that could complete at once spends one.
    pub(crate) reductions: u32,
    /// The worker it may not leave.
    pub(crate) pinned: Option<u32>,
    pub(crate) priority: Priority,
    /// Whether there is a bound to its mailbox, to be told of every message taken.
    pub(crate) bounded: bool,
    /// A receive found nothing in this poll: the next message is to wake the process.
    pub(crate) wants_messages: bool,
    /// A receive has mailbox_scanned into the mailbox in this turn.
    pub(crate) mailbox_scanned: bool,
    pub(crate) mailbox: Mailbox,
    /// What a generic server keeps for its handlers.
    pub(crate) server: Option<Box<crate::gen_server::Control>>,
    /// What wakes it when a call has taken too long.
    pub(crate) call_timer: Option<Box<CallTimer>>,
}

impl Process {
    pub(crate) fn new(shared: Weak<Shared>, pid: Pid, slot_ptr: SlotPtr) -> Box<Self> {
        let source = Arc::new(ProcessWaker::new(shared, pid));
        Box::new(Self {
            pid,
            slot_ptr,
            priority: Priority::Normal,
            pinned: None,
            mailbox: Mailbox::default(),
            bounded: false,
            server: None,
            call_timer: None,
            reductions: 0,
            wants_messages: false,
            mailbox_scanned: false,
            source,
            body: None,
        })
    }

    /// Whether it is this process, and nothing else, that a waker wakes.
    #[inline]
    pub(crate) fn is_waker(&self, waker: &Waker) -> bool {
        waker::is_of(waker, &self.source)
    }

    /// Another process in the same memory. Wakers of the one before that somebody has kept stay its own.
    pub(crate) fn recycle(mut self: Box<Self>, shared: &Arc<Shared>, pid: Pid) -> Box<Self> {
        self.pid = pid;
        match Arc::get_mut(&mut self.source) {
            Some(source) => source.set_generation(pid.generation()),
            None => self.source = Arc::new(ProcessWaker::new(Arc::downgrade(shared), pid)),
        }
        self
    }
}

pub(crate) type Body = Pin<Box<dyn Future<Output = Reason> + Send>>;

/// What comes after a poll.
#[must_use]
pub(crate) enum AfterPoll {
    /// Another poll.
    Again,
    /// A turn later: it was woken, or has used this one up.
    Queue,
    /// Nothing, until it is woken.
    Park,
}

/// A process that just became ready: whoever gets it puts it in a queue, after letting go of the lock.
#[must_use]
pub(crate) struct Runnable(pub(crate) Box<Process>);

impl Slot {
    pub(crate) fn new() -> Self {
        Self {
            calls: AtomicU64::new(0),
            core: SpinLock::new(Core {
                generation: 0,
                phase: Phase::Free,
                trap_exit: false,
                wants_messages: false,
                woken: false,
                mailbox_len: 0,
                priority: Priority::Normal,
                condemned: false,
                caused_by_signal: false,
                bounded: false,
                parked: None,
                arrivals: Arrivals::default(),
                relations: None,
                parent: Peer::NONE,
                cause: None,
                label: None,
                born: 0,
                nth: 0,
            }),
        }
    }

    #[inline]
    fn mirror(&self) -> &StateMirror {
        &self.core.header
    }

    #[inline]
    pub(crate) fn lock(&self) -> CoreGuard<'_> {
        self.core.lock()
    }

    /// The record of `pid`, unless that has been released.
    #[inline]
    pub(crate) fn lock_for(&self, pid: Pid) -> Option<CoreGuard<'_>> {
        let core = self.lock();
        (core.generation == pid.generation() && core.phase != Phase::Free).then_some(core)
    }

    pub(crate) fn is_condemned(&self) -> bool {
        self.mirror().condemned.load(Ordering::Acquire)
    }

    /// Whether messages may have been accepted that the process has not seen. What it misses it finds when it parks.
    pub(crate) fn has_arrivals(&self) -> bool {
        self.mirror().arrived.load(Ordering::Acquire)
    }

    /// Accepts a message; the process becomes ready if it waits for one.
    #[inline(always)]
    pub(crate) fn accept(&self, core: &mut Core, message: Message) -> Option<Runnable> {
        if core.phase == Phase::Waiting && core.wants_messages {
            return self.hand_over(core, message);
        }
        // A process that is out looks at its arrivals before it parks.
        core.arrivals.push(message);
        self.mirror().arrived.store(true, Ordering::Release);
        None
    }

    /// To a process that waits for messages: it takes this one along, so that nothing is left to look for here.
    #[inline(always)]
    fn hand_over(&self, core: &mut Core, message: Message) -> Option<Runnable> {
        let Runnable(mut process) = self.wake(core)?;
        process.mailbox.push(message);
        core.mailbox_len += 1;
        Some(Runnable(process))
    }

    /// A reason to run: a process that waits becomes ready, with all that has arrived; one that is out is polled once
    /// more.
    #[inline(always)]
    pub(crate) fn wake(&self, core: &mut Core) -> Option<Runnable> {
        if core.phase == Phase::Waiting {
            core.phase = Phase::Scheduled;
            core.wants_messages = false;
            let mut process = core.parked.take().expect("a process that waits is parked");
            self.drain_arrivals(core, &mut process.mailbox);
            process.priority = core.priority;
            return Some(Runnable(process));
        }
        if core.phase == Phase::Scheduled && !is_active(Mutation::WakeDropped) {
            core.woken = true;
            self.mirror().woken.store(true, Ordering::Relaxed);
        }
        None
    }

    /// A worker begins to poll: wake-ups until now are answered by that.
    pub(crate) fn begin(&self) {
        self.mirror().running.store(true, Ordering::Relaxed);
        // Under the lock, where what the wake-up is for becomes visible. One that is overlooked here, because the copy
        // comes late, brings a poll too many.
        if self.mirror().woken.load(Ordering::Relaxed) {
            cold_path();
            let mut core = self.lock();
            core.woken = false;
            self.mirror().woken.store(false, Ordering::Relaxed);
        }
    }

    /// A worker has polled it, it is not done, and the lock is mailbox_len: what comes next.
    pub(crate) fn pause(&self, core: &mut Core, process: &mut Process) -> AfterPoll {
        self.mirror().running.store(false, Ordering::Relaxed);
        let arrived = process.wants_messages && self.has_arrivals();
        if arrived && !core.woken && process.reductions > 0 {
            cold_path();
            // It waits for messages and here they are: no need to go through a queue.
            self.drain_arrivals(core, &mut process.mailbox);
            process.wants_messages = false;
            process.reductions -= 1;
            return AfterPoll::Again;
        }
        if process.mailbox_scanned {
            cold_path();
            core.mailbox_len = process.mailbox.len() as u32;
        }
        if core.woken || arrived { AfterPoll::Queue } else { AfterPoll::Park }
    }

    /// The process waits: from here on it belongs to whoever wakes it.
    pub(crate) fn park(&self, core: &mut Core, process: Box<Process>) {
        core.phase = Phase::Waiting;
        core.wants_messages = process.wants_messages;
        core.arrivals.shrink();
        let before = core.parked.replace(process);
        debug_assert!(before.is_none(), "there is one process in a place");
    }

    /// Takes the oldest message from number `from` on that `wanted` accepts, out of those here and those that have
    /// arrived; if there is none the process wants to be woken by the next one.
    pub(crate) fn take(
        &self,
        process: &mut Process,
        from: &mut u64,
        mut wanted: impl FnMut(&Message) -> bool,
    ) -> Option<Message> {
        process.mailbox_scanned = true;
        loop {
            if let Some(message) = process.mailbox.take(*from, &mut wanted) {
                return Some(message);
            }
            *from = (*from).max(process.mailbox.end());
            if !self.has_arrivals() {
                process.wants_messages = true;
                return None;
            }
            self.lock_and_drain_arrivals(&mut process.mailbox);
        }
    }

    /// Hands what has arrived over to the process while it runs.
    #[inline(never)]
    pub(crate) fn lock_and_drain_arrivals(&self, mailbox: &mut Mailbox) {
        self.drain_arrivals(&mut self.lock(), mailbox);
    }

    pub(crate) fn is_running(&self) -> bool {
        self.mirror().running.load(Ordering::Relaxed)
    }

    /// Hands what has arrived over to the process.
    #[inline]
    pub(crate) fn drain_arrivals(&self, core: &mut Core, mailbox: &mut Mailbox) {
        // Under the lock the copy is exact.
        if self.has_arrivals() {
            self.drain_arrivals_slow(core, mailbox);
        }
    }

    #[inline(never)]
    fn drain_arrivals_slow(&self, core: &mut Core, mailbox: &mut Mailbox) {
        core.arrivals.drain_into(mailbox);
        self.mirror().arrived.store(false, Ordering::Relaxed);
        core.mailbox_len = mailbox.len() as u32;
    }

    /// Fixes why the process ends.
    ///
    /// # Errors
    /// Filter something did before. The reason comes back: what is in it is a user's, and not dropped under the lock.
    pub(crate) fn condemn(&self, core: &mut Core, reason: Reason, by_signal: bool) -> Result<(), Reason> {
        if core.condemned {
            return Err(reason);
        }
        core.condemned = true;
        core.cause = Some(reason);
        core.caused_by_signal = by_signal;
        self.mirror().condemned.store(true, Ordering::Release);
        Ok(())
    }

    /// Nothing is left of the process that was here. Under the lock.
    pub(crate) fn reset(&self) {
        self.close_calls();
        self.mirror().condemned.store(false, Ordering::Release);
        self.mirror().arrived.store(false, Ordering::Release);
        self.mirror().woken.store(false, Ordering::Release);
        self.mirror().running.store(false, Ordering::Release);
    }
}

impl Core {
    pub(crate) fn is_condemned(&self) -> bool {
        self.condemned
    }

    pub(crate) fn is_live(&self) -> bool {
        self.phase != Phase::Free && !self.condemned
    }

    pub(crate) fn capacity(&self) -> Option<&Arc<Capacity>> {
        if !self.bounded {
            return None;
        }
        self.relations.as_ref()?.others.as_ref()?.capacity.as_ref()
    }

    /// It is to be used for another process; what is left of this one.
    pub(crate) fn reset(&mut self) -> Option<Reason> {
        self.phase = Phase::Free;
        self.generation = self.generation.wrapping_add(1);
        self.trap_exit = false;
        self.wants_messages = false;
        self.woken = false;
        self.mailbox_len = 0;
        self.condemned = false;
        self.bounded = false;
        self.cause.take()
    }

    pub(crate) fn relations(&mut self) -> &mut Relations {
        self.relations.get_or_insert_default()
    }
}

#[cfg(all(test, not(riot_loom)))]
mod tests {
    use std::mem::{offset_of, size_of};

    use super::*;

    #[test]
    fn what_a_message_and_a_turn_look_at_is_in_one_line_of_the_cache() {
        assert_eq!((size_of::<Slot>(), size_of::<Process>()), (128, 128));
        let before = size_of::<Slot>() - size_of::<Core>();
        assert!(before + offset_of!(Core, cause) <= 64, "{before} and {}", offset_of!(Core, cause));
        assert_eq!(offset_of!(Process, mailbox), 64);
    }
}

//! The record of one process: everything known of it, under one lock.
//!
//! Whatever others do to a process they do here, before their call returns: that is what keeps signals in the order
//! they were sent, whoever sent them, and makes "first cause wins" a matter of who had the lock first. The lock is
//! held for a few instructions; no code of a user runs under it.

pub(crate) mod info;
pub(crate) mod run;
pub(crate) mod spawn;
pub(crate) mod table;

use std::{
    borrow::Cow,
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Wake, Waker},
    time::Instant,
};

use crate::{
    exit::Reason,
    mailbox::Mailbox,
    message::Message,
    pid::{NumberMap, NumberSet, Pid},
    registry::Name,
    runtime::Shared,
    signal::{MonitorRef, Target, Watcher},
    timer::TimerRef,
};

/// A place in the process table; it is used again when its process has been released.
pub(crate) struct Slot {
    /// A copy of "`core.cause` is some", to be read without the lock by the process itself.
    condemned: AtomicBool,
    core: Mutex<Core>,
}

/// What a process is doing, as the scheduler sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nobody lives here.
    Free,
    /// Made, and in no queue yet.
    Unborn,
    /// Suspended: its body is parked here, and nobody has it in a queue.
    Waiting,
    /// In a run queue, exactly once.
    Ready,
    /// Polled by a worker.
    Running,
    /// Polled by a worker, and woken since that began.
    Woken,
    /// Its body is being dropped; nothing schedules it any more.
    Exiting,
}

/// When a process runs, compared with others on the same worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// One turn in nine when there are processes of normal priority, so it is slow but never starved by them.
    Low,
    /// The default.
    #[default]
    Normal,
    /// Before all others, always: one that never waits starves the rest.
    High,
}

pub(crate) struct Core {
    pub(crate) generation: u32,
    pub(crate) phase: Phase,
    pub(crate) trap_exit: bool,
    pub(crate) wants_messages: bool,
    pub(crate) priority: Priority,
    /// The worker it may not leave.
    pub(crate) pinned: Option<u32>,
    /// Why it ends or ended: set once, by whatever was first.
    pub(crate) cause: Option<Reason>,
    /// Whether the cause came from outside, so that the report can tell a crash from its consequences.
    pub(crate) caused_by_signal: bool,
    /// Messages accepted and not yet seen by the process.
    pub(crate) arrivals: VecDeque<Message>,
    pub(crate) parked: Option<Parked>,
    /// Messages that had been seen and left when the process last stopped running.
    pub(crate) held: usize,
    pub(crate) relations: Option<Box<Relations>>,
    pub(crate) parent: Option<Pid>,
    pub(crate) label: Option<Cow<'static, str>>,
    pub(crate) born: Option<Instant>,
}

/// What a process leaves here while it does not run.
pub(crate) struct Parked {
    pub(crate) body: Body,
    pub(crate) mailbox: Mailbox,
    pub(crate) waker: Waker,
}

pub(crate) type Body = Pin<Box<dyn Future<Output = Reason> + Send>>;

/// What ties a process to others. Many have none, so it has a place of its own.
#[derive(Default)]
pub(crate) struct Relations {
    pub(crate) links: NumberSet<Pid>,
    /// Whom it monitors.
    pub(crate) monitors: NumberMap<MonitorRef, Target>,
    /// Who hears of its end.
    pub(crate) watchers: NumberMap<MonitorRef, Watcher>,
    pub(crate) names: Vec<Name>,
    /// Timers that will send to it.
    pub(crate) timers:
        std::collections::HashSet<TimerRef, std::hash::BuildHasherDefault<crate::pid::NumberHasher>>,
}

/// That a process just became ready: whoever learns of it puts it in a queue, after letting go of the lock.
#[must_use]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Readied {
    pub(crate) index: u32,
    pub(crate) priority: Priority,
    pub(crate) pinned: Option<u32>,
}

impl Slot {
    pub(crate) fn new() -> Self {
        Self {
            condemned: AtomicBool::new(false),
            core: Mutex::new(Core {
                generation: 0,
                phase: Phase::Free,
                trap_exit: false,
                wants_messages: false,
                priority: Priority::Normal,
                pinned: None,
                cause: None,
                caused_by_signal: false,
                arrivals: VecDeque::new(),
                parked: None,
                held: 0,
                relations: None,
                parent: None,
                label: None,
                born: None,
            }),
        }
    }

    pub(crate) fn lock(&self) -> std::sync::MutexGuard<'_, Core> {
        crate::lock::lock(&self.core)
    }

    /// The record of `pid`, unless that has been released.
    pub(crate) fn lock_for(&self, pid: Pid) -> Option<std::sync::MutexGuard<'_, Core>> {
        let core = self.lock();
        (core.generation == pid.generation && core.phase != Phase::Free).then_some(core)
    }

    pub(crate) fn is_condemned(&self) -> bool {
        self.condemned.load(Ordering::Acquire)
    }

    /// Fixes why the process ends, if nothing did before; says whether this was it.
    pub(crate) fn condemn(&self, core: &mut Core, reason: Reason, by_signal: bool) -> bool {
        if core.cause.is_some() {
            return false;
        }
        core.cause = Some(reason);
        core.caused_by_signal = by_signal;
        self.condemned.store(true, Ordering::Release);
        true
    }

    pub(crate) fn renew(&self) {
        self.condemned.store(false, Ordering::Release);
    }
}

impl Core {
    pub(crate) fn is_live(&self) -> bool {
        self.phase != Phase::Free && self.cause.is_none()
    }

    pub(crate) fn relations(&mut self) -> &mut Relations {
        self.relations.get_or_insert_default()
    }

    /// A reason to run again: the process becomes ready if it waits, or is polled once more if it runs.
    pub(crate) fn wake(&mut self, index: u32) -> Option<Readied> {
        match self.phase {
            Phase::Waiting => {
                self.phase = Phase::Ready;
                Some(Readied { index, priority: self.priority, pinned: self.pinned })
            }
            Phase::Running => {
                self.phase = Phase::Woken;
                None
            }
            Phase::Free | Phase::Unborn | Phase::Ready | Phase::Woken | Phase::Exiting => None,
        }
    }

    /// Accepts a message; the process becomes ready if it waits for one.
    pub(crate) fn accept(&mut self, index: u32, message: Message) -> Option<Readied> {
        self.arrivals.push_back(message);
        // A process that runs looks at its arrivals before it parks.
        (self.wants_messages && self.phase == Phase::Waiting).then(|| self.wake(index)).flatten()
    }
}

/// What wakers are made of. It holds no body and no message; of a process that is gone it wakes nothing.
pub(crate) struct ProcessWaker {
    pub(crate) shared: std::sync::Weak<Shared>,
    pub(crate) pid: Pid,
}

impl Wake for ProcessWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        crate::context::with_local(|local| match local {
            // On a thread of the runtime its record is at hand; elsewhere it has to be kept alive meanwhile.
            Some(local) if local.shared.id == self.pid.runtime => local.shared.wake(self.pid),
            _ => {
                if let Some(shared) = self.shared.upgrade() {
                    shared.wake(self.pid);
                }
            }
        });
    }
}

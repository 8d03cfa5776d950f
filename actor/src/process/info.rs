//! Looking in: what can be seen of a process, without disturbing it.

use std::{borrow::Cow, fmt, time::Duration};

use crate::{
    names::registry::Name,
    process::{pid::Pid, signal::Watcher},
    runtime::{context, handle::Handle, shared::Shared},
};
use crate::{
    process::priority::Priority,
    runtime::kernel::record::{Core, Phase, Slot},
};

/// A process as it was at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ProcessInfo {
    /// The process.
    pub pid: Pid,
    /// The names it holds.
    pub names: Vec<Name>,
    /// What it calls itself.
    pub label: Option<Cow<'static, str>>,
    /// What it is doing.
    pub state: ProcessState,
    /// Messages in its mailbox.
    pub mailbox: usize,
    /// How many may be; none without a capacity.
    pub max_mailbox: Option<usize>,
    /// Messages refused because the mailbox was full.
    pub refused: u64,
    /// The processes it is linked with.
    pub links: Vec<Pid>,
    /// The processes it monitors.
    pub monitors: Vec<Pid>,
    /// The processes that monitor it.
    pub monitored_by: Vec<Pid>,
    /// Whether it traps exits.
    pub trap_exit: bool,
    /// Its priority.
    pub priority: Priority,
    /// Who spawned it; that process may be gone.
    pub parent: Option<Pid>,
    /// How many processes the runtime had spawned before it: the order in which they came.
    pub nth: u64,
    /// How long it has lived, to the few turns between two looks at the clock.
    pub age: Option<Duration>,
}

/// What a process is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProcessState {
    /// It runs on a worker.
    Running,
    /// It waits for a worker.
    Runnable,
    /// It waits for a message, a timer or a socket.
    Waiting,
    /// It has ended, or was condemned to, and is not released yet.
    Exiting,
}

impl fmt::Display for ProcessState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Running => "running",
            Self::Runnable => "runnable",
            Self::Waiting => "waiting",
            Self::Exiting => "exiting",
        })
    }
}

/// What can be seen of `pid`; none once it is released.
///
/// # Panics
/// Outside a process.
#[must_use]
pub fn info(pid: Pid) -> Option<ProcessInfo> {
    context::with_shared("info", |shared| shared.info(pid))
}

/// Every process that is not released, in the order of their places.
///
/// # Panics
/// Outside a process.
#[must_use]
pub fn processes() -> Vec<Pid> {
    context::with_shared("processes", |shared| shared.processes())
}

/// Names what the running process is, for whoever looks at the running system.
///
/// # Panics
/// Outside a process.
pub fn set_label(label: impl Into<Cow<'static, str>>) {
    let this = crate::this();
    let label = label.into();
    let before = context::with_shared("set_label", |shared| {
        shared.table.slot(this.index()).lock().label.replace(label)
    });
    drop(before);
}

/// Sets the priority of the running process, and returns what it was.
///
/// # Panics
/// Outside a process.
pub fn set_priority(priority: Priority) -> Priority {
    let this = crate::this();
    context::with_shared("set_priority", |shared| {
        std::mem::replace(&mut shared.table.slot(this.index()).lock().priority, priority)
    })
}

impl Handle {
    /// [`info`] from a plain thread.
    #[must_use]
    pub fn info(&self, pid: Pid) -> Option<ProcessInfo> {
        self.shared.info(pid)
    }

    /// [`processes`] from a plain thread.
    #[must_use]
    pub fn processes(&self) -> Vec<Pid> {
        self.shared.processes()
    }
}

fn state(slot: &Slot, core: &Core) -> ProcessState {
    match core.phase {
        _ if core.is_condemned() => ProcessState::Exiting,
        Phase::Scheduled if slot.is_running() => ProcessState::Running,
        Phase::New | Phase::Scheduled => ProcessState::Runnable,
        Phase::Waiting => ProcessState::Waiting,
        Phase::Exiting | Phase::Free => ProcessState::Exiting,
    }
}

impl Shared {
    pub(crate) fn processes(&self) -> Vec<Pid> {
        let pid = |index, core: &Core| Pid::new(self.id, core.generation, index);
        self.table
            .slots()
            .filter_map(|(index, slot)| {
                let core = slot.lock();
                (core.phase != Phase::Free).then(|| pid(index, &core))
            })
            .collect()
    }

    /// Who has a place now.
    pub(crate) fn pid_at(&self, index: u32) -> Option<Pid> {
        let core = self.table.slot(index).lock();
        let pid = Pid::new(self.id, core.generation, index);
        (core.phase != Phase::Free).then_some(pid)
    }

    pub(crate) fn info(&self, pid: Pid) -> Option<ProcessInfo> {
        let mut info = {
            let slot = self.table.of(pid)?;
            let core = slot.lock_for(pid)?;
            let relations = core.relations.as_deref();
            let others = relations.and_then(|relations| relations.others.as_deref());
            ProcessInfo {
                pid,
                names: others.map(|others| others.names.clone()).unwrap_or_default(),
                label: core.label.clone(),
                state: state(slot, &core),
                mailbox: core.arrivals.len()
                    + if context::current() == Some(pid) { 0 } else { core.mailbox_len as usize },
                max_mailbox: core.capacity().map(|capacity| capacity.max_messages()),
                refused: core.capacity().map_or(0, |capacity| capacity.refused()),
                links: relations.map(|relations| relations.links.to_vec(pid)).unwrap_or_default(),
                monitors: others
                    .map(|others| others.monitors.values().filter_map(|target| target.pid).collect())
                    .unwrap_or_default(),
                monitored_by: others
                    .map(|others| others.watchers.values().filter_map(watcher).collect())
                    .unwrap_or_default(),
                trap_exit: core.trap_exit,
                priority: core.priority,
                parent: core.parent.in_runtime_of(pid),
                nth: core.nth,
                age: Some(self.clock().since(core.born)),
            }
        };
        if let Some(len) = context::mailbox_len_of(pid) {
            info.mailbox += len; // Its own messages are with itself while it runs.
        }
        Some(info)
    }
}

fn watcher(watcher: &Watcher) -> Option<Pid> {
    match watcher {
        Watcher::Process(pid) => Some(*pid),
        _ => None,
    }
}

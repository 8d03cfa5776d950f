//! Inspecting processes without disturbing them.

use std::{borrow::Cow, fmt, ops::Range, panic::Location, time::Duration};

use super::{pid::Pid, priority::Priority, top::By, waiting::WaitingFor};
use crate::{
    names::name::Name,
    runtime::{
        context,
        handle::Handle,
        kernel::{
            lifecycle::Phase,
            record::{Core, Slot},
            relations::Watcher,
        },
        shared::Shared,
    },
};

/// A process as it was at one moment.
///
/// See [`info`] for an example.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ProcessInfo {
    /// The process.
    pub pid: Pid,
    /// The names it holds.
    pub names: Vec<Name>,
    /// The label.
    pub label: Option<Cow<'static, str>>,
    /// The state.
    pub state: ProcessState,
    /// Messages in its mailbox.
    pub mailbox: usize,
    /// The bound of its mailbox; none if it is unbounded.
    pub max_mailbox: Option<usize>,
    /// Messages refused because the mailbox was full.
    pub refused: u64,
    /// The processes it is linked with: 1 000 at most.
    pub links: Vec<Pid>,
    /// The processes it monitors: 1 000 at most.
    pub monitors: Vec<Pid>,
    /// The processes that monitor it: 1 000 at most.
    pub monitored_by: Vec<Pid>,
    /// How long the three lists are as a whole.
    pub relations: RelationCounts,
    /// Whether it traps exits.
    pub trap_exit: bool,
    /// The priority.
    pub priority: Priority,
    /// The process that spawned it, which may have exited.
    pub parent: Option<Pid>,
    /// How many processes the runtime had spawned before it.
    pub nth: u64,
    /// How long it has lived, as precise as [`now_coarse`](crate::time::now_coarse).
    pub age: Option<Duration>,
    /// Poll slices that it has begun.
    pub slices: u64,
    /// Messages that it has taken out of its mailbox.
    pub received: u64,
    /// The type of the message that it took last; none before the first.
    pub last_message: Option<&'static str>,
    /// The await that it is parked in; none unless its state is [`ProcessState::Waiting`].
    pub waiting_for: Option<WaitingFor>,
    /// The size of the future that it was spawned with, in bytes.
    pub future_bytes: usize,
    /// The name of the type of that future.
    pub initial_function: &'static str,
    /// The place in the program that spawned it; none where the runtime itself did.
    pub spawned_at: Option<&'static Location<'static>>,
    /// How long it has been polled in all, estimated by samples each 10 ms while anything runs, each 1 ms
    /// while [sampled](Handle::sample_busy): after n samples the error is some √n of them. None in a
    /// simulation.
    pub busy: Option<Duration>,
}

/// How many relations a process has to others.
///
/// See [`summaries`] for an example.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct RelationCounts {
    /// The processes it is linked with.
    pub links: usize,
    /// The monitors that it has. One whose process it does not know any more is counted, and not listed.
    pub monitors: usize,
    /// The monitors on it, with those that the runtime keeps for calls and waits, which are not listed.
    pub monitored_by: usize,
}

/// A process as it was at one moment, without the lists of [`ProcessInfo`].
///
/// See [`summaries`] for an example.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ProcessSummary {
    /// The process.
    pub pid: Pid,
    /// The label.
    pub label: Option<Cow<'static, str>>,
    /// The state.
    pub state: ProcessState,
    /// Messages in its mailbox.
    pub mailbox: usize,
    /// Relations to other processes.
    pub relations: RelationCounts,
    /// Whether it traps exits.
    pub trap_exit: bool,
    /// The priority.
    pub priority: Priority,
    /// The process that spawned it, which may have exited.
    pub parent: Option<Pid>,
    /// How many processes the runtime had spawned before it.
    pub nth: u64,
    /// How long it has lived, as precise as [`now_coarse`](crate::time::now_coarse).
    pub age: Option<Duration>,
    /// Poll slices that it has begun.
    pub slices: u64,
    /// Messages that it has taken out of its mailbox.
    pub received: u64,
    /// The type of the message that it took last; none before the first.
    pub last_message: Option<&'static str>,
    /// The await that it is parked in; none unless its state is [`ProcessState::Waiting`].
    pub waiting_for: Option<WaitingFor>,
    /// The size of the future that it was spawned with, in bytes.
    pub future_bytes: usize,
    /// The name of the type of that future.
    pub initial_function: &'static str,
    /// The place in the program that spawned it; none where the runtime itself did.
    pub spawned_at: Option<&'static Location<'static>>,
    /// How long it has been polled in all, estimated by samples each 10 ms while anything runs, each 1 ms
    /// while [sampled](Handle::sample_busy): after n samples the error is some √n of them. None in a
    /// simulation.
    pub busy: Option<Duration>,
}

/// The state of a process.
///
/// See [`info`] for an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProcessState {
    /// Polled by a worker.
    Running,
    /// In a run queue.
    Runnable,
    /// Waiting for a message, a timer or an event of I/O.
    Waiting,
    /// Exited or condemned, and not released yet.
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

/// Returns what can be seen of `pid`; none once it is released.
///
/// ```
/// # use riot_actor::{process::{ProcessState, info}, run, this};
/// # run(async {
/// let info = info(this()).unwrap();
/// assert_eq!((info.state, info.mailbox), (ProcessState::Running, 0));
/// # });
/// ```
///
/// # Panics
/// Panics outside a process.
#[must_use]
pub fn info(pid: Pid) -> Option<ProcessInfo> {
    context::with_shared("info", |shared| shared.info(pid))
}

/// Returns every process that is not released, in the order of the process table. One that exits is listed
/// until its links are told; [`is_alive`](super::is_alive) is false for it.
///
/// ```
/// # use riot_actor::{process::processes, run, this};
/// # run(async {
/// assert_eq!(processes(), [this()]);
/// # });
/// ```
///
/// # Panics
/// Panics outside a process.
#[must_use]
pub fn processes() -> Vec<Pid> {
    context::with_shared("processes", |shared| shared.processes())
}

/// Returns a summary of every process that is not released, in the order of the process table. It takes less
/// time than an [`info`] of each, and no lock for longer than one process.
///
/// Reading takes one poll slice, some 100 ns for each process: with more than some ten thousand processes,
/// call [`for_each_summary`](super::for_each_summary) or [`top`](super::top), which give way, or
/// [`Handle::summaries`] in [`blocking`](crate::runtime::blocking).
///
/// ```
/// # use riot_actor::{process::{SpawnOptions, summaries}, run, this};
/// # run(async {
/// let clerk = SpawnOptions::new().label("clerk").link().spawn(std::future::pending::<()>());
/// let all = summaries();
/// let clerk = all.iter().find(|process| process.pid == clerk).expect("it waits");
/// assert_eq!((clerk.label.as_deref(), clerk.parent), (Some("clerk"), Some(this())));
/// assert_eq!((clerk.mailbox, clerk.relations.links), (0, 1));
/// # });
/// ```
///
/// # Panics
/// Panics outside a process.
#[must_use]
pub fn summaries() -> Vec<ProcessSummary> {
    context::with_shared("summaries", |shared| shared.summaries())
}

/// Sets the label of the running process, which [`info`] and crash reports show.
///
/// ```
/// # use riot_actor::{process::{info, set_label}, run, this};
/// # run(async {
/// set_label("clerk");
/// assert_eq!(info(this()).unwrap().label.as_deref(), Some("clerk"));
/// # });
/// ```
///
/// # Panics
/// Panics outside a process.
pub fn set_label(label: impl Into<Cow<'static, str>>) {
    let this = crate::this();
    let label = label.into();
    let before = context::with_shared("set_label", |shared| {
        shared.table.slot(this.index()).lock().label.replace(label)
    });
    drop(before);
}

/// Sets the priority of the running process, and returns the one before.
///
/// See [`Priority`] for an example.
///
/// # Panics
/// Panics outside a process.
pub fn set_priority(priority: Priority) -> Priority {
    let this = crate::this();
    context::with_shared("set_priority", |shared| {
        std::mem::replace(&mut shared.table.slot(this.index()).lock().priority, priority)
    })
}

impl Handle {
    /// Returns what can be seen of `pid`, as [`info`] does, from a plain thread.
    #[must_use]
    pub fn info(&self, pid: Pid) -> Option<ProcessInfo> {
        self.shared.info(pid)
    }

    /// Returns every process that is not released, as [`processes`] does, from a plain thread.
    #[must_use]
    pub fn processes(&self) -> Vec<Pid> {
        self.shared.processes()
    }

    /// Returns a summary of every process that is not released, as [`summaries`] does, from a plain thread.
    #[must_use]
    pub fn summaries(&self) -> Vec<ProcessSummary> {
        self.shared.summaries()
    }
}

pub(super) fn state(slot: &Slot, core: &Core) -> ProcessState {
    match core.phase() {
        _ if core.is_condemned() => ProcessState::Exiting,
        Phase::Scheduled if slot.is_running() => ProcessState::Running,
        Phase::New | Phase::Scheduled => ProcessState::Runnable,
        Phase::Waiting => ProcessState::Waiting,
        Phase::Exiting | Phase::Free => ProcessState::Exiting,
    }
}

/// Entries of each list that [`info`] copies.
const MAX_LISTED: usize = 1_000;

fn relation_counts(core: &Core) -> RelationCounts {
    let Some(relations) = core.relations.as_deref() else { return RelationCounts::default() };
    let others = relations.others.as_deref();
    RelationCounts {
        links: relations.links.len(),
        monitors: others.map_or(0, |others| others.monitors.len()),
        monitored_by: others.map_or(0, |others| others.watchers.len()),
    }
}

/// The parts of a record that have any length, copied into memory that is allocated while its lock is not
/// held.
#[derive(Default)]
struct Lists {
    label: String,
    names: Vec<Name>,
    links: Vec<Pid>,
    monitors: Vec<Pid>,
    monitored_by: Vec<Pid>,
}

impl Lists {
    /// Copies the lists of a record if there is room for them. Else returns lists with room, for the next
    /// try: the caller must release the lock before it allocates them by calling the result.
    fn fill(&mut self, core: &Core, pid: Pid) -> Result<(), impl FnOnce() -> Self + use<>> {
        let relations = core.relations.as_deref();
        let others = relations.and_then(|relations| relations.others.as_deref());
        let label = owned_label(core);
        let label_len = label.len();
        let names = others.map_or(0, |others| others.names.len());
        let counts = relation_counts(core);
        let listed = |count: usize| count.min(MAX_LISTED);
        let (links, monitors, watchers) =
            (listed(counts.links), listed(counts.monitors), listed(counts.monitored_by));
        let has_room = label_len <= self.label.capacity()
            && names <= self.names.capacity()
            && links <= self.links.capacity()
            && monitors <= self.monitors.capacity()
            && watchers <= self.monitored_by.capacity();
        if !has_room {
            return Err(move || Self {
                label: String::with_capacity(label_len),
                names: Vec::with_capacity(names),
                links: Vec::with_capacity(links),
                monitors: Vec::with_capacity(monitors),
                monitored_by: Vec::with_capacity(watchers),
            });
        }
        self.label.push_str(label);
        if let Some(relations) = relations {
            relations.links.for_first(MAX_LISTED, pid, |linked| self.links.push(linked));
        }
        if let Some(others) = others {
            self.names.extend_from_slice(&others.names);
            let monitored = others.monitors.values().take(monitors);
            self.monitors.extend(monitored.filter_map(|target| target.pid));
            self.monitored_by.extend(others.watchers.values().take(watchers).filter_map(watcher));
        }
        Ok(())
    }
}

impl Shared {
    pub(crate) fn processes(&self) -> Vec<Pid> {
        let pid = |index, core: &Core| Pid::new(self.id, core.generation, index);
        self.table
            .slots()
            .filter_map(|(index, slot)| {
                let core = slot.lock();
                (core.phase() != Phase::Free).then(|| pid(index, &core))
            })
            .collect()
    }

    /// Returns the process that has a slot now.
    pub(crate) fn pid_at(&self, index: u32) -> Option<Pid> {
        let core = self.table.slot(index).lock();
        let pid = Pid::new(self.id, core.generation, index);
        (core.phase() != Phase::Free).then_some(pid)
    }

    pub(crate) fn info(&self, pid: Pid) -> Option<ProcessInfo> {
        let slot = self.table.of(pid)?;
        let now = self.clock().now_nanos();
        let mut lists = Lists::default();
        let mut info = loop {
            let core = slot.lock_for(pid)?;
            if let Err(allocate) = lists.fill(&core, pid) {
                drop(core);
                lists = allocate();
                continue;
            }
            let capacity = core.capacity();
            let summary = self.summary(slot, &core, pid, now, lists.label);
            let ProcessSummary {
                label,
                state,
                mailbox,
                relations,
                trap_exit,
                priority,
                parent,
                nth,
                age,
                slices,
                received,
                last_message,
                waiting_for,
                future_bytes,
                initial_function,
                spawned_at,
                busy,
                pid: _,
            } = summary;
            break ProcessInfo {
                pid,
                names: lists.names,
                label,
                state,
                mailbox,
                max_mailbox: capacity.map(|capacity| capacity.max_messages()),
                refused: capacity.map_or(0, |capacity| capacity.refused()),
                links: lists.links,
                monitors: lists.monitors,
                monitored_by: lists.monitored_by,
                relations,
                trap_exit,
                priority,
                parent,
                nth,
                age,
                slices,
                received,
                last_message,
                waiting_for,
                future_bytes,
                initial_function,
                spawned_at,
                busy,
            };
        };
        info.busy = self.busy(pid);
        info.mailbox += own_mailbox_len(pid);
        Some(info)
    }

    pub(crate) fn summaries(&self) -> Vec<ProcessSummary> {
        // Room for all at once: to move so many again and again takes as long as to read them.
        let mut summaries = Vec::with_capacity(self.live());
        self.summaries_of(0..self.table.len(), |summary| summaries.push(summary));
        summaries
    }

    /// Shows `f` a summary of every process in these slots.
    pub(crate) fn summaries_of(&self, slots: Range<u32>, mut f: impl FnMut(ProcessSummary)) {
        let now = self.clock().now_nanos();
        // Labels are copied into memory that is allocated while no lock is held.
        let mut label = String::new();
        let has_pid = |_: &Core| true;
        for (index, slot) in self.table.slots_in(slots) {
            self.summarize(index, slot, now, &mut label, has_pid).into_iter().for_each(&mut f);
        }
    }

    /// Returns a summary of a process; none once it is released.
    pub(crate) fn summary_of(&self, pid: Pid) -> Option<ProcessSummary> {
        let slot = self.table.of(pid)?;
        let is_same = |core: &Core| core.generation == pid.generation();
        self.summarize(pid.index(), slot, self.clock().now_nanos(), &mut String::new(), is_same)
    }

    /// Returns a summary of the process in a slot, if there is one and it is `wanted`.
    fn summarize(
        &self,
        index: u32,
        slot: &Slot,
        now: u64,
        label: &mut String,
        wanted: impl Fn(&Core) -> bool,
    ) -> Option<ProcessSummary> {
        let mut summary = loop {
            let core = slot.lock();
            if core.phase() == Phase::Free || !wanted(&core) {
                return None;
            }
            let own = owned_label(&core);
            if label.capacity() < own.len() {
                let len = own.len();
                drop(core);
                label.reserve(len);
                continue;
            }
            label.push_str(own);
            let pid = Pid::new(self.id, core.generation, index);
            break self.summary(slot, &core, pid, now, std::mem::take(label));
        };
        summary.busy = self.busy(summary.pid);
        summary.mailbox += own_mailbox_len(summary.pid);
        Some(summary)
    }

    /// Shows `f` every process in these slots, how many were spawned before it, and one of its properties.
    pub(crate) fn values_of(&self, slots: Range<u32>, by: By, mut f: impl FnMut(Pid, u64, u64)) {
        let now = self.clock().now_nanos();
        for (index, slot) in self.table.slots_in(slots) {
            let core = slot.lock();
            if core.phase() == Phase::Free {
                continue;
            }
            let (pid, nth) = (Pid::new(self.id, core.generation, index), core.nth);
            let value = match by {
                By::Mailbox => mailbox_len(&core, pid) as u64,
                By::Slices => slot.observed.slices(),
                By::Received => slot.observed.received(),
                By::FutureBytes => core.future.map_or(0, |future| future.bytes as u64),
                By::Age => now.saturating_sub(core.born),
                By::Busy => 0,
            };
            drop(core);
            let more = match by {
                By::Mailbox => own_mailbox_len(pid) as u64,
                By::Busy => self.busy(pid).map_or(0, |busy| busy.as_nanos() as u64),
                By::Slices | By::Received | By::FutureBytes | By::Age => 0,
            };
            f(pid, nth, value + more);
        }
    }

    /// Returns what a record shows without its lists. The caller has copied the [label](owned_label), and
    /// adds the busy time when it has released the lock.
    fn summary(&self, slot: &Slot, core: &Core, pid: Pid, now: u64, copied: String) -> ProcessSummary {
        let state = state(slot, core);
        let observed = &slot.observed;
        ProcessSummary {
            pid,
            label: core.label.as_ref().map(|label| match label {
                Cow::Borrowed(label) => Cow::Borrowed(*label),
                Cow::Owned(_) => Cow::Owned(copied),
            }),
            state,
            mailbox: mailbox_len(core, pid),
            relations: relation_counts(core),
            trap_exit: core.trap_exit,
            priority: core.priority,
            parent: core.parent.in_runtime_of(pid),
            nth: core.nth,
            age: Some(Duration::from_nanos(now.saturating_sub(core.born))),
            slices: observed.slices(),
            received: observed.received(),
            last_message: observed.last_message(),
            waiting_for: (state == ProcessState::Waiting).then(|| self.waiting_for(slot, pid)),
            future_bytes: core.future.map_or(0, |future| future.bytes),
            initial_function: core.future.map_or("", |future| (future.name)()),
            spawned_at: core.spawned_at,
            busy: None,
        }
    }
}

/// Returns the label of a process that has to be copied; empty if it has none, or a constant one.
fn owned_label(core: &Core) -> &str {
    match &core.label {
        Some(Cow::Owned(label)) => label,
        _ => "",
    }
}

/// Returns the messages that the record of a process knows of.
pub(super) fn mailbox_len(core: &Core, pid: Pid) -> usize {
    core.arrivals.len() + if context::current() == Some(pid) { 0 } else { core.mailbox_len as usize }
}

/// Returns the messages that the running process has taken from its record: its mailbox is with it.
pub(super) fn own_mailbox_len(pid: Pid) -> usize {
    context::mailbox_len_of(pid).unwrap_or(0)
}

fn watcher(watcher: &Watcher) -> Option<Pid> {
    match watcher {
        Watcher::Process(pid) => Some(*pid),
        _ => None,
    }
}

//! Bringing a process to life.

use std::{
    borrow::Cow,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use crate::runtime::kernel::record::Body;
use crate::{
    messages::capacity::{Capacity, MailboxOverflow},
    names::registry::{Name, NameTaken, RegisterError},
    observe::trace::{TraceEvent, TraceFlags},
    process::{
        pid::{Peer, Pid},
        reason::{Outcome, Reason},
        signal::{MonitorRef, Watcher},
    },
    runtime::{context, shared::Shared},
};
use crate::{
    process::priority::Priority,
    runtime::kernel::{
        record::{Phase, Process, Runnable},
        relations::MonitorTarget,
        slice::tell,
        table::{FreeList, SlotPtr},
    },
};

/// Starts a process and returns its pid; the body does not run on the caller's stack.
///
/// ```
/// use riot_actor::{receive, run, send, spawn};
/// run(async {
///     let pid = spawn(async { assert_eq!(receive::<&str>().await, "hello") });
///     send(pid, "hello");
/// });
/// ```
///
/// # Panics
/// Outside a process; plain threads use [`Handle::spawn`](crate::runtime::Handle::spawn).
pub fn spawn<F>(body: F) -> Pid
where
    F: Future<Output: Outcome> + Send + 'static,
{
    SpawnOptions::new().spawn(body)
}

/// Starts a process linked to the caller, in one step: whatever ends the child, the caller hears the true reason.
///
/// # Panics
/// Outside a process.
pub fn spawn_link<F>(body: F) -> Pid
where
    F: Future<Output: Outcome> + Send + 'static,
{
    SpawnOptions::new().link().spawn(body)
}

/// Starts a process the caller monitors, in one step.
///
/// # Panics
/// Outside a process.
pub fn spawn_monitor<F>(body: F) -> (Pid, MonitorRef)
where
    F: Future<Output: Outcome> + Send + 'static,
{
    SpawnOptions::new().spawn_monitor(body)
}

/// How a process starts, where [`spawn`] says too little.
///
/// ```
/// # use riot_actor::{process::{Priority, SpawnOptions}, run};
/// # run(async {
/// let pid = SpawnOptions::new().label("cleaner").priority(Priority::Low).link().spawn(async {});
/// # });
/// ```
#[derive(Debug, Default)]
#[must_use = "nothing starts before `spawn`"]
pub struct SpawnOptions {
    link: bool,
    trap_exit: bool,
    name: Option<Name>,
    label: Option<Cow<'static, str>>,
    priority: Priority,
    max_mailbox: Option<(usize, MailboxOverflow)>,
    pinned: Option<Affinity>,
    one_way_link: Option<MonitorRef>,
    task_of: Option<MonitorRef>,
}

/// The worker a process stays on.
#[derive(Clone, Copy, Debug)]
enum Affinity {
    CurrentWorker,
    Worker(u32),
}

impl SpawnOptions {
    /// A plain process: no link, no name, normal priority.
    pub fn new() -> Self {
        Self::default()
    }

    /// Linked to the caller from its first moment.
    pub fn link(mut self) -> Self {
        self.link = true;
        self
    }

    /// Trapping exits before its first poll, so that no signal finds it not trapping yet.
    pub fn trap_exit(mut self) -> Self {
        self.trap_exit = true;
        self
    }

    /// What it is, for whoever looks at the running system. Several processes may have the same label.
    pub fn label(mut self, label: impl Into<Cow<'static, str>>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// A name of its own, held before the body first runs.
    pub fn name(mut self, name: impl Into<Name>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Its priority; default normal.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// So many messages of users may wait in its mailbox, one more and `overflow` happens; default: there is no bound. What
    /// the runtime sends (exits, downs, timeouts) is let in always, and not counted. Senders who want to hear of a full
    /// mailbox use [`try_send`](crate::mailbox::try_send), those who want to wait [`send_async`](crate::mailbox::send_async); a
    /// [`call`](crate::call()) fails with [`CallError::Full`](crate::call::CallError::Full).
    ///
    /// # Panics
    /// Filter zero.
    pub fn max_mailbox(mut self, messages: usize, overflow: MailboxOverflow) -> Self {
        assert!(messages > 0, "a process that takes no message needs no mailbox");
        self.max_mailbox = Some((messages, overflow));
        self
    }

    /// It stays on the worker of the caller. No other worker takes it over, not even if this one is held up.
    pub fn pinned(mut self) -> Self {
        self.pinned = Some(Affinity::CurrentWorker);
        self
    }

    /// It stays on the worker with this number, counted from 0, modulo the number of workers.
    pub fn pinned_to(mut self, worker: usize) -> Self {
        self.pinned = Some(Affinity::Worker(worker as u32));
        self
    }

    /// Until this reference is removed from the caller's watchers, the new process gets the exit signal of a link when
    /// the caller ends, and gives none itself.
    pub(crate) fn one_way_link(mut self, reference: MonitorRef) -> Self {
        self.one_way_link = Some(reference);
        self
    }

    /// It ends with the caller, as a task does, under this reference in the caller's watchers.
    pub(crate) fn task_of(mut self, reference: MonitorRef) -> Self {
        self.task_of = Some(reference);
        self
    }

    /// Whether it is neither on a one_way_link nor a task.
    fn is_free(&self) -> bool {
        self.one_way_link.is_none() && self.task_of.is_none()
    }

    /// Starts it.
    ///
    /// # Panics
    /// Outside a process; or if its name is taken, see [`try_spawn`](Self::try_spawn).
    pub fn spawn<F>(self, body: F) -> Pid
    where
        F: Future<Output: Outcome> + Send + 'static,
    {
        self.try_spawn(body).unwrap_or_else(|taken| panic!("spawn: {taken}"))
    }

    /// Starts it, unless its name is taken.
    ///
    /// # Errors
    /// Filter another process has the name; the body was dropped without running.
    ///
    /// # Panics
    /// Outside a process.
    pub fn try_spawn<F>(self, body: F) -> Result<Pid, NameTaken>
    where
        F: Future<Output: Outcome> + Send + 'static,
    {
        let parent = crate::this();
        context::with_local(|local| {
            let local = local.expect("a process runs on a worker");
            let worker = local.worker as u32;
            local.shared.spawn(self, Some(parent), Some(worker), None, Box::pin(ReasonOf { body }))
        })
    }

    /// Starts it, monitored by the caller.
    ///
    /// # Panics
    /// Outside a process; or if its name is taken.
    pub fn spawn_monitor<F>(self, body: F) -> (Pid, MonitorRef)
    where
        F: Future<Output: Outcome> + Send + 'static,
    {
        let parent = crate::this();
        context::with_local(|local| {
            let local = local.expect("a process runs on a worker");
            let reference = local.shared.next_reference();
            let worker = Some(local.worker as u32);
            let body = Box::pin(ReasonOf { body });
            match local.shared.spawn(self, Some(parent), worker, Some(reference), body) {
                Ok(pid) => (pid, reference),
                Err(taken) => panic!("spawn: {taken}"),
            }
        })
    }
}

pin_project! {
    /// A body that ends with a reason. (An `async` block around the body would hold it twice.)
    pub(crate) struct ReasonOf<F> {
        #[pin]
        pub(crate) body: F,
    }
}

impl<F: Future<Output: Outcome>> Future for ReasonOf<F> {
    type Output = Reason;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Reason> {
        self.project().body.poll(cx).map(Outcome::into_reason)
    }
}

impl Shared {
    pub(crate) fn spawn(
        self: &Arc<Self>,
        options: SpawnOptions,
        parent: Option<Pid>,
        worker: Option<u32>,
        monitor: Option<MonitorRef>,
        body: Body,
    ) -> Result<Pid, NameTaken> {
        self.spawn_with_hook(options, parent, worker, monitor, body, |_| ())
    }

    /// Until it is woken for the first time the child is in no queue: it can be seen, and even condemned, but neither run
    /// nor be released before it was noted, and its name, its link and its monitor are in place.
    pub(crate) fn spawn_with_hook(
        self: &Arc<Self>,
        options: SpawnOptions,
        parent: Option<Pid>,
        worker: Option<u32>,
        monitor: Option<MonitorRef>,
        body: Body,
        before_run: impl FnOnce(Pid),
    ) -> Result<Pid, NameTaken> {
        let (index, nth) = self.with_free_list(|free_list| self.table.take(free_list));
        let slot = self.table.slot(index);
        let linked = parent.filter(|_| options.link);
        let only_linked = monitor.is_none() && options.name.is_none() && options.is_free();
        // Both at once, the lower place first, so that a link is on both sides or on none.
        let lock_parent =
            || linked.filter(|_| only_linked).and_then(|pid| self.table.slot(pid.index()).lock_for(pid));
        let is_first = linked.is_some_and(|parent| parent.index() < index);
        let parents = if is_first { lock_parent() } else { None };
        let mut core = slot.lock();
        let pid = Pid::new(self.id, core.generation, index);
        let pinned = options.pinned.and_then(|place| match place {
            Affinity::CurrentWorker => worker,
            Affinity::Worker(worker) => self.scheduler().map(|scheduler| worker % scheduler.workers() as u32),
        });
        let mut process = match core.parked.take() {
            Some(process) => process.recycle(self, pid),
            None => Process::new(Arc::downgrade(self), pid, SlotPtr::of(slot)),
        };
        process.priority = options.priority;
        process.pinned = pinned;
        process.body = Some(body);
        if let Some((max_messages, overflow)) = options.max_mailbox {
            let capacity = Arc::new(Capacity::new(max_messages, overflow));
            process.bounded = true;
            core.bounded = true;
            core.relations().others().capacity = Some(capacity);
        }
        core.trap_exit = options.trap_exit;
        core.priority = options.priority;
        core.parent = Peer::new(parent);
        core.label = options.label;
        core.born = self.clock().now_coarse_nanos();
        core.nth = nth;
        before_run(pid);

        if let Some(parent) = linked {
            core.relations().links.insert(parent);
        }
        if only_linked {
            // Nothing else has to be in place before it runs.
            if let Some(mut parents) = parents.or_else(lock_parent) {
                parents.relations().links.insert(pid);
            }
            core.phase = Phase::Scheduled;
            drop(core);
            self.trace(TraceFlags::PROCS, || TraceEvent::Spawned { pid, parent });
            self.spawned(pid);
            self.enqueue(Some(Runnable(process)));
            return Ok(pid);
        }
        core.phase = Phase::New;
        core.parked = Some(process);
        if let (Some(reference), Some(parent)) = (monitor, parent) {
            core.relations().others().watchers.insert(reference, Watcher::Process(parent));
        }
        drop(core);

        // One that somebody has condemned already needs no name.
        if let Some(name) = options.name
            && let Err(RegisterError::NameTaken(taken)) = self.registry.register(self, name, pid)
        {
            self.abandon(pid);
            return Err(taken);
        }
        if let Some(parent) = parent
            && let Some(parent_slot) = self.table.of(parent)
            && let Some(mut core) = parent_slot.lock_for(parent)
        {
            // The parent runs, so it is not released; if it is condemned, its release will tell the child.
            if linked.is_some() {
                core.relations().links.insert(pid);
            }
            if let Some(reference) = monitor {
                core.relations()
                    .others()
                    .monitors
                    .insert(reference, MonitorTarget { pid: Some(pid), name: None });
            }
            if let Some(reference) = options.one_way_link {
                core.relations().others().watchers.insert(reference, Watcher::OneWayLink(pid));
            }
            if let Some(reference) = options.task_of {
                core.relations().others().watchers.insert(reference, Watcher::Task(pid, self.handle()));
                drop(core);
                // And the other way round: a task that has ended is forgotten by its owner.
                self.watch(pid, reference, Watcher::TaskEnd(parent));
            }
        }
        self.trace(TraceFlags::PROCS, || TraceEvent::Spawned { pid, parent });
        self.spawned(pid);
        self.wake_new(pid);
        Ok(pid)
    }

    /// Hands the free_list that this thread keeps for itself, if it does, to `f`.
    pub(crate) fn with_free_list<R>(&self, f: impl FnOnce(Option<&mut FreeList>) -> R) -> R {
        context::with_local(|local| match local {
            Some(local) if local.shared.id == self.id => f(Some(&mut local.free_list.borrow_mut())),
            _ => f(None),
        })
    }

    /// A process that never was: it is taken back, and whoever has seen it nevertheless is told.
    fn abandon(&self, pid: Pid) {
        let slot = self.table.slot(pid.index());
        let (parked, arrivals) = {
            let mut core = slot.lock();
            // Whoever has condemned it in between was first.
            let _first = slot.condemn(&mut core, Reason::NoProc, true);
            let parent = core.parent.in_runtime_of(pid);
            if let (Some(relations), Some(parent)) = (&mut core.relations, parent) {
                relations.links.remove(&parent);
                if let Some(others) = &mut relations.others {
                    let is_parent =
                        |watcher: &Watcher| matches!(watcher, Watcher::Process(pid) if *pid == parent);
                    others.watchers.retain(|_, watcher| !is_parent(watcher));
                }
            }
            (core.parked.take(), core.arrivals.take())
        };
        drop((parked, arrivals));
        let relations = self.free(pid, None).relations;
        if let Some(mut relations) = relations {
            tell(self, pid, &Reason::NoProc, &mut relations);
        }
        self.live_removed();
    }
}

//! Making a process: a slot, a record, memory that is recycled where possible, and the relations to its
//! parent.

use std::{borrow::Cow, hint::cold_path, panic::Location, sync::Arc};

use super::{
    locals::Locals,
    observed::TypedBody,
    process::{Attached, Process, Runnable},
    record::CoreGuard,
    relations::{MonitorTarget, Watcher},
    release::tell,
    table::{FreeList, SlotPtr},
};
use crate::{
    guard,
    messages::capacity::{Capacity, MailboxOverflow},
    names::{name::Name, server_type::ServerType},
    observe::trace::{TraceEvent, TraceFlags},
    process::{
        notice::MonitorRef,
        pid::{Peer, Pid},
        priority::Priority,
        reason::Reason,
    },
    runtime::{context, shared::Shared},
};

/// How a process is made.
#[derive(Clone, Debug, Default)]
pub(crate) struct SpawnSpec {
    pub(crate) link: bool,
    pub(crate) trap_exit: bool,
    /// The name that the caller registers while the process is held.
    pub(crate) name: Option<Name>,
    /// The type of the server, if it is one; kept with the name.
    pub(crate) server_type: Option<&'static ServerType>,
    pub(crate) label: Option<Cow<'static, str>>,
    pub(crate) priority: Priority,
    pub(crate) max_mailbox: Option<(usize, MailboxOverflow)>,
    pub(crate) affinity: Option<Affinity>,
    pub(crate) stops_its_children: bool,
    /// The parent has values that the new process inherits. The caller gives them while it is held.
    pub(crate) inherits: bool,
    /// The place in the program that spawns it; none where the runtime does.
    pub(crate) spawned_at: Option<&'static Location<'static>>,
    /// The body is polled and dropped inside tokio.
    #[cfg(feature = "tokio")]
    pub(crate) in_tokio: bool,
    /// The effect on the new process when its parent exits, beside a link, under a reference in the
    /// parent's watchers.
    pub(crate) on_parent_exit: Option<(MonitorRef, ParentExit)>,
}

/// The worker that a process stays on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Affinity {
    CurrentWorker,
    /// The worker with this number, modulo the number of workers.
    Worker(u32),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum ParentExit {
    /// The new process gets the exit signal of a link, and sends none.
    OneWayLink,
    /// The function is called with the new process and its parent. The parent's watcher is removed when the
    /// new process exits first.
    Call(fn(&Shared, Pid, Pid)),
}

/// The processes and the worker that a spawn concerns.
#[derive(Clone, Copy, Default)]
pub(crate) struct Origin {
    pub(crate) parent: Option<Pid>,
    pub(crate) worker: Option<u32>,
    /// The reference of the parent's monitor on the new process.
    pub(crate) monitor: Option<MonitorRef>,
}

/// A process that was made and cannot run yet. It must be started or abandoned.
#[must_use = "a held process must be started or abandoned"]
pub(crate) struct Held {
    pub(crate) pid: Pid,
    origin: Origin,
    link: bool,
    on_parent_exit: Option<(MonitorRef, ParentExit)>,
}

impl Shared {
    /// Makes a process and starts it.
    ///
    /// `before_run` is called with its pid under the lock of its record, before it can run.
    pub(crate) fn spawn_unnamed(
        self: &Arc<Self>,
        spec: SpawnSpec,
        origin: Origin,
        body: TypedBody,
        before_run: impl FnOnce(Pid),
    ) -> Pid {
        debug_assert!(spec.name.is_none(), "a process with a name is held until it is registered");
        if origin.monitor.is_some() || spec.on_parent_exit.is_some() {
            let held = self.spawn_held(spec, origin, body, before_run);
            return self.start_held(held);
        }
        // perf: spawnlinked, 2033 → 1695 instructions
        // At most a link has to be in place before the process runs, so it needs no phase in which it is
        // held.
        let (index, nth) = self.with_free_list(|free_list| self.table.take(free_list));
        let slot = self.table.slot(index);
        let linked = origin.parent.filter(|_| spec.link);
        // Under both locks, the lower index first, so that a link is on both sides or on none.
        let lock_parent = || linked.and_then(|pid| self.table.slot(pid.index()).lock_for(pid));
        let is_first = linked.is_some_and(|parent| parent.index() < index);
        let parents = if is_first { lock_parent() } else { None };
        let mut core = slot.lock();
        let pid = Pid::new(self.id, core.generation, index);
        let process = self.fill(&mut core, SlotPtr::of(slot), pid, nth, spec, origin, body);
        before_run(pid);
        if let Some(parent) = linked {
            core.relations().links.insert(parent);
        }
        if let Some(mut parents) = parents.or_else(lock_parent) {
            parents.relations().links.insert(pid);
        }
        core.schedule_new();
        drop(core);
        self.trace(TraceFlags::PROCS, || TraceEvent::Spawned { pid, parent: origin.parent });
        self.spawned(pid);
        self.enqueue(Some(Runnable(process)));
        pid
    }

    /// Makes a process that cannot run before [`start_held`](Self::start_held). Meanwhile it can be seen, and
    /// even condemned, but not released.
    pub(crate) fn spawn_held(
        self: &Arc<Self>,
        spec: SpawnSpec,
        origin: Origin,
        body: TypedBody,
        before_run: impl FnOnce(Pid),
    ) -> Held {
        let (index, nth) = self.with_free_list(|free_list| self.table.take(free_list));
        let slot = self.table.slot(index);
        let (link, on_parent_exit) = (spec.link, spec.on_parent_exit);
        let mut core = slot.lock();
        let pid = Pid::new(self.id, core.generation, index);
        let process = self.fill(&mut core, SlotPtr::of(slot), pid, nth, spec, origin, body);
        before_run(pid);
        if let Some(parent) = origin.parent.filter(|_| link) {
            core.relations().links.insert(parent);
        }
        core.hold_new(process);
        if let (Some(reference), Some(parent)) = (origin.monitor, origin.parent) {
            core.relations().others().watchers.insert(reference, Watcher::Process(parent));
        }
        drop(core);
        Held { pid, origin, link, on_parent_exit }
    }

    /// Gives a held process the values that it inherits.
    pub(crate) fn give_locals(&self, held: &Held, locals: Locals) {
        let attached = Some(Box::new(Attached { locals, ..Attached::default() }));
        let mut core = self.table.slot(held.pid.index()).lock();
        let process = core.parked.as_mut().expect("a held process is parked");
        let before = std::mem::replace(&mut process.attached, attached);
        debug_assert!(before.is_none(), "it has not run");
    }

    /// Starts a held process, after its relations are in place on the side of its parent.
    pub(crate) fn start_held(&self, held: Held) -> Pid {
        let Held { pid, origin, link, on_parent_exit } = held;
        if let Some(parent) = origin.parent
            && let Some(parent_slot) = self.table.of(parent)
            && let Some(mut core) = parent_slot.lock_for(parent)
        {
            // The parent runs, so it is not released; if it is condemned, its release will tell the new
            // process.
            if link {
                core.relations().links.insert(pid);
            }
            if let Some(reference) = origin.monitor {
                let target = MonitorTarget { pid: Some(pid), name: None };
                core.relations().others().monitors.insert(reference, target);
            }
            match on_parent_exit {
                None => {}
                Some((reference, ParentExit::OneWayLink)) => {
                    core.relations().others().watchers.insert(reference, Watcher::OneWayLink(pid));
                }
                Some((reference, ParentExit::Call(function))) => {
                    core.relations().others().watchers.insert(reference, Watcher::Call(pid, function));
                    drop(core);
                    self.watch(pid, reference, Watcher::Counterpart(parent));
                }
            }
        }
        self.trace(TraceFlags::PROCS, || TraceEvent::Spawned { pid, parent: origin.parent });
        self.spawned(pid);
        let slot = self.table.slot(pid.index());
        let runnable = slot.lock_for(pid).and_then(|mut core| slot.start(&mut core));
        self.enqueue(runnable);
        pid
    }

    /// Takes a held process back. A process that has found it meanwhile is told `NoProc`.
    pub(crate) fn abandon(&self, held: Held) {
        let pid = held.pid;
        let slot = self.table.slot(pid.index());
        let (mut parked, arrivals, cause) = {
            let mut core = slot.lock();
            // Nothing is accepted from here on. A cause that came before is told to nothing.
            let _refused = slot.condemn(&mut core, Reason::NoProc, true);
            let parent = core.parent.in_runtime_of(pid);
            if let (Some(relations), Some(parent)) = (&mut core.relations, parent) {
                relations.links.remove(&parent);
                if let Some(others) = &mut relations.others {
                    let is_parent =
                        |watcher: &Watcher| matches!(watcher, Watcher::Process(pid) if *pid == parent);
                    others.watchers.retain(|_, watcher| !is_parent(watcher));
                }
            }
            (core.parked.take(), core.arrivals.take(), core.cause.take())
        };
        // A body that panics when it is dropped must not stop the rest. A process alone would leak its own.
        let body = parked.as_mut().and_then(|process| process.body.take());
        let _ = guard::contain(|| drop(body));
        drop(parked.and_then(|mut process| process.attached.take()));
        drop((arrivals, cause));
        if let Some(relations) = self.free(slot, pid, &Reason::NoProc, None, None) {
            tell(self, pid, &Reason::NoProc, *relations);
        }
        self.live_removed();
    }

    /// Fills the record of a new process and returns the process.
    #[inline(always)] // perf: spawn, 1274 → 1262 instructions; spawn with a link, 1635 → 1616
    #[expect(clippy::too_many_arguments, reason = "the two ways to spawn share it, inlined")]
    fn fill(
        self: &Arc<Self>,
        core: &mut CoreGuard<'_>,
        slot_ptr: SlotPtr,
        pid: Pid,
        nth: u64,
        spec: SpawnSpec,
        origin: Origin,
        body: TypedBody,
    ) -> Box<Process> {
        let pinned = spec.affinity.and_then(|affinity| match affinity {
            Affinity::CurrentWorker => origin.worker.map(|worker| worker as u16),
            Affinity::Worker(worker) => {
                self.scheduler().map(|scheduler| (worker as usize % scheduler.workers()) as u16)
            }
        });
        let mut process = match core.parked.take() {
            Some(process) => process.recycle(self, pid),
            None => Process::new(Arc::downgrade(self), pid, slot_ptr),
        };
        process.priority = spec.priority;
        process.pinned = pinned;
        process.body = Some(body.body);
        if let Some((max_messages, overflow)) = spec.max_mailbox {
            let capacity = Arc::new(Capacity::new(max_messages, overflow));
            process.bounded = true;
            core.bounded = true;
            core.relations().others().capacity = Some(capacity);
        }
        if spec.stops_its_children {
            cold_path();
            core.relations().others().stops_its_children = true;
        }
        core.trap_exit = spec.trap_exit;
        core.priority = spec.priority;
        core.parent = Peer::new(origin.parent);
        core.label = spec.label;
        core.born = self.clock().now_coarse_nanos();
        core.nth = nth;
        core.future = Some(body.future);
        core.spawned_at = spec.spawned_at;
        process
    }

    /// Shows `f` the free list of this thread, if it is a worker of this runtime.
    pub(super) fn with_free_list<R>(&self, f: impl FnOnce(Option<&mut FreeList>) -> R) -> R {
        context::with_local(|local| match local {
            Some(local) if local.shared.id == self.id => f(Some(&mut local.free_list.borrow_mut())),
            _ => f(None),
        })
    }
}

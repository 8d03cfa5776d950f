//! The release of a process: its body, messages and names go first, and only then is its exit told.

use std::{any::Any, borrow::Cow, hint::cold_path, sync::Arc};

use super::{
    lifecycle::Holdings,
    process::{Body, Process},
    record::Slot,
    relations::{RareRelations, Relations, Watcher},
};
use crate::{
    guard::panic::catch,
    messages::mailbox::Mailbox,
    names::name::Name,
    observe::{
        crash_report::{self, CrashDetail, CrashReport},
        trace::{TraceEvent, TraceFlags},
    },
    process::{
        notice::MonitorRef,
        pid::{NumberMap, Peer, Pid},
        reason::Reason,
    },
    runtime::{context::Local, shared::Shared},
    testing::mutation::{Mutation, is_active},
};

/// Releases the running process: because its body `ended` with a reason, or because it was condemned before.
///
/// It stays the running process until its destructors have run.
// perf: ring, 714 → 621 instructions, together with the slow paths of a receive
#[inline(never)]
pub(super) fn release(local: &Local, slot: &Slot, body: Body, ended: Option<Reason>) {
    let shared = &*local.shared;
    let pid = local.running.borrow().as_ref().expect("it runs until it is released").pid;
    let holdings = begin_exit(slot, pid, ended);
    if is_active(Mutation::ToldBeforeRelease) {
        tell_too_early(shared, slot, pid);
    }
    local.polling.set(true);
    contain(pid, || drop(body));
    let left = {
        let mut running = local.running.borrow_mut();
        let process = running.as_mut().expect("it runs until it is released");
        process.reductions = 0;
        if let Some(wake_timer) = process.wake_timer.take() {
            shared.timers.discard(wake_timer.timer);
        }
        process.take_left()
    };
    if let Some((mut mailbox, extension)) = left {
        // One by one: a second panic while the first unwinds would abort the program.
        while let Some(message) = mailbox.take(0, |_| true) {
            contain(pid, || drop(message));
        }
        contain(pid, || drop(extension));
    }
    let names = match holdings {
        Holdings::Nothing => Vec::new(),
        Holdings::Something => clear_record(shared, slot, pid),
    };

    local.polling.set(false);
    let mut process = local.running.take().expect("it runs until it is released");
    process.bounded = false;
    let mut remains = shared.free(pid, Some(process));
    let reason = remains.cause.take().expect("a process that exits has a cause");
    if !reason.is_clean() {
        let registered = remains.crash_details();
        let (label, parent, by_signal) = (remains.label.take(), remains.parent, remains.caused_by_signal);
        let details = crash_report::details(pid, &registered);
        let report = CrashReport { pid, names, label, reason: reason.clone(), parent, by_signal, details };
        crash_report::crash(shared, report);
    }
    shared.trace(TraceFlags::PROCS, || TraceEvent::Exited { pid, reason: reason.clone() });
    shared.process_exited(pid, &reason);
    if let Some(relations) = remains.relations {
        tell(shared, pid, &reason, *relations);
    }
    shared.live_removed();
}

/// Moves the process to its exit, with the reason its body ended with or the cause that came before it.
fn begin_exit(slot: &Slot, pid: Pid, ended: Option<Reason>) -> Holdings {
    let mut core = slot.lock();
    let refused = ended.and_then(|reason| slot.condemn(&mut core, reason, false).refused());
    let holdings = core.begin_exit();
    drop(core);
    if let Some(refused) = refused {
        cold_path();
        // The process was condemned before it panicked: the first cause stands, the panic is only reported.
        if let Reason::Panic(_) = &refused {
            crash_report::late_panic(pid, &refused);
        }
        contain(pid, || drop(refused));
    }
    holdings
}

impl Process {
    /// Takes the messages and the extension, if there are any, and resets the mailbox.
    fn take_left(&mut self) -> Option<(Mailbox, Option<Box<dyn Any + Send>>)> {
        if self.mailbox.reset_if_bare() && self.extension.is_none() {
            return None;
        }
        self.extension_dirty = false;
        Some((std::mem::take(&mut self.mailbox), self.extension.take()))
    }
}

/// Drops the messages that have arrived, takes back names, groups and timers, and returns the names.
fn clear_record(shared: &Shared, slot: &Slot, pid: Pid) -> Vec<Name> {
    let (names, groups, timers, messages) = {
        let mut core = slot.lock();
        let messages = core.arrivals.take();
        match core.relations.as_mut().and_then(|relations| relations.others.as_mut()) {
            Some(others) => {
                let names = std::mem::take(&mut others.names);
                let groups = std::mem::take(&mut others.groups);
                (names, groups, std::mem::take(&mut others.timers), messages)
            }
            None => (Vec::new(), Vec::new(), Default::default(), messages),
        }
    };
    for message in messages {
        contain(pid, || drop(message));
    }
    for name in &names {
        shared.registry.release(name, pid);
    }
    for group in &groups {
        shared.groups.release(shared, group, pid);
    }
    for timer in timers {
        contain(pid, || shared.timers.discard(timer));
    }
    names
}

/// Does what a simpler runtime would do, see [`Mutation::ToldBeforeRelease`].
fn tell_too_early(shared: &Shared, slot: &Slot, pid: Pid) {
    let (reason, told) = {
        let mut core = slot.lock();
        let reason = core.cause.clone().expect("a process that exits has a cause");
        let Relations { links, exit_hooks, others } = std::mem::take(core.relations());
        let RareRelations { monitors, watchers, names, groups, timers, capacity, crash_details, .. } =
            others.map_or_else(RareRelations::default, |others| *others);
        *core.relations().others() =
            RareRelations { names, groups, timers, capacity, crash_details, ..RareRelations::default() };
        let others = Some(Box::new(RareRelations { monitors, watchers, ..RareRelations::default() }));
        (reason, Relations { links, exit_hooks, others })
    };
    tell(shared, pid, &reason, told);
}

/// Tells an exit: exit signals first, then watchers, then exit hooks; and removes the monitors of the
/// process.
pub(super) fn tell(shared: &Shared, pid: Pid, reason: &Reason, relations: Relations) {
    let Relations { links, exit_hooks, others } = relations;
    links.for_each(pid, |partner| shared.link_fired(partner, pid, reason));
    let mut monitors = Default::default();
    if let Some(others) = others {
        tell_watchers(shared, pid, reason, others.watchers);
        monitors = others.monitors;
    }
    for hook in exit_hooks.into_vec() {
        hook.call(shared, reason);
    }
    for (reference, target) in monitors {
        if let Some(pid) = target.pid {
            shared.remove_watcher(pid, reference);
        }
    }
}

fn tell_watchers(shared: &Shared, pid: Pid, reason: &Reason, watchers: NumberMap<MonitorRef, Watcher>) {
    for (reference, watcher) in watchers {
        match watcher {
            Watcher::Process(watcher) => shared.down(watcher, reference, reason),
            Watcher::OneWayLink(process) => shared.exit_by_link(process, pid, reason),
            Watcher::Call(process, function) => function(shared, process, pid),
            Watcher::Counterpart(owner) => shared.remove_watcher(owner, reference),
        }
    }
}

/// Runs destructors of a process. A panic in one is reported and changes nothing else.
fn contain(pid: Pid, f: impl FnOnce()) {
    if let Err(panic) = catch(f) {
        crash_report::late_panic(pid, &Reason::Panic(Arc::new(panic)));
    }
}

/// The remains of a process after its slot was freed.
pub(super) struct Remains {
    cause: Option<Reason>,
    caused_by_signal: bool,
    pub(super) relations: Option<Box<Relations>>,
    parent: Option<Pid>,
    label: Option<Cow<'static, str>>,
}

impl Remains {
    fn crash_details(&mut self) -> Vec<CrashDetail> {
        let others = self.relations.as_mut().and_then(|relations| relations.others.as_mut());
        others.map_or_else(Vec::new, |others| std::mem::take(&mut others.crash_details))
    }
}

impl Shared {
    /// Frees the slot of a process for the next one. From here on its pid is unknown: a link or monitor is
    /// either in the returned relations, or is refused with `NoProc`.
    pub(super) fn free(&self, pid: Pid, recycled: Option<Box<Process>>) -> Remains {
        let slot = self.table.slot(pid.index());
        let mut core = slot.lock();
        let capacity = core.capacity().cloned();
        debug_assert!(core.arrivals.is_empty(), "nothing is accepted for a process that is condemned");
        let remains = Remains {
            caused_by_signal: std::mem::take(&mut core.caused_by_signal),
            cause: core.free(),
            relations: core.relations.take(),
            parent: std::mem::replace(&mut core.parent, Peer::NONE).in_runtime_of(pid),
            label: core.label.take(),
        };
        core.parked = recycled;
        let is_worn_out = core.generation == u32::MAX;
        slot.reset();
        drop(core);
        if let Some(capacity) = capacity {
            capacity.close();
        }
        // A slot whose generations are used up is retired, so that no pid is ever given twice.
        if !is_worn_out {
            self.with_free_list(|free_list| self.table.give_back(pid.index(), free_list));
        }
        remains
    }
}

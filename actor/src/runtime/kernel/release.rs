//! The release of a process: its body, messages and names go first, and only then is its exit told.
//!
//! Links are told while the record still shows the process, so nothing can learn of an exit before the links
//! know of it. The record is freed then, and watchers and exit hooks are told.

use std::{any::Any, hint::cold_path, sync::Arc};

use super::{
    large_release::{LARGE, Remnant},
    lifecycle::{Exiting, Holdings},
    link_set::NextLinks,
    process::{Attached, Body, Process, SliceNotes},
    record::Slot,
    relations::{RareRelations, Relations, Watcher},
    remains::LeftValues,
};
use crate::{
    guard::{
        panic::{catch, catch_polling},
        text::{cut, printable},
    },
    messages::mailbox::{Mailbox, Position},
    names::name::Name,
    observe::{
        crash_report::{self, CrashReport, Details},
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
    let (holdings, reason) = begin_exit(slot, pid, ended);
    if is_active(Mutation::ToldBeforeRelease) {
        tell_too_early(shared, slot, pid, &reason);
    }
    local.polling.set(true);
    // The hook knows of a panic here by `polling`.
    if let Err(panic) = catch_polling(|| drop(body)) {
        crash_report::late_panic(pid, &Reason::Panic(Arc::new(panic)));
    }
    let (left, has_abandoned) = {
        let mut running = local.running.borrow_mut();
        let process = running.as_mut().expect("it runs until it is released");
        process.reductions = 0;
        let has_abandoned = process.notes.has(SliceNotes::REPLY_DROPPED);
        (process.take_left(), has_abandoned)
    };
    if has_abandoned {
        cold_path();
        local.forget_abandoned();
    }
    if let Some(left) = left
        && let Some(unread) = drop_left(pid, left)
    {
        return release_much(local, slot, pid, reason, Some(unread));
    }
    let names = match holdings {
        Holdings::Nothing => None,
        Holdings::Something => Some(clear_record(shared, slot, pid)),
        Holdings::Much => return release_much(local, slot, pid, reason, None),
    };

    local.polling.set(false);
    let details = (!reason.is_clean()).then(|| make_crash_details(slot, pid));
    let process = take_released(local);
    shared.interleave_released(local);
    if let Some(details) = details {
        report_crash(shared, slot, pid, &reason, names.unwrap_or_default(), *details);
    }
    let relations = shared.free(slot, pid, &reason, Some(process), Some(local));
    shared.trace(TraceFlags::PROCS, || TraceEvent::Exited { pid, reason: reason.clone() });
    shared.process_exited(pid, &reason);
    if let Some(relations) = relations {
        shared.interleave_released(local);
        if is_active(Mutation::LinksToldLast) {
            relations.links.for_each(pid, |partner| shared.link_fired(partner, pid, &reason));
        }
        tell(shared, pid, &reason, *relations);
    }
    shared.live_removed();
}

/// Drops messages and extension. Gives messages back if there are many.
// perf: spawn, 1270 → 1261 instructions
#[inline(never)]
fn drop_left(pid: Pid, left: (Mailbox, Option<Box<dyn Any + Send>>)) -> Option<Mailbox> {
    let (mut unread, extension) = left;
    // One by one: a second panic while the first unwinds would abort the program.
    for message in std::iter::from_fn(|| unread.take(&mut Position::start(), |_| true)).take(LARGE) {
        contain(pid, || drop(message));
    }
    contain(pid, || drop(extension));
    (unread.len() > 0).then_some(unread)
}

/// Releases a process with many messages or relations, as [`release`] does, in more than one poll slice.
#[cold]
fn release_much(local: &Local, slot: &Slot, pid: Pid, reason: Reason, unread: Option<Mailbox>) {
    let (arrivals, names) = {
        let mut core = slot.lock();
        let others = core.relations.as_mut().and_then(|relations| relations.others.as_mut());
        let names = others.map_or_else(Vec::new, |others| std::mem::take(&mut others.names));
        (core.arrivals.take(), names)
    };
    local.polling.set(false);
    let details = (!reason.is_clean()).then(|| make_crash_details(slot, pid));
    let process = take_released(local);
    if let Some(details) = details {
        report_crash(&local.shared, slot, pid, &reason, names.clone(), *details);
    }
    local.shared.release_large(
        process,
        reason,
        Remnant { unread: unread.unwrap_or_default(), arrivals, names },
    );
}

/// Takes the process, all of whose code has run.
#[inline]
fn take_released(local: &Local) -> Box<Process> {
    let mut process = local.running.take().expect("it runs until it is released");
    if process.attached.is_some() {
        cold_path();
        process = drop_attached(local, process);
    }
    process.bounded = false;
    process.exits_soon = false;
    process
}

/// Drops the local values of a process, in the process. For code that runs meanwhile all of them are gone,
/// and none can be set.
#[inline(never)]
fn drop_attached(local: &Local, mut process: Box<Process>) -> Box<Process> {
    process.locals_closed = true;
    // A destructor may poll a call, which starts a timer.
    while let Some(attached) = process.attached.take() {
        let Attached { wake_timer, locals, .. } = *attached;
        if let Some(timer) = wake_timer {
            local.shared.timers.discard(timer);
        }
        let before = local.running.replace(Some(process));
        debug_assert!(before.is_none(), "one process runs at a time");
        local.polling.set(true);
        drop(locals);
        local.polling.set(false);
        process = local.running.take().expect("it runs until it is released");
    }
    process.locals_closed = false;
    process
}

/// Makes the details of a crash report, in the process, while it still has its local values. Boxed, so that
/// an exit that is no crash carries next to nothing.
#[cold]
fn make_crash_details(slot: &Slot, pid: Pid) -> Box<Details> {
    let registered = {
        let mut core = slot.lock();
        let others = core.relations.as_mut().and_then(|relations| relations.others.as_mut());
        others.map_or_else(Vec::new, |others| std::mem::take(&mut others.crash_details))
    };
    Box::new(crash_report::details(pid, &registered))
}

/// Reports an abnormal exit, before its links are told: a cause stands before its consequences.
#[cold]
fn report_crash(shared: &Shared, slot: &Slot, pid: Pid, reason: &Reason, names: Vec<Name>, details: Details) {
    let (label, parent, by_signal) = {
        let core = slot.lock();
        (core.label.clone(), core.parent.in_runtime_of(pid), core.caused_by_signal)
    };
    let path = path_of(shared, pid);
    let last_message = slot.observed.last_message();
    let reason = reason.clone();
    let report = CrashReport { pid, names, label, reason, parent, by_signal, path, last_message, details };
    crash_report::crash(shared, report);
}

/// Returns the labels of a process and of those above it, the farthest first.
fn path_of(shared: &Shared, pid: Pid) -> String {
    let label_of = |pid: Pid| {
        let label = shared.table.get(pid.index()).and_then(|slot| slot.lock_for(pid)?.label.clone());
        label.map_or_else(|| pid.to_string(), |label| cut(printable(label), 128))
    };
    let mut path: Vec<String> = shared.ancestors(pid).into_iter().rev().map(label_of).collect();
    path.push(label_of(pid));
    path.join("/")
}

/// Moves the process to its exit, with the reason its body ended with or the cause that came before it.
#[inline]
fn begin_exit(slot: &Slot, pid: Pid, ended: Option<Reason>) -> (Holdings, Reason) {
    let Exiting { holdings, cause, refused } = slot.begin_exit(&mut slot.lock(), ended);
    if let Some(refused) = refused {
        cold_path();
        // The process was condemned before it panicked: the first cause stands, the panic is only reported.
        if let Reason::Panic(_) = &refused {
            crash_report::late_panic(pid, &refused);
        }
        contain(pid, || drop(refused));
    }
    (holdings, cause)
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
    let (names, groups, timers, tables, messages) = {
        let mut core = slot.lock();
        let messages = core.arrivals.take();
        match core.relations.as_mut().and_then(|relations| relations.others.as_mut()) {
            Some(others) => {
                let names = std::mem::take(&mut others.names);
                let groups = std::mem::take(&mut others.groups);
                let tables = std::mem::take(&mut others.tables);
                (names, groups, std::mem::take(&mut others.timers), tables, messages)
            }
            None => (Vec::new(), Default::default(), Default::default(), Vec::new(), messages),
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
    let mut ended = LeftValues::new();
    for table in tables {
        shared.tables.release(shared, table, pid, &mut ended);
    }
    ended.drop_rest(shared);
    names
}

/// Does what a simpler runtime would do, see [`Mutation::ToldBeforeRelease`].
fn tell_too_early(shared: &Shared, slot: &Slot, pid: Pid, reason: &Reason) {
    let told = {
        let mut core = slot.lock();
        let Relations { links, exit_hooks, others } = std::mem::take(core.relations());
        let RareRelations {
            monitors, watchers, names, groups, timers, tables, capacity, crash_details, ..
        } = others.map_or_else(RareRelations::default, |others| *others);
        *core.relations().others() = RareRelations {
            names,
            groups,
            timers,
            tables,
            capacity,
            crash_details,
            ..RareRelations::default()
        };
        let others = Some(Box::new(RareRelations { monitors, watchers, ..RareRelations::default() }));
        Relations { links, exit_hooks, others }
    };
    told.links.for_each(pid, |partner| shared.link_fired(partner, pid, reason));
    tell(shared, pid, reason, told);
}

/// Tells an exit, after the links: watchers first, then exit hooks; and removes the monitors of the process.
pub(super) fn tell(shared: &Shared, pid: Pid, reason: &Reason, relations: Relations) {
    let Relations { links: _, exit_hooks, others } = relations;
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
    for watcher in watchers.values() {
        if let Watcher::OneWayLink(process) = watcher {
            shared.exit_by_link(*process, pid, reason);
        }
    }
    for (reference, watcher) in watchers {
        watcher.tell(shared, pid, reason, reference);
    }
}

impl Watcher {
    /// Tells the exit of `pid`, except over a one-way link, whose exit signal goes first.
    pub(super) fn tell(self, shared: &Shared, pid: Pid, reason: &Reason, reference: MonitorRef) {
        match self {
            Self::OneWayLink(_) => {}
            Self::Process(watcher) => shared.down(watcher, reference, reason),
            Self::Call(process, function) => function(shared, process, pid),
            Self::Counterpart(owner) => shared.remove_watcher(owner, reference),
        }
    }
}

/// Runs destructors of a process. A panic in one is reported and changes nothing else.
pub(super) fn contain(pid: Pid, f: impl FnOnce()) {
    if let Err(panic) = catch(f) {
        crash_report::late_panic(pid, &Reason::Panic(Arc::new(panic)));
    }
}

impl Shared {
    /// Sends the exit signals of all links, and frees the slot of the process for the next one. From here on
    /// its pid is unknown: a monitor is either in the returned relations, or is refused with `NoProc`.
    /// `releasing` is the thread of a process that has run.
    pub(super) fn free(
        &self,
        slot: &Slot,
        pid: Pid,
        reason: &Reason,
        mut recycled: Option<Box<Process>>,
        releasing: Option<&Local>,
    ) -> Option<Box<Relations>> {
        if let Some(process) = recycled.as_mut().filter(|process| process.has_spawned) {
            cold_path();
            process.has_spawned = false;
            self.note_parent(pid);
        }
        let mut core = slot.lock();
        // A link that is made while the others are told is told in the next round.
        while !is_active(Mutation::LinksToldLast)
            && let Some(links) = core.relations.as_mut().and_then(|relations| relations.links.take_next())
        {
            drop(core);
            match links {
                NextLinks::One(partner) => {
                    if let Some(partner) = partner.in_runtime_of(pid) {
                        self.link_fired(partner, pid, reason);
                    }
                }
                NextLinks::All(links) => {
                    links.for_each(pid, |partner| self.link_fired(partner, pid, reason));
                }
            }
            if let Some(local) = releasing {
                self.interleave_released(local);
            }
            core = slot.lock();
        }
        let capacity = core.capacity().cloned();
        debug_assert!(core.arrivals.is_empty(), "nothing is accepted for a process that is condemned");
        core.free();
        // The memory of relations that were links alone stays for the next process.
        let relations = core.relations.take_if(|relations| !relations.are_none());
        let label = core.label.take();
        core.parent = Peer::NONE;
        core.parked = recycled;
        let is_worn_out = core.generation == u32::MAX;
        slot.reset();
        drop(core);
        drop(label);
        if let Some(capacity) = capacity {
            capacity.close();
        }
        // A slot whose generations are used up is retired, so that no pid is ever given twice.
        if !is_worn_out {
            self.with_free_list(|free_list| self.table.give_back(pid.index(), free_list));
        }
        relations
    }
}

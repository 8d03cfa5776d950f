//! One turn of a process, and its end.
#![expect(unsafe_code, reason = "see the proof")]

use std::{
    hint::cold_path,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use crate::runtime::kernel::{
    record::{AfterPoll, Body, Core, Phase, Process, Runnable, Slot},
    relations::{RareRelations, Relations},
    waker,
};
use crate::{
    gen_server::Control,
    messages::mailbox::Mailbox,
    names::registry::Name,
    observe::{
        crash_report::{self, CrashReport},
        trace::{TraceEvent, TraceFlags},
    },
    process::{
        pid::{NumberMap, Peer, Pid},
        reason::Reason,
        signal::{MonitorRef, Watcher},
    },
    runtime::{
        context::Local,
        panic::{catch, catch_polling},
        shared::Shared,
    },
    testing::mutation::{Mutation, is_active},
};

/// Awaits a process may complete in one turn before it gives way. (OTP: 4000 reductions of far smaller size.)
const REDUCTIONS_PER_SLICE: u32 = 2000;

/// Polls a process that was ready. What it returns has to be put in a queue again.
pub(crate) fn run_slice(local: &Local, process: Box<Process>) -> Option<Runnable> {
    if local.shared.tracer.is_on(TraceFlags::RUNNING) {
        return run_slice_traced(local, process);
    }
    poll_slice(local, process)
}

#[cold]
fn run_slice_traced(local: &Local, process: Box<Process>) -> Option<Runnable> {
    let pid = process.pid;
    local.shared.trace(TraceFlags::RUNNING, || TraceEvent::In { pid });
    let runnable = poll_slice(local, process);
    local.shared.trace(TraceFlags::RUNNING, || TraceEvent::Out { pid });
    runnable
}

#[inline(always)]
fn poll_slice(local: &Local, mut process: Box<Process>) -> Option<Runnable> {
    let Some(mut body) = process.body.take() else { unreachable!("a process in a queue has its body") };
    process.reductions = REDUCTIONS_PER_SLICE;
    process.wants_messages = false;
    process.mailbox_scanned = false;
    // SAFETY: the process, and its source with it, is put where the running one is, and stays there, or in the hands of a
    // simulation that interrupts it, until `run` or `end` takes it, after the last poll with this waker.
    let waker = unsafe { waker::borrowed(&process.source) };
    let slot = local.begin(process);
    if slot.is_condemned() {
        cold_path();
        end(local, slot, body, None);
        return None;
    }
    slot.begin();
    loop {
        local.polling.set(true);
        let mut ended = None;
        let is_pending = poll(&mut body, &waker, &mut ended);
        local.polling.set(false);
        if !is_pending {
            end(local, slot, body, ended);
            return None;
        }
        let mut core = slot.lock();
        if slot.is_condemned() {
            cold_path();
            drop(core);
            end(local, slot, body, None);
            return None;
        }
        let mut process = local.running.take().expect("it was put there before the poll");
        let next = slot.pause(&mut core, &mut process);
        if let AfterPoll::Again = next {
            cold_path();
            drop(core);
            local.running.replace(Some(process));
            slot.begin();
            continue;
        }
        process.body = Some(body);
        if let AfterPoll::Queue = next {
            process.priority = core.priority;
            return Some(Runnable(process));
        }
        slot.park(&mut core, process);
        return None;
    }
}

impl Core {
    /// It is to be released. True if nothing in its record has to go before anybody is told: neither messages nor names
    /// nor timers can be added from here on.
    fn exit(&mut self) -> bool {
        self.phase = Phase::Exiting;
        self.arrivals.is_empty() && self.relations.as_ref().is_none_or(|relations| relations.others.is_none())
    }
}

/// Polls a body, and says whether it goes on; else why it `ended`, which may be a panic.
#[inline(always)]
fn poll(body: &mut Body, waker: &Waker, ended: &mut Option<Reason>) -> bool {
    let polled = catch_polling(|| match body.as_mut().poll(&mut Context::from_waker(waker)) {
        Poll::Pending => true,
        Poll::Ready(reason) => {
            cold_path();
            *ended = Some(reason);
            false
        }
    });
    polled.unwrap_or_else(|panic| {
        *ended = Some(Reason::Panic(Arc::new(panic)));
        false
    })
}

/// The process is to be released: because its body has ended with a reason, or something else was first. Returns what
/// [`Core::exit`] does.
fn finish(slot: &Slot, pid: Pid, ended: Option<Reason>) -> bool {
    let mut core = slot.lock();
    let refused = ended.and_then(|reason| slot.condemn(&mut core, reason, false).err());
    let bare = core.exit();
    drop(core);
    if let Some(refused) = refused {
        // Condemned before it panicked: the first cause stands, the panic is only reported.
        if let Reason::Panic(_) = &refused {
            crash_report::late_panic(pid, &refused);
        }
        contain(pid, || drop(refused));
    }
    bare
}

/// Release: the body, the messages and the names go first; only then is anybody told.
///
/// The process stays the running one until its destructors have run.
#[inline(never)]
fn end(local: &Local, slot: &Slot, body: Body, ended: Option<Reason>) {
    let shared = &*local.shared;
    let pid = local.running.borrow().as_ref().expect("it runs until it is released").pid;
    let bare = finish(slot, pid, ended);
    if is_active(Mutation::ToldBeforeRelease) {
        tell_too_early(shared, slot, pid);
    }
    local.polling.set(true);
    contain(pid, || drop(body));
    let left = {
        let mut running = local.running.borrow_mut();
        let process = running.as_mut().expect("it runs until it is released");
        process.reductions = 0;
        process.stop_call_timer(shared);
        process.take_left()
    };
    if let Some((mut mailbox, server)) = left {
        // One by one: a second panic while the first unwinds would end the whole program.
        while let Some(message) = mailbox.take(0, |_| true) {
            contain(pid, || drop(message));
        }
        contain(pid, || drop(server));
    }
    let names = if bare { Vec::new() } else { clear_record(shared, slot, pid) };

    local.polling.set(false);
    let mut process = local.running.take().expect("it runs until it is released");
    process.bounded = false;
    let end = shared.free(pid, Some(process));
    let reason = end.cause.expect("a process that ends has a cause");
    if !reason.is_clean() {
        let (label, parent, by_signal) = (end.label, end.parent, end.caused_by_signal);
        crash_report::crash(
            shared,
            CrashReport { pid, names, label, reason: reason.clone(), parent, by_signal },
        );
    }
    shared.trace(TraceFlags::PROCS, || TraceEvent::Exited { pid, reason: reason.clone() });
    shared.process_exited(pid, &reason);
    if let Some(mut relations) = end.relations {
        tell(shared, pid, &reason, &mut relations);
    }
    shared.live_removed();
}

impl Process {
    /// Its messages, and what it kept as a server, if there is any of that; its mailbox is new.
    fn take_left(&mut self) -> Option<(Mailbox, Option<Box<Control>>)> {
        if self.mailbox.reset_if_bare() && self.server.is_none() {
            return None;
        }
        Some((std::mem::take(&mut self.mailbox), self.server.take()))
    }
}

/// Drops the messages that have arrived, and takes back names, groups and timers; these were its names.
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

/// What a simpler runtime would do: see [`Mutation::ToldBeforeRelease`].
fn tell_too_early(shared: &Shared, slot: &Slot, pid: Pid) {
    let (reason, mut told) = {
        let mut core = slot.lock();
        let reason = core.cause.clone().expect("a process that ends has a cause");
        let Relations { links, exit_hooks, others } = std::mem::take(core.relations());
        let RareRelations { monitors, watchers, names, groups, timers, capacity } =
            others.map_or_else(RareRelations::default, |others| *others);
        *core.relations().others() =
            RareRelations { names, groups, timers, capacity, ..RareRelations::default() };
        let others = Some(Box::new(RareRelations { monitors, watchers, ..RareRelations::default() }));
        (reason, Relations { links, exit_hooks, others })
    };
    tell(shared, pid, &reason, &mut told);
}

/// Exit signals first, then the rest.
pub(crate) fn tell(shared: &Shared, pid: Pid, reason: &Reason, relations: &mut Relations) {
    relations.links.for_each(pid, |partner| shared.link_fired(partner, pid, reason));
    let mut monitors = Default::default();
    if let Some(others) = relations.others.take() {
        tell_watchers(shared, pid, reason, others.watchers);
        monitors = others.monitors;
    }
    for callback in relations.exit_hooks.take() {
        callback.tell(shared, reason);
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
            Watcher::Task(task, handle) => crate::task::orphaned(&handle, task, pid),
            Watcher::TaskEnd(owner) => shared.remove_watcher(owner, reference),
            Watcher::OneWayLink(process) => shared.exit_by_link(process, pid, reason),
        }
    }
}

/// Runs the destructors of a process; a panic in one is reported and changes nothing else.
fn contain(pid: Pid, f: impl FnOnce()) {
    if let Err(panic) = catch(f) {
        crash_report::late_panic(pid, &Reason::Panic(Arc::new(panic)));
    }
}

/// What is left of a process once its place is free.
pub(crate) struct End {
    cause: Option<Reason>,
    caused_by_signal: bool,
    pub(crate) relations: Option<Box<Relations>>,
    parent: Option<Pid>,
    label: Option<std::borrow::Cow<'static, str>>,
}

impl Shared {
    /// Makes the place of a process free for the next one. From here on its pid is that of nobody: whoever links or
    /// monitors it is either in the relations this returns, or finds nobody.
    pub(crate) fn free(&self, pid: Pid, spare: Option<Box<Process>>) -> End {
        let slot = self.table.slot(pid.index());
        let mut core = slot.lock();
        let capacity = core.capacity().cloned();
        debug_assert!(core.arrivals.is_empty(), "nothing is accepted for a process that is condemned");
        let end = End {
            caused_by_signal: std::mem::take(&mut core.caused_by_signal),
            cause: core.reset(),
            relations: core.relations.take(),
            parent: std::mem::replace(&mut core.parent, Peer::NONE).in_runtime_of(pid),
            label: core.label.take(),
        };
        core.parked = spare;
        let worn_out = core.generation == u32::MAX;
        slot.reset();
        drop(core);
        if let Some(capacity) = capacity {
            capacity.close();
        }
        // A place is given up rather than let a pid come again.
        if !worn_out {
            self.with_free_list(|places| self.table.give_back(pid.index(), places));
        }
        end
    }
}

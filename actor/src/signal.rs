//! Links, monitors and exit signals: what travels beside messages, and in order with them.

use std::{future::Future, sync::Arc};

use crate::{
    Handle, context,
    exit::Reason,
    message::Message,
    pid::Pid,
    process::{Core, Readied, Slot},
    receive::receive_if,
    registry::Name,
    runtime::Shared,
    timer::TimerRef,
};

/// The message a process that traps exits gets when a linked process ends, or when it is asked to exit itself.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Exit {
    /// The process that ended, or who asked.
    pub from: Pid,
    /// Why.
    pub reason: Reason,
    /// Whether a link told it, so that `from` has ended; else `from` called [`exit`] and may live on.
    pub by_link: bool,
}

/// The message that tells the end of a monitored process. It comes after the process has been released: what it owned
/// is free.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Down {
    /// What [`monitor`] returned.
    pub reference: MonitorRef,
    /// The process that ended; none if a name was monitored that nobody held.
    pub pid: Option<Pid>,
    /// Why it ended; [`Reason::NoProc`] if there was no such process.
    pub reason: Reason,
}

/// Names one monitor. Dropping it changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MonitorRef(pub(crate) u64);

impl MonitorRef {
    /// Waits for this monitor's [`Down`].
    ///
    /// # Cancel safety
    /// Dropped before it is ready, it has taken nothing.
    pub fn down(self) -> impl Future<Output = Down> + Send {
        receive_if(move |down: &Down| down.reference == self)
    }
}

/// Who hears of a process's end.
pub(crate) enum Watcher {
    Process(Pid),
    /// Somewhere outside the mailbox: a pending call, a join.
    Callback(Arc<dyn Ended>),
    /// A process that is to get the exit signal of a link, but gives none itself.
    Leash(Pid),
    /// A task of this process.
    Task(Pid, Handle),
    /// The owner of this task.
    TaskEnd(Pid),
}

/// Told of an end, on the worker where it came, after the release. It must not block.
pub(crate) trait Ended: Send + Sync {
    fn ended(&self, reason: &Reason);
}

/// Links the caller with `pid`: if one of them ends abnormally, so does the other, unless it traps exits. There is at
/// most one link between two processes. A link to a process that has ended gives the exit signal
/// [`Reason::NoProc`] at once.
///
/// # Panics
/// Outside a process.
pub fn link(pid: Pid) {
    let this = crate::this();
    context::with_shared("link", |shared| shared.link(this, pid));
}

/// Removes the link between the caller and `pid`. No [`Exit`] of it will arrive from here on; one that is already in
/// the mailbox stays there.
///
/// # Panics
/// Outside a process.
pub fn unlink(pid: Pid) {
    let this = crate::this();
    context::with_shared("unlink", |shared| shared.unlink(this, pid));
}

/// [`unlink`], and removes an [`Exit`] of `pid` that was already in the mailbox.
///
/// # Panics
/// Outside a process.
pub fn unlink_flush(pid: Pid) {
    unlink(pid);
    crate::receive::flush(|exit: &Exit| exit.from == pid);
}

/// Watches `pid`: the caller gets one [`Down`] when it has ended; at once if it already has.
///
/// ```
/// # use riot_actor::{monitor, run, spawn, Reason};
/// # run(async {
/// let pid = spawn(async {});
/// assert_eq!(monitor(pid).down().await.reason.is_clean(), true);
/// # });
/// ```
///
/// # Panics
/// Outside a process.
pub fn monitor(pid: Pid) -> MonitorRef {
    let this = crate::this();
    context::with_shared("monitor", |shared| {
        let reference = shared.next_reference();
        shared.monitor(this, pid, reference);
        reference
    })
}

/// Ends a monitor. True if that kept its [`Down`] from coming; false if that is queued, was received, or the monitor is
/// not the caller's.
///
/// # Panics
/// Outside a process.
pub fn demonitor(reference: MonitorRef) -> bool {
    let this = crate::this();
    context::with_shared("demonitor", |shared| shared.demonitor(this, reference))
}

/// [`demonitor`], and removes a [`Down`] that was already in the mailbox.
///
/// # Panics
/// Outside a process.
pub fn demonitor_flush(reference: MonitorRef) -> bool {
    let prevented = demonitor(reference);
    if !prevented {
        crate::receive::flush(|down: &Down| down.reference == reference);
    }
    prevented
}

/// Asks `pid` to end with `reason`. If it traps exits it gets the message [`Exit`] instead, unless the reason is
/// [`Reason::Kill`], which ends any process, with [`Reason::Killed`]. `Normal` is ignored by whoever does not trap.
/// A process that has ended is asked in vain.
///
/// # Panics
/// Outside a process.
pub fn exit(pid: Pid, reason: Reason) {
    let this = crate::this();
    context::with_shared("exit", |shared| shared.exit(pid, this, reason));
}

/// Ends the caller with `reason`, trapping or not: nothing behind this runs.
///
/// # Panics
/// Outside a process.
pub async fn exit_now(reason: Reason) -> ! {
    let this = crate::this();
    context::with_shared("exit_now", |shared| {
        let slot = shared.table.slot(this.index);
        slot.condemn(&mut slot.lock(), reason, false);
    });
    std::future::pending().await
}

/// Whether exit signals come as [`Exit`] messages instead of ending the caller. Returns what it was before; off by
/// default.
///
/// # Panics
/// Outside a process.
pub fn trap_exit(trap: bool) -> bool {
    let this = crate::this();
    context::with_shared("trap_exit", |shared| {
        std::mem::replace(&mut shared.table.slot(this.index).lock().trap_exit, trap)
    })
}

/// Whether `pid` lives: not ended, nor condemned to. It proves nothing about its release; [`Exit`] and [`Down`] do.
///
/// # Panics
/// Outside a process.
pub fn is_alive(pid: Pid) -> bool {
    context::with_shared("is_alive", |shared| shared.is_alive(pid))
}

impl Handle {
    /// [`exit`] from a plain thread; it comes from the runtime itself.
    pub fn exit(&self, pid: Pid, reason: Reason) {
        self.shared.exit(pid, self.shared.system(), reason);
    }
}

impl Slot {
    /// The exit signal of a link.
    fn linked_exit(&self, core: &mut Core, from: Pid, reason: Reason) -> Option<Readied> {
        if !core.is_live() {
            return None;
        }
        match reason {
            reason if core.trap_exit => self.accept(core, Message::new(Exit { from, reason, by_link: true })),
            Reason::Normal => None,
            reason => self.end_by_signal(core, reason),
        }
    }

    fn end_by_signal(&self, core: &mut Core, reason: Reason) -> Option<Readied> {
        self.condemn(core, reason, true);
        self.wake(core)
    }
}

impl Shared {
    pub(crate) fn is_alive(&self, pid: Pid) -> bool {
        let Some(slot) = self.table.of(pid) else { return false };
        slot.lock_for(pid).is_some_and(|core| core.is_live())
    }

    /// Puts a message into a mailbox; gives it back if there is no such process.
    pub(crate) fn try_deliver(&self, pid: Pid, message: Message) -> Result<(), Message> {
        let Some(slot) = self.table.of(pid) else { return Err(message) };
        let readied = match slot.lock_for(pid) {
            Some(mut core) if core.is_live() => slot.accept(&mut core, message),
            _ => return Err(message),
        };
        self.ready(readied);
        Ok(())
    }

    pub(crate) fn deliver(&self, pid: Pid, message: Message) {
        let refused = self.try_deliver(pid, message);
        drop(refused);
    }

    pub(crate) fn wake(&self, pid: Pid) {
        let Some(slot) = self.table.of(pid) else { return };
        let readied = slot.lock_for(pid).and_then(|mut core| slot.wake(&mut core));
        self.ready(readied);
    }

    /// An explicit exit signal.
    pub(crate) fn exit(&self, to: Pid, from: Pid, reason: Reason) {
        let Some(slot) = self.table.of(to) else { return };
        let readied = match slot.lock_for(to) {
            Some(mut core) if core.is_live() => match reason {
                Reason::Kill => slot.end_by_signal(&mut core, Reason::Killed),
                reason if core.trap_exit => {
                    slot.accept(&mut core, Message::new(Exit { from, reason, by_link: false }))
                }
                Reason::Normal if from != to => None,
                reason => slot.end_by_signal(&mut core, reason),
            },
            _ => None,
        };
        self.ready(readied);
    }

    /// The exit signal of a link there is no record of.
    pub(crate) fn exit_by_link(&self, to: Pid, from: Pid, reason: Reason) {
        let Some(slot) = self.table.of(to) else { return };
        let readied = slot.lock_for(to).and_then(|mut core| slot.linked_exit(&mut core, from, reason));
        self.ready(readied);
    }

    /// Whether `pid` has not been released.
    pub(crate) fn is_present(&self, pid: Pid) -> bool {
        self.table.of(pid).is_some_and(|slot| slot.lock_for(pid).is_some())
    }

    /// The exit signal of a link whose other side has ended. A link removed meanwhile gives none.
    pub(crate) fn link_fired(&self, to: Pid, from: Pid, reason: Reason) {
        let Some(slot) = self.table.of(to) else { return };
        let readied = match slot.lock_for(to) {
            Some(mut core) => {
                let linked = core.relations.as_mut().is_some_and(|relations| relations.links.remove(&from));
                if linked { slot.linked_exit(&mut core, from, reason) } else { None }
            }
            None => None,
        };
        self.ready(readied);
    }

    pub(crate) fn down(&self, to: Pid, reference: MonitorRef, reason: Reason) {
        let Some(slot) = self.table.of(to) else { return };
        let readied = match slot.lock_for(to) {
            Some(mut core) if core.is_live() => {
                match core.relations.as_mut().and_then(|relations| relations.monitors.remove(&reference)) {
                    Some(target) => {
                        let down = Down { reference, pid: Some(target), reason };
                        slot.accept(&mut core, Message::new(down))
                    }
                    None => None,
                }
            }
            _ => None,
        };
        self.ready(readied);
    }

    fn link(&self, this: Pid, other: Pid) {
        if this == other {
            return;
        }
        let mine = self.table.slot(this.index);
        if let Some(theirs) = self.table.of(other) {
            // Both at once, the lower place first, so that a link is on both sides or on none.
            let (mut core, partner) = lock_both(mine, this, theirs, other);
            if let Some(mut partner) = partner {
                core.relations().links.insert(other);
                partner.relations().links.insert(this);
                return;
            }
            if core.relations.as_ref().is_some_and(|relations| relations.links.contains(&other)) {
                return; // It has just ended, and the signal of the link there was is on its way.
            }
        }
        let readied = mine.linked_exit(&mut mine.lock(), other, Reason::NoProc);
        self.ready(readied);
    }

    fn unlink(&self, this: Pid, other: Pid) {
        if this == other {
            return;
        }
        let mine = self.table.slot(this.index);
        let remove = |core: &mut Core, pid: &Pid| {
            if let Some(relations) = &mut core.relations {
                relations.links.remove(pid);
            }
        };
        match self.table.of(other) {
            Some(theirs) => {
                let (mut core, partner) = lock_both(mine, this, theirs, other);
                remove(&mut core, &other);
                if let Some(mut partner) = partner {
                    remove(&mut partner, &this);
                }
            }
            None => remove(&mut mine.lock(), &other),
        }
    }

    pub(crate) fn monitor(&self, this: Pid, other: Pid, reference: MonitorRef) {
        if this == other {
            return; // It could only fire when there is nobody left to tell.
        }
        self.table.slot(this.index).lock().relations().monitors.insert(reference, other);
        if !self.watch(other, reference, Watcher::Process(this)) {
            self.down(this, reference, Reason::NoProc);
        }
    }

    /// Adds somebody to be told of the end of `pid`; false if it has been released.
    pub(crate) fn watch(&self, pid: Pid, reference: MonitorRef, watcher: Watcher) -> bool {
        let Some(slot) = self.table.of(pid) else { return false };
        let Some(mut core) = slot.lock_for(pid) else { return false };
        core.relations().watchers.insert(reference, watcher);
        true
    }

    fn demonitor(&self, this: Pid, reference: MonitorRef) -> bool {
        let target = {
            let mut core = self.table.slot(this.index).lock();
            core.relations.as_mut().and_then(|relations| relations.monitors.remove(&reference))
        };
        match target {
            Some(target) => {
                self.remove_watcher(target, reference);
                true
            }
            None => false,
        }
    }

    pub(crate) fn remove_watcher(&self, pid: Pid, reference: MonitorRef) {
        let Some(slot) = self.table.of(pid) else { return };
        let watcher = slot
            .lock_for(pid)
            .and_then(|mut core| core.relations.as_mut().and_then(|r| r.watchers.remove(&reference)));
        drop(watcher);
    }

    /// Ties a timer to the process it will send to; false if that does not live.
    pub(crate) fn remember_timer(&self, pid: Pid, timer: TimerRef) -> bool {
        let Some(slot) = self.table.of(pid) else { return false };
        match slot.lock_for(pid) {
            Some(mut core) if core.is_live() => core.relations().timers.insert(timer),
            _ => false,
        }
    }

    pub(crate) fn forget_timer(&self, pid: Pid, timer: TimerRef) {
        let Some(slot) = self.table.of(pid) else { return };
        if let Some(mut core) = slot.lock_for(pid)
            && let Some(relations) = &mut core.relations
        {
            relations.timers.remove(&timer);
        }
    }

    /// Adds a name to its holder's record; false if that does not live.
    pub(crate) fn remember_name(&self, pid: Pid, name: &Name) -> bool {
        let Some(slot) = self.table.of(pid) else { return false };
        match slot.lock_for(pid) {
            Some(mut core) if core.is_live() => {
                core.relations().names.push(name.clone());
                true
            }
            _ => false,
        }
    }

    /// Notes that a process has to do with a group; false if it does not live.
    pub(crate) fn remember_group(&self, pid: Pid, group: &Name) -> bool {
        let Some(slot) = self.table.of(pid) else { return false };
        match slot.lock_for(pid) {
            Some(mut core) if core.is_live() => {
                let groups = &mut core.relations().groups;
                if !groups.contains(group) {
                    groups.push(group.clone());
                }
                true
            }
            _ => false,
        }
    }

    pub(crate) fn forget_name(&self, pid: Pid, name: &Name) {
        let Some(slot) = self.table.of(pid) else { return };
        if let Some(mut core) = slot.lock_for(pid)
            && let Some(relations) = &mut core.relations
        {
            relations.names.retain(|held| held != name);
        }
    }
}

type Guard<'a> = std::sync::MutexGuard<'a, Core>;

/// Locks the caller's record and that of another, which may have been released.
fn lock_both<'a>(mine: &'a Slot, this: Pid, theirs: &'a Slot, other: Pid) -> (Guard<'a>, Option<Guard<'a>>) {
    if this.index == other.index {
        return (mine.lock(), None); // Another generation of the caller's own place: long gone.
    }
    if this.index < other.index {
        let core = mine.lock();
        (core, theirs.lock_for(other))
    } else {
        let partner = theirs.lock_for(other);
        (mine.lock(), partner)
    }
}

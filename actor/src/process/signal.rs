//! LinkSet, monitors and exit signals: what travels beside messages, and in order with them.

use std::{future::Future, sync::Arc};

use crate::{
    messages::{message::Message, receive::receive_if},
    names::registry::Name,
    process::{pid::Pid, reason::Reason},
    runtime::{
        context,
        handle::Handle,
        kernel::{
            record::{Core, CoreGuard, Runnable, Slot},
            relations::{MonitorTarget, Relations},
        },
        shared::Shared,
    },
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
    /// The name that was monitored, if it was a name: see [`monitor_name`].
    pub name: Option<Name>,
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
    /// A process that is to get the exit signal of a link, but gives none itself.
    OneWayLink(Pid),
    /// A task of this process.
    Task(Pid, Handle),
    /// The owner of this task.
    TaskEnd(Pid),
}

/// Told of an end, on the worker where it came, after the release. It must not block.
pub(crate) trait OnExit: Send + Sync {
    fn exited(&self, reason: &Reason);

    /// Whether nobody wants to hear any more; there is nothing of a user in it then, so it may be dropped anywhere.
    fn is_cancelled(&self) -> bool;
}

/// LinkSet the caller with `pid`: if one of them ends abnormally, so does the other, unless it traps exits. There is at
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
    crate::messages::receive::flush(|exit: &Exit| exit.from == pid);
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
        shared.monitor(this, MonitorTarget { pid: Some(pid), name: None }, reference);
        reference
    })
}

/// Watches whoever holds `name` now: [`monitor`], with the name in the [`Down`]. Filter the name moves to another process the
/// monitor stays with the first. Filter nobody holds it the [`Down`] comes at once, with [`Reason::NoProc`] and no pid.
///
/// ```
/// # use riot_actor::{process::{SpawnOptions, monitor_name}, run, Reason};
/// # run(async {
/// SpawnOptions::new().name("clerk").spawn(async {});
/// let down = monitor_name("clerk").down().await;
/// assert_eq!(down.name.unwrap().as_str(), "clerk");
/// assert_eq!(monitor_name("nobody").down().await.reason, Reason::NoProc);
/// # });
/// ```
///
/// # Panics
/// Outside a process.
pub fn monitor_name(name: impl Into<Name>) -> MonitorRef {
    let (this, name) = (crate::this(), name.into());
    context::with_shared("monitor_name", |shared| {
        let reference = shared.next_reference();
        let target = MonitorTarget { pid: shared.registry.whereis(&name), name: Some(name) };
        shared.monitor(this, target, reference);
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
        crate::messages::receive::flush(|down: &Down| down.reference == reference);
    }
    prevented
}

/// Asks `pid` to end with `reason`. Filter it traps exits it gets the message [`Exit`] instead, unless the reason is
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
pub async fn exit_self(reason: Reason) -> ! {
    let this = crate::this();
    context::with_shared("exit_self", |shared| {
        let slot = shared.table.slot(this.index());
        let refused = slot.condemn(&mut slot.lock(), reason, false);
        drop(refused);
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
        std::mem::replace(&mut shared.table.slot(this.index()).lock().trap_exit, trap)
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
    fn linked_exit(&self, core: &mut Core, from: Pid, reason: Reason) -> Option<Runnable> {
        if !core.is_live() {
            return None;
        }
        match reason {
            reason if core.trap_exit => {
                self.accept(core, Message::system(Exit { from, reason, by_link: true }))
            }
            Reason::Normal => None,
            reason => self.end_by_signal(core, reason),
        }
    }

    /// Ends one that lives.
    pub(crate) fn end_by_signal(&self, core: &mut Core, reason: Reason) -> Option<Runnable> {
        self.condemn(core, reason, true).expect("it lives, so nothing has condemned it");
        self.wake(core)
    }
}

impl Shared {
    pub(crate) fn is_alive(&self, pid: Pid) -> bool {
        let Some(slot) = self.table.of(pid) else { return false };
        slot.lock_for(pid).is_some_and(|core| core.is_live())
    }

    /// Whether `pid` has not been released.
    pub(crate) fn is_present(&self, pid: Pid) -> bool {
        self.table.of(pid).is_some_and(|slot| slot.lock_for(pid).is_some())
    }

    /// Does something to a process that has not been released, and queues the process if that made it ready.
    pub(crate) fn act_on(&self, pid: Pid, act: impl FnOnce(&Slot, &mut Core) -> Option<Runnable>) {
        let Some(slot) = self.table.of(pid) else { return };
        let runnable = slot.lock_for(pid).and_then(|mut core| act(slot, &mut core));
        self.enqueue(runnable);
    }

    pub(crate) fn wake(&self, pid: Pid) {
        self.act_on(pid, Slot::wake);
    }

    /// An explicit exit signal.
    pub(crate) fn exit(&self, to: Pid, from: Pid, reason: Reason) {
        // Kept by the caller meanwhile: what is in a reason is a user's, and not dropped under a lock.
        self.act_on(to, |slot, core| match &reason {
            _ if !core.is_live() => None,
            Reason::Kill => slot.end_by_signal(core, Reason::Killed),
            _ if core.trap_exit => {
                slot.accept(core, Message::system(Exit { from, reason: reason.clone(), by_link: false }))
            }
            Reason::Normal if from != to => None,
            _ => slot.end_by_signal(core, reason.clone()),
        });
    }

    /// The exit signal of a link there is no record of.
    pub(crate) fn exit_by_link(&self, to: Pid, from: Pid, reason: &Reason) {
        self.act_on(to, |slot, core| slot.linked_exit(core, from, reason.clone()));
    }

    /// The exit signal of a link whose other side has ended. A link removed meanwhile gives none.
    pub(crate) fn link_fired(&self, to: Pid, from: Pid, reason: &Reason) {
        self.act_on(to, |slot, core| {
            let linked = core.relations.as_mut().is_some_and(|relations| relations.links.remove(&from));
            if linked { slot.linked_exit(core, from, reason.clone()) } else { None }
        });
    }

    pub(crate) fn down(&self, to: Pid, reference: MonitorRef, reason: &Reason) {
        self.act_on(to, |slot, core| {
            let MonitorTarget { pid, name } =
                core.relations.as_mut()?.others.as_mut()?.monitors.remove(&reference)?;
            if !core.is_live() {
                return None;
            }
            slot.accept(core, Message::system(Down { reference, pid, name, reason: reason.clone() }))
        });
    }

    fn link(&self, this: Pid, other: Pid) {
        if this == other {
            return;
        }
        let mine = self.table.slot(this.index());
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
        let runnable = mine.linked_exit(&mut mine.lock(), other, Reason::NoProc);
        self.enqueue(runnable);
    }

    fn unlink(&self, this: Pid, other: Pid) {
        if this == other {
            return;
        }
        let mine = self.table.slot(this.index());
        let remove = |core: &mut Core, pid: &Pid| {
            if let Some(relations) = &mut core.relations {
                relations.links.remove(pid);
            }
        };
        // Nobody is linked to what was never here.
        if let Some(theirs) = self.table.of(other) {
            let (mut core, partner) = lock_both(mine, this, theirs, other);
            remove(&mut core, &other);
            if let Some(mut partner) = partner {
                remove(&mut partner, &this);
            }
        }
    }

    fn monitor(&self, this: Pid, target: MonitorTarget, reference: MonitorRef) {
        let pid = target.pid;
        if pid == Some(this) {
            return; // It could only fire when there is nobody left to tell.
        }
        self.table.slot(this.index()).lock().relations().others().monitors.insert(reference, target);
        if !pid.is_some_and(|pid| self.watch(pid, reference, Watcher::Process(this))) {
            self.down(this, reference, &Reason::NoProc);
        }
    }

    /// Adds somebody to be told of the end of `pid`; false if it has been released.
    pub(crate) fn watch(&self, pid: Pid, reference: MonitorRef, watcher: Watcher) -> bool {
        let Some(slot) = self.table.of(pid) else { return false };
        let Some(mut core) = slot.lock_for(pid) else { return false };
        core.relations().others().watchers.insert(reference, watcher);
        true
    }

    /// Adds somebody to be told of the end of `pid` outside any mailbox; false if it has been released.
    pub(crate) fn on_exit(&self, pid: Pid, callback: Arc<dyn OnExit>) -> bool {
        let Some(slot) = self.table.of(pid) else { return false };
        let Some(mut core) = slot.lock_for(pid) else { return false };
        core.relations().exit_hooks.push(self, callback);
        true
    }

    fn demonitor(&self, this: Pid, reference: MonitorRef) -> bool {
        let remove = |relations: &mut Relations| relations.others.as_mut()?.monitors.remove(&reference);
        let target = self.detach_relation(this, remove).flatten();
        match target {
            Some(target) => {
                if let Some(pid) = target.pid {
                    self.remove_watcher(pid, reference);
                }
                true
            }
            None => false,
        }
    }

    pub(crate) fn remove_watcher(&self, pid: Pid, reference: MonitorRef) {
        let remove = |relations: &mut Relations| relations.others.as_mut()?.watchers.remove(&reference);
        let watcher = self.detach_relation(pid, remove);
        drop(watcher);
    }
}

/// Locks the caller's record and that of another, which may have been released.
fn lock_both<'a>(
    mine: &'a Slot,
    this: Pid,
    theirs: &'a Slot,
    other: Pid,
) -> (CoreGuard<'a>, Option<CoreGuard<'a>>) {
    if this.index() == other.index() {
        return (mine.lock(), None); // Another generation of the caller's own place: long gone.
    }
    if this.index() < other.index() {
        let core = mine.lock();
        (core, theirs.lock_for(other))
    } else {
        let partner = theirs.lock_for(other);
        (mine.lock(), partner)
    }
}

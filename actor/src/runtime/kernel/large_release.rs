//! The release of a process with many messages or relations: a process of its own drops and tells them, and
//! gives way in between.
//!
//! The steps and their order are those of [`release`](super::release). The record of the process that exits
//! stays, as that of one that exits, until its links are told.

use std::{
    collections::{BTreeSet, VecDeque, hash_map},
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    vec,
};

use super::{
    exit_hooks::ExitHook,
    observed::TypedBody,
    process::Process,
    relations::{MonitorTarget, ProcessTimers, Relations, Watcher},
    release::contain,
    remains::LeftValues,
    spawn::{Origin, SpawnSpec},
};
use crate::{
    guard,
    messages::{
        mailbox::{Mailbox, Position},
        message::Message,
    },
    names::name::Name,
    observe::trace::{TraceEvent, TraceFlags},
    process::{notice::MonitorRef, pid::Pid, reason::Reason},
    runtime::shared::Shared,
};

/// Messages, and relations, above which a release takes more than one poll slice. Telling a relation takes
/// some 100 ns.
pub(super) const LARGE: usize = 1_000;

/// Messages that are dropped, or relations that are told, in one poll slice.
const PER_SLICE: usize = 500;

impl Relations {
    /// Returns whether releasing them takes longer than a poll slice should.
    pub(super) fn are_many(&self) -> bool {
        let others = self.others.as_deref();
        self.links.many() > LARGE
            || self.exit_hooks.len() > LARGE
            || others.is_some_and(|others| {
                let attached =
                    others.names.len() + others.groups.len() + others.timers.len() + others.tables.len();
                attached + others.monitors.len() + others.watchers.len() > LARGE
            })
    }
}

/// The holdings of a process whose body is gone, beside its relations.
pub(super) struct Remnant {
    pub(super) unread: Mailbox,
    pub(super) arrivals: VecDeque<Message>,
    pub(super) names: Vec<Name>,
}

/// The work that is left, in the order of the fields.
struct LargeRelease {
    shared: Arc<Shared>,
    pid: Pid,
    reason: Reason,
    unread: Mailbox,
    arrivals: VecDeque<Message>,
    names: vec::IntoIter<Name>,
    groups: std::collections::btree_set::IntoIter<Name>,
    timers: vec::IntoIter<crate::time::timer_ref::TimerRef>,
    tables: vec::IntoIter<u64>,
    /// The values of the tables; none once all tables are released.
    ended: Option<LeftValues>,
    links: vec::IntoIter<Pid>,
    stage: Stage,
}

enum Stage {
    /// The record shows the process. Its memory is kept for the next one.
    Listed(Option<Box<Process>>),
    /// The pid is unknown; exit signals of one-way links go first.
    Unknown {
        one_way: vec::IntoIter<Pid>,
        watchers: hash_map::IntoIter<MonitorRef, Watcher>,
        hooks: vec::IntoIter<ExitHook>,
        monitors: hash_map::IntoIter<MonitorRef, MonitorTarget>,
    },
    Done,
}

impl Shared {
    /// Releases a process whose body is gone, and whose end is reported.
    pub(super) fn release_large(self: &Arc<Self>, process: Box<Process>, reason: Reason, remnant: Remnant) {
        let pid = process.pid;
        let Remnant { unread, arrivals, names } = remnant;
        let (groups, timers, tables): (BTreeSet<Name>, ProcessTimers, Vec<u64>) = {
            let mut core = self.table.slot(pid.index()).lock();
            let others = core.relations.as_mut().and_then(|relations| relations.others.as_mut());
            others.map_or_else(Default::default, |others| {
                let groups = std::mem::take(&mut others.groups);
                (groups, std::mem::take(&mut others.timers), std::mem::take(&mut others.tables))
            })
        };
        let release = LargeRelease {
            shared: self.clone(),
            pid,
            reason,
            unread,
            arrivals,
            names: names.into_iter(),
            groups: groups.into_iter(),
            timers: timers.into_iter(),
            tables: tables.into_iter(),
            ended: Some(LeftValues::new()),
            links: Vec::new().into_iter(),
            stage: Stage::Listed(Some(process)),
        };
        let spec = SpawnSpec { label: Some("release".into()), ..SpawnSpec::default() };
        self.spawn_unnamed(spec, Origin::default(), TypedBody::new(release), |_| ());
    }
}

impl LargeRelease {
    /// Takes one step. Returns false if none was left.
    fn step(&mut self) -> bool {
        let (shared, pid, reason) = (&*self.shared, self.pid, &self.reason);
        match &mut self.stage {
            Stage::Listed(process) => {
                if let Some(message) = self.unread.take(&mut Position::start(), |_| true) {
                    contain(pid, || drop(message));
                } else if let Some(message) = self.arrivals.pop_front() {
                    contain(pid, || drop(message));
                } else if let Some(name) = self.names.next() {
                    shared.registry.release(&name, pid);
                } else if let Some(group) = self.groups.next() {
                    shared.groups.release(shared, &group, pid);
                } else if let Some(timer) = self.timers.next() {
                    shared.timers.discard(timer);
                } else if let Some(table) = self.tables.next() {
                    if let Some(ended) = &mut self.ended {
                        shared.tables.release(shared, table, pid, ended);
                    }
                } else if let Some(ended) = self.ended.take() {
                    ended.drop_rest(shared);
                } else if let Some(partner) = self.links.next() {
                    shared.link_fired(partner, pid, reason);
                } else {
                    let slot = shared.table.slot(pid.index());
                    let links = slot.lock().relations.as_mut().and_then(|relations| relations.links.take());
                    match links {
                        Some(links) => self.links = links.to_pids(pid).into_iter(),
                        None => {
                            let relations = shared.free(slot, pid, reason, process.take(), None);
                            self.stage = Stage::unknown(relations);
                            shared.trace(TraceFlags::PROCS, || TraceEvent::Exited {
                                pid,
                                reason: reason.clone(),
                            });
                            shared.process_exited(pid, reason);
                        }
                    }
                }
            }
            Stage::Unknown { one_way, watchers, hooks, monitors } => {
                if let Some(process) = one_way.next() {
                    shared.exit_by_link(process, pid, reason);
                } else if let Some((reference, watcher)) = watchers.next() {
                    watcher.tell(shared, pid, reason, reference);
                } else if let Some(hook) = hooks.next() {
                    hook.call(shared, reason);
                } else if let Some((reference, target)) = monitors.next() {
                    if let Some(pid) = target.pid {
                        shared.remove_watcher(pid, reference);
                    }
                } else {
                    self.stage = Stage::Done;
                    shared.live_removed();
                }
            }
            Stage::Done => return false,
        }
        true
    }
}

impl Stage {
    fn unknown(relations: Option<Box<Relations>>) -> Self {
        let Relations { links: _, exit_hooks, others } = relations.map(|all| *all).unwrap_or_default();
        let others = others.map(|others| *others).unwrap_or_default();
        let one_way = others.watchers.values().filter_map(|watcher| match watcher {
            Watcher::OneWayLink(process) => Some(*process),
            _ => None,
        });
        let one_way: Vec<Pid> = one_way.collect();
        Self::Unknown {
            one_way: one_way.into_iter(),
            watchers: others.watchers.into_iter(),
            hooks: exit_hooks.into_vec().into_iter(),
            monitors: others.monitors.into_iter(),
        }
    }
}

impl Future for LargeRelease {
    type Output = Reason;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Reason> {
        for _ in 0..PER_SLICE {
            if !self.step() {
                return Poll::Ready(Reason::Normal);
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// A release that is asked to end, as in a shutdown, does the rest at once.
impl Drop for LargeRelease {
    fn drop(&mut self) {
        while guard::contain(|| self.step()).unwrap_or(true) {}
    }
}

//! The children of a dynamic supervisor, addressed by their pids.
//!
//! Starting, finding and removing a child costs the same for any number of children. Only the shutdown and
//! requested lists go through all of them.

use std::{any::TypeId, collections::HashMap, ops::ControlFlow};

use riot_actor::{Pid, Reason, telemetry::note_restart};

use crate::{
    backoff::Failures,
    child_id::{ChildId, ChildKey},
    child_spec::{ChildSpec, SpecSummary},
    error::{ChildError, StartChildError},
    reference::{ChildCounts, ChildInfo, ChildState},
    shutdown::{Stopping, give_way, stop_all, stop_one},
    strategy::{ExitAction, exit_action, shuts_down},
    supervisor::{Core, RestartWhen, Ticket},
};

/// A table with less room is kept.
const MIN_SHRUNK: usize = 1024;

pub(crate) struct Dynamic {
    max_children: Option<usize>,
    /// Children by pid. A restarting child keeps the pid it had.
    children: HashMap<Pid, DynamicChild>,
    /// The child of each retry that is due.
    retries: HashMap<Ticket, Pid>,
    /// The number of significant children that run or restart.
    significant: usize,
}

struct DynamicChild {
    spec: ChildSpec,
    /// The number of the child in the view of the supervisor: the order of lists.
    nth: u64,
    restarting: Option<Ticket>,
    failures: Failures,
}

impl Dynamic {
    pub(crate) fn new(max_children: Option<usize>) -> Self {
        Self { max_children, children: HashMap::new(), retries: HashMap::new(), significant: 0 }
    }

    pub(crate) fn max_children(&self) -> Option<usize> {
        self.max_children
    }

    pub(crate) fn set_max_children(&mut self, max_children: Option<usize>) {
        self.max_children = max_children;
    }

    pub(crate) async fn start_child(
        &mut self,
        core: &mut Core,
        mut spec: ChildSpec,
    ) -> Result<Pid, StartChildError> {
        if self.max_children.is_some_and(|max| self.children.len() >= max) {
            return Err(StartChildError::MaxChildren);
        }
        let pid = core.start(&mut spec).await.map_err(StartChildError::Failed)?;
        let pid = pid.ok_or(StartChildError::Ignored)?;
        if self.children.contains_key(&pid) {
            return Err(StartChildError::AlreadyStarted(pid));
        }
        self.significant += usize::from(spec.significant);
        let nth = core.publisher.add(&spec, ChildState::Running(pid));
        let child = DynamicChild { spec, nth, restarting: None, failures: Failures::default() };
        self.children.insert(pid, child);
        Ok(pid)
    }

    /// Handles the end of a linked process: a child, or a process that was a child before.
    pub(crate) async fn ended(&mut self, core: &mut Core, pid: Pid, reason: Reason) -> ControlFlow<Reason> {
        let Some(child) = self.children.get_mut(&pid).filter(|child| child.restarting.is_none()) else {
            return ControlFlow::Continue(());
        };
        core.reporter.ended(&child.spec.id, pid, &reason);
        let significant = child.spec.significant;
        match exit_action(child.spec.restart, &reason) {
            ExitAction::Restart => match core.after_end(&mut child.spec, &mut child.failures) {
                RestartWhen::Now => return self.restart(core, pid).await,
                RestartWhen::Later(ticket) => {
                    self.restart_later(core, ticket, pid);
                    return ControlFlow::Continue(());
                }
                RestartWhen::Never => self.forget(core, pid),
            },
            // Without a process there is no pid to address it by.
            ExitAction::Keep | ExitAction::Forget => self.forget(core, pid),
        }
        self.ended_for_good(core, significant)
    }

    /// Ends the supervisor if the end of a child is its end.
    fn ended_for_good(&self, core: &Core, significant: bool) -> ControlFlow<Reason> {
        if shuts_down(core.auto_shutdown, significant, self.significant > 0) {
            return ControlFlow::Break(Reason::Shutdown);
        }
        ControlFlow::Continue(())
    }

    /// Makes the attempt of `ticket`, unless the child has been stopped meanwhile.
    pub(crate) async fn retry(&mut self, core: &mut Core, ticket: Ticket) -> ControlFlow<Reason> {
        match self.retries.remove(&ticket) {
            Some(pid) => self.restart(core, pid).await,
            None => ControlFlow::Continue(()),
        }
    }

    async fn restart(&mut self, core: &mut Core, old: Pid) -> ControlFlow<Reason> {
        let Some(child) = self.children.get_mut(&old) else { return ControlFlow::Continue(()) };
        core.may_restart(&mut child.spec).await?;
        match core.start_again(&mut child.spec).await {
            Ok(Some(new)) => {
                child.restarting = None;
                core.publisher.count_restart(child.nth);
                core.publisher.set_state(child.nth, ChildState::Running(new));
                note_restart(old, new);
                if let Some(child) = self.children.remove(&old) {
                    self.children.insert(new, child);
                }
            }
            Ok(None) => self.forget(core, old),
            Err(_) => match core.after_failed_restart(&mut child.spec, &mut child.failures) {
                Some(ticket) => self.restart_later(core, ticket, old),
                None => {
                    let significant = child.spec.significant;
                    self.forget(core, old);
                    return self.ended_for_good(core, significant);
                }
            },
        }
        ControlFlow::Continue(())
    }

    /// Notes the ticket of the attempt to restart a child.
    fn restart_later(&mut self, core: &Core, ticket: Ticket, old: Pid) {
        if let Some(child) = self.children.get_mut(&old) {
            core.publisher.set_state(child.nth, ChildState::Restarting);
            child.restarting = Some(ticket);
            self.retries.insert(ticket, old);
        }
    }

    pub(crate) async fn terminate_child(
        &mut self,
        core: &mut Core,
        key: &ChildKey,
    ) -> Result<(), ChildError> {
        let (pid, child) = self.find(key)?;
        if child.restarting.is_none() {
            let child = Stopping { id: child.spec.id.clone(), pid, shutdown: child.spec.shutdown };
            stop_one(&mut core.reporter, child).await;
        }
        self.forget(core, pid);
        Ok(())
    }

    /// Stops all children at once.
    pub(crate) async fn stop_all(&mut self, core: &mut Core) {
        let mut stopping = Vec::with_capacity(self.children.len());
        for (nth, pid) in self.in_order().into_iter().enumerate() {
            give_way(nth).await;
            let Some(DynamicChild { spec, restarting, nth, .. }) = self.children.remove(&pid) else {
                continue;
            };
            core.publisher.remove(nth);
            if restarting.is_none() {
                stopping.push(Stopping { id: spec.id, pid, shutdown: spec.shutdown });
            }
        }
        self.children = HashMap::new();
        stop_all(&mut core.reporter, stopping).await;
    }

    /// Returns the children in the order in which they were started.
    fn in_order(&self) -> Vec<Pid> {
        let mut children: Vec<(u64, Pid)> =
            self.children.iter().map(|(pid, child)| (child.nth, *pid)).collect();
        children.sort_unstable();
        children.into_iter().map(|(_, pid)| pid).collect()
    }

    pub(crate) async fn which(&mut self) -> Vec<ChildInfo> {
        let state = |pid: &Pid, child: &DynamicChild| match child.restarting {
            None => ChildState::Running(*pid),
            Some(_) => ChildState::Restarting,
        };
        let mut infos = Vec::with_capacity(self.children.len());
        for (nth, pid) in self.in_order().iter().enumerate() {
            give_way(nth).await;
            if let Some(child) = self.children.get_mut(pid) {
                infos.push(ChildInfo::new(&child.spec, state(pid, child)));
            }
        }
        infos
    }

    pub(crate) async fn count(&mut self) -> ChildCounts {
        let mut counts = ChildCounts::default();
        for (nth, (&pid, child)) in self.children.iter_mut().enumerate() {
            give_way(nth).await;
            counts.add(child.spec.kind, child.restarting.is_none().then_some(pid));
        }
        counts
    }

    pub(crate) fn spec(&self, key: &ChildKey) -> Result<SpecSummary, ChildError> {
        self.find(key).map(|(_, child)| child.spec.summary())
    }

    /// Returns the oldest child with this id that runs, if references to it are of this type.
    pub(crate) fn find_running(&self, id: &ChildId, reference: TypeId) -> Option<Pid> {
        let runs = |child: &DynamicChild| child.spec.id == *id && child.restarting.is_none();
        let found = self.children.iter().filter(|(_, child)| runs(child)).min_by_key(|(_, child)| child.nth);
        found.filter(|(_, child)| child.spec.is_known_as(reference)).map(|(pid, _)| *pid)
    }

    fn find(&self, key: &ChildKey) -> Result<(Pid, &DynamicChild), ChildError> {
        let ChildKey::Pid(pid) = key else { return Err(ChildError::NotFound) };
        self.children.get(pid).map(|child| (*pid, child)).ok_or(ChildError::NotFound)
    }

    fn forget(&mut self, core: &Core, pid: Pid) {
        let Some(child) = self.children.remove(&pid) else { return };
        core.publisher.remove(child.nth);
        self.significant -= usize::from(child.spec.significant);
        // Amortized: a table is made half as large after at least a quarter of its children have gone.
        if self.children.capacity() > MIN_SHRUNK && 4 * self.children.len() < self.children.capacity() {
            self.children.shrink_to(2 * self.children.len());
        }
        if let Some(ticket) = child.restarting {
            self.retries.remove(&ticket);
        }
    }
}

//! The children of a static supervisor, in start order: when one starts, those before it are up.

use std::{any::TypeId, ops::ControlFlow};

use riot_actor::{Pid, Reason, telemetry::note_restart};

use crate::{
    backoff::Failures,
    child_id::{ChildId, ChildKey},
    child_spec::{ChildKind, ChildSpec, Restart, SpecSummary},
    error::{ChildError, DeleteChildError, FailedToStart, RestartChildError, StartChildError},
    reference::{ChildCounts, ChildInfo, ChildState},
    shutdown::{Stopping, give_way, stop_one},
    strategy::{ChildView, ExitAction, Plan, Strategy, exit_action, shuts_down},
    supervisor::{Core, RestartWhen, Ticket},
};

pub(crate) struct Children {
    strategy: Strategy,
    /// Invariant: ids differ.
    list: Vec<Child>,
}

struct Child {
    spec: ChildSpec,
    /// The number of the child in the view of the supervisor.
    number: u64,
    state: State,
    /// The process that ended by itself, until the child is started again.
    ended: Option<Pid>,
    failures: Failures,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Idle,
    Running(Pid),
    /// The last restart failed, or the restart is delayed. The next attempt is made when the retry with this
    /// ticket arrives.
    Restarting(Ticket),
}

impl Child {
    fn new(spec: ChildSpec, core: &mut Core) -> Self {
        let number = core.publisher.add(&spec, ChildState::Stopped);
        Self { spec, number, state: State::Idle, ended: None, failures: Failures::default() }
    }

    fn set_state(&mut self, core: &Core, state: State) {
        self.state = state;
        core.publisher.set_state(self.number, self.shown_state());
    }

    fn shown_state(&self) -> ChildState {
        match self.state {
            State::Idle => ChildState::Stopped,
            State::Running(pid) => ChildState::Running(pid),
            State::Restarting(_) => ChildState::Restarting,
        }
    }

    fn pid(&self) -> Option<Pid> {
        match self.state {
            State::Running(pid) => Some(pid),
            State::Idle | State::Restarting(_) => None,
        }
    }

    async fn start(&mut self, core: &mut Core) -> Result<Option<Pid>, Reason> {
        let pid = core.start(&mut self.spec).await?;
        self.set_state(core, pid.map_or(State::Idle, State::Running));
        Ok(pid)
    }

    async fn start_again(&mut self, core: &mut Core) -> Result<Option<Pid>, Reason> {
        let pid = core.start_again(&mut self.spec).await?;
        core.publisher.count_restart(self.number);
        if let (Some(old), Some(new)) = (self.ended.take(), pid) {
            note_restart(old, new);
        }
        self.set_state(core, pid.map_or(State::Idle, State::Running));
        Ok(pid)
    }

    /// Stops the child's process or its retries.
    async fn stop(&mut self, core: &mut Core) {
        if let Some(pid) = self.pid() {
            let child = Stopping { id: self.spec.id.clone(), pid, shutdown: self.spec.shutdown };
            stop_one(&mut core.reporter, child).await;
        }
        self.set_state(core, State::Idle);
    }
}

impl Children {
    pub(crate) fn new(strategy: Strategy, specs: Vec<ChildSpec>, core: &mut Core) -> Self {
        Self { strategy, list: specs.into_iter().map(|spec| Child::new(spec, core)).collect() }
    }

    /// Removes the child at this place, also from the view.
    fn remove(&mut self, core: &Core, at: usize) {
        let child = self.list.remove(at);
        core.publisher.remove(child.number);
    }

    pub(crate) fn strategy(&self) -> Strategy {
        self.strategy
    }

    /// Starts all children, each after the one before is up.
    pub(crate) async fn start_all(&mut self, core: &mut Core) -> Result<(), FailedToStart> {
        for child in &mut self.list {
            if let Err(reason) = child.start(core).await {
                return Err(FailedToStart { id: child.spec.id.clone(), reason });
            }
        }
        let stays = |child: &Child| child.pid().is_some() || child.spec.restart != Restart::Temporary;
        self.list.iter().filter(|child| !stays(child)).for_each(|child| core.publisher.remove(child.number));
        self.list.retain(stays);
        Ok(())
    }

    /// Stops all children, one after the other, in reverse order.
    pub(crate) async fn stop_all(&mut self, core: &mut Core) {
        while let Some(mut child) = self.list.pop() {
            child.stop(core).await;
            core.publisher.remove(child.number);
        }
    }

    /// Handles the end of a linked process: a child, or a process that was a child before.
    pub(crate) async fn ended(&mut self, core: &mut Core, pid: Pid, reason: Reason) -> ControlFlow<Reason> {
        let Some(at) = self.list.iter().position(|child| child.pid() == Some(pid)) else {
            return ControlFlow::Continue(());
        };
        let child = &mut self.list[at];
        child.set_state(core, State::Idle);
        child.ended = Some(pid);
        core.reporter.ended(&child.spec.id, pid, &reason);
        let significant = child.spec.significant;
        match exit_action(child.spec.restart, &reason) {
            ExitAction::Restart => match core.after_end(&mut child.spec, &mut child.failures) {
                RestartWhen::Now => return self.restart(core, at).await,
                RestartWhen::Later(ticket) => {
                    self.restart_later(core, at, ticket).await;
                    return ControlFlow::Continue(());
                }
                RestartWhen::Never => {}
            },
            ExitAction::Keep => {}
            ExitAction::Forget => self.remove(core, at),
        }
        self.ended_for_good(core, significant)
    }

    /// Ends the supervisor if the end of a child is its end.
    fn ended_for_good(&self, core: &Core, significant: bool) -> ControlFlow<Reason> {
        let others_are_up =
            self.list.iter().any(|child| child.spec.significant && child.state != State::Idle);
        if shuts_down(core.auto_shutdown, significant, others_are_up) {
            return ControlFlow::Break(Reason::Shutdown);
        }
        ControlFlow::Continue(())
    }

    /// Makes the attempt of `ticket`, unless the child has been started or stopped meanwhile.
    pub(crate) async fn retry(&mut self, core: &mut Core, ticket: Ticket) -> ControlFlow<Reason> {
        let restarting = |child: &Child| child.state == State::Restarting(ticket);
        let at = self.list.iter().position(restarting);
        match at {
            Some(at) => self.restart(core, at).await,
            None => ControlFlow::Continue(()),
        }
    }

    /// Stops the children that depend on the one at `failed`, and schedules the restart of all of them.
    async fn restart_later(&mut self, core: &mut Core, failed: usize, ticket: Ticket) {
        let plan = self.plan(failed);
        for at in plan.stop {
            self.list[at].stop(core).await;
        }
        for at in plan.start {
            self.list[at].set_state(core, State::Idle);
        }
        self.list[failed].set_state(core, State::Restarting(ticket));
        for at in plan.forget.into_iter().rev() {
            self.remove(core, at);
        }
    }

    fn plan(&self, failed: usize) -> Plan {
        let view = |at: usize| {
            let child: &Child = &self.list[at];
            ChildView { restart: child.spec.restart, has_process: child.pid().is_some() }
        };
        self.strategy.plan(failed, self.list.len(), view)
    }

    /// Makes one attempt to restart the child at `failed`, and the others that the strategy names.
    async fn restart(&mut self, core: &mut Core, failed: usize) -> ControlFlow<Reason> {
        core.may_restart(&mut self.list[failed].spec).await?;
        let plan = self.plan(failed);
        for at in plan.stop {
            self.list[at].stop(core).await;
        }
        for &at in &plan.start {
            self.list[at].set_state(core, State::Idle);
        }
        let mut significant_ended = false;
        for at in plan.start {
            let child = &mut self.list[at];
            if child.start_again(core).await.is_err() {
                match core.after_failed_restart(&mut child.spec, &mut child.failures) {
                    Some(ticket) => {
                        child.set_state(core, State::Restarting(ticket));
                        break;
                    }
                    None => significant_ended |= child.spec.significant,
                }
            }
        }
        for at in plan.forget.into_iter().rev() {
            self.remove(core, at);
        }
        self.ended_for_good(core, significant_ended)
    }

    pub(crate) async fn start_child(
        &mut self,
        core: &mut Core,
        spec: ChildSpec,
    ) -> Result<Pid, StartChildError> {
        if let Some(child) = self.find(&spec.id) {
            return Err(child.pid().map_or(StartChildError::AlreadyPresent, StartChildError::AlreadyStarted));
        }
        let mut child = Child::new(spec, core);
        let started = child.start(core).await.map_err(StartChildError::Failed);
        let stays = match &started {
            Ok(pid) => pid.is_some() || child.spec.restart != Restart::Temporary,
            Err(_) => false,
        };
        if stays {
            self.list.push(child);
        } else {
            core.publisher.remove(child.number);
        }
        let pid = started?;
        pid.ok_or(StartChildError::Ignored)
    }

    pub(crate) async fn terminate_child(
        &mut self,
        core: &mut Core,
        key: &ChildKey,
    ) -> Result<(), ChildError> {
        let at = self.position(key).ok_or(ChildError::NotFound)?;
        self.list[at].stop(core).await;
        if self.list[at].spec.restart == Restart::Temporary {
            self.remove(core, at);
        }
        Ok(())
    }

    pub(crate) async fn restart_child(
        &mut self,
        core: &mut Core,
        id: &ChildId,
    ) -> Result<Pid, RestartChildError> {
        let child = self.find(id).ok_or(RestartChildError::NotFound)?;
        match child.state {
            State::Running(pid) => Err(RestartChildError::Running(pid)),
            State::Restarting(_) => Err(RestartChildError::Restarting),
            State::Idle => {
                let pid = child.start(core).await.map_err(RestartChildError::Failed)?;
                pid.ok_or(RestartChildError::Ignored)
            }
        }
    }

    pub(crate) fn delete_child(&mut self, core: &Core, id: &ChildId) -> Result<(), DeleteChildError> {
        let at = self.list.iter().position(|child| child.spec.id == *id).ok_or(DeleteChildError::NotFound)?;
        match self.list[at].state {
            State::Running(pid) => Err(DeleteChildError::Running(pid)),
            State::Restarting(_) => Err(DeleteChildError::Restarting),
            State::Idle => {
                self.remove(core, at);
                Ok(())
            }
        }
    }

    pub(crate) async fn which(&mut self) -> Vec<ChildInfo> {
        let mut infos = Vec::with_capacity(self.list.len());
        for (nth, child) in self.list.iter_mut().enumerate() {
            give_way(nth).await;
            infos.push(ChildInfo::new(&child.spec, child.shown_state()));
        }
        infos
    }

    pub(crate) async fn count(&mut self) -> ChildCounts {
        let mut counts = ChildCounts::default();
        for (nth, child) in self.list.iter_mut().enumerate() {
            give_way(nth).await;
            counts.add(child.spec.kind, child.pid());
        }
        counts
    }

    pub(crate) fn spec(&self, key: &ChildKey) -> Result<SpecSummary, ChildError> {
        let at = self.position(key).ok_or(ChildError::NotFound)?;
        Ok(self.list[at].spec.summary())
    }

    /// Returns the process of the child with this id, if it has one and references to it are of this type.
    pub(crate) fn find_running(&mut self, id: &ChildId, reference: TypeId) -> Option<Pid> {
        self.find(id).filter(|child| child.spec.is_known_as(reference))?.pid()
    }

    fn find(&mut self, id: &ChildId) -> Option<&mut Child> {
        self.list.iter_mut().find(|child| child.spec.id == *id)
    }

    fn position(&self, key: &ChildKey) -> Option<usize> {
        self.list.iter().position(|child| match key {
            ChildKey::Id(id) => child.spec.id == *id,
            ChildKey::Pid(pid) => child.pid() == Some(*pid),
        })
    }
}

impl ChildCounts {
    pub(crate) fn add(&mut self, kind: ChildKind, pid: Option<Pid>) {
        self.specs += 1;
        self.active += usize::from(pid.is_some_and(riot_actor::process::is_alive));
        match kind {
            ChildKind::Supervisor => self.supervisors += 1,
            ChildKind::Worker => self.workers += 1,
        }
    }
}

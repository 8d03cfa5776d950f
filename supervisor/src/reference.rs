//! A running supervisor, as others hold it, and what it is asked.

use std::{fmt, time::Duration};

use riot_actor::{Pid, Reason, call, call::CallError};

use crate::{
    child_id::{ChildId, ChildKey},
    child_spec::{ChildKind, ChildSpec, Restart, SpecSummary},
    error::{ChildError, DeleteChildError, RestartChildError, StartChildError, SupervisorStopError},
};

/// A running supervisor. It is a pid with methods: small, `Copy`, and no reason for the supervisor to live on.
///
/// Every method is a call, which the supervisor serves after those before it; while a child starts or stops it serves
/// nobody. So by default a call waits as long as the supervisor lives; [`within`](Self::within) sets a limit.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SupervisorRef {
    pid: Pid,
    limit: Option<Duration>,
}

impl fmt::Debug for SupervisorRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SupervisorRef({})", self.pid)
    }
}
impl fmt::Display for SupervisorRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pid.fmt(f)
    }
}
impl From<SupervisorRef> for Pid {
    fn from(supervisor: SupervisorRef) -> Self {
        supervisor.pid
    }
}

impl SupervisorRef {
    /// The supervisor with this pid, found by its name for instance.
    #[must_use]
    pub fn new(pid: Pid) -> Self {
        Self { pid, limit: None }
    }

    /// Its process.
    #[must_use]
    pub fn pid(self) -> Pid {
        self.pid
    }

    /// The same supervisor, asked with patience for `limit` only. What it was asked it may still do.
    #[must_use]
    pub fn within(self, limit: Duration) -> Self {
        Self { limit: Some(limit), ..self }
    }

    /// Starts a child and returns its pid. Below a supervisor that is not dynamic it is the last one.
    ///
    /// # Errors
    /// See [`StartChildError`].
    ///
    /// # Panics
    /// Outside a process, as all that follow.
    pub async fn start_child(self, spec: ChildSpec) -> Result<Pid, StartChildError> {
        call(self.pid, StartChild(spec), self.limit).await?
    }

    /// Stops a child as its spec says, and returns when it is gone. Its spec stays, unless it is temporary or the
    /// supervisor dynamic. A child without process is fine; one that was restarting is not any more.
    ///
    /// # Errors
    /// See [`ChildError`].
    pub async fn terminate_child(self, child: impl Into<ChildKey>) -> Result<(), ChildError> {
        call(self.pid, TerminateChild(child.into()), self.limit).await?
    }

    /// Starts a child that has no process, at its place among the others.
    ///
    /// # Errors
    /// See [`RestartChildError`]; a dynamic supervisor knows no such child.
    pub async fn restart_child(self, id: impl Into<ChildId>) -> Result<Pid, RestartChildError> {
        call(self.pid, RestartChild(id.into()), self.limit).await?
    }

    /// Forgets a child that has no process.
    ///
    /// # Errors
    /// See [`DeleteChildError`]; a dynamic supervisor knows no such child.
    pub async fn delete_child(self, id: impl Into<ChildId>) -> Result<(), DeleteChildError> {
        call(self.pid, DeleteChild(id.into()), self.limit).await?
    }

    /// The children, in the order in which they start.
    ///
    /// # Errors
    /// If the supervisor does not answer.
    pub async fn which_children(self) -> Result<Vec<ChildInfo>, CallError> {
        call(self.pid, WhichChildren, self.limit).await
    }

    /// How many children there are.
    ///
    /// # Errors
    /// If the supervisor does not answer.
    pub async fn count_children(self) -> Result<ChildCounts, CallError> {
        call(self.pid, CountChildren, self.limit).await
    }

    /// What the spec of a child says.
    ///
    /// # Errors
    /// See [`ChildError`].
    pub async fn get_child_spec(self, child: impl Into<ChildKey>) -> Result<SpecSummary, ChildError> {
        call(self.pid, GetChildSpec(child.into()), self.limit).await?
    }

    /// From here on the caller gets every [`SupervisorEvent`](crate::SupervisorEvent) as a message, until it ends.
    ///
    /// # Errors
    /// If the supervisor does not answer.
    pub async fn subscribe(self) -> Result<(), CallError> {
        call(self.pid, Subscribe, self.limit).await
    }

    /// Stops it: its children first, then itself, with `reason`. It returns when all are gone, or when `limit` has
    /// passed (the stop goes on). A caller linked to it, as whoever started it is, hears `reason` by that link, so
    /// `Normal` is the one to give there.
    ///
    /// # Errors
    /// See [`SupervisorStopError`].
    pub async fn stop(self, reason: Reason, limit: Option<Duration>) -> Result<(), SupervisorStopError> {
        match call::<Stop, ()>(self.pid, Stop(reason.clone()), limit).await {
            Err(CallError::Exit(ended)) if ended == reason => Ok(()),
            Err(CallError::Exit(ended)) => Err(SupervisorStopError::Exit(ended)),
            Err(CallError::NoProc) => Err(SupervisorStopError::NoProc),
            Err(CallError::CallingSelf) => Err(SupervisorStopError::CallingSelf),
            // It never answers but by ending, and its mailbox has no bound.
            Ok(()) | Err(CallError::Timeout | CallError::Full) => Err(SupervisorStopError::Timeout),
        }
    }
}

/// One child, as [`which_children`](SupervisorRef::which_children) tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChildInfo {
    /// Its id.
    pub id: ChildId,
    /// Whether it runs.
    pub state: ChildState,
    /// What it is.
    pub kind: ChildKind,
    /// When it is started again.
    pub restart: Restart,
}

impl ChildInfo {
    pub(crate) fn new(spec: &ChildSpec, state: ChildState) -> Self {
        Self { id: spec.id.clone(), state, kind: spec.kind, restart: spec.restart }
    }

    /// Its process, if it has one.
    #[must_use]
    pub fn pid(&self) -> Option<Pid> {
        match self.state {
            ChildState::Running(pid) => Some(pid),
            ChildState::Restarting | ChildState::Stopped => None,
        }
    }
}

/// Whether a child runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChildState {
    /// It has a process.
    Running(Pid),
    /// Its start failed, and will be tried again.
    Restarting,
    /// It has none: it ended cleanly, was terminated, or chose not to run.
    Stopped,
}

/// How many children there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ChildCounts {
    /// All of them, with a process or without.
    pub specs: usize,
    /// Those whose process lives.
    pub active: usize,
    /// Those that are supervisors by their spec.
    pub supervisors: usize,
    /// Those that are workers by their spec.
    pub workers: usize,
}

// Requests, and what the starter of a supervisor says to it.

pub(crate) struct Up;
pub(crate) struct Linked;
pub(crate) struct StartChild(pub(crate) ChildSpec);
pub(crate) struct TerminateChild(pub(crate) ChildKey);
pub(crate) struct RestartChild(pub(crate) ChildId);
pub(crate) struct DeleteChild(pub(crate) ChildId);
pub(crate) struct WhichChildren;
pub(crate) struct CountChildren;
pub(crate) struct GetChildSpec(pub(crate) ChildKey);
pub(crate) struct Subscribe;
pub(crate) struct Stop(pub(crate) Reason);

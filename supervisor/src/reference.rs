//! The reference to a running supervisor, and its requests.

use std::{any::TypeId, fmt, time::Duration};

use riot_actor::{Pid, Reason, call, call::CallError};

use crate::{
    child_id::{ChildId, ChildKey},
    child_spec::{ChildKind, ChildSpec, Restart, SpecSummary},
    child_type::{ChildRef, ChildType},
    error::{ChildError, DeleteChildError, RestartChildError, StartChildError, SupervisorStopError},
};

/// A reference to a running supervisor: a pid with methods. It is `Copy` and does not keep the supervisor
/// alive.
///
/// Every method is a call. The supervisor serves calls one after the other, and none while a child starts or
/// stops. So by default a call waits as long as the supervisor lives; [`with_timeout`](Self::with_timeout)
/// sets a bound.
///
/// ```
/// use riot_actor::{run, Reason};
/// use riot_supervisor::{ChildState, Supervisor, process};
///
/// let reason = run(async {
///     let child = |id| process(id, || std::future::pending::<()>());
///     let sup = Supervisor::one_for_one().child(child("a")).start_link().await?;
///     sup.start_child(child("b")).await?;
///     sup.terminate_child("a").await?;
///     let children = sup.which_children().await?;
///     assert_eq!(children[0].state, ChildState::Stopped);
///     sup.restart_child("a").await?;
///     assert_eq!(sup.count_children().await?.active, 2);
///     sup.terminate_child("b").await?;
///     sup.delete_child("b").await?;
///     sup.stop(Reason::Normal).await?;
///     Ok::<_, Reason>(())
/// });
/// # assert_eq!(reason, Reason::Normal);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SupervisorRef {
    pid: Pid,
    timeout: Option<Duration>,
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
    /// Returns a reference to the supervisor with this pid, found by its name for instance. Nothing checks
    /// that the process is a supervisor.
    ///
    /// ```
    /// # use riot_actor::{run, whereis, Reason};
    /// use riot_supervisor::{Supervisor, SupervisorRef};
    /// # let reason = run(async {
    /// Supervisor::dynamic().name("jobs").start_link().await?;
    /// let jobs = SupervisorRef::new(whereis("jobs").expect("the supervisor is up"));
    /// assert_eq!(jobs.count_children().await?.specs, 0);
    /// # Ok::<_, Reason>(())
    /// # });
    /// # assert_eq!(reason, Reason::Normal);
    /// ```
    #[must_use]
    pub fn new(pid: Pid) -> Self {
        Self { pid, timeout: None }
    }

    /// Returns the pid of the supervisor.
    #[must_use]
    pub fn pid(self) -> Pid {
        self.pid
    }

    pub(crate) fn timeout(self) -> Option<Duration> {
        self.timeout
    }

    /// Returns a reference whose calls fail with [`CallError::Timeout`] after `timeout`. The supervisor may
    /// still do what it was asked.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout: Some(timeout), ..self }
    }

    /// Starts a child and returns a reference to it, of the type that the spec says. A static supervisor adds
    /// it after its other children.
    ///
    /// # Errors
    /// See [`StartChildError`].
    ///
    /// # Panics
    /// Panics outside a process, as all calls of a supervisor.
    pub async fn start_child<C: ChildType>(self, spec: ChildSpec<C>) -> Result<C::Ref, StartChildError> {
        let started: Result<Pid, StartChildError> =
            call(self.pid, StartChild(spec.untyped()), self.timeout).await?;
        started.map(C::Ref::from_pid)
    }

    /// Returns a reference to the child with this id, if it runs. The type of the reference is that of its
    /// spec, or `Pid`; as another type it is not found. Of several children of a dynamic supervisor with one
    /// id it is the oldest. None too if the supervisor does not answer.
    ///
    /// ```
    /// # use riot_actor::{run, Pid, Reason};
    /// use riot_supervisor::{Supervisor, SupervisorRef, supervisor};
    /// # let reason = run(async {
    /// let pool = supervisor("pool", || Supervisor::dynamic().start_link());
    /// let sup = Supervisor::one_for_one().child(pool).start_link().await?;
    /// let pool: SupervisorRef = sup.child("pool").await.expect("it runs");
    /// assert_eq!(sup.child::<Pid>("pool").await, Some(pool.pid()));
    /// assert_eq!(sup.child::<Pid>("other").await, None);
    /// # Ok::<_, Reason>(())
    /// # });
    /// # assert_eq!(reason, Reason::Normal);
    /// ```
    pub async fn child<R: ChildRef>(self, id: impl Into<ChildId>) -> Option<R> {
        let request = FindChild(id.into(), TypeId::of::<R>());
        let found: Result<Option<Pid>, CallError> = call(self.pid, request, self.timeout).await;
        found.ok().flatten().map(R::from_pid)
    }

    /// Stops a child as its spec says, and returns when its process is gone. The spec stays, unless the child
    /// is temporary or the supervisor dynamic. The call succeeds too if the child has no process, and ends
    /// the retries of a restarting child.
    ///
    /// # Errors
    /// See [`ChildError`].
    pub async fn terminate_child(self, child: impl Into<ChildKey>) -> Result<(), ChildError> {
        call(self.pid, TerminateChild(child.into()), self.timeout).await?
    }

    /// Starts a child that has no process, in its old place among the others.
    ///
    /// # Errors
    /// See [`RestartChildError`]. A dynamic supervisor answers `NotFound`.
    pub async fn restart_child(self, id: impl Into<ChildId>) -> Result<Pid, RestartChildError> {
        call(self.pid, RestartChild(id.into()), self.timeout).await?
    }

    /// Removes the spec of a child that has no process.
    ///
    /// # Errors
    /// See [`DeleteChildError`]. A dynamic supervisor answers `NotFound`.
    pub async fn delete_child(self, id: impl Into<ChildId>) -> Result<(), DeleteChildError> {
        call(self.pid, DeleteChild(id.into()), self.timeout).await?
    }

    /// Returns the children, in start order.
    ///
    /// # Errors
    /// If the supervisor does not answer.
    pub async fn which_children(self) -> Result<Vec<ChildInfo>, CallError> {
        call(self.pid, WhichChildren, self.timeout).await
    }

    /// Returns the numbers of children.
    ///
    /// # Errors
    /// If the supervisor does not answer.
    pub async fn count_children(self) -> Result<ChildCounts, CallError> {
        call(self.pid, CountChildren, self.timeout).await
    }

    /// Returns the spec of a child.
    ///
    /// # Errors
    /// See [`ChildError`].
    pub async fn get_child_spec(self, child: impl Into<ChildKey>) -> Result<SpecSummary, ChildError> {
        call(self.pid, GetChildSpec(child.into()), self.timeout).await?
    }

    /// Subscribes the caller to the supervisor's events: from now on it gets every
    /// [`SupervisorEvent`](crate::SupervisorEvent) as a message.
    ///
    /// # Errors
    /// If the supervisor does not answer.
    pub async fn subscribe(self) -> Result<(), CallError> {
        call(self.pid, Subscribe, self.timeout).await
    }

    /// Stops the supervisor: its children first, then itself, with `reason`. Returns when all are gone.
    ///
    /// A caller that is linked to the supervisor, such as its starter, receives `reason` by that link, so
    /// `Normal` is the reason to give there.
    ///
    /// # Errors
    /// See [`SupervisorStopError`].
    pub async fn stop(self, reason: Reason) -> Result<(), SupervisorStopError> {
        self.stop_within(reason, None).await
    }

    /// Stops the supervisor like [`stop`](Self::stop), and waits for `timeout` at most. The stop goes on
    /// after that.
    ///
    /// # Errors
    /// See [`SupervisorStopError`].
    pub async fn stop_timeout(self, reason: Reason, timeout: Duration) -> Result<(), SupervisorStopError> {
        self.stop_within(reason, Some(timeout)).await
    }

    async fn stop_within(self, reason: Reason, timeout: Option<Duration>) -> Result<(), SupervisorStopError> {
        match call::<Stop, ()>(self.pid, Stop(reason.clone()), timeout).await {
            Err(CallError::Exit(ended)) if ended == reason => Ok(()),
            Err(CallError::Exit(ended)) => Err(SupervisorStopError::Exit(ended)),
            Err(CallError::NoProc) => Err(SupervisorStopError::NoProc),
            Err(CallError::CallingSelf) => Err(SupervisorStopError::CallingSelf),
            Err(CallError::Dropped | CallError::WrongServer { .. }) => {
                Err(SupervisorStopError::NotASupervisor)
            }
            // A supervisor answers by ending only, and its mailbox has no bound.
            Ok(()) | Err(CallError::Timeout | CallError::Full) => Err(SupervisorStopError::Timeout),
        }
    }
}

/// A child in the answer of [`which_children`](SupervisorRef::which_children).
///
/// ```
/// # use riot_actor::{run, Reason};
/// use riot_supervisor::{ChildState, Supervisor, task};
/// # let reason = run(async {
/// let pool = Supervisor::dynamic().start_link().await?;
/// let pid = pool.start_child(task("job", || std::future::pending::<()>())).await?;
/// let info = &pool.which_children().await?[0];
/// assert_eq!((info.pid(), info.state), (Some(pid), ChildState::Running(pid)));
/// # Ok::<_, Reason>(())
/// # });
/// # assert_eq!(reason, Reason::Normal);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChildInfo {
    /// The id of the child.
    pub id: ChildId,
    /// Whether the child runs.
    pub state: ChildState,
    /// The kind of the child.
    pub kind: ChildKind,
    /// The condition on which the child is restarted.
    pub restart: Restart,
}

impl ChildInfo {
    pub(crate) fn new(spec: &ChildSpec, state: ChildState) -> Self {
        Self { id: spec.id.clone(), state, kind: spec.kind, restart: spec.restart }
    }

    /// Returns the process of the child, if it has one.
    #[must_use]
    pub fn pid(&self) -> Option<Pid> {
        match self.state {
            ChildState::Running(pid) => Some(pid),
            ChildState::Restarting | ChildState::Stopped => None,
        }
    }
}

/// The state of a child.
///
/// ```
/// # use riot_actor::{run, Reason};
/// use riot_supervisor::{ChildState, Ignore, Supervisor, worker};
/// # let reason = run(async {
/// let idle = worker("idle", || async { Ok::<_, Reason>(Ignore) });
/// let sup = Supervisor::one_for_one().child(idle).start_link().await?;
/// assert_eq!(sup.which_children().await?[0].state, ChildState::Stopped);
/// # Ok::<_, Reason>(())
/// # });
/// # assert_eq!(reason, Reason::Normal);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChildState {
    /// The child has a process.
    Running(Pid),
    /// The last restart of the child failed, and will be tried again.
    Restarting,
    /// The child has no process: it ended cleanly, was terminated, or had nothing to start.
    Stopped,
}

/// The numbers of children, as [`count_children`](SupervisorRef::count_children) returns them.
///
/// ```
/// # use riot_actor::{run, Reason};
/// use riot_supervisor::{Supervisor, process, supervisor};
/// # let reason = run(async {
/// let sup = Supervisor::one_for_one()
///     .child(supervisor("pool", || Supervisor::dynamic().start_link()))
///     .child(process("clock", || std::future::pending::<()>()))
///     .start_link()
///     .await?;
/// let counts = sup.count_children().await?;
/// assert_eq!((counts.specs, counts.active, counts.supervisors, counts.workers), (2, 2, 1, 1));
/// # Ok::<_, Reason>(())
/// # });
/// # assert_eq!(reason, Reason::Normal);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ChildCounts {
    /// All children, with a process or without.
    pub specs: usize,
    /// The children with a live process.
    pub active: usize,
    /// The children that are supervisors by their spec.
    pub supervisors: usize,
    /// The children that are workers by their spec.
    pub workers: usize,
}

// The requests, and the messages of the supervisor's starter.

pub(crate) struct Up;
pub(crate) struct Linked;
pub(crate) struct StartChild(pub(crate) ChildSpec);
pub(crate) struct TerminateChild(pub(crate) ChildKey);
pub(crate) struct RestartChild(pub(crate) ChildId);
pub(crate) struct DeleteChild(pub(crate) ChildId);
pub(crate) struct WhichChildren;
pub(crate) struct CountChildren;
pub(crate) struct FindChild(pub(crate) ChildId, pub(crate) TypeId);
pub(crate) struct GetChildSpec(pub(crate) ChildKey);
pub(crate) struct Subscribe;
pub(crate) struct Stop(pub(crate) Reason);

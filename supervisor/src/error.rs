//! The errors, one for each operation.
//!
//! A [`Reason`] is no error itself, so the text of an error that holds one contains the reason. All error
//! enums are `#[non_exhaustive]`: operations may come to fail in more ways.

use std::fmt;

use riot_actor::{Pid, Reason, call::CallError};

use crate::child_id::ChildId;

/// The error of starting a supervisor. Nothing of the supervisor is left.
///
/// ```
/// # use riot_actor::{run, Reason};
/// use riot_supervisor::{Supervisor, SupervisorStartError, worker};
/// # let reason = run(async {
/// let broken = worker("db", || async { Err::<riot_actor::Pid, _>(Reason::other("no disk")) });
/// match Supervisor::one_for_one().child(broken).start_link().await {
///     Err(SupervisorStartError::Child(failed)) => assert_eq!(failed.id, "db".into()),
///     other => panic!("{other:?}"),
/// }
/// # Ok::<_, Reason>(())
/// # });
/// # assert_eq!(reason, Reason::Normal);
/// ```
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SupervisorStartError {
    /// The name of the supervisor is taken, by this process.
    #[error("already started: {0} has the name")]
    AlreadyStarted(Pid),
    /// The description contradicts itself. No child was started.
    #[error(transparent)]
    Invalid(#[from] SpecError),
    /// A child did not start. Those before it were stopped again.
    #[error(transparent)]
    Child(FailedToStart),
    /// The init function failed, or another process ended the supervisor.
    #[error("{}", Init(.0))]
    Init(Reason),
}

/// An exit reason inside the text of an error.
struct Cause<'a>(&'a Reason);

impl fmt::Display for Cause<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Reason::Error(error) => fmt::Display::fmt(error, f),
            reason => fmt::Display::fmt(reason, f),
        }
    }
}

/// The text of [`SupervisorStartError::Init`]. An error speaks for itself.
struct Init<'a>(&'a Reason);

impl fmt::Display for Init<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Reason::Error(error) => fmt::Display::fmt(error, f),
            reason => write!(f, "the supervisor ended before it was up: {reason}"),
        }
    }
}

impl SupervisorStartError {
    /// Returns whether a start function failed with this reason because a child of the supervisor that it
    /// started has failed to start, which that supervisor has reported.
    pub(crate) fn is_reported(reason: &Reason) -> bool {
        let Reason::Error(error) = reason else { return false };
        matches!(error.downcast_ref(), Some(Self::Child(_)))
    }

    /// Translates the exit reason of the supervisor's process.
    pub(crate) fn from_reason(reason: Reason) -> Self {
        match &reason {
            Reason::ShutdownWith(detail) => {
                if let Some(failed) = detail.downcast_ref::<FailedToStart>() {
                    return Self::Child(failed.clone());
                }
            }
            Reason::Error(error) => {
                if let Some(invalid) = error.downcast_ref::<SpecError>() {
                    return Self::Invalid(invalid.clone());
                }
            }
            _ => {}
        }
        Self::Init(reason)
    }
}

/// The child whose failed start kept its supervisor from starting.
///
/// The supervisor ends with this value in [`Reason::ShutdownWith`], so its end is no crash.
///
/// ```
/// # use riot_actor::{run, Reason};
/// use riot_supervisor::{FailedToStart, Supervisor, SupervisorStartError, worker};
/// # let reason = run(async {
/// let broken = worker("db", || async { Err::<riot_actor::Pid, _>(Reason::other("no disk")) });
/// let error = Supervisor::one_for_one().child(broken).start_link().await.unwrap_err();
/// let expected = FailedToStart { id: "db".into(), reason: Reason::other("no disk") };
/// assert_eq!(error, SupervisorStartError::Child(expected));
/// # Ok::<_, Reason>(())
/// # });
/// # assert_eq!(reason, Reason::Normal);
/// ```
#[derive(Clone, PartialEq, thiserror::Error)]
#[error("child {id} failed to start: {}", Cause(reason))]
pub struct FailedToStart {
    /// The id of the child.
    pub id: ChildId,
    /// The error of its start function.
    pub reason: Reason,
}

/// Prints as `Display` does, since reasons print their details with `Debug`.
impl fmt::Debug for FailedToStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A contradiction in the description of a supervisor or a child.
///
/// ```
/// # use riot_actor::{run, Reason};
/// use riot_supervisor::{SpecError, Supervisor, SupervisorStartError, process};
/// # let reason = run(async {
/// let child = || process("a", || std::future::pending::<()>());
/// let error = Supervisor::one_for_one().child(child()).child(child()).start_link().await.unwrap_err();
/// assert_eq!(error, SupervisorStartError::Invalid(SpecError::DuplicateId("a".into())));
/// # Ok::<_, Reason>(())
/// # });
/// # assert_eq!(reason, Reason::Normal);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// Two children have this id. Below a static supervisor ids must differ.
    #[error("two children have the id {0}")]
    DuplicateId(ChildId),
    /// The child is significant, but permanent: it never ends for good. Make it transient or temporary.
    #[error("child {0} is significant and permanent; make it transient or temporary")]
    SignificantPermanent(ChildId),
    /// The child is significant, but the supervisor has no [`AutoShutdown`](crate::AutoShutdown).
    #[error("child {0} is significant, but the supervisor has no auto-shutdown")]
    SignificantWithoutAutoShutdown(ChildId),
    /// The child has [retries](crate::ChildSpec::retry), but is temporary, as a [`task`](crate::task) is, and
    /// so never restarted. Make it transient.
    #[error("child {0} has retries and is temporary; make it transient")]
    RetriesOfTemporary(ChildId),
    /// The child was given to the builder of a dynamic supervisor, which starts empty. Use
    /// [`start_child`](crate::SupervisorRef::start_child).
    #[error("child {0} is given to a dynamic supervisor; start it with start_child")]
    ChildOfDynamic(ChildId),
    /// A static supervisor was given `max_children`, which bounds dynamic supervisors only.
    #[error("max_children is set for a supervisor that is not dynamic")]
    MaxChildrenOfStatic,
}

/// The error of [`start_child`](crate::SupervisorRef::start_child).
///
/// ```
/// # use riot_actor::{run, Reason};
/// use riot_supervisor::{StartChildError, Supervisor, process};
/// # let reason = run(async {
/// let pool = Supervisor::dynamic().max_children(1).start_link().await?;
/// let job = || process("job", || std::future::pending::<()>());
/// pool.start_child(job()).await?;
/// assert_eq!(pool.start_child(job()).await, Err(StartChildError::MaxChildren));
/// # Ok::<_, Reason>(())
/// # });
/// # assert_eq!(reason, Reason::Normal);
/// ```
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StartChildError {
    /// A child with this id runs.
    #[error("already started: {0} is the child with this id")]
    AlreadyStarted(Pid),
    /// A child with this id is known and has no process, or is restarting.
    #[error("a child with this id is already present")]
    AlreadyPresent,
    /// The dynamic supervisor is full. Try later, or elsewhere.
    #[error("the supervisor has max_children children")]
    MaxChildren,
    /// The spec contradicts itself.
    #[error(transparent)]
    Invalid(#[from] SpecError),
    /// The start function failed or panicked. The supervisor keeps no spec.
    #[error("the child failed to start: {}", Cause(.0))]
    Failed(Reason),
    /// The start function had nothing to start. A static supervisor keeps the spec, unless the child is
    /// temporary.
    #[error("the start function had nothing to start")]
    Ignored,
    /// The supervisor did not answer. Whether the child runs is unknown.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// The error of [`restart_child`](crate::SupervisorRef::restart_child).
///
/// ```
/// # use riot_actor::{run, Reason};
/// use riot_supervisor::{RestartChildError, Supervisor};
/// # let reason = run(async {
/// let sup = Supervisor::one_for_one().start_link().await?;
/// assert_eq!(sup.restart_child("web").await, Err(RestartChildError::NotFound));
/// # Ok::<_, Reason>(())
/// # });
/// # assert_eq!(reason, Reason::Normal);
/// ```
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RestartChildError {
    /// There is no such child.
    #[error("no such child")]
    NotFound,
    /// The child has a process.
    #[error("the child runs, as {0}")]
    Running(Pid),
    /// The supervisor is restarting the child.
    #[error("the child is restarting")]
    Restarting,
    /// The start function failed or panicked. The spec stays.
    #[error("the child failed to start: {}", Cause(.0))]
    Failed(Reason),
    /// The start function had nothing to start. The spec stays.
    #[error("the start function had nothing to start")]
    Ignored,
    /// The supervisor did not answer.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// The error of [`delete_child`](crate::SupervisorRef::delete_child).
///
/// ```
/// # use riot_actor::{run, Reason};
/// use riot_supervisor::{DeleteChildError, Supervisor, process};
/// # let reason = run(async {
/// let sup = Supervisor::one_for_one().start_link().await?;
/// let pid = sup.start_child(process("a", || std::future::pending::<()>())).await?;
/// assert_eq!(sup.delete_child("a").await, Err(DeleteChildError::Running(pid)));
/// # Ok::<_, Reason>(())
/// # });
/// # assert_eq!(reason, Reason::Normal);
/// ```
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DeleteChildError {
    /// There is no such child.
    #[error("no such child")]
    NotFound,
    /// The child has a process. Terminate it first.
    #[error("the child runs, as {0}")]
    Running(Pid),
    /// The child is restarting. Terminate it first.
    #[error("the child is restarting")]
    Restarting,
    /// The supervisor did not answer.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// The error of [`terminate_child`](crate::SupervisorRef::terminate_child) and
/// [`get_child_spec`](crate::SupervisorRef::get_child_spec).
///
/// ```
/// # use riot_actor::{run, Reason};
/// use riot_supervisor::{ChildError, Supervisor};
/// # let reason = run(async {
/// let sup = Supervisor::one_for_one().start_link().await?;
/// assert_eq!(sup.terminate_child("web").await, Err(ChildError::NotFound));
/// # Ok::<_, Reason>(())
/// # });
/// # assert_eq!(reason, Reason::Normal);
/// ```
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ChildError {
    /// There is no such child.
    #[error("no such child")]
    NotFound,
    /// The supervisor did not answer.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// The error of [`stop`](crate::SupervisorRef::stop) and
/// [`stop_timeout`](crate::SupervisorRef::stop_timeout).
///
/// ```
/// # use riot_actor::{run, Reason};
/// use riot_supervisor::{Supervisor, SupervisorStopError};
/// # let reason = run(async {
/// let sup = Supervisor::one_for_one().start_link().await?;
/// sup.stop(Reason::Normal).await?;
/// assert_eq!(sup.stop(Reason::Normal).await, Err(SupervisorStopError::NoProc));
/// # Ok::<_, Reason>(())
/// # });
/// # assert_eq!(reason, Reason::Normal);
/// ```
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SupervisorStopError {
    /// There is no such process.
    #[error("no such process")]
    NoProc,
    /// The supervisor has ended with another reason than the one asked for.
    #[error("the supervisor ended with another reason: {0}")]
    Exit(Reason),
    /// The supervisor has not ended in time. The stop goes on.
    #[error("the supervisor did not end in time")]
    Timeout,
    /// The supervisor called itself. It would wait for its own end.
    #[error("a supervisor cannot stop itself by a call")]
    CallingSelf,
    /// The process is no supervisor: it dropped the request.
    #[error("the process is no supervisor")]
    NotASupervisor,
}

//! One error per operation.

use std::fmt;

use riot_actor::{Pid, Reason, call::CallError};

use crate::child_id::ChildId;

/// Why a supervisor did not start. Nothing of it is left.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SupervisorStartError {
    /// Its name is taken, by this process.
    #[error("already started: {0} has the name")]
    AlreadyStarted(Pid),
    /// Its description contradicts itself; no child was started.
    #[error(transparent)]
    Invalid(#[from] SpecError),
    /// A child did not start; those before it were stopped again.
    #[error(transparent)]
    Child(FailedToStart),
    /// Its init function failed, or it was ended from outside.
    #[error("the supervisor ended before it was up: {0}")]
    Init(Reason),
}

impl SupervisorStartError {
    /// Why the process of the supervisor ended.
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

/// The child that kept its supervisor from starting. As a reason it stands in
/// [`Reason::ShutdownWith`]: the end of such a supervisor is no crash.
#[derive(Clone, PartialEq, thiserror::Error)]
#[error("child {id} failed to start: {reason}")]
pub struct FailedToStart {
    /// The child.
    pub id: ChildId,
    /// What its start function said.
    pub reason: Reason,
}

/// Reasons print their details with `Debug`, and this one is read by people.
impl fmt::Debug for FailedToStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A description of a supervisor or a child that contradicts itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// Two children have this id.
    #[error("two children have the id {0}")]
    DuplicateId(ChildId),
    /// A significant child ends the supervisor by ending, which a permanent one never does for good.
    #[error("child {0} is significant and permanent; make it transient or temporary")]
    SignificantPermanent(ChildId),
    /// The supervisor was not told what a significant child means.
    #[error("child {0} is significant, but the supervisor has no auto-shutdown")]
    SignificantWithoutAutoShutdown(ChildId),
    /// A period of no length holds no restart.
    #[error("the period of the restart intensity is zero")]
    ZeroPeriod,
    /// Delays grow from something to something more.
    #[error("the first delay of the backoff is zero, or longer than the longest")]
    BackoffBounds,
    /// A dynamic supervisor starts empty.
    #[error("child {0} is given to a dynamic supervisor; start it with start_child")]
    ChildOfDynamic(ChildId),
    /// Only a dynamic supervisor has a bound.
    #[error("max_children means nothing to a supervisor that is not dynamic")]
    MaxChildrenOfStatic,
}

/// Why a child was not started.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StartChildError {
    /// A child of this id runs.
    #[error("already started: {0}")]
    AlreadyStarted(Pid),
    /// A child of this id is known and has no process, or is restarting.
    #[error("a child with this id is already present")]
    AlreadyPresent,
    /// The dynamic supervisor is full. Try later, or elsewhere.
    #[error("the supervisor has as many children as it may")]
    MaxChildren,
    /// The spec contradicts itself.
    #[error(transparent)]
    Invalid(#[from] SpecError),
    /// Its start function failed or panicked; the child is not known.
    #[error("the child failed to start: {0}")]
    Failed(Reason),
    /// Its start function had nothing to start. A supervisor that is not dynamic keeps the spec of a child that is not
    /// temporary.
    #[error("the child chose not to run")]
    Ignored,
    /// The supervisor did not answer. Whether the child runs is unknown.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Why a child was not restarted.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RestartChildError {
    /// There is no such child.
    #[error("no such child")]
    NotFound,
    /// It has a process.
    #[error("the child runs, as {0}")]
    Running(Pid),
    /// The supervisor is at it.
    #[error("the child is restarting")]
    Restarting,
    /// Its start function failed or panicked; the spec stays.
    #[error("the child failed to start: {0}")]
    Failed(Reason),
    /// Its start function had nothing to start; the spec stays.
    #[error("the child chose not to run")]
    Ignored,
    /// The supervisor did not answer.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Why a spec was not deleted.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DeleteChildError {
    /// There is no such child.
    #[error("no such child")]
    NotFound,
    /// It has a process: terminate it first.
    #[error("the child runs, as {0}")]
    Running(Pid),
    /// It is about to have one: terminate it first.
    #[error("the child is restarting")]
    Restarting,
    /// The supervisor did not answer.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Why a child was not found.
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

/// Why a supervisor was not stopped as asked.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SupervisorStopError {
    /// There is no such process.
    #[error("no such process")]
    NoProc,
    /// It has ended, but for another reason.
    #[error("it ended otherwise than asked: {0}")]
    Exit(Reason),
    /// It has not ended in time. It still will.
    #[error("it did not end in time")]
    Timeout,
    /// A child that stops its supervisor would wait for its own end.
    #[error("a process cannot stop itself by a call")]
    CallingSelf,
}

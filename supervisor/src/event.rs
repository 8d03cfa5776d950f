//! What a supervisor reports: to the log, and to whoever subscribed.

use std::time::Duration;

use riot_actor::{
    Pid, Reason,
    mailbox::{TrySendError, try_send},
    this,
};

use crate::{child_id::ChildId, child_spec::ChildSpec};

/// What happened to a child. Sent to every process that called [`subscribe`](crate::SupervisorRef::subscribe).
///
/// The log gets all but [`Started`](SupervisorEvent::Started) and clean ends, under the target `riot::supervisor`. A crash is an
/// error of the process that crashed; here it is a warning, so that it is not said twice at the same level.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum SupervisorEvent {
    /// A child was started, for the first time or because somebody asked for it.
    Started {
        /// Whose child.
        supervisor: Pid,
        /// Which child.
        id: ChildId,
        /// Its process.
        pid: Pid,
    },
    /// A child that had ended, or was stopped because another had, was started again.
    Restarted {
        /// Whose child.
        supervisor: Pid,
        /// Which child.
        id: ChildId,
        /// Its process.
        pid: Pid,
    },
    /// A start function failed or panicked.
    StartFailed {
        /// Whose child.
        supervisor: Pid,
        /// Which child.
        id: ChildId,
        /// What the start function said.
        reason: Reason,
    },
    /// A child ended by itself: it crashed, unless the reason [is clean](Reason::is_clean).
    Ended {
        /// Whose child.
        supervisor: Pid,
        /// Which child.
        id: ChildId,
        /// Its process.
        pid: Pid,
        /// Why it ended.
        reason: Reason,
    },
    /// A child that was asked to shut down ended otherwise: it crashed on the way, or had to be killed.
    ShutdownFailed {
        /// Whose child.
        supervisor: Pid,
        /// Which child.
        id: ChildId,
        /// Its process.
        pid: Pid,
        /// Why it ended.
        reason: Reason,
    },
    /// A child was killed and does not give way. The supervisor goes on waiting: two of one child never run at once.
    Unresponsive {
        /// Whose child.
        supervisor: Pid,
        /// Which child.
        id: ChildId,
        /// Its process.
        pid: Pid,
        /// How long ago it was killed.
        since: Duration,
    },
    /// One restart more than the intensity allows was due; the supervisor shuts down.
    IntensityReached {
        /// Which supervisor.
        supervisor: Pid,
        /// The child that would have been restarted.
        id: ChildId,
    },
}

#[derive(Debug, Default)]
pub(crate) struct Reporter {
    subscribers: Vec<Pid>,
}

impl Reporter {
    pub(crate) fn subscribe(&mut self, pid: Pid) {
        if !self.subscribers.contains(&pid) {
            self.subscribers.push(pid);
        }
    }

    /// An event nobody subscribed to is not even made.
    fn tell(&mut self, event: impl FnOnce() -> SupervisorEvent) {
        if self.subscribers.is_empty() {
            return;
        }
        let event = event();
        // One with a full mailbox misses this event, not those to come.
        self.subscribers.retain(|&pid| !matches!(try_send(pid, event.clone()), Err(TrySendError::NoProc(_))));
    }

    pub(crate) fn started(&mut self, spec: &ChildSpec, pid: Pid) {
        tracing::trace!(target: "riot::supervisor", supervisor = %this(), child = %spec.id, %pid, "child started");
        self.tell(|| SupervisorEvent::Started { supervisor: this(), id: spec.id.clone(), pid });
    }

    pub(crate) fn restarted(&mut self, spec: &ChildSpec, pid: Pid) {
        tracing::info!(target: "riot::supervisor", supervisor = %this(), child = %spec.id, %pid, "child restarted");
        self.tell(|| SupervisorEvent::Restarted { supervisor: this(), id: spec.id.clone(), pid });
    }

    pub(crate) fn start_failed(&mut self, spec: &ChildSpec, reason: &Reason) {
        tracing::error!(target: "riot::supervisor", supervisor = %this(), child = %spec.id, "child failed to start: {reason}");
        self.tell(|| SupervisorEvent::StartFailed {
            supervisor: this(),
            id: spec.id.clone(),
            reason: reason.clone(),
        });
    }

    pub(crate) fn ended(&mut self, id: &ChildId, pid: Pid, reason: &Reason) {
        if reason.is_clean() {
            tracing::trace!(target: "riot::supervisor", supervisor = %this(), child = %id, %pid, "child ended: {reason}");
        } else {
            tracing::warn!(target: "riot::supervisor", supervisor = %this(), child = %id, %pid, "child ended: {reason}");
        }
        self.tell(|| SupervisorEvent::Ended {
            supervisor: this(),
            id: id.clone(),
            pid,
            reason: reason.clone(),
        });
    }

    pub(crate) fn shutdown_failed(&mut self, id: &ChildId, pid: Pid, reason: &Reason) {
        tracing::warn!(target: "riot::supervisor", supervisor = %this(), child = %id, %pid, "child did not shut down as asked: {reason}");
        self.tell(|| SupervisorEvent::ShutdownFailed {
            supervisor: this(),
            id: id.clone(),
            pid,
            reason: reason.clone(),
        });
    }

    pub(crate) fn unresponsive(&mut self, id: &ChildId, pid: Pid, since: Duration) {
        tracing::error!(target: "riot::supervisor", supervisor = %this(), child = %id, %pid, ?since, "child was killed and does not give way");
        self.tell(|| SupervisorEvent::Unresponsive { supervisor: this(), id: id.clone(), pid, since });
    }

    pub(crate) fn intensity_reached(&mut self, id: &ChildId) {
        tracing::error!(target: "riot::supervisor", supervisor = %this(), child = %id, "too many restarts: the supervisor shuts down");
        self.tell(|| SupervisorEvent::IntensityReached { supervisor: this(), id: id.clone() });
    }
}

//! The events of a supervisor, sent to the log and to subscribers.

use std::time::Duration;

use riot_actor::{
    Pid, Reason,
    log::{admits_line, printable, tracing::Level},
    log_event,
    mailbox::{TrySendError, try_send},
    runtime::cause_of_exit,
    telemetry::{NamedEvent, emit, is_watched},
    this,
};

use crate::{child_id::ChildId, child_spec::ChildSpec, error::SupervisorStartError, system::Counts};

/// An event in the life of a child. Sent to every process that called
/// [`subscribe`](crate::SupervisorRef::subscribe). It is also shown to the handlers of its type, which see
/// the events of all supervisors: `telemetry::attach(|event: &SupervisorEvent| ..)`.
///
/// The log gets all events but [`Started`](SupervisorEvent::Started) and clean ends, under the target
/// `riot::supervisor`. The crash of a child is logged as a warning here, since the process that crashed logs
/// it as an error.
///
/// ```
/// use riot_actor::{receive, run, Reason};
/// use riot_supervisor::{Supervisor, SupervisorEvent, process};
///
/// let reason = run(async {
///     let pool = Supervisor::dynamic().start_link().await?;
///     pool.subscribe().await?;
///     let job = pool.start_child(process("job", || async {}).temporary()).await?;
///     assert!(matches!(receive().await, SupervisorEvent::Started { pid, .. } if pid == job));
///     assert!(matches!(receive().await, SupervisorEvent::Ended { reason: Reason::Normal, .. }));
///     Ok::<_, Reason>(())
/// });
/// # assert_eq!(reason, Reason::Normal);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum SupervisorEvent {
    /// A child was started, for the first time or by request.
    Started {
        /// The supervisor of the child.
        supervisor: Pid,
        /// The id of the child.
        id: ChildId,
        /// The process of the child.
        pid: Pid,
    },
    /// A child that had ended, or was stopped because another had, was started again.
    Restarted {
        /// The supervisor of the child.
        supervisor: Pid,
        /// The id of the child.
        id: ChildId,
        /// The process of the child.
        pid: Pid,
    },
    /// A start function failed or panicked.
    StartFailed {
        /// The supervisor of the child.
        supervisor: Pid,
        /// The id of the child.
        id: ChildId,
        /// The error of the start function.
        reason: Reason,
    },
    /// A child ended by itself. It crashed, unless the reason [is clean](Reason::is_clean).
    Ended {
        /// The supervisor of the child.
        supervisor: Pid,
        /// The id of the child.
        id: ChildId,
        /// The process of the child.
        pid: Pid,
        /// The exit reason of the child.
        reason: Reason,
    },
    /// A child that was asked to shut down crashed on the way, or had to be killed.
    ShutdownFailed {
        /// The supervisor of the child.
        supervisor: Pid,
        /// The id of the child.
        id: ChildId,
        /// The process of the child.
        pid: Pid,
        /// The exit reason of the child.
        reason: Reason,
    },
    /// A child was killed and has not ended yet, since it does not yield. The supervisor goes on waiting: two
    /// processes of one child never run at once.
    Unresponsive {
        /// The supervisor of the child.
        supervisor: Pid,
        /// The id of the child.
        id: ChildId,
        /// The process of the child.
        pid: Pid,
        /// The time since it was killed.
        since: Duration,
    },
    /// A child has used up its retries, and is not started again, see
    /// [`Retry::forget`](crate::Retry::forget).
    GivenUp {
        /// The supervisor of the child.
        supervisor: Pid,
        /// The id of the child.
        id: ChildId,
    },
    /// One restart more than the intensity allows was due; the supervisor shuts down.
    IntensityReached {
        /// The supervisor that gave up.
        supervisor: Pid,
        /// The child that would have been restarted.
        id: ChildId,
    },
}

impl NamedEvent for SupervisorEvent {
    const NAME: &'static str = "supervisor";
}

impl SupervisorEvent {
    /// Returns the name in logs and in JSON, such as `supervisor.restarted`.
    ///
    /// ```
    /// use riot_actor::run;
    /// use riot_supervisor::SupervisorEvent;
    /// # run(async {
    /// let event = SupervisorEvent::GivenUp { supervisor: riot_actor::this(), id: "db".into() };
    /// assert_eq!(event.name(), "supervisor.given_up");
    /// # });
    /// ```
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Started { .. } => "supervisor.started",
            Self::Restarted { .. } => "supervisor.restarted",
            Self::StartFailed { .. } => "supervisor.start_failed",
            Self::Ended { .. } => "supervisor.ended",
            Self::ShutdownFailed { .. } => "supervisor.shutdown_failed",
            Self::Unresponsive { .. } => "supervisor.unresponsive",
            Self::GivenUp { .. } => "supervisor.given_up",
            Self::IntensityReached { .. } => "supervisor.intensity_reached",
        }
    }
}

/// The `tracing` target of all supervisors.
pub(crate) const TARGET: &str = "riot::supervisor";

/// Returns a reason with its causes, fit for a line of the log.
fn text(reason: &Reason) -> String {
    printable(format_args!("{reason:#}"))
}

#[derive(Debug)]
pub(crate) struct Reporter {
    pub(crate) counts: Counts,
    subscribers: Vec<Pid>,
    /// The reason of the last child that ended or failed to start.
    last_failure: Option<Reason>,
}

impl Reporter {
    pub(crate) fn new() -> Self {
        Self { counts: Counts::new(), subscribers: Vec::new(), last_failure: None }
    }

    pub(crate) fn subscribe(&mut self, pid: Pid) {
        if !self.subscribers.contains(&pid) {
            self.subscribers.push(pid);
        }
    }

    /// Returns the reason of the last child that ended or failed to start.
    pub(crate) fn take_last_failure(&mut self) -> Reason {
        self.last_failure.take().unwrap_or(Reason::Normal)
    }

    /// Sends an event to all subscribers, and shows it to the handlers of its type. Without either the event
    /// is not made.
    fn publish(&mut self, event: impl FnOnce() -> SupervisorEvent) {
        if self.subscribers.is_empty() && !is_watched::<SupervisorEvent>() {
            return;
        }
        let event = event();
        emit(&event);
        // A subscriber with a full mailbox misses this event, not later ones.
        self.subscribers.retain(|&pid| !matches!(try_send(pid, event.clone()), Err(TrySendError::NoProc(_))));
    }

    pub(crate) fn started(&mut self, spec: &ChildSpec, pid: Pid) {
        self.counts.starts += 1;
        log_event!(TRACE, TARGET, supervisor = %this(), child = %spec.id, %pid, "child started");
        self.publish(|| SupervisorEvent::Started { supervisor: this(), id: spec.id.clone(), pid });
    }

    pub(crate) fn restarted(&mut self, spec: &ChildSpec, pid: Pid) {
        self.counts.restarts += 1;
        if admits_line(TARGET, Level::INFO, "child restarted") {
            log_event!(INFO, TARGET, supervisor = %this(), child = %spec.id, %pid, "child restarted");
        }
        self.publish(|| SupervisorEvent::Restarted { supervisor: this(), id: spec.id.clone(), pid });
    }

    pub(crate) fn start_failed(&mut self, spec: &ChildSpec, reason: &Reason) {
        self.counts.failed_starts += 1;
        self.last_failure = Some(reason.clone());
        let id = &spec.id;
        let line = format!("child failed to start: {}", text(reason));
        if SupervisorStartError::is_reported(reason) {
            log_event!(DEBUG, TARGET, supervisor = %this(), child = %id, "{line}");
        } else if admits_line(TARGET, Level::ERROR, &line) {
            log_event!(ERROR, TARGET, supervisor = %this(), child = %id, "{line}");
        }
        self.publish(|| SupervisorEvent::StartFailed {
            supervisor: this(),
            id: spec.id.clone(),
            reason: reason.clone(),
        });
    }

    pub(crate) fn ended(&mut self, id: &ChildId, pid: Pid, reason: &Reason) {
        self.counts.ends += 1;
        self.last_failure = Some(cause_of_exit(pid, reason));
        if reason.is_clean() {
            log_event!(
                TRACE, TARGET, supervisor = %this(), child = %id, %pid, "child ended: {}", text(reason)
            );
        } else {
            let line = format!("child ended: {}", text(reason));
            if admits_line(TARGET, Level::WARN, &line) {
                log_event!(WARN, TARGET, supervisor = %this(), child = %id, %pid, "{line}");
            }
        }
        self.publish(|| SupervisorEvent::Ended {
            supervisor: this(),
            id: id.clone(),
            pid,
            reason: reason.clone(),
        });
    }

    pub(crate) fn shutdown_failed(&mut self, id: &ChildId, pid: Pid, reason: &Reason) {
        let supervisor = this();
        log_event!(
            WARN, TARGET, %supervisor, child = %id, %pid, "child did not shut down as asked: {}", text(reason)
        );
        self.publish(|| SupervisorEvent::ShutdownFailed {
            supervisor: this(),
            id: id.clone(),
            pid,
            reason: reason.clone(),
        });
    }

    pub(crate) fn unresponsive(&mut self, id: &ChildId, pid: Pid, since: Duration) {
        let supervisor = this();
        log_event!(
            ERROR, TARGET, %supervisor, child = %id, %pid, ?since, "child was killed and does not yield"
        );
        self.publish(|| SupervisorEvent::Unresponsive { supervisor: this(), id: id.clone(), pid, since });
    }

    pub(crate) fn given_up(&mut self, id: &ChildId) {
        let supervisor = this();
        let last = text(self.last_failure.as_ref().unwrap_or(&Reason::Normal));
        let line = format!("child has used up its retries and is given up; the last reason: {last}");
        if admits_line(TARGET, Level::WARN, &line) {
            log_event!(WARN, TARGET, %supervisor, child = %id, "{line}");
        }
        self.publish(|| SupervisorEvent::GivenUp { supervisor: this(), id: id.clone() });
    }

    pub(crate) fn intensity_reached(&mut self, id: &ChildId) {
        let supervisor = this();
        let label = riot_actor::process::info(supervisor).and_then(|info| info.label);
        let last = text(self.last_failure.as_ref().unwrap_or(&Reason::Normal));
        log_event!(
            ERROR,
            TARGET,
            %supervisor,
            label = label.as_deref(),
            child = %id,
            "too many restarts: the supervisor shuts down; the last reason: {last}"
        );
        self.publish(|| SupervisorEvent::IntensityReached { supervisor: this(), id: id.clone() });
    }
}

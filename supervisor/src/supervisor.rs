//! The process of a supervisor: receives exits and requests, asks strategy and intensity, acts.

use std::{ops::ControlFlow, time::Duration};

use riot_actor::{
    Down, Exit, Message, Pid, Reason,
    call::{CallRequest, ReplyTo},
    gen_server::ServerStatus,
    link,
    log::failed_to_start,
    mailbox::{receive_any, receive_if, select},
    monitor, now,
    process::{catch_panic, contain, demonitor_flush, set_label, yield_now},
    receive, register,
    runtime::give_up,
    send, this,
    time::send_after,
    timeout,
};

use crate::{
    backoff::{Failures, RetryPolicy},
    builder::{InitFn, Shape},
    child_spec::{ChildSpec, Restart, SpecSummary},
    children::Children,
    dynamic::Dynamic,
    error::{ChildError, DeleteChildError, FailedToStart, RestartChildError, StartChildError},
    event::{Reporter, TARGET},
    intensity::{Intensity, Verdict},
    reference::{
        ChildCounts, ChildInfo, CountChildren, DeleteChild, FindChild, GetChildSpec, Linked, RestartChild,
        StartChild, Stop, Subscribe, TerminateChild, Up, WhichChildren,
    },
    retry::AfterFailure,
    strategy::AutoShutdown,
    system::{ReplaceState, SupervisorSettings, SupervisorState, System},
    view::Publisher,
};

/// The number of a future attempt. A retry whose child has another ticket, or none, is out of date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Ticket(u64);

/// The message that a scheduled attempt is due.
struct Due(Ticket);

/// The time of the restart of a child that has ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum RestartWhen {
    Now,
    /// When the retry with this ticket arrives.
    Later(Ticket),
    /// The child is given up.
    Never,
}

/// The state that static and dynamic supervisors share.
pub(crate) struct Core {
    parent: Pid,
    intensity: Intensity,
    retry_policy: RetryPolicy,
    pub(crate) auto_shutdown: AutoShutdown,
    pub(crate) reporter: Reporter,
    pub(crate) publisher: Publisher,
    tickets: u64,
    /// The right to reply to the stop, which is answered by the exit.
    stop_request: Option<ReplyTo<()>>,
    is_suspended: bool,
}

impl Core {
    /// Runs a start function for the first time or by request. Links the process it returns.
    pub(crate) async fn start(&mut self, spec: &mut ChildSpec) -> Result<Option<Pid>, Reason> {
        let started = self.run_start(spec).await;
        if let Ok(Some(pid)) = started {
            self.reporter.started(spec, pid);
        }
        started
    }

    /// Runs a start function to restart a child. Links the process it returns.
    pub(crate) async fn start_again(&mut self, spec: &mut ChildSpec) -> Result<Option<Pid>, Reason> {
        let started = self.run_start(spec).await;
        if let Ok(Some(pid)) = started {
            self.reporter.restarted(spec, pid);
        }
        started
    }

    async fn run_start(&mut self, spec: &mut ChildSpec) -> Result<Option<Pid>, Reason> {
        let start = spec.start.as_mut().expect("only a child that has ended for good has no start function");
        let options = &spec.options;
        let started = match catch_panic(async { start.call(options).await }).await {
            Ok(started) => started,
            Err(panic) => Err(Reason::Panic(panic.into())),
        };
        match &started {
            Ok(Some(pid)) => {
                // If the process has ended already, its `Exit` arrives at once.
                link(*pid);
                if spec.restart == Restart::Temporary {
                    spec.start = None;
                }
            }
            Ok(None) => {}
            Err(reason) => self.reporter.start_failed(spec, reason),
        }
        started
    }

    /// Records an attempt to restart a child, unless it is a retry of its own. Breaks with the exit reason if
    /// the attempt must not be made.
    pub(crate) async fn may_restart(&mut self, spec: &mut ChildSpec) -> ControlFlow<Reason> {
        // If the parent has asked for the end, it may have ended the child too: nothing is restarted.
        let asked = receive_if(|exit: &Exit| exit.from == self.parent || exit.from.is_system());
        if let Ok(exit) = timeout(Duration::ZERO, asked).await {
            return ControlFlow::Break(exit.reason);
        }
        if spec.retries.as_mut().is_some_and(|retries| retries.take_retry()) {
            return ControlFlow::Continue(());
        }
        let id = &spec.id;
        let verdict = self.intensity.record(now());
        self.publisher.set_recent(self.intensity.instants());
        match verdict {
            Verdict::Restart => ControlFlow::Continue(()),
            Verdict::GiveUp => {
                self.reporter.intensity_reached(id);
                let last = self.reporter.take_last_failure();
                let (restarts, period) = (self.intensity.max_restarts(), self.intensity.period());
                ControlFlow::Break(give_up(id.to_string(), restarts, period, last))
            }
        }
    }

    /// Decides about the restart of a child that has ended.
    pub(crate) fn after_end(&mut self, spec: &mut ChildSpec, failures: &mut Failures) -> RestartWhen {
        match self.after_failure(spec) {
            Some(when) => when,
            None if self.retry_policy.delays_every_restart() => {
                RestartWhen::Later(self.retry_later(failures))
            }
            None => RestartWhen::Now,
        }
    }

    /// Decides about the next attempt to restart a child that has failed to start; none to give it up.
    pub(crate) fn after_failed_restart(
        &mut self,
        spec: &mut ChildSpec,
        failures: &mut Failures,
    ) -> Option<Ticket> {
        match self.after_failure(spec) {
            Some(RestartWhen::Later(ticket)) => Some(ticket),
            Some(RestartWhen::Never) => None,
            Some(RestartWhen::Now) | None => Some(self.retry_later(failures)),
        }
    }

    /// Decides as the retries of a child say; none if they say nothing.
    fn after_failure(&mut self, spec: &mut ChildSpec) -> Option<RestartWhen> {
        match spec.retries.as_mut()?.after_failure(now()) {
            AfterFailure::Retry(delay) => Some(RestartWhen::Later(self.schedule(delay))),
            AfterFailure::Count => None,
            AfterFailure::Forget => {
                self.reporter.given_up(&spec.id);
                Some(RestartWhen::Never)
            }
        }
    }

    /// Schedules another attempt, after the delay that the supervisor makes.
    fn retry_later(&mut self, failures: &mut Failures) -> Ticket {
        let delay = self.retry_policy.delay(failures, now());
        self.schedule(delay)
    }

    /// Schedules another attempt, behind the messages that are in the mailbox already.
    fn schedule(&mut self, delay: Duration) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        if delay.is_zero() {
            send(this(), Due(ticket));
        } else {
            send_after(delay, this(), Due(ticket));
        }
        ticket
    }
}

enum ChildSet {
    Ordered(Children),
    Dynamic(Dynamic),
}

impl ChildSet {
    async fn start_all(&mut self, core: &mut Core) -> Result<(), FailedToStart> {
        match self {
            Self::Ordered(children) => children.start_all(core).await,
            Self::Dynamic(_) => Ok(()),
        }
    }

    async fn stop_all(&mut self, core: &mut Core) {
        match self {
            Self::Ordered(children) => children.stop_all(core).await,
            Self::Dynamic(children) => children.stop_all(core).await,
        }
    }
}

/// The body of every supervisor.
pub(crate) async fn run(parent: Pid, init: InitFn) -> Reason {
    // The starter waits for the reply to this call, or for the end of this process, whose reason it gets
    // then.
    let up = receive::<CallRequest<Up, ()>>().await;
    // Until there is a link, the monitor tells the end of the starter.
    let parent_watch = monitor(parent);
    let described = match init().await {
        Ok(described) => described,
        Err(reason) => {
            failed_to_start();
            return reason;
        }
    };
    if let Err(invalid) = described.check() {
        failed_to_start();
        return invalid.into();
    }
    if let Some(label) = described.label {
        set_label(label);
    }
    if let Some(name) = described.name
        && let Err(taken) = register(name, this())
    {
        failed_to_start();
        return taken.into();
    }
    let strategy = match described.shape {
        Shape::Ordered(strategy) => strategy.name(),
        Shape::Dynamic => "dynamic",
    };
    let mut core = Core {
        parent,
        intensity: Intensity::new(described.max_restarts, described.period),
        retry_policy: described
            .backoff
            .map_or(RetryPolicy::Fixed(described.retry_delay), RetryPolicy::growing),
        auto_shutdown: described.auto_shutdown,
        reporter: Reporter::new(),
        publisher: Publisher::new(strategy, described.max_restarts, described.period),
        tickets: 0,
        stop_request: None,
        is_suspended: false,
    };
    let mut child_set = match described.shape {
        Shape::Ordered(strategy) => ChildSet::Ordered(Children::new(strategy, described.children, &mut core)),
        Shape::Dynamic => ChildSet::Dynamic(Dynamic::new(described.max_children)),
    };
    if let Err(failed) = child_set.start_all(&mut core).await {
        child_set.stop_all(&mut core).await;
        return Reason::shutdown_with(failed);
    }
    // If the process is to end by now, it ends here and is never reported as up.
    yield_now().await;
    up.reply.send(());
    let reason = receive! {
        Linked => {
            demonitor_flush(parent_watch);
            serve(&mut child_set, &mut core).await
        }
        exit: Exit if exit.from == parent => exit.reason,
        down: Down if down.reference == parent_watch => down.reason,
    };
    child_set.stop_all(&mut core).await;
    reason
}

async fn serve(child_set: &mut ChildSet, core: &mut Core) -> Reason {
    loop {
        let message = if core.is_suspended {
            let parent = core.parent;
            select(|message| System::is_handled_in_suspension(message, parent)).await
        } else {
            receive_any().await
        };
        if let ControlFlow::Break(reason) = handle(child_set, core, message).await {
            return reason;
        }
    }
}

/// Tries the message types one after the other.
macro_rules! match_message {
    ($message:ident { $($name:ident : $type:ty => $body:expr,)+ }) => { $(
        let $message = match $message.downcast::<$type>() {
            Ok($name) => return $body,
            Err(message) => message,
        };
    )+ };
}

async fn handle(child_set: &mut ChildSet, core: &mut Core, message: Message) -> ControlFlow<Reason> {
    match_message!(message {
        exit: Exit => handle_exit(child_set, core, exit).await,
        due: Due => match child_set {
            ChildSet::Ordered(children) => children.retry(core, due.0).await,
            ChildSet::Dynamic(children) => children.retry(core, due.0).await,
        },
        stop: CallRequest<Stop, ()> => {
            core.stop_request = Some(stop.reply);
            ControlFlow::Break(stop.query.0)
        },
        request: CallRequest<StartChild, Result<Pid, StartChildError>> => {
            let StartChild(spec) = request.query;
            let answer = match (spec.check(core.auto_shutdown), &mut *child_set) {
                (Err(invalid), _) => Err(invalid.into()),
                (Ok(()), ChildSet::Ordered(children)) => children.start_child(core, spec).await,
                (Ok(()), ChildSet::Dynamic(children)) => children.start_child(core, spec).await,
            };
            request.reply.send(answer);
            ControlFlow::Continue(())
        },
        request: CallRequest<TerminateChild, Result<(), ChildError>> => {
            let answer = match child_set {
                ChildSet::Ordered(children) => children.terminate_child(core, &request.query.0).await,
                ChildSet::Dynamic(children) => children.terminate_child(core, &request.query.0).await,
            };
            request.reply.send(answer);
            ControlFlow::Continue(())
        },
        request: CallRequest<RestartChild, Result<Pid, RestartChildError>> => {
            let answer = match child_set {
                ChildSet::Ordered(children) => children.restart_child(core, &request.query.0).await,
                ChildSet::Dynamic(_) => Err(RestartChildError::NotFound),
            };
            request.reply.send(answer);
            ControlFlow::Continue(())
        },
        request: CallRequest<DeleteChild, Result<(), DeleteChildError>> => {
            let answer = match child_set {
                ChildSet::Ordered(children) => children.delete_child(core, &request.query.0),
                ChildSet::Dynamic(_) => Err(DeleteChildError::NotFound),
            };
            request.reply.send(answer);
            ControlFlow::Continue(())
        },
        request: CallRequest<WhichChildren, Vec<ChildInfo>> => {
            request.reply.send(match child_set {
                ChildSet::Ordered(children) => children.which().await,
                ChildSet::Dynamic(children) => children.which().await,
            });
            ControlFlow::Continue(())
        },
        request: CallRequest<CountChildren, ChildCounts> => {
            request.reply.send(match child_set {
                ChildSet::Ordered(children) => children.count().await,
                ChildSet::Dynamic(children) => children.count().await,
            });
            ControlFlow::Continue(())
        },
        request: CallRequest<FindChild, Option<Pid>> => {
            let FindChild(id, reference) = request.query;
            request.reply.send(match child_set {
                ChildSet::Ordered(children) => children.find_running(&id, reference),
                ChildSet::Dynamic(children) => children.find_running(&id, reference),
            });
            ControlFlow::Continue(())
        },
        request: CallRequest<GetChildSpec, Result<SpecSummary, ChildError>> => {
            request.reply.send(match child_set {
                ChildSet::Ordered(children) => children.spec(&request.query.0),
                ChildSet::Dynamic(children) => children.spec(&request.query.0),
            });
            ControlFlow::Continue(())
        },
        request: CallRequest<Subscribe, ()> => {
            core.reporter.subscribe(request.from);
            request.reply.send(());
            ControlFlow::Continue(())
        },
    });
    let message = match System::of(message) {
        Ok(request) => return handle_system(child_set, core, request).await,
        Err(message) => message,
    };
    riot_actor::log_event!(WARN, TARGET, supervisor = %this(), "unexpected message: {}", message.type_name());
    ControlFlow::Continue(())
}

async fn handle_system(child_set: &mut ChildSet, core: &mut Core, request: System) -> ControlFlow<Reason> {
    match request {
        System::Suspend(reply) => {
            core.is_suspended = true;
            core.publisher.set_suspended(true);
            reply.send(());
        }
        System::Resume(reply) => {
            core.is_suspended = false;
            core.publisher.set_suspended(false);
            reply.send(());
        }
        System::GetState(reply) => reply.send(state(child_set, core).await),
        System::ReplaceState(CallRequest { query, reply, .. }) => {
            if let Some(settings) = replaced(child_set, core, query) {
                reply.send(settings);
            }
        }
        System::GetStatus(reply) => {
            let text = format!("{:?}", state(child_set, core).await);
            reply.send(ServerStatus::of_this("riot_supervisor::Supervisor", core.is_suspended, text));
        }
        System::Statistics(reply) => reply.send(core.reporter.counts.statistics()),
    }
    ControlFlow::Continue(())
}

/// Replaces the settings; none if the function fails or makes settings that are not allowed.
fn replaced(
    child_set: &mut ChildSet,
    core: &mut Core,
    ReplaceState(replace): ReplaceState,
) -> Option<SupervisorSettings> {
    let max_children = match child_set {
        ChildSet::Ordered(_) => None,
        ChildSet::Dynamic(children) => children.max_children(),
    };
    let (max_restarts, period) = (core.intensity.max_restarts(), core.intensity.period());
    let mut settings = SupervisorSettings { max_restarts, period, max_children };
    let settings = contain(move || {
        replace(&mut settings);
        settings.check();
        settings
    })?;
    core.intensity.set(settings.max_restarts, settings.period);
    core.publisher.set_bounds(settings.max_restarts, settings.period);
    if let ChildSet::Dynamic(children) = child_set {
        children.set_max_children(settings.max_children);
    }
    Some(settings)
}

async fn state(child_set: &mut ChildSet, core: &Core) -> SupervisorState {
    let (strategy, children) = match child_set {
        ChildSet::Ordered(children) => (children.strategy().name(), children.which().await),
        ChildSet::Dynamic(children) => ("dynamic", children.which().await),
    };
    SupervisorState {
        strategy,
        max_restarts: core.intensity.max_restarts(),
        period: core.intensity.period(),
        recent_restarts: core.intensity.recent(now()),
        is_suspended: core.is_suspended,
        children,
    }
}

async fn handle_exit(child_set: &mut ChildSet, core: &mut Core, exit: Exit) -> ControlFlow<Reason> {
    let Exit { from, reason, by_link, .. } = exit;
    if from == core.parent || from.is_system() {
        return ControlFlow::Break(reason);
    }
    if !by_link {
        let supervisor = this();
        riot_actor::log_event!(
            DEBUG, TARGET, %supervisor, %from, "exit signal of an unlinked process ignored: {reason}"
        );
        return ControlFlow::Continue(());
    }
    match child_set {
        ChildSet::Ordered(children) => children.ended(core, from, reason).await,
        ChildSet::Dynamic(children) => children.ended(core, from, reason).await,
    }
}

//! The process: hears an exit, asks strategy and intensity, acts.

use std::{
    borrow::Cow, collections::HashSet, fmt, future::Future, ops::ControlFlow, pin::Pin, time::Duration,
};

use riot_actor::{
    CallError, Down, Exit, Message, Name, Pid, Reason, Request, SpawnOptions, call, catch_panic,
    demonitor_flush, exit, is_alive, link, monitor, now, receive, receive_any, receive_if, register, send,
    send_after, set_label, this, timeout, yield_now,
};

use crate::{
    backoff::{Backoff, Failures, Pace},
    children::Children,
    dynamic::Dynamic,
    error::{
        ChildError, DeleteChildError, FailedToStart, RestartChildError, SpecError, StartChildError,
        StartError, StopError,
    },
    event::Reporter,
    intensity::{Intensity, Verdict},
    spec::{ChildId, ChildKey, ChildSpec, Kind, Restart, SpecSummary},
    strategy::{AutoShutdown, Strategy},
};

/// A supervisor to be: its strategy, its children, its limits. [`start_link`](Self::start_link) makes it a process.
///
/// ```
/// use std::time::Duration;
/// use riot_actor::{Reason, run};
/// use riot_supervisor::{Supervisor, process};
///
/// let reason = run(async {
///     let sup = Supervisor::rest_for_one()
///         .intensity(3, Duration::from_secs(10))
///         .child(process("db", || std::future::pending::<()>()))
///         .child(process("web", || std::future::pending::<()>()))
///         .start_link()
///         .await?;
///     assert_eq!(sup.which_children().await?.len(), 2);
///     sup.stop(Reason::Normal, None).await?;
///     Ok::<_, Reason>(())
/// });
/// # assert_eq!(reason, Reason::Normal);
/// ```
#[derive(Debug)]
#[must_use = "nothing is supervised before `start_link`"]
pub struct Supervisor {
    shape: Shape,
    children: Vec<ChildSpec>,
    restarts_max: usize,
    period: Duration,
    retry_delay: Duration,
    backoff: Option<Backoff>,
    auto_shutdown: AutoShutdown,
    children_max: Option<usize>,
    name: Option<Name>,
    label: Option<Cow<'static, str>>,
}

#[derive(Clone, Copy, Debug)]
enum Shape {
    Ordered(Strategy),
    Dynamic,
}

impl Supervisor {
    /// A child that ends is restarted alone.
    pub fn one_for_one() -> Self {
        Self::new(Shape::Ordered(Strategy::OneForOne))
    }

    /// When one child is restarted, all are: they cannot do without each other.
    pub fn one_for_all() -> Self {
        Self::new(Shape::Ordered(Strategy::OneForAll))
    }

    /// When a child is restarted, so are those after it: each relies on the ones before it.
    pub fn rest_for_one() -> Self {
        Self::new(Shape::Ordered(Strategy::RestForOne))
    }

    /// It starts without children; they come by [`start_child`](SupervisorRef::start_child), as many as you like, and
    /// are addressed by their pids. Each is restarted alone, and all are shut down at once.
    ///
    /// ```
    /// use riot_actor::{Reason, run, send};
    /// use riot_supervisor::{Supervisor, process};
    ///
    /// let reason = run(async {
    ///     let pool = Supervisor::dynamic().max_children(1_000).start_link().await?;
    ///     let job = pool.start_child(process("job", || std::future::pending::<()>()).temporary()).await?;
    ///     pool.terminate_child(job).await?;
    ///     assert_eq!(pool.count_children().await?.specs, 0);
    ///     Ok::<_, Reason>(())
    /// });
    /// # assert_eq!(reason, Reason::Normal);
    /// ```
    pub fn dynamic() -> Self {
        Self::new(Shape::Dynamic)
    }

    /// A supervisor described by a function that runs in the new process, so that what it makes, such as a listening
    /// socket, is made anew at every restart and owned by the supervisor. The function may not use the supervisor's
    /// own mailbox.
    ///
    /// ```
    /// use std::{io, net::TcpListener, sync::Arc};
    /// use riot_actor::{Reason, run};
    /// use riot_supervisor::{Supervisor, process};
    ///
    /// let reason = run(async {
    ///     let sup = Supervisor::init(|| async {
    ///         let listener = Arc::new(TcpListener::bind("127.0.0.1:0")?);
    ///         let acceptor = move || {
    ///             let _listener = listener.clone();
    ///             std::future::pending::<()>()
    ///         };
    ///         Ok::<_, io::Error>(Supervisor::one_for_one().child(process("acceptor", acceptor)))
    ///     })
    ///     .label("Acceptor.Sup")
    ///     .start_link()
    ///     .await?;
    ///     sup.stop(Reason::Normal, None).await?; // and the port is free
    ///     Ok::<_, Reason>(())
    /// });
    /// # assert_eq!(reason, Reason::Normal);
    /// ```
    pub fn init<F, E>(init: impl FnOnce() -> F + Send + 'static) -> Init
    where
        F: Future<Output = Result<Supervisor, E>> + Send + 'static,
        E: Into<Reason>,
    {
        let init: Describe = Box::new(move || {
            let described = init();
            Box::pin(async move { described.await.map_err(Into::into) })
        });
        Init { init, name: None, label: None }
    }

    fn new(shape: Shape) -> Self {
        Self {
            shape,
            children: Vec::new(),
            restarts_max: 1,
            period: Duration::from_secs(5),
            retry_delay: Duration::ZERO,
            backoff: None,
            auto_shutdown: AutoShutdown::Never,
            children_max: None,
            name: None,
            label: None,
        }
    }

    /// How many restarts it tries in any `period` before it gives up, stops its children and ends with
    /// [`Reason::Shutdown`]; default 1 in 5 s. The restart of a group counts once, every attempt of a failing start
    /// counts.
    pub fn intensity(mut self, restarts_max: usize, period: Duration) -> Self {
        self.restarts_max = restarts_max;
        self.period = period;
        self
    }

    /// Adds a child, to the right of those before it.
    pub fn child(mut self, spec: ChildSpec) -> Self {
        self.children.push(spec);
        self
    }

    /// How long to wait after a failed restart before the next attempt; default not at all. Requests are served
    /// meanwhile in any case.
    pub fn retry_delay(mut self, delay: Duration) -> Self {
        self.retry_delay = delay;
        self
    }

    /// Waits longer and longer between the attempts to restart a child that fails to start, in place of
    /// [`retry_delay`](Self::retry_delay); default not. Attempts count as ever: with an intensity that allows few it
    /// gives up before delays matter.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = Some(backoff);
        self
    }

    /// Whether it ends when its significant children have; default never.
    pub fn auto_shutdown(mut self, auto_shutdown: AutoShutdown) -> Self {
        self.auto_shutdown = auto_shutdown;
        self
    }

    /// How many children a dynamic supervisor may have; default without limit. Those restarting count.
    pub fn max_children(mut self, children_max: usize) -> Self {
        self.children_max = Some(children_max);
        self
    }

    /// A name to find it by.
    pub fn name(mut self, name: impl Into<Name>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// What it is, for whoever looks at the running system; default `supervisor`.
    pub fn label(mut self, label: impl Into<Cow<'static, str>>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Starts it, linked to the caller, and its children. It returns when all are up.
    ///
    /// # Errors
    /// See [`StartError`]. Nothing is left of the supervisor then: no process, no name, no message; and the caller
    /// lives on, whether it traps exits or not.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the supervisor is asked to shut down.
    ///
    /// # Panics
    /// Outside a process.
    pub async fn start_link(mut self) -> Result<SupervisorRef, StartError> {
        let (name, label) = (self.name.take(), self.label.take());
        Init { init: Box::new(|| Box::pin(std::future::ready(Ok(self)))), name, label }.start_link().await
    }

    fn check(&self) -> Result<(), SpecError> {
        if self.period.is_zero() {
            return Err(SpecError::ZeroPeriod);
        }
        if let Some(backoff) = &self.backoff {
            backoff.check()?;
        }
        match self.shape {
            Shape::Dynamic => {
                if let Some(child) = self.children.first() {
                    return Err(SpecError::ChildOfDynamic(child.id.clone()));
                }
            }
            Shape::Ordered(_) if self.children_max.is_some() => return Err(SpecError::MaxChildrenOfStatic),
            Shape::Ordered(_) => {}
        }
        let mut ids = HashSet::new();
        for child in &self.children {
            child.check(self.auto_shutdown)?;
            if !ids.insert(&child.id) {
                return Err(SpecError::DuplicateId(child.id.clone()));
            }
        }
        Ok(())
    }
}

type Describe = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = Result<Supervisor, Reason>> + Send>> + Send>;

/// A supervisor that is described in its own process; made by [`Supervisor::init`].
#[must_use = "nothing is supervised before `start_link`"]
pub struct Init {
    init: Describe,
    name: Option<Name>,
    label: Option<Cow<'static, str>>,
}

impl fmt::Debug for Init {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Init").field("name", &self.name).field("label", &self.label).finish_non_exhaustive()
    }
}

impl Init {
    /// A name to find it by, taken before the function runs.
    pub fn name(mut self, name: impl Into<Name>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// What it is, for whoever looks at the running system; default `supervisor`.
    pub fn label(mut self, label: impl Into<Cow<'static, str>>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// See [`Supervisor::start_link`]; an error of the function is [`StartError::Init`].
    ///
    /// # Errors
    /// See [`StartError`].
    ///
    /// # Panics
    /// Outside a process.
    pub async fn start_link(self) -> Result<SupervisorRef, StartError> {
        let label = self.label.unwrap_or(Cow::Borrowed("supervisor"));
        let mut options = SpawnOptions::new().trap_exit().label(label);
        if let Some(name) = self.name {
            options = options.name(name);
        }
        let pid = options
            .try_spawn(run(this(), self.init))
            .map_err(|taken| StartError::AlreadyStarted(taken.holder))?;
        let unfinished = Unfinished(pid);
        let up = call::<Up, ()>(pid, Up, None).await;
        std::mem::forget(unfinished);
        match up {
            Ok(()) => {
                // It is the starter that links, so that nothing before this moment can take it along.
                link(pid);
                send(pid, Linked);
                Ok(SupervisorRef::new(pid))
            }
            Err(CallError::Exit(reason)) => Err(StartError::from_reason(reason)),
            Err(_) => Err(StartError::Init(Reason::NoProc)),
        }
    }
}

/// A supervisor whose starter has lost interest: nobody would know of it.
struct Unfinished(Pid);

impl Drop for Unfinished {
    fn drop(&mut self) {
        // A starter that is dying tells it by itself, with its own reason.
        if is_alive(this()) {
            exit(self.0, Reason::Shutdown);
        }
    }
}

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
    pub async fn count_children(self) -> Result<Counts, CallError> {
        call(self.pid, CountChildren, self.limit).await
    }

    /// What the spec of a child says.
    ///
    /// # Errors
    /// See [`ChildError`].
    pub async fn get_child_spec(self, child: impl Into<ChildKey>) -> Result<SpecSummary, ChildError> {
        call(self.pid, GetChildSpec(child.into()), self.limit).await?
    }

    /// From here on the caller gets every [`Event`](crate::Event) as a message, until it ends.
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
    /// See [`StopError`].
    pub async fn stop(self, reason: Reason, limit: Option<Duration>) -> Result<(), StopError> {
        match call::<Stop, ()>(self.pid, Stop(reason.clone()), limit).await {
            Err(CallError::Exit(ended)) if ended == reason => Ok(()),
            Err(CallError::Exit(ended)) => Err(StopError::Exit(ended)),
            Err(CallError::NoProc) => Err(StopError::NoProc),
            Err(CallError::CallingSelf) => Err(StopError::CallingSelf),
            // It never answers but by ending, and its mailbox has no bound.
            Ok(()) | Err(CallError::Timeout | CallError::Full) => Err(StopError::Timeout),
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
    pub kind: Kind,
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
pub struct Counts {
    /// All of them, with a process or without.
    pub specs: usize,
    /// Those whose process lives.
    pub active: usize,
    /// Those that are supervisors by their spec.
    pub supervisors: usize,
    /// Those that are workers by their spec.
    pub workers: usize,
}

struct Up;
struct Linked;
struct StartChild(ChildSpec);
struct TerminateChild(ChildKey);
struct RestartChild(ChildId);
struct DeleteChild(ChildId);
struct WhichChildren;
struct CountChildren;
struct GetChildSpec(ChildKey);
struct Subscribe;
struct Stop(Reason);
struct Retry(Ticket);

/// Names one attempt to come, so that one that is no longer wanted is known as such.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Ticket(u64);

/// What both kinds of supervisor need for their work.
pub(crate) struct Duties {
    parent: Pid,
    intensity: Intensity,
    pace: Pace,
    pub(crate) auto_shutdown: AutoShutdown,
    pub(crate) reporter: Reporter,
    tickets: u64,
}

impl Duties {
    /// Runs a start function. The process it returns is linked, whatever the function did.
    pub(crate) async fn start(&mut self, spec: &mut ChildSpec) -> Result<Option<Pid>, Reason> {
        let started = self.run_start(spec).await;
        if let Ok(Some(pid)) = started {
            self.reporter.started(spec, pid);
        }
        started
    }

    /// The same for a child that had a process before, and is given another one unasked.
    pub(crate) async fn start_again(&mut self, spec: &mut ChildSpec) -> Result<Option<Pid>, Reason> {
        let started = self.run_start(spec).await;
        if let Ok(Some(pid)) = started {
            self.reporter.restarted(spec, pid);
        }
        started
    }

    async fn run_start(&mut self, spec: &mut ChildSpec) -> Result<Option<Pid>, Reason> {
        let start = spec.start.as_mut().expect("only a child that has ended for good has no start function");
        let started = match catch_panic(async { start().await }).await {
            Ok(started) => started,
            Err(panic) => Err(Reason::Panic(panic.into())),
        };
        match &started {
            Ok(Some(pid)) => {
                // One that has ended already is heard of at once.
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

    /// Counts an attempt to restart a child; breaks if it is not to be made.
    pub(crate) async fn may_restart(&mut self, id: &ChildId) -> ControlFlow<Reason> {
        // If the parent wants us to end, what just ended may have been told the same: it is not started again.
        let asked = receive_if(|exit: &Exit| exit.from == self.parent || exit.from.is_system());
        if let Ok(exit) = timeout(Duration::ZERO, asked).await {
            return ControlFlow::Break(exit.reason);
        }
        match self.intensity.record(now()) {
            Verdict::Restart => ControlFlow::Continue(()),
            Verdict::GiveUp => {
                self.reporter.intensity_reached(id);
                ControlFlow::Break(Reason::Shutdown)
            }
        }
    }

    /// Another attempt, after what is already in the mailbox.
    pub(crate) fn retry_later(&mut self, failures: &mut Failures) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let delay = self.pace.delay(failures, now());
        if delay.is_zero() {
            send(this(), Retry(ticket));
        } else {
            send_after(delay, this(), Retry(ticket));
        }
        ticket
    }
}

enum Family {
    Ordered(Children),
    Dynamic(Dynamic),
}

impl Family {
    async fn start_all(&mut self, duties: &mut Duties) -> Result<(), FailedToStart> {
        match self {
            Self::Ordered(children) => children.start_all(duties).await,
            Self::Dynamic(_) => Ok(()),
        }
    }

    async fn stop_all(&mut self, duties: &mut Duties) {
        match self {
            Self::Ordered(children) => children.stop_all(duties).await,
            Self::Dynamic(children) => children.stop_all(duties).await,
        }
    }
}

/// The body of every supervisor.
async fn run(parent: Pid, init: Describe) -> Reason {
    // Whoever started it waits for the answer to this, or for the end: then it hears the reason, after the release.
    let up = receive::<Request<Up, ()>>().await;
    // Until there is a link this tells the end of the starter.
    let parent_watch = monitor(parent);
    let described = match init().await {
        Ok(described) => described,
        Err(reason) => return reason,
    };
    if let Err(invalid) = described.check() {
        return invalid.into();
    }
    if let Some(label) = described.label {
        set_label(label);
    }
    if let Some(name) = described.name
        && let Err(taken) = register(name, this())
    {
        return taken.into();
    }
    let mut family = match described.shape {
        Shape::Ordered(strategy) => Family::Ordered(Children::new(strategy, described.children)),
        Shape::Dynamic => Family::Dynamic(Dynamic::new(described.children_max.unwrap_or(usize::MAX))),
    };
    let mut duties = Duties {
        parent,
        intensity: Intensity::new(described.restarts_max, described.period),
        pace: described.backoff.map_or(Pace::Fixed(described.retry_delay), Pace::growing),
        auto_shutdown: described.auto_shutdown,
        reporter: Reporter::default(),
        tickets: 0,
    };
    if let Err(failed) = family.start_all(&mut duties).await {
        family.stop_all(&mut duties).await;
        return Reason::shutdown_with(failed);
    }
    // Condemned meanwhile, it is not up: this does not return then.
    yield_now().await;
    up.reply.send(());
    let reason = receive! {
        Linked => {
            demonitor_flush(parent_watch);
            serve(&mut family, &mut duties).await
        }
        exit: Exit if exit.from == parent => exit.reason,
        down: Down if down.reference == parent_watch => down.reason,
    };
    family.stop_all(&mut duties).await;
    reason
}

async fn serve(family: &mut Family, duties: &mut Duties) -> Reason {
    loop {
        let message = receive_any().await;
        if let ControlFlow::Break(reason) = handle(family, duties, message).await {
            return reason;
        }
    }
}

/// Tries the types of message one after the other.
macro_rules! match_message {
    ($message:ident { $($name:ident : $type:ty => $body:expr,)+ }) => { $(
        let $message = match $message.downcast::<$type>() {
            Ok($name) => return $body,
            Err(message) => message,
        };
    )+ };
}

async fn handle(family: &mut Family, duties: &mut Duties, message: Message) -> ControlFlow<Reason> {
    match_message!(message {
        exit: Exit => handle_exit(family, duties, exit).await,
        retry: Retry => match family {
            Family::Ordered(children) => children.retry(duties, retry.0).await,
            Family::Dynamic(children) => children.retry(duties, retry.0).await,
        },
        stop: Request<Stop, ()> => ControlFlow::Break(stop.query.0),
        request: Request<StartChild, Result<Pid, StartChildError>> => {
            let StartChild(spec) = request.query;
            let answer = match (spec.check(duties.auto_shutdown), &mut *family) {
                (Err(invalid), _) => Err(invalid.into()),
                (Ok(()), Family::Ordered(children)) => children.start_child(duties, spec).await,
                (Ok(()), Family::Dynamic(children)) => children.start_child(duties, spec).await,
            };
            request.reply.send(answer);
            ControlFlow::Continue(())
        },
        request: Request<TerminateChild, Result<(), ChildError>> => {
            let answer = match family {
                Family::Ordered(children) => children.terminate_child(duties, &request.query.0).await,
                Family::Dynamic(children) => children.terminate_child(duties, &request.query.0).await,
            };
            request.reply.send(answer);
            ControlFlow::Continue(())
        },
        request: Request<RestartChild, Result<Pid, RestartChildError>> => {
            let answer = match family {
                Family::Ordered(children) => children.restart_child(duties, &request.query.0).await,
                Family::Dynamic(_) => Err(RestartChildError::NotFound),
            };
            request.reply.send(answer);
            ControlFlow::Continue(())
        },
        request: Request<DeleteChild, Result<(), DeleteChildError>> => {
            let answer = match family {
                Family::Ordered(children) => children.delete_child(&request.query.0),
                Family::Dynamic(_) => Err(DeleteChildError::NotFound),
            };
            request.reply.send(answer);
            ControlFlow::Continue(())
        },
        request: Request<WhichChildren, Vec<ChildInfo>> => {
            request.reply.send(match family {
                Family::Ordered(children) => children.which(),
                Family::Dynamic(children) => children.which(),
            });
            ControlFlow::Continue(())
        },
        request: Request<CountChildren, Counts> => {
            request.reply.send(match family {
                Family::Ordered(children) => children.count(),
                Family::Dynamic(children) => children.count(),
            });
            ControlFlow::Continue(())
        },
        request: Request<GetChildSpec, Result<SpecSummary, ChildError>> => {
            request.reply.send(match family {
                Family::Ordered(children) => children.spec(&request.query.0),
                Family::Dynamic(children) => children.spec(&request.query.0),
            });
            ControlFlow::Continue(())
        },
        request: Request<Subscribe, ()> => {
            duties.reporter.subscribe(request.from);
            request.reply.send(());
            ControlFlow::Continue(())
        },
    });
    tracing::warn!(target: "riot::supervisor", supervisor = %this(), "unexpected message: {}", message.type_name());
    ControlFlow::Continue(())
}

async fn handle_exit(family: &mut Family, duties: &mut Duties, exit: Exit) -> ControlFlow<Reason> {
    let Exit { from, reason, by_link, .. } = exit;
    if from == duties.parent || from.is_system() {
        return ControlFlow::Break(reason);
    }
    if !by_link {
        tracing::debug!(target: "riot::supervisor", supervisor = %this(), %from, "asked to exit by a stranger: {reason}");
        return ControlFlow::Continue(());
    }
    match family {
        Family::Ordered(children) => children.ended(duties, from, reason).await,
        Family::Dynamic(children) => children.ended(duties, from, reason).await,
    }
}

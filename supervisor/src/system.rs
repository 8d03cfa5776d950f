//! Requests about a supervisor itself: suspend it, look at its state. (OTP: `sys`.)

use std::time::{Duration, Instant};

use riot_actor::{
    Exit, Message, Pid, call,
    call::{CallError, CallRequest, ReplyTo},
    gen_server::ServerStatus,
    now,
};

use crate::reference::{ChildInfo, Stop, SupervisorRef};

/// How long a request about a supervisor waits by default: 5 seconds.
const SYSTEM_TIMEOUT: Duration = Duration::from_secs(5);

/// The state of a supervisor, as [`get_state`](SupervisorRef::get_state) returns it.
///
/// ```
/// # use riot_actor::{run, Reason};
/// use riot_supervisor::{Supervisor, process};
/// # let reason = run(async {
/// let clock = process("clock", || std::future::pending::<()>());
/// let sup = Supervisor::rest_for_one().child(clock).start_link().await?;
/// let state = sup.get_state().await?;
/// assert_eq!((state.strategy, state.children.len(), state.is_suspended), ("rest_for_one", 1, false));
/// # Ok::<_, Reason>(())
/// # });
/// # assert_eq!(reason, Reason::Normal);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SupervisorState {
    /// The strategy: `one_for_one`, `one_for_all`, `rest_for_one` or `dynamic`.
    pub strategy: &'static str,
    /// How many restarts there may be in a period.
    pub max_restarts: usize,
    /// That period.
    pub period: Duration,
    /// How many restarts there were in the period until now.
    pub recent_restarts: usize,
    /// Whether it is [suspended](SupervisorRef::suspend).
    pub is_suspended: bool,
    /// The children, in start order.
    pub children: Vec<ChildInfo>,
}

/// The settings of a supervisor that may change while it runs, see
/// [`replace_state`](SupervisorRef::replace_state) for an example.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SupervisorSettings {
    /// How many restarts there may be in a period.
    pub max_restarts: usize,
    /// That period; not zero.
    pub period: Duration,
    /// How many children there may be; not zero. None for no bound, and where the supervisor is not dynamic.
    pub max_children: Option<usize>,
}

impl SupervisorSettings {
    /// Panics if the builder of a supervisor would refuse them.
    pub(crate) fn check(&self) {
        assert!(!self.period.is_zero(), "the period of the restart intensity is zero");
        assert!(self.max_children != Some(0), "max_children is zero");
    }
}

/// How much a supervisor has done since its start, as [`statistics`](SupervisorRef::statistics) returns it.
///
/// ```
/// # use riot_actor::{run, Reason};
/// use riot_supervisor::{Supervisor, process};
/// # let reason = run(async {
/// let clock = process("clock", || std::future::pending::<()>());
/// let sup = Supervisor::one_for_one().child(clock).start_link().await?;
/// let statistics = sup.statistics().await?;
/// assert_eq!((statistics.starts, statistics.restarts), (1, 0));
/// # Ok::<_, Reason>(())
/// # });
/// # assert_eq!(reason, Reason::Normal);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SupervisorStatistics {
    /// How long it has been running, by the clock of the runtime.
    pub uptime: Duration,
    /// Children that were started, restarts not included.
    pub starts: u64,
    /// Children that were restarted.
    pub restarts: u64,
    /// Starts and restarts that failed.
    pub failed_starts: u64,
    /// Children that ended without having been asked to.
    pub ends: u64,
}

/// Counts what a supervisor does.
#[derive(Debug)]
pub(crate) struct Counts {
    since: Instant,
    pub(crate) starts: u64,
    pub(crate) restarts: u64,
    pub(crate) failed_starts: u64,
    pub(crate) ends: u64,
}

impl Counts {
    pub(crate) fn new() -> Self {
        Self { since: now(), starts: 0, restarts: 0, failed_starts: 0, ends: 0 }
    }

    pub(crate) fn statistics(&self) -> SupervisorStatistics {
        let Self { since, starts, restarts, failed_starts, ends } = *self;
        let uptime = now().saturating_duration_since(since);
        SupervisorStatistics { uptime, starts, restarts, failed_starts, ends }
    }
}

/// A request about the supervisor itself, which is served also while it is suspended.
pub(crate) enum System {
    Suspend(ReplyTo<()>),
    Resume(ReplyTo<()>),
    GetState(ReplyTo<SupervisorState>),
    ReplaceState(CallRequest<ReplaceState, SupervisorSettings>),
    GetStatus(ReplyTo<ServerStatus>),
    Statistics(ReplyTo<SupervisorStatistics>),
}

struct Suspend;
struct Resume;
struct GetState;
pub(crate) struct ReplaceState(pub(crate) Box<dyn FnOnce(&mut SupervisorSettings) + Send>);
struct GetStatus;
struct Statistics;

impl System {
    /// Returns whether a suspended supervisor handles a message: its parent's exit, a stop, a request about
    /// it.
    pub(crate) fn is_handled_in_suspension(message: &Message, parent: Pid) -> bool {
        let is_parent = |exit: &Exit| exit.from == parent || exit.from.is_system();
        message.downcast_ref().is_some_and(is_parent)
            || message.is::<CallRequest<Stop, ()>>()
            || message.is::<CallRequest<Suspend, ()>>()
            || message.is::<CallRequest<Resume, ()>>()
            || message.is::<CallRequest<GetState, SupervisorState>>()
            || message.is::<CallRequest<ReplaceState, SupervisorSettings>>()
            || message.is::<CallRequest<GetStatus, ServerStatus>>()
            || message.is::<CallRequest<Statistics, SupervisorStatistics>>()
    }

    /// Takes the request out of a message, or gives the message back.
    pub(crate) fn of(message: Message) -> Result<Self, Message> {
        let message = match message.downcast::<CallRequest<Suspend, ()>>() {
            Ok(request) => return Ok(Self::Suspend(request.reply)),
            Err(message) => message,
        };
        let message = match message.downcast::<CallRequest<Resume, ()>>() {
            Ok(request) => return Ok(Self::Resume(request.reply)),
            Err(message) => message,
        };
        let message = match message.downcast::<CallRequest<GetState, SupervisorState>>() {
            Ok(request) => return Ok(Self::GetState(request.reply)),
            Err(message) => message,
        };
        let message = match message.downcast() {
            Ok(request) => return Ok(Self::ReplaceState(request)),
            Err(message) => message,
        };
        let message = match message.downcast::<CallRequest<GetStatus, ServerStatus>>() {
            Ok(request) => return Ok(Self::GetStatus(request.reply)),
            Err(message) => message,
        };
        let statistics = message.downcast::<CallRequest<Statistics, SupervisorStatistics>>();
        statistics.map(|request| Self::Statistics(request.reply))
    }
}

impl SupervisorRef {
    /// Suspends the supervisor: ends of children and requests wait until it is [resumed](Self::resume). It
    /// still obeys its parent, and stops when asked to. (OTP: `sys:suspend/1`.)
    ///
    /// ```
    /// # use riot_actor::{run, Reason};
    /// use riot_supervisor::Supervisor;
    /// # let reason = run(async {
    /// let sup = Supervisor::dynamic().start_link().await?;
    /// sup.suspend().await?;
    /// assert!(sup.get_state().await?.is_suspended);
    /// sup.resume().await?;
    /// # Ok::<_, Reason>(())
    /// # });
    /// # assert_eq!(reason, Reason::Normal);
    /// ```
    ///
    /// # Errors
    /// If the supervisor does not answer within its [timeout](Self::with_timeout), 5 seconds by default.
    pub async fn suspend(self) -> Result<(), CallError> {
        self.system(Suspend).await
    }

    /// Ends [`suspend`](Self::suspend).
    ///
    /// # Errors
    /// As those of [`suspend`](Self::suspend).
    pub async fn resume(self) -> Result<(), CallError> {
        self.system(Resume).await
    }

    /// Returns the state, whether the supervisor is suspended or not. (OTP: `sys:get_state/1`.)
    ///
    /// # Errors
    /// As those of [`suspend`](Self::suspend).
    pub async fn get_state(self) -> Result<SupervisorState, CallError> {
        self.system(GetState).await
    }

    /// Has `replace` change what may change while a supervisor runs, whether it is suspended or not, and
    /// returns the new settings. Restarts that were made before count in the new period; children beyond a
    /// new bound stay. (OTP: `sys:replace_state/2`; the children of a supervisor are changed by its own
    /// requests.)
    ///
    /// ```
    /// # use riot_actor::{run, Reason};
    /// use riot_supervisor::Supervisor;
    /// # let reason = run(async {
    /// let sup = Supervisor::dynamic().max_children(10).start_link().await?;
    /// let settings = sup.replace_state(|settings| settings.max_children = Some(100)).await?;
    /// assert_eq!((settings.max_children, settings.max_restarts), (Some(100), 1));
    /// # Ok::<_, Reason>(())
    /// # });
    /// # assert_eq!(reason, Reason::Normal);
    /// ```
    ///
    /// # Errors
    /// As those of [`suspend`](Self::suspend); [`CallError::Dropped`] if `replace` panics, or makes settings
    /// that are not allowed. The settings are as before then, and the panic is reported.
    pub async fn replace_state(
        self,
        replace: impl FnOnce(&mut SupervisorSettings) + Send + 'static,
    ) -> Result<SupervisorSettings, CallError> {
        self.system(ReplaceState(Box::new(replace))).await
    }

    /// Returns the status, with the state as text. (OTP: `sys:get_status/1`.)
    ///
    /// # Errors
    /// As those of [`suspend`](Self::suspend).
    pub async fn get_status(self) -> Result<ServerStatus, CallError> {
        self.system(GetStatus).await
    }

    /// Returns how much the supervisor has done.
    ///
    /// # Errors
    /// As those of [`suspend`](Self::suspend).
    pub async fn statistics(self) -> Result<SupervisorStatistics, CallError> {
        self.system(Statistics).await
    }

    async fn system<Q: Send + 'static, R: Send + 'static>(self, request: Q) -> Result<R, CallError> {
        call(self.pid(), request, Some(self.timeout().unwrap_or(SYSTEM_TIMEOUT))).await
    }
}

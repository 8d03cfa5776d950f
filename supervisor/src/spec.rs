//! What a child is: its id, how it starts, when it starts again, how it stops.

use std::{borrow::Cow, fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use riot_actor::{
    Pid, Reason,
    gen_server::{GenServer, GenServerRef},
    process::{Outcome, SpawnOptions},
};

use crate::{SupervisorRef, error::SpecError};

/// The id of a child: a text or a number, cheap to clone.
///
/// ```
/// use riot_supervisor::ChildId;
/// assert_eq!(ChildId::from("db").to_string(), "db");
/// assert_eq!(ChildId::from(7).to_string(), "7");
/// assert_eq!(ChildId::from("db"), ChildId::from(String::from("db")));
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChildId(Id);

#[derive(Clone)]
enum Id {
    Static(&'static str),
    Shared(Arc<str>),
    Number(i128),
}

impl Id {
    /// What is compared: where a text comes from makes no difference.
    fn content(&self) -> (Option<&str>, i128) {
        match self {
            Self::Static(text) => (Some(text), 0),
            Self::Shared(text) => (Some(text), 0),
            Self::Number(number) => (None, *number),
        }
    }
}

impl PartialEq for Id {
    fn eq(&self, other: &Self) -> bool {
        self.content() == other.content()
    }
}
impl Eq for Id {}
impl PartialOrd for Id {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Id {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.content().cmp(&other.content())
    }
}
impl std::hash::Hash for Id {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.content().hash(state);
    }
}

impl ChildId {
    fn label(&self) -> Cow<'static, str> {
        match &self.0 {
            Id::Static(text) => Cow::Borrowed(text),
            Id::Shared(_) | Id::Number(_) => Cow::Owned(self.to_string()),
        }
    }
}

impl fmt::Display for ChildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Id::Static(text) => f.pad(text),
            Id::Shared(text) => f.pad(text),
            Id::Number(number) => number.fmt(f),
        }
    }
}
impl fmt::Debug for ChildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.content() {
            (Some(text), _) => text.fmt(f),
            (None, number) => number.fmt(f),
        }
    }
}

impl From<&'static str> for ChildId {
    fn from(id: &'static str) -> Self {
        Self(Id::Static(id))
    }
}
impl From<String> for ChildId {
    fn from(id: String) -> Self {
        Self(Id::Shared(id.into()))
    }
}
impl From<Arc<str>> for ChildId {
    fn from(id: Arc<str>) -> Self {
        Self(Id::Shared(id))
    }
}
impl From<&ChildId> for ChildId {
    fn from(id: &ChildId) -> Self {
        id.clone()
    }
}

/// Which child is meant: by its id, or, below a dynamic supervisor, where ids need not differ, by its pid.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ChildKey {
    /// The id in its spec.
    Id(ChildId),
    /// Its process.
    Pid(Pid),
}

impl From<Pid> for ChildKey {
    fn from(pid: Pid) -> Self {
        Self::Pid(pid)
    }
}
impl From<SupervisorRef> for ChildKey {
    fn from(supervisor: SupervisorRef) -> Self {
        Self::Pid(supervisor.pid())
    }
}

macro_rules! key_from_id {
    ($($id:ty),+) => { $(
        impl From<$id> for ChildKey {
            fn from(id: $id) -> Self {
                Self::Id(id.into())
            }
        }
    )+ };
}
macro_rules! id_from_number {
    ($($number:ty),+) => { $(
        impl From<$number> for ChildId {
            fn from(id: $number) -> Self {
                Self(Id::Number(id as i128))
            }
        }
        key_from_id!($number);
    )+ };
}
id_from_number!(u8, u16, u32, u64, usize, i8, i16, i32, i64, isize);
key_from_id!(&'static str, String, Arc<str>, ChildId, &ChildId);

impl fmt::Display for ChildKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Pid(pid) => pid.fmt(f),
        }
    }
}

/// When a child that ended by itself is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Restart {
    /// Always.
    #[default]
    Permanent,
    /// After an abnormal end only: it may finish.
    Transient,
    /// Never, and its spec is forgotten with it.
    Temporary,
}

/// How a child is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChildShutdown {
    /// At once, by [`Reason::Kill`].
    Kill,
    /// Asked by [`Reason::Shutdown`], and killed if it has not ended within this time.
    Timeout(Duration),
    /// Asked by [`Reason::Shutdown`], and waited for.
    Infinity,
}

/// How long a worker has to end once asked. (OTP: the same.)
pub const WORKER_SHUTDOWN: Duration = Duration::from_secs(5);

/// What a child is. A supervisor has all the time its own children need to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChildKind {
    /// A process that does the work.
    Worker,
    /// A supervisor in its turn.
    Supervisor,
}

/// What a start function gives back, besides an error: a process, or [`Ignore`].
pub trait IntoChild {
    /// The process; none if the child chose not to run.
    fn into_child(self) -> Option<Pid>;
}

impl IntoChild for Pid {
    fn into_child(self) -> Option<Pid> {
        Some(self)
    }
}
impl IntoChild for SupervisorRef {
    fn into_child(self) -> Option<Pid> {
        Some(self.pid())
    }
}
impl<S: GenServer> IntoChild for GenServerRef<S> {
    fn into_child(self) -> Option<Pid> {
        Some(self.pid())
    }
}
impl<C: IntoChild> IntoChild for Option<C> {
    fn into_child(self) -> Option<Pid> {
        self.and_then(IntoChild::into_child)
    }
}
impl IntoChild for Ignore {
    fn into_child(self) -> Option<Pid> {
        None
    }
}

/// The start function had nothing to start: the child is kept without a process, which is no failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ignore;

pub(crate) type StartFuture = Pin<Box<dyn Future<Output = Result<Option<Pid>, Reason>> + Send>>;
pub(crate) type Start = Box<dyn FnMut() -> StartFuture + Send>;

/// How to start, restart and stop one child. Made by [`worker`], [`server`], [`supervisor`], [`process`] or [`task`].
#[must_use = "a spec is given to a supervisor"]
pub struct ChildSpec {
    pub(crate) id: ChildId,
    /// None once it will not be started again.
    pub(crate) start: Option<Start>,
    pub(crate) restart: Restart,
    pub(crate) shutdown: ChildShutdown,
    pub(crate) kind: ChildKind,
    pub(crate) significant: bool,
}

/// What a failed start means. A generic server that has nothing to do says so by an error, and the reason of one that
/// did not start is that of its `init`.
fn refused(reason: Reason) -> Result<Option<Pid>, Reason> {
    if let Reason::Error(error) = &reason {
        match error.downcast_ref::<riot_actor::gen_server::GenServerStartError>() {
            Some(riot_actor::gen_server::GenServerStartError::Ignored) => return Ok(None),
            Some(riot_actor::gen_server::GenServerStartError::Failed(true_reason)) => {
                return Err(true_reason.clone());
            }
            Some(
                riot_actor::gen_server::GenServerStartError::AlreadyStarted(_)
                | riot_actor::gen_server::GenServerStartError::Timeout,
            )
            | None => {}
        }
    }
    Err(reason)
}

/// A child that does the work. `start` runs in the supervisor's process, which serves nobody else meanwhile; it should
/// return once the child is up, with a process linked to the supervisor.
///
/// A generic server is started by its own `start_link`: one that answers `Ignored` is kept without a process, one that
/// fails has failed for the reason its `init` gave. [`server`] is shorter where the arguments are all it takes.
///
/// ```
/// use std::time::Duration;
/// use riot_actor::{gen_server::{GenServer, Stop}, run, Reason};
/// use riot_supervisor::{Supervisor, SupervisorRef, supervisor, worker};
///
/// struct Db;
/// impl GenServer for Db {
///     type Args = ();
///     async fn init((): ()) -> Result<Self, Stop> {
///         Ok(Db)
///     }
/// }
/// struct Job(u32);
/// impl GenServer for Job {
///     type Args = u32;
///     async fn init(id: u32) -> Result<Self, Stop> {
///         Ok(Job(id))
///     }
/// }
///
/// let reason = run(async {
///     let sup = Supervisor::rest_for_one()
///         .intensity(1, Duration::from_secs(5))
///         .child(worker("db", || Db::start_link(())))
///         .child(supervisor("pool", || Supervisor::dynamic().max_children(1_000).start_link()))
///         .start_link()
///         .await?;
///     let pool = SupervisorRef::new(sup.which_children().await?[1].pid().expect("it runs"));
///     let id = 7;
///     let job = pool.start_child(worker(id, move || Job::start_link(id)).transient()).await?;
///     assert!(riot_actor::process::is_alive(job));
///     Ok::<_, Reason>(())
/// });
/// # assert_eq!(reason, Reason::Normal);
/// ```
///
/// Anything else that gives a pid will do:
///
/// ```
/// use riot_actor::{run, spawn_link, Reason};
/// use riot_supervisor::{Supervisor, worker};
///
/// let reason = run(async {
///     let sup = Supervisor::one_for_one()
///         .child(worker("idler", || async { Ok::<_, Reason>(spawn_link(std::future::pending::<()>())) }))
///         .start_link()
///         .await?;
///     assert_eq!(sup.count_children().await?.active, 1);
///     Ok::<_, Reason>(())
/// });
/// # assert_eq!(reason, Reason::Normal);
/// ```
pub fn worker<F, C, E>(id: impl Into<ChildId>, mut start: impl FnMut() -> F + Send + 'static) -> ChildSpec
where
    F: Future<Output = Result<C, E>> + Send + 'static,
    C: IntoChild,
    E: Into<Reason>,
{
    ChildSpec {
        id: id.into(),
        start: Some(Box::new(move || {
            let starting = start();
            Box::pin(async move {
                match starting.await {
                    Ok(child) => Ok(child.into_child()),
                    Err(error) => refused(error.into()),
                }
            })
        })),
        restart: Restart::Permanent,
        shutdown: ChildShutdown::Timeout(WORKER_SHUTDOWN),
        kind: ChildKind::Worker,
        significant: false,
    }
}

/// A child that is a supervisor itself: like [`worker`], but it is given all the time it needs to stop.
///
/// ```
/// # use riot_actor::{run, Reason};
/// use riot_supervisor::{Supervisor, supervisor};
/// # let reason = run(async {
/// let sup = Supervisor::one_for_one()
///     .child(supervisor("pool", || Supervisor::dynamic().max_children(1_000).start_link()))
///     .start_link()
///     .await?;
/// assert_eq!(sup.count_children().await?.supervisors, 1);
/// # Ok::<_, Reason>(())
/// # });
/// # assert_eq!(reason, Reason::Normal);
/// ```
pub fn supervisor<F, C, E>(id: impl Into<ChildId>, start: impl FnMut() -> F + Send + 'static) -> ChildSpec
where
    F: Future<Output = Result<C, E>> + Send + 'static,
    C: IntoChild,
    E: Into<Reason>,
{
    ChildSpec { kind: ChildKind::Supervisor, shutdown: ChildShutdown::Infinity, ..worker(id, start) }
}

/// A child that is a plain body, any `async fn`: spawned linked, labelled with its id.
///
/// ```
/// # use riot_actor::{receive, run, send, Reason};
/// use riot_supervisor::{Supervisor, process};
/// # let reason = run(async {
/// let sup = Supervisor::one_for_one()
///     .child(process("printer", || async {
///         loop {
///             println!("{}", receive::<String>().await);
///         }
///     }))
///     .start_link()
///     .await?;
/// # Ok::<_, Reason>(())
/// # });
/// # assert_eq!(reason, Reason::Normal);
/// ```
pub fn process<F>(id: impl Into<ChildId>, mut body: impl FnMut() -> F + Send + 'static) -> ChildSpec
where
    F: Future<Output: Outcome> + Send + 'static,
{
    let id = id.into();
    let label = id.label();
    worker(id, move || {
        let pid = SpawnOptions::new().link().label(label.clone()).spawn(body());
        std::future::ready(Ok::<_, Reason>(pid))
    })
}

/// A child that is a generic server of type `S`; `args` makes what its `init` takes, anew for each start.
///
/// ```
/// # use riot_actor::{gen_server::{Call, GenServer, GenServerRef, Stop}, run, Reason};
/// use riot_supervisor::{Supervisor, server};
///
/// struct Counter(u64);
/// impl GenServer for Counter {
///     type Args = u64;
///     async fn init(start: u64) -> Result<Self, Stop> {
///         Ok(Counter(start))
///     }
/// }
/// # struct Get;
/// # impl Call<Get> for Counter {
/// #     type Reply = u64;
/// #     async fn call(&mut self, _: Get) -> u64 { self.0 }
/// # }
/// # let reason = run(async {
/// let sup = Supervisor::one_for_one().child(server::<Counter>("counter", || 7)).start_link().await?;
/// let counter = GenServerRef::<Counter>::new(sup.which_children().await?[0].pid().expect("it runs"));
/// assert_eq!(counter.call(Get).await?, 7);
/// # Ok::<_, Reason>(())
/// # });
/// # assert_eq!(reason, Reason::Normal);
/// ```
pub fn server<S: GenServer>(
    id: impl Into<ChildId>,
    mut args: impl FnMut() -> S::Args + Send + 'static,
) -> ChildSpec {
    worker(id, move || S::start_link(args()))
}

/// A child that has one thing to do and is done then: like [`process`], but temporary. Nobody waits for it; one that is
/// to be tried again until it succeeds is made [`transient`](ChildSpec::transient).
///
/// ```
/// # use riot_actor::{process::wait, run, Reason};
/// use riot_supervisor::{Supervisor, task};
/// # let reason = run(async {
/// let pool = Supervisor::dynamic().start_link().await?;
/// let cleaning = pool.start_child(task("clean", || async { println!("all clean") })).await?;
/// wait(cleaning).await;
/// assert_eq!(pool.count_children().await?.specs, 0);
/// # Ok::<_, Reason>(())
/// # });
/// # assert_eq!(reason, Reason::Normal);
/// ```
pub fn task<F>(id: impl Into<ChildId>, body: impl FnMut() -> F + Send + 'static) -> ChildSpec
where
    F: Future<Output: Outcome> + Send + 'static,
{
    process(id, body).temporary()
}

impl ChildSpec {
    /// Always started again. The default.
    pub fn permanent(self) -> Self {
        self.restart(Restart::Permanent)
    }

    /// Started again after an abnormal end only.
    pub fn transient(self) -> Self {
        self.restart(Restart::Transient)
    }

    /// Never started again.
    pub fn temporary(self) -> Self {
        self.restart(Restart::Temporary)
    }

    /// When it is started again.
    pub fn restart(mut self, restart: Restart) -> Self {
        self.restart = restart;
        self
    }

    /// How it is stopped; default [`WORKER_SHUTDOWN`] for a worker, [`ChildShutdown::Infinity`] for a supervisor.
    pub fn shutdown(mut self, shutdown: ChildShutdown) -> Self {
        self.shutdown = shutdown;
        self
    }

    /// Its end may be the end of its supervisor: see [`AutoShutdown`](crate::AutoShutdown).
    pub fn significant(mut self) -> Self {
        self.significant = true;
        self
    }

    /// What can be seen of it.
    #[must_use]
    pub fn summary(&self) -> SpecSummary {
        SpecSummary {
            id: self.id.clone(),
            restart: self.restart,
            shutdown: self.shutdown,
            kind: self.kind,
            significant: self.significant,
        }
    }

    pub(crate) fn check(&self, auto_shutdown: crate::AutoShutdown) -> Result<(), SpecError> {
        if self.significant && self.restart == Restart::Permanent {
            return Err(SpecError::SignificantPermanent(self.id.clone()));
        }
        if self.significant && auto_shutdown == crate::AutoShutdown::Never {
            return Err(SpecError::SignificantWithoutAutoShutdown(self.id.clone()));
        }
        Ok(())
    }
}

impl fmt::Debug for ChildSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildSpec")
            .field("id", &self.id)
            .field("restart", &self.restart)
            .field("shutdown", &self.shutdown)
            .field("kind", &self.kind)
            .field("significant", &self.significant)
            .finish_non_exhaustive()
    }
}

/// A [`ChildSpec`] without its start function.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpecSummary {
    /// Its id.
    pub id: ChildId,
    /// When it is started again.
    pub restart: Restart,
    /// How it is stopped.
    pub shutdown: ChildShutdown,
    /// What it is.
    pub kind: ChildKind,
    /// Whether its end may be that of its supervisor.
    pub significant: bool,
}

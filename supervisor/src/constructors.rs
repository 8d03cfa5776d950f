//! The functions that make a [`ChildSpec`], and the types a start function may return.

use std::{any::TypeId, future::Future, marker::PhantomData};

use riot_actor::{
    Pid, Reason,
    gen_server::{GenServer, GenServerRef, GenServerStartError},
    process::{IntoReason, Outcome, SpawnOptions},
};

use crate::{
    SupervisorRef,
    child_id::ChildId,
    child_spec::{ChildKind, ChildShutdown, ChildSpec, Restart, Start, StartOptions, WORKER_SHUTDOWN},
    child_type::{ChildRef, ChildType, ServerSpec},
};

/// A value that a start function may return: a process, or [`Ignore`].
///
/// ```
/// # use riot_actor::{run, spawn_link, Pid, Reason};
/// use riot_supervisor::{IntoChild, Supervisor, worker};
///
/// struct Pool(Pid);
/// impl IntoChild for Pool {
///     type Ref = Pid;
///     fn into_child(self) -> Option<Pid> {
///         Some(self.0)
///     }
/// }
/// # let reason = run(async {
/// let start = || async { Ok::<_, Reason>(Pool(spawn_link(std::future::pending::<()>()))) };
/// let sup = Supervisor::one_for_one().child(worker("pool", start)).start_link().await?;
/// assert_eq!(sup.count_children().await?.active, 1);
/// # Ok::<_, Reason>(())
/// # });
/// # assert_eq!(reason, Reason::Normal);
/// ```
#[diagnostic::on_unimplemented(
    message = "a start function cannot return `{Self}` as its child",
    label = "the start function returns no process",
    note = "return the child's `Pid`, a reference such as `GenServerRef` or `SupervisorRef`, or `Ignore`",
    note = "a body without a start function, any `async fn`, is a child by `process`, and a server of \
            connections or of HTTP by its own `child_spec(id)`"
)]
pub trait IntoChild {
    /// The type of references to the child.
    type Ref: ChildRef;

    /// Returns the process, or `None` if there was nothing to start.
    fn into_child(self) -> Option<Pid>;
}

impl IntoChild for Pid {
    type Ref = Self;
    fn into_child(self) -> Option<Pid> {
        Some(self)
    }
}
impl IntoChild for SupervisorRef {
    type Ref = Self;
    fn into_child(self) -> Option<Pid> {
        Some(self.pid())
    }
}
impl<S: GenServer> IntoChild for GenServerRef<S> {
    type Ref = Self;
    fn into_child(self) -> Option<Pid> {
        Some(self.pid())
    }
}
impl<C: IntoChild> IntoChild for Option<C> {
    type Ref = C::Ref;
    fn into_child(self) -> Option<Pid> {
        self.and_then(IntoChild::into_child)
    }
}
impl IntoChild for Ignore {
    type Ref = Pid;
    fn into_child(self) -> Option<Pid> {
        None
    }
}

/// The answer of a start function that had nothing to start. The child is kept without a process, which is no
/// failure.
///
/// ```
/// # use riot_actor::{run, Reason};
/// use riot_supervisor::{Ignore, Supervisor, worker};
/// # let reason = run(async {
/// let disabled = worker("metrics", || async { Ok::<_, Reason>(Ignore) });
/// let sup = Supervisor::one_for_one().child(disabled).start_link().await?;
/// assert_eq!(sup.which_children().await?[0].pid(), None);
/// # Ok::<_, Reason>(())
/// # });
/// # assert_eq!(reason, Reason::Normal);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ignore;

/// Translates the error of a start function. For a generic server, an ignored start is no failure, and the
/// reason of a failed one is that of its `init`.
fn start_failure(reason: Reason) -> Result<Option<Pid>, Reason> {
    if let Reason::Error(error) = &reason {
        match error.downcast_ref::<GenServerStartError>() {
            Some(GenServerStartError::Ignored) => return Ok(None),
            Some(GenServerStartError::Failed(reason)) => return Err(reason.clone()),
            Some(GenServerStartError::AlreadyStarted(_) | GenServerStartError::Timeout) | None => {}
        }
    }
    Err(reason)
}

/// Returns the spec of a child that does the work, started by a function.
///
/// `start` runs in the supervisor's process, which serves no request meanwhile. It should return once the
/// child is up, with a process linked to the supervisor.
///
/// A generic server is started by its own `start_link`: one that answers `Ignored` is kept without a process,
/// and one that fails has failed for the reason its `init` gave. [`server`] is shorter where only arguments
/// are needed.
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
///     let pool: SupervisorRef = sup.child("pool").await.expect("it runs");
///     let id = 7;
///     let job = pool.start_child(worker(id, move || Job::start_link(id)).transient()).await?;
///     assert!(riot_actor::process::is_alive(job.pid()));
///     Ok::<_, Reason>(())
/// });
/// # assert_eq!(reason, Reason::Normal);
/// ```
///
/// Any other function that returns a pid will do:
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
pub fn worker<F, C, E>(
    id: impl Into<ChildId>,
    mut start: impl FnMut() -> F + Send + 'static,
) -> ChildSpec<C::Ref>
where
    F: Future<Output = Result<C, E>> + Send + 'static,
    C: IntoChild,
    E: IntoReason,
{
    worker_with(id, move |_| start())
}

/// Returns the spec of a child of the type `T`, whose start function sees the options of its spec.
pub(crate) fn worker_with<T, F, C, E>(
    id: impl Into<ChildId>,
    mut start: impl FnMut(&StartOptions) -> F + Send + 'static,
) -> ChildSpec<T>
where
    T: ChildType,
    F: Future<Output = Result<C, E>> + Send + 'static,
    C: IntoChild,
    E: IntoReason,
{
    ChildSpec {
        id: id.into(),
        start: Some(Start::new(move |options| {
            let starting = start(options);
            Box::pin(async move {
                match starting.await {
                    Ok(child) => Ok(child.into_child()),
                    Err(error) => start_failure(error.into_reason()),
                }
            })
        })),
        options: StartOptions::default(),
        restart: Restart::Permanent,
        shutdown: ChildShutdown::Timeout(WORKER_SHUTDOWN),
        kind: ChildKind::Worker,
        significant: false,
        retries: None,
        reference: TypeId::of::<T::Ref>,
        _child: PhantomData,
    }
}

/// Returns the spec of a child that is a supervisor: a [`worker`] with all the time it needs to stop.
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
pub fn supervisor<F, C, E>(
    id: impl Into<ChildId>,
    start: impl FnMut() -> F + Send + 'static,
) -> ChildSpec<C::Ref>
where
    F: Future<Output = Result<C, E>> + Send + 'static,
    C: IntoChild,
    E: IntoReason,
{
    ChildSpec { kind: ChildKind::Supervisor, shutdown: ChildShutdown::Infinity, ..worker(id, start) }
}

/// Returns the spec of a child that is a plain body, any `async fn`. Its process is linked, and labelled with
/// its id.
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

/// Returns the spec of a child that is a generic server of type `S`. `args` makes the arguments of its
/// `init`, anew for each start. See [`ServerSpec`] for its name and options.
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
/// let counter: GenServerRef<Counter> = sup.child("counter").await.expect("the child runs");
/// assert_eq!(counter.call(Get).await?, 7);
/// # Ok::<_, Reason>(())
/// # });
/// # assert_eq!(reason, Reason::Normal);
/// ```
pub fn server<S: GenServer>(
    id: impl Into<ChildId>,
    mut args: impl FnMut() -> S::Args + Send + 'static,
) -> ServerSpec<S> {
    worker_with(id, move |options| {
        let options = options.server.as_deref().cloned().unwrap_or_default();
        options.start_link::<S>(args())
    })
}

/// Returns the spec of a child that does one thing and ends: a [`process`] that is temporary. Make it
/// [`transient`](ChildSpec::transient) to try again until it succeeds.
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

//! The builder of a supervisor, and its start.

use std::{borrow::Cow, collections::HashSet, fmt, future::Future, pin::Pin, time::Duration};

use riot_actor::{
    Pid, Reason, call,
    call::CallError,
    exit, link,
    name::Name,
    process::{IntoReason, SpawnOptions, is_alive},
    send, this,
};

use crate::{
    backoff::Backoff,
    child_spec::ChildSpec,
    error::{SpecError, SupervisorStartError},
    reference::{Linked, SupervisorRef, Up},
    strategy::{AutoShutdown, Strategy},
    supervisor::run,
};

/// The builder of a supervisor: strategy, children, bounds. [`start_link`](Self::start_link) starts its
/// process.
///
/// ```
/// use std::time::Duration;
/// use riot_actor::{run, Reason};
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
///     sup.stop(Reason::Normal).await?;
///     Ok::<_, Reason>(())
/// });
/// # assert_eq!(reason, Reason::Normal);
/// ```
#[derive(Debug)]
#[must_use = "nothing is supervised before `start_link`"]
pub struct Supervisor {
    pub(crate) shape: Shape,
    pub(crate) children: Vec<ChildSpec>,
    pub(crate) max_restarts: usize,
    pub(crate) period: Duration,
    pub(crate) retry_delay: Duration,
    pub(crate) backoff: Option<Backoff>,
    pub(crate) auto_shutdown: AutoShutdown,
    pub(crate) max_children: Option<usize>,
    pub(crate) name: Option<Name>,
    pub(crate) label: Option<Cow<'static, str>>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    Ordered(Strategy),
    Dynamic,
}

impl Supervisor {
    /// Returns the builder of a supervisor that restarts a child that ended alone.
    pub fn one_for_one() -> Self {
        Self::new(Shape::Ordered(Strategy::OneForOne))
    }

    /// Returns the builder of a supervisor that restarts all children with one: they depend on each other.
    pub fn one_for_all() -> Self {
        Self::new(Shape::Ordered(Strategy::OneForAll))
    }

    /// Returns the builder of a supervisor that restarts a child and those after it: each child depends on
    /// the ones before it.
    pub fn rest_for_one() -> Self {
        Self::new(Shape::Ordered(Strategy::RestForOne))
    }

    /// Returns the builder of a supervisor that starts without children.
    ///
    /// Children are added by [`start_child`](SupervisorRef::start_child) and addressed by their pids. Each is
    /// restarted alone, and all are shut down at once.
    ///
    /// ```
    /// use riot_actor::{run, send, Reason};
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

    /// Returns the builder of a supervisor that is described by a function.
    ///
    /// The function runs in the new process, so what it makes, such as a listening socket, is owned by the
    /// supervisor and made anew at every restart. It must not receive from the supervisor's mailbox.
    ///
    /// ```
    /// use std::{io, net::TcpListener, sync::Arc};
    /// use riot_actor::{run, Reason};
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
    ///     sup.stop(Reason::Normal).await?; // frees the port
    ///     Ok::<_, Reason>(())
    /// });
    /// # assert_eq!(reason, Reason::Normal);
    /// ```
    pub fn init<F, E>(init: impl FnOnce() -> F + Send + 'static) -> SupervisorInit
    where
        F: Future<Output = Result<Supervisor, E>> + Send + 'static,
        E: IntoReason,
    {
        let init: InitFn = Box::new(move || {
            let described = init();
            Box::pin(async move { described.await.map_err(IntoReason::into_reason) })
        });
        SupervisorInit { init, name: None, label: None }
    }

    fn new(shape: Shape) -> Self {
        Self {
            shape,
            children: Vec::new(),
            max_restarts: 1,
            period: Duration::from_secs(5),
            retry_delay: Duration::ZERO,
            backoff: None,
            auto_shutdown: AutoShutdown::Never,
            max_children: None,
            name: None,
            label: None,
        }
    }

    /// Bounds the restarts in any `period`; default 1 in 5 s. One restart more is not made: the supervisor
    /// stops its children and ends with [`Reason::Shutdown`]. The restart of a group counts once; every
    /// attempt to start a child that fails to start counts.
    ///
    /// # Panics
    /// Panics if `period` is zero.
    pub fn intensity(mut self, max_restarts: usize, period: Duration) -> Self {
        assert!(!period.is_zero(), "the period of the restart intensity is zero");
        self.max_restarts = max_restarts;
        self.period = period;
        self
    }

    /// Adds a child after those added before.
    pub fn child<C>(mut self, spec: ChildSpec<C>) -> Self {
        self.children.push(spec.untyped());
        self
    }

    /// Sets the delay between a failed restart and the next attempt; default zero. Requests are served in
    /// between in any case.
    pub fn retry_delay(mut self, delay: Duration) -> Self {
        self.retry_delay = delay;
        self
    }

    /// Sets growing delays between the attempts to restart a child that fails to start, in place of
    /// [`retry_delay`](Self::retry_delay); default none. With [`Backoff::every_restart`] the restart of a
    /// child that has ended is delayed, too. Every attempt counts: with a small
    /// [`intensity`](Self::intensity) the supervisor gives up before delays matter.
    ///
    /// # Panics
    /// Panics if the longest delay of `backoff` is below its first.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        assert!(backoff.has_valid_bounds(), "the longest delay of a backoff is below its first");
        self.backoff = Some(backoff);
        self
    }

    /// Sets whether the supervisor ends when its significant children have ended; default never.
    ///
    /// ```
    /// use riot_actor::{run, Reason};
    /// use riot_supervisor::{AutoShutdown, Supervisor, process};
    ///
    /// let reason = run(async {
    ///     riot_actor::trap_exit(true);
    ///     let sup = Supervisor::one_for_one()
    ///         .auto_shutdown(AutoShutdown::AnySignificant)
    ///         .child(process("helper", || std::future::pending::<()>()))
    ///         .child(process("main", || async {}).transient().significant())
    ///         .start_link()
    ///         .await?;
    ///     assert_eq!(riot_actor::process::wait(sup.pid()).await, Reason::Shutdown);
    ///     Ok::<_, Reason>(())
    /// });
    /// # assert_eq!(reason, Reason::Normal);
    /// ```
    pub fn auto_shutdown(mut self, auto_shutdown: AutoShutdown) -> Self {
        self.auto_shutdown = auto_shutdown;
        self
    }

    /// Bounds the number of children of a dynamic supervisor, restarting ones included; unbounded by default.
    ///
    /// # Panics
    /// Panics if `max_children` is zero.
    pub fn max_children(mut self, max_children: usize) -> Self {
        assert!(max_children > 0, "max_children is zero");
        self.max_children = Some(max_children);
        self
    }

    /// Sets the name of the supervisor's process; default none.
    pub fn name(mut self, name: impl Into<Name>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the label that [`tree()`](riot_actor::process::tree()) shows; default `supervisor`.
    pub fn label(mut self, label: impl Into<Cow<'static, str>>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Starts the supervisor, linked to the caller, and its children. Returns when all are up.
    ///
    /// # Errors
    /// See [`SupervisorStartError`]. After an error nothing is left of the supervisor: no process, no name,
    /// no message. The caller lives on, whether it traps exits or not.
    ///
    /// # Cancel safety
    /// If the future is dropped before it is ready, the supervisor is asked to shut down.
    ///
    /// # Panics
    /// Panics outside a process.
    pub async fn start_link(mut self) -> Result<SupervisorRef, SupervisorStartError> {
        let (name, label) = (self.name.take(), self.label.take());
        SupervisorInit { init: Box::new(|| Box::pin(std::future::ready(Ok(self)))), name, label }
            .start_link()
            .await
    }

    pub(crate) fn check(&self) -> Result<(), SpecError> {
        match self.shape {
            Shape::Dynamic => {
                if let Some(child) = self.children.first() {
                    return Err(SpecError::ChildOfDynamic(child.id.clone()));
                }
            }
            Shape::Ordered(_) if self.max_children.is_some() => return Err(SpecError::MaxChildrenOfStatic),
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

/// A function that describes a supervisor, and runs in its process.
pub(crate) type InitFn =
    Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = Result<Supervisor, Reason>> + Send>> + Send>;

/// The builder of a supervisor that is described in its own process; made by [`Supervisor::init`].
///
/// ```
/// # use riot_actor::{run, Reason};
/// use riot_supervisor::{Supervisor, SupervisorInit, process};
/// # let reason = run(async {
/// let web: SupervisorInit = Supervisor::init(|| async {
///     let settings = String::from("read from a file");
///     let body = move || { let _settings = settings.clone(); std::future::pending::<()>() };
///     Ok::<_, Reason>(Supervisor::one_for_one().child(process("web", body)))
/// });
/// web.name("web").start_link().await?;
/// # Ok::<_, Reason>(())
/// # });
/// # assert_eq!(reason, Reason::Normal);
/// ```
#[must_use = "nothing is supervised before `start_link`"]
pub struct SupervisorInit {
    init: InitFn,
    name: Option<Name>,
    label: Option<Cow<'static, str>>,
}

impl fmt::Debug for SupervisorInit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SupervisorInit")
            .field("name", &self.name)
            .field("label", &self.label)
            .finish_non_exhaustive()
    }
}

impl SupervisorInit {
    /// Sets the name of the supervisor's process, which is registered before the function runs; default none.
    pub fn name(mut self, name: impl Into<Name>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the label that [`tree()`](riot_actor::process::tree()) shows; default `supervisor`.
    pub fn label(mut self, label: impl Into<Cow<'static, str>>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Starts the supervisor as [`Supervisor::start_link`] does. An error of the function is
    /// [`SupervisorStartError::Init`].
    ///
    /// # Errors
    /// See [`SupervisorStartError`].
    ///
    /// # Panics
    /// Panics outside a process.
    pub async fn start_link(self) -> Result<SupervisorRef, SupervisorStartError> {
        let label = self.label.unwrap_or(Cow::Borrowed("supervisor"));
        let mut options = SpawnOptions::new().trap_exit().stops_its_children().label(label);
        if let Some(name) = self.name {
            options = options.name(name);
        }
        let pid = options
            .try_spawn(run(this(), self.init))
            .map_err(|taken| SupervisorStartError::AlreadyStarted(taken.holder))?;
        let unfinished = Unfinished(pid);
        let up = call::<Up, ()>(pid, Up, None).await;
        std::mem::forget(unfinished);
        match up {
            Ok(()) => {
                // The starter links only now, so that no earlier exit of the supervisor can end it.
                link(pid);
                send(pid, Linked);
                Ok(SupervisorRef::new(pid))
            }
            Err(CallError::Exit(reason)) => Err(SupervisorStartError::from_reason(reason)),
            Err(_) => Err(SupervisorStartError::Init(Reason::NoProc)),
        }
    }
}

/// Asks a supervisor to shut down when its start is dropped: no process would know of it.
struct Unfinished(Pid);

impl Drop for Unfinished {
    fn drop(&mut self) {
        // A starter that is ending tells the supervisor by its own exit signal, with its own reason.
        if is_alive(this()) {
            exit(self.0, Reason::Shutdown);
        }
    }
}

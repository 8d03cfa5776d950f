//! What a supervisor is to be, and its start.

use std::{borrow::Cow, collections::HashSet, fmt, future::Future, pin::Pin, time::Duration};

use riot_actor::{
    Pid, Reason, call,
    call::CallError,
    exit, link,
    name::Name,
    process::{SpawnOptions, is_alive},
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

/// A supervisor to be: its strategy, its children, its limits. [`start_link`](Self::start_link) makes it a process.
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
///     sup.stop(Reason::Normal, None).await?;
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

    /// A supervisor described by a function that runs in the new process, so that what it makes, such as a listening
    /// socket, is made anew at every restart and owned by the supervisor. The function may not use the supervisor's
    /// own mailbox.
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
    ///     sup.stop(Reason::Normal, None).await?; // and the port is free
    ///     Ok::<_, Reason>(())
    /// });
    /// # assert_eq!(reason, Reason::Normal);
    /// ```
    pub fn init<F, E>(init: impl FnOnce() -> F + Send + 'static) -> SupervisorInit
    where
        F: Future<Output = Result<Supervisor, E>> + Send + 'static,
        E: Into<Reason>,
    {
        let init: InitFn = Box::new(move || {
            let described = init();
            Box::pin(async move { described.await.map_err(Into::into) })
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

    /// How many restarts it tries in any `period` before it gives up, stops its children and ends with
    /// [`Reason::Shutdown`]; default 1 in 5 s. The restart of a group counts once, every attempt of a failing start
    /// counts.
    pub fn intensity(mut self, max_restarts: usize, period: Duration) -> Self {
        self.max_restarts = max_restarts;
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
    pub fn max_children(mut self, max_children: usize) -> Self {
        self.max_children = Some(max_children);
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
    /// See [`SupervisorStartError`]. Nothing is left of the supervisor then: no process, no name, no message; and the caller
    /// lives on, whether it traps exits or not.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the supervisor is asked to shut down.
    ///
    /// # Panics
    /// Outside a process.
    pub async fn start_link(mut self) -> Result<SupervisorRef, SupervisorStartError> {
        let (name, label) = (self.name.take(), self.label.take());
        SupervisorInit { init: Box::new(|| Box::pin(std::future::ready(Ok(self)))), name, label }
            .start_link()
            .await
    }

    pub(crate) fn check(&self) -> Result<(), SpecError> {
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

/// What makes a supervisor, in its own process.
pub(crate) type InitFn =
    Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = Result<Supervisor, Reason>> + Send>> + Send>;

/// A supervisor that is described in its own process; made by [`Supervisor::init`].
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

    /// See [`Supervisor::start_link`]; an error of the function is [`SupervisorStartError::Init`].
    ///
    /// # Errors
    /// See [`SupervisorStartError`].
    ///
    /// # Panics
    /// Outside a process.
    pub async fn start_link(self) -> Result<SupervisorRef, SupervisorStartError> {
        let label = self.label.unwrap_or(Cow::Borrowed("supervisor"));
        let mut options = SpawnOptions::new().trap_exit().label(label);
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
                // It is the starter that links, so that nothing before this moment can take it along.
                link(pid);
                send(pid, Linked);
                Ok(SupervisorRef::new(pid))
            }
            Err(CallError::Exit(reason)) => Err(SupervisorStartError::from_reason(reason)),
            Err(_) => Err(SupervisorStartError::Init(Reason::NoProc)),
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

//! The spec of a child: its id, how it starts, when it is restarted, how it is stopped.

use std::{any::TypeId, fmt, future::Future, marker::PhantomData, pin::Pin, time::Duration};

use riot_actor::{Pid, Reason, gen_server::GenServerOptions, process::contain};

use crate::{
    child_id::ChildId,
    error::SpecError,
    retry::{Retries, Retry},
    strategy::AutoShutdown,
};

/// The condition on which a child that ended by itself is restarted.
///
/// ```
/// use riot_supervisor::{Restart, process};
///
/// let spec = process("import", || async {}).restart(Restart::Transient); // or `.transient()`
/// assert_eq!(spec.summary().restart, Restart::Transient);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Restart {
    /// The child is always restarted.
    #[default]
    Permanent,
    /// The child is restarted after an abnormal exit reason only, so it may finish.
    Transient,
    /// The child is never restarted, and its spec is dropped when it ends.
    Temporary,
}

/// The way in which a child is stopped.
///
/// ```
/// use std::time::Duration;
/// use riot_supervisor::{ChildShutdown, process};
///
/// let spec = process("flush", || async {}).shutdown(ChildShutdown::Timeout(Duration::from_secs(30)));
/// # drop(spec);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChildShutdown {
    /// The child gets [`Reason::Kill`] at once.
    Kill,
    /// The child gets [`Reason::Shutdown`], and [`Reason::Kill`] if it has not ended within this time.
    Timeout(Duration),
    /// The child gets [`Reason::Shutdown`], and is waited for without a bound.
    Infinity,
}

/// The time that a worker has to end after [`Reason::Shutdown`], by default: 5 s, as in OTP.
///
/// ```
/// use riot_supervisor::{ChildShutdown, WORKER_SHUTDOWN, process};
///
/// let spec = process("db", || std::future::pending::<()>());
/// assert_eq!(spec.summary().shutdown, ChildShutdown::Timeout(WORKER_SHUTDOWN));
/// ```
pub const WORKER_SHUTDOWN: Duration = Duration::from_secs(5);

/// The kind of a child. By default a supervisor has all the time that its own children need to stop.
///
/// ```
/// use riot_supervisor::{ChildKind, Supervisor, supervisor};
///
/// let spec = supervisor("pool", || Supervisor::dynamic().start_link());
/// assert_eq!(spec.summary().kind, ChildKind::Supervisor);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChildKind {
    /// A process that does the work.
    Worker,
    /// A nested supervisor.
    Supervisor,
}

pub(crate) type StartFuture = Pin<Box<dyn Future<Output = Result<Option<Pid>, Reason>> + Send>>;
type StartFn = Box<dyn FnMut(&StartOptions) -> StartFuture + Send>;

/// The options of a start that a spec has after its start function was made.
#[derive(Clone, Default)]
pub(crate) struct StartOptions {
    /// The options of a generic server.
    pub(crate) server: Option<Box<GenServerOptions>>,
    /// The time that a process has to say that it is up.
    pub(crate) timeout: Option<Duration>,
}

/// The start function of a child: a value of a user. A panic in its destructor is reported, and ends neither
/// the supervisor nor any other process in which a spec is dropped.
pub(crate) struct Start(Option<StartFn>);

impl Start {
    pub(crate) fn new(start: impl FnMut(&StartOptions) -> StartFuture + Send + 'static) -> Self {
        Self(Some(Box::new(start)))
    }

    pub(crate) fn call(&mut self, options: &StartOptions) -> StartFuture {
        let start = self.0.as_mut().expect("it is there until it is dropped");
        start(options)
    }
}

impl Drop for Start {
    fn drop(&mut self) {
        let start = self.0.take();
        let _ = contain(|| drop(start));
    }
}

/// How to start, restart and stop one child. Made by [`worker`](crate::worker), [`server`](crate::server),
/// [`supervisor`](crate::supervisor()), [`process`](crate::process), [`task`](crate::task) or
/// [`process_with_start`](crate::process_with_start).
///
/// The type `C` says what starts: a reference, or a kind of child with options of its own, such as
/// [`ServerSpec`](crate::ServerSpec). [`start_child`](crate::SupervisorRef::start_child) returns a reference
/// of that type. A plain `ChildSpec` gives a [`Pid`]; [`untyped`](Self::untyped) makes one of any other.
///
/// ```
/// use riot_supervisor::{ChildKind, ChildShutdown, process};
///
/// let spec = process("db", || std::future::pending::<()>()).transient().shutdown(ChildShutdown::Infinity);
/// let summary = spec.summary();
/// assert_eq!((summary.id, summary.kind), ("db".into(), ChildKind::Worker));
/// ```
#[must_use = "a spec does nothing until it is given to a supervisor"]
pub struct ChildSpec<C = Pid> {
    pub(crate) id: ChildId,
    /// `None` once the child will not be started again.
    pub(crate) start: Option<Start>,
    pub(crate) options: StartOptions,
    pub(crate) restart: Restart,
    pub(crate) shutdown: ChildShutdown,
    pub(crate) kind: ChildKind,
    pub(crate) significant: bool,
    pub(crate) retries: Option<Box<Retries>>,
    /// The type of the references to the child.
    pub(crate) reference: fn() -> TypeId,
    pub(crate) _child: PhantomData<fn() -> C>,
}

impl<C> ChildSpec<C> {
    /// Returns the spec without the type of the child, so that specs of several types fit into one list.
    pub fn untyped(self) -> ChildSpec {
        let Self { id, start, options, restart, shutdown, kind, significant, retries, reference, .. } = self;
        let _child = PhantomData;
        ChildSpec { id, start, options, restart, shutdown, kind, significant, retries, reference, _child }
    }

    /// Makes the child [`Restart::Permanent`]: it is always restarted. The default.
    pub fn permanent(self) -> Self {
        self.restart(Restart::Permanent)
    }

    /// Makes the child [`Restart::Transient`]: it is restarted after an abnormal exit reason only.
    pub fn transient(self) -> Self {
        self.restart(Restart::Transient)
    }

    /// Makes the child [`Restart::Temporary`]: it is never restarted.
    pub fn temporary(self) -> Self {
        self.restart(Restart::Temporary)
    }

    /// Sets the condition on which the child is restarted.
    pub fn restart(mut self, restart: Restart) -> Self {
        self.restart = restart;
        self
    }

    /// Sets how the child is stopped; default [`WORKER_SHUTDOWN`] for a worker, [`ChildShutdown::Infinity`]
    /// for a supervisor.
    pub fn shutdown(mut self, shutdown: ChildShutdown) -> Self {
        self.shutdown = shutdown;
        self
    }

    /// Makes the child significant: its end may end its supervisor, see [`AutoShutdown`].
    pub fn significant(mut self) -> Self {
        self.significant = true;
        self
    }

    /// Has a child that fails tried again, with pauses and beside the restart intensity of its supervisor,
    /// before its failures count there; default none. See [`Retry`]. The child must not be temporary, as a
    /// [`task`](crate::task) is by default.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retries = Some(Box::new(Retries::new(retry)));
        self
    }

    /// Returns the spec without its start function.
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

    /// Returns whether references to the child are of this type. Every child has a pid.
    pub(crate) fn is_known_as(&self, reference: TypeId) -> bool {
        reference == TypeId::of::<Pid>() || reference == (self.reference)()
    }

    pub(crate) fn check(&self, auto_shutdown: AutoShutdown) -> Result<(), SpecError> {
        if self.significant && self.restart == Restart::Permanent {
            return Err(SpecError::SignificantPermanent(self.id.clone()));
        }
        if self.significant && auto_shutdown == AutoShutdown::Never {
            return Err(SpecError::SignificantWithoutAutoShutdown(self.id.clone()));
        }
        if self.retries.is_some() && self.restart == Restart::Temporary {
            return Err(SpecError::RetriesOfTemporary(self.id.clone()));
        }
        Ok(())
    }
}

impl<C> fmt::Debug for ChildSpec<C> {
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

/// A [`ChildSpec`] without its start function, as [`get_child_spec`](crate::SupervisorRef::get_child_spec)
/// returns it.
///
/// ```
/// # use riot_actor::{run, Reason};
/// use riot_supervisor::{Restart, Supervisor, process};
/// # let reason = run(async {
/// let child = process("a", || std::future::pending::<()>());
/// let sup = Supervisor::one_for_one().child(child).start_link().await?;
/// assert_eq!(sup.get_child_spec("a").await?.restart, Restart::Permanent);
/// # Ok::<_, Reason>(())
/// # });
/// # assert_eq!(reason, Reason::Normal);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpecSummary {
    /// The id of the child.
    pub id: ChildId,
    /// The condition on which the child is restarted.
    pub restart: Restart,
    /// The way in which the child is stopped.
    pub shutdown: ChildShutdown,
    /// The kind of the child.
    pub kind: ChildKind,
    /// Whether the end of the child may end its supervisor.
    pub significant: bool,
}

//! Starting a process.

use std::{
    borrow::Cow,
    fmt,
    future::Future,
    hint::cold_path,
    panic::Location,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use super::{
    notice::MonitorRef,
    pid::Pid,
    priority::Priority,
    reason::{Outcome, Reason},
};
use crate::{
    messages::capacity::MailboxOverflow,
    names::{
        name::Name,
        registry::{NameTaken, RegisterError},
        server_type::ServerType,
    },
    runtime::{
        context,
        handle::Handle,
        kernel::{
            locals::Locals,
            observed::TypedBody,
            spawn::{Affinity, Origin, ParentExit, SpawnSpec},
        },
        shared::Shared,
    },
};

/// Starts a process and returns its pid. The body does not run on the caller's stack.
///
/// ```
/// use riot_actor::{receive, run, send, spawn};
/// run(async {
///     let pid = spawn(async { assert_eq!(receive::<&str>().await, "hello") });
///     send(pid, "hello");
/// });
/// ```
///
/// # Panics
/// Panics outside a process; plain threads use [`Handle::spawn`](crate::runtime::Handle::spawn).
#[track_caller]
pub fn spawn<F>(body: F) -> Pid
where
    F: Future<Output: Outcome> + Send + 'static,
{
    SpawnOptions::new().spawn(body)
}

/// Starts a process linked to the caller, in one step: whatever ends the child, the caller receives the true
/// reason.
///
/// The end of one of the two ends the other, unless it is a normal one: after `Ok(())` of the caller the
/// child runs on. End the caller with [`Reason::Shutdown`], or start the child below a supervisor.
///
/// ```
/// # use riot_actor::{receive, run, spawn_link, trap_exit, Exit, Reason};
/// # run(async {
/// trap_exit(true);
/// let child = spawn_link(async {});
/// assert_eq!(receive::<Exit>().await.from, child);
/// # });
/// ```
///
/// # Panics
/// Panics outside a process.
#[track_caller]
pub fn spawn_link<F>(body: F) -> Pid
where
    F: Future<Output: Outcome> + Send + 'static,
{
    SpawnOptions::new().link().spawn(body)
}

/// Starts a process that the caller monitors, in one step.
///
/// ```
/// # use riot_actor::{process::spawn_monitor, run, Reason};
/// # run(async {
/// let (_, reference) = spawn_monitor(async { Reason::other("closed") });
/// assert_eq!(reference.down().await.reason, Reason::other("closed"));
/// # });
/// ```
///
/// # Panics
/// Panics outside a process.
#[track_caller]
pub fn spawn_monitor<F>(body: F) -> (Pid, MonitorRef)
where
    F: Future<Output: Outcome> + Send + 'static,
{
    SpawnOptions::new().spawn_monitor(body)
}

/// Options for starting a process.
///
/// ```
/// # use riot_actor::{process::{Priority, SpawnOptions}, run};
/// # run(async {
/// let pid = SpawnOptions::new().label("cleaner").priority(Priority::Low).link().spawn(async {});
/// # });
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "nothing starts before `spawn`"]
pub struct SpawnOptions(SpawnSpec);

impl SpawnOptions {
    /// Options of a plain process: no link, no name, normal priority.
    pub fn new() -> Self {
        Self::default()
    }

    /// Links the process to the caller from its first moment.
    pub fn link(mut self) -> Self {
        self.0.link = true;
        self
    }

    /// Has the process trap exits before its first poll, so that no signal finds it not trapping yet.
    pub fn trap_exit(mut self) -> Self {
        self.0.trap_exit = true;
        self
    }

    /// Sets a label, which [`info`](crate::process::info()) and crash reports show. Several processes may
    /// have the same label.
    pub fn label(mut self, label: impl Into<Cow<'static, str>>) -> Self {
        self.0.label = Some(label.into());
        self
    }

    /// Says that the process is a generic server, which is kept with its name.
    pub(crate) fn server_type(mut self, server_type: &'static ServerType) -> Self {
        self.0.server_type = Some(server_type);
        self
    }

    /// Registers a name for the process, which it holds before its body first runs.
    pub fn name(mut self, name: impl Into<Name>) -> Self {
        self.0.name = Some(name.into());
        self
    }

    /// Sets the priority; normal by default.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.0.priority = priority;
        self
    }

    /// Bounds the mailbox; `overflow` decides what happens to the next message. Unbounded by default.
    ///
    /// Messages of the runtime (exits, downs, timeouts) are always accepted, and not counted. To learn that a
    /// mailbox is full use [`try_send`](crate::mailbox::try_send), to wait for room
    /// [`send_async`](crate::mailbox::send_async); a [`call`](crate::call()) fails with
    /// [`CallError::Full`](crate::call::CallError::Full).
    ///
    /// # Panics
    /// Panics if `messages` is zero.
    pub fn max_mailbox(mut self, messages: usize, overflow: MailboxOverflow) -> Self {
        assert!(messages > 0, "a bounded mailbox must accept at least one message");
        self.0.max_mailbox = Some((messages, overflow));
        self
    }

    /// Pins the process to the worker of the caller. No other worker takes it over, even if that worker is
    /// held up.
    pub fn pinned(mut self) -> Self {
        self.0.affinity = Some(Affinity::CurrentWorker);
        self
    }

    /// Pins the process to the worker with this number, counted from 0, modulo the number of workers.
    pub fn pinned_to(mut self, worker: usize) -> Self {
        self.0.affinity = Some(Affinity::Worker(worker as u32));
        self
    }

    /// Says that the process stops its children itself when it is asked to shut down, as a supervisor does.
    ///
    /// When the runtime shuts down, such a process is asked before all others, unless another one is among
    /// its ancestors, and is waited for: see [`Config::stop_timeout`](crate::runtime::Config::stop_timeout).
    /// The processes that it has spawned, directly or over others, are left to it meanwhile. Supervisors are
    /// spawned so.
    pub fn stops_its_children(mut self) -> Self {
        self.0.stops_its_children = true;
        self
    }

    /// Polls and drops the body with the tokio runtime of [`Config::tokio`](crate::runtime::Config::tokio),
    /// so that libraries that need tokio work in the whole process. Each poll takes some 50 ns more.
    ///
    /// ```
    /// use std::time::Duration;
    /// use riot_actor::{Reason, process::{SpawnOptions, wait}, runtime::Config};
    ///
    /// let reason = Config::new().tokio().run(async {
    ///     let clerk = SpawnOptions::new().tokio().spawn(async {
    ///         tokio::time::sleep(Duration::from_millis(1)).await;
    ///         Reason::other("done")
    ///     });
    ///     assert_eq!(wait(clerk).await, Reason::other("done"));
    /// })?;
    /// assert_eq!(reason, Reason::Normal);
    /// # Ok::<(), riot_actor::runtime::RunError>(())
    /// ```
    ///
    /// # Panics
    /// Starting the process panics if the runtime has no tokio.
    #[cfg(feature = "tokio")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tokio")))]
    pub fn tokio(mut self) -> Self {
        self.0.in_tokio = true;
        self
    }

    /// Sets what happens when the caller exits, until the watcher with this reference is removed from the
    /// caller.
    pub(crate) fn on_parent_exit(mut self, reference: MonitorRef, exit: ParentExit) -> Self {
        self.0.on_parent_exit = Some((reference, exit));
        self
    }

    /// Starts the process.
    ///
    /// # Panics
    /// Panics outside a process; or if the name is taken, see [`try_spawn`](Self::try_spawn).
    #[track_caller]
    pub fn spawn<F>(self, body: F) -> Pid
    where
        F: Future<Output: Outcome> + Send + 'static,
    {
        self.try_spawn(body).unwrap_or_else(|taken| panic!("spawn: {taken}"))
    }

    /// Starts the process, unless its name is taken.
    ///
    /// ```
    /// # use riot_actor::{process::SpawnOptions, run};
    /// # run(async {
    /// let first = SpawnOptions::new().name("clerk").spawn(std::future::pending::<()>());
    /// let taken = SpawnOptions::new().name("clerk").try_spawn(async {}).unwrap_err();
    /// assert_eq!(taken.holder, first);
    /// # });
    /// ```
    ///
    /// # Errors
    /// If another process has the name. The body was dropped without running.
    ///
    /// # Panics
    /// Panics outside a process.
    #[track_caller]
    pub fn try_spawn<F>(self, body: F) -> Result<Pid, NameTaken>
    where
        F: Future<Output: Outcome> + Send + 'static,
    {
        self.try_spawn_at(Location::caller(), body)
    }

    /// Starts the process as [`try_spawn`](Self::try_spawn) does, for a caller at this place.
    pub(crate) fn try_spawn_at<F>(
        mut self,
        place: &'static Location<'static>,
        body: F,
    ) -> Result<Pid, NameTaken>
    where
        F: Future<Output: Outcome> + Send + 'static,
    {
        self.0.spawned_at = Some(place);
        let parent = begin_spawn(&mut self.0);
        context::with_local(|local| {
            let local = local.expect("a process runs on a worker");
            let worker = local.worker as u32;
            let origin = Origin { parent: Some(parent), worker: Some(worker), monitor: None };
            local.shared.spawn(self, origin, ReasonOf::typed(body))
        })
    }

    /// Starts the process, monitored by the caller.
    ///
    /// # Panics
    /// Panics outside a process; or if the name is taken.
    #[track_caller]
    pub fn spawn_monitor<F>(mut self, body: F) -> (Pid, MonitorRef)
    where
        F: Future<Output: Outcome> + Send + 'static,
    {
        self.0.spawned_at = Some(Location::caller());
        let parent = begin_spawn(&mut self.0);
        context::with_local(|local| {
            let local = local.expect("a process runs on a worker");
            let reference = local.shared.next_reference();
            let worker = Some(local.worker as u32);
            let origin = Origin { parent: Some(parent), worker, monitor: Some(reference) };
            match local.shared.spawn(self, origin, ReasonOf::typed(body)) {
                Ok(pid) => (pid, reference),
                Err(taken) => panic!("spawn: {taken}"),
            }
        })
    }
}

/// Returns the running process, which spawns another one, and notes whether it has values for that.
fn begin_spawn(spec: &mut SpawnSpec) -> Pid {
    context::with_running("spawn", |_, _, running| {
        running.has_spawned = true;
        if let Some(attached) = &running.attached
            && attached.locals.has_inherited()
        {
            cold_path();
            spec.inherits = true;
        }
        running.pid
    })
}

/// Clones the values that a child inherits, one after the other: their `Clone` may use the others.
#[cold]
fn inherit() -> Locals {
    let (mut locals, mut last) = (Locals::default(), None);
    loop {
        let next = context::with_running("spawn", |_, _, running| {
            running.attached.as_ref()?.locals.next_inherited(last)
        });
        let Some(next) = next else { return locals };
        last = Some(next.key);
        next.clone_into(&mut locals);
    }
}

/// The error of starting a process from a plain thread.
///
/// See [`Handle::spawn_with`] for an example.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum SpawnError {
    /// Another process has the name. The body was dropped without running.
    NameTaken(NameTaken),
    /// The options link the process to its parent, or pin it to its worker: a thread is no process.
    NoParent,
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NameTaken(taken) => taken.fmt(f),
            Self::NoParent => {
                f.write_str("a process that a thread starts has no parent to be linked to or pinned with")
            }
        }
    }
}

impl std::error::Error for SpawnError {}

impl Handle {
    /// Starts a process that has no parent, with options.
    ///
    /// ```
    /// use riot_actor::{process::{SpawnError, SpawnOptions}, run, runtime::Handle};
    ///
    /// run(async {
    ///     let handle = Handle::current();
    ///     let options = SpawnOptions::new().name("clerk");
    ///     let clerk = handle.spawn_with(options, std::future::pending::<()>()).unwrap();
    ///     assert_eq!(handle.whereis("clerk"), Some(clerk));
    ///     let linked = handle.spawn_with(SpawnOptions::new().link(), async {});
    ///     assert_eq!(linked, Err(SpawnError::NoParent));
    /// });
    /// ```
    ///
    /// # Errors
    /// If the name is taken, or the options need a parent: [`link`](SpawnOptions::link) and
    /// [`pinned`](SpawnOptions::pinned).
    #[track_caller]
    pub fn spawn_with<F>(&self, mut options: SpawnOptions, body: F) -> Result<Pid, SpawnError>
    where
        F: Future<Output: Outcome> + Send + 'static,
    {
        if options.0.link || matches!(options.0.affinity, Some(Affinity::CurrentWorker)) {
            return Err(SpawnError::NoParent);
        }
        options.0.spawned_at = Some(Location::caller());
        let body = ReasonOf::typed(body);
        self.shared.spawn(options, Origin::default(), body).map_err(SpawnError::NameTaken)
    }
}

pin_project! {
    /// A body that ends with a reason. (An `async` block around the body would store the body twice.)
    pub(crate) struct ReasonOf<F> {
        #[pin]
        pub(crate) body: F,
    }
}

impl<F: Future<Output: Outcome> + Send + 'static> ReasonOf<F> {
    /// Makes a body of a future, whose type observers see.
    #[inline]
    pub(crate) fn typed(body: F) -> TypedBody {
        TypedBody::made_of::<F>(Box::pin(Self { body }))
    }
}

impl<F: Future<Output: Outcome>> Future for ReasonOf<F> {
    type Output = Reason;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Reason> {
        self.project().body.poll(cx).map(Outcome::into_reason)
    }
}

impl Shared {
    pub(crate) fn spawn(
        self: &Arc<Self>,
        options: SpawnOptions,
        origin: Origin,
        body: TypedBody,
    ) -> Result<Pid, NameTaken> {
        #[cfg(feature = "tokio")]
        let body =
            if options.0.in_tokio { TypedBody { body: self.tokio_body(body.body), ..body } } else { body };
        if options.0.name.is_none() && !options.0.inherits {
            return Ok(self.spawn_unnamed(options.0, origin, body, |_| ()));
        }
        self.spawn_slow(options.0, origin, body)
    }

    // perf: spawn, 1270 → 1264 instructions
    #[cold]
    fn spawn_slow(
        self: &Arc<Self>,
        mut spec: SpawnSpec,
        origin: Origin,
        body: TypedBody,
    ) -> Result<Pid, NameTaken> {
        let name = spec.name.take();
        let server_type = spec.server_type;
        let inherited = spec.inherits.then(inherit);
        let held = self.spawn_held(spec, origin, body, |_| ());
        if let Some(locals) = inherited {
            self.give_locals(&held, locals);
        }
        // A process that was condemned meanwhile needs no name.
        if let Some(name) = name
            && let Err(RegisterError::NameTaken(taken)) =
                self.registry.register(self, name, held.pid, server_type)
        {
            self.abandon(held);
            return Err(taken);
        }
        Ok(self.start_held(held))
    }
}

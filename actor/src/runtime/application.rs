//! Applications: parts of a program that start before `main` and stop after it, in order.

use std::{borrow::Cow, fmt, future::Future, pin::Pin, sync::Mutex, time::Duration};

use super::{context, handle::Handle, kernel::observed::TypedBody, shared::Shared, shutdown::shutdown};
use crate::{
    guard::{Contained, catch_panic::catch_panic, contain},
    messages::{
        message::Message,
        receive::{receive, receive_if, select},
    },
    process::{
        exit::exit,
        monitor::monitor,
        notice::{Down, MonitorRef},
        pid::Pid,
        reason::{Detail, IntoReason, Reason},
    },
    sync::lock::lock,
    time::timeout::timeout,
};

/// A part of a program that starts and stops as one: a top process, usually a supervisor, and all below it.
///
/// ```
/// use riot_actor::{
///     gen_server::{GenServer, GenServerOptions, Stop}, runtime::{Application, Config}, whereis, Reason,
/// };
///
/// struct Db;
/// impl GenServer for Db {
///     type Args = ();
///     async fn init((): ()) -> Result<Self, Stop> { Ok(Db) }
/// }
///
/// let reason = Config::new()
///     .application(Application::new("db", || GenServerOptions::new().name("db").start_link::<Db>(())))
///     .run(async { assert!(whereis("db").is_some()) })?;      // main begins when all have started
/// assert_eq!(reason, Reason::Normal);
/// # Ok::<(), riot_actor::runtime::RunError>(())
/// ```
#[must_use = "it is started by `Config::run`"]
pub struct Application {
    name: Cow<'static, str>,
    start: Contained<Start>,
    kind: ApplicationKind,
    shutdown: Option<Duration>,
}

type Starting = Pin<Box<dyn Future<Output = Result<Pid, Reason>> + Send>>;
type Start = Box<dyn FnOnce() -> Starting + Send>;

/// The meaning of the exit of an application's top process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ApplicationKind {
    Permanent,
    Transient,
    Temporary,
}

impl Application {
    /// Makes an application that `start` starts. It returns the top process, linked to the caller as every
    /// `start_link` does. A panic in it is a failed start.
    pub fn new<F, P, E>(
        name: impl Into<Cow<'static, str>>,
        start: impl FnOnce() -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = Result<P, E>> + Send + 'static,
        P: Into<Pid>,
        E: IntoReason,
    {
        let start: Start = Box::new(move || {
            let starting = start();
            Box::pin(async move { starting.await.map(Into::into).map_err(IntoReason::into_reason) })
        });
        Self {
            name: name.into(),
            start: Contained::new(start),
            kind: ApplicationKind::Permanent,
            shutdown: None,
        }
    }

    /// Shuts the runtime down when the top process exits, whatever the reason. The default.
    pub fn permanent(mut self) -> Self {
        self.kind = ApplicationKind::Permanent;
        self
    }

    /// Shuts the runtime down when the top process exits abnormally.
    pub fn transient(mut self) -> Self {
        self.kind = ApplicationKind::Transient;
        self
    }

    /// Only logs the exit of the top process.
    pub fn temporary(mut self) -> Self {
        self.kind = ApplicationKind::Temporary;
        self
    }

    /// Sets how long the top process may take to exit when the runtime shuts down, before it is killed. By
    /// default it has all the time it needs, as a supervisor has below another.
    pub fn shutdown(mut self, timeout: Duration) -> Self {
        self.shutdown = Some(timeout);
        self
    }
}

impl fmt::Debug for Application {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Application")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("shutdown", &self.shutdown)
            .finish_non_exhaustive()
    }
}

/// An application that has started and not stopped.
///
/// See [`which_applications`] for an example.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ApplicationInfo {
    /// The name.
    pub name: Cow<'static, str>,
    /// The top process.
    pub top: Pid,
}

/// Returns the applications that have started and whose top processes have not exited, in the order in which
/// they were started. (OTP: `application:which_applications/0`.)
///
/// ```
/// use riot_actor::{Reason, runtime::{Application, Config, which_applications}, spawn_link};
///
/// let start = || async { Ok::<_, Reason>(spawn_link(std::future::pending::<()>())) };
/// let clock = Application::new("clock", start);
/// let reason = Config::new().application(clock).run(async {
///     let [clock] = &which_applications()[..] else { panic!("there is one") };
///     assert_eq!(clock.name, "clock");
/// })?;
/// assert_eq!(reason, Reason::Normal);
/// # Ok::<(), riot_actor::runtime::RunError>(())
/// ```
///
/// # Panics
/// Panics outside a process.
#[must_use]
pub fn which_applications() -> Vec<ApplicationInfo> {
    context::with_shared("which_applications", |shared| shared.which_applications())
}

impl Handle {
    /// Returns the applications that run, as [`which_applications`] does, from a plain thread.
    #[must_use]
    pub fn which_applications(&self) -> Vec<ApplicationInfo> {
        self.shared.which_applications()
    }
}

/// The applications that have started, in order.
#[derive(Default)]
pub(super) struct Applications(Mutex<Vec<ApplicationInfo>>);

/// An application that did not start.
#[derive(Clone, Debug)]
pub(crate) struct ApplicationFailed {
    pub(crate) name: String,
    pub(crate) reason: Reason,
}

/// The message that stops the process of the applications.
struct StopAll;

/// An application that has started.
struct RunningApplication {
    name: Cow<'static, str>,
    kind: ApplicationKind,
    shutdown: Option<Duration>,
    top: Pid,
    reference: MonitorRef,
}

impl Shared {
    fn which_applications(&self) -> Vec<ApplicationInfo> {
        let started = lock(&self.applications.0).clone();
        started.into_iter().filter(|application| self.is_present(application.top)).collect()
    }

    /// Starts the process that starts the applications and then `main`.
    pub(crate) fn spawn_applications(
        self: &std::sync::Arc<Self>,
        applications: Vec<Application>,
        start_main: impl FnOnce() + Send + 'static,
    ) {
        let kill_timeout = self.config.kill_timeout;
        let body = TypedBody::new(async move {
            let mut running = Vec::new();
            match start_all(applications, &mut running).await {
                Ok(()) => {
                    start_main();
                    watch(&mut running).await;
                }
                Err(Some(failed)) => {
                    let _ = contain(|| drop(start_main));
                    stop_all(running, kill_timeout).await;
                    let reason = Reason::ShutdownWith(Detail::new(failed.name.clone()));
                    context::with_shared("applications", |shared| shared.application_failed(failed));
                    shutdown(reason);
                    return Reason::Normal;
                }
                Err(None) => _ = contain(|| drop(start_main)),
            }
            stop_all(running, kill_timeout).await;
            Reason::Normal
        });
        self.spawn_root("applications", true, body, &self.ending.applications);
    }

    /// Stops the applications. They have stopped when the returned process is released.
    pub(crate) fn stop_applications(&self) -> Option<Pid> {
        let pid = *self.ending.applications.get()?;
        self.tell(pid, StopAll);
        Some(pid)
    }
}

/// Starts one after the other. The error is the failure, or none if the runtime is to end before all have
/// started.
async fn start_all(
    applications: Vec<Application>,
    running: &mut Vec<RunningApplication>,
) -> Result<(), Option<ApplicationFailed>> {
    for Application { name, start, kind, shutdown } in applications {
        let started = catch_panic(async move { start.into_inner()().await });
        let started = match until_stopped(started).await {
            Some(started) => started.unwrap_or_else(|panic| Err(Reason::Panic(std::sync::Arc::new(panic)))),
            None => return Err(None),
        };
        match started {
            Ok(top) => {
                let info = ApplicationInfo { name: name.clone(), top };
                context::with_shared("applications", |shared| lock(&shared.applications.0).push(info));
                running.push(RunningApplication { name, kind, shutdown, top, reference: monitor(top) })
            }
            Err(reason) => {
                crate::log_event!(
                    ERROR, "riot::application", application = %name,
                    "the application failed to start: {reason}"
                );
                return Err(Some(ApplicationFailed { name: name.into_owned(), reason }));
            }
        }
    }
    Ok(())
}

/// Awaits `future`; none if the applications are to stop first.
async fn until_stopped<F: Future>(future: F) -> Option<F::Output> {
    // Dropped in a guard if the applications are to stop first.
    let mut future = Contained::new(Box::pin(future));
    let mut stop = receive::<StopAll>();
    std::future::poll_fn(|cx| {
        if let std::task::Poll::Ready(value) = future.as_mut().poll(cx) {
            return std::task::Poll::Ready(Some(value));
        }
        Pin::new(&mut stop).poll(cx).map(|StopAll| None)
    })
    .await
}

/// Watches the applications until they are to stop.
async fn watch(running: &mut Vec<RunningApplication>) {
    loop {
        let message = select(|message: &Message| message.is::<StopAll>() || message.is::<Down>()).await;
        let Ok(down) = message.downcast::<Down>() else { return };
        let Some(at) = running.iter().position(|running| running.reference == down.reference) else {
            continue;
        };
        let RunningApplication { name, kind, top, .. } = running.remove(at);
        let reason = context::with_shared("applications", |shared| shared.reason_of_end(top, &down.reason));
        crate::log_event!(
            WARN, "riot::application", application = %name, "the application ended: {reason:#}"
        );
        let matters = match kind {
            ApplicationKind::Permanent => true,
            ApplicationKind::Transient => !reason.is_clean(),
            ApplicationKind::Temporary => false,
        };
        if matters {
            shutdown(reason);
        }
    }
}

/// Stops the applications in reverse order, each as a supervisor stops a child.
async fn stop_all(running: Vec<RunningApplication>, kill_timeout: Duration) {
    for RunningApplication { name, shutdown, top, reference, .. } in running.into_iter().rev() {
        let down = || receive_if(move |down: &Down| down.reference == reference);
        exit(top, Reason::Shutdown);
        match shutdown {
            Some(shutdown_timeout) => {
                if timeout(shutdown_timeout, down()).await.is_ok() {
                    continue;
                }
            }
            None => {
                down().await;
                continue;
            }
        }
        exit(top, Reason::Kill);
        if timeout(kill_timeout, down()).await.is_err() {
            crate::log_event!(
                ERROR, "riot::application", application = %name,
                "the application was killed and does not give way"
            );
        }
    }
}

//! Starting a server: the starter waits for its `init`, and is not ended by a failure of it.

use std::{fmt, time::Duration};

use super::{GenServer, GenServerRef, START_TIMEOUT, Stop, control, events};
use crate::{
    call::{CallError, ReplyTo, oneshot_with, wait},
    guard::catch_panic::catch_panic,
    messages::capacity::MailboxOverflow,
    names::{name::Name, server_type::ServerType},
    observe::crash_report,
    process::{exit::exit, link::link, notice::MonitorRef, pid::Pid, reason::Reason, spawn::SpawnOptions},
    runtime::{context, handle::Handle, kernel::spawn::ParentExit},
};

/// Options for starting a server.
///
/// ```
/// # use riot_actor::{gen_server::{GenServer, GenServerOptions, Stop}, run, whereis};
/// # struct Cache;
/// # impl GenServer for Cache { type Args = (); async fn init((): ()) -> Result<Self, Stop> { Ok(Cache) } }
/// # run(async {
/// let cache = GenServerOptions::new().name("cache").start_link::<Cache>(()).await?;
/// assert_eq!(whereis("cache"), Some(cache.pid()));
/// # Ok::<(), riot_actor::Reason>(())
/// # });
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing starts before `start`"]
pub struct GenServerOptions {
    spawn: SpawnOptions,
    timeout: Option<Duration>,
}

impl Default for GenServerOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl GenServerOptions {
    /// Options of a server without a name, whose `init` may take any time.
    pub fn new() -> Self {
        Self { spawn: SpawnOptions::new(), timeout: START_TIMEOUT }
    }

    /// Registers a name for the server, which it holds before `init` runs.
    pub fn name(mut self, name: impl Into<Name>) -> Self {
        self.spawn = self.spawn.name(name);
        self
    }

    /// Bounds the mailbox, see [`SpawnOptions::max_mailbox`]. Unbounded by default. Requests about the server
    /// itself, such as [`GenServerRef::stop`], are always accepted.
    ///
    /// # Panics
    /// Panics if `messages` is zero.
    pub fn max_mailbox(mut self, messages: usize, overflow: MailboxOverflow) -> Self {
        self.spawn = self.spawn.max_mailbox(messages, overflow);
        self
    }

    /// Sets how long `init` may take before the server is killed; forever by default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Starts the server without a link. Returns once `init` has.
    ///
    /// # Errors
    /// See [`GenServerStartError`].
    ///
    /// # Cancel safety
    /// If the future is dropped before it is ready, a server that was spawned starts all the same.
    pub async fn start<S: GenServer>(self, args: S::Args) -> Result<GenServerRef<S>, GenServerStartError> {
        self.run::<S>(args, None).await
    }

    /// Starts the server linked to the caller. Returns once `init` has.
    ///
    /// The end of one of the two ends the other, unless it is a normal one: after `Ok(())` of the caller the
    /// server runs on. End the caller with [`Reason::Shutdown`], or start the server below a supervisor.
    ///
    /// # Errors
    /// See [`GenServerStartError`].
    ///
    /// # Cancel safety
    /// If the future is dropped before it is ready, a server that was spawned starts all the same.
    pub async fn start_link<S: GenServer>(
        self,
        args: S::Args,
    ) -> Result<GenServerRef<S>, GenServerStartError> {
        let link_to_starter = StarterLink {
            starter: crate::this(),
            reference: context::with_shared("start", |shared| shared.next_reference()),
            handle: Handle::current(),
        };
        self.run::<S>(args, Some(link_to_starter)).await
    }

    async fn run<S: GenServer>(
        self,
        args: S::Args,
        starter_link: Option<StarterLink>,
    ) -> Result<GenServerRef<S>, GenServerStartError> {
        let mut taken = None;
        let mut spawn = self.spawn.label(short_name::<S>()).server_type(ServerType::of::<S>());
        if let Some(link) = &starter_link {
            spawn = spawn.on_parent_exit(link.reference, ParentExit::OneWayLink);
        }
        let (pid, started) =
            oneshot_with(|reply| match spawn.try_spawn(body::<S>(args, starter_link, reply)) {
                Ok(pid) => pid,
                Err(error) => {
                    taken = Some(GenServerStartError::AlreadyStarted(error.holder));
                    error.holder
                }
            });
        if let Some(error) = taken {
            return Err(error);
        }
        let end = wait(pid);
        match started.wait(self.timeout).await {
            Ok(Ok(())) => Ok(GenServerRef::new(pid)),
            // Returns only after the release, so that the name is free.
            Ok(Err(stop)) => {
                end.await;
                Err(match stop {
                    Stop::Ignore => GenServerStartError::Ignored,
                    Stop::Because(reason) => GenServerStartError::Failed(reason),
                })
            }
            Err(CallError::Timeout) => {
                exit(pid, Reason::Kill);
                end.await;
                Err(GenServerStartError::Timeout)
            }
            Err(CallError::Exit(reason)) => Err(GenServerStartError::Failed(reason)),
            Err(_) => Err(GenServerStartError::Failed(end.await)),
        }
    }
}

/// Returns the argument in the name of a generic type of this crate, if the name is one of that type.
pub(super) fn argument_of<'a>(name: &'a str, generic: &str) -> Option<&'a str> {
    name.strip_prefix("riot_actor::")?.strip_prefix(generic)?.strip_prefix('<')?.strip_suffix('>')
}

/// Returns the name of a server's type. A machine has the name of the type that implements it.
pub(crate) fn server_name<S>() -> &'static str {
    let name = std::any::type_name::<S>();
    argument_of(name, "state_machine::machine::Machine").unwrap_or(name)
}

/// Returns the last segment of the name of a server's type, without its generic arguments.
pub(crate) fn short_name<S>() -> &'static str {
    let name = server_name::<S>();
    let name = name.split('<').next().unwrap_or(name);
    name.rsplit("::").next().unwrap_or(name)
}

/// The body of a server. It links the starter only once `init` has succeeded, so that a failure cannot end
/// the starter; the one-way link has the server end with the starter before that.
async fn body<S: GenServer>(
    args: S::Args,
    starter_link: Option<StarterLink>,
    reply: ReplyTo<Result<(), Stop>>,
) -> Reason {
    control::become_server();
    let parent = starter_link.as_ref().map(|link| link.starter);
    match catch_panic(S::init(args)).await {
        Ok(Ok(state)) => {
            if let Some(parent) = parent {
                link(parent);
            }
            drop(starter_link);
            reply.send(Ok(()));
            events::serve(state, parent).await
        }
        Ok(Err(stop)) => {
            crash_report::failed_to_start();
            let reason = match &stop {
                Stop::Ignore => Reason::Normal,
                Stop::Because(reason) => reason.clone(),
            };
            reply.send(Err(stop));
            reason
        }
        Err(panic) => {
            crash_report::failed_to_start();
            events::crashed(panic)
        }
    }
}

/// The one-way link from a starter to a server in its `init`. Dropping it removes the link.
struct StarterLink {
    starter: Pid,
    reference: MonitorRef,
    handle: Handle,
}

impl Drop for StarterLink {
    fn drop(&mut self) {
        self.handle.shared.remove_watcher(self.starter, self.reference);
    }
}

/// Why a server was not started.
///
/// ```
/// # use riot_actor::{gen_server::{GenServer, GenServerStartError, Stop}, run, Reason};
/// struct Broken;
/// impl GenServer for Broken {
///     type Args = ();
///     async fn init((): ()) -> Result<Self, Stop> { Err(Reason::other("no disk").into()) }
/// }
/// # run(async {
/// assert_eq!(Broken::start(()).await, Err(GenServerStartError::Failed(Reason::other("no disk"))));
/// # });
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum GenServerStartError {
    /// The server has nothing to do, which is no failure.
    Ignored,
    /// Another process has its name.
    AlreadyStarted(Pid),
    /// The `init` took longer than [`GenServerOptions::timeout`].
    Timeout,
    /// The `init` returned an error, panicked or was killed.
    Failed(Reason),
}

impl fmt::Display for GenServerStartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ignored => f.write_str("the server has nothing to do"),
            Self::AlreadyStarted(pid) => write!(f, "the server is already started: {pid} has its name"),
            Self::Timeout => f.write_str("the server took too long to start"),
            Self::Failed(reason) => write!(f, "the server did not start: {reason}"),
        }
    }
}
impl std::error::Error for GenServerStartError {}

//! Starting a server: whoever does waits for its `init`, and is not ended by it.

use std::{fmt, time::Duration};

use super::{GenServer, GenServerRef, START_TIMEOUT, Stop, events};
use crate::{
    call::{CallError, ReplyTo, oneshot_with, wait},
    messages::capacity::MailboxOverflow,
    names::registry::Name,
    process::{
        pid::Pid,
        reason::Reason,
        signal::{MonitorRef, exit, link},
        spawn::SpawnOptions,
    },
    runtime::{context, handle::Handle, panic::catch_panic},
};

/// How a server starts, where [`GenServer::start_link`] says too little.
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
#[derive(Debug)]
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
    /// No name, and all the time `init` needs.
    pub fn new() -> Self {
        Self { spawn: SpawnOptions::new(), timeout: START_TIMEOUT }
    }

    /// A name, held before `init` runs.
    pub fn name(mut self, name: impl Into<Name>) -> Self {
        self.spawn = self.spawn.name(name);
        self
    }

    /// The bound of its mailbox, as [`SpawnOptions::max_mailbox`]: for calls, casts and messages, not for what is asked of
    /// the server itself, such as [`GenServerRef::stop`]. Default: none.
    ///
    /// # Panics
    /// Filter zero.
    pub fn max_mailbox(mut self, messages: usize, overflow: MailboxOverflow) -> Self {
        self.spawn = self.spawn.max_mailbox(messages, overflow);
        self
    }

    /// How long `init` may take; default for ever. One that takes longer is killed.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Starts the server, linked to nobody.
    ///
    /// # Errors
    /// See [`GenServerStartError`].
    pub async fn start<S: GenServer>(self, args: S::Args) -> Result<GenServerRef<S>, GenServerStartError> {
        self.run::<S>(args, false).await
    }

    /// Starts the server, linked to the caller.
    ///
    /// # Errors
    /// See [`GenServerStartError`].
    pub async fn start_link<S: GenServer>(
        self,
        args: S::Args,
    ) -> Result<GenServerRef<S>, GenServerStartError> {
        self.run::<S>(args, true).await
    }

    async fn run<S: GenServer>(
        self,
        args: S::Args,
        linked: bool,
    ) -> Result<GenServerRef<S>, GenServerStartError> {
        let one_way_link = linked.then(|| OneWayLink {
            starter: crate::this(),
            reference: context::with_shared("start", |shared| shared.next_reference()),
            handle: Handle::current(),
        });
        let mut taken = None;
        let mut spawn = self.spawn.label(short_name::<S>());
        if let Some(one_way_link) = &one_way_link {
            spawn = spawn.one_way_link(one_way_link.reference);
        }
        let (pid, started) =
            oneshot_with(|reply| match spawn.try_spawn(body::<S>(args, one_way_link, reply)) {
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
            // The process is let go of only when it is gone, so that its name is free.
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
            Err(CallError::NoProc | CallError::CallingSelf | CallError::Full) => {
                Err(GenServerStartError::Failed(end.await))
            }
        }
    }
}

/// The last part of a type's name, without what it is generic over.
fn short_name<S>() -> &'static str {
    let name = std::any::type_name::<S>();
    let name = name.split('<').next().unwrap_or(name);
    name.rsplit("::").next().unwrap_or(name)
}

/// The starter is linked only once init has succeeded, so that a failure cannot end it; its own end is felt before.
async fn body<S: GenServer>(
    args: S::Args,
    one_way_link: Option<OneWayLink>,
    reply: ReplyTo<Result<(), Stop>>,
) -> Reason {
    events::become_server();
    let parent = one_way_link.as_ref().map(|one_way_link| one_way_link.starter);
    match catch_panic(S::init(args)).await {
        Ok(Ok(state)) => {
            if let Some(parent) = parent {
                link(parent);
            }
            drop(one_way_link);
            reply.send(Ok(()));
            events::serve(state, parent).await
        }
        Ok(Err(stop)) => {
            let reason = match &stop {
                Stop::Ignore => Reason::Normal,
                Stop::Because(reason) => reason.clone(),
            };
            reply.send(Err(stop));
            reason
        }
        Err(panic) => events::crashed(panic),
    }
}

/// Has the starter's end felt by a server in its init, and not the other way round.
struct OneWayLink {
    starter: Pid,
    reference: MonitorRef,
    handle: Handle,
}

impl Drop for OneWayLink {
    fn drop(&mut self) {
        self.handle.shared.remove_watcher(self.starter, self.reference);
    }
}

/// Why a server was not started.
#[derive(Clone, Debug, PartialEq)]
pub enum GenServerStartError {
    /// It had nothing to do; no failure.
    Ignored,
    /// Another process has its name.
    AlreadyStarted(Pid),
    /// Its `init` took too long.
    Timeout,
    /// Its `init` gave up, panicked or was killed.
    Failed(Reason),
}

impl fmt::Display for GenServerStartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ignored => f.write_str("the server has nothing to do"),
            Self::AlreadyStarted(pid) => write!(f, "the server is already started: {pid}"),
            Self::Timeout => f.write_str("the server took too long to start"),
            Self::Failed(reason) => write!(f, "the server did not start: {reason}"),
        }
    }
}
impl std::error::Error for GenServerStartError {}

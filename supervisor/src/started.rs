//! A child that says itself when it is up.

use std::{
    fmt,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use riot_actor::{
    Pid, Reason, call,
    call::{CallError, CallRequest, ReplyTo},
    exit,
    log::failed_to_start,
    process::{Outcome, SpawnOptions, catch_panic, wait},
    receive,
};

use crate::{
    child_id::ChildId, child_spec::ChildSpec, child_type::ChildType, constructors::worker_with, reference::Up,
};

/// The right of a [`process_with_start`] to say that it is up.
#[must_use = "a child that does not say that it is up has failed to start"]
pub struct Started {
    reply: ReplyTo<()>,
    is_up: Arc<AtomicBool>,
}

impl Started {
    /// Says that the child is up: its supervisor starts the next one.
    pub fn ok(self) {
        self.is_up.store(true, Ordering::Relaxed);
        self.reply.send(());
    }
}

impl fmt::Debug for Started {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Started")
    }
}

/// The type of a child that says itself when it is up, made by [`process_with_start`].
#[derive(Debug)]
pub enum StartedChild {}

impl ChildType for StartedChild {
    type Ref = Pid;
}

impl ChildSpec<StartedChild> {
    /// Bounds the time that the child has to say that it is up; by default there is no bound. A child that is
    /// late is killed, and has failed to start.
    pub fn start_timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = Some(timeout);
        self
    }
}

/// Returns the spec of a child that is a plain body, as [`process`](crate::process) does, and counts as
/// started when the body says so. (OTP: `proc_lib:start_link/3`, `init_ack`.)
///
/// If the body ends before that, the start has failed with its reason. The same is true if it drops
/// [`Started`]: then it is killed. So the body must own it, as `|started| async move { started.ok(); .. }`
/// does; `|_started| async move { .. }` drops it at once.
///
/// ```
/// # use riot_actor::{run, Reason};
/// use riot_supervisor::{Started, Supervisor, process_with_start};
/// # let reason = run(async {
/// let acceptor = process_with_start("acceptor", |started: Started| async move {
///     let listener = std::net::TcpListener::bind("127.0.0.1:0")?; // an error is a failed start
///     started.ok();
///     loop {
///         // ... accept from it
/// #       let _ = &listener;
///         std::future::pending::<()>().await;
///     }
///     # #[allow(unreachable_code)]
///     Ok::<(), std::io::Error>(())
/// });
/// Supervisor::one_for_one().child(acceptor).start_link().await?; // it listens by now
/// # Ok::<_, Reason>(())
/// # });
/// # assert_eq!(reason, Reason::Normal);
/// ```
pub fn process_with_start<F>(
    id: impl Into<ChildId>,
    body: impl Fn(Started) -> F + Send + Sync + 'static,
) -> ChildSpec<StartedChild>
where
    F: Future<Output: Outcome> + Send + 'static,
{
    let id = id.into();
    let (label, body) = (id.label(), Arc::new(body));
    worker_with(id, move |options| {
        let process = run(body.clone());
        start(SpawnOptions::new().link().label(label.clone()), process, options.timeout)
    })
}

/// The process of the child. It gets the call of its supervisor, and then runs the body.
async fn run<F: Future<Output: Outcome>>(body: Arc<impl Fn(Started) -> F>) -> Reason {
    let CallRequest { query: Up, reply, .. } = receive().await;
    let is_up = Arc::new(AtomicBool::new(false));
    let started = Started { reply, is_up: is_up.clone() };
    let ended = match catch_panic(async move { body(started).await }).await {
        Ok(outcome) => outcome.into_reason(),
        Err(panic) => Reason::Panic(panic.into()),
    };
    if !is_up.load(Ordering::Relaxed) {
        failed_to_start();
    }
    ended
}

/// Starts the process, and waits until it is up.
async fn start(
    options: SpawnOptions,
    process: impl Future<Output = Reason> + Send + 'static,
    timeout: Option<Duration>,
) -> Result<Pid, Reason> {
    let pid = options.spawn(process);
    let why = match call::<Up, ()>(pid, Up, timeout).await {
        Ok(()) => return Ok(pid),
        Err(CallError::Exit(reason)) => return Err(reason),
        Err(CallError::Timeout) => "the child did not say in time that it is up",
        Err(_) => "the child has dropped its right to say that it is up",
    };
    let end = wait(pid);
    exit(pid, Reason::Kill);
    end.await;
    Err(Reason::other(why))
}

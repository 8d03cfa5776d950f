//! A heap-allocated oneshot. Used when a reply cannot be written into the caller's future, and to wait for an
//! exit.

use std::{
    convert::Infallible,
    fmt,
    future::{Future, poll_fn},
    panic::Location,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use super::{CallError, ReplyPath, ReplyTo};
use crate::guard::{self, Contained};
use crate::{
    messages::message::Message,
    process::{pid::Pid, reason::Reason},
    runtime::{
        context, coop,
        kernel::{
            exit_hooks::{ExitHook, OnExit},
            inspection::{Inspection, InspectionReply},
            observed::{TypedBody, WaitKind, note_wait},
            spawn::{Origin, SpawnSpec},
        },
        shared::{self, Shared},
    },
    sync::spin_lock::SpinLock,
    time::timeout::timeout as with_timeout,
};

/// Sends the request that `make` makes of the right to reply.
pub(crate) fn send_query<R: Send + 'static>(
    to: Pid,
    make: impl FnOnce(ReplyTo<R>) -> Message,
) -> Result<Receiver<R>, CallError> {
    if crate::this() == to {
        return Err(CallError::CallingSelf);
    }
    context::with_shared("call", |shared| send_query_from(shared, to, make))
}

/// Sends a request as [`send_query`] does, on any thread.
pub(super) fn send_query_from<R: Send + 'static>(
    shared: &Shared,
    to: Pid,
    make: impl FnOnce(ReplyTo<R>) -> Message,
) -> Result<Receiver<R>, CallError> {
    let oneshot = Arc::new(Oneshot::of_call(to));
    let message = make(ReplyTo(ReplyPath::Shared(oneshot.clone())));
    let hook = oneshot.clone();
    let room = shared.deliver_call(to, message, |hooks| hooks.push(shared, hook))?;
    shared.sweep_exit_hooks(to, room);
    Ok(Receiver::new(oneshot))
}

/// Makes a oneshot whose sender goes to `start`; the exit of the process that `start` returns settles it,
/// too.
pub(crate) fn oneshot_with<R: Send + 'static>(start: impl FnOnce(ReplyTo<R>) -> Pid) -> (Pid, Receiver<R>) {
    let oneshot = Arc::new(Oneshot::new());
    let pid = start(ReplyTo(ReplyPath::Shared(oneshot.clone())));
    if !context::with_shared("start", |shared| shared.on_exit(pid, oneshot.clone())) {
        // The process has exited already; if it has not replied before, it never will.
        drop(oneshot.settle(Err(CallError::NoProc)));
    }
    (pid, Receiver::new(oneshot))
}

/// Runs a body without a parent, which gets the right to reply, on any thread. Its exit is told before it can
/// run.
pub(super) fn run<R: Send + 'static>(
    shared: &Arc<Shared>,
    spawned_at: &'static Location<'static>,
    make: impl FnOnce(ReplyTo<R>) -> TypedBody,
) -> Receiver<R> {
    let oneshot = Arc::new(Oneshot::new());
    let body = make(ReplyTo(ReplyPath::Shared(oneshot.clone())));
    let spec = SpawnSpec { spawned_at: Some(spawned_at), ..SpawnSpec::default() };
    let held = shared.spawn_held(spec, Origin::default(), body, |_| ());
    let is_held = shared.on_exit(held.pid, oneshot.clone());
    debug_assert!(is_held, "it has not run");
    shared.start_held(held);
    Receiver::new(oneshot).end_with(shared)
}

/// Waits until every one of `pids` has been released. The caller's mailbox and monitors stay as they are.
///
/// ```
/// # use riot_actor::{process::{is_alive, join}, run, spawn};
/// # run(async {
/// let pids = [spawn(async {}), spawn(async {})];
/// join(&pids).await;
/// assert!(!pids.iter().any(|&pid| is_alive(pid)));
/// # });
/// ```
///
/// # Cancel safety
/// If the future is dropped before it is ready, nothing is left of it.
///
/// # Panics
/// Panics outside a process.
pub async fn join(pids: &[Pid]) {
    for &pid in pids {
        wait(pid).await;
    }
}

/// Waits until `pid` has been released and returns its exit reason, or [`Reason::NoProc`] if it ended before
/// the call: [`spawn_monitor`](crate::process::spawn_monitor) does not miss the reason.
///
/// Unlike a monitor this does not use the mailbox, so it costs the same however many messages are queued
/// there.
///
/// ```
/// # use riot_actor::{exit, process::wait, run, spawn, Reason};
/// # run(async {
/// let pid = spawn(std::future::pending::<()>());
/// let end = wait(pid);
/// exit(pid, Reason::Kill);
/// assert_eq!(end.await, Reason::Killed);
/// # });
/// ```
///
/// # Cancel safety
/// If the future is dropped before it is ready, nothing is left of it.
///
/// # Panics
/// Panics outside a process.
pub fn wait(pid: Pid) -> Wait {
    context::with_shared("wait", |shared| exit_of(shared, pid))
}

/// Waits for an exit, as [`wait`] does, on any thread.
pub(super) fn exit_of(shared: &Shared, pid: Pid) -> Wait {
    let oneshot = Arc::new(Oneshot::<Infallible>::new());
    let hooked = shared.on_exit(pid, oneshot.clone());
    Wait(hooked.then(|| Receiver::new(oneshot)))
}

/// The future of [`wait`].
#[must_use = "it has to be awaited to wait"]
pub struct Wait(Option<Receiver<Infallible>>);

impl Wait {
    /// Ends the wait if the runtime has ended meanwhile.
    pub(super) fn end_with(self, shared: &Shared) -> Self {
        Self(self.0.map(|receiver| receiver.end_with(shared)))
    }
}

impl fmt::Debug for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wait")
    }
}

impl Future for Wait {
    type Output = Reason;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Reason> {
        let Some(receiver) = &self.0 else { return coop::poll_proceed(cx).map(|()| Reason::NoProc) };
        receiver.poll_reply(cx).map(|reply| match reply {
            Err(CallError::Exit(reason)) => reason,
            Err(_) => unreachable!("only the exit of the process settles it"),
            Ok(never) => match never {},
        })
    }
}

/// The shared part of a oneshot.
pub(super) struct Oneshot<R> {
    state: SpinLock<OneshotState<R>>,
    /// The process whose exit says more than a dropped right to reply; none where a drop tells nothing.
    callee: Option<Callee<R>>,
}

/// The process that was called, and how the caller is told that the right to reply was dropped.
struct Callee<R> {
    pid: Pid,
    /// Is made where `R` is known to be `Send`.
    abandon: fn(&Shared, Pid, Arc<Oneshot<R>>),
}

enum OneshotState<R> {
    Open(Option<Waker>),
    Settled(Contained<Result<R, CallError>>),
    /// The reply was taken, or the receiver was dropped.
    Closed,
}

impl<R: Send> Oneshot<R> {
    fn new() -> Self {
        Self { state: SpinLock::new(OneshotState::Open(None)), callee: None }
    }

    fn of_call(pid: Pid) -> Self
    where
        R: 'static,
    {
        let abandon = |shared: &Shared, callee, oneshot: Arc<Self>| {
            shared.abandon_wait(callee, ExitHook::Shared(oneshot));
        };
        Self { callee: Some(Callee { pid, abandon }), ..Self::new() }
    }

    /// Settles the oneshot if it is open; gives the reply back otherwise.
    pub(super) fn settle(&self, reply: Result<R, CallError>) -> Result<(), Result<R, CallError>> {
        let mut state = self.state.lock();
        let OneshotState::Open(waker) = &mut *state else { return Err(reply) };
        let waker = waker.take();
        *state = OneshotState::Settled(Contained::new(reply));
        drop(state);
        if let Some(waker) = waker {
            guard::wake(waker);
        }
        Ok(())
    }

    /// Replies. A reply that nothing waits for is dropped inside a guard.
    #[inline(never)]
    pub(super) fn reply(&self, reply: R) {
        let refused = self.settle(Ok(reply));
        drop(Contained::new(refused));
    }

    /// Takes the reply if it is there. Otherwise exchanges `waker`, if there is one, with the registered one.
    fn take(&self, waker: &mut Option<Waker>) -> Option<Result<R, CallError>> {
        let mut state = self.state.lock();
        match &mut *state {
            OneshotState::Open(before) => {
                if waker.is_some() {
                    std::mem::swap(before, waker);
                }
                None
            }
            OneshotState::Settled(_) => match std::mem::replace(&mut *state, OneshotState::Closed) {
                OneshotState::Settled(reply) => Some(reply.into_inner()),
                OneshotState::Open(_) | OneshotState::Closed => unreachable!("it was settled a moment ago"),
            },
            OneshotState::Closed => Some(Err(CallError::NoProc)),
        }
    }

    /// Returns whether the registered waker wakes the same task as `waker`.
    fn is_registered(&self, waker: &Waker) -> bool {
        matches!(&*self.state.lock(), OneshotState::Open(Some(registered)) if registered.will_wake(waker))
    }
}

/// Tells the caller that there will be no reply, unless it has one.
#[cold]
pub(super) fn abandon<R>(oneshot: &Arc<Oneshot<R>>) {
    let Some(Callee { pid, abandon }) = oneshot.callee else { return };
    if matches!(*oneshot.state.lock(), OneshotState::Open(_)) {
        shared::with_runtime(pid.runtime.get(), |shared| abandon(shared, pid, oneshot.clone()));
    }
}

impl InspectionReply for Oneshot<Inspection> {
    fn reply(&self, inspection: Inspection) {
        drop(self.settle(Ok(inspection)));
    }

    fn is_cancelled(&self) -> bool {
        !matches!(*self.state.lock(), OneshotState::Open(_))
    }
}

/// Asks a process about its mailbox, on any thread.
pub(super) fn inspection_of(shared: &Shared, pid: Pid) -> Result<Receiver<Inspection>, CallError> {
    let oneshot = Arc::new(Oneshot::<Inspection>::new());
    // First, so that an exit is told in any case.
    if !shared.on_exit(pid, oneshot.clone()) {
        return Err(CallError::NoProc);
    }
    shared.ask_inspection(pid, oneshot.clone());
    Ok(Receiver::new(oneshot))
}

impl<R: Send> OnExit for Oneshot<R> {
    fn exited(&self, reason: &Reason) {
        let refused = self.settle(Err(CallError::Exit(reason.clone())));
        drop(refused);
    }

    fn abandoned(&self) {
        drop(self.settle(Err(CallError::Dropped)));
    }

    fn is_cancelled(&self) -> bool {
        matches!(*self.state.lock(), OneshotState::Closed)
    }
}

/// The receiver of a oneshot. Dropping it closes the oneshot.
pub(crate) struct Receiver<R: Send> {
    oneshot: Arc<Oneshot<R>>,
    /// Whether this receiver has registered a waker.
    has_polled: AtomicBool,
    /// Whether the reply was taken, so that nothing is left to close.
    taken: AtomicBool,
}

impl<R: Send> Receiver<R> {
    fn new(oneshot: Arc<Oneshot<R>>) -> Self {
        Self { oneshot, has_polled: AtomicBool::new(false), taken: AtomicBool::new(false) }
    }

    /// Waits for the reply for at most `timeout`. A reply that is there at the last moment is taken.
    pub(crate) async fn wait(&self, timeout: Option<Duration>) -> Result<R, CallError> {
        match timeout {
            Some(duration) => with_timeout(duration, self.reply()).await.unwrap_or(Err(CallError::Timeout)),
            None => self.reply().await,
        }
    }

    /// Settles the oneshot, unless it is settled, if the runtime has ended meanwhile. Its end tells the hooks
    /// that are in place by then, and none later.
    pub(super) fn end_with(self, shared: &Shared) -> Self {
        if shared.is_over() {
            drop(self.oneshot.settle(Err(CallError::Exit(Reason::NoProc))));
        }
        self
    }

    fn reply(&self) -> impl Future<Output = Result<R, CallError>> + '_ {
        poll_fn(|cx| self.poll_reply(cx))
    }

    pub(super) fn poll_reply(&self, cx: &mut Context<'_>) -> Poll<Result<R, CallError>> {
        if coop::poll_proceed(cx).is_pending() {
            return Poll::Pending;
        }
        let polled = self.poll_settled(cx);
        if polled.is_pending() {
            note_wait(WaitKind::Join);
        }
        polled
    }

    /// Looks for the reply as [`poll_reply`](Self::poll_reply) does, without spending a reduction. The caller
    /// must have spent one.
    pub(crate) fn poll_settled(&self, cx: &mut Context<'_>) -> Poll<Result<R, CallError>> {
        // A waker is code of a user, so it is cloned and dropped outside the lock. The first poll registers
        // one; at the next poll the reply is there as a rule.
        let is_first = !self.has_polled.load(Ordering::Relaxed);
        self.has_polled.store(true, Ordering::Relaxed);
        let mut waker = is_first.then(|| cx.waker().clone());
        let mut reply = self.oneshot.take(&mut waker);
        if reply.is_none() && !is_first && !self.oneshot.is_registered(cx.waker()) {
            waker = Some(cx.waker().clone());
            reply = self.oneshot.take(&mut waker);
        }
        match reply {
            Some(reply) => {
                self.taken.store(true, Ordering::Relaxed);
                Poll::Ready(reply)
            }
            None => Poll::Pending,
        }
    }
}

impl<R: Send> Drop for Receiver<R> {
    fn drop(&mut self) {
        if !*self.taken.get_mut() {
            let late = std::mem::replace(&mut *self.oneshot.state.lock(), OneshotState::Closed);
            drop(late);
        }
    }
}

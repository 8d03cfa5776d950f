//! An answer to which both sides have a share: where no future of a process waits for it in place, and for ends.

use std::{
    convert::Infallible,
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use super::{CallError, ReplyPath, ReplyTo};
use crate::{
    messages::message::Message,
    process::{pid::Pid, reason::Reason, signal::OnExit},
    runtime::{context, coop, shared::Shared},
    sync::spin_lock::SpinLock,
};

/// Sends what `make` makes of the place for the reply.
pub(crate) fn send_query<R: Send + 'static>(
    to: Pid,
    make: impl FnOnce(ReplyTo<R>) -> Message,
) -> Result<Receiver<R>, CallError> {
    if crate::this() == to {
        return Err(CallError::CallingSelf);
    }
    let answer = Arc::new(Oneshot::new());
    let message = make(ReplyTo(ReplyPath::Shared(answer.clone())));
    let callback = answer.clone();
    context::with_shared("call", |shared| {
        shared.deliver_call(to, message, |exit_hooks| exit_hooks.push(shared, callback))
    })?;
    Ok(Receiver::new(answer))
}

/// The two ends of one answer that is not asked for by a message; the process `of` settles it by its end, too.
pub(crate) fn oneshot_with<R: Send + 'static>(of: impl FnOnce(ReplyTo<R>) -> Pid) -> (Pid, Receiver<R>) {
    let answer = Arc::new(Oneshot::new());
    let pid = of(ReplyTo(ReplyPath::Shared(answer.clone())));
    if !context::with_shared("start", |shared| shared.on_exit(pid, answer.clone())) {
        // It has ended already; if it did not answer before, it never will.
        drop(answer.settle(Err(CallError::NoProc)));
    }
    (pid, Receiver::new(answer))
}

/// Waits until every one of `pids` has been released; at once for those that were. The mailbox and monitors of the
/// caller are left as they are.
///
/// # Panics
/// Outside a process.
pub async fn join(pids: &[Pid]) {
    for &pid in pids {
        wait(pid).await;
    }
}

/// Waits until `pid` has been released, and says why it ended; [`Reason::NoProc`] if that was before the call. Like a
/// monitor, but outside the mailbox: however many messages are queued there, it costs the same.
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
/// Dropped before it is ready, nothing is left of it.
///
/// # Panics
/// Outside a process.
pub fn wait(pid: Pid) -> Wait {
    context::with_shared("wait", |shared| exit_of(shared, pid))
}

/// [`wait`] in any thread.
pub(crate) fn exit_of(shared: &Shared, pid: Pid) -> Wait {
    let answer = Arc::new(Oneshot::<Infallible>::new());
    let watched = shared.on_exit(pid, answer.clone());
    Wait(watched.then(|| Receiver::new(answer)))
}

/// The future of [`wait`].
#[must_use = "it has to be awaited to wait"]
pub struct Wait(Option<Receiver<Infallible>>);

impl fmt::Debug for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wait")
    }
}

impl Future for Wait {
    type Output = Reason;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Reason> {
        let Some(waiting) = &self.0 else { return coop::poll_proceed(cx).map(|()| Reason::NoProc) };
        waiting.poll_reply(cx).map(|answer| match answer {
            Err(CallError::Exit(reason)) => reason,
            Err(_) => unreachable!("nobody but the end of the process settles it"),
            Ok(never) => match never {},
        })
    }
}

/// A place for one answer.
pub(super) struct Oneshot<R>(SpinLock<OneshotState<R>>);

enum OneshotState<R> {
    Open(Option<Waker>),
    Settled(Result<R, CallError>),
    /// Taken, or nobody waits any more.
    Closed,
}

impl<R: Send> Oneshot<R> {
    fn new() -> Self {
        Self(SpinLock::new(OneshotState::Open(None)))
    }

    /// The first to settle it decides; what comes later, or too late, is given back.
    pub(super) fn settle(&self, answer: Result<R, CallError>) -> Result<(), Result<R, CallError>> {
        let mut state = self.0.lock();
        let OneshotState::Open(waker) = &mut *state else { return Err(answer) };
        let waker = waker.take();
        *state = OneshotState::Settled(answer);
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// The answer, if it is there; else `waker` is put in its place, if there is one. Gives back the one that was.
    fn take(&self, waker: &mut Option<Waker>) -> Option<Result<R, CallError>> {
        let mut state = self.0.lock();
        match &mut *state {
            OneshotState::Open(before) => {
                if waker.is_some() {
                    std::mem::swap(before, waker);
                }
                None
            }
            OneshotState::Settled(_) => match std::mem::replace(&mut *state, OneshotState::Closed) {
                OneshotState::Settled(answer) => Some(answer),
                OneshotState::Open(_) | OneshotState::Closed => {
                    unreachable!("it was just mailbox_scanned at")
                }
            },
            OneshotState::Closed => Some(Err(CallError::NoProc)),
        }
    }

    /// Whether whoever waits here waits with this waker.
    fn knows(&self, waker: &Waker) -> bool {
        matches!(&*self.0.lock(), OneshotState::Open(Some(known)) if known.will_wake(waker))
    }
}

impl<R: Send> OnExit for Oneshot<R> {
    fn exited(&self, reason: &Reason) {
        let refused = self.settle(Err(CallError::Exit(reason.clone())));
        drop(refused);
    }

    fn is_cancelled(&self) -> bool {
        matches!(*self.0.lock(), OneshotState::Closed)
    }
}

/// Someone who waits for an answer; dropped, nobody does.
pub(crate) struct Receiver<R: Send> {
    answer: Arc<Oneshot<R>>,
    /// Whether a waker was left there, as far as we are.
    asked: AtomicBool,
    /// Whether the answer was taken: there is nothing left to give up.
    taken: AtomicBool,
}

impl<R: Send> Receiver<R> {
    fn new(answer: Arc<Oneshot<R>>) -> Self {
        Self { answer, asked: AtomicBool::new(false), taken: AtomicBool::new(false) }
    }

    /// Waits for the answer, no longer than `timeout_`; what has been there at the last moment counts.
    pub(crate) async fn wait(&self, timeout: Option<Duration>) -> Result<R, CallError> {
        match timeout {
            Some(duration) => {
                crate::time::timeout(duration, self.reply()).await.unwrap_or(Err(CallError::Timeout))
            }
            None => self.reply().await,
        }
    }

    fn reply(&self) -> impl Future<Output = Result<R, CallError>> + '_ {
        poll_fn(|cx| self.poll_reply(cx))
    }

    pub(super) fn poll_reply(&self, cx: &mut Context<'_>) -> Poll<Result<R, CallError>> {
        if coop::poll_proceed(cx).is_pending() {
            return Poll::Pending;
        }
        // A waker is somebody else's code, so it is cloned, and dropped, outside the lock. The first look leaves one; at
        // the next the answer is there as a rule.
        let first = !self.asked.load(Ordering::Relaxed);
        self.asked.store(true, Ordering::Relaxed);
        let mut waker = first.then(|| cx.waker().clone());
        let mut answer = self.answer.take(&mut waker);
        if answer.is_none() && !first && !self.answer.knows(cx.waker()) {
            waker = Some(cx.waker().clone());
            answer = self.answer.take(&mut waker);
        }
        match answer {
            Some(answer) => {
                self.taken.store(true, Ordering::Relaxed);
                Poll::Ready(answer)
            }
            None => Poll::Pending,
        }
    }
}

impl<R: Send> Drop for Receiver<R> {
    fn drop(&mut self) {
        if !*self.taken.get_mut() {
            let late = std::mem::replace(&mut *self.answer.0.lock(), OneshotState::Closed);
            drop(late);
        }
    }
}

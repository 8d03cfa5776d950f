//! A process with one result, for its owner only.

use std::{fmt, future::Future, time::Duration};

use crate::{
    call::{CallError, Receiver, oneshot_with, wait},
    messages::receive::timeout,
    process::{pid::Pid, reason::Reason, signal::exit, spawn::SpawnOptions},
    runtime::{context, handle::Handle},
};

/// How long a task that traps exits may go on after its owner has ended, or [`Task::shutdown`] asked it to.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

pin_project_lite::pin_project! {
    /// The body of a task: its result is sent by itself, and it ends normally.
    struct TaskBody<F, T> {
        #[pin]
        body: F,
        reply: crate::call::ReplyTo<T>,
    }
}

impl<T: Send, F: Future<Output = T>> Future for TaskBody<F, T> {
    type Output = Reason;

    fn poll(self: std::pin::Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> std::task::Poll<Reason> {
        let this = self.project();
        this.body.poll(cx).map(|result| {
            this.reply.settle(result);
            Reason::Normal
        })
    }
}

/// A task that was started. Dropped, its result is discarded; it runs on.
pub struct Task<T: Send> {
    pid: Pid,
    owner: Pid,
    result: Receiver<T>,
    done: bool,
}

/// Why a task gave no result.
#[derive(Clone, Debug, PartialEq)]
pub enum TaskError {
    /// It ended without one.
    Exit(Reason),
    /// It has none yet; it runs on, and may be waited for again.
    Timeout,
    /// Only its owner may wait for it.
    NotOwner,
    /// Its result has been taken.
    Taken,
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(reason) => write!(f, "the task ended without a result: {reason}"),
            Self::Timeout => f.write_str("the task has no result yet"),
            Self::NotOwner => f.write_str("only the owner of a task may wait for it"),
            Self::Taken => f.write_str("the result of the task has been taken"),
        }
    }
}
impl std::error::Error for TaskError {}

impl<T: Send> Task<T> {
    /// Starts `body` in a process of its own; its result is for the caller.
    ///
    /// The task ends with its owner. Its own failure ends nobody: the owner sees it where it waits.
    ///
    /// ```
    /// use riot_actor::{run, task::Task};
    /// run(async {
    ///     let mut sum = Task::spawn(async { (1..=100).sum::<u32>() });
    ///     assert_eq!(sum.wait(None).await, Ok(5050));
    /// });
    /// ```
    ///
    /// # Panics
    /// Outside a process.
    pub fn spawn<F>(body: F) -> Self
    where
        T: 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let owner = crate::this();
        let reference = context::with_shared("Task::spawn", |shared| shared.next_reference());
        let (pid, result) = oneshot_with(|reply| {
            SpawnOptions::new().label("task").task_of(reference).spawn(TaskBody { body, reply })
        });
        Self { pid, owner, result, done: false }
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Waits for the result for at most `timeout`; `None` waits for ever.
    ///
    /// # Errors
    /// See [`TaskError`].
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the result is still there.
    pub async fn wait(&mut self, timeout: Option<Duration>) -> Result<T, TaskError> {
        if crate::this() != self.owner {
            return Err(TaskError::NotOwner);
        }
        if self.done {
            return Err(TaskError::Taken);
        }
        match self.result.wait(timeout).await {
            Ok(result) => {
                self.done = true;
                Ok(result)
            }
            Err(CallError::Timeout) => Err(TaskError::Timeout),
            Err(CallError::Exit(reason)) => {
                self.done = true;
                Err(TaskError::Exit(reason))
            }
            Err(CallError::NoProc | CallError::CallingSelf | CallError::Full) => {
                self.done = true;
                Err(TaskError::Exit(Reason::NoProc))
            }
        }
    }

    /// The result if it is there; else ends the task, by `Shutdown`, and by a kill if it has not ended within `timeout`.
    /// Returns once it is gone.
    ///
    /// # Errors
    /// See [`TaskError`].
    pub async fn shutdown(mut self, timeout: Duration) -> Result<T, TaskError> {
        let here = self.wait(Some(Duration::ZERO)).await;
        let end = wait(self.pid);
        if matches!(here, Err(TaskError::Timeout)) {
            exit(self.pid, Reason::Shutdown);
            let mut end = end;
            if crate::time::timeout(timeout, &mut end).await.is_err() {
                exit(self.pid, Reason::Kill);
                end.await;
            }
            return self.wait(Some(Duration::ZERO)).await;
        }
        end.await;
        here
    }
}

impl<T: Send> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Task({})", self.pid)
    }
}

/// Ends a task whose owner has ended: asked first, killed if it does not listen.
pub(crate) fn orphaned(handle: &Handle, task: Pid, owner: Pid) {
    handle.shared.exit(task, owner, Reason::Shutdown);
    if handle.shared.is_present(task) {
        handle.spawn(async move {
            let mut end = wait(task);
            if timeout(SHUTDOWN_TIMEOUT, &mut end).await.is_err() {
                exit(task, Reason::Kill);
            }
        });
    }
}

//! Tasks: a process with one result, for its owner only.
//!
//! ```
//! use riot_actor::{run, task::Task};
//!
//! run(async {
//!     let mut halves = [1..=50, 51..=100].map(|numbers| Task::spawn(async { numbers.sum::<u32>() }));
//!     let mut sum = 0;
//!     for half in &mut halves {
//!         sum += half.wait(None).await?;
//!     }
//!     assert_eq!(sum, 5050);
//!     Ok::<(), riot_actor::Reason>(())
//! });
//! ```

use std::{
    fmt,
    future::Future,
    panic::Location,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use pin_project_lite::pin_project;

use crate::{
    call::{CallError, Receiver, ReplyTo, oneshot_with, wait},
    process::{exit::exit, pid::Pid, reason::Reason, spawn::SpawnOptions},
    runtime::{
        context,
        kernel::spawn::ParentExit,
        shared::{self, Shared},
    },
    time::{clock::time_left, timeout::timeout as with_timeout},
};

/// How long a task that traps exits may go on after its owner has exited, before it is killed.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

pin_project! {
    /// The body of a task. It sends its result and then exits normally.
    struct TaskBody<F, T> {
        #[pin]
        body: F,
        reply: ReplyTo<T>,
    }
}

impl<T: Send, F: Future<Output = T>> Future for TaskBody<F, T> {
    type Output = Reason;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Reason> {
        let this = self.project();
        this.body.poll(cx).map(|result| {
            this.reply.settle(result);
            Reason::Normal
        })
    }
}

/// A process with one result. If it is dropped the result is discarded, and the process runs on.
///
/// See [`Task::spawn`] for an example.
pub struct Task<T: Send> {
    pid: Pid,
    owner: Pid,
    result: Receiver<T>,
    done: bool,
}

/// Why a task gave no result.
///
/// See [`Task::shutdown`] for an example.
#[derive(Clone, Debug, PartialEq)]
pub enum TaskError {
    /// The task exited without a result.
    Exit(Reason),
    /// The task has no result yet. It runs on, and can be waited for again.
    Timeout,
    /// The caller is not the owner; only the owner may wait for the task.
    NotOwner,
    /// The result has been taken.
    Taken,
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(reason) => write!(f, "the task exited without a result: {reason}"),
            Self::Timeout => f.write_str("the task has no result yet"),
            Self::NotOwner => f.write_str("only the owner of a task may wait for it"),
            Self::Taken => f.write_str("the result of the task has been taken"),
        }
    }
}
impl std::error::Error for TaskError {}

impl<T: Send> Task<T> {
    /// Starts `body` in a process of its own; its result is for the caller, the owner of the task.
    ///
    /// The task ends with its owner. A failure of the task ends no other process: the owner sees it where it
    /// waits.
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
    /// Panics outside a process.
    #[track_caller]
    pub fn spawn<F>(body: F) -> Self
    where
        T: 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let (owner, place) = (crate::this(), Location::caller());
        let reference = context::with_shared("Task::spawn", |shared| shared.next_reference());
        let (pid, result) = oneshot_with(|reply| {
            let options = SpawnOptions::new().label("task");
            let options = options.on_parent_exit(reference, ParentExit::Call(owner_exited));
            options.try_spawn_at(place, TaskBody { body, reply }).expect("a task has no name")
        });
        Self { pid, owner, result, done: false }
    }

    /// Returns the pid of the task.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Waits for the result for at most `timeout`; `None` waits forever.
    ///
    /// # Errors
    /// See [`TaskError`].
    ///
    /// # Cancel safety
    /// If the future is dropped before it is ready, the result can still be waited for.
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
            Err(_) => {
                self.done = true;
                Err(TaskError::Exit(Reason::NoProc))
            }
        }
    }

    /// Waits for the results of several tasks for at most `timeout` together; `None` waits forever. Returns a
    /// result for each task, in their order; one that has none in time can be waited for again. (Elixir:
    /// `Task.yield_many/2`.)
    ///
    /// ```
    /// use riot_actor::{run, task::Task};
    ///
    /// run(async {
    ///     let mut halves = [1..=50, 51..=100].map(|numbers| Task::spawn(async { numbers.sum::<u32>() }));
    ///     assert_eq!(Task::await_many(&mut halves, None).await, [Ok(1275), Ok(3775)]);
    /// });
    /// ```
    ///
    /// # Errors
    /// See [`TaskError`].
    ///
    /// # Cancel safety
    /// If the future is dropped before it is ready, results that it has taken are lost. The others can still
    /// be waited for.
    ///
    /// # Panics
    /// Panics when awaited outside a process.
    pub async fn await_many(tasks: &mut [Self], timeout: Option<Duration>) -> Vec<Result<T, TaskError>> {
        let left = time_left(timeout);
        let mut results = Vec::with_capacity(tasks.len());
        for task in tasks {
            results.push(task.wait(left()).await);
        }
        results
    }

    /// Returns the result if it is there. Otherwise ends the task: asks it to exit with `Shutdown`, and kills
    /// it if it has not exited within `timeout`. Returns once the task is released.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use riot_actor::{run, task::{Task, TaskError}, Reason};
    /// # run(async {
    /// let task = Task::<()>::spawn(std::future::pending());
    /// let ended = task.shutdown(Duration::from_secs(1)).await;
    /// assert_eq!(ended, Err(TaskError::Exit(Reason::Shutdown)));
    /// # });
    /// ```
    ///
    /// # Errors
    /// See [`TaskError`].
    ///
    /// # Cancel safety
    /// If the future is dropped before it is ready, the task runs on or exits, and its result is discarded.
    pub async fn shutdown(mut self, timeout: Duration) -> Result<T, TaskError> {
        let result = self.wait(Some(Duration::ZERO)).await;
        let mut end = wait(self.pid);
        if !matches!(result, Err(TaskError::Timeout)) {
            end.await;
            return result;
        }
        exit(self.pid, Reason::Shutdown);
        if with_timeout(timeout, &mut end).await.is_err() {
            exit(self.pid, Reason::Kill);
            end.await;
        }
        self.wait(Some(Duration::ZERO)).await
    }
}

impl<T: Send> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Task({})", self.pid)
    }
}

/// Ends a task whose owner has exited: asks it to exit first, and kills it if it does not.
fn owner_exited(shared: &Shared, task: Pid, owner: Pid) {
    shared.exit(task, owner, Reason::Shutdown);
    if !shared.is_present(task) {
        return;
    }
    let Some(shared) = shared::find(shared.id) else { return };
    shared.handle().spawn(async move {
        let mut end = wait(task);
        if with_timeout(SHUTDOWN_TIMEOUT, &mut end).await.is_err() {
            exit(task, Reason::Kill);
        }
    });
}

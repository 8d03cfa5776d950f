//! Work that blocks its thread, away from the workers.

use std::{
    collections::VecDeque,
    future::poll_fn,
    io,
    sync::{Arc, Condvar, Mutex, PoisonError},
    task::{Poll, Waker},
    time::{Duration, Instant},
};

use super::{
    context, coop,
    kernel::observed::{WaitKind, note_wait},
    threads::Threads,
};
use crate::{
    guard::{
        self, Contained,
        panic::{Panic, catch},
    },
    process::spawn::SpawnOptions,
    sync::lock::lock,
    time::api::sleep,
};

/// How long a thread without work waits for more before it ends.
const LINGER: Duration = Duration::from_secs(5);

/// How long the pool waits before it asks for a thread again that the system has refused.
const RETRY: Duration = Duration::from_millis(50);

/// Runs `f` on a thread of its own and suspends only the caller. At most 64 run at once by default, see
/// [`Config::max_blocking_threads`](crate::runtime::Config::max_blocking_threads); more wait their turn.
///
/// A caller that exits meanwhile does not wait: `f` runs to its end, and its result is dropped. While the
/// system refuses threads, `f` waits, and a warning says so. In a simulation `f` runs at once, in the caller.
///
/// ```
/// # riot_actor::run(async {
/// let text = riot_actor::runtime::blocking(|| std::fs::read_to_string("Cargo.toml")).await?;
/// # Ok::<(), riot_actor::Reason>(())
/// # });
/// ```
///
/// # Cancel safety
/// If the future is dropped before it is ready, `f` runs to its end, and its result is dropped.
///
/// # Panics
/// Panics if `f` panics, and outside a process.
pub async fn blocking<R, F>(f: F) -> R
where
    R: Send + 'static,
    F: FnOnce() -> R + Send + 'static,
{
    run_job(f, AtEnd::Awaited).await
}

/// Runs `f` as [`blocking`] does. The end of the runtime does not wait for it.
pub(crate) async fn blocking_abandoned_at_end<R, F>(f: F) -> R
where
    R: Send + 'static,
    F: FnOnce() -> R + Send + 'static,
{
    run_job(f, AtEnd::Abandoned).await
}

async fn run_job<R, F>(f: F, at_end: AtEnd) -> R
where
    R: Send + 'static,
    F: FnOnce() -> R + Send + 'static,
{
    let job_state = Arc::new(Mutex::new(JobState::Pending(None)));
    let written = job_state.clone();
    let job = move || {
        let result = catch(f);
        let before = std::mem::replace(&mut *lock(&written), JobState::Done(Some(Contained::new(result))));
        if let JobState::Pending(Some(waker)) = before {
            guard::wake(waker);
        }
    };
    let started = context::with_shared("blocking", |shared| match shared.simulated() {
        Some(_) => {
            job();
            Ok(())
        }
        None => shared.blocking.start(Job { run: Box::new(job), at_end }),
    });
    if let Err(Refused { error, retries }) = started {
        crate::log_event!(WARN, "riot::blocking", "the system refused a thread: {error}");
        SpawnOptions::new().label("BlockingRetry").spawn(retry(retries));
    }
    let result = poll_fn(|cx| {
        if coop::poll_proceed(cx).is_pending() {
            return Poll::Pending;
        }
        // A waker of a user is cloned before the lock is taken, and the one before is dropped after it.
        let waker = cx.waker().clone();
        let _before;
        match &mut *lock(&job_state) {
            JobState::Done(result) => {
                Poll::Ready(result.take().expect("a result is taken once").into_inner())
            }
            JobState::Pending(registered) => {
                _before = registered.replace(waker);
                note_wait(WaitKind::Blocking);
                Poll::Pending
            }
        }
    })
    .await;
    result.unwrap_or_else(|panic| panic!("in blocking work: {panic}"))
}

/// The system has refused a thread, and no other one serves the pool.
struct Refused {
    error: io::Error,
    retries: Retries,
}

/// Held by the process that asks the system for a thread again.
struct Retries(Arc<(Mutex<PoolState>, Condvar)>);

impl Drop for Retries {
    fn drop(&mut self) {
        lock(&self.0.0).retries = false;
    }
}

/// Asks the system for a thread until it gives one. The work stays in the queue meanwhile: on a worker it
/// would hold up every process that waits for that.
async fn retry(retries: Retries) {
    loop {
        sleep(RETRY).await;
        if context::with_shared("blocking", |shared| shared.blocking.retry()) {
            return drop(retries);
        }
    }
}

enum JobState<R> {
    Pending(Option<Waker>),
    Done(Option<Contained<Result<R, Panic>>>),
}

/// Whether the end of the runtime waits for a job that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AtEnd {
    Awaited,
    /// A write to a log, which may never return, and whose result nothing needs.
    Abandoned,
}

struct Job {
    run: Box<dyn FnOnce() + Send>,
    at_end: AtEnd,
}

/// Threads that are started when there is work, and end when there is none for a while.
pub(crate) struct Pool {
    max_threads: usize,
    state: Arc<(Mutex<PoolState>, Condvar)>,
    threads: Threads,
}

#[derive(Default)]
struct PoolState {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    /// Threads that run a job which the end of the runtime does not wait for.
    abandonable: usize,
    /// A process asks the system for a thread, because there is none.
    retries: bool,
    closed: bool,
}

impl Pool {
    pub(crate) fn new(max_threads: usize) -> Self {
        Self { max_threads, state: Arc::default(), threads: Threads::default() }
    }

    /// Queues a job, and starts a thread for it unless there are threads enough.
    ///
    /// # Errors
    /// If no thread serves the queue and nothing asks for one. The job stays queued.
    fn start(&self, job: Job) -> Result<(), Refused> {
        let (state, changed) = &*self.state;
        let mut pool = lock(state);
        pool.jobs.push_back(job);
        if pool.idle >= pool.jobs.len() || pool.threads >= self.max_threads {
            changed.notify_one();
            return Ok(());
        }
        pool.threads += 1;
        drop(pool);
        let Err(error) = self.start_thread() else { return Ok(()) };
        let mut pool = lock(state);
        pool.threads -= 1;
        // Another thread takes the job in time, also one that is being started.
        if pool.threads > 0 || std::mem::replace(&mut pool.retries, true) {
            return Ok(());
        }
        drop(pool);
        Err(Refused { error, retries: Retries(self.state.clone()) })
    }

    fn start_thread(&self) -> io::Result<()> {
        let state = self.state.clone();
        self.threads.start("riot-blocking", move || serve(&state))
    }

    /// Starts a thread, if there is work and none that serves it. Returns whether one is needed no more.
    fn retry(&self) -> bool {
        let mut pool = lock(&self.state.0);
        if pool.threads > 0 || pool.jobs.is_empty() {
            // The next failure to start a thread has a process of its own.
            pool.retries = false;
            return true;
        }
        pool.threads += 1;
        drop(pool);
        let refused = self.start_thread().is_err();
        if refused {
            lock(&self.state.0).threads -= 1;
        }
        // A thread that has just been started is seen by the next call.
        false
    }

    /// Ends and joins the threads, after all work that waits. Returns whether they have ended within
    /// `timeout`. Otherwise, work that has not begun by then never does, and is leaked.
    ///
    /// A thread that writes to a log is left behind.
    pub(crate) fn close(&self, timeout: Duration) -> bool {
        let (state, changed) = &*self.state;
        let began = Instant::now();
        let mut pool = lock(state);
        pool.closed = true;
        changed.notify_all();
        while pool.threads > pool.abandonable {
            let left = timeout.saturating_sub(began.elapsed());
            if left.is_zero() {
                break;
            }
            pool = changed.wait_timeout(pool, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let has_ended = pool.threads <= pool.abandonable;
        // The destructors of work belong to no process that could contain them any more.
        pool.jobs.drain(..).for_each(std::mem::forget);
        let left_behind = pool.threads;
        drop(pool);
        let joined = self.threads.join(left_behind, timeout.saturating_sub(began.elapsed()));
        has_ended && joined
    }
}

fn serve(shared: &(Mutex<PoolState>, Condvar)) {
    let (state, changed) = shared;
    let mut pool = lock(state);
    loop {
        if let Some(job) = pool.jobs.pop_front() {
            let abandonable = usize::from(job.at_end == AtEnd::Abandoned);
            pool.abandonable += abandonable;
            if pool.closed {
                changed.notify_all();
            }
            drop(pool);
            let _ = guard::contain(job.run);
            pool = lock(state);
            pool.abandonable -= abandonable;
            continue;
        }
        if pool.closed {
            break;
        }
        pool.idle += 1;
        let (guard, waited) = changed.wait_timeout(pool, LINGER).unwrap_or_else(PoisonError::into_inner);
        pool = guard;
        pool.idle -= 1;
        if waited.timed_out() && pool.jobs.is_empty() {
            break;
        }
    }
    pool.threads -= 1;
    changed.notify_all();
}

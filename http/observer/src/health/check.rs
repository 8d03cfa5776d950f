//! A check of the program: run in a process of its own, for a bounded time, and cached.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use riot_actor::{
    Pid, Reason, exit,
    log::printable,
    now,
    process::{SpawnOptions, catch_panic, info, wait},
    timeout,
};

/// Bounds the time of a check; 2 s. Kubernetes waits 1 s for a probe by default, and 3 s or more in most
/// manifests.
pub(super) const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// The time for which a result is kept; 1 s, so that many probes cost as much as one.
const KEPT: Duration = Duration::from_secs(1);

/// Types that a check may return.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the result of a check",
    label = "the future of a check returns this",
    note = "a check returns `bool`, `()`, or a `Result` whose error can be displayed"
)]
pub trait CheckResult: Send + 'static {
    /// Returns why the check has failed, if it has.
    ///
    /// # Errors
    /// A text that says what is wrong.
    fn into_outcome(self) -> Result<(), String>;
}

impl CheckResult for () {
    fn into_outcome(self) -> Result<(), String> {
        Ok(())
    }
}

impl CheckResult for bool {
    fn into_outcome(self) -> Result<(), String> {
        if self { Ok(()) } else { Err("the check returned false".into()) }
    }
}

impl<T: Send + 'static, E: fmt::Display + Send + 'static> CheckResult for Result<T, E> {
    fn into_outcome(self) -> Result<(), String> {
        self.map(drop).map_err(printable)
    }
}

type Outcome = Result<(), String>;
type Running = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// A check of the program.
pub(super) struct Check {
    name: String,
    run: Box<dyn Fn() -> Running + Send + Sync>,
    state: Mutex<CheckState>,
}

#[derive(Default)]
struct CheckState {
    /// When the last run ended, and how.
    last: Option<(Instant, Outcome)>,
    /// The process of the run under way, and when it was started. It may have ended.
    running: Option<(Pid, Instant)>,
}

/// A check that was asked.
pub(super) enum BegunCheck {
    Done(Outcome),
    /// The process runs since this instant.
    Running(Pid, Instant),
}

impl Check {
    pub(super) fn new<F, R>(name: &str, check: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = R> + Send + 'static,
        R: CheckResult,
    {
        let run = move || -> Running {
            let running = check();
            Box::pin(async move { running.await.into_outcome() })
        };
        Self { name: name.to_owned(), run: Box::new(run), state: Mutex::default() }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    fn state(&self) -> MutexGuard<'_, CheckState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the result if there is a recent one, else starts a run, unless one is under way.
    pub(super) fn begin(self: &Arc<Self>) -> BegunCheck {
        let now = now();
        let mut state = self.state();
        if let Some((at, outcome)) = &state.last
            && now.saturating_duration_since(*at) < KEPT
        {
            return BegunCheck::Done(outcome.clone());
        }
        // A process that was killed and blocks its worker is not released before it goes on.
        if let Some((pid, since)) = state.running.filter(|(pid, _)| info(*pid).is_some()) {
            return BegunCheck::Running(pid, since);
        }
        let pid = SpawnOptions::new().label("HealthCheck").spawn(run(self.clone()));
        state.running = Some((pid, now));
        BegunCheck::Running(pid, now)
    }

    /// Waits for the result.
    pub(super) async fn finish(&self, begun: BegunCheck) -> Outcome {
        let (pid, since) = match begun {
            BegunCheck::Done(outcome) => return outcome,
            BegunCheck::Running(pid, since) => (pid, since),
        };
        let left = CHECK_TIMEOUT.saturating_sub(now().saturating_duration_since(since));
        let in_time = timeout(left, wait(pid)).await.is_ok();
        let mut state = self.state();
        if let Some((_, outcome)) = state.last.as_ref().filter(|(at, _)| *at >= since) {
            return outcome.clone();
        }
        let outcome = Err(if in_time { "the check was ended" } else { "no result within 2 s" }.to_owned());
        state.last = Some((now(), outcome.clone()));
        drop(state);
        // A check that blocks its worker cannot be ended. No other one is started while it lives.
        exit(pid, Reason::Kill);
        outcome
    }
}

/// The body of the process of a check.
async fn run(check: Arc<Check>) {
    let running = catch_panic(async { timeout(CHECK_TIMEOUT, (check.run)()).await });
    let outcome = match running.await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Err("no result within 2 s".into()),
        Err(panic) => Err(printable(format_args!("the check panicked: {}", panic.message))),
    };
    check.state().last = Some((now(), outcome));
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Check").field(&self.name).finish()
    }
}

//! The spec of a child: its id, how it starts, when it is restarted, how it is stopped.

use std::{fmt, future::Future, pin::Pin, time::Duration};

use riot_actor::{Pid, Reason};

use crate::{child_id::ChildId, error::SpecError, strategy::AutoShutdown};

/// When a child that ended by itself is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Restart {
    /// Always.
    #[default]
    Permanent,
    /// After an abnormal end only: it may finish.
    Transient,
    /// Never, and its spec is forgotten with it.
    Temporary,
}

/// How a child is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChildShutdown {
    /// At once, by [`Reason::Kill`].
    Kill,
    /// Asked by [`Reason::Shutdown`], and killed if it has not ended within this time.
    Timeout(Duration),
    /// Asked by [`Reason::Shutdown`], and waited for.
    Infinity,
}

/// How long a worker has to end once asked. (OTP: the same.)
pub const WORKER_SHUTDOWN: Duration = Duration::from_secs(5);

/// What a child is. A supervisor has all the time its own children need to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChildKind {
    /// A process that does the work.
    Worker,
    /// A supervisor in its turn.
    Supervisor,
}

pub(crate) type StartFuture = Pin<Box<dyn Future<Output = Result<Option<Pid>, Reason>> + Send>>;
pub(crate) type Start = Box<dyn FnMut() -> StartFuture + Send>;

/// How to start, restart and stop one child. Made by [`worker`], [`server`], [`supervisor`], [`process`] or [`task`].
#[must_use = "a spec is given to a supervisor"]
pub struct ChildSpec {
    pub(crate) id: ChildId,
    /// None once it will not be started again.
    pub(crate) start: Option<Start>,
    pub(crate) restart: Restart,
    pub(crate) shutdown: ChildShutdown,
    pub(crate) kind: ChildKind,
    pub(crate) significant: bool,
}

impl ChildSpec {
    /// Always started again. The default.
    pub fn permanent(self) -> Self {
        self.restart(Restart::Permanent)
    }

    /// Started again after an abnormal end only.
    pub fn transient(self) -> Self {
        self.restart(Restart::Transient)
    }

    /// Never started again.
    pub fn temporary(self) -> Self {
        self.restart(Restart::Temporary)
    }

    /// When it is started again.
    pub fn restart(mut self, restart: Restart) -> Self {
        self.restart = restart;
        self
    }

    /// How it is stopped; default [`WORKER_SHUTDOWN`] for a worker, [`ChildShutdown::Infinity`] for a supervisor.
    pub fn shutdown(mut self, shutdown: ChildShutdown) -> Self {
        self.shutdown = shutdown;
        self
    }

    /// Its end may be the end of its supervisor: see [`AutoShutdown`].
    pub fn significant(mut self) -> Self {
        self.significant = true;
        self
    }

    /// What can be seen of it.
    #[must_use]
    pub fn summary(&self) -> SpecSummary {
        SpecSummary {
            id: self.id.clone(),
            restart: self.restart,
            shutdown: self.shutdown,
            kind: self.kind,
            significant: self.significant,
        }
    }

    pub(crate) fn check(&self, auto_shutdown: AutoShutdown) -> Result<(), SpecError> {
        if self.significant && self.restart == Restart::Permanent {
            return Err(SpecError::SignificantPermanent(self.id.clone()));
        }
        if self.significant && auto_shutdown == AutoShutdown::Never {
            return Err(SpecError::SignificantWithoutAutoShutdown(self.id.clone()));
        }
        Ok(())
    }
}

impl fmt::Debug for ChildSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildSpec")
            .field("id", &self.id)
            .field("restart", &self.restart)
            .field("shutdown", &self.shutdown)
            .field("kind", &self.kind)
            .field("significant", &self.significant)
            .finish_non_exhaustive()
    }
}

/// A [`ChildSpec`] without its start function.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpecSummary {
    /// Its id.
    pub id: ChildId,
    /// When it is started again.
    pub restart: Restart,
    /// How it is stopped.
    pub shutdown: ChildShutdown,
    /// What it is.
    pub kind: ChildKind,
    /// Whether its end may be that of its supervisor.
    pub significant: bool,
}

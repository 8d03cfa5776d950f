//! Supervisors by name: a reference that is resolved at each use, and so outlives restarts.

use riot_actor::{Pid, Reason, call::CallError, gen_server::ServerStatus, name::Name, whereis};

use crate::{
    child_id::{ChildId, ChildKey},
    child_spec::{ChildSpec, SpecSummary},
    child_type::{ChildRef, ChildType},
    error::{ChildError, DeleteChildError, RestartChildError, StartChildError, SupervisorStopError},
    reference::{ChildCounts, ChildInfo, SupervisorRef},
    system::{SupervisorSettings, SupervisorState, SupervisorStatistics},
};

/// A reference to whatever supervisor holds a name, with the methods of a [`SupervisorRef`]. Each use looks
/// the name up, so the reference goes on to work when the supervisor was restarted. While no process holds
/// the name the error is [`CallError::NoProc`].
///
/// ```
/// # use riot_actor::{call::CallError, run, Reason};
/// use riot_supervisor::{Supervisor, SupervisorRef, task};
/// # let reason = run(async {
/// let jobs = SupervisorRef::named("jobs");
/// assert_eq!(jobs.count_children().await, Err(CallError::NoProc));
/// Supervisor::dynamic().name("jobs").start_link().await?;
/// jobs.start_child(task("job", || std::future::pending::<()>())).await?;
/// assert_eq!(jobs.count_children().await?.active, 1);
/// # Ok::<_, Reason>(())
/// # });
/// # assert_eq!(reason, Reason::Normal);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedSupervisor {
    name: Name,
}

impl SupervisorRef {
    /// Refers to the supervisor that holds `name`, whichever that is at each use. See [`NamedSupervisor`].
    pub fn named(name: impl Into<Name>) -> NamedSupervisor {
        NamedSupervisor { name: name.into() }
    }
}

/// Defines methods that do what those of a [`SupervisorRef`] do.
macro_rules! methods {
    ($(
        $name:ident$(<$generic:ident: $bound:path>)?($($argument:ident: $type:ty),*)
            -> Result<$ok:ty, $error:ty>;
    )+) => { $(
        #[doc = concat!(
            "Does what [`SupervisorRef::", stringify!($name), "`] does, for the holder of the name."
        )]
        ///
        /// # Errors
        /// As those of the method of [`SupervisorRef`]; `NoProc` if no process holds the name.
        ///
        /// # Panics
        /// Panics outside a process.
        pub async fn $name$(<$generic: $bound>)?(&self, $($argument: $type),*) -> Result<$ok, $error> {
            self.supervisor()?.$name($($argument),*).await
        }
    )+ };
}

impl NamedSupervisor {
    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Returns the supervisor that holds the name now.
    ///
    /// # Errors
    /// [`CallError::NoProc`] if no process holds it.
    ///
    /// # Panics
    /// Panics outside a process.
    pub fn supervisor(&self) -> Result<SupervisorRef, CallError> {
        whereis(&self.name).map(SupervisorRef::new).ok_or(CallError::NoProc)
    }

    /// Returns a reference to a child, as [`SupervisorRef::child`] does.
    ///
    /// # Panics
    /// Panics outside a process.
    pub async fn child<R: ChildRef>(&self, id: impl Into<ChildId>) -> Option<R> {
        self.supervisor().ok()?.child(id).await
    }

    /// Stops the supervisor, as [`SupervisorRef::stop`] does.
    ///
    /// # Errors
    /// See [`SupervisorStopError`].
    ///
    /// # Panics
    /// Panics outside a process.
    pub async fn stop(&self, reason: Reason) -> Result<(), SupervisorStopError> {
        let supervisor = self.supervisor().map_err(|_| SupervisorStopError::NoProc)?;
        supervisor.stop(reason).await
    }

    methods! {
        start_child<C: ChildType>(spec: ChildSpec<C>) -> Result<C::Ref, StartChildError>;
        terminate_child(child: impl Into<ChildKey>) -> Result<(), ChildError>;
        restart_child(id: impl Into<ChildId>) -> Result<Pid, RestartChildError>;
        delete_child(id: impl Into<ChildId>) -> Result<(), DeleteChildError>;
        which_children() -> Result<Vec<ChildInfo>, CallError>;
        count_children() -> Result<ChildCounts, CallError>;
        get_child_spec(child: impl Into<ChildKey>) -> Result<SpecSummary, ChildError>;
        subscribe() -> Result<(), CallError>;
        suspend() -> Result<(), CallError>;
        resume() -> Result<(), CallError>;
        get_state() -> Result<SupervisorState, CallError>;
        replace_state(
            replace: impl FnOnce(&mut SupervisorSettings) + Send + 'static
        ) -> Result<SupervisorSettings, CallError>;
        get_status() -> Result<ServerStatus, CallError>;
        statistics() -> Result<SupervisorStatistics, CallError>;
    }
}

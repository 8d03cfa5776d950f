//! The condition of a server as others see it: its status, and its statistics.

use std::time::{Duration, Instant};

use crate::{
    names::name::Name,
    process::{
        info::{ProcessInfo, info},
        pid::Pid,
    },
    time::clock::now,
};

/// The status of a server, a state machine or a supervisor. (OTP: `sys:get_status/1`.) That of a plain
/// process is its [`info`](crate::process::info()).
///
/// ```
/// use riot_actor::{gen_server::{GenServer, GenServerOptions, Stop}, run};
///
/// struct Vault { code: u32 }
/// impl GenServer for Vault {
///     type Args = u32;
///     async fn init(code: u32) -> Result<Self, Stop> { Ok(Vault { code }) }
///     fn format_status(&self) -> String {
///         format!("a code of {} digits", self.code.to_string().len())
///     }
/// }
/// # run(async {
/// let vault = GenServerOptions::new().name("vault").start_link::<Vault>(1234).await?;
/// let status = vault.get_status().await?;
/// assert_eq!((status.state.as_str(), status.is_suspended), ("a code of 4 digits", false));
/// assert_eq!(status.names[0].as_str(), "vault");
/// # Ok::<(), riot_actor::Reason>(())
/// # });
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerStatus {
    /// The process.
    pub pid: Pid,
    /// The process that has started it, unless that is unknown.
    pub parent: Option<Pid>,
    /// The names it holds.
    pub names: Vec<Name>,
    /// The type of the server.
    pub server: &'static str,
    /// Whether it is [suspended](super::GenServerRef::suspend).
    pub is_suspended: bool,
    /// How many messages wait in its mailbox.
    pub mailbox: usize,
    /// The state as text, see [`GenServer::format_status`](super::GenServer::format_status).
    pub state: String,
}

impl ServerStatus {
    /// Makes the status of the running process, which is a server of the type `server`.
    ///
    /// # Panics
    /// Panics outside a process.
    #[must_use]
    pub fn of_this(server: &'static str, is_suspended: bool, state: String) -> Self {
        let pid = crate::this();
        let ProcessInfo { parent, names, mailbox, .. } =
            info(pid).expect("the running process is not released");
        Self { pid, parent, names, server, is_suspended, mailbox, state }
    }
}

/// How much a server has done since its start. (OTP: `sys:statistics/2`, which has to be switched on.)
///
/// ```
/// # use riot_actor::{gen_server::{Cast, GenServer, Stop}, run, send};
/// # struct Till;
/// # impl GenServer for Till {
/// #     type Args = ();
/// #     async fn init((): ()) -> Result<Self, Stop> { Ok(Till) }
/// #     async fn handle_info(&mut self, _: riot_actor::Message) {}
/// # }
/// # impl Cast<u32> for Till { async fn cast(&mut self, _: u32) {} }
/// # run(async {
/// let till = Till::start(()).await?;
/// till.cast(1);
/// send(till.pid(), "a message");
/// let statistics = till.statistics().await?;
/// assert_eq!((statistics.requests, statistics.infos), (1, 1));
/// # Ok::<(), riot_actor::Reason>(())
/// # });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerStatistics {
    /// How long it has been running, by the clock of the runtime.
    pub uptime: Duration,
    /// Calls and casts that it has begun to handle.
    pub requests: u64,
    /// Other messages that it has begun to handle.
    pub infos: u64,
    /// Idle timeouts that it has begun to handle.
    pub timeouts: u64,
}

/// Counts what a server does.
pub(super) struct Counts {
    since: Instant,
    pub(super) requests: u64,
    pub(super) infos: u64,
    pub(super) timeouts: u64,
}

impl Counts {
    pub(super) fn new() -> Self {
        Self { since: now(), requests: 0, infos: 0, timeouts: 0 }
    }

    pub(super) fn statistics(&self) -> ServerStatistics {
        let uptime = now().saturating_duration_since(self.since);
        ServerStatistics { uptime, requests: self.requests, infos: self.infos, timeouts: self.timeouts }
    }
}

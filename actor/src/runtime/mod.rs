//! The runtime: starting one, its settings and its end, and what runs below the verbs.
//!
//! [`run`] or [`Config::run`] start the workers and the first process, and return when every process has
//! ended. Plain threads reach a runtime through a [`Handle`].
//!
//! ```
//! use std::time::Duration;
//! use riot_actor::{runtime::Config, Reason};
//!
//! let config = Config::new().workers(2).shutdown_timeout(Duration::from_secs(1));
//! assert_eq!(config.run(async { Reason::other("done") })?, Reason::other("done"));
//! # Ok::<(), riot_actor::runtime::RunError>(())
//! ```

pub(crate) mod application;
pub(crate) mod blocking;
pub(crate) mod config;
pub(crate) mod context;
pub(crate) mod coop;
pub(crate) mod driver;
pub(crate) mod extensions;
mod features;
pub(crate) mod gave_up;
pub(crate) mod handle;
pub(crate) mod kernel;
#[cfg(all(unix, feature = "signals"))]
mod os_signals;
pub(crate) mod parker;
mod random;
mod running;
pub(crate) mod scheduler;
pub(crate) mod shared;
pub(crate) mod shutdown;
pub(crate) mod simulation;
mod threads;
#[cfg(feature = "tokio")]
pub(crate) mod tokio;
#[cfg(feature = "tokio")]
mod tokio_config;

#[cfg(feature = "tokio")]
#[doc(hidden)]
pub use self::tokio::TOKIO_ADVICE;
#[cfg(feature = "tokio")]
#[cfg_attr(docsrs, doc(cfg(feature = "tokio")))]
pub use self::tokio::{InTokio, enter_tokio, has_tokio, in_tokio};
pub use self::{
    application::{Application, ApplicationInfo, which_applications},
    blocking::blocking,
    config::{Config, RunError, run},
    extensions::extension,
    gave_up::{GaveUp, cause_of_exit, give_up},
    handle::{Handle, RuntimeId},
    random::random,
    running::Running,
    shutdown::{ShutdownSignal, applications_started, shutdown, shutdown_signal, stop_timeout},
};

//! The server: any protocol, with Ranch's tree around it.
//!
//! ```text
//! Server.Sup (rest_for_one)
//! ├── Connections.Sup.Sup (one_for_one)
//! │   └── Connections.Sup ×M    dynamic children; counts, drains
//! │       └── Connector         one a client; owns the connection; waits for Begin; runs the protocol
//! ├── Acceptor.Sup (one_for_one)  binds; bound again when restarted, while live connections stay
//! │   └── Acceptor.Worker ×N
//! └── Drain.Worker              conducts the drain; stopped first
//! ```
//!
//! - One file a process: [`tree`] (the supervisors), [`acceptor`], [`connections`], [`connector`],
//!   [`drainer`]; [`drain`] has the drain's phases and report as values.
//! - What they share: [`state`], with [`table`] (connections), [`semaphore`] (permits), [`statistics`],
//!   [`alarm`], [`log_levels`], [`reserve`] (a spare descriptor), [`reaper`] (idle connections give way),
//!   [`descriptors`] (the limit of the program).
//! - The interface: [`builder`], [`handle`], [`info`], [`protocol`], [`overflow`], [`telemetry`].
//!
//! Invariant: connections hang below supervisors of their own, so an acceptor that crashes ends no
//! connection, and the listening socket can be lost and bound again while connections live.

mod accept_error;
mod acceptor;
mod alarm;
mod builder;
mod connections;
mod connector;
mod connectors;
mod descriptors;
mod drain;
mod drainer;
mod handle;
mod info;
mod log_levels;
mod overflow;
mod protocol;
mod reaper;
mod reserve;
mod semaphore;
mod state;
mod statistics;
mod table;
pub mod telemetry;
mod tree;

pub use self::{
    alarm::{Alarm, AlarmEvent},
    builder::{ReadyServer, Server, ServerStartError},
    drain::{DrainInfo, DrainPhase, DrainReport, ServerPhase},
    handle::{ServerHandle, servers},
    info::{AcceptErrors, ConnectionInfo, CutConnection, EndCounts, ServerInfo, ServerState},
    log_levels::LogLevels,
    overflow::ConnectionOverflow,
    protocol::{Protocol, supervised},
};

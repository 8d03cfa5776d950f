//! Flows as protocols of a [`Server`].

use std::future::pending;

use riot_socket::{
    Address, ChildId, ChildSpec, Connection, ReadyServer, Server, ServerHandle, ServerStartError,
};

use super::drive;
use crate::Flow;

/// Extends [`Server`] with flows as protocols.
///
/// `make` is called for every client with its address. The whole tree stands around each flow: limits, drain,
/// supervision.
///
/// ```
/// use riot_flow::{Flow, FlowServer};
/// use riot_socket::Server;
///
/// async fn serve<F: Flow + Send + 'static>(make: fn() -> F) -> Result<(), Box<dyn std::error::Error>> {
///     Server::bind("127.0.0.1:7000")?.flow(move |_peer| make()).start_link().await?;
///     Ok(())
/// }
/// ```
pub trait FlowServer {
    /// Serves every client with a flow of its own, made by `make`.
    fn flow<F, M>(self, make: M) -> Flowing
    where
        F: Flow + Send + 'static,
        M: Fn(&Address) -> F + Send + Sync + 'static;
}

impl FlowServer for Server {
    fn flow<F, M>(self, make: M) -> Flowing
    where
        F: Flow + Send + 'static,
        M: Fn(&Address) -> F + Send + Sync + 'static,
    {
        Flowing(self.protocol(move |connection: Connection| {
            let flow = make(connection.peer());
            drive(connection, flow, pending())
        }))
    }
}

/// A server of a flow, ready to be started; see [`FlowServer::flow`].
#[derive(Debug)]
#[must_use = "nothing listens before `start_link`"]
pub struct Flowing(ReadyServer);

impl Flowing {
    /// Starts the server, linked to the caller.
    ///
    /// # Errors
    /// As [`Server::start_link`].
    ///
    /// # Panics
    /// Panics outside a process.
    pub async fn start_link(self) -> Result<ServerHandle, ServerStartError> {
        self.0.start_link().await
    }

    /// Returns the spec of a child that runs the server under a supervisor.
    pub fn child_spec(self, id: impl Into<ChildId>) -> ChildSpec {
        self.child(id).0
    }

    /// Returns the spec of a child that runs the server under a supervisor, and a handle to the server; see
    /// [`Server::child`].
    pub fn child(self, id: impl Into<ChildId>) -> (ChildSpec, ServerHandle) {
        self.0.child(id)
    }
}

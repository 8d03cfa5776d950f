//! Flows as protocols of a [`Server`].

use std::{fmt, future::pending};

use riot_socket::{Address, ChildId, ChildSpec, Connection, Server, ServerHandle, ServerStartError};

use super::drive;
use crate::Flow;

/// Flows as protocols of a server.
pub trait FlowServer {
    /// Serves every client with a flow of its own, made by `make`.
    fn flow<F, M>(self, make: M) -> Flowing<M>
    where
        F: Flow + Send + 'static,
        M: Fn(&Address) -> F + Send + Sync + 'static;
}

impl FlowServer for Server {
    fn flow<F, M>(self, make: M) -> Flowing<M>
    where
        F: Flow + Send + 'static,
        M: Fn(&Address) -> F + Send + Sync + 'static,
    {
        Flowing { server: self, make }
    }
}

/// A server of a flow that has not been started.
#[must_use = "nothing listens before `start_link`"]
pub struct Flowing<M> {
    server: Server,
    make: M,
}

impl<M> Flowing<M> {
    /// Starts the server, linked to the caller.
    ///
    /// # Errors
    /// As [`Server::start_link`].
    ///
    /// # Panics
    /// Outside a process.
    pub async fn start_link<F>(self) -> Result<ServerHandle, ServerStartError>
    where
        F: Flow + Send + 'static,
        M: Fn(&Address) -> F + Send + Sync + 'static,
    {
        let make = self.make;
        self.server
            .start_link(move |connection: Connection| {
                let flow = make(connection.peer());
                drive(connection, flow, pending())
            })
            .await
    }

    /// The server as a child of a supervisor of yours.
    pub fn child_spec<F>(self, id: impl Into<ChildId>) -> ChildSpec
    where
        F: Flow + Send + 'static,
        M: Fn(&Address) -> F + Send + Sync + 'static,
    {
        self.child(id).0
    }

    /// The server as a child of a supervisor of yours, and a handle to it; see [`Server::child`].
    pub fn child<F>(self, id: impl Into<ChildId>) -> (ChildSpec, ServerHandle)
    where
        F: Flow + Send + 'static,
        M: Fn(&Address) -> F + Send + Sync + 'static,
    {
        let make = self.make;
        self.server.child(id, move |connection: Connection| {
            let flow = make(connection.peer());
            drive(connection, flow, pending())
        })
    }
}

impl<M> fmt::Debug for Flowing<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.server.fmt(f)
    }
}

//! The processes that drive a flow: a Connector for each client, with a Reader and a Writer linked to it.
//!
//! ```text
//! Connector      owns the connection; runs the application; keeps the time
//! ├── Reader     loops over next_read_operation
//! └── Writer     loops over next_write_operation
//! ```

mod connector;
mod reader;
mod writer;

use std::{
    fmt,
    future::pending,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    task::Waker,
};

use bytes::Bytes;
pub use connector::{connect, connect_to_the_end};
use riot_socket::{Address, ChildId, ChildSpec, Control, Meter, Server, ServerRef, StartError, Status};

use crate::{Activity, Flow};

/// What the three processes of a connection share.
struct Joint<F> {
    flow: Mutex<F>,
    /// The two loops. One that waits for the transport hears nothing of the flow, so whoever changes what the flow
    /// wants from outside the loops wakes them to ask again.
    reader: OnceLock<Waker>,
    writer: OnceLock<Waker>,
    /// What the Reader leaves behind when the flow is upgraded: bytes of the next protocol.
    unread: Mutex<Bytes>,
    meter: Meter,
}

impl<F: Flow> Joint<F> {
    fn new(flow: F, meter: Meter) -> Self {
        Self {
            flow: Mutex::new(flow),
            reader: OnceLock::new(),
            writer: OnceLock::new(),
            unread: Mutex::default(),
            meter,
        }
    }

    fn lock(&self) -> MutexGuard<'_, F> {
        self.flow.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unread(&self) -> MutexGuard<'_, Bytes> {
        self.unread.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the flow, and has both loops ask it again.
    fn change(&self, change: impl FnOnce(&mut F)) {
        change(&mut self.lock());
        self.reader.get().map(Waker::wake_by_ref);
        self.writer.get().map(Waker::wake_by_ref);
    }
}

impl<F: Flow + Send> Control for Joint<F> {
    fn drain(&self) {
        self.change(F::shutdown_gracefully);
    }

    fn status(&self) -> Status {
        let Activity { state, requests } = self.lock().activity();
        Status { state, requests }
    }
}

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
    pub async fn start_link<F>(self) -> Result<ServerRef, StartError>
    where
        F: Flow + Send + 'static,
        M: Fn(&Address) -> F + Send + Sync + 'static,
    {
        let make = self.make;
        self.server
            .start_link(move |connection: riot_socket::Connection| {
                let flow = make(connection.peer());
                connect(connection, flow, pending())
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
    pub fn child<F>(self, id: impl Into<ChildId>) -> (ChildSpec, ServerRef)
    where
        F: Flow + Send + 'static,
        M: Fn(&Address) -> F + Send + Sync + 'static,
    {
        let make = self.make;
        self.server.child(id, move |connection: riot_socket::Connection| {
            let flow = make(connection.peer());
            connect(connection, flow, pending())
        })
    }
}

impl<M> fmt::Debug for Flowing<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.server.fmt(f)
    }
}

//! The processes that drive a flow: a Connector for each client, with a Reader and a Writer linked to it.
//!
//! ```text
//! Connector      owns the connection; runs the application; keeps the time
//! ├── Reader     loops over next_read_operation
//! └── Writer     loops over next_write_operation
//! ```

mod bell;
mod block;
mod connector;
mod reader;
mod writer;

use std::{
    fmt,
    future::pending,
    ops::Deref,
    sync::{Arc, atomic::AtomicBool},
    task::Waker,
};

use bell::{Bells, INLET, OUTLET};
pub use connector::{connect, connect_to_the_end};
use parking_lot::{MappedMutexGuard, Mutex, MutexGuard};
use reader::Intake;
use riot_socket::{
    Address, ChildId, ChildSpec, Control, Meter, Server, ServerHandle, ServerStartError, Status, Transport,
};

use crate::{Activity, Flow};

/// What the three processes of a connection share.
///
/// The Connector does the work of the two loops where it is awake anyway: it reads what it was woken for and sends what
/// its application made, so that a request costs one turn of one process. The Reader and the Writer have the rest: the
/// first and the last bytes of the connection, what the transport does not take at once, and whatever comes while the
/// Connector has enough to do.
struct Joint<F> {
    sides: Mutex<Sides<F>>,
    transport: Arc<dyn Transport>,
    bells: Arc<Bells>,
    /// Two of them, as wakers.
    input: Waker,
    output: Waker,
    /// The transport has taken bytes since it was last known to hold none back. Changed by who has the flow.
    unflushed: AtomicBool,
    /// It may do so at all.
    holds_back: bool,
    meter: Meter,
}

/// The flow, and what has been read for it.
struct Sides<F> {
    flow: F,
    intake: Intake,
}

impl<F: Flow> Joint<F> {
    /// `rest` has been read already.
    fn new(flow: F, transport: Arc<dyn Transport>, rest: Vec<u8>, meter: Meter) -> Self {
        let (bells, holds_back) = (Bells::new(), transport.holds_back());
        Self {
            sides: Mutex::new(Sides { flow, intake: Intake::new(rest) }),
            transport,
            input: bells.waker::<INLET>(),
            output: bells.waker::<OUTLET>(),
            bells,
            unflushed: AtomicBool::new(false),
            holds_back,
            meter,
        }
    }

    fn lock(&self) -> MappedMutexGuard<'_, F> {
        MutexGuard::map(self.sides.lock(), |sides| &mut sides.flow)
    }

    /// Changes the flow, and has both loops ask it again.
    fn change(&self, change: impl FnOnce(&mut F)) {
        change(&mut self.lock());
        self.bells.wake_reader();
        self.bells.wake_writer();
    }
}

/// One of the two loops' hold on what they share. Whoever is told that both are gone holds the connection alone.
struct Loop<F> {
    // Dropped in this order.
    joint: Arc<Joint<F>>,
    _end: End,
}

/// The end of a loop.
struct End(Arc<Bells>);

impl<F> Loop<F> {
    fn new(joint: &Arc<Joint<F>>) -> Self {
        Self { joint: joint.clone(), _end: End(joint.bells.clone()) }
    }
}

impl<F> Deref for Loop<F> {
    type Target = Joint<F>;

    fn deref(&self) -> &Joint<F> {
        &self.joint
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.0.loop_ended();
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
    pub async fn start_link<F>(self) -> Result<ServerHandle, ServerStartError>
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
    pub fn child<F>(self, id: impl Into<ChildId>) -> (ChildSpec, ServerHandle)
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

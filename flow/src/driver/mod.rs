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
    io,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{
            AtomicBool, AtomicU8,
            Ordering::{Relaxed, SeqCst},
        },
    },
    task::{Context, Poll, Wake, Waker, ready},
};

use bytes::Bytes;
pub use connector::{connect, connect_to_the_end};
use riot_actor::now;
use riot_socket::{
    Address, ChildId, ChildSpec, Control, Meter, Server, ServerRef, StartError, Status, Transport,
};

use crate::{Activity, FilePart, Flow, FlowError, WriteOperation, WriteResult};

/// What the three processes of a connection share.
struct Joint<F> {
    flow: Mutex<F>,
    /// The two loops. One that waits for the transport hears nothing of the flow, so whoever changes what the flow
    /// wants from outside the loops wakes them to ask again.
    reader: OnceLock<Waker>,
    outlet: Arc<Outlet>,
    /// The outlet, for the flow to wake when there is something to write.
    output: Waker,
    /// The transport has taken bytes since it was last known to hold none back. Changed by who has the flow.
    unflushed: AtomicBool,
    /// What the Reader leaves behind when the flow is upgraded: bytes of the next protocol.
    unread: Mutex<Bytes>,
    meter: Meter,
}

impl<F: Flow> Joint<F> {
    fn new(flow: F, meter: Meter) -> Self {
        let outlet = Arc::new(Outlet { state: AtomicU8::new(OPEN), writer: OnceLock::new() });
        Self {
            flow: Mutex::new(flow),
            reader: OnceLock::new(),
            output: Waker::from(outlet.clone()),
            outlet,
            unflushed: AtomicBool::new(false),
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
        self.outlet.wake_writer();
    }

    /// Sends what the flow has, until it has nothing more or the transport takes no more. Ready when the flow will never
    /// have more, with the number of bytes it could not deliver. Called by the Writer, and by the Connector in its name: the context is the Writer's in any case.
    fn write(&self, transport: &dyn Transport, cx: &mut Context<'_>) -> Poll<u64> {
        let now = now();
        loop {
            let mut flow = self.lock();
            let written = match flow.next_write_operation(now) {
                WriteOperation::Write(slices) => ready!(transport.poll_write(cx, slices.as_io_slices())),
                WriteOperation::File(part) => ready!(send_file(transport, part, cx)),
                WriteOperation::Yield => {
                    flow.yield_writer(&self.output);
                    if !self.unflushed.load(Relaxed) {
                        return Poll::Pending;
                    }
                    let flushed = ready!(transport.poll_flush(cx));
                    self.unflushed.store(false, Relaxed);
                    let Err(error) = flushed else { return Poll::Pending };
                    flow.report_error(FlowError::Transport(error));
                    drop(flow);
                    self.reader.get().map(Waker::wake_by_ref);
                    continue;
                }
                WriteOperation::Close(undelivered) => return Poll::Ready(undelivered),
            };
            match written {
                Ok(written) => {
                    self.meter.sent(written);
                    flow.report_write_result(WriteResult::Written(written), now);
                    self.unflushed.store(true, Relaxed);
                }
                Err(error) => {
                    flow.report_write_result(WriteResult::Closed, now);
                    flow.report_error(FlowError::Transport(error));
                    drop(flow);
                    self.reader.get().map(Waker::wake_by_ref);
                }
            }
        }
    }

    /// Runs the application for a while, and sends what it made of its own accord: one turn of the Writer less for every
    /// answer. What the transport does not take at once is the Writer's.
    fn produce<T>(&self, transport: &dyn Transport, application: impl FnOnce() -> T) -> T {
        self.outlet.state.store(HELD, SeqCst);
        let made = application();
        if self.outlet.state.swap(OPEN, SeqCst) == DUE
            && let Some(writer) = self.outlet.writer.get()
            && self.write(transport, &mut Context::from_waker(writer)).is_ready()
        {
            writer.wake_by_ref();
        }
        made
    }
}

fn send_file(transport: &dyn Transport, part: &FilePart, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
    match transport.poll_send_file(cx, part.file(), part.offset(), part.length()) {
        // Less than was promised: the peer must not take it for the whole.
        Poll::Ready(Ok(0)) => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
        result => result,
    }
}

/// Where the flow says that there is something to write. It is the Writer's to send; but while the application runs in
/// the Connector it is noted, and the Connector looks when that is done.
struct Outlet {
    state: AtomicU8,
    /// Once it has run.
    writer: OnceLock<Waker>,
}

/// The Writer is woken.
const OPEN: u8 = 0;
/// The Connector will look.
const HELD: u8 = 1;
/// The Connector will look, and there is something.
const DUE: u8 = 2;

impl Outlet {
    fn wake_writer(&self) {
        self.writer.get().map(Waker::wake_by_ref);
    }
}

impl Wake for Outlet {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Only the Connector goes from one of its states to open, and it looks what was noted as it does.
        if self.state.compare_exchange(HELD, DUE, SeqCst, SeqCst) == Err(OPEN) {
            self.wake_writer();
        }
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

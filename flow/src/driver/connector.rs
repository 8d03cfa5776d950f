//! The Connector: the process of one client. It owns the connection, and its poll slice is the way of a
//! request.

use std::{
    future::Future,
    hint::cold_path,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll, Waker, ready},
};

use riot_actor::{
    Reason,
    process::{CatchPanic, Panic, SpawnOptions, catch_panic},
    time::now_coarse,
};
use riot_socket::{Connection, Shutdown};

use super::{
    Link, Side,
    application::{Application, Polled},
    deadline::Deadline,
    inbound::Filled,
    last_word,
    link::LinkState,
    outbound::Flushed,
    reader,
    wake_flags::{Due, SliceEnd},
    writer,
};
use crate::{Ending, Flow, FlowError};

/// Drives `flow` over `connection` while `application` runs, until both directions are closed.
///
/// The calling process becomes a Connector: it spawns a Reader and a Writer, linked to it. If the application
/// panics, the flow is told, what it still has to say to the peer is sent, and the process ends with that
/// panic. If the connection ends first, the application is dropped where it awaits.
///
/// A flow that is [upgraded](Flow::is_upgraded) gets the [`Connection`] [handed over](Flow::hand_over), open
/// in both directions; the application then runs to its own end.
///
/// Use it as the body of a [`Protocol`](riot_socket::Protocol).
///
/// # Panics
/// Panics outside a process.
pub fn drive<F, A>(connection: Connection, flow: F, application: A) -> impl Future<Output = Reason>
where
    F: Flow + Send + 'static,
    A: Future<Output = ()>,
{
    Connector::new(connection, flow, application, AtTheEnd::DropApplication)
}

/// Drives `flow` as [`drive`] does, but lets the application run to its own end even if the connection ends
/// first.
///
/// # Panics
/// Panics outside a process.
pub fn drive_to_completion<F, A>(
    connection: Connection,
    flow: F,
    application: A,
) -> impl Future<Output = Reason>
where
    F: Flow + Send + 'static,
    A: Future<Output = ()>,
{
    Connector::new(connection, flow, application, AtTheEnd::AwaitApplication)
}

/// The fate of an application that still runs when the connection has ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum AtTheEnd {
    DropApplication,
    AwaitApplication,
}

pin_project_lite::pin_project! {
    // The body of a Connector. It is written by hand, not as an `async fn`, so that it is one piece of memory
    // that starts with what a request touches, and nothing has room in it twice.
    #[repr(C)] // perf: cache lines missed, 1 000 active, 27.5 → 26.4, with the other three on this path
    struct Connector<F, A>
    where
        F: Flow,
        F: Send,
        F: 'static,
    {
        #[pin]
        application: CatchPanic<A>,
        driven: Option<Driven<F>>,
        at_the_end: AtTheEnd,
    }

    impl<F, A> PinnedDrop for Connector<F, A>
    where
        F: Flow,
        F: Send,
        F: 'static,
    {
        fn drop(this: Pin<&mut Self>) {
            if let Some(driven) = this.project().driven {
                cold_path();
                last_word::leave(&driven.link);
            }
        }
    }
}

/// A connection while it is driven.
#[repr(C)] // perf: cache lines missed, 1 000 active, 27.5 → 26.4, with the other three on this path
struct Driven<F> {
    link: Arc<Link<F>>,
    application: Application,
    begun: bool,
    deadline: Deadline,
    /// The application's panic. The connection goes on until the flow has said its last word.
    panic: Option<Arc<Panic>>,
    connection: Connection,
}

impl<F: Flow + Send + 'static, A: Future<Output = ()>> Connector<F, A> {
    #[inline(always)] // perf: own connection, 14784 → 14741 instructions: two copies of the flow less
    fn new(mut connection: Connection, flow: F, application: A, at_the_end: AtTheEnd) -> Self {
        let unread = connection.take_unread();
        let link = Link::new(flow, connection.transport().clone(), unread, connection.meter());
        let driven = Driven {
            application: Application::new(&link.wakes),
            link,
            begun: false,
            deadline: Deadline::new(),
            panic: None,
            connection,
        };
        Self { driven: Some(driven), application: catch_panic(application), at_the_end }
    }
}

impl<F, A> Future for Connector<F, A>
where
    F: Flow + Send + 'static,
    A: Future<Output = ()>,
{
    type Output = Reason;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Reason> {
        let mut this = self.project();
        if let Some(driven) = this.driven
            && driven.poll(this.application.as_mut(), cx).is_pending()
        {
            return Poll::Pending;
        }
        cold_path();
        if let Some(driven) = this.driven.take() {
            if let Some(panic) = &driven.panic {
                return Poll::Ready(Reason::Panic(panic.clone()));
            }
            let is_running = driven.application.is_running();
            let upgraded = driven.close();
            if !(is_running && (upgraded || *this.at_the_end == AtTheEnd::AwaitApplication)) {
                return Poll::Ready(Reason::Normal);
            }
        }
        let result = ready!(this.application.poll(cx));
        Poll::Ready(result.map_or_else(|panic| Reason::Panic(Arc::new(panic)), |()| Reason::Normal))
    }
}

/// Bounds the rounds of one poll slice. A connection with more to do hands over to the Reader and the Writer,
/// so that other processes get their turn; 8.
const MAX_ROUNDS: usize = 8;

impl<F: Flow + Send + 'static> Driven<F> {
    /// Runs one poll slice. Ready when both directions are closed.
    fn poll<A: Future<Output = ()>>(&mut self, body: Pin<&mut CatchPanic<A>>, cx: &Context<'_>) -> Poll<()> {
        if !self.begun {
            cold_path();
            self.begun = true;
            self.begin(cx.waker());
        }
        if self.link.wakes.both_sides_ended() {
            cold_path();
            self.report_ending();
            return Poll::Ready(());
        }
        self.poll_slice(body, cx.waker());
        Poll::Pending
    }

    /// Does everything that a connection does in one poll slice: the way of a request.
    fn poll_slice<A: Future<Output = ()>>(&mut self, mut body: Pin<&mut CatchPanic<A>>, waker: &Waker) {
        let Self { link, application, deadline, panic, .. } = self;
        let wakes = &*link.wakes;
        let mut due = wakes.begin_slice();
        // READ is set by the transport's readiness, through the link's reader waker. A message to the process
        // sets no flag, so the application is polled in any case.
        due.add(Due::APPLICATION);
        for _ in 0..MAX_ROUNDS {
            // The instant that the flow is told, the same for what is read and for the responses to it.
            let mut time = None;
            // socket → flow
            if due.remove(Due::READ) {
                if link.fill(&mut time) == Filled::Closed {
                    cold_path();
                    wakes.wake_reader();
                }
                due.add(wakes.take());
            }
            // flow → handler → flow
            if due.remove(Due::APPLICATION) {
                if let Polled::Panicked(failure) = application.poll(body.as_mut()) {
                    cold_path();
                    link.change(|flow| flow.report_error(FlowError::Application(failure.message.clone())));
                    *panic = Some(failure);
                }
                due.add(wakes.take());
            }
            // flow → socket. What the flow was told above has set WRITE, which `take` has collected. A Writer
            // that has not run yet has no waker; it flushes at its first poll.
            if due.remove(Due::WRITE)
                && let Some(writer) = wakes.writer()
                && link.flush(&mut Context::from_waker(writer), time.unwrap_or_else(now_coarse))
                    != Flushed::Waiting
            {
                cold_path();
                writer.wake_by_ref();
            }
            if due.remove(Due::DEADLINE) {
                cold_path();
                deadline.update(link);
            }
            if due.is_empty() {
                match wakes.end_slice() {
                    SliceEnd::Idle => return,
                    SliceEnd::Continue(more) => due = more,
                }
            }
            cold_path();
        }
        due.add(wakes.abandon_slice());
        link.hand_over_slice(due, waker);
    }

    #[inline(never)]
    fn begin(&self, waker: &Waker) {
        let Self { link, connection, .. } = self;
        link.wakes.set_connector(waker);
        let control: Weak<Link<F>> = Arc::downgrade(link);
        connection.controlled_by(control);
        SpawnOptions::new().label("Reader").link().spawn(reader::run(Side::new(link)));
        SpawnOptions::new().label("Writer").link().spawn(writer::run(Side::new(link)));
    }

    /// Tells the server how the connection has ended.
    #[inline(never)]
    fn report_ending(&self) {
        let Ending { timed_out, protocol_error, served, crossed, requests, limit } =
            self.link.lock_flow().ending();
        self.link.meter.requests(requests);
        if let Some(timer) = timed_out {
            self.connection.count_timeout(timer);
        }
        if let Some(error) = protocol_error {
            cold_path();
            self.connection.count_protocol_error(&error);
        }
        if let Some(limit) = limit {
            cold_path();
            self.connection.count_limit(limit);
        }
        if served > 0 || crossed {
            cold_path();
            self.link.meter.drained(served, crossed);
        }
    }

    /// Releases the connection, or gives it to an upgraded flow; returns whether it did. No other process
    /// holds the flow any more, so a handler that still holds a part of it learns that nothing drives it.
    fn close(self) -> bool {
        let Self { link, connection, .. } = self;
        let upgraded = link.lock_flow().is_upgraded();
        if upgraded {
            hand_over(connection, &link);
        }
        upgraded
    }
}

impl<F: Flow> Link<F> {
    /// Passes work that is left after [`MAX_ROUNDS`] to the processes that take over, and to the Connector's
    /// next slice.
    #[cold]
    fn hand_over_slice(&self, due: Due, connector: &Waker) {
        if due.has(Due::READ) {
            self.wakes.wake_reader();
        }
        if due.has(Due::WRITE) {
            self.wakes.wake_writer();
        }
        for flag in [Due::APPLICATION, Due::DEADLINE] {
            if due.has(flag) {
                self.wakes.notify(flag);
                connector.wake_by_ref();
            }
        }
    }
}

/// Gives the connection to the flow. It behaves as before it was driven: when the server drains, its input
/// ends.
fn hand_over<F: Flow>(connection: Connection, link: &Link<F>) {
    let transport = connection.transport().clone();
    connection.on_drain(move || drop(transport.shutdown(Shutdown::Read)));
    let LinkState { flow, inbound, .. } = &mut *link.state.lock();
    flow.hand_over(Box::new(connection), inbound.take_unread());
}

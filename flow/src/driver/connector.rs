//! The Connector: the process of one client. It owns the connection, runs the application and keeps the time.

use std::{
    future::Future,
    hint::cold_path,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll, Waker, ready},
};

use riot_actor::{
    Reason, now,
    process::{CatchPanic, Panic, SpawnOptions, catch_panic},
    time::{Sleep, sleep_until},
};
use riot_socket::{Connection, Shutdown};

use super::{
    Joint, Loop, Sides,
    bell::{APPLICATION, INLET, TIMER},
    reader, writer,
};
use crate::{Flow, FlowError};

/// Drives `flow` over `connection` until both directions are closed, with a Reader and a Writer of its own, while
/// `application` runs. If the application panics the flow is told, what it has to say to the peer still leaves, and the
/// process ends with that panic. If the connection ends first the application is dropped where it awaits.
///
/// A flow that is [upgraded](Flow::is_upgraded) gets the [`Connection`] [handed over](Flow::hand_over), open in both
/// directions; the application then runs to its own end.
///
/// For the body of a Connector, such as a [`Protocol`](riot_socket::Protocol).
///
/// # Panics
/// Outside a process.
pub fn connect<F, A>(connection: Connection, flow: F, application: A) -> impl Future<Output = Reason>
where
    F: Flow + Send + 'static,
    A: Future<Output = ()>,
{
    drive(connection, flow, application, false)
}

/// As [`connect`], but the application runs to its own end even if the connection ends first.
///
/// # Panics
/// Outside a process.
pub fn connect_to_the_end<F, A>(
    connection: Connection,
    flow: F,
    application: A,
) -> impl Future<Output = Reason>
where
    F: Flow + Send + 'static,
    A: Future<Output = ()>,
{
    drive(connection, flow, application, true)
}

fn drive<F: Flow, A: Future<Output = ()>>(
    mut connection: Connection,
    flow: F,
    application: A,
    to_the_end: bool,
) -> Driving<F, A> {
    let rest = connection.take_unread();
    let joint = Arc::new(Joint::new(flow, connection.transport().clone(), rest, connection.meter()));
    let turns = Turns::new(&joint);
    let driven = Driven { joint, turns, connection, panic: None };
    Driving { driven: Some(driven), application: catch_panic(application), to_the_end }
}

pin_project_lite::pin_project! {
    /// The body of a Connector. Written out, because it is one piece of memory with the application in it: what a request
    /// touches is close together, first of all, and nothing has room in it twice.
    #[repr(C)]
    struct Driving<F, A> {
        #[pin]
        application: CatchPanic<A>,
        driven: Option<Driven<F>>,
        to_the_end: bool,
    }
}

/// A connection that is driven.
#[repr(C)]
struct Driven<F> {
    joint: Arc<Joint<F>>,
    turns: Turns,
    /// That of the application: the rest is for the flow to have its last word.
    panic: Option<Arc<Panic>>,
    connection: Connection,
}

impl<F, A> Future for Driving<F, A>
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
            let serving = driven.turns.serving;
            if let Some(panic) = &driven.panic {
                return Poll::Ready(Reason::Panic(panic.clone()));
            }
            let upgraded = driven.close();
            if !(serving && (upgraded || *this.to_the_end)) {
                return Poll::Ready(Reason::Normal);
            }
        }
        let result = ready!(this.application.poll(cx));
        Poll::Ready(result.map_or_else(|panic| Reason::Panic(Arc::new(panic)), |()| Reason::Normal))
    }
}

impl<F: Flow + Send + 'static> Driven<F> {
    /// Ready when both loops have ended.
    fn poll<A: Future<Output = ()>>(
        &mut self,
        application: Pin<&mut CatchPanic<A>>,
        cx: &Context<'_>,
    ) -> Poll<()> {
        if !self.turns.begun {
            cold_path();
            self.turns.begun = true;
            self.begin(cx.waker());
        }
        if self.joint.bells.loops_ended() {
            cold_path();
            self.report();
            return Poll::Ready(());
        }
        if let Some(panic) = self.turns.take(&self.joint, application) {
            cold_path();
            self.joint.change(|flow| flow.report_error(FlowError::Application(panic.message.clone())));
            self.panic = Some(panic);
        }
        Poll::Pending
    }

    #[inline(never)]
    fn begin(&self, waker: &Waker) {
        let Self { joint, connection, .. } = self;
        // Most clients have said something by now: it is read in this very turn.
        joint.bells.ring(INLET);
        joint.bells.belong_to_connector(waker);
        let control: Weak<Joint<F>> = Arc::downgrade(joint);
        connection.controlled_by(control);
        SpawnOptions::new().label("Reader").link().spawn(reader::run(Loop::new(joint)));
        SpawnOptions::new().label("Writer").link().spawn(writer::run(Loop::new(joint)));
    }

    /// Tells the server which timer ended the connection, if one did.
    #[inline(never)]
    fn report(&self) {
        if let Some(timer) = self.joint.lock().timed_out() {
            self.connection.count_timeout(timer);
        }
    }

    /// Lets go of the connection, or gives it to the flow; says whether it did. Nobody else holds the flow any more:
    /// whoever waits for it learns that nobody drives it.
    fn close(self) -> bool {
        let Self { joint, connection, .. } = self;
        let upgraded = joint.lock().is_upgraded();
        if upgraded {
            hand_over(connection, &joint);
        }
        upgraded
    }
}

/// Gives the connection to the flow, as it was before it was driven: asked to finish, it ends its input.
fn hand_over<F: Flow>(connection: Connection, joint: &Joint<F>) {
    let transport = connection.transport().clone();
    connection.on_drain(move || drop(transport.shutdown(Shutdown::Read)));
    let Sides { flow, intake } = &mut *joint.sides.lock();
    flow.hand_over(Box::new(connection), intake.take_rest());
}

/// What a Connector does whenever it is woken.
#[repr(C)]
struct Turns {
    /// The two loops have been started.
    begun: bool,
    /// The application runs.
    serving: bool,
    /// Wakes the Connector for the application.
    waker: Waker,
    timer: Timer,
}

/// How often what an application did may bring in more for it within a turn. Then the Reader goes on, and others have
/// had their turn in between.
const ROUNDS_MAX: usize = 8;

impl Turns {
    fn new<F>(joint: &Joint<F>) -> Self {
        // At first there is something to see to.
        joint.bells.ring(TIMER);
        Self {
            begun: false,
            serving: true,
            waker: joint.bells.waker::<APPLICATION>(),
            timer: Timer { sleep: None },
        }
    }

    /// Reads, lets the application run, sends what it made, and sees to the time. Returns its panic.
    fn take<F: Flow, A: Future<Output = ()>>(
        &mut self,
        joint: &Joint<F>,
        application: Pin<&mut CatchPanic<A>>,
    ) -> Option<Arc<Panic>> {
        let panic = self.rounds(joint, application);
        self.timer.poll(joint);
        panic
    }

    fn rounds<F: Flow, A: Future<Output = ()>>(
        &mut self,
        joint: &Joint<F>,
        mut application: Pin<&mut CatchPanic<A>>,
    ) -> Option<Arc<Panic>> {
        let bells = &*joint.bells;
        let mut readable = bells.hold(INLET);
        // Whatever it was woken for may be the application's: messages come to the process.
        let mut runnable = true;
        bells.heard(APPLICATION);
        for _ in 0..ROUNDS_MAX {
            // One time for what is read and what is answered to it.
            let mut time = None;
            if readable {
                bells.hold_lightly(APPLICATION);
                if joint.read(&mut time).is_ready() {
                    cold_path();
                    bells.wake_reader();
                }
                runnable |= bells.let_go(APPLICATION);
            }
            if self.serving && runnable {
                let mut cx = Context::from_waker(&self.waker);
                if let Poll::Ready(result) = joint.produce(time, || application.as_mut().poll(&mut cx)) {
                    cold_path();
                    self.serving = false;
                    if let Err(panic) = result {
                        bells.let_go(INLET);
                        bells.wake_reader();
                        return Some(Arc::new(panic));
                    }
                }
            }
            if !bells.hold_on_if_due(INLET) {
                return None;
            }
            cold_path();
            (readable, runnable) = (true, false);
        }
        bells.let_go(INLET);
        bells.wake_reader();
        None
    }
}

/// The one timer of a connection. Deadlines that move out leave it running: it wakes too early once, which is cheaper
/// than a new timer for every request.
struct Timer {
    /// Invariant: not later than the flow's deadline when it was last looked at.
    sleep: Option<Sleep>,
}

impl Timer {
    /// Tells the flow of deadlines that have passed, and sees to it that the bell rings for the next.
    fn poll<F: Flow>(&mut self, joint: &Joint<F>) {
        if joint.bells.heard(TIMER) {
            cold_path();
            self.look(joint);
        }
    }

    #[inline(never)]
    fn look<F: Flow>(&mut self, joint: &Joint<F>) {
        loop {
            let waker = joint.bells.waker::<TIMER>();
            let earlier = {
                let mut flow = joint.lock();
                let set = self.sleep.as_ref().and_then(Sleep::deadline);
                if flow.watch_deadline(&waker, set) { None } else { flow.next_deadline() }
            };
            match (earlier, &mut self.sleep) {
                (Some(deadline), None) => self.sleep = Some(sleep_until(deadline)),
                (Some(deadline), Some(sleep)) => sleep.reset(deadline),
                (None, None) => return,
                (None, Some(sleep)) => {
                    if Pin::new(sleep).poll(&mut Context::from_waker(&waker)).is_pending() {
                        return;
                    }
                    self.sleep = None;
                    let now = now();
                    if joint.lock().next_deadline().is_some_and(|deadline| deadline <= now) {
                        joint.change(|flow| flow.handle_deadline(now));
                    }
                }
            }
            // Whatever rang meanwhile is looked at now.
            joint.bells.heard(TIMER);
        }
    }
}

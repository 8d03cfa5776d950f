//! The Connector: the process of one client. It owns the connection, runs the application and keeps the time.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{Arc, Weak, atomic::Ordering::SeqCst},
    task::{Context, Poll, Wake, Waker},
    time::Instant,
};

use riot_actor::{Panic, Reason, Sleep, SpawnOptions, catch_panic, join, now, sleep_until};
use riot_socket::{Connection, Shutdown};

use super::{Joint, Loop, Sides, bell::Bell, reader, writer};
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
pub fn connect<F, A>(mut connection: Connection, flow: F, application: A) -> impl Future<Output = Reason>
where
    F: Flow + Send + 'static,
    A: Future<Output = ()>,
{
    drive(joint(&mut connection, flow), connection, Box::pin(application), false)
}

/// As [`connect`], but the application runs to its own end even if the connection ends first.
///
/// # Panics
/// Outside a process.
pub fn connect_to_the_end<F, A>(
    mut connection: Connection,
    flow: F,
    application: A,
) -> impl Future<Output = Reason>
where
    F: Flow + Send + 'static,
    A: Future<Output = ()>,
{
    drive(joint(&mut connection, flow), connection, Box::pin(application), true)
}

fn joint<F: Flow>(connection: &mut Connection, flow: F) -> Arc<Joint<F>> {
    let rest = connection.take_unread();
    Arc::new(Joint::new(flow, connection.transport().clone(), rest, connection.meter()))
}

/// The body of a Connector.
#[expect(clippy::manual_async_fn, reason = "an `async fn` has room for its arguments twice, all the time")]
fn drive<F, A>(
    joint: Arc<Joint<F>>,
    connection: Connection,
    application: Pin<Box<A>>,
    finish: bool,
) -> impl Future<Output = Reason>
where
    F: Flow + Send + 'static,
    A: Future<Output = ()>,
{
    async move {
        let control: Weak<Joint<F>> = Arc::downgrade(&joint);
        connection.controlled_by(control);
        let reader = SpawnOptions::new().label("Reader").link().spawn(reader::run(Loop(joint.clone())));
        let writer = SpawnOptions::new().label("Writer").link().spawn(writer::run(Loop(joint.clone())));

        let loops = [reader, writer];
        let mut ended = pin!(join(&loops));
        let application = pin!(catch_panic(application));
        let mut turns = Turns::new(application);
        let panic = poll_fn(|cx| {
            let first = turns.begin(cx, &joint);
            // Whoever waits for the two has to have asked once.
            if (first || joint.over.load(SeqCst)) && ended.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            turns.take(&joint).map_or(Poll::Pending, |panic| Poll::Ready(Some(panic)))
        })
        .await;
        if let Some(panic) = &panic {
            joint.change(|flow| flow.report_error(FlowError::Application(panic.message.clone())));
            poll_fn(|cx| {
                turns.take(&joint);
                ended.as_mut().poll(cx)
            })
            .await;
        }
        report(&connection, &joint);
        if let Some(panic) = panic {
            return Reason::Panic(panic);
        }
        let upgraded = joint.lock().is_upgraded();
        if upgraded {
            hand_over(connection, &joint);
        } else {
            drop(connection);
        }
        // The last hold on the flow: whoever waits for it learns that nobody drives it any more.
        drop(joint);
        if turns.serving && (upgraded || finish) {
            return turns
                .application
                .await
                .map_or_else(|panic| Reason::Panic(Arc::new(panic)), |()| Reason::Normal);
        }
        Reason::Normal
    }
}

/// What a Connector does whenever it is woken.
struct Turns<'a, A> {
    application: Pin<&'a mut A>,
    /// The application runs.
    serving: bool,
    /// Wakes the Connector for the application.
    bell: Arc<Bell>,
    waker: Waker,
    timer: Timer,
    begun: bool,
}

/// How often what an application did may bring in more for it within a turn. Then the Reader goes on, and others have
/// had their turn in between.
const ROUNDS_MAX: usize = 16;

impl<'a, A: Future<Output = Result<(), Panic>>> Turns<'a, A> {
    fn new(application: Pin<&'a mut A>) -> Self {
        let bell = Bell::new();
        let waker = Waker::from(bell.clone());
        Self { application, serving: true, bell, waker, timer: Timer::new(), begun: false }
    }

    /// Whether this turn is the first. The bells are then told who is woken.
    fn begin<F>(&mut self, cx: &Context<'_>, joint: &Joint<F>) -> bool {
        let first = !std::mem::replace(&mut self.begun, true);
        if first {
            [&joint.inlet, &self.bell, &self.timer.bell].iter().for_each(|bell| bell.belongs_to(cx.waker()));
        }
        first
    }

    /// Reads, lets the application run, sends what it made, and sees to the time. Returns its panic.
    fn take<F: Flow>(&mut self, joint: &Joint<F>) -> Option<Arc<Panic>> {
        let panic = self.rounds(joint);
        self.timer.poll(joint);
        panic
    }

    fn rounds<F: Flow>(&mut self, joint: &Joint<F>) -> Option<Arc<Panic>> {
        let mut readable = joint.inlet.hold();
        // Whatever it was woken for may be the application's: messages come to the process.
        let mut runnable = true;
        self.bell.heard();
        for _ in 0..ROUNDS_MAX {
            // One look at the clock for what is read and what is answered to it.
            let mut time = None;
            if readable {
                self.bell.hold_lightly();
                if joint.read(&mut time).is_ready() {
                    joint.wake_reader();
                }
                runnable |= self.bell.let_go();
            }
            if self.serving && runnable {
                let mut cx = Context::from_waker(&self.waker);
                if let Poll::Ready(result) = joint.produce(time, || self.application.as_mut().poll(&mut cx)) {
                    self.serving = false;
                    if let Err(panic) = result {
                        joint.inlet.let_go();
                        joint.wake_reader();
                        return Some(Arc::new(panic));
                    }
                }
            }
            if !joint.inlet.hold_on_if_due() {
                return None;
            }
            (readable, runnable) = (true, false);
        }
        joint.inlet.let_go();
        joint.wake_reader();
        None
    }
}

/// Tells the server which timer ended the connection, if one did.
fn report<F: Flow>(connection: &Connection, joint: &Joint<F>) {
    if let Some(timer) = joint.lock().timed_out() {
        connection.count_timeout(timer);
    }
}

/// Gives the connection to the flow, as it was before it was driven: asked to finish, it ends its input.
fn hand_over<F: Flow>(connection: Connection, joint: &Joint<F>) {
    let transport = connection.transport().clone();
    connection.on_drain(move || drop(transport.shutdown(Shutdown::Read)));
    let Sides { flow, intake } = &mut *joint.sides.lock();
    flow.hand_over(Box::new(connection), std::mem::take(&mut intake.rest).into());
}

/// The one timer of a connection. Deadlines that move out leave it running: it wakes too early once, which is cheaper
/// than a new timer for every request.
struct Timer {
    /// Invariant: not later than the flow's deadline when it was last looked at.
    sleep: Option<(Instant, Pin<Box<Sleep>>)>,
    /// Rings when there is something to see to; at first there is.
    bell: Arc<Bell>,
    waker: Waker,
}

impl Timer {
    fn new() -> Self {
        let bell = Bell::new();
        bell.wake_by_ref();
        Self { sleep: None, waker: Waker::from(bell.clone()), bell }
    }

    /// Tells the flow of deadlines that have passed, and sees to it that the bell rings for the next.
    fn poll<F: Flow>(&mut self, joint: &Joint<F>) {
        while self.bell.heard() {
            let earlier = {
                let mut flow = joint.lock();
                let set = self.sleep.as_ref().map(|(set, _)| *set);
                if flow.watch_deadline(&self.waker, set) { None } else { flow.next_deadline() }
            };
            match (earlier, &mut self.sleep) {
                (Some(deadline), None) => self.sleep = Some((deadline, Box::pin(sleep_until(deadline)))),
                (Some(deadline), Some((set, sleep))) => {
                    *set = deadline;
                    sleep.as_mut().get_mut().reset(deadline);
                }
                (None, None) => return,
                (None, Some((_, sleep))) => {
                    if sleep.as_mut().poll(&mut Context::from_waker(&self.waker)).is_pending() {
                        return;
                    }
                    self.sleep = None;
                    let now = now();
                    if joint.lock().next_deadline().is_some_and(|deadline| deadline <= now) {
                        joint.change(|flow| flow.handle_deadline(now));
                    }
                }
            }
            self.bell.wake_by_ref();
        }
    }
}

//! The Connector: the process of one client. It owns the connection, runs the application and keeps the time.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{Arc, Weak},
    task::{Context, Poll},
    time::Instant,
};

use riot_actor::{Panic, Reason, Sleep, SpawnOptions, catch_panic, join, now, sleep_until};
use riot_socket::{Connection, Shutdown};

use super::{Joint, reader, writer};
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
    drive(joint(&connection, flow), connection, Box::pin(application), false)
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
    drive(joint(&connection, flow), connection, Box::pin(application), true)
}

fn joint<F: Flow>(connection: &Connection, flow: F) -> Arc<Joint<F>> {
    Arc::new(Joint::new(flow, connection.meter()))
}

/// What is large comes in boxes: every `async` block around it would hold it once more, for as long as the connection
/// lasts.
async fn drive<F, A>(
    joint: Arc<Joint<F>>,
    mut connection: Connection,
    application: Pin<Box<A>>,
    finish: bool,
) -> Reason
where
    F: Flow + Send + 'static,
    A: Future<Output = ()>,
{
    let unread = connection.take_unread();
    let control: Weak<Joint<F>> = Arc::downgrade(&joint);
    connection.controlled_by(control);
    let transport = connection.transport();
    let reader = SpawnOptions::new().label("Reader").link().spawn(reader::run(
        joint.clone(),
        transport.clone(),
        unread,
    ));
    let writer =
        SpawnOptions::new().label("Writer").link().spawn(writer::run(joint.clone(), transport.clone()));

    let loops = [reader, writer];
    let mut ended = pin!(join(&loops));
    let mut timer = Timer { sleep: None };
    let mut application = pin!(catch_panic(application));
    let mut serving = true;
    let panic = poll_fn(|cx| {
        if ended.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        if serving && let Poll::Ready(result) = joint.produce(&**transport, || application.as_mut().poll(cx))
        {
            serving = false;
            if let Err(panic) = result {
                return Poll::Ready(Some(panic));
            }
        }
        timer.poll(cx, &joint);
        Poll::Pending
    })
    .await;
    if let Some(panic) = panic {
        joint.change(|flow| flow.report_error(FlowError::Application(panic.message.clone())));
        poll_fn(|cx| {
            timer.poll(cx, &joint);
            ended.as_mut().poll(cx)
        })
        .await;
        report(&connection, &joint);
        return crashed(panic);
    }
    report(&connection, &joint);

    let upgraded = joint.lock().is_upgraded();
    if upgraded {
        hand_over(connection, &joint);
    } else {
        drop(connection);
    }
    // The last hold on the flow: whoever waits for it learns that nobody drives it any more.
    drop(joint);
    if serving && (upgraded || finish) {
        return application.await.map_or_else(crashed, |()| Reason::Normal);
    }
    Reason::Normal
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
    let unread = std::mem::take(&mut *joint.unread());
    joint.lock().hand_over(Box::new(connection), unread);
}

fn crashed(panic: Panic) -> Reason {
    Reason::Panic(Arc::new(panic))
}

/// The one timer of a connection. Deadlines that move out leave it running: it wakes too early once, which is cheaper
/// than a new timer for every request.
struct Timer {
    /// Invariant: not later than the flow's deadline when it was last looked at.
    sleep: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl Timer {
    /// Tells the flow of deadlines that have passed, and sees to it that this is called again for the next.
    fn poll<F: Flow>(&mut self, cx: &mut Context<'_>, joint: &Joint<F>) {
        loop {
            let earlier = {
                let mut flow = joint.lock();
                let set = self.sleep.as_ref().map(|(set, _)| *set);
                if flow.watch_deadline(cx.waker(), set) { None } else { flow.next_deadline() }
            };
            match (earlier, &mut self.sleep) {
                (Some(deadline), None) => self.sleep = Some((deadline, Box::pin(sleep_until(deadline)))),
                (Some(deadline), Some((set, sleep))) => {
                    *set = deadline;
                    sleep.as_mut().get_mut().reset(deadline);
                }
                (None, None) => return,
                (None, Some((_, sleep))) => {
                    if sleep.as_mut().poll(cx).is_pending() {
                        return;
                    }
                    self.sleep = None;
                    let now = now();
                    if joint.lock().next_deadline().is_some_and(|deadline| deadline <= now) {
                        joint.change(|flow| flow.handle_deadline(now));
                    }
                }
            }
        }
    }
}

//! The functions by which a handler says what happens next.

use std::{any::Any, collections::VecDeque, hint::cold_path, time::Duration};

use crate::{
    call::ReplyTo,
    guard::Contained,
    messages::message::Message,
    process::reason::Reason,
    runtime::{context, kernel::process::Process},
};

/// The state that the server loop keeps in the extension slot of its process, for the functions of this
/// module.
#[derive(Default)]
pub(super) struct Control {
    pub(super) stop: Option<Reason>,
    pub(super) continues: VecDeque<Message>,
    pub(super) idle: Option<Duration>,
    /// Replies of the handler that stopped the server.
    pub(super) last_replies: Vec<Box<dyn FnOnce() + Send>>,
}

/// Shows `f` the control of the running process, which must be a server. The loop will look at it.
pub(super) fn with_control<R>(what: &str, f: impl FnOnce(&mut Control) -> R) -> R {
    context::with_running(what, |_, _, running| {
        running.extension_dirty = true;
        f(control_of(what, running))
    })
}

fn control_of<'a>(what: &str, running: &'a mut Process) -> &'a mut Control {
    let control = running.extension.as_deref_mut().and_then(<dyn Any + Send>::downcast_mut);
    control.unwrap_or_else(|| outside(what))
}

/// The next step of the loop.
#[derive(Default)]
pub(super) struct NextStep {
    pub(super) stop: Option<Reason>,
    pub(super) message: Option<Message>,
    pub(super) idle: Option<Duration>,
}

/// Takes what the handlers have asked for since the loop last looked.
pub(super) fn take_next_step() -> NextStep {
    context::with_running("server", |_, _, running| {
        if !running.extension_dirty {
            return NextStep::default();
        }
        cold_path();
        let control = control_of("server", running);
        let (stop, message, idle) = (control.stop.take(), control.continues.pop_front(), control.idle.take());
        running.extension_dirty = !control.continues.is_empty();
        NextStep { stop, message, idle }
    })
}

#[cold]
fn outside(what: &str) -> ! {
    panic!("riot_actor: `{what}` is for the handlers of a generic server")
}

/// Makes the running process a server.
pub(super) fn become_server() {
    context::with_running("server", |_, _, running| running.extension = Some(Box::new(Control::default())));
}

/// Ends the server with `reason` when this handler is done: `terminate` runs, then the caller of this
/// handler, if any, gets its reply. The first reason stands.
///
/// ```
/// # use riot_actor::{gen_server::{self, Cast, GenServer, Stop}, process::wait, run, Reason};
/// # struct Till;
/// # impl GenServer for Till { type Args = (); async fn init((): ()) -> Result<Self, Stop> { Ok(Till) } }
/// struct Close;
/// impl Cast<Close> for Till {
///     async fn cast(&mut self, _: Close) { gen_server::stop(Reason::other("closed")) }
/// }
/// # run(async {
/// let till = Till::start(()).await?;
/// let end = wait(till.pid());
/// till.cast(Close);
/// assert_eq!(end.await, Reason::other("closed"));
/// # Ok::<(), Reason>(())
/// # });
/// ```
///
/// # Panics
/// Panics outside a handler of a server.
pub fn stop(reason: Reason) {
    let refused = with_control("gen_server::stop", |control| match control.stop {
        None => control.stop.replace(reason),
        Some(_) => Some(reason),
    });
    drop(refused);
}

/// Has [`handle_continue`](crate::gen_server::GenServer::handle_continue) called with `message` before
/// anything that is in the mailbox.
///
/// ```
/// # use riot_actor::{gen_server::{self, Call, GenServer, Stop}, run, Message};
/// struct Cache { warm: bool }
/// impl GenServer for Cache {
///     type Args = ();
///     async fn init((): ()) -> Result<Self, Stop> {
///         gen_server::continue_with("warm up"); // `start` returns before that
///         Ok(Cache { warm: false })
///     }
///     async fn handle_continue(&mut self, _: Message) {
///         self.warm = true;
///     }
/// }
/// # run(async {
/// assert_eq!(Cache::start(()).await?.get_state(|cache| cache.warm).await, Ok(true));
/// # Ok::<(), riot_actor::Reason>(())
/// # });
/// ```
///
/// # Panics
/// Panics outside a handler of a server.
pub fn continue_with<M: Send + 'static>(message: M) {
    let message = Message::new(message);
    with_control("gen_server::continue_with", |control| control.continues.push_back(message));
}

/// Has `handle_continue` called with `message` before all other continuations.
pub(crate) fn continue_first<M: Send + 'static>(message: M) {
    let message = Message::new(message);
    with_control("gen_server", |control| control.continues.push_front(message));
}

/// Has [`handle_timeout`](crate::gen_server::GenServer::handle_timeout) called if no message arrives within
/// `timeout`. Any message cancels it; with a timeout of zero, messages that are already there come first, and
/// cancel it. The time does not run while the server is
/// [suspended](crate::gen_server::GenServerRef::suspend), and begins anew at the resume.
///
/// ```
/// # use std::time::Duration;
/// # use riot_actor::{gen_server::{self, GenServer, Stop}, process::wait, run, Reason};
/// struct Session;
/// impl GenServer for Session {
///     type Args = ();
///     async fn init((): ()) -> Result<Self, Stop> {
///         gen_server::idle_timeout(Duration::from_millis(1));
///         Ok(Session)
///     }
///     async fn handle_timeout(&mut self) {
///         gen_server::stop(Reason::Normal);
///     }
/// }
/// # run(async {
/// let session = Session::start(()).await?;
/// wait(session.pid()).await;
/// # Ok::<(), Reason>(())
/// # });
/// ```
///
/// # Panics
/// Panics outside a handler of a server.
pub fn idle_timeout(timeout: Duration) {
    with_control("gen_server::idle_timeout", |control| control.idle = Some(timeout));
}

/// Returns whether a handler of the running server has stopped it.
pub(crate) fn is_stopping() -> bool {
    context::with_running("server", |_, _, running| {
        running.extension_dirty && control_of("server", running).stop.is_some()
    })
}

/// Replies now, or after `terminate` if the server is stopping.
pub(super) fn reply_at_end<R: Send + 'static>(reply: ReplyTo<R>, answer: R) {
    if !is_stopping() {
        return reply.send(answer);
    }
    reply_after_terminate(reply, answer);
}

#[cold]
fn reply_after_terminate<R: Send + 'static>(reply: ReplyTo<R>, answer: R) {
    let answer = Contained::new(answer);
    let last: Box<dyn FnOnce() + Send> = Box::new(move || reply.send(answer.into_inner()));
    with_control("call", |control| control.last_replies.push(last));
}

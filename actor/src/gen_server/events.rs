//! The loop of a server, which handles one event after the other.

use std::{
    future::{Future, poll_fn},
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use super::{
    Call, Cast, GenServer,
    control::{NextStep, take_next_step, with_control},
    start::{argument_of, server_name},
    status::{Counts, ServerStatistics, ServerStatus},
};
use crate::{
    call::ReplyTo,
    guard::{
        Contained,
        catch_panic::catch_panic,
        contain,
        panic::{Panic, catch},
    },
    messages::{message::Message, receive::select_here},
    process::{notice::Exit, pid::Pid, reason::Reason},
    runtime::{coop, kernel::abandoned::exits_soon},
    time::timeout::timeout,
};

/// Returns how the log calls a message that a server does not handle.
pub(super) fn described(message: &Message) -> String {
    let name = message.type_name();
    match argument_of(name, "gen_server::events::ServerEvent") {
        Some(server) => format!("that is a request for a server of type {server}"),
        None => name.to_owned(),
    }
}

/// A call or cast in the mailbox of a server `S`.
pub(super) struct ServerEvent<S>(Box<dyn Handled<S>>);

type Handling<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

trait Handled<S>: Send {
    fn handle(self: Box<Self>, state: &mut S) -> Handling<'_>;
}

struct CallEvent<S, Q, R> {
    query: Q,
    reply: ReplyTo<R>,
    _server: PhantomData<fn(S)>,
}

impl<S: Call<Q>, Q: Send + 'static> Handled<S> for CallEvent<S, Q, S::Reply> {
    fn handle(self: Box<Self>, state: &mut S) -> Handling<'_> {
        Box::pin(async move { state.handle_call(self.query, self.reply).await })
    }
}

struct CastEvent<S, M> {
    message: M,
    _server: PhantomData<fn(S)>,
}

impl<S: Cast<M>, M: Send + 'static> Handled<S> for CastEvent<S, M> {
    fn handle(self: Box<Self>, state: &mut S) -> Handling<'_> {
        Box::pin(state.cast(self.message))
    }
}

impl<S: GenServer> ServerEvent<S> {
    pub(super) fn call<Q: Send + 'static>(query: Q, reply: ReplyTo<S::Reply>) -> Message
    where
        S: Call<Q>,
    {
        Message::new(Self(Box::new(CallEvent { query, reply, _server: PhantomData })))
    }

    pub(super) fn cast<M: Send + 'static>(message: M) -> Message
    where
        S: Cast<M>,
    {
        Message::new(Self(Box::new(CastEvent { message, _server: PhantomData })))
    }
}

/// A request about the server itself, whatever it serves.
pub(super) enum System<S> {
    Suspend(ReplyTo<()>),
    Resume(ReplyTo<()>),
    GetState(Box<dyn FnOnce(&S) + Send>),
    ReplaceState(Box<dyn FnOnce(&mut S) + Send>),
    GetStatus(ReplyTo<ServerStatus>),
    Statistics(ReplyTo<ServerStatistics>),
    Stop(Reason),
}

/// Serves until the server must end, and returns the exit reason.
pub(super) async fn serve<S: GenServer>(mut state: S, parent: Option<Pid>) -> Reason {
    let mut suspended = false;
    let mut counts = Counts::new();
    loop {
        let NextStep { stop, message: next, idle } = take_next_step();
        if let Some(reason) = stop {
            return terminate(state, reason).await;
        }
        let handled = if let Some(message) = next {
            set_idle(idle);
            // Continuations that cause each other, without an await, give way, and can be ended.
            poll_fn(coop::poll_proceed).await;
            catch_panic(state.handle_continue(message)).await
        } else {
            match next_event::<S>(suspended, parent, idle).await {
                Some(Incoming::Event(ServerEvent(event))) => {
                    counts.requests += 1;
                    catch_panic(event.handle(&mut state)).await
                }
                Some(Incoming::Info(message)) => {
                    counts.infos += 1;
                    catch_panic(state.handle_info(message)).await
                }
                Some(Incoming::Parent(reason)) | Some(Incoming::System(System::Stop(reason))) => {
                    return terminate(state, reason).await;
                }
                Some(Incoming::System(request)) => {
                    set_idle(idle);
                    serve_system(request, &mut state, &mut suspended, &counts)
                }
                None => {
                    counts.timeouts += 1;
                    catch_panic(state.handle_timeout()).await
                }
            }
        };
        if let Err(panic) = handled {
            return terminate(state, crashed(panic)).await;
        }
    }
}

/// Serves a request about the server itself, but for a stop.
fn serve_system<S: GenServer>(
    request: System<S>,
    state: &mut S,
    suspended: &mut bool,
    counts: &Counts,
) -> Result<(), Panic> {
    catch(|| match request {
        System::Suspend(reply) => {
            *suspended = true;
            reply.send(());
        }
        System::Resume(reply) => {
            *suspended = false;
            reply.send(());
        }
        System::GetState(read) => read(state),
        System::ReplaceState(replace) => replace(state),
        System::GetStatus(reply) => {
            let text = state.format_status();
            reply.send(ServerStatus::of_this(server_name::<S>(), *suspended, text));
        }
        System::Statistics(reply) => reply.send(counts.statistics()),
        System::Stop(_) => unreachable!("the loop ends the server"),
    })
}

enum Incoming<S> {
    Event(ServerEvent<S>),
    Info(Message),
    System(System<S>),
    /// The parent has exited, and so must the server.
    Parent(Reason),
}

/// Waits for the next thing to handle; none if nothing came in the idle time that a handler gave.
async fn next_event<S: GenServer>(
    suspended: bool,
    parent: Option<Pid>,
    idle: Option<Duration>,
) -> Option<Incoming<S>> {
    let from_parent = move |message: &Message| {
        message.downcast_ref::<Exit>().is_some_and(|exit| Some(exit.from) == parent || exit.from.is_system())
    };
    // A suspended server still obeys its parent and requests about itself.
    let wanted = move |message: &Message| !suspended || from_parent(message) || message.is::<System<S>>();
    let message = match idle {
        // It is restored by each request about the server, and so begins anew at the resume.
        Some(duration) if !suspended => timeout(duration, select_here(wanted)).await.ok()?,
        _ => select_here(wanted).await,
    };
    if from_parent(&message) {
        return message.downcast::<Exit>().ok().map(|exit| Incoming::Parent(exit.reason));
    }
    Some(match message.downcast::<ServerEvent<S>>() {
        Ok(event) => Incoming::Event(event),
        Err(message) => match message.downcast::<System<S>>() {
            Ok(system) => Incoming::System(system),
            Err(message) => Incoming::Info(message),
        },
    })
}

/// Runs `terminate`, then sends the replies of the handler that stopped the server.
async fn terminate<S: GenServer>(mut state: S, reason: Reason) -> Reason {
    // The callers whose requests are dropped from here on learn the reason.
    exits_soon();
    let panic = catch_panic(state.terminate(&reason)).await.err();
    let replies = with_control("server", |control| std::mem::take(&mut control.last_replies));
    drop_and_reply(state, replies);
    panic.map_or(reason, crashed)
}

/// Drops the state, and then sends the replies. A destructor that panics changes neither the reason nor the
/// replies.
#[inline(never)]
fn drop_and_reply<S>(state: S, replies: Vec<Box<dyn FnOnce() + Send>>) {
    drop(Contained::new(state));
    for reply in replies {
        let _ = contain(reply);
    }
}

pub(super) fn crashed(panic: Panic) -> Reason {
    Reason::Panic(Arc::new(panic))
}

/// Restores the idle timeout after an event that was no message for the server.
fn set_idle(idle: Option<Duration>) {
    if idle.is_some() {
        with_control("server", |control| control.idle = idle);
    }
}

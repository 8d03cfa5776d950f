//! The loop of a server: one event after the other.

use std::{future::Future, marker::PhantomData, pin::Pin, sync::Arc, time::Duration};

use super::{Call, Cast, Control, GenServer};
use crate::{
    call::ReplyTo,
    messages::{
        message::Message,
        receive::{select_here, timeout},
    },
    process::{
        pid::Pid,
        reason::{Panic, Reason},
        signal::Exit,
    },
    runtime::{
        context,
        panic::{catch, catch_panic},
    },
};

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

/// What is asked of the server itself, whatever it serves.
pub(super) enum System<S> {
    Suspend(ReplyTo<()>),
    Resume(ReplyTo<()>),
    /// A look at the state.
    GetState(Box<dyn FnOnce(&S) + Send>),
    Stop(Reason),
}

/// Serves until somebody wants the server to end, and says why.
pub(super) async fn serve<S: GenServer>(mut state: S, parent: Option<Pid>) -> Reason {
    let mut suspended = false;
    loop {
        let (stop, next, idle) =
            with_control(|control| (control.stop.take(), control.continues.pop_front(), control.idle.take()));
        if let Some(reason) = stop {
            return terminate(state, reason).await;
        }
        let handled = if let Some(message) = next {
            set_idle(idle);
            catch_panic(state.handle_continue(message)).await
        } else {
            match next_event::<S>(suspended, parent, idle).await {
                Some(Incoming::Event(ServerEvent(event))) => catch_panic(event.handle(&mut state)).await,
                Some(Incoming::Info(message)) => catch_panic(state.handle_info(message)).await,
                Some(Incoming::Parent(reason)) | Some(Incoming::System(System::Stop(reason))) => {
                    return terminate(state, reason).await;
                }
                Some(Incoming::System(System::Suspend(reply))) => {
                    suspended = true;
                    set_idle(idle);
                    reply.send(());
                    Ok(())
                }
                Some(Incoming::System(System::Resume(reply))) => {
                    suspended = false;
                    set_idle(idle);
                    reply.send(());
                    Ok(())
                }
                Some(Incoming::System(System::GetState(look))) => {
                    set_idle(idle);
                    catch(|| look(&state))
                }
                None => catch_panic(state.handle_timeout()).await,
            }
        };
        if let Err(panic) = handled {
            return terminate(state, crashed(panic)).await;
        }
    }
}

enum Incoming<S> {
    Event(ServerEvent<S>),
    Info(Message),
    System(System<S>),
    /// The parent has ended, and so must we.
    Parent(Reason),
}

/// The next thing to do; none if nothing came in the time a handler gave.
async fn next_event<S: GenServer>(
    suspended: bool,
    parent: Option<Pid>,
    idle: Option<Duration>,
) -> Option<Incoming<S>> {
    let from_parent = move |message: &Message| {
        message.downcast_ref::<Exit>().is_some_and(|exit| Some(exit.from) == parent || exit.from.is_system())
    };
    // A suspended server still hears of its parent, and of those who look after it.
    let wanted = move |message: &Message| !suspended || from_parent(message) || message.is::<System<S>>();
    let message = match idle {
        Some(duration) => timeout(duration, select_here(wanted)).await.ok()?,
        None => select_here(wanted).await,
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

/// The server's last words, then those of the handler that stopped it.
async fn terminate<S: GenServer>(mut state: S, reason: Reason) -> Reason {
    let panic = catch_panic(state.terminate(&reason)).await.err();
    let replies = with_control(|control| std::mem::take(&mut control.last_replies));
    drop(state);
    replies.into_iter().for_each(|reply| reply());
    panic.map_or(reason, crashed)
}

pub(super) fn crashed(panic: Panic) -> Reason {
    Reason::Panic(Arc::new(panic))
}

/// Runs `f` with what the handlers said, left with the process.
fn with_control<R>(f: impl FnOnce(&mut Control) -> R) -> R {
    context::with_running("server", |_, _, running| f(running.server.get_or_insert_default()))
}

/// What happened was no message for the server: its timeout goes on.
fn set_idle(idle: Option<Duration>) {
    with_control(|control| control.idle = idle);
}

/// Makes the running process a server.
pub(super) fn become_server() {
    with_control(|_| ());
}

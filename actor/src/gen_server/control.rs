//! What the handlers of a server want to happen next.

use std::{collections::VecDeque, time::Duration};

use crate::{call::ReplyTo, messages::message::Message, process::reason::Reason, runtime::context};

#[derive(Default)]
pub(crate) struct Control {
    pub(super) stop: Option<Reason>,
    pub(super) continues: VecDeque<Message>,
    pub(super) idle: Option<Duration>,
    /// Replies given by the handler that stopped the server.
    pub(super) last_replies: Vec<Box<dyn FnOnce() + Send>>,
}

fn with_control<R>(what: &str, f: impl FnOnce(&mut Control) -> R) -> R {
    context::with_running(what, |_, _, running| running.server.as_mut().map(|control| f(control)))
        .unwrap_or_else(|| panic!("riot_actor: `{what}` is for the handlers of a generic server"))
}

/// Ends the server with `reason` when this handler is done: `terminate` runs, then the caller of this handler, if
/// any, gets its reply. The first reason stands.
///
/// # Panics
/// Outside a handler of a server.
pub fn stop(reason: Reason) {
    let refused = with_control("gen_server::stop", |control| match control.stop {
        None => control.stop.replace(reason),
        Some(_) => Some(reason),
    });
    drop(refused);
}

/// Has [`handle_continue`](crate::gen_server::GenServer::handle_continue) called with `message` before anything that is in the
/// mailbox.
///
/// # Panics
/// Outside a handler of a server.
pub fn continue_with<M: Send + 'static>(message: M) {
    let message = Message::new(message);
    with_control("gen_server::continue_with", |control| control.continues.push_back(message));
}

/// Has [`handle_timeout`](crate::gen_server::GenServer::handle_timeout) called if no message comes within `timeout`. Any message
/// cancels it; with a limit of zero the messages already there come first, and cancel it.
///
/// # Panics
/// Outside a handler of a server.
pub fn idle_timeout(timeout: Duration) {
    with_control("gen_server::idle_timeout", |control| control.idle = Some(timeout));
}

/// Replies now, or, if the server is stopping, after `terminate`.
pub(in crate::gen_server) fn reply_at_end<R: Send + 'static>(reply: ReplyTo<R>, answer: R) {
    let stopping = with_control("call", |control| control.stop.is_some());
    if !stopping {
        return reply.send(answer);
    }
    let last: Box<dyn FnOnce() + Send> = Box::new(move || reply.send(answer));
    with_control("call", |control| control.last_replies.push(last));
}

//! Calls: a request and its one reply, outside the caller's mailbox, so that a late reply is never received.
//!
//! `reply_slot` is the usual way of a reply, into the future that waits for it; `oneshot` is the allocated
//! way, where another task polls that future or several calls of a process are open. Both are built on the
//! kernel's exit hooks: the exit of the callee settles a call.

mod future;
mod inspect;
mod oneshot;
mod remote;
mod reply_slot;

use std::{fmt, future::Future, sync::Arc, time::Duration};

pub(crate) use future::CallFuture;
pub use inspect::{INSPECT_TIMEOUT, inspect};
use oneshot::Oneshot;
pub(crate) use oneshot::{Receiver, oneshot_with, send_query};
pub use oneshot::{Wait, join, wait};
pub use remote::RemoteReply;
use reply_slot::ReplyHandle;

use crate::{
    messages::message::Message,
    observe::trace::TraceFlags,
    process::{pid::Pid, reason::Reason},
    runtime::{
        kernel::{
            exit_hooks::{ExitHooks, HookRoom},
            in_place::ExitWriter,
        },
        shared::Shared,
    },
};

/// How long [`GenServerRef::call`](crate::gen_server::GenServerRef::call) waits: 5 seconds. (OTP:
/// `gen_server:call/2`.)
pub const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// A request as it is in the mailbox of the callee.
///
/// ```
/// # use riot_actor::{call, call::CallRequest, receive, run, spawn};
/// # run(async {
/// let echo = spawn(async {
///     let CallRequest::<String, String> { query, reply, .. } = receive().await;
///     reply.send(query);
/// });
/// assert_eq!(call(echo, "hello".to_owned(), None).await, Ok("hello".to_owned()));
/// # });
/// ```
pub struct CallRequest<Q, R> {
    /// The question.
    pub query: Q,
    /// The caller.
    pub from: Pid,
    /// The right to reply.
    pub reply: ReplyTo<R>,
}

impl<Q: fmt::Debug, R> fmt::Debug for CallRequest<Q, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallRequest")
            .field("query", &self.query)
            .field("from", &self.from)
            .finish_non_exhaustive()
    }
}

/// The right to reply to one request, once, from any process.
///
/// If it is dropped, wherever that is, the caller gets [`CallError::Dropped`], or [`CallError::Exit`] if the
/// callee exits meanwhile.
///
/// ```
/// # use riot_actor::{call, call::CallRequest, receive, run, spawn};
/// # run(async {
/// let clerk = spawn(async {
///     let request = receive::<CallRequest<(), u8>>().await;
///     spawn(async move { request.reply.send(7) }); // another process replies
///     receive::<()>().await;
/// });
/// assert_eq!(call::<(), u8>(clerk, (), None).await, Ok(7));
/// # });
/// ```
pub struct ReplyTo<R>(ReplyPath<R>);

/// How a reply reaches the caller.
enum ReplyPath<R> {
    /// Into the future that waits for it.
    Slot(ReplyHandle<R>),
    /// Into a oneshot.
    Shared(Arc<Oneshot<R>>),
}

impl<R: Send> ReplyTo<R> {
    /// Replies, as [`send`](Self::send) does, for code that only borrows the right.
    pub(crate) fn settle(&self, reply: R) {
        match &self.0 {
            ReplyPath::Slot(handle) => handle.settle(reply),
            ReplyPath::Shared(oneshot) => oneshot.reply(reply),
        }
    }

    /// Replies. If the caller has given up, the reply is dropped; a panic in its destructor is reported, and
    /// goes no further.
    pub fn send(self, reply: R) {
        if let ReplyPath::Slot(handle) = &self.0 {
            let handle = *handle;
            // The handle has no destructor, and there is nothing to tell the caller from here on.
            std::mem::forget(self);
            handle.settle(reply);
        } else {
            self.settle(reply);
        }
    }
}

/// Tells the caller that there will be no reply.
impl<R> Drop for ReplyTo<R> {
    #[inline]
    fn drop(&mut self) {
        match &self.0 {
            ReplyPath::Slot(handle) => handle.abandon(),
            ReplyPath::Shared(oneshot) => oneshot::abandon(oneshot),
        }
    }
}

impl<R> fmt::Debug for ReplyTo<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReplyTo")
    }
}

/// Why a call has no reply.
///
/// ```
/// # use riot_actor::{call, call::CallError, run, this};
/// # run(async {
/// assert_eq!(call::<(), ()>(this(), (), None).await, Err(CallError::CallingSelf));
/// # });
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum CallError {
    /// There is no such process.
    NoProc,
    /// No reply came in time. The request may still be served.
    Timeout,
    /// The callee exited before it replied. Whether it has acted is unknown: repeat only what may be
    /// repeated.
    Exit(Reason),
    /// The request was dropped without a reply: by the callee, by a process that was to reply in its place,
    /// or because the callee handles no such requests. Whether anything was done is unknown.
    Dropped,
    /// The name is that of a server of another type, and the request was not sent.
    WrongServer {
        /// The type of the server that was called.
        expected: &'static str,
        /// The type of the server that holds the name.
        found: &'static str,
    },
    /// The caller called itself, and would wait forever.
    CallingSelf,
    /// The mailbox of the callee is full, and the request was not sent. The callee is overloaded.
    Full,
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoProc => f.write_str("no such process"),
            Self::Timeout => f.write_str("no reply in time"),
            Self::Exit(reason) => write!(f, "the process exited before it replied: {reason}"),
            Self::Dropped => f.write_str("the request was dropped without a reply"),
            Self::WrongServer { expected, found } => {
                write!(f, "the name is that of a server of type {found}, and not of {expected}")
            }
            Self::CallingSelf => f.write_str("a process cannot call itself"),
            Self::Full => f.write_str("the mailbox of the process is full"),
        }
    }
}
impl std::error::Error for CallError {}

/// Sends a [`CallRequest`] to `to` and waits for the reply for at most `timeout`; `None` waits forever.
///
/// ```
/// use riot_actor::{call, call::{CALL_TIMEOUT, CallRequest}, receive, run, spawn};
/// run(async {
///     let doubler = spawn(async {
///         let request = receive::<CallRequest<u32, u32>>().await;
///         request.reply.send(request.query * 2);
///     });
///     assert_eq!(call::<u32, u32>(doubler, 21, Some(CALL_TIMEOUT)).await, Ok(42));
/// });
/// ```
///
/// # Errors
/// See [`CallError`]. An error never ends the caller.
///
/// # Cancel safety
/// If the future is dropped before it is ready, the request stays sent, and the reply is discarded.
///
/// # Panics
/// Panics when awaited outside a process.
pub fn call<Q, R>(
    to: Pid,
    query: Q,
    timeout: Option<Duration>,
) -> impl Future<Output = Result<R, CallError>> + Send
where
    Q: Send + 'static,
    R: Send + 'static,
{
    CallFuture::<Q, R, _>::new(to, timeout, move |from, reply| {
        Message::build(|| CallRequest { query, from, reply })
    })
}

impl Shared {
    fn send_call(&self, to: Pid, message: Message, exit_writer: ExitWriter) -> Result<HookRoom, CallError> {
        self.deliver_call(to, message, |hooks| hooks.push_in_place(self, exit_writer))
    }

    /// Puts a request into a mailbox and an exit hook of the caller into the record of the callee, in one
    /// step. The caller must sweep the hooks if their list has become full.
    #[inline]
    fn deliver_call(
        &self,
        to: Pid,
        message: Message,
        add_hook: impl FnOnce(&mut ExitHooks) -> HookRoom,
    ) -> Result<HookRoom, CallError> {
        if self.tracer.is_on(TraceFlags::SEND) {
            self.trace_sent(to, &message);
        }
        let Some(slot) = self.table.of(to) else { return Err(CallError::NoProc) };
        let (runnable, room) = {
            let Some(mut core) = slot.lock_for(to) else { return Err(CallError::NoProc) };
            if !core.is_live() {
                // The callee is condemned and not released yet: it refuses the request, and its release tells
                // the reason.
                let room = add_hook(&mut core.relations().exit_hooks);
                drop(core);
                drop(message);
                return Ok(room);
            }
            if !core.admits(&message) {
                drop(core);
                drop(message);
                return Err(CallError::Full);
            }
            let room = add_hook(&mut core.relations().exit_hooks);
            (slot.accept(&mut core, message), room)
        };
        self.enqueue(runnable);
        Ok(room)
    }
}

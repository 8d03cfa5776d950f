//! A request and its one reply, outside the mailbox: what comes late is never seen by anybody.

mod future;
mod oneshot;
mod reply_slot;

use std::{fmt, future::Future, sync::Arc, time::Duration};

pub(crate) use future::CallFuture;
use oneshot::Oneshot;
pub(crate) use oneshot::{Receiver, oneshot_with, send_query};
pub use oneshot::{Wait, join, wait};
pub(crate) use reply_slot::CalleeExit;
use reply_slot::ReplyHandle;

use crate::{
    messages::message::Message,
    observe::trace::TraceFlags,
    process::{pid::Pid, reason::Reason},
    runtime::{kernel::relations::ExitHooks, shared::Shared},
};

/// How long a call waits by default. (OTP: `gen_server:call/2`.)
pub const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// A request as it stands in the mailbox of whoever serves it.
pub struct CallRequest<Q, R> {
    /// What is asked.
    pub query: Q,
    /// Who asks.
    pub from: Pid,
    /// Where the answer goes.
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

/// Answers one request, once, from any process. Dropped, it answers nothing: the caller waits for its time to pass, or
/// for the end of whom it asked.
pub struct ReplyTo<R>(ReplyPath<R>);

/// How an answer gets to whoever waits.
enum ReplyPath<R> {
    /// Into the future that waits for it.
    Slot(ReplyHandle<R>),
    /// To where both have a share of it.
    Shared(Arc<Oneshot<R>>),
}

impl<R: Send> ReplyTo<R> {
    /// [`send`](Self::send) for whoever only borrows the right.
    pub(crate) fn settle(&self, reply: R) {
        match &self.0 {
            ReplyPath::Slot(handle) => handle.settle(reply),
            ReplyPath::Shared(answer) => drop(answer.settle(Ok(reply))),
        }
    }

    /// Answers. Filter the caller has given up nobody sees it.
    pub fn send(self, reply: R) {
        self.settle(reply);
    }
}

impl<R> fmt::Debug for ReplyTo<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReplyTo")
    }
}

/// Why a call has no reply.
#[derive(Clone, Debug, PartialEq)]
pub enum CallError {
    /// There is no such process.
    NoProc,
    /// No reply came in time. The request may still be served.
    Timeout,
    /// It ended before replying. Whether it acted is unknown: repeat only what may be repeated.
    Exit(Reason),
    /// A process that calls itself would wait for ever.
    CallingSelf,
    /// Its mailbox is full, and the request was not sent: it has more to do than it can.
    Full,
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoProc => f.write_str("no such process"),
            Self::Timeout => f.write_str("no reply in time"),
            Self::Exit(reason) => write!(f, "the process ended before replying: {reason}"),
            Self::CallingSelf => f.write_str("a process cannot call itself"),
            Self::Full => f.write_str("the mailbox of the process is full"),
        }
    }
}
impl std::error::Error for CallError {}

/// Sends [`CallRequest`] to `to` and waits for the reply; `None` waits for ever.
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
/// See [`CallError`]. The caller is never ended by it.
///
/// # Cancel safety
/// Dropped before it is ready, the request stays sent, and the reply is discarded.
///
/// # Panics
/// Outside a process.
pub fn call<Q, R>(
    to: Pid,
    query: Q,
    timeout: Option<Duration>,
) -> impl Future<Output = Result<R, CallError>> + Send
where
    Q: Send + 'static,
    R: Send + 'static,
{
    CallFuture::new(to, timeout, move |from, reply| Message::build(|| CallRequest { query, from, reply }))
}

impl Shared {
    #[inline(never)]
    fn send_call(&self, to: Pid, message: Message, callee_exit: CalleeExit) -> Result<(), CallError> {
        self.deliver_call(to, message, |exit_hooks| exit_hooks.push_in_place(self, callee_exit))
    }

    /// Puts a request into a mailbox, and whoever waits for its answer on the list of those that hear of the end.
    #[inline(always)]
    fn deliver_call(
        &self,
        to: Pid,
        message: Message,
        add: impl FnOnce(&mut ExitHooks),
    ) -> Result<(), CallError> {
        if self.tracer.is_on(TraceFlags::SEND) {
            self.trace_sent(to, &message);
        }
        let Some(slot) = self.table.of(to) else { return Err(CallError::NoProc) };
        let runnable = {
            let Some(mut core) = slot.lock_for(to) else { return Err(CallError::NoProc) };
            if !core.is_live() {
                // Condemned, and not released yet: it refuses the request, and tells its reason when it is released.
                add(&mut core.relations().exit_hooks);
                drop(core);
                drop(message);
                return Ok(());
            }
            if !core.admits(&message) {
                drop(core);
                drop(message);
                return Err(CallError::Full);
            }
            add(&mut core.relations().exit_hooks);
            slot.accept(&mut core, message)
        };
        self.enqueue(runnable);
        Ok(())
    }
}

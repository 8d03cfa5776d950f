//! Generic servers: a process with a state, and handlers for its calls, casts and other messages.
//!
//! ```
//! use riot_actor::{gen_server::{Call, Cast, GenServer, Stop}, run};
//!
//! struct Counter(u64);
//! struct Get;
//! struct Add(u64);
//!
//! impl GenServer for Counter {
//!     type Args = u64;
//!     async fn init(start: u64) -> Result<Self, Stop> {
//!         Ok(Counter(start))
//!     }
//! }
//! impl Call<Get> for Counter {
//!     type Reply = u64;
//!     async fn call(&mut self, _: Get) -> u64 {
//!         self.0
//!     }
//! }
//! impl Cast<Add> for Counter {
//!     async fn cast(&mut self, Add(n): Add) {
//!         self.0 += n;
//!     }
//! }
//!
//! run(async {
//!     let counter = Counter::start_link(0).await?;
//!     counter.cast(Add(2));
//!     assert_eq!(counter.call(Get).await?, 2);
//!     Ok::<(), riot_actor::Reason>(())
//! });
//! ```
//!
//! A handler says what happens next by functions of this module: [`stop`], [`continue_with`],
//! [`idle_timeout`].

mod control;
mod events;
mod named;
mod reference;
mod requests;
mod start;
mod status;

use std::{future::Future, marker::PhantomData, time::Duration};

pub(crate) use control::{continue_first, is_stopping};
pub use control::{continue_with, idle_timeout, stop};
pub use named::{NamedRef, ServerTarget};
pub use reference::{GenServerRef, GenServerStopError, PendingReply};
pub use requests::{multi_call, select_reply};
pub(crate) use start::short_name;
pub use start::{GenServerOptions, GenServerStartError};
pub use status::{ServerStatistics, ServerStatus};

use crate::{
    call::ReplyTo,
    messages::message::Message,
    process::reason::{IntoReason, Reason},
};

/// A process with a state. Its handlers run one at a time: while one awaits, the server handles nothing else.
///
/// Calls are handled by [`Call`], casts by [`Cast`]; see the [module](self) for an example.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a generic server",
    label = "this type does not implement `GenServer`",
    note = "implement `GenServer` for it: `type Args` and `async fn init`"
)]
pub trait GenServer: Sized + Send + 'static {
    /// The argument of [`init`](Self::init).
    type Args: Send + 'static;

    /// Makes the state, in the server's own process, while the starter waits.
    fn init(args: Self::Args) -> impl Future<Output = Result<Self, Stop>> + Send;

    /// Handles a message that is neither call nor cast: one sent by [`send`](crate::send()), a `Down`, an
    /// `Exit` of a server that traps exits. By default it is logged and dropped.
    fn handle_info(&mut self, message: Message) -> impl Future<Output = ()> + Send {
        async move {
            let message = events::described(&message);
            let (pid, server) = (crate::this(), short_name::<Self>());
            crate::log_event!(WARN, "riot::server", %pid, server, "unhandled message {message}");
        }
    }

    /// Handles a message of [`continue_with`], before anything that is in the mailbox. By default it is
    /// logged and dropped.
    fn handle_continue(&mut self, message: Message) -> impl Future<Output = ()> + Send {
        async move {
            let message = message.type_name();
            crate::log_event!(WARN, "riot::server", pid = %crate::this(), "unhandled continuation {message}");
        }
    }

    /// Is called when nothing has arrived within the time of [`idle_timeout`].
    fn handle_timeout(&mut self) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Is called when the server ends because a handler stopped it or panicked, or because its parent exited
    /// and it traps exits.
    ///
    /// It is not called after a kill, nor after a fatal signal to a server that does not trap exits. After a
    /// panic it sees the state as the panic left it.
    fn terminate(&mut self, _reason: &Reason) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Returns the state as text, for [`get_status`](GenServerRef::get_status); by default no more than the
    /// name of the type. Secrets are left out here. (OTP: `Module:format_status/1`.)
    fn format_status(&self) -> String {
        format!("{} {{ .. }}", short_name::<Self>())
    }

    /// Starts the server without a link. Returns once `init` has.
    ///
    /// # Errors
    /// See [`GenServerStartError`]. The process is then released, and its name free.
    fn start(
        args: Self::Args,
    ) -> impl Future<Output = Result<GenServerRef<Self>, GenServerStartError>> + Send {
        GenServerOptions::new().start::<Self>(args)
    }

    /// Starts the server linked to the caller. Returns once `init` has.
    ///
    /// The end of one of the two ends the other, unless it is a normal one: after `Ok(())` of the caller the
    /// server runs on. End the caller with [`Reason::Shutdown`], or start the server below a supervisor.
    ///
    /// # Errors
    /// See [`GenServerStartError`]. The process is then released, its name free, and the caller is not ended
    /// by it.
    fn start_link(
        args: Self::Args,
    ) -> impl Future<Output = Result<GenServerRef<Self>, GenServerStartError>> + Send {
        GenServerOptions::new().start_link::<Self>(args)
    }
}

/// Handles calls with a query of type `Q`.
///
/// Implement one of the two methods: [`call`](Self::call) to reply at once, or
/// [`handle_call`](Self::handle_call) to keep the right to reply for later or hand it to another process.
///
/// ```
/// # use riot_actor::{call::ReplyTo, gen_server::{Call, GenServer, Stop}, run, spawn};
/// # struct Till;
/// # impl GenServer for Till { type Args = (); async fn init((): ()) -> Result<Self, Stop> { Ok(Till) } }
/// struct Sum(Vec<u32>);
/// impl Call<Sum> for Till {
///     type Reply = u32;
///     async fn handle_call(&mut self, Sum(prices): Sum, reply: ReplyTo<u32>) {
///         spawn(async move { reply.send(prices.iter().sum()) }); // the till goes on meanwhile
///     }
/// }
/// # run(async {
/// assert_eq!(Till::start(()).await?.call(Sum(vec![1, 2])).await?, 3);
/// # Ok::<(), riot_actor::Reason>(())
/// # });
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not answer calls of type `{Q}`",
    label = "this server does not implement `Call` for the query",
    note = "implement `Call<{Q}>` for `{Self}`: `type Reply` and `async fn call(&mut self, query: {Q})`",
    note = "a query of a server of another type needs the reference to that server"
)]
pub trait Call<Q>: GenServer {
    /// The type of the reply.
    type Reply: Send + 'static;

    /// Returns the reply. A server implements this or [`handle_call`](Self::handle_call); one that implements
    /// neither does not build where it is called.
    fn call(&mut self, query: Q) -> impl Future<Output = Self::Reply> + Send {
        let _ = query;
        async {
            let () = Unanswered::<Self, Q>::IMPLEMENT_CALL_OR_HANDLE_CALL;
            unreachable!("it does not build")
        }
    }

    /// Handles the query with the right to reply, once, from any process. If that is dropped, the caller gets
    /// [`CallError::Dropped`](crate::call::CallError::Dropped).
    fn handle_call(&mut self, query: Q, reply: ReplyTo<Self::Reply>) -> impl Future<Output = ()> + Send
    where
        Q: Send,
    {
        async move {
            let answer = self.call(query).await;
            // `terminate` runs before the reply of a handler that has stopped the server.
            control::reply_at_end(reply, answer);
        }
    }
}

/// A server that answers a call in no way. Only the default methods of [`Call`] together evaluate the
/// constant.
struct Unanswered<S: ?Sized, Q>(PhantomData<Q>, PhantomData<S>);

impl<S: ?Sized, Q> Unanswered<S, Q> {
    const IMPLEMENT_CALL_OR_HANDLE_CALL: () =
        panic!("a server implements `call` or `handle_call` of `Call<Q>`, and this one implements neither");
}

/// Handles casts, which are one-way messages, of type `M`; see the [module](self) for an example.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not take casts of type `{M}`",
    label = "this server does not implement `Cast` for the message",
    note = "implement `Cast<{M}>` for `{Self}`: `async fn cast(&mut self, message: {M})`",
    note = "a message of `Call` has a reply: use `call`"
)]
pub trait Cast<M>: GenServer {
    /// Handles one message.
    fn cast(&mut self, message: M) -> impl Future<Output = ()> + Send;
}

/// Why a server does not start.
///
/// ```
/// # use riot_actor::{gen_server::{GenServer, GenServerStartError, Stop}, run};
/// struct Mailer;
/// impl GenServer for Mailer {
///     type Args = bool;
///     async fn init(enabled: bool) -> Result<Self, Stop> {
///         if enabled { Ok(Mailer) } else { Err(Stop::Ignore) }
///     }
/// }
/// # run(async {
/// assert_eq!(Mailer::start(false).await, Err(GenServerStartError::Ignored));
/// # });
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Stop {
    /// The server has nothing to do, which is no failure.
    Ignore,
    /// The server cannot start.
    Because(Reason),
}

impl<E: IntoReason> From<E> for Stop {
    fn from(reason: E) -> Self {
        Self::Because(reason.into_reason())
    }
}

/// How long a start waits for `init` by default: forever. (OTP: `infinity`.)
const START_TIMEOUT: Option<Duration> = None;

//! The generic server: a process with a state, and handlers for what it is asked, told, and sent otherwise.
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
//! What a handler wants to happen next it says by functions of this module: [`stop`], go on with something else first,
//! wake up if nothing comes.

mod control;
mod events;
mod reference;
mod start;

use std::{future::Future, time::Duration};

pub(crate) use control::Control;
pub use control::{continue_with, idle_timeout, stop};
pub use reference::{GenServerRef, GenServerStopError, PendingReply};
pub use start::{GenServerOptions, GenServerStartError};

use crate::{call::ReplyTo, messages::message::Message, process::reason::Reason};

/// A process with a state. Its handlers run one at a time: while one awaits, nothing else of that server is handled.
///
/// Handlers of requests are [`Call`], of one-way messages [`Cast`].
pub trait GenServer: Sized + Send + 'static {
    /// What it is started with.
    type Args: Send + 'static;

    /// Makes the state, in the server's own process. Whoever starts the server waits for it.
    fn init(args: Self::Args) -> impl Future<Output = Result<Self, Stop>> + Send;

    /// Handles whatever is no call and no cast: messages sent by [`send`](crate::send()), `Down`s, `Exit`s of a server
    /// that traps them. By default it is logged and forgotten.
    fn handle_info(&mut self, message: Message) -> impl Future<Output = ()> + Send {
        async move {
            tracing::warn!(target: "riot::server", pid = %crate::this(), "nobody handles {}", message.type_name());
        }
    }

    /// Handles what [`continue_with`] asked for, before anything that is in the mailbox.
    fn handle_continue(&mut self, message: Message) -> impl Future<Output = ()> + Send {
        async move {
            tracing::warn!(target: "riot::server", pid = %crate::this(), "nobody goes on with {}", message.type_name());
        }
    }

    /// Nothing came within the time [`idle_timeout`] asked for.
    fn handle_timeout(&mut self) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// The server ends: a handler stopped it or panicked, or, if it traps exits, its parent did. Not after a kill, nor
    /// a fatal signal to one that does not trap. After a panic it sees the state as the panic left it.
    fn terminate(&mut self, _reason: &Reason) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Starts it, linked to nobody. Returns once `init` has.
    ///
    /// # Errors
    /// See [`GenServerStartError`]. The process is gone by then, its name free.
    fn start(
        args: Self::Args,
    ) -> impl Future<Output = Result<GenServerRef<Self>, GenServerStartError>> + Send {
        GenServerOptions::new().start::<Self>(args)
    }

    /// Starts it, linked to the caller. Returns once `init` has.
    ///
    /// # Errors
    /// See [`GenServerStartError`]. The process is gone by then, its name free, and the caller is not ended by it.
    fn start_link(
        args: Self::Args,
    ) -> impl Future<Output = Result<GenServerRef<Self>, GenServerStartError>> + Send {
        GenServerOptions::new().start_link::<Self>(args)
    }
}

/// Answers requests of type `Q`.
///
/// One of the two methods is implemented: [`call`](Self::call) to answer at once, [`handle_call`](Self::handle_call) to
/// keep the right to answer for later, or hand it to another process.
pub trait Call<Q>: GenServer {
    /// What it answers.
    type Reply: Send + 'static;

    /// Answers.
    fn call(&mut self, query: Q) -> impl Future<Output = Self::Reply> + Send {
        let _ = query;
        async { unreachable!("a server implements `call` or `handle_call`") }
    }

    /// Takes the request and the right to answer it, once, from anywhere. Dropped unanswered, the caller waits for its
    /// time to pass or for the server's end.
    fn handle_call(&mut self, query: Q, reply: ReplyTo<Self::Reply>) -> impl Future<Output = ()> + Send
    where
        Q: Send,
    {
        async move {
            let answer = self.call(query).await;
            // A server that stops has the last word first: its reply comes after `terminate`.
            control::reply_at_end(reply, answer);
        }
    }
}

/// Takes one-way messages of type `M`.
pub trait Cast<M>: GenServer {
    /// Handles one.
    fn cast(&mut self, message: M) -> impl Future<Output = ()> + Send;
}

/// Why a server does not start.
#[derive(Clone, Debug, PartialEq)]
pub enum Stop {
    /// It has nothing to do, which is no failure.
    Ignore,
    /// It cannot.
    Because(Reason),
}

impl<E: Into<Reason>> From<E> for Stop {
    fn from(reason: E) -> Self {
        Self::Because(reason.into())
    }
}

/// How long a start waits for `init` by default: for ever. (OTP: `infinity`.)
const START_TIMEOUT: Option<Duration> = None;

//! State machines: a server that is in one of several states, in each of which it handles events differently.
//!
//! A state machine is a [`GenServer`](crate::gen_server::GenServer), so it is started, called, suspended and
//! stopped like one. In addition it has the features of OTP's `gen_statem`: events that are postponed until
//! the state changes, events that the machine inserts itself, three kinds of timeouts, and
//! [`enter`](StateMachine::enter), which runs when a state begins.
//!
//! ```
//! use std::time::Duration;
//! use riot_actor::{
//!     call::ReplyTo, gen_server::Stop, run,
//!     state_machine::{First, Input, MachineRef, StateMachine, Step},
//! };
//!
//! #[derive(PartialEq)]
//! enum Door { Closed, Open }
//! enum Do { Push, Walk(ReplyTo<&'static str>) }
//! struct Hall;
//!
//! impl StateMachine for Hall {
//!     type Args = ();
//!     type State = Door;
//!     type Event = Do;
//!
//!     async fn init((): ()) -> Result<First<Self>, Stop> {
//!         Ok(First::new(Hall, Door::Closed))
//!     }
//!     async fn handle(&mut self, state: &Door, input: Input<Do>) -> Step<Self> {
//!         match (state, input) {
//!             (Door::Closed, Input::Event(Do::Push)) => {
//!                 Step::to(Door::Open).state_timeout(Duration::from_secs(10))
//!             }
//!             (Door::Closed, walk) => Step::stay().postpone(walk),        // until it is open
//!             (Door::Open, Input::Event(Do::Walk(reply))) => {
//!                 reply.send("come in");
//!                 Step::stay()
//!             }
//!             (Door::Open, Input::StateTimeout) => Step::to(Door::Closed),
//!             (Door::Open, _) => Step::stay(),
//!         }
//!     }
//! }
//!
//! run(async {
//!     let hall: MachineRef<Hall> = Hall::start_link(()).await?;
//!     hall.cast(Do::Push);
//!     assert_eq!(hall.ask(Do::Walk).await?, "come in");
//!     Ok::<(), riot_actor::Reason>(())
//! });
//! ```

mod machine;
mod step;

use std::{borrow::Cow, future::Future};

pub use machine::{Machine, MachineRef};
pub use step::{Enter, First, Step};

use crate::{
    gen_server::{GenServerOptions, GenServerStartError, Stop, short_name},
    messages::message::Message,
    process::reason::Reason,
};

/// A process in one of several states. See the [module](self) for an example.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a state machine",
    label = "this type does not implement `StateMachine`",
    note = "implement `StateMachine` for it: `State`, `Event`, `Args`, `init` and `handle`"
)]
pub trait StateMachine: Sized + Send + 'static {
    /// The argument of [`init`](Self::init).
    type Args: Send + 'static;
    /// The type of the states. Equal values are the same state: a step from one to the other is no change.
    type State: PartialEq + Send + Sync + 'static;
    /// The type of the events. An event that wants an answer carries a
    /// [`ReplyTo`](crate::call::ReplyTo), see
    /// [`MachineRef::ask`](crate::gen_server::GenServerRef::ask).
    type Event: Send + 'static;

    /// Makes the machine and its first state, in its own process, while the starter waits. A pair of both
    /// converts into a [`First`].
    fn init(args: Self::Args) -> impl Future<Output = Result<First<Self>, Stop>> + Send;

    /// Is called when a state begins: after each change, and for the first state, where `old` is none. The
    /// state has not seen an input then. (OTP: `gen_statem`, state enter calls.)
    ///
    /// See [`Enter`] for an example.
    fn enter(
        &mut self,
        _old: Option<&Self::State>,
        _state: &Self::State,
    ) -> impl Future<Output = Enter<Self>> + Send {
        async { Enter::new() }
    }

    /// Handles an input and returns the next step. [`gen_server::stop`](crate::gen_server::stop) ends the
    /// machine after it.
    fn handle(
        &mut self,
        state: &Self::State,
        input: Input<Self::Event>,
    ) -> impl Future<Output = Step<Self>> + Send;

    /// Is called when the machine ends, as
    /// [`GenServer::terminate`](crate::gen_server::GenServer::terminate).
    fn terminate(&mut self, _state: &Self::State, _reason: &Reason) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Returns machine and state as text, for [`get_status`](crate::gen_server::GenServerRef::get_status); by
    /// default no more than the name of the type. Secrets are left out here.
    fn format_status(&self, _state: &Self::State) -> String {
        format!("{} {{ .. }}", short_name::<Self>())
    }

    /// Starts the machine without a link. Returns once `init` has. To give it a name, a bound or a timeout
    /// use `GenServerOptions::start::<Machine<M>>`.
    ///
    /// # Errors
    /// See [`GenServerStartError`].
    fn start(args: Self::Args) -> impl Future<Output = Result<MachineRef<Self>, GenServerStartError>> + Send {
        GenServerOptions::new().start::<Machine<Self>>(args)
    }

    /// Starts the machine linked to the caller. Returns once `init` has.
    ///
    /// The end of one of the two ends the other, unless it is a normal one: after `Ok(())` of the caller the
    /// machine runs on. End the caller with [`Reason::Shutdown`], or start the machine below a supervisor.
    ///
    /// # Errors
    /// See [`GenServerStartError`].
    fn start_link(
        args: Self::Args,
    ) -> impl Future<Output = Result<MachineRef<Self>, GenServerStartError>> + Send {
        GenServerOptions::new().start_link::<Machine<Self>>(args)
    }
}

/// An input of a state machine.
///
/// See the [module](self) for an example.
#[derive(Debug)]
pub enum Input<E> {
    /// An event: cast or asked.
    Event(E),
    /// An event that the machine has inserted itself.
    Internal(E),
    /// A message that is no event: a `Down`, an `Exit`, or a message sent to its pid.
    Info(Message),
    /// The machine has been in this state for as long as [`Step::state_timeout`] allowed.
    StateTimeout,
    /// There was no input for as long as [`Step::event_timeout`] allowed.
    EventTimeout,
    /// The time of the timeout with this name has come. The event is that of [`Step::timeout_with`].
    Timeout(Cow<'static, str>, Option<E>),
}

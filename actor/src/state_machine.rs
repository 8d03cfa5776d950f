//! State machines: a server that is in one of several states, in each of which it handles events differently.
//!
//! A state machine is a [`GenServer`], so it is started, called, suspended and stopped like one. In addition
//! it has the features of OTP's `gen_statem`: events that are postponed until the state changes, events that
//! the machine inserts itself, and three kinds of timeouts.
//!
//! ```
//! use std::time::Duration;
//! use riot_actor::{
//!     call::ReplyTo, gen_server::Stop, run, state_machine::{Input, MachineRef, StateMachine, Step},
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
//!     async fn init((): ()) -> Result<(Self, Door), Stop> {
//!         Ok((Hall, Door::Closed))
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

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    future::Future,
    time::Duration,
};

use crate::{
    call::{CALL_TIMEOUT, CallError, ReplyTo},
    gen_server::{self, Cast, GenServer, GenServerOptions, GenServerRef, GenServerStartError, Stop},
    messages::message::Message,
    process::reason::Reason,
    time::{
        api::{Timeout, start_timer},
        timer_ref::TimerRef,
    },
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
    /// The type of the events. An event that wants an answer carries a [`ReplyTo`], see
    /// [`MachineRef::ask`](GenServerRef::ask).
    type Event: Send + 'static;

    /// Makes the machine and its first state, in its own process, while the starter waits.
    fn init(args: Self::Args) -> impl Future<Output = Result<(Self, Self::State), Stop>> + Send;

    /// Handles an input and returns the next step. [`gen_server::stop`] ends the machine after it.
    fn handle(
        &mut self,
        state: &Self::State,
        input: Input<Self::Event>,
    ) -> impl Future<Output = Step<Self>> + Send;

    /// Is called when the machine ends, as [`GenServer::terminate`].
    fn terminate(&mut self, _state: &Self::State, _reason: &Reason) -> impl Future<Output = ()> + Send {
        async {}
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
    /// An event: cast, asked or inserted.
    Event(E),
    /// A message that is no event: a `Down`, an `Exit`, or a message sent to its pid.
    Info(Message),
    /// The machine has been in this state for as long as [`Step::state_timeout`] allowed.
    StateTimeout,
    /// There was no input for as long as [`Step::event_timeout`] allowed.
    EventTimeout,
    /// The time of [`Step::timeout`] with this name has come.
    Timeout(&'static str),
}

/// The reaction of a machine to an input.
///
/// See the [module](self) for an example.
#[must_use = "the machine does what is returned"]
pub struct Step<M: StateMachine> {
    to: Option<M::State>,
    postponed: Option<Input<M::Event>>,
    inserted: Vec<Input<M::Event>>,
    timers: Vec<(MachineTimer, Option<Duration>)>,
}

/// The timers of a machine: one for the state, one until the next input, and any number by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum MachineTimer {
    State,
    Event,
    Named(&'static str),
}

impl<M: StateMachine> Step<M> {
    /// Stays in the state.
    pub fn stay() -> Self {
        Self { to: None, postponed: None, inserted: Vec::new(), timers: Vec::new() }
    }

    /// Goes to `state`. If that is another state, the state timeout ends, and all postponed inputs come
    /// again, in their first order, before any newer one.
    pub fn to(state: M::State) -> Self {
        Self { to: Some(state), ..Self::stay() }
    }

    /// Postpones the input until the state changes.
    pub fn postpone(mut self, input: Input<M::Event>) -> Self {
        self.postponed = Some(input);
        self
    }

    /// Inserts an event before everything that waits. Several come in the order in which they were inserted.
    pub fn insert(mut self, event: M::Event) -> Self {
        self.inserted.push(Input::Event(event));
        self
    }

    /// Has [`Input::StateTimeout`] come if the (new) state lasts for `timeout`. It replaces an earlier state
    /// timeout.
    pub fn state_timeout(mut self, timeout: Duration) -> Self {
        self.timers.push((MachineTimer::State, Some(timeout)));
        self
    }

    /// Has [`Input::EventTimeout`] come if there is no other input within `timeout`.
    pub fn event_timeout(mut self, timeout: Duration) -> Self {
        self.timers.push((MachineTimer::Event, Some(timeout)));
        self
    }

    /// Has [`Input::Timeout`] come after `delay`, in whatever state. It replaces a timeout of the same name.
    pub fn timeout(mut self, name: &'static str, delay: Duration) -> Self {
        self.timers.push((MachineTimer::Named(name), Some(delay)));
        self
    }

    /// Cancels the timeout of this name.
    pub fn cancel_timeout(mut self, name: &'static str) -> Self {
        self.timers.push((MachineTimer::Named(name), None));
        self
    }
}

impl<M: StateMachine> fmt::Debug for Step<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Step")
            .field("changes", &self.to.is_some())
            .field("postpones", &self.postponed.is_some())
            .field("inserts", &self.inserted.len())
            .field("timers", &self.timers)
            .finish()
    }
}

/// The server that runs a [`StateMachine`].
///
/// ```
/// # use riot_actor::{gen_server::Stop, run};
/// # use riot_actor::state_machine::{Input, Machine, MachineRef, StateMachine, Step};
/// # struct Lamp;
/// # impl StateMachine for Lamp {
/// #     type Args = ();
/// #     type State = bool;
/// #     type Event = ();
/// #     async fn init((): ()) -> Result<(Self, bool), Stop> { Ok((Lamp, false)) }
/// #     async fn handle(&mut self, on: &bool, _: Input<()>) -> Step<Self> { Step::to(!on) }
/// # }
/// # run(async {
/// let lamp: MachineRef<Lamp> = Lamp::start(()).await?;
/// lamp.cast(());
/// assert_eq!(lamp.get_state(|machine: &Machine<Lamp>| *machine.state()).await, Ok(true));
/// # Ok::<(), riot_actor::Reason>(())
/// # });
/// ```
pub struct Machine<M: StateMachine> {
    data: M,
    state: M::State,
    /// Inputs postponed until the state changes, the oldest first.
    postponed: VecDeque<Input<M::Event>>,
    /// Inputs before anything in the mailbox: inserted events, and postponed ones that come again.
    next: VecDeque<Input<M::Event>>,
    timers: HashMap<MachineTimer, TimerRef>,
}

/// A reference to a state machine.
///
/// See the [module](self) for an example.
pub type MachineRef<M> = GenServerRef<Machine<M>>;

/// The continuation that handles the next input of `next`.
struct RunNext;

impl<M: StateMachine> Machine<M> {
    /// Returns the current state; for [`GenServerRef::get_state`].
    pub fn state(&self) -> &M::State {
        &self.state
    }

    /// Returns the machine; for [`GenServerRef::get_state`].
    pub fn data(&self) -> &M {
        &self.data
    }

    async fn handle(&mut self, input: Input<M::Event>) {
        self.cancel(MachineTimer::Event);
        let Step { to, postponed, inserted, timers } = self.data.handle(&self.state, input).await;
        self.postponed.extend(postponed);
        if let Some(state) = to.filter(|state| *state != self.state) {
            self.state = state;
            self.cancel(MachineTimer::State);
            self.insert_first(|machine| std::mem::take(&mut machine.postponed));
        }
        self.insert_first(|_| inserted.into());
        for (timer, delay) in timers {
            self.cancel(timer);
            if let Some(delay) = delay {
                self.timers.insert(timer, start_timer(delay, crate::this(), timer));
            }
        }
        if !self.next.is_empty() {
            gen_server::continue_with(RunNext);
        }
    }

    fn insert_first(&mut self, inputs: impl FnOnce(&mut Self) -> VecDeque<Input<M::Event>>) {
        let mut first = inputs(self);
        first.append(&mut self.next);
        self.next = first;
    }

    fn cancel(&mut self, timer: MachineTimer) {
        if let Some(timer) = self.timers.remove(&timer) {
            timer.cancel();
        }
    }

    /// Returns the input of a timer that fired; none if it was cancelled when its message was on its way.
    fn fired(&mut self, Timeout { timer, value }: &Timeout<MachineTimer>) -> Option<Input<M::Event>> {
        if self.timers.get(value) != Some(timer) {
            return None;
        }
        self.timers.remove(value);
        Some(match value {
            MachineTimer::State => Input::StateTimeout,
            MachineTimer::Event => Input::EventTimeout,
            MachineTimer::Named(name) => Input::Timeout(name),
        })
    }
}

impl<M: StateMachine> GenServer for Machine<M> {
    type Args = M::Args;

    async fn init(args: M::Args) -> Result<Self, Stop> {
        let (data, state) = M::init(args).await?;
        let (postponed, next, timers) = Default::default();
        Ok(Self { data, state, postponed, next, timers })
    }

    async fn handle_info(&mut self, message: Message) {
        let input = match message.downcast_ref::<Timeout<MachineTimer>>() {
            Some(fired) => self.fired(fired),
            None => Some(Input::Info(message)),
        };
        if let Some(input) = input {
            self.handle(input).await;
        }
    }

    async fn handle_continue(&mut self, message: Message) {
        let input = if message.is::<RunNext>() { self.next.pop_front() } else { Some(Input::Info(message)) };
        if let Some(input) = input {
            self.handle(input).await;
        }
    }

    async fn terminate(&mut self, reason: &Reason) {
        self.data.terminate(&self.state, reason).await;
    }
}

impl<M: StateMachine> Cast<M::Event> for Machine<M> {
    async fn cast(&mut self, event: M::Event) {
        self.handle(Input::Event(event)).await;
    }
}

impl<M: StateMachine> fmt::Debug for Machine<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Machine").field("postponed", &self.postponed.len()).finish_non_exhaustive()
    }
}

impl<M: StateMachine> GenServerRef<Machine<M>> {
    /// Sends the event that `make` makes of the right to answer, and waits for the answer for at most
    /// [`CALL_TIMEOUT`], 5 seconds.
    ///
    /// # Errors
    /// See [`CallError`]. The caller is never ended by it.
    ///
    /// # Cancel safety
    /// If the future is dropped before it is ready, the event stays sent, and the answer is discarded.
    pub async fn ask<R: Send + 'static>(
        self,
        make: impl FnOnce(ReplyTo<R>) -> M::Event,
    ) -> Result<R, CallError> {
        self.ask_timeout(make, Some(CALL_TIMEOUT)).await
    }

    /// Sends an event and waits for the answer, as [`ask`](Self::ask) does, for at most `timeout`; `None`
    /// waits forever.
    ///
    /// # Errors
    /// See [`CallError`].
    ///
    /// # Cancel safety
    /// If the future is dropped before it is ready, the event stays sent, and the answer is discarded.
    pub async fn ask_timeout<R: Send + 'static>(
        self,
        make: impl FnOnce(ReplyTo<R>) -> M::Event,
        timeout: Option<Duration>,
    ) -> Result<R, CallError> {
        self.request(make)?.wait(timeout).await
    }
}

//! A server that is in one of several states, each with its own idea of what an event means.
//!
//! It is a [`GenServer`] with a memory of what it could not use yet: started, called, suspended and stopped like every
//! other. What it adds are OTP's `gen_statem`: events put off until the state changes, events it gives itself, and three
//! kinds of timeouts.
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
//!             (Door::Closed, Input::Event(Do::Push)) => Step::to(Door::Open).state_timeout(Duration::from_secs(10)),
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
        timers::TimerRef,
    },
};

/// A process in one of several states.
pub trait StateMachine: Sized + Send + 'static {
    /// What it is started with.
    type Args: Send + 'static;
    /// Where it can be. Two that are equal are the same state: going from one to the other is no change.
    type State: PartialEq + Send + Sync + 'static;
    /// What can happen to it. One that wants an answer carries a [`ReplyTo`], see [`MachineRef::ask`](GenServerRef::ask).
    type Event: Send + 'static;

    /// Makes it, in its own process, with the state it begins in. Whoever starts it waits for this.
    fn init(args: Self::Args) -> impl Future<Output = Result<(Self, Self::State), Stop>> + Send;

    /// Something has happened: what it comes to. [`gen_server::stop`] ends the machine after it.
    fn handle(
        &mut self,
        state: &Self::State,
        input: Input<Self::Event>,
    ) -> impl Future<Output = Step<Self>> + Send;

    /// The machine ends, as in [`GenServer::terminate`].
    fn terminate(&mut self, _state: &Self::State, _reason: &Reason) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Starts it, linked to nobody. Returns once `init` has. With a name, a bound or a limit:
    /// `GenServerOptions::start::<Machine<M>>`.
    ///
    /// # Errors
    /// See [`GenServerStartError`].
    fn start(args: Self::Args) -> impl Future<Output = Result<MachineRef<Self>, GenServerStartError>> + Send {
        GenServerOptions::new().start::<Machine<Self>>(args)
    }

    /// Starts it, linked to the caller. Returns once `init` has.
    ///
    /// # Errors
    /// See [`GenServerStartError`].
    fn start_link(
        args: Self::Args,
    ) -> impl Future<Output = Result<MachineRef<Self>, GenServerStartError>> + Send {
        GenServerOptions::new().start_link::<Machine<Self>>(args)
    }
}

/// What happens to a state machine.
#[derive(Debug)]
pub enum Input<E> {
    /// It was told, asked, or told itself.
    Event(E),
    /// A message that is no event: a `Down`, an `Exit`, whatever was sent to its pid.
    Info(Message),
    /// It has been in this state for as long as [`Step::state_timeout`] allowed.
    StateTimeout,
    /// Nothing has happened for as long as [`Step::event_timeout`] allowed.
    EventTimeout,
    /// The time of [`Step::timeout`] has come.
    Timeout(&'static str),
}

/// What a handler comes to.
#[must_use = "the machine does what is returned"]
pub struct Step<M: StateMachine> {
    to: Option<M::State>,
    postponed: Option<Input<M::Event>>,
    inserted: Vec<Input<M::Event>>,
    timers: Vec<(MachineTimer, Option<Duration>)>,
}

/// The timers of a machine: one a state, one until the next event, and any number by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum MachineTimer {
    State,
    Event,
    Named(&'static str),
}

impl<M: StateMachine> Step<M> {
    /// The state stays what it is.
    pub fn stay() -> Self {
        Self { to: None, postponed: None, inserted: Vec::new(), timers: Vec::new() }
    }

    /// The state becomes `state`. Filter it was another one, its timeout is over, and all events put off come again, in the
    /// order they came in first, before any newer one.
    pub fn to(state: M::State) -> Self {
        Self { to: Some(state), ..Self::stay() }
    }

    /// Puts what has happened off until the state changes.
    pub fn postpone(mut self, input: Input<M::Event>) -> Self {
        self.postponed = Some(input);
        self
    }

    /// The machine's next event, before everything that waits; several come in the order they were inserted in.
    pub fn insert(mut self, event: M::Event) -> Self {
        self.inserted.push(Input::Event(event));
        self
    }

    /// [`Input::StateTimeout`] comes if the (new) state lasts for `timeout`. It replaces the one there was.
    pub fn state_timeout(mut self, timeout: Duration) -> Self {
        self.timers.push((MachineTimer::State, Some(timeout)));
        self
    }

    /// [`Input::EventTimeout`] comes if nothing else does within `timeout`.
    pub fn event_timeout(mut self, timeout: Duration) -> Self {
        self.timers.push((MachineTimer::Event, Some(timeout)));
        self
    }

    /// [`Input::Timeout`] comes after `delay`, whatever happens and in whatever state. It replaces one of the same name.
    pub fn timeout(mut self, name: &'static str, delay: Duration) -> Self {
        self.timers.push((MachineTimer::Named(name), Some(delay)));
        self
    }

    /// The timeout of this name does not come.
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

/// The server a [`StateMachine`] is.
pub struct Machine<M: StateMachine> {
    data: M,
    state: M::State,
    /// Until the state changes, oldest first.
    postponed: VecDeque<Input<M::Event>>,
    /// Before anything in the mailbox: what was inserted, and what was put off and has come again.
    next: VecDeque<Input<M::Event>>,
    timers: HashMap<MachineTimer, TimerRef>,
}

/// The typed name of a state machine.
pub type MachineRef<M> = GenServerRef<Machine<M>>;

/// Go on with what is next.
struct RunNext;

impl<M: StateMachine> Machine<M> {
    /// The state it is in; for [`GenServerRef::get_state`].
    pub fn state(&self) -> &M::State {
        &self.state
    }

    /// What it is made of; for [`GenServerRef::get_state`].
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
            self.come_first(|machine| std::mem::take(&mut machine.postponed));
        }
        self.come_first(|_| inserted.into());
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

    fn come_first(&mut self, inputs: impl FnOnce(&mut Self) -> VecDeque<Input<M::Event>>) {
        let mut first = inputs(self);
        first.append(&mut self.next);
        self.next = first;
    }

    fn cancel(&mut self, timer: MachineTimer) {
        if let Some(timer) = self.timers.remove(&timer) {
            timer.cancel();
        }
    }

    /// What a timer that fired stands for; nothing, if it was cancelled when its message was on its way.
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
    /// Sends the event `make` makes of the right to answer, and waits for the answer for at most five seconds.
    ///
    /// # Errors
    /// See [`CallError`]. The caller is never ended by it.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the event stays sent, and the answer is discarded.
    pub async fn ask<R: Send + 'static>(
        self,
        make: impl FnOnce(ReplyTo<R>) -> M::Event,
    ) -> Result<R, CallError> {
        self.ask_timeout(make, Some(CALL_TIMEOUT)).await
    }

    /// [`ask`](Self::ask) that waits for at most `timeout`; `None` waits for ever.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn ask_timeout<R: Send + 'static>(
        self,
        make: impl FnOnce(ReplyTo<R>) -> M::Event,
        timeout: Option<Duration>,
    ) -> Result<R, CallError> {
        self.request(make)?.wait(timeout).await
    }
}

//! The server that runs a state machine, and the reference to it.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    time::Duration,
};

use super::{
    First, Input, StateMachine, Step,
    step::{Actions, MachineTimer, TimerChange},
};
use crate::{
    call::{CALL_TIMEOUT, CallError, ReplyTo},
    gen_server::{self, Cast, GenServer, GenServerRef, NamedRef, Stop},
    messages::message::Message,
    process::reason::Reason,
    time::{
        api::{Timeout, start_timer},
        timer_ref::TimerRef,
    },
};

/// The server that runs a [`StateMachine`].
///
/// ```
/// # use riot_actor::{gen_server::Stop, run};
/// # use riot_actor::state_machine::{First, Input, Machine, MachineRef, StateMachine, Step};
/// # struct Lamp;
/// # impl StateMachine for Lamp {
/// #     type Args = ();
/// #     type State = bool;
/// #     type Event = ();
/// #     async fn init((): ()) -> Result<First<Self>, Stop> { Ok((Lamp, false).into()) }
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
    timers: HashMap<MachineTimer, RunningTimer<M::Event>>,
    /// The timers without a time, in the order of their starts. They come when `next` is empty, and before
    /// anything in the mailbox.
    due: VecDeque<MachineTimer>,
}

/// A timer that runs, and the event that comes with it.
struct RunningTimer<E> {
    /// The timer of the runtime; none for one that is in `due`.
    timer: Option<TimerRef>,
    event: Option<E>,
}

/// A reference to a state machine.
///
/// See the [module](super) for an example.
pub type MachineRef<M> = GenServerRef<Machine<M>>;

/// The continuation that handles the next input of `next`, or of `due`.
struct RunNext;

/// The continuation that enters the first state.
struct Begin<E>(Actions<E>);

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
        self.cancel(&MachineTimer::Event);
        let Step { to, postponed, actions } = self.data.handle(&self.state, input).await;
        self.postponed.extend(postponed);
        // A machine that was stopped changes to no other state.
        if let Some(state) = to.filter(|state| *state != self.state && !gen_server::is_stopping()) {
            let old = std::mem::replace(&mut self.state, state);
            self.cancel(&MachineTimer::State);
            self.insert_first(|machine| std::mem::take(&mut machine.postponed));
            return self.enter(Some(&old), actions).await;
        }
        self.carry_out(actions);
    }

    /// Enters the state. What it wants comes after `actions`.
    async fn enter(&mut self, from: Option<&M::State>, mut actions: Actions<M::Event>) {
        let entered = self.data.enter(from, &self.state).await.actions;
        actions.inserted.extend(entered.inserted);
        actions.timers.extend(entered.timers);
        self.carry_out(actions);
    }

    fn carry_out(&mut self, Actions { inserted, timers }: Actions<M::Event>) {
        self.insert_first(|_| inserted.into_iter().map(Input::Internal).collect());
        for change in timers {
            match change {
                TimerChange::Start(timer, delay, event) => self.start(timer, delay, event),
                TimerChange::Update(name, event) => {
                    let timer = MachineTimer::Named(name);
                    match self.timers.get_mut(&timer) {
                        Some(running) => running.event = Some(event),
                        None => self.start(timer, Duration::ZERO, Some(event)),
                    }
                }
                TimerChange::Cancel(timer) => self.cancel(&timer),
            }
        }
        if !self.next.is_empty() || !self.due.is_empty() {
            gen_server::continue_with(RunNext);
        }
    }

    fn start(&mut self, timer: MachineTimer, delay: Duration, event: Option<M::Event>) {
        self.cancel(&timer);
        let running = if delay.is_zero() {
            self.due.push_back(timer.clone());
            None
        } else {
            Some(start_timer(delay, crate::this(), timer.clone()))
        };
        self.timers.insert(timer, RunningTimer { timer: running, event });
    }

    fn insert_first(&mut self, inputs: impl FnOnce(&mut Self) -> VecDeque<Input<M::Event>>) {
        let mut first = inputs(self);
        first.append(&mut self.next);
        self.next = first;
    }

    fn cancel(&mut self, timer: &MachineTimer) {
        match self.timers.remove(timer) {
            Some(RunningTimer { timer: Some(running), .. }) => drop(running.cancel()),
            Some(_) => self.due.retain(|due| due != timer),
            None => {}
        }
    }

    /// Returns the input of a timer that fired; none if it was cancelled when its message was on its way.
    fn fired(&mut self, fired: Timeout<MachineTimer>) -> Option<Input<M::Event>> {
        if self.timers.get(&fired.value)?.timer != Some(fired.timer) {
            return None;
        }
        self.input_of(fired.value)
    }

    /// Returns the next input before anything in the mailbox.
    fn pop_next(&mut self) -> Option<Input<M::Event>> {
        if let Some(input) = self.next.pop_front() {
            return Some(input);
        }
        let timer = self.due.pop_front()?;
        self.input_of(timer)
    }

    /// Ends a timer, and returns its input.
    fn input_of(&mut self, timer: MachineTimer) -> Option<Input<M::Event>> {
        let event = self.timers.remove(&timer)?.event;
        Some(match timer {
            MachineTimer::State => Input::StateTimeout,
            MachineTimer::Event => Input::EventTimeout,
            MachineTimer::Named(name) => Input::Timeout(name, event),
        })
    }
}

impl<M: StateMachine> GenServer for Machine<M> {
    type Args = M::Args;

    async fn init(args: M::Args) -> Result<Self, Stop> {
        let First { data, state, actions } = M::init(args).await?;
        gen_server::continue_first(Begin(actions));
        let (postponed, next, timers, due) = Default::default();
        Ok(Self { data, state, postponed, next, timers, due })
    }

    async fn handle_info(&mut self, message: Message) {
        let input = match message.downcast::<Timeout<MachineTimer>>() {
            Ok(fired) => self.fired(fired),
            Err(message) => Some(Input::Info(message)),
        };
        if let Some(input) = input {
            self.handle(input).await;
        }
    }

    async fn handle_continue(&mut self, message: Message) {
        let message = match message.downcast::<Begin<M::Event>>() {
            Ok(Begin(actions)) => return self.enter(None, actions).await,
            Err(message) => message,
        };
        let input = if message.is::<RunNext>() { self.pop_next() } else { Some(Input::Info(message)) };
        if let Some(input) = input {
            self.handle(input).await;
        }
    }

    fn format_status(&self) -> String {
        self.data.format_status(&self.state)
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

impl<M: StateMachine> NamedRef<Machine<M>> {
    /// Sends an event and waits for the answer, as [`GenServerRef::ask`] does.
    ///
    /// # Errors
    /// See [`CallError`].
    ///
    /// # Cancel safety
    /// If the future is dropped before it is ready, the event stays sent, and the answer is discarded.
    pub async fn ask<R: Send + 'static>(
        &self,
        make: impl FnOnce(ReplyTo<R>) -> M::Event,
    ) -> Result<R, CallError> {
        self.server()?.ask(make).await
    }

    /// Sends an event and waits for the answer, as [`GenServerRef::ask_timeout`] does.
    ///
    /// # Errors
    /// See [`CallError`].
    ///
    /// # Cancel safety
    /// If the future is dropped before it is ready, the event stays sent, and the answer is discarded.
    pub async fn ask_timeout<R: Send + 'static>(
        &self,
        make: impl FnOnce(ReplyTo<R>) -> M::Event,
        timeout: Option<Duration>,
    ) -> Result<R, CallError> {
        self.server()?.ask_timeout(make, timeout).await
    }
}

//! The decisions of a machine: about its first state, after an input, when a state begins.

use std::{
    borrow::Cow,
    fmt,
    time::{Duration, Instant},
};

use super::{Input, StateMachine};
use crate::time::clock::now;

/// The timers of a machine: one for the state, one until the next input, and any number by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum MachineTimer {
    State,
    Event,
    Named(Cow<'static, str>),
}

/// A change of a timer. A timer that starts replaces one of the same kind or name.
#[derive(Debug)]
pub(super) enum TimerChange<E> {
    Start(MachineTimer, Duration, Option<E>),
    Update(Cow<'static, str>, E),
    Cancel(MachineTimer),
}

/// The events that are inserted, and the timers that change.
pub(super) struct Actions<E> {
    pub(super) inserted: Vec<E>,
    pub(super) timers: Vec<TimerChange<E>>,
}

impl<E> Actions<E> {
    fn none() -> Self {
        Self { inserted: Vec::new(), timers: Vec::new() }
    }
}

impl<E> fmt::Debug for Actions<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Actions")
            .field("inserted", &self.inserted.len())
            .field("timers", &self.timers.len())
            .finish()
    }
}

/// The first state of a machine, as [`StateMachine::init`] returns it. A pair of machine and state converts
/// into it.
///
/// ```
/// use std::time::Duration;
/// use riot_actor::{gen_server::Stop, run, state_machine::{First, Input, StateMachine, Step}};
///
/// struct Lock;
/// impl StateMachine for Lock {
///     type Args = ();
///     type State = bool;
///     type Event = ();
///     async fn init((): ()) -> Result<First<Self>, Stop> {
///         Ok(First::new(Lock, true).state_timeout(Duration::from_millis(1)))
///     }
///     async fn handle(&mut self, _open: &bool, input: Input<()>) -> Step<Self> {
///         if let Input::StateTimeout = input { Step::to(false) } else { Step::stay() }
///     }
/// }
/// # run(async {
/// let lock = Lock::start(()).await?;
/// while lock.get_state(|machine| *machine.state()).await? {}
/// # Ok::<(), riot_actor::Reason>(())
/// # });
/// ```
#[must_use = "the machine begins with what is returned"]
pub struct First<M: StateMachine> {
    pub(super) data: M,
    pub(super) state: M::State,
    pub(super) actions: Actions<M::Event>,
}

impl<M: StateMachine> First<M> {
    /// Begins with the machine `data` in `state`.
    pub fn new(data: M, state: M::State) -> Self {
        Self { data, state, actions: Actions::none() }
    }
}

impl<M: StateMachine> From<(M, M::State)> for First<M> {
    fn from((data, state): (M, M::State)) -> Self {
        Self::new(data, state)
    }
}

/// The reaction of a machine to an input.
///
/// See the [module](super) for an example.
#[must_use = "the machine does what is returned"]
pub struct Step<M: StateMachine> {
    pub(super) to: Option<M::State>,
    pub(super) postponed: Option<Input<M::Event>>,
    pub(super) actions: Actions<M::Event>,
}

impl<M: StateMachine> Step<M> {
    /// Stays in the state.
    pub fn stay() -> Self {
        Self { to: None, postponed: None, actions: Actions::none() }
    }

    /// Goes to `state`. If that is another state, the state timeout ends, [`enter`](StateMachine::enter) is
    /// called, and all postponed inputs come again, in their first order, before any newer one.
    pub fn to(state: M::State) -> Self {
        Self { to: Some(state), ..Self::stay() }
    }

    /// Postpones the input until the state changes.
    pub fn postpone(mut self, input: Input<M::Event>) -> Self {
        self.postponed = Some(input);
        self
    }
}

/// The decisions of a machine when a state begins, see [`StateMachine::enter`]. They come after those of the
/// [`Step`] or [`First`] that led there, and replace its timeouts.
///
/// ```
/// use std::time::Duration;
/// use riot_actor::{
///     gen_server::Stop, run, state_machine::{Enter, First, Input, StateMachine, Step},
/// };
///
/// /// Goes out after a second, however it went on.
/// struct Lamp;
/// impl StateMachine for Lamp {
///     type Args = ();
///     type State = bool;
///     type Event = bool;
///     async fn init((): ()) -> Result<First<Self>, Stop> {
///         Ok((Lamp, false).into())
///     }
///     async fn enter(&mut self, _old: Option<&bool>, is_on: &bool) -> Enter<Self> {
///         if *is_on { Enter::new().state_timeout(Duration::from_secs(1)) } else { Enter::new() }
///     }
///     async fn handle(&mut self, _is_on: &bool, input: Input<bool>) -> Step<Self> {
///         match input {
///             Input::Event(on) => Step::to(on),
///             Input::StateTimeout => Step::to(false),
///             _ => Step::stay(),
///         }
///     }
/// }
/// # run(async {
/// let lamp = Lamp::start(()).await?;
/// lamp.cast(true);
/// assert!(lamp.get_state(|machine| *machine.state()).await?);
/// # Ok::<(), riot_actor::Reason>(())
/// # });
/// ```
#[must_use = "the machine does what is returned"]
pub struct Enter<M: StateMachine> {
    pub(super) actions: Actions<M::Event>,
}

impl<M: StateMachine> Enter<M> {
    /// Decides nothing.
    pub fn new() -> Self {
        Self { actions: Actions::none() }
    }
}

impl<M: StateMachine> Default for Enter<M> {
    fn default() -> Self {
        Self::new()
    }
}

/// Defines the decisions that all three have.
macro_rules! actions_of {
    ($type:ident) => {
        impl<M: StateMachine> $type<M> {
            /// Inserts an event, which comes as [`Input::Internal`] before everything that waits. Several
            /// come in the order in which they were inserted.
            pub fn insert(mut self, event: M::Event) -> Self {
                self.actions.inserted.push(event);
                self
            }

            /// Has [`Input::StateTimeout`] come if the (new) state lasts for `timeout`. It replaces an
            /// earlier state timeout.
            ///
            /// A timeout of zero, of any kind, comes behind the events that the machine has inserted and
            /// those that come again, and before all that is in the mailbox. A machine that always starts one
            /// never comes to its mailbox.
            pub fn state_timeout(self, timeout: Duration) -> Self {
                self.change(TimerChange::Start(MachineTimer::State, timeout, None))
            }

            /// Has [`Input::EventTimeout`] come if there is no other input within `timeout`.
            pub fn event_timeout(self, timeout: Duration) -> Self {
                self.change(TimerChange::Start(MachineTimer::Event, timeout, None))
            }

            /// Has [`Input::Timeout`] come after `delay`, in whatever state. It replaces a timeout of the
            /// same name.
            pub fn timeout(self, name: impl Into<Cow<'static, str>>, delay: Duration) -> Self {
                self.change(TimerChange::Start(MachineTimer::Named(name.into()), delay, None))
            }

            /// Has [`Input::Timeout`] come after `delay`, as [`timeout`](Self::timeout) does, with an event.
            pub fn timeout_with(
                self,
                name: impl Into<Cow<'static, str>>,
                delay: Duration,
                event: M::Event,
            ) -> Self {
                self.change(TimerChange::Start(MachineTimer::Named(name.into()), delay, Some(event)))
            }

            /// Has [`Input::Timeout`] come at a time of the [runtime's clock](crate::now), as
            /// [`timeout`](Self::timeout) does after a delay; at once if that time has passed.
            pub fn timeout_at(self, name: impl Into<Cow<'static, str>>, at: Instant) -> Self {
                self.timeout(name, at.saturating_duration_since(now()))
            }

            /// Gives the timeout of this name another event, and leaves its time. If there is none, it comes
            /// at once. (OTP: `gen_statem`, `{update, EventContent}`.)
            pub fn update_timeout(self, name: impl Into<Cow<'static, str>>, event: M::Event) -> Self {
                self.change(TimerChange::Update(name.into(), event))
            }

            /// Cancels the timeout of this name.
            pub fn cancel_timeout(self, name: impl Into<Cow<'static, str>>) -> Self {
                self.change(TimerChange::Cancel(MachineTimer::Named(name.into())))
            }

            fn change(mut self, change: TimerChange<M::Event>) -> Self {
                self.actions.timers.push(change);
                self
            }
        }
    };
}

actions_of!(First);
actions_of!(Step);
actions_of!(Enter);

impl<M: StateMachine> fmt::Debug for First<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("First").field("actions", &self.actions).finish_non_exhaustive()
    }
}

impl<M: StateMachine> fmt::Debug for Step<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Step")
            .field("changes", &self.to.is_some())
            .field("postpones", &self.postponed.is_some())
            .field("actions", &self.actions)
            .finish()
    }
}

impl<M: StateMachine> fmt::Debug for Enter<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Enter").field("actions", &self.actions).finish()
    }
}

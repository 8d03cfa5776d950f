//! Faults of a network at one end of a connection, operation by operation: scripted or random.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use riot_actor::{sleep, time::Sleep};

/// A fault of one read or write; see [`Stream`](super::Stream).
///
/// ```
/// use std::time::Duration;
/// use riot_socket::memory::{self, ScriptStep};
///
/// let (here, _there) = memory::pair();
/// here.script_writes([ScriptStep::Delay(Duration::from_secs(1)), ScriptStep::End]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScriptStep {
    /// Transfers at most this number of bytes.
    Short(usize),
    /// Delays the operation by this time of the runtime's clock. (In a process only.)
    Delay(Duration),
    /// Breaks the connection, for both ends.
    Reset,
    /// Ends this direction: nothing more is received, or sent. The other goes on.
    End,
}

/// Random faults of reads and writes, each drawn on its own. The same seed gives the same faults.
///
/// The setters give the share of faulty operations per thousand, and panic if it is above 1000.
///
/// ```
/// use std::time::Duration;
/// use riot_socket::memory::{Faults, Listener};
///
/// let listener = Listener::new();
/// listener.faults(Faults::new(7).short(300).delay(50, Duration::from_secs(2)).reset(5));
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "faults do nothing until they are given to `Listener::faults`"]
pub struct Faults {
    seed: u64,
    short: u64,
    delay: u64,
    max_delay: Duration,
    reset: u64,
    end: u64,
}

impl Faults {
    /// Returns faults that never happen.
    pub fn new(seed: u64) -> Self {
        Self { seed, short: 0, delay: 0, max_delay: Duration::ZERO, reset: 0, end: 0 }
    }

    /// Sets the share of operations that transfer 16 bytes at most.
    ///
    /// # Panics
    /// Panics if `per_mille` is above 1000.
    pub fn short(mut self, per_mille: u64) -> Self {
        self.short = share(per_mille);
        self
    }

    /// Sets the share of operations that are delayed, by at most `max`.
    ///
    /// # Panics
    /// Panics if `per_mille` is above 1000.
    pub fn delay(mut self, per_mille: u64, max: Duration) -> Self {
        (self.delay, self.max_delay) = (share(per_mille), max);
        self
    }

    /// Sets the share of operations that break the connection.
    ///
    /// # Panics
    /// Panics if `per_mille` is above 1000.
    pub fn reset(mut self, per_mille: u64) -> Self {
        self.reset = share(per_mille);
        self
    }

    /// Sets the share of operations that end their direction.
    ///
    /// # Panics
    /// Panics if `per_mille` is above 1000.
    pub fn end(mut self, per_mille: u64) -> Self {
        self.end = share(per_mille);
        self
    }

    /// Returns the script of one direction among many, chosen by its number.
    pub(super) fn script(self, number: u64) -> Script {
        let state = self.seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Script { random: Some(RandomFaults { faults: self, state }), ..Script::default() }
    }
}

fn share(per_mille: u64) -> u64 {
    assert!(per_mille <= 1000, "a share of {per_mille} per thousand");
    per_mille
}

/// The source of random faults.
#[derive(Debug)]
struct RandomFaults {
    faults: Faults,
    state: u64,
}

impl RandomFaults {
    /// Returns the next random number, by SplitMix64.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn step(&mut self) -> Option<ScriptStep> {
        let (drawn, more) = (self.next() % 1000, self.next());
        let Faults { short, delay, max_delay, reset, end, .. } = self.faults;
        let mut bound = 0;
        let mut hits = |width: u64| {
            bound += width;
            drawn < bound
        };
        if hits(reset) {
            return Some(ScriptStep::Reset);
        }
        if hits(end) {
            return Some(ScriptStep::End);
        }
        if hits(delay) {
            let longest = u64::try_from(max_delay.as_nanos()).unwrap_or(u64::MAX).max(1);
            return Some(ScriptStep::Delay(Duration::from_nanos(more % longest)));
        }
        hits(short).then(|| ScriptStep::Short(1 + (more % 16) as usize))
    }
}

/// The faults of one direction of one end.
#[derive(Default)]
pub(super) struct Script {
    steps: VecDeque<ScriptStep>,
    /// The source of steps after those in `steps`.
    random: Option<RandomFaults>,
    /// The step of the operation in progress.
    current: Option<ScriptStep>,
    sleep: Option<Pin<Box<Sleep>>>,
}

/// The effect of a step on an operation.
pub(super) enum Effect {
    /// At most this number of bytes is transferred.
    Room(usize),
    Reset,
    End,
}

impl Script {
    pub(super) fn extend(&mut self, steps: impl IntoIterator<Item = ScriptStep>) {
        self.steps.extend(steps);
    }

    /// Polls for the effect on the next operation, after its delay. The effect stays the same until an
    /// operation is [done](Self::done).
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Effect> {
        loop {
            if self.current.is_none() {
                self.current = self.steps.pop_front().or_else(|| self.random.as_mut()?.step());
            }
            match self.current {
                None => return Poll::Ready(Effect::Room(usize::MAX)),
                Some(ScriptStep::Short(bytes)) => return Poll::Ready(Effect::Room(bytes.max(1))),
                Some(ScriptStep::Delay(time)) => {
                    let sleeping = self.sleep.get_or_insert_with(|| Box::pin(sleep(time)));
                    ready!(sleeping.as_mut().poll(cx));
                    self.sleep = None;
                    // A delayed operation has no other fault.
                    self.current = Some(ScriptStep::Short(usize::MAX));
                }
                Some(ScriptStep::Reset) => return Poll::Ready(Effect::Reset),
                Some(ScriptStep::End) => return Poll::Ready(Effect::End),
            }
        }
    }

    /// Ends the step of the operation in progress.
    pub(super) fn done(&mut self) {
        self.current = None;
    }
}

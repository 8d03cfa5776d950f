//! What a network does to one end of a connection, operation by operation: as written down, or by random.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use riot_actor::{sleep, time::Sleep};

/// Something that happens to one read or write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScriptStep {
    /// No more than so many bytes come, or are taken.
    Short(usize),
    /// It happens so much later, by the runtime's clock. (In a process only.)
    Delay(Duration),
    /// The connection breaks, for both ends.
    Reset,
    /// This direction ends: nothing more comes, or is taken. The other goes on.
    End,
}

/// How often what happens, by random: for every read and every write of an end, and for each alone. The same seed brings
/// the same.
///
/// ```
/// use std::time::Duration;
/// use riot_socket::memory::{Faults, Listener};
///
/// let listener = Listener::new();
/// listener.faults(Faults::new(7).short(300).delay(50, Duration::from_secs(2)).reset(5));
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "goes into `Listener::faults`"]
pub struct Faults {
    seed: u64,
    short: u64,
    delay: u64,
    max_delay: Duration,
    reset: u64,
    end: u64,
}

impl Faults {
    /// Nothing ever happens.
    pub fn new(seed: u64) -> Self {
        Self { seed, short: 0, delay: 0, max_delay: Duration::ZERO, reset: 0, end: 0 }
    }

    /// Of a thousand reads or writes, so many are short.
    pub fn short(mut self, per_mille: u64) -> Self {
        self.short = per_mille;
        self
    }

    /// Of a thousand, so many are late, by at most `max`.
    pub fn delay(mut self, per_mille: u64, max: Duration) -> Self {
        (self.delay, self.max_delay) = (per_mille, max);
        self
    }

    /// Of a thousand, so many find the connection broken.
    pub fn reset(mut self, per_mille: u64) -> Self {
        self.reset = per_mille;
        self
    }

    /// Of a thousand, so many find their direction ended.
    pub fn end(mut self, per_mille: u64) -> Self {
        self.end = per_mille;
        self
    }

    /// The script of one of many.
    pub(super) fn script(self, number: u64) -> Script {
        let state = self.seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Script { random: Some(RandomFaults { faults: self, state }), ..Script::default() }
    }
}

/// Faults to come.
#[derive(Debug)]
struct RandomFaults {
    faults: Faults,
    state: u64,
}

impl RandomFaults {
    /// SplitMix64: a few lines, and good enough for weather.
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
        let mut falls = |width: u64| {
            bound += width;
            drawn < bound
        };
        if falls(reset) {
            return Some(ScriptStep::Reset);
        }
        if falls(end) {
            return Some(ScriptStep::End);
        }
        if falls(delay) {
            let longest = u64::try_from(max_delay.as_nanos()).unwrap_or(u64::MAX).max(1);
            return Some(ScriptStep::Delay(Duration::from_nanos(more % longest)));
        }
        falls(short).then(|| ScriptStep::Short(1 + (more % 16) as usize))
    }
}

/// What happens to one direction of one end.
#[derive(Default)]
pub(super) struct Script {
    steps: VecDeque<ScriptStep>,
    /// When the steps are used up.
    random: Option<RandomFaults>,
    /// What happens to the operation that is under way.
    current: Option<ScriptStep>,
    sleep: Option<Pin<Box<Sleep>>>,
}

/// What an operation is subject to.
pub(super) enum Effect {
    /// No more than so many bytes.
    Room(usize),
    Reset,
    End,
}

impl Script {
    pub(super) fn extend(&mut self, steps: impl IntoIterator<Item = ScriptStep>) {
        self.steps.extend(steps);
    }

    /// What the next operation is subject to, once it is no longer late. The same until one is [done](Self::done).
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
                    // It was late, and that was all.
                    self.current = Some(ScriptStep::Short(usize::MAX));
                }
                Some(ScriptStep::Reset) => return Poll::Ready(Effect::Reset),
                Some(ScriptStep::End) => return Poll::Ready(Effect::End),
            }
        }
    }

    /// An operation went through.
    pub(super) fn done(&mut self) {
        self.current = None;
    }
}

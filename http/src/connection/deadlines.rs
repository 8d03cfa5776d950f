//! The moves of time (H11). Instants come in; nothing here reads a clock.
//!
//! A timer can be started by a call that was not told the time. It is then due at once, and the first call that is
//! told the time starts it in earnest.

use std::{
    hint::cold_path,
    task::Waker,
    time::{Duration, Instant},
};

use super::{
    exchange::Answer,
    state::{Inner, Reading},
};
use crate::RequestError;

/// Nanoseconds since the connection was first told the time: half the room of an [`Instant`], and compared at once.
pub(super) type Nanos = u64;

/// From here on a number is no time.
const UNSET: Nanos = 1 << 63;

pub(super) fn nanos(time: Duration) -> Nanos {
    Nanos::try_from(time.as_nanos()).map_or(UNSET >> 1, |nanos| nanos.min(UNSET >> 1))
}

/// When something is due. One that was started without knowing the time is to be started when it is known, and has how
/// long it is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Timer(Nanos);

impl Timer {
    const OFF: Self = Self(Nanos::MAX);

    fn unset(time: Nanos) -> Self {
        Self(UNSET | time)
    }

    /// How long it is to run once it is started.
    fn to_run(self) -> Option<Nanos> {
        (self.0 >= UNSET && self != Self::OFF).then_some(self.0 & !UNSET)
    }

    fn at(&mut self) -> Option<&mut Nanos> {
        (self.0 < UNSET).then_some(&mut self.0)
    }

    fn is_due(self, now: Nanos) -> bool {
        self.0 <= now
    }

    /// Runs exactly while there is a time for it.
    fn keep(&mut self, time: Option<Duration>, clock: &mut Clock) {
        match time {
            Some(time) if *self == Self::OFF => *self = clock.start(nanos(time)),
            Some(_) => {}
            None => *self = Self::OFF,
        }
    }
}

/// What the timers know of the time.
#[derive(Debug)]
struct Clock {
    /// When the time was told first.
    origin: Option<Instant>,
    /// The latest time told, and as it was told.
    now: Nanos,
    instant: Option<Instant>,
    /// This call was told it.
    told: bool,
    /// Timers may wait to be started.
    unset: bool,
    /// No timer is due before. When timers stop or move out it is left alone: looking once too early costs less than
    /// looking for the earliest at every change.
    earliest: Timer,
}

impl Clock {
    #[inline]
    fn set(&mut self, now: Instant) {
        // Several calls are told the same.
        if self.instant != Some(now) {
            self.go_on(now);
        }
    }

    #[inline(never)]
    fn go_on(&mut self, now: Instant) {
        let origin = *self.origin.get_or_insert(now);
        self.now = self.now.max(nanos(now.saturating_duration_since(origin)));
        self.instant = Some(now);
    }

    fn start(&mut self, time: Nanos) -> Timer {
        if self.told {
            return self.at(self.now + time);
        }
        self.unset = true;
        if self.origin.is_some() {
            let _ = self.at(self.now);
        }
        Timer::unset(time)
    }

    fn at(&mut self, at: Nanos) -> Timer {
        self.earliest = self.earliest.min(Timer(at));
        Timer(at)
    }

    fn instant(&self, timer: Timer) -> Option<Instant> {
        self.origin.filter(|_| timer.0 < UNSET).map(|origin| origin + Duration::from_nanos(timer.0))
    }

    /// Due at `instant`; never, if there is none.
    fn timer(&self, instant: Option<Instant>) -> Timer {
        match (instant, self.origin) {
            (Some(instant), Some(origin)) => Timer(nanos(instant.saturating_duration_since(origin))),
            _ => Timer::OFF,
        }
    }
}

/// What is waited for, as far as a timer depends on it: a sum of these.
type Waits = u8;

const HEAD: Waits = 1;
const IDLE: Waits = 2;
const HANDLER: Waits = 4;
const BODY: Waits = 8;
const LINGER: Waits = 16;

/// In the order of the fields: what every request touches comes first.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Deadlines {
    clock: Clock,
    /// As the timers were last set.
    waits: Waits,
    age_set: bool,
    idle: Timer,
    /// How long the connection has been idle when `idle` was last set.
    idle_spent: Nanos,
    write: Timer,
    /// Who is woken when there comes to be a timer that is due before this.
    watch: Option<(Timer, Waker)>,
    bytes: usize,
    /// How far ahead `body_rate` was when waiting for the body was interrupted, if it was.
    body_credit: Timer,
    head: Timer,
    body_idle: Timer,
    /// When the peer will have fallen too far behind the minimum rate; every byte moves it out.
    body_rate: Timer,
    handler: Timer,
    linger: Timer,
    age: Timer,
}

impl Default for Deadlines {
    fn default() -> Self {
        let timer = Timer::OFF;
        Self {
            clock: Clock { origin: None, now: 0, instant: None, told: false, unset: true, earliest: timer },
            waits: 0,
            head: timer,
            idle: timer,
            idle_spent: 0,
            body_idle: timer,
            body_rate: timer,
            body_credit: timer,
            handler: timer,
            write: timer,
            linger: timer,
            age: timer,
            age_set: false,
            bytes: 0,
            watch: None,
        }
    }
}

impl Deadlines {
    /// Begins a call that is told the time.
    pub(crate) fn enter(&mut self, now: Instant) {
        self.clock.set(now);
        self.clock.told = true;
    }

    /// Begins a call that is told the time and will change nothing; says whether there is something to do all the same.
    pub(crate) fn pass(&mut self, now: Instant) -> bool {
        self.clock.set(now);
        self.clock.told = self.clock.unset;
        self.clock.unset
    }

    /// A head is complete; the next begins its own time.
    pub(crate) fn head_read(&mut self) {
        if self.head != Timer::OFF {
            cold_path();
            self.head = Timer::OFF;
            self.waits &= !HEAD;
        }
    }

    /// So many bytes of a body came.
    pub(crate) fn body_read(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    /// The peer took something, or there is nothing more to take.
    pub(crate) fn written(&mut self) {
        self.write = Timer::OFF;
    }

    fn all(&mut self) -> [&mut Timer; 8] {
        let Self { head, idle, body_idle, body_rate, handler, write, linger, age, .. } = self;
        [head, idle, body_idle, body_rate, handler, write, linger, age]
    }

    /// The earliest; at once if one is to be started.
    fn earliest(&self) -> Timer {
        let Self { head, idle, body_idle, body_rate, handler, write, linger, age, .. } = self;
        let timers = [head, idle, body_idle, body_rate, handler, write, linger, age];
        let due = |timer: &Timer| timer.to_run().map_or(*timer, |_| Timer(self.clock.now));
        timers.into_iter().map(due).min().unwrap_or(Timer::OFF)
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.clock.instant(self.earliest())
    }

    /// Wakes `waker` when the earliest becomes earlier than `before`. Not if it is.
    pub(crate) fn watch(&mut self, waker: &Waker, before: Option<Instant>) -> bool {
        let before = self.clock.timer(before);
        if self.clock.earliest < before {
            self.clock.earliest = self.earliest();
            if self.clock.earliest < before && self.clock.origin.is_some() {
                return false;
            }
        }
        match &mut self.watch {
            Some((watched, watching)) => {
                *watched = before;
                watching.clone_from(waker);
            }
            none => *none = Some((before, waker.clone())),
        }
        true
    }

    /// Idle time begins, or is over.
    fn keep_idle(&mut self, first: Option<Nanos>) {
        self.idle_spent = 0;
        self.idle = first.map_or(Timer::OFF, |first| self.clock.start(first));
        self.body_credit = Timer::OFF;
    }

    /// A body's bytes move its timers out.
    fn credit_body(&mut self, idle: Option<Duration>, rate: Option<u32>) {
        let bytes = std::mem::take(&mut self.bytes) as u64;
        let (true, Some(idle)) = (bytes > 0, idle) else { return };
        let latest = self.clock.now + nanos(idle);
        if let Some(at) = self.body_idle.at() {
            *at = latest;
        }
        if let (Some(at), Some(rate)) = (self.body_rate.at(), rate) {
            let credit = bytes.saturating_mul(1_000_000_000) / u64::from(rate.max(1));
            *at = at.saturating_add(credit).min(latest);
        }
    }

    /// Starts what is to be started, if the time is known.
    fn start(&mut self) {
        if self.clock.told && self.clock.unset {
            self.clock.unset = false;
            let (now, mut earliest) = (self.clock.now, self.clock.earliest);
            for timer in self.all() {
                if let Some(time) = timer.to_run() {
                    *timer = Timer(now + time);
                    earliest = earliest.min(*timer);
                }
            }
            self.clock.earliest = earliest;
        }
        self.clock.told = false;
        self.check_watch();
    }

    /// Wakes whoever would sleep too long.
    fn check_watch(&mut self) {
        if self.watch.as_ref().is_some_and(|(before, _)| self.clock.earliest < *before) {
            self.wake_watch();
        }
    }

    #[inline(never)]
    fn wake_watch(&mut self) {
        if let Some((_, waker)) = self.watch.take() {
            waker.wake();
        }
    }
}

impl Inner {
    /// Lets every timer run that has something to wait for, and no other.
    pub(crate) fn set_timers(&mut self) {
        let waits = self.waits();
        let deadlines = &mut self.deadlines;
        let changed = std::mem::replace(&mut deadlines.waits, waits) ^ waits;
        if changed & !IDLE == 0 && deadlines.bytes == 0 && !deadlines.clock.unset {
            // As most calls leave it: a request begins or ends being answered.
            if changed & waits != 0 {
                deadlines.keep_idle(self.config.idle_first());
                deadlines.check_watch();
            } else if changed != 0 {
                deadlines.keep_idle(None);
            }
            deadlines.clock.told = false;
        } else {
            cold_path();
            self.set_each_timer(waits, changed);
        }
    }

    #[inline(never)]
    fn set_each_timer(&mut self, waits: Waits, changed: Waits) {
        let deadlines = &mut self.deadlines;
        let timeouts = &self.config.timeouts;
        let waits_for = |what: Waits| waits & what != 0;
        if changed & IDLE != 0 {
            deadlines.keep_idle(self.config.idle_first().filter(|_| waits_for(IDLE)));
        }
        if changed & HEAD != 0 {
            deadlines.head.keep(timeouts.head.filter(|_| waits_for(HEAD)), &mut deadlines.clock);
        }
        if changed & HANDLER != 0 {
            deadlines.handler.keep(timeouts.handler.filter(|_| waits_for(HANDLER)), &mut deadlines.clock);
        }
        if changed & LINGER != 0 {
            deadlines.linger.keep(waits_for(LINGER).then_some(timeouts.linger), &mut deadlines.clock);
        }
        if !deadlines.age_set {
            deadlines.age_set = true;
            let age = timeouts.age.map(|age| jittered(age, (self.config.random)()));
            deadlines.age.keep(age, &mut deadlines.clock);
        }
        if deadlines.bytes > 0 || (waits | changed) & BODY != 0 {
            deadlines.credit_body(timeouts.body_idle, timeouts.min_body_rate);
            deadlines.body_idle.keep(timeouts.body_idle.filter(|_| waits_for(BODY)), &mut deadlines.clock);
            if let (Some(at), false) = (deadlines.body_rate.at(), waits_for(BODY)) {
                deadlines.body_credit = Timer(at.saturating_sub(deadlines.clock.now));
            }
            let credit =
                deadlines.body_credit.at().map(|left| Duration::from_nanos(*left)).or(timeouts.body_idle);
            let credit = credit.filter(|_| waits_for(BODY) && timeouts.min_body_rate.is_some());
            deadlines.body_rate.keep(credit, &mut deadlines.clock);
        }
        if self.reading != Reading::Body {
            deadlines.body_credit = Timer::OFF;
        }
        deadlines.start();
    }

    fn waits(&self) -> Waits {
        let handles = self.config.timeouts.handler.is_some() && self.is_handling();
        let handler = if handles { HANDLER } else { 0 };
        handler
            | match self.reading {
                Reading::Head if self.partial_head => HEAD,
                Reading::Head if self.is_idle() => IDLE,
                Reading::Head => 0,
                _ => self.waits_otherwise(),
            }
    }

    #[inline(never)]
    fn waits_otherwise(&self) -> Waits {
        match self.reading {
            Reading::Body if self.body_is_awaited() => BODY,
            Reading::Discard { .. } if self.writer_is_done() => LINGER,
            _ => 0,
        }
    }

    fn is_handling(&self) -> bool {
        let first = self.exchanges.front();
        first.is_some_and(|first| matches!(first.answer, Answer::Waiting | Answer::Streaming(_)))
    }

    fn body_is_awaited(&self) -> bool {
        let invited = !self.exchanges.last().is_some_and(|(last, answer)| {
            last.terms.continue_due && matches!(answer, Answer::Queued | Answer::Waiting)
        });
        invited && self.may_read() && !self.held_back
    }

    /// Ends the connection if it has been idle for too long, by the measure of the moment.
    fn look_at_idle(&mut self, now: Nanos) {
        let spent = Duration::from_nanos(self.deadlines.idle_spent);
        let spent = spent + self.config.idle_step(spent).unwrap_or_default();
        let crowded = self.config.is_crowded();
        match self.config.idle_step(spent) {
            step if crowded || step == Some(Duration::ZERO) => {
                self.rare().timed_out = Some("idle");
                self.close();
            }
            Some(step) => {
                self.deadlines.idle_spent = nanos(spent);
                self.deadlines.idle = Timer(now + nanos(step));
            }
            None => self.deadlines.idle = Timer::OFF,
        }
    }

    /// Bytes have been handed to the writing loop: the peer has to take some.
    pub(crate) fn writing_begun(&mut self) {
        let Deadlines { clock, write, .. } = &mut self.deadlines;
        if let (Some(time), true) = (self.config.timeouts.write_stall, *write == Timer::OFF) {
            *write = clock.at(clock.now + nanos(time));
            self.deadlines.check_watch();
        }
    }

    /// Acts on what is due.
    pub(crate) fn handle_deadline(&mut self, now: Instant) {
        self.deadlines.enter(now);
        self.deadlines.clock.unset = true;
        self.set_timers();
        self.deadlines.clock.told = true;
        let now = self.deadlines.clock.now;
        if self.deadlines.write.is_due(now) {
            self.rare().timed_out = Some("write stall");
            self.lose();
        }
        if self.deadlines.linger.is_due(now) {
            self.reading = Reading::Closed;
        }
        if self.deadlines.head.is_due(now) {
            self.rare().timed_out = Some("head");
            self.reject(RequestError::TooSlow, false);
        }
        if self.deadlines.body_idle.is_due(now) || self.deadlines.body_rate.is_due(now) {
            self.rare().timed_out = Some("body");
            self.fail_body(RequestError::TooSlow);
        }
        if self.deadlines.handler.is_due(now) {
            self.rare().timed_out = Some("handler");
            self.fail_handler(RequestError::HandlerTooSlow);
        }
        if self.deadlines.idle.is_due(now) {
            self.look_at_idle(now);
        }
        if self.deadlines.age.is_due(now) {
            self.rare().timed_out = Some("age");
            self.deadlines.age = Timer::OFF;
            self.drain();
        }
        self.leave();
        self.deadlines.clock.earliest = self.deadlines.earliest();
    }
}

/// Less up to a tenth.
fn jittered(age: Duration, random: u64) -> Duration {
    age - age.mul_f64((random % 1000) as f64 / 10_000.0)
}

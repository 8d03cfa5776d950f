//! The moves of time (H11). Instants come in; nothing here reads a clock.
//!
//! A timer can be started by a call that was not told the time. It is then due at once, and the first call that is
//! told the time starts it in earnest.

use std::{
    task::Waker,
    time::{Duration, Instant},
};

use super::state::{Answer, Inner, Reading};
use crate::RequestError;

/// How long an idle connection keeps the buffers of its last answer: long enough that a busy one never gives them
/// back, short against the time connections lie idle.
const KEEP_BUFFERS: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Timer {
    #[default]
    Off,
    /// To be started when the time is known.
    Unset(Duration),
    At(Instant),
}

impl Timer {
    fn is_due(self, now: Instant) -> bool {
        matches!(self, Self::At(at) if at <= now)
    }

    /// Runs exactly while there is a time for it.
    fn keep(&mut self, time: Option<Duration>, clock: &mut Clock) {
        match (time, *self) {
            (Some(time), Self::Off) => *self = clock.start(time),
            (Some(_), _) => {}
            (None, _) => *self = Self::Off,
        }
    }
}

/// What the timers know of the time.
#[derive(Debug, Default)]
struct Clock {
    /// The latest instant told.
    now: Option<Instant>,
    /// This call was told it.
    told: bool,
    /// Timers may wait to be started.
    unset: bool,
    /// No timer is due before. When timers stop or move out it is left alone: looking once too early costs less than
    /// looking for the earliest at every change.
    earliest: Option<Instant>,
}

impl Clock {
    fn start(&mut self, time: Duration) -> Timer {
        match self.now {
            Some(now) if self.told => self.at(now + time),
            now => {
                self.unset = true;
                if let Some(now) = now {
                    let _ = self.at(now);
                }
                Timer::Unset(time)
            }
        }
    }

    fn at(&mut self, at: Instant) -> Timer {
        self.earliest = Some(self.earliest.map_or(at, |earliest| earliest.min(at)));
        Timer::At(at)
    }
}

/// What is waited for, as far as a timer depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Waits {
    head: bool,
    idle: bool,
    handler: bool,
    body: bool,
    linger: bool,
}

#[derive(Debug)]
pub(crate) struct Deadlines {
    clock: Clock,
    /// As the timers were last set.
    waits: Waits,
    head: Timer,
    idle: Timer,
    /// How long the connection has been idle when `idle` was last set.
    idle_spent: Duration,
    buffers: Timer,
    body_idle: Timer,
    /// When the peer will have fallen too far behind the minimum rate; every byte moves it out.
    body_rate: Timer,
    /// How far that was when waiting for the body was interrupted.
    body_credit: Option<Duration>,
    handler: Timer,
    write: Timer,
    linger: Timer,
    age: Timer,
    age_set: bool,
    bytes: usize,
    watch: Option<(Option<Instant>, Waker)>,
}

impl Default for Deadlines {
    fn default() -> Self {
        let timer = Timer::Off;
        Self {
            clock: Clock { unset: true, ..Clock::default() },
            waits: Waits::default(),
            head: timer,
            idle: timer,
            idle_spent: Duration::ZERO,
            buffers: timer,
            body_idle: timer,
            body_rate: timer,
            body_credit: None,
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
        let clock = &mut self.clock;
        clock.now = Some(clock.now.map_or(now, |last| last.max(now)));
        clock.told = true;
    }

    /// A head is complete; the next begins its own time.
    pub(crate) fn head_read(&mut self) {
        if self.head != Timer::Off {
            self.head = Timer::Off;
            self.waits.head = false;
        }
    }

    /// So many bytes of a body came.
    pub(crate) fn body_read(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    /// The peer took something, or there is nothing more to take.
    pub(crate) fn written(&mut self) {
        self.write = Timer::Off;
    }

    fn all(&mut self) -> [&mut Timer; 9] {
        let Self { head, idle, buffers, body_idle, body_rate, handler, write, linger, age, .. } = self;
        [head, idle, buffers, body_idle, body_rate, handler, write, linger, age]
    }

    /// The earliest; at once if one is to be started.
    pub(crate) fn next(&self) -> Option<Instant> {
        let Self { head, idle, buffers, body_idle, body_rate, handler, write, linger, age, .. } = self;
        let timers = [head, idle, buffers, body_idle, body_rate, handler, write, linger, age];
        let instants = timers.into_iter().filter_map(|timer| match timer {
            Timer::Off => None,
            Timer::Unset(_) => self.clock.now,
            Timer::At(at) => Some(*at),
        });
        instants.min()
    }

    /// Wakes `waker` when the earliest becomes earlier than `before`. Not if it is.
    pub(crate) fn watch(&mut self, waker: &Waker, before: Option<Instant>) -> bool {
        if is_earlier(self.clock.earliest, before) {
            self.clock.earliest = self.next();
            if is_earlier(self.clock.earliest, before) {
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

    /// A body's bytes move its timers out.
    fn credit_body(&mut self, idle: Option<Duration>, rate: Option<u32>) {
        let bytes = std::mem::take(&mut self.bytes);
        let (Some(now), true) = (self.clock.now, bytes > 0) else { return };
        if let (Timer::At(at), Some(idle)) = (&mut self.body_idle, idle) {
            *at = now + idle;
        }
        if let (Timer::At(at), Some(rate), Some(idle)) = (&mut self.body_rate, rate, idle) {
            *at = (*at + Duration::from_secs_f64(bytes as f64 / f64::from(rate))).min(now + idle);
        }
    }

    /// Starts what is to be started, if the time is known.
    fn start(&mut self) {
        if let Some(now) = self.clock.now.filter(|_| self.clock.told && self.clock.unset) {
            self.clock.unset = false;
            let mut earliest = self.clock.earliest;
            for timer in self.all() {
                if let Timer::Unset(time) = *timer {
                    let at = now + time;
                    *timer = Timer::At(at);
                    earliest = Some(earliest.map_or(at, |earliest| earliest.min(at)));
                }
            }
            self.clock.earliest = earliest;
        }
        self.clock.told = false;
        self.check_watch();
    }

    /// Wakes whoever would sleep too long.
    fn check_watch(&mut self) {
        if self.watch.as_ref().is_some_and(|(before, _)| is_earlier(self.clock.earliest, *before))
            && let Some((_, waker)) = self.watch.take()
        {
            waker.wake();
        }
    }
}

fn is_earlier(deadline: Option<Instant>, before: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| before.is_none_or(|before| deadline < before))
}

impl Inner {
    /// Lets every timer run that has something to wait for, and no other.
    pub(crate) fn set_timers(&mut self) {
        let waits = self.waits();
        let deadlines = &mut self.deadlines;
        let before = std::mem::replace(&mut deadlines.waits, waits);
        if waits == before && deadlines.bytes == 0 && !deadlines.clock.unset {
            // As most calls leave it.
            deadlines.clock.told = false;
            return;
        }
        let timeouts = &self.config.timeouts;
        if waits.idle != before.idle {
            deadlines.idle_spent = Duration::ZERO;
            let idle = self.config.idle_step(Duration::ZERO).filter(|_| waits.idle);
            deadlines.idle.keep(idle, &mut deadlines.clock);
            deadlines.buffers.keep(waits.idle.then_some(KEEP_BUFFERS), &mut deadlines.clock);
        }
        if waits.head != before.head {
            deadlines.head.keep(timeouts.head.filter(|_| waits.head), &mut deadlines.clock);
        }
        if waits.handler != before.handler {
            deadlines.handler.keep(timeouts.handler.filter(|_| waits.handler), &mut deadlines.clock);
        }
        if waits.linger != before.linger {
            deadlines.linger.keep(waits.linger.then_some(timeouts.linger), &mut deadlines.clock);
        }
        if !deadlines.age_set {
            deadlines.age_set = true;
            let age = timeouts.age.map(|age| jittered(age, (self.config.random)()));
            deadlines.age.keep(age, &mut deadlines.clock);
        }
        if deadlines.bytes > 0 || waits.body || before.body {
            deadlines.credit_body(timeouts.body_idle, timeouts.body_rate_min);
            deadlines.body_idle.keep(timeouts.body_idle.filter(|_| waits.body), &mut deadlines.clock);
            if let (Timer::At(at), Some(now), false) = (deadlines.body_rate, deadlines.clock.now, waits.body)
            {
                deadlines.body_credit = Some(at.saturating_duration_since(now));
            }
            let credit = deadlines.body_credit.or(timeouts.body_idle);
            let credit = credit.filter(|_| waits.body && timeouts.body_rate_min.is_some());
            deadlines.body_rate.keep(credit, &mut deadlines.clock);
        }
        if self.reading != Reading::Body {
            deadlines.body_credit = None;
        }
        deadlines.start();
    }

    fn waits(&self) -> Waits {
        let first = self.exchanges.front();
        let invited = !self
            .exchanges
            .back()
            .is_some_and(|back| back.continue_due && matches!(back.answer, Answer::Queued | Answer::Waiting));
        Waits {
            head: self.partial_head,
            idle: self.is_idle() && !self.partial_head,
            handler: self.config.timeouts.handler.is_some()
                && first.is_some_and(|first| matches!(first.answer, Answer::Waiting | Answer::Streaming(_))),
            body: self.reading == Reading::Body && invited && self.may_read() && !self.held_back,
            linger: self.writer_is_done() && matches!(self.reading, Reading::Discard { .. }),
        }
    }

    /// Ends the connection if it has been idle for too long, by the measure of the moment.
    fn look_at_idle(&mut self, now: Instant) {
        let spent = self.deadlines.idle_spent;
        let spent = spent + self.config.idle_step(spent).unwrap_or_default();
        let crowded = self.config.is_crowded();
        match self.config.idle_step(spent) {
            step if crowded || step == Some(Duration::ZERO) => {
                self.timed_out = Some("idle");
                self.close();
            }
            Some(step) => {
                self.deadlines.idle_spent = spent;
                self.deadlines.idle = Timer::At(now + step);
            }
            None => self.deadlines.idle = Timer::Off,
        }
    }

    /// Bytes have been handed to the writing loop: the peer has to take some.
    pub(crate) fn writing_begun(&mut self) {
        if let (Timer::Off, Some(time), Some(now)) =
            (self.deadlines.write, self.config.timeouts.write_stall, self.deadlines.clock.now)
        {
            self.deadlines.write = self.deadlines.clock.at(now + time);
            self.deadlines.check_watch();
        }
    }

    /// Acts on what is due.
    pub(crate) fn handle_deadline(&mut self, now: Instant) {
        self.deadlines.enter(now);
        self.deadlines.clock.unset = true;
        self.set_timers();
        self.deadlines.enter(now);
        let now = self.deadlines.clock.now.unwrap_or(now);
        if self.deadlines.write.is_due(now) {
            self.timed_out = Some("write stall");
            self.lose();
        }
        if self.deadlines.linger.is_due(now) {
            self.reading = Reading::Closed;
        }
        if self.deadlines.head.is_due(now) {
            self.timed_out = Some("head");
            self.reject(RequestError::TooSlow, false);
        }
        if self.deadlines.body_idle.is_due(now) || self.deadlines.body_rate.is_due(now) {
            self.timed_out = Some("body");
            self.fail_body(RequestError::TooSlow);
        }
        if self.deadlines.handler.is_due(now) {
            self.timed_out = Some("handler");
            self.fail_handler(RequestError::HandlerTooSlow);
        }
        if self.deadlines.idle.is_due(now) {
            self.look_at_idle(now);
        }
        if self.deadlines.age.is_due(now) {
            self.timed_out = Some("age");
            self.deadlines.age = Timer::Off;
            self.drain();
        }
        if self.deadlines.buffers.is_due(now) {
            self.deadlines.buffers = Timer::Off;
            self.output.release();
            self.exchanges.shrink_to_fit();
        }
        self.leave();
        self.deadlines.clock.earliest = self.deadlines.next();
    }
}

/// Less up to a tenth.
fn jittered(age: Duration, random: u64) -> Duration {
    age - age.mul_f64((random % 1000) as f64 / 10_000.0)
}

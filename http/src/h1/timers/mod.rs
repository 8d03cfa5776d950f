//! The timers of a connection. Instants come in; nothing here reads a clock.
//!
//! [`TABLE`] says of each timer what it waits for, how long, and what happens when it expires: a new timer is
//! a row there.
//!
//! A timer can be started by a call that was not told the time. It is then due at once, and the first call
//! that is told the time starts it in earnest.

mod clock;
mod expiry;

use std::{
    hint::cold_path,
    ops::{Index, IndexMut},
    task::Waker,
    time::{Duration, Instant},
};

use super::{
    queue::ResponseState,
    state::{Reading, State, Writing},
};
use crate::{
    RequestError, Timeouts,
    timeouts::{Nanos, nanos},
};
use clock::{Clock, Due};

/// A timer, by its position in [`Timers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Timer {
    /// Between requests. While the connection is drained: until the request that it still waits for.
    Idle,
    /// While the peer accepts nothing of what is to be sent.
    WriteStall,
    /// From the first byte of a head to its last.
    Head,
    /// Between two pieces of a body that a handler waits for.
    BodyIdle,
    /// When the peer will have fallen too far behind the minimum rate; every byte moves it out.
    BodyRate,
    /// From handing a request over to the end of its response.
    Handler,
    /// From the last response to the peer's close.
    Linger,
    /// The life of the connection. While it is drained: until a stream of events ends.
    Age,
    /// From the end of what the peer sends to the last response.
    HalfClosed,
    /// When the peer will have fallen too far behind the minimum rate of writing; every byte moves it out.
    WriteRate,
}

/// The number of timers.
const TIMERS: usize = 10;

/// A set of phases in which a timer runs.
type Phases = u8;

const HEAD: Phases = 1;
const IDLE: Phases = 2;
const HANDLER: Phases = 4;
const BODY: Phases = 8;
const LINGER: Phases = 16;
/// Between requests, while the connection is drained.
const DRAIN: Phases = 32;
/// After the end of what the peer sends, while responses are to follow.
const HALF_CLOSED: Phases = 64;
/// The timer is started elsewhere: by a write, or once for the whole connection.
const ELSEWHERE: Phases = 0;

/// A row of [`TABLE`].
struct Row {
    timer: Timer,
    /// The phase in which it runs.
    phase: Phases,
    timeout: fn(&Timeouts) -> Option<Duration>,
    /// The name under which its expiry is counted, unless the expiry is no fault of the peer.
    name: Option<&'static str>,
    expire: fn(&mut State),
}

/// Every timer, in the order in which expired ones are handled.
const TABLE: [Row; TIMERS] = {
    use Timer::*;
    const fn row(
        timer: Timer,
        phase: Phases,
        timeout: fn(&Timeouts) -> Option<Duration>,
        name: Option<&'static str>,
        expire: fn(&mut State),
    ) -> Row {
        Row { timer, phase, timeout, name, expire }
    }
    [
        row(WriteStall, ELSEWHERE, |t| t.write_stall_timeout, Some("write_stall"), State::transport_failed),
        row(WriteRate, ELSEWHERE, |t| t.write_stall_timeout, Some("write_rate"), State::transport_failed),
        row(Linger, LINGER, |t| Some(t.linger_timeout), None, State::stop_reading),
        row(Head, HEAD, |t| t.head_timeout, Some("head"), |state| state.reject(RequestError::TooSlow, false)),
        row(
            BodyIdle,
            BODY,
            |t| t.body_idle_timeout,
            Some("body"),
            |state| state.fail_body(RequestError::TooSlow),
        ),
        row(
            BodyRate,
            BODY,
            |t| t.body_idle_timeout,
            Some("body"),
            |state| state.fail_body(RequestError::TooSlow),
        ),
        row(
            Handler,
            HANDLER,
            |t| t.handler_timeout,
            Some("handler"),
            |state| {
                state.fail_handler(RequestError::HandlerTooSlow);
            },
        ),
        row(HalfClosed, HALF_CLOSED, |t| t.half_closed_timeout, Some("half_closed"), State::transport_failed),
        row(Idle, IDLE, |t| t.idle_timeout, None, State::handle_idle),
        row(Age, ELSEWHERE, |t| t.age_timeout, None, State::handle_age),
    ]
};

/// The timers of one connection.
///
/// perf: the fields are laid out in this order, so that what every request touches comes first.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Timers {
    clock: Clock,
    /// The phases for which the timers were last set.
    phases: Phases,
    age_started: bool,
    /// How long the connection had been idle when `Idle` was last set.
    idle_spent: Nanos,
    due: [Due; TIMERS],
    /// The waker to use when a timer becomes due before this.
    watch: Option<(Due, Waker)>,
    /// Body bytes received in the present call.
    body_bytes: usize,
    /// How far ahead `BodyRate` was when waiting for the body was interrupted, if it was.
    body_credit: Due,
}

impl Default for Timers {
    fn default() -> Self {
        let never = Due::NEVER;
        Self {
            clock: Clock { origin: None, now: 0, instant: None, told: false, unset: true, earliest: never },
            phases: 0,
            age_started: false,
            idle_spent: 0,
            due: [never; TIMERS],
            watch: None,
            body_bytes: 0,
            body_credit: never,
        }
    }
}

impl Index<Timer> for Timers {
    type Output = Due;

    #[inline]
    fn index(&self, timer: Timer) -> &Due {
        &self.due[timer as usize]
    }
}

impl IndexMut<Timer> for Timers {
    #[inline]
    fn index_mut(&mut self, timer: Timer) -> &mut Due {
        &mut self.due[timer as usize]
    }
}

impl Timers {
    /// Begins a call that is told the time.
    pub(crate) fn enter(&mut self, now: Instant) {
        self.clock.set(now);
        self.clock.told = true;
    }

    /// Begins a call that is told the time and changes nothing; returns whether timers wait for the time all
    /// the same.
    pub(crate) fn enter_read_only(&mut self, now: Instant) -> bool {
        self.clock.set(now);
        self.clock.told = self.clock.unset;
        self.clock.unset
    }

    /// Returns the latest time that was told.
    pub(crate) fn told_time(&self) -> Option<Instant> {
        self.clock.instant
    }

    /// Records that a head is complete; the next one has a timer of its own.
    pub(crate) fn head_read(&mut self) {
        if self[Timer::Head] != Due::NEVER {
            cold_path();
            self[Timer::Head] = Due::NEVER;
            self.phases &= !HEAD;
        }
    }

    /// Records that bytes of a body were received.
    pub(crate) fn body_read(&mut self, bytes: usize) {
        self.body_bytes += bytes;
    }

    /// Records that the peer accepted something.
    pub(crate) fn written(&mut self) {
        self[Timer::WriteStall] = Due::NEVER;
    }

    /// Records that nothing is left to accept.
    pub(crate) fn nothing_to_write(&mut self) {
        self[Timer::WriteStall] = Due::NEVER;
        self[Timer::WriteRate] = Due::NEVER;
    }

    /// Returns the earliest due time; now, if a timer waits for the time to be known.
    fn earliest(&self) -> Due {
        let due = |due: &Due| due.duration().map_or(*due, |_| Due(self.clock.now));
        self.due.iter().map(due).min().unwrap_or(Due::NEVER)
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.clock.instant(self.earliest())
    }

    /// Registers `waker` to be woken when the earliest timer becomes due before `before`. Returns false, and
    /// registers nothing, if one is already.
    pub(crate) fn watch(&mut self, waker: &Waker, before: Option<Instant>) -> bool {
        let before = self.clock.due(before);
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

    /// Starts or stops the idle timer.
    fn keep_idle(&mut self, first: Option<Nanos>) {
        self.idle_spent = 0;
        self[Timer::Idle] = first.map_or(Due::NEVER, |first| self.clock.start(first));
        self.body_credit = Due::NEVER;
    }

    /// Moves the timers of a body out for the bytes received.
    fn credit_body(&mut self, idle: Option<Duration>, rate: Option<u32>) {
        let bytes = std::mem::take(&mut self.body_bytes) as u64;
        let (true, Some(idle)) = (bytes > 0, idle) else { return };
        let latest = self.clock.now + nanos(idle);
        if let Some(time) = self[Timer::BodyIdle].time_mut() {
            *time = latest;
        }
        if let (Some(time), Some(rate)) = (self[Timer::BodyRate].time_mut(), rate) {
            *time = credited(*time, bytes, rate).min(latest);
        }
    }

    /// Starts the timers that wait for the time, if it is known.
    fn start(&mut self) {
        if self.clock.told && self.clock.unset {
            self.clock.unset = false;
            let (now, mut earliest) = (self.clock.now, self.clock.earliest);
            for due in &mut self.due {
                if let Some(duration) = due.duration() {
                    *due = Due(now + duration);
                    earliest = earliest.min(*due);
                }
            }
            self.clock.earliest = earliest;
        }
        self.clock.told = false;
        self.check_watch();
    }

    /// Wakes the watcher if it would sleep too long.
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

impl State {
    /// Lets every timer run that has something to wait for, and no other.
    pub(crate) fn set_timers(&mut self) {
        let phases = self.phases();
        let timers = &mut self.timers;
        let changed = std::mem::replace(&mut timers.phases, phases) ^ phases;
        if changed & !IDLE == 0 && timers.body_bytes == 0 && !timers.clock.unset {
            // Most calls end here: a request begins or ends being answered.
            if changed & phases != 0 {
                timers.keep_idle(self.config.idle_first());
                timers.check_watch();
            } else if changed != 0 {
                timers.keep_idle(None);
            }
            timers.clock.told = false;
        } else {
            cold_path();
            self.set_timers_slow(phases, changed);
        }
    }

    #[inline(never)]
    fn set_timers_slow(&mut self, phases: Phases, changed: Phases) {
        let drain_wait = if changed & phases & DRAIN != 0 { self.drain_wait() } else { None };
        let (timers, timeouts) = (&mut self.timers, &self.config.timeouts);
        if changed & (HEAD | HANDLER | LINGER | HALF_CLOSED) != 0 {
            for Row { timer, phase, timeout, .. } in &TABLE {
                if changed & phase != 0 && !matches!(timer, Timer::Idle | Timer::BodyIdle | Timer::BodyRate) {
                    let timeout = timeout(timeouts).filter(|_| phases & phase != 0);
                    timers.due[*timer as usize].keep(timeout, &mut timers.clock);
                }
            }
        }
        if changed & (IDLE | DRAIN) != 0 {
            let first = match phases & (IDLE | DRAIN) {
                DRAIN => drain_wait,
                IDLE => self.config.idle_first(),
                _ => None,
            };
            timers.keep_idle(first);
        }
        if !timers.age_started {
            timers.age_started = true;
            let age = timeouts.age_timeout.map(|age| jittered(age, (self.config.random)()));
            timers.due[Timer::Age as usize].keep(age, &mut timers.clock);
        }
        if timers.body_bytes > 0 || (phases | changed) & BODY != 0 {
            timers.set_body_timers(timeouts, phases & BODY != 0);
        }
        if self.reading != Reading::Body {
            timers.body_credit = Due::NEVER;
        }
        timers.start();
    }

    /// Returns the phases that the connection is in.
    fn phases(&self) -> Phases {
        let handles = self.config.timeouts.handler_timeout.is_some() && self.is_handling();
        let handler = if handles { HANDLER } else { 0 };
        handler
            | match self.reading {
                Reading::Head if self.partial_head => HEAD,
                Reading::Head if self.is_idle() => IDLE,
                Reading::Head => 0,
                _ => self.phases_slow(),
            }
    }

    #[inline(never)]
    fn phases_slow(&self) -> Phases {
        match self.reading {
            Reading::LastHead if self.partial_head => HEAD,
            Reading::LastHead if self.is_idle() => {
                if self.is_draining() {
                    DRAIN
                } else {
                    IDLE
                }
            }
            Reading::Body if self.body_is_awaited() => BODY,
            Reading::Discard { .. } if self.writer_is_done() => LINGER,
            Reading::Closed if self.writing == Writing::Open => HALF_CLOSED,
            _ => 0,
        }
    }

    fn is_handling(&self) -> bool {
        let first = self.exchanges.front();
        first.is_some_and(|first| {
            matches!(first.response, ResponseState::Waiting | ResponseState::Streaming(_))
        })
    }

    fn body_is_awaited(&self) -> bool {
        let invited = !self.exchanges.last().is_some_and(|(last, response)| {
            last.traits.continue_due && matches!(response, ResponseState::Queued | ResponseState::Waiting)
        });
        invited && self.may_read() && !self.backpressured
    }

    /// Acts on the timers that have expired.
    pub(crate) fn handle_deadline(&mut self, now: Instant) {
        self.timers.enter(now);
        self.timers.clock.unset = true;
        self.set_timers();
        self.timers.clock.told = true;
        let now = self.timers.clock.now;
        let mut body_failed = false;
        for Row { timer, name, expire, .. } in &TABLE {
            if !self.timers[*timer].is_due(now) {
                continue;
            }
            // Both timers of a body end it, and it ends once.
            if matches!(timer, Timer::BodyIdle | Timer::BodyRate) && std::mem::replace(&mut body_failed, true)
            {
                continue;
            }
            if let Some(name) = name {
                self.cold_mut().timed_out = Some(name);
            }
            expire(self);
        }
        self.finish_call();
        self.timers.clock.earliest = self.timers.earliest();
    }
}

impl Timers {
    /// Starts, moves or stops the timers of a body that is awaited or not.
    fn set_body_timers(&mut self, timeouts: &Timeouts, awaited: bool) {
        self.credit_body(timeouts.body_idle_timeout, timeouts.min_body_rate);
        let idle = timeouts.body_idle_timeout.filter(|_| awaited);
        self.due[Timer::BodyIdle as usize].keep(idle, &mut self.clock);
        let now = self.clock.now;
        if let (Some(time), false) = (self[Timer::BodyRate].time_mut(), awaited) {
            self.body_credit = Due(time.saturating_sub(now));
        }
        let credit = self.body_credit.time_mut().map(|left| Duration::from_nanos(*left));
        let credit = credit.or(timeouts.body_idle_timeout);
        let credit = credit.filter(|_| awaited && timeouts.min_body_rate.is_some());
        self.due[Timer::BodyRate as usize].keep(credit, &mut self.clock);
    }
}

/// Moves `time` out by the time that `bytes` take at `rate` bytes a second.
fn credited(time: Nanos, bytes: u64, rate: u32) -> Nanos {
    time.saturating_add(bytes.saturating_mul(1_000_000_000) / u64::from(rate.max(1)))
}

/// Shortens `age` by up to a tenth.
fn jittered(age: Duration, random: u64) -> Duration {
    age - age.mul_f64((random % 1000) as f64 / 10_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_timer_has_one_row() {
        let mut rows = [0; TIMERS];
        for row in &TABLE {
            rows[row.timer as usize] += 1;
        }
        assert_eq!(rows, [1; TIMERS]);
    }
}

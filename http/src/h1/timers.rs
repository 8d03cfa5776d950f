//! The timers of a connection. Instants come in; nothing here reads a clock.
//!
//! [`TABLE`] says of each timer what it waits for, how long, and what happens when it expires: a new timer is
//! a row there.
//!
//! A timer can be started by a call that was not told the time. It is then due at once, and the first call
//! that is told the time starts it in earnest.

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
    timeouts::{Nanos, UNSET, nanos},
};

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

/// When a timer is due: at a time, never, or a duration after the time is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Due(Nanos);

impl Due {
    const NEVER: Self = Self(Nanos::MAX);

    /// Due `duration` after the time is known.
    fn after(duration: Nanos) -> Self {
        Self(UNSET | duration)
    }

    /// Returns the duration to wait once the time is known.
    fn duration(self) -> Option<Nanos> {
        (self.0 >= UNSET && self != Self::NEVER).then_some(self.0 & !UNSET)
    }

    fn time_mut(&mut self) -> Option<&mut Nanos> {
        (self.0 < UNSET).then_some(&mut self.0)
    }

    fn is_due(self, now: Nanos) -> bool {
        self.0 <= now
    }

    /// Starts the timer if there is a timeout and it does not run, and stops it if there is none.
    fn keep(&mut self, timeout: Option<Duration>, clock: &mut Clock) {
        match timeout {
            Some(timeout) if *self == Self::NEVER => *self = clock.start(nanos(timeout)),
            Some(_) => {}
            None => *self = Self::NEVER,
        }
    }
}

/// The time as far as the timers have been told it.
#[derive(Debug)]
struct Clock {
    /// The first time told.
    origin: Option<Instant>,
    /// The latest time told, in nanoseconds after `origin` and as it was told.
    now: Nanos,
    instant: Option<Instant>,
    /// The present call was told the time.
    told: bool,
    /// Some timers may wait for the time to be known.
    unset: bool,
    /// No timer is due before this. It is left alone when timers stop or move out: checking once too early
    /// costs less than searching for the earliest at every change.
    earliest: Due,
}

impl Clock {
    #[inline]
    fn set(&mut self, now: Instant) {
        // Several calls are told the same time.
        if self.instant != Some(now) {
            self.set_slow(now);
        }
    }

    #[inline(never)]
    fn set_slow(&mut self, now: Instant) {
        let origin = *self.origin.get_or_insert(now);
        self.now = self.now.max(nanos(now.saturating_duration_since(origin)));
        self.instant = Some(now);
    }

    fn start(&mut self, time: Nanos) -> Due {
        if self.told {
            return self.at(self.now + time);
        }
        self.unset = true;
        if self.origin.is_some() {
            let _ = self.at(self.now);
        }
        Due::after(time)
    }

    fn at(&mut self, at: Nanos) -> Due {
        self.earliest = self.earliest.min(Due(at));
        Due(at)
    }

    fn instant(&self, timer: Due) -> Option<Instant> {
        self.origin.filter(|_| timer.0 < UNSET).map(|origin| origin + Duration::from_nanos(timer.0))
    }

    /// Returns the due time of `instant`; never if there is none.
    fn due(&self, instant: Option<Instant>) -> Due {
        match (instant, self.origin) {
            (Some(instant), Some(origin)) => Due(nanos(instant.saturating_duration_since(origin))),
            _ => Due::NEVER,
        }
    }
}

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

    /// Returns since when nothing is under way, as far as the time was told.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        if self.activity() != "idle" {
            return None;
        }
        let Timers { clock, idle_spent, due, .. } = &self.timers;
        let due = due[Timer::Idle as usize];
        let waited = self.config.idle_step(Duration::from_nanos(*idle_spent)).map(nanos);
        match (clock.origin, waited) {
            (Some(origin), Some(waited)) if due.0 < UNSET => {
                let since = due.0.saturating_sub(waited).saturating_sub(*idle_spent);
                Some(origin + Duration::from_nanos(since))
            }
            // Without the timer, no time was told since then.
            _ => clock.instant,
        }
    }

    /// Ends the connection if it has been idle for too long under the present load, or has waited for the
    /// last request of a drain.
    fn handle_idle(&mut self) {
        if self.timers.phases & DRAIN != 0
            && (self.requests == 0 || self.config.timeouts.drain_idle_timeout.is_some())
        {
            // A request that is on its way must not reset the last response.
            self.linger = self.drain_time_left() != Some(0);
            return self.end();
        }
        let spent = Duration::from_nanos(self.timers.idle_spent);
        let spent = spent + self.config.idle_step(spent).unwrap_or_default();
        let overloaded = self.config.is_overloaded();
        match self.config.idle_step(spent) {
            step if overloaded || step == Some(Duration::ZERO) => {
                self.cold_mut().timed_out = Some("idle");
                self.close();
            }
            Some(step) => {
                self.timers.idle_spent = nanos(spent);
                self.timers[Timer::Idle] = Due(self.timers.clock.now + nanos(step));
            }
            None => self.timers[Timer::Idle] = Due::NEVER,
        }
    }

    /// Returns how long a connection that is drained waits for its last request: a fresh one for the time of
    /// the first request, another one between half and the whole of the time between requests, so that
    /// clients do not all come back at once. The deadline bounds both.
    fn drain_wait(&self) -> Option<Nanos> {
        let timeouts = &self.config.timeouts;
        let wait = match timeouts.drain_idle_timeout.map(nanos) {
            _ if self.requests == 0 => nanos(timeouts.drain_first_timeout),
            Some(whole) => whole - (self.config.random)() % (whole / 2).max(1),
            None => return self.config.idle_first(),
        };
        Some(self.drain_time_left().map_or(wait, |left| wait.min(left)))
    }

    /// Returns the time left until the deadline of the drain, if there is one, as far as the time was told.
    fn drain_time_left(&self) -> Option<Nanos> {
        let deadline = self.cold.as_ref().and_then(|cold| cold.drain.as_ref()?.deadline)?;
        let Due(deadline) = self.timers.clock.due(Some(deadline));
        Some(deadline.saturating_sub(self.timers.clock.now))
    }

    /// Drains a connection of age. Ends the stream of events of one that is drained.
    fn handle_age(&mut self) {
        self.timers[Timer::Age] = Due::NEVER;
        if self.is_draining() {
            self.end_event_stream();
        } else {
            self.cold_mut().timed_out = Some("age");
            self.drain(None);
        }
    }

    /// Bounds the stream of events that is being written, if the connection is drained: it ends at a random
    /// moment in the first half of the time left, so that clients do not all come back at once.
    pub(crate) fn limit_event_stream(&mut self) {
        let Some(left) = self.drain_time_left().filter(|_| self.has_event_stream()) else { return };
        let random = (self.config.random)();
        let timers = &mut self.timers;
        timers[Timer::Age] = timers.clock.at(timers.clock.now + random % (left / 2).max(1));
        timers.check_watch();
    }

    /// Reads nothing more.
    fn stop_reading(&mut self) {
        self.move_reading(Reading::Closed);
    }

    /// Records that bytes have been handed to the writer: the peer has to accept some.
    pub(crate) fn writing_begun(&mut self) {
        let timers = &mut self.timers;
        if let (Some(timeout), true) =
            (self.config.timeouts.write_stall_timeout, timers[Timer::WriteStall] == Due::NEVER)
        {
            timers[Timer::WriteStall] = timers.clock.at(timers.clock.now + nanos(timeout));
            timers.check_watch();
        }
    }

    /// Records that the peer has accepted only a part of what it was offered: the rest has to follow at the
    /// minimum rate. Code that counts what is sent then takes the slow path, by which the timer is moved.
    #[cold]
    pub(crate) fn writing_waits(&mut self) {
        let Timeouts { write_stall_timeout, min_write_rate, .. } = &self.config.timeouts;
        let (Some(timeout), Some(_)) = (*write_stall_timeout, min_write_rate) else { return };
        let timers = &mut self.timers;
        if timers[Timer::WriteRate] == Due::NEVER {
            timers[Timer::WriteRate] = timers.clock.at(timers.clock.now + nanos(timeout));
            timers.check_watch();
            let _ = self.cold_mut();
        }
    }

    /// Moves the timer of the rate of writing out for the bytes sent, and stops it when none are left.
    pub(crate) fn credit_writing(&mut self, bytes: usize) {
        let all_sent = self.pending() == 0;
        let Timeouts { write_stall_timeout, min_write_rate, .. } = &self.config.timeouts;
        let timers = &mut self.timers;
        if all_sent {
            timers[Timer::WriteRate] = Due::NEVER;
        } else if let (Some(timeout), Some(rate)) = (*write_stall_timeout, *min_write_rate) {
            let latest = timers.clock.now + nanos(timeout);
            if let Some(time) = timers[Timer::WriteRate].time_mut() {
                *time = credited(*time, bytes as u64, rate).min(latest);
            }
        }
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

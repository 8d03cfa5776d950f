//! The expiry of the timers of idleness and age, and the moves of those of writing.

use std::time::{Duration, Instant};

use super::{DRAIN, Timer, Timers, clock::Due, credited};
use crate::{
    Timeouts,
    h1::state::{Reading, State},
    timeouts::{Nanos, UNSET, nanos},
};

impl State {
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
    pub(super) fn handle_idle(&mut self) {
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
    pub(super) fn drain_wait(&self) -> Option<Nanos> {
        let timeouts = &self.config.timeouts;
        let wait = match timeouts.drain_idle_timeout.map(nanos) {
            _ if self.requests == 0 => nanos(timeouts.drain_first_timeout),
            Some(whole) => whole - (self.config.random)() % (whole / 2).max(1),
            None => return self.config.idle_first(),
        };
        Some(self.drain_time_left().map_or(wait, |left| wait.min(left)))
    }

    /// Returns the time left until the deadline of the drain, if there is one, as far as the time was told.
    pub(super) fn drain_time_left(&self) -> Option<Nanos> {
        let deadline = self.cold.as_ref().and_then(|cold| cold.drain.as_ref()?.deadline)?;
        let Due(deadline) = self.timers.clock.due(Some(deadline));
        Some(deadline.saturating_sub(self.timers.clock.now))
    }

    /// Drains a connection of age. Ends the stream of events of one that is drained.
    pub(super) fn handle_age(&mut self) {
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
    pub(super) fn stop_reading(&mut self) {
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
}

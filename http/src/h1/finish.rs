//! The end of a call: the tasks that it wakes, and what has come to its end.

use std::{hint::cold_path, task::Waker};

use super::state::{Cold, Reading, State, Writing};

impl State {
    pub(crate) fn wake_body(&mut self) {
        self.wake_cold(|cold| cold.body.take());
    }

    pub(crate) fn wake_flush(&mut self) {
        self.wake_cold(|cold| cold.flush.take().map(|(_, waker)| waker));
    }

    pub(crate) fn wake_upgrade(&mut self) {
        self.wake_cold(|cold| cold.upgrade.take());
    }

    fn wake_cold(&mut self, waker: impl FnOnce(&mut Cold) -> Option<Waker>) {
        if let Some(waker) = self.cold.as_deref_mut().and_then(waker) {
            self.wake_unlocked([waker]);
        }
    }

    /// Wakes tasks when the lock is released.
    pub(super) fn wake_unlocked(&mut self, wakers: impl IntoIterator<Item = Waker>) {
        let woken = &mut self.cold_mut().woken;
        woken.extend(wakers);
        self.has_woken = !woken.is_empty();
    }

    pub(super) fn wake_all(&mut self) {
        self.wake_reader();
        self.writer.wake_waiting();
        self.wake_next();
        self.wake_body();
        self.wake_flush();
        self.wake_upgrade();
    }

    /// Finishes a call: ends what has come to its end, resumes the reader if it may continue, and sets the
    /// timers.
    pub(crate) fn finish_call(&mut self) {
        let goes_on =
            self.writing == Writing::Open && self.reading == Reading::Head && self.lost_at.is_none();
        if !goes_on || self.reader_waits {
            cold_path();
            self.advance_shutdown();
        }
        self.set_timers();
    }

    #[inline(never)]
    fn advance_shutdown(&mut self) {
        if self.writer_is_done()
            && let Reading::Discard { left, seen } = self.reading
            && (left == 0 || !(self.linger || seen))
        {
            self.move_reading(Reading::Closed);
        }
        if self.is_closed() {
            self.wake_all();
        }
        if self.peer_is_gone() {
            if let Some(waker) = self.handler_waker.take() {
                waker.wake();
            }
            if let Some(cold) = &mut self.cold {
                let endings = cold.endings.take();
                self.wake_unlocked(endings);
            }
        }
        if self.reader_waits && self.may_read() {
            self.wake_reader();
        }
    }
}

impl State {
    /// Wakes the tasks that wait for what a call of the application has changed, as `finish_call` does. Most
    /// calls change only output, which the driver fetches in the same poll slice, and then nothing is to be
    /// done.
    pub(crate) fn finish_call_fast(&mut self) {
        let timed = self.config.timeouts.handler_timeout.is_some() || self.reading != Reading::Head;
        if timed || self.reader_waits || self.writing != Writing::Open {
            cold_path();
            self.finish_call_slow();
        }
    }

    #[inline(never)]
    fn finish_call_slow(&mut self) {
        self.finish_call();
    }
}

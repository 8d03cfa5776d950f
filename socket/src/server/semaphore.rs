//! How many may be in at once: an exact number that can be changed while they are in, and a queue at the door.

use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use parking_lot::{Mutex, MutexGuard};

/// The door.
#[derive(Debug)]
pub(crate) struct Limit {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    max: usize,
    inside: usize,
    /// First come, first served. Those who gave up waiting have taken their waker out.
    waiting: VecDeque<(u64, Waker)>,
    next_ticket: u64,
}

impl Limit {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        let state = State { max, inside: 0, waiting: VecDeque::new(), next_ticket: 0 };
        Arc::new(Self { state: Mutex::new(state) })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Waits for a place.
    ///
    /// Cancel safe: dropped before it is ready, it holds no place, and nobody behind it waits for it.
    pub(crate) async fn enter(self: &Arc<Self>) -> Permit {
        let mut wait = self.wait();
        poll_fn(|cx| wait.poll(cx)).await
    }

    /// A place in the queue, for whoever waits for something else too.
    pub(crate) fn wait(self: &Arc<Self>) -> Wait<'_> {
        Wait { limit: self, ticket: None }
    }

    /// A place, if there is one now.
    pub(crate) fn try_enter(self: &Arc<Self>) -> Option<Permit> {
        let mut state = self.lock();
        (state.inside < state.max).then(|| state.inside += 1)?;
        Some(Permit(self.clone()))
    }

    /// Changes how many may be in. Nobody is sent out.
    pub(crate) fn set_max(&self, max: usize) {
        let mut state = self.lock();
        state.max = max;
        let next = state.next_to_wake();
        drop(state);
        if let Some(next) = next {
            next.wake();
        }
    }

    pub(crate) fn max(&self) -> usize {
        self.lock().max
    }

    fn leave(&self) {
        let mut state = self.lock();
        state.inside -= 1;
        let next = state.next_to_wake();
        drop(state);
        if let Some(next) = next {
            next.wake();
        }
    }
}

impl State {
    fn next_to_wake(&mut self) -> Option<Waker> {
        (self.inside < self.max).then(|| self.waiting.pop_front()).flatten().map(|(_, waker)| waker)
    }
}

/// Somebody who waits for a place. Dropped, nobody behind it waits for it.
pub(crate) struct Wait<'a> {
    limit: &'a Arc<Limit>,
    ticket: Option<u64>,
}

impl Wait<'_> {
    /// Ready with a place; else whoever asks is woken when there is one. Can be asked again for another.
    pub(crate) fn poll(&mut self, cx: &Context<'_>) -> Poll<Permit> {
        let mut state = self.limit.lock();
        if state.inside < state.max {
            state.inside += 1;
            self.leave_queue(&mut state);
            // There may be room for the next one too: it was told of one place only.
            let next = state.next_to_wake();
            drop(state);
            if let Some(next) = next {
                next.wake();
            }
            return Poll::Ready(Permit(self.limit.clone()));
        }
        let ticket = *self.ticket.get_or_insert_with(|| {
            state.next_ticket += 1;
            state.next_ticket
        });
        match state.waiting.iter_mut().find(|(waiting, _)| *waiting == ticket) {
            Some((_, waker)) => waker.clone_from(cx.waker()),
            None => state.waiting.push_back((ticket, cx.waker().clone())),
        }
        Poll::Pending
    }

    fn leave_queue(&mut self, state: &mut State) {
        if let Some(ticket) = self.ticket.take() {
            state.waiting.retain(|&(waiting, _)| waiting != ticket);
        }
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if self.ticket.is_none() {
            return;
        }
        let mut state = self.limit.lock();
        self.leave_queue(&mut state);
        // It may have been woken and gone without entering: then the place is the next one's.
        let next = state.next_to_wake();
        drop(state);
        if let Some(next) = next {
            next.wake();
        }
    }
}

/// A place inside; given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit(Arc<Limit>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.leave();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    fn try_enter(limit: &Arc<Limit>) -> Option<Permit> {
        match limit.wait().poll(&Context::from_waker(Waker::noop())) {
            Poll::Ready(permit) => Some(permit),
            Poll::Pending => None,
        }
    }

    #[test]
    fn the_limit_is_exact() {
        let limit = Limit::new(2);
        let first = try_enter(&limit);
        let second = try_enter(&limit);
        assert!(first.is_some() && second.is_some() && try_enter(&limit).is_none());
        drop(first);
        let third = try_enter(&limit);
        assert!(third.is_some() && try_enter(&limit).is_none());
    }

    #[test]
    fn raised_it_lets_more_in_and_lowered_it_sends_nobody_out() {
        let limit = Limit::new(1);
        let mut inside = vec![try_enter(&limit).unwrap()];
        limit.set_max(3);
        inside.push(try_enter(&limit).unwrap());
        inside.push(try_enter(&limit).unwrap());
        limit.set_max(1);
        assert!(try_enter(&limit).is_none());
        inside.truncate(1);
        assert!(try_enter(&limit).is_none());
        inside.clear();
        assert!(try_enter(&limit).is_some());
    }

    #[test]
    fn one_that_was_woken_and_left_passes_its_place_on() {
        use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
        struct Flag(AtomicBool);
        impl std::task::Wake for Flag {
            fn wake(self: Arc<Self>) {
                self.0.store(true, SeqCst);
            }
        }
        let limit = Limit::new(1);
        let inside = try_enter(&limit);
        let mut first = Box::pin(limit.enter());
        assert!(first.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let flag = Arc::new(Flag(AtomicBool::new(false)));
        let waker = Waker::from(flag.clone());
        let mut second = pin!(limit.enter());
        assert!(second.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        drop(inside); // wakes the first
        drop(first);
        assert!(flag.0.load(SeqCst), "the second is told");
        assert!(second.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
    }
}

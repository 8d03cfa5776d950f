//! A fair semaphore: an exact number of permits, which can be changed while some are in use.

use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use parking_lot::{Mutex, MutexGuard};

/// The semaphore.
#[derive(Debug)]
pub(crate) struct Semaphore {
    state: Mutex<SemaphoreState>,
}

#[derive(Debug)]
struct SemaphoreState {
    max: usize,
    in_use: usize,
    /// Queued acquires, in FIFO order. A dropped acquire has taken its waker out.
    waiting: VecDeque<(u64, Waker)>,
    next_ticket: u64,
}

impl Semaphore {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        let state = SemaphoreState { max, in_use: 0, waiting: VecDeque::new(), next_ticket: 0 };
        Arc::new(Self { state: Mutex::new(state) })
    }

    fn lock(&self) -> MutexGuard<'_, SemaphoreState> {
        self.state.lock()
    }

    /// Waits for a permit.
    ///
    /// Cancel safe: if the future is dropped before it is ready, it holds no permit and delays no queued
    /// acquire.
    pub(crate) async fn acquire(self: &Arc<Self>) -> Permit {
        let mut acquire = self.start_acquire();
        poll_fn(|cx| acquire.poll(cx)).await
    }

    /// Returns an acquire to poll, for a caller that waits for something else too.
    pub(crate) fn start_acquire(self: &Arc<Self>) -> Acquire<'_> {
        Acquire { semaphore: self, ticket: None }
    }

    /// Returns a permit if one is free now.
    pub(crate) fn try_acquire(self: &Arc<Self>) -> Option<Permit> {
        let mut state = self.lock();
        (state.in_use < state.max).then(|| state.in_use += 1)?;
        Some(Permit(self.clone()))
    }

    /// Changes the number of permits. Permits in use stay valid.
    pub(crate) fn set_max(&self, max: usize) {
        let mut state = self.lock();
        state.max = max;
        wake_next(state);
    }

    pub(crate) fn max(&self) -> usize {
        self.lock().max
    }

    fn release(&self) {
        let mut state = self.lock();
        state.in_use -= 1;
        wake_next(state);
    }
}

/// Wakes the acquire that has waited longest, if a permit is free. It is woken after the lock is released.
fn wake_next(mut state: MutexGuard<'_, SemaphoreState>) {
    let next = if state.in_use < state.max { state.waiting.pop_front() } else { None };
    drop(state);
    if let Some((_, waker)) = next {
        waker.wake();
    }
}

/// A queued acquire of a permit. Dropping it leaves the queue without losing a permit.
pub(crate) struct Acquire<'a> {
    semaphore: &'a Arc<Semaphore>,
    ticket: Option<u64>,
}

impl Acquire<'_> {
    /// Polls for a permit. Can be polled again for another one.
    pub(crate) fn poll(&mut self, cx: &Context<'_>) -> Poll<Permit> {
        let mut state = self.semaphore.lock();
        if state.in_use < state.max {
            state.in_use += 1;
            self.leave_queue(&mut state);
            // There may be a permit for the next acquire too, which was not woken for it.
            wake_next(state);
            return Poll::Ready(Permit(self.semaphore.clone()));
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

    fn leave_queue(&mut self, state: &mut SemaphoreState) {
        if let Some(ticket) = self.ticket.take() {
            state.waiting.retain(|&(waiting, _)| waiting != ticket);
        }
    }
}

impl Drop for Acquire<'_> {
    fn drop(&mut self) {
        if self.ticket.is_none() {
            return;
        }
        let mut state = self.semaphore.lock();
        self.leave_queue(&mut state);
        // This acquire may have been woken and dropped before it took its permit. The next one gets it.
        wake_next(state);
    }
}

/// A permit. Dropping it releases it.
#[derive(Debug)]
pub(crate) struct Permit(Arc<Semaphore>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.release();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    fn try_acquire(semaphore: &Arc<Semaphore>) -> Option<Permit> {
        match semaphore.start_acquire().poll(&Context::from_waker(Waker::noop())) {
            Poll::Ready(permit) => Some(permit),
            Poll::Pending => None,
        }
    }

    #[test]
    fn the_number_of_permits_is_exact() {
        let semaphore = Semaphore::new(2);
        let first = try_acquire(&semaphore);
        let second = try_acquire(&semaphore);
        assert!(first.is_some() && second.is_some() && try_acquire(&semaphore).is_none());
        drop(first);
        let third = try_acquire(&semaphore);
        assert!(third.is_some() && try_acquire(&semaphore).is_none());
    }

    #[test]
    fn a_raised_maximum_frees_permits_and_a_lowered_one_takes_none_back() {
        let semaphore = Semaphore::new(1);
        let mut permits = vec![try_acquire(&semaphore).unwrap()];
        semaphore.set_max(3);
        permits.push(try_acquire(&semaphore).unwrap());
        permits.push(try_acquire(&semaphore).unwrap());
        semaphore.set_max(1);
        assert!(try_acquire(&semaphore).is_none());
        permits.truncate(1);
        assert!(try_acquire(&semaphore).is_none());
        permits.clear();
        assert!(try_acquire(&semaphore).is_some());
    }

    #[test]
    fn an_acquire_that_was_woken_and_dropped_passes_its_permit_on() {
        use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
        struct Flag(AtomicBool);
        impl std::task::Wake for Flag {
            fn wake(self: Arc<Self>) {
                self.0.store(true, SeqCst);
            }
        }
        let semaphore = Semaphore::new(1);
        let permit = try_acquire(&semaphore);
        let mut first = Box::pin(semaphore.acquire());
        assert!(first.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let flag = Arc::new(Flag(AtomicBool::new(false)));
        let waker = Waker::from(flag.clone());
        let mut second = pin!(semaphore.acquire());
        assert!(second.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        drop(permit); // wakes the first
        drop(first);
        assert!(flag.0.load(SeqCst), "the second is woken");
        assert!(second.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
    }
}

//! Wakers that may be code of users, which run, are cloned and are dropped outside every lock.

use std::{num::NonZeroU64, task::Waker};

/// The waits of any number of tasks for one event. Each wait has a slot, by its key, so a task that polls
/// again replaces its waker, and one that waits no more frees it.
#[derive(Debug, Default)]
pub(crate) struct WaitList {
    slots: Vec<(NonZeroU64, Waker)>,
    last_key: u64,
}

impl WaitList {
    /// Puts `waker` into the slot of `key`, which is set by the first wait. The waker that was there before
    /// is left in `waker`, to be dropped outside the lock.
    pub(crate) fn register(&mut self, key: &mut Option<NonZeroU64>, waker: &mut Option<Waker>) {
        let Some(new) = waker.take() else { return };
        let key = *key.get_or_insert_with(|| {
            self.last_key += 1;
            NonZeroU64::MIN.saturating_add(self.last_key)
        });
        match self.slots.iter_mut().find(|(known, _)| *known == key) {
            Some((_, slot)) => *waker = Some(std::mem::replace(slot, new)),
            None => self.slots.push((key, new)),
        }
    }

    /// Frees the slot of `key`. The result is to be dropped outside the lock.
    pub(crate) fn remove(&mut self, key: NonZeroU64) -> Option<Waker> {
        let place = self.slots.iter().position(|(known, _)| *known == key)?;
        Some(self.slots.swap_remove(place).1)
    }

    /// Frees all slots. The wakers are to be [woken](wake_each) outside the lock.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = Waker> + use<> {
        std::mem::take(&mut self.slots).into_iter().map(|(_, waker)| waker)
    }
}

/// Wakes each of `wakers`. A panic in one is reported where there is a runtime, and keeps no other from being
/// woken.
#[cold]
pub(crate) fn wake_each(wakers: impl IntoIterator<Item = Waker>) {
    for waker in wakers {
        #[cfg(feature = "driver")]
        let _ = riot_actor::process::contain(|| waker.wake());
        #[cfg(not(feature = "driver"))]
        let _ = crate::contain::contain(|| waker.wake());
    }
}

//! Values that a release leaves to a process of its own, because they are many.

use std::{future::poll_fn, task::Poll};

use super::{
    observed::TypedBody,
    spawn::{Origin, SpawnSpec},
};
use crate::{
    process::reason::Reason,
    runtime::shared::{self, Shared},
};

/// Values that are dropped in a release, and in one poll slice. For more, a process of their own drops them.
const PER_SLICE: usize = 500;

/// Values of a kind that the kernel does not know.
pub(crate) trait AnyRemains: Send {
    fn len(&self) -> usize;
    /// Drops some of the values. Returns false if none was left.
    fn drop_some(&mut self, some: usize) -> bool;
}

/// The values of a process that is released. Those that are few are dropped at once.
pub(crate) struct LeftValues {
    /// How many values more may be dropped at once.
    room: usize,
    left: Vec<Box<dyn AnyRemains>>,
}

impl LeftValues {
    pub(super) const fn new() -> Self {
        Self { room: PER_SLICE, left: Vec::new() }
    }

    pub(crate) fn add(&mut self, mut remains: Box<dyn AnyRemains>) {
        match self.room.checked_sub(remains.len()) {
            Some(room) => {
                self.room = room;
                remains.drop_some(usize::MAX);
            }
            None => self.left.push(remains),
        }
    }

    /// Has a process drop the values that are left, which gives way in between.
    pub(super) fn drop_rest(self, shared: &Shared) {
        let mut left = self.left;
        if left.is_empty() {
            return;
        }
        let Some(shared) = shared::find(shared.id) else {
            left.iter_mut().for_each(|remains| _ = remains.drop_some(usize::MAX));
            return;
        };
        let body = poll_fn(move |cx| {
            let Some(remains) = left.last_mut() else { return Poll::Ready(Reason::Normal) };
            if !remains.drop_some(PER_SLICE) {
                left.pop();
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        });
        let spec = SpawnSpec { label: Some("release".into()), ..SpawnSpec::default() };
        shared.spawn_unnamed(spec, Origin::default(), TypedBody::new(body), |_| ());
    }
}

//! Exit hooks: code that is told of the exit of a process outside any mailbox.

use std::sync::Arc;

use super::in_place::{ExitWriter, NoValue};
use crate::{
    process::{pid::Pid, reason::Reason},
    runtime::shared::Shared,
};

/// A hook that is shared with the code that waits for the exit.
pub(crate) trait OnExit: Send + Sync {
    /// Is called once, after the release, on the worker where the process exited. Must not block.
    fn exited(&self, reason: &Reason);

    /// Is called when the right to answer was dropped, if an answer is waited for. Must not block.
    fn abandoned(&self) {}

    /// Returns whether nothing waits any more. A cancelled hook holds no value of a user, so it can be
    /// dropped anywhere.
    fn is_cancelled(&self) -> bool;
}

/// One hook.
pub(crate) enum ExitHook {
    /// A process waits in place.
    InPlace(ExitWriter),
    Shared(Arc<dyn OnExit>),
}

impl ExitHook {
    fn is_cancelled(&self, shared: &Shared) -> bool {
        match self {
            Self::InPlace(writer) => writer.is_cancelled(shared),
            // If the other side is gone it has cancelled the hook before.
            Self::Shared(hook) => Arc::strong_count(hook) == 1 || hook.is_cancelled(),
        }
    }

    pub(super) fn call(self, shared: &Shared, reason: &Reason) {
        match self {
            Self::InPlace(writer) => writer.write(shared, NoValue::Exit(reason.clone())),
            Self::Shared(hook) => hook.exited(reason),
        }
    }

    pub(super) fn abandon(self, shared: &Shared) {
        match self {
            Self::InPlace(writer) => writer.write(shared, NoValue::Abandoned),
            Self::Shared(hook) => hook.abandoned(),
        }
    }
}

/// The exit hooks of one process.
///
/// A cancelled hook is not removed, which would cost it a lock and a search. All of them are swept when the
/// list is full, so that a sweep costs each hook next to nothing.
#[derive(Default)]
pub(crate) struct ExitHooks {
    all: Vec<ExitHook>,
}

/// Lists shorter than this grow under the lock of the record, by one allocation of at most 512 bytes.
const MIN_SWEEP: usize = 16;

/// Whether the list of hooks has become full.
#[must_use = "a full list must be swept by `Shared::sweep_exit_hooks` after the lock is released"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HookRoom {
    Left,
    /// The list is full.
    Full,
}

/// Memory for a sweep, allocated while no lock is held.
struct SweepBuffers {
    live: Vec<ExitHook>,
    cancelled: Vec<ExitHook>,
}

impl SweepBuffers {
    fn for_len(len: usize) -> Self {
        Self { live: Vec::with_capacity(2 * len), cancelled: Vec::with_capacity(len) }
    }
}

impl ExitHooks {
    pub(crate) fn push(&mut self, shared: &Shared, hook: Arc<dyn OnExit>) -> HookRoom {
        self.add(shared, ExitHook::Shared(hook))
    }

    #[inline]
    pub(crate) fn push_in_place(&mut self, shared: &Shared, writer: ExitWriter) -> HookRoom {
        match self.all.last_mut() {
            // The wait before of the same process is closed.
            Some(ExitHook::InPlace(last)) if last.is_of_same_process(&writer) => {
                *last = writer;
                HookRoom::Left
            }
            _ => self.add(shared, ExitHook::InPlace(writer)),
        }
    }

    /// Returns whether there never was a hook.
    #[inline]
    pub(super) fn is_unused(&self) -> bool {
        self.all.capacity() == 0
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(crate) fn call_all(self, shared: &Shared, reason: &Reason) {
        self.all.into_iter().for_each(|hook| hook.call(shared, reason));
    }

    pub(super) fn into_vec(self) -> Vec<ExitHook> {
        self.all
    }

    fn add(&mut self, shared: &Shared, hook: ExitHook) -> HookRoom {
        if self.all.len() == self.all.capacity() {
            self.make_room(shared);
        }
        self.all.push(hook);
        let is_full = self.all.len() == self.all.capacity() && self.all.len() >= MIN_SWEEP;
        if is_full { HookRoom::Full } else { HookRoom::Left }
    }

    /// Makes room for a short list, and for a long one whose sweep is still to come.
    fn make_room(&mut self, shared: &Shared) {
        let before = self.all.len();
        if before >= MIN_SWEEP {
            self.all.retain(|hook| !hook.is_cancelled(shared));
        }
        // One hook is what most processes have.
        if 2 * self.all.len() > before || before == 0 {
            self.all.reserve_exact(before.max(1));
        }
    }

    /// Moves cancelled hooks into a buffer, and the others into the larger memory if more than half are live.
    /// Allocates and drops nothing.
    fn sweep(&mut self, shared: &Shared, buffers: &mut SweepBuffers) {
        let before = self.all.len();
        if before > buffers.cancelled.capacity() {
            return; // It has grown under the lock meanwhile.
        }
        for hook in self.all.drain(..) {
            let list = if hook.is_cancelled(shared) { &mut buffers.cancelled } else { &mut buffers.live };
            list.push(hook);
        }
        if 2 * buffers.live.len() > before {
            std::mem::swap(&mut self.all, &mut buffers.live);
        } else {
            self.all.append(&mut buffers.live);
        }
    }
}

impl Shared {
    /// Adds a hook to `pid`. Returns false if `pid` has been released.
    pub(crate) fn on_exit(&self, pid: Pid, hook: Arc<dyn OnExit>) -> bool {
        let room = {
            let Some(slot) = self.table.of(pid) else { return false };
            let Some(mut core) = slot.lock_for(pid) else { return false };
            core.relations().exit_hooks.push(self, hook)
        };
        self.sweep_exit_hooks(pid, room);
        true
    }

    /// Sweeps a full list of hooks and makes room for more.
    #[inline]
    pub(crate) fn sweep_exit_hooks(&self, pid: Pid, room: HookRoom) {
        if room == HookRoom::Full {
            self.sweep_exit_hooks_slow(pid);
        }
    }

    #[cold]
    fn sweep_exit_hooks_slow(&self, pid: Pid) {
        let len = self.detach_relation(pid, |relations| relations.exit_hooks.all.len());
        let mut buffers = SweepBuffers::for_len(len.unwrap_or(0));
        self.detach_relation(pid, |relations| relations.exit_hooks.sweep(self, &mut buffers));
        drop(buffers);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    struct Hook(AtomicBool);

    impl OnExit for Hook {
        fn exited(&self, _: &Reason) {}
        fn is_cancelled(&self) -> bool {
            self.0.load(Ordering::Relaxed)
        }
    }

    fn push(hooks: &mut ExitHooks, shared: &Shared, hook: Arc<Hook>, sweeps: bool) {
        if hooks.push(shared, hook) == HookRoom::Full && sweeps {
            let mut buffers = SweepBuffers::for_len(hooks.all.len());
            hooks.sweep(shared, &mut buffers);
        }
    }

    #[test]
    fn cancelled_hooks_are_swept_and_the_others_kept() {
        // With the sweep outside the lock, and without, as when another hook comes first.
        for sweeps in [true, false] {
            crate::run(async move {
                crate::runtime::context::with_shared("test", |shared| {
                    let mut hooks = ExitHooks::default();
                    let live: Vec<_> = (0..10).map(|_| Arc::new(Hook(AtomicBool::new(false)))).collect();
                    live.iter().for_each(|hook| push(&mut hooks, shared, hook.clone(), sweeps));
                    for _ in 0..10_000 {
                        push(&mut hooks, shared, Arc::new(Hook(AtomicBool::new(true))), sweeps);
                        assert!(hooks.all.len() <= 4 * live.len() + MIN_SWEEP);
                    }
                    assert_eq!(
                        hooks.all.iter().filter(|hook| !hook.is_cancelled(shared)).count(),
                        live.len()
                    );
                    assert!(live.iter().all(|hook| Arc::strong_count(hook) == 2));
                });
            });
        }
    }

    #[test]
    fn many_live_hooks_are_kept_in_memory_that_grows() {
        crate::run(async {
            crate::runtime::context::with_shared("test", |shared| {
                let mut hooks = ExitHooks::default();
                let live: Vec<_> = (0..1000).map(|_| Arc::new(Hook(AtomicBool::new(false)))).collect();
                live.iter().for_each(|hook| push(&mut hooks, shared, hook.clone(), true));
                assert_eq!(hooks.all.len(), live.len());
                assert!(hooks.all.capacity() < 4 * live.len());
            });
        });
    }
}

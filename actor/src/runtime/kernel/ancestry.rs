//! The spawners of a process, also those that have exited.
//!
//! A record has the parent of its process, and goes with it. So the release of a process that has a parent
//! and has spawned others leaves a note of that parent here, for its descendants. A process keeps no memory
//! for it. Notes that no process needs any more are swept when there are many.

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use crate::{
    process::pid::{NumberMap, Peer, Pid},
    runtime::{kernel::lifecycle::Phase, shared::Shared},
    sync::lock::lock,
};

/// Ancestors that are remembered: the spawner, its spawner, and so on.
pub(crate) const MAX_ANCESTORS: usize = 8;

/// Notes are spread over as many locks, by the slot of their process.
const SHARDS: usize = 16;

/// Fewer notes are not swept.
const MIN_SWEEP: usize = 4096;

/// The parents of processes that have exited.
pub(crate) struct Ancestry {
    shards: [Mutex<NumberMap<Peer, Note>>; SHARDS],
    /// How many notes there are.
    count: AtomicUsize,
    /// A sweep is due at this number of notes.
    sweep_at: AtomicUsize,
    /// Is held during a sweep.
    sweeping: Mutex<()>,
}

struct Note {
    parent: Peer,
    /// A running sweep keeps the note: it is newer than that sweep, or some process needs it.
    kept: bool,
}

impl Default for Ancestry {
    fn default() -> Self {
        Self {
            shards: Default::default(),
            count: AtomicUsize::new(0),
            sweep_at: AtomicUsize::new(MIN_SWEEP),
            sweeping: Mutex::new(()),
        }
    }
}

impl Ancestry {
    fn shard(&self, peer: Peer) -> &Mutex<NumberMap<Peer, Note>> {
        &self.shards[peer.index() as usize % SHARDS]
    }

    fn parent_of(&self, peer: Peer) -> Option<Peer> {
        lock(self.shard(peer)).get(&peer).map(|note| note.parent)
    }

    /// Notes the parent of a process whose record is about to go. Returns whether a sweep is due.
    fn note(&self, peer: Peer, parent: Peer) -> bool {
        if lock(self.shard(peer)).insert(peer, Note { parent, kept: true }).is_some() {
            return false;
        }
        self.count.fetch_add(1, Ordering::Relaxed) + 1 >= self.sweep_at.load(Ordering::Relaxed)
    }
}

impl Shared {
    /// Returns the spawners of a process, the nearest first.
    pub(crate) fn ancestors(&self, of: Pid) -> Vec<Pid> {
        let mut ancestors = Vec::new();
        let mut child = of;
        while ancestors.len() < MAX_ANCESTORS {
            let Some(parent) = self.parent_of(child) else { break };
            ancestors.push(parent);
            child = parent;
        }
        ancestors
    }

    fn parent_of(&self, pid: Pid) -> Option<Pid> {
        // A process that is released between the two has left its note before.
        let recorded = self.table.of(pid).and_then(|slot| slot.lock_for(pid).map(|core| core.parent));
        let parent = recorded.or_else(|| self.ancestry.parent_of(Peer::new(Some(pid))))?;
        parent.in_runtime_of(pid)
    }

    /// Leaves a note of the parent of a process that has spawned others, before its record goes.
    #[cold]
    pub(super) fn note_parent(&self, pid: Pid) {
        let parent = self.table.slot(pid.index()).lock().parent;
        if parent != Peer::NONE && self.ancestry.note(Peer::new(Some(pid)), parent) {
            self.sweep_ancestry();
        }
    }

    /// Removes the notes that no process needs.
    ///
    /// A note is needed if a process has its pid among its ancestors. A process that is spawned while the
    /// records are read may be missed, but its spawner lives meanwhile: either the record of that was read,
    /// or its spawner was alive, and so on; or it has exited since, and its own note is new and therefore
    /// kept, with all that it leads to.
    pub(crate) fn sweep_ancestry(&self) {
        if self.ancestry.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let Ok(_sweep) = self.ancestry.sweeping.try_lock() else { return };
        let shards = &self.ancestry.shards;
        for shard in shards {
            lock(shard).values_mut().for_each(|note| note.kept = false);
        }
        let parents = self.table.slots().filter_map(|(_, slot)| {
            let core = slot.lock();
            (core.phase() != Phase::Free && core.parent != Peer::NONE).then_some(core.parent)
        });
        let mut needed: Vec<Peer> = parents.collect();
        // A note that was made since leads on to others.
        for shard in shards {
            needed.extend(lock(shard).values().filter(|note| note.kept).map(|note| note.parent));
        }
        for mut peer in needed {
            for _ in 0..MAX_ANCESTORS {
                let parent = match lock(self.ancestry.shard(peer)).get_mut(&peer) {
                    Some(note) => {
                        note.kept = true;
                        note.parent
                    }
                    // It lives, and its own parent is in the list.
                    None => break,
                };
                peer = parent;
            }
        }
        let mut left = 0;
        for shard in shards {
            let mut notes = lock(shard);
            notes.retain(|_, note| note.kept);
            if notes.capacity() > 4 * notes.len().max(MIN_SWEEP / SHARDS) {
                notes.shrink_to_fit();
            }
            left += notes.len();
        }
        self.ancestry.count.store(left, Ordering::Relaxed);
        let slots = self.table.slots().count();
        self.ancestry.sweep_at.store((2 * left).max(slots).max(MIN_SWEEP), Ordering::Relaxed);
    }
}

#[cfg(all(test, not(riot_loom)))]
mod tests {
    use std::future::pending;

    use crate::{
        process::{ancestors, wait},
        receive,
        runtime::context::with_shared,
        send,
        simulation::Simulation,
        spawn, this,
    };

    #[test]
    fn a_sweep_keeps_the_notes_that_a_process_needs_and_no_other() {
        let notes = || with_shared("test", |shared| shared.ancestry.count.load(super::Ordering::Relaxed));
        let sweep = || with_shared("test", |shared| shared.sweep_ancestry());
        Simulation::sweep(0..20, move || async move {
            let main = this();
            let child = spawn(async move {
                let child = this();
                spawn(async move {
                    let grandchild = this();
                    spawn(async move {
                        send(main, [grandchild, child, main]);
                        receive::<()>().await;
                        send(main, ancestors());
                        send(main, this());
                    });
                });
            });
            let expected = receive::<[crate::Pid; 3]>().await;
            wait(child).await;
            wait(expected[0]).await;
            // Processes that have spawned others and are needed by none.
            for _ in 0..100 {
                wait(spawn(async { _ = wait(spawn(async {})).await })).await;
            }
            let last = spawn(pending::<()>());
            assert!(notes() >= 102, "{}", notes());
            sweep();
            assert_eq!(notes(), 2);
            let needs = crate::process::processes().into_iter().find(|pid| ![main, last].contains(pid));
            let needs = needs.expect("it waits");
            send(needs, ());
            assert_eq!(receive::<Vec<crate::Pid>>().await, expected);
            wait(receive::<crate::Pid>().await).await;
            sweep();
            assert_eq!(notes(), 0);
        });
    }
}

//! The process table: every process of a runtime by the index of its slot.
//!
//! Slots are allocated page by page, and never move or go away before the table does, so a look-up is a few
//! loads and no lock.

use std::{
    num::NonZeroU32,
    ops::Range,
    ptr::NonNull,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use crossbeam_utils::CachePadded;

use super::{process::Process, record::Slot};
use crate::{process::pid::Pid, sync::spin_lock::SpinLock};

/// Slots allocated at once: few enough that a spawn can allocate them.
const PAGE: usize = 256;

/// Pages in a block, and blocks in the table. All three are powers of two, so that a look-up, which every
/// message makes, needs no bounds check.
const BLOCK: usize = 1024;
const BLOCKS: usize = 1024;

pub(crate) struct ProcessTable {
    runtime: NonZeroU32,
    blocks: [OnceLock<Box<Block>>; BLOCKS],
    vacant: SpinLock<FreeSlots>,
    /// How often a slot was taken.
    taken: CachePadded<AtomicU64>,
}

type Block = [OnceLock<Box<Page>>; BLOCK];
type Page = [Slot; PAGE];

struct FreeSlots {
    /// Slots whose process is released. The last one is taken first, because its memory is warm.
    free: Vec<u32>,
    /// Slots from this index on were never used.
    fresh: u32,
    /// How many of the first free slots have not been taken since the last trim.
    untouched: usize,
    /// How many of the first free slots keep no memory of a process.
    trimmed: usize,
}

impl FreeSlots {
    fn pop(&mut self) -> Option<u32> {
        let index = self.free.pop()?;
        self.untouched = self.untouched.min(self.free.len());
        self.trimmed = self.trimmed.min(self.free.len());
        Some(index)
    }
}

/// Points to a slot. [`ProcessTable::slot_at`] is the only way to follow it.
pub(crate) struct SlotPtr(NonNull<Slot>);

// SAFETY:
// 1. The pointer is followed only by `ProcessTable::slot_at`, which yields a shared reference.
// 2. A slot is `Sync`: every field is atomic or behind the lock of the record.
#[expect(unsafe_code, reason = "see the proof")]
unsafe impl Send for SlotPtr {}

const fn assert_sync<T: Sync>() {}
const _: () = assert_sync::<Slot>();

impl SlotPtr {
    pub(crate) fn of(slot: &Slot) -> Self {
        Self(NonNull::from(slot))
    }
}

/// Free slots that a worker keeps for itself, so that workers that spawn do not contend. It takes and gives
/// back [`BATCH`] at once.
pub(crate) type FreeList = Vec<u32>;
const BATCH: usize = 32;

/// Free slots that a trim looks up under the lock at once.
const TRIM_BATCH: usize = 256;

impl ProcessTable {
    pub(crate) fn new(runtime: NonZeroU32) -> Self {
        let vacant = SpinLock::new(FreeSlots { free: Vec::new(), fresh: 0, untouched: 0, trimmed: 0 });
        Self { runtime, blocks: [const { OnceLock::new() }; BLOCKS], vacant, taken: CachePadded::default() }
    }

    /// Returns the block of a slot, its page in that block, and its position on that page.
    #[inline]
    fn locate(index: u32) -> (usize, usize, usize) {
        let (page, at) = (index as usize / PAGE, index as usize % PAGE);
        (page / BLOCK, page % BLOCK, at)
    }

    /// Returns the slot with this index, which has been taken at least once.
    #[inline]
    pub(crate) fn slot(&self, index: u32) -> &Slot {
        self.get(index).expect("a slot that was taken exists")
    }

    /// Returns the slot of a process, as [`slot`](Self::slot) does, without a look-up.
    ///
    /// # Panics
    /// Panics if the process is one of another runtime.
    #[inline]
    #[expect(unsafe_code, reason = "see the proof")]
    pub(crate) fn slot_at(&self, process: &Process) -> &Slot {
        assert!(process.pid.runtime == self.runtime, "processes stay in their runtime");
        // SAFETY:
        // 1. Runtime ids are never given twice (`Shared::new` counts them with a check), so a process with
        //    the id of this runtime was spawned into this table.
        // 2. Its pointer was made from a reference to a slot of the table it was spawned into, and never
        //    changes: recycled memory stays with its slot.
        // 3. Slots neither move nor go away before the table does, and the table is borrowed.
        unsafe { process.slot_ptr.0.as_ref() }
    }

    #[inline]
    pub(super) fn get(&self, index: u32) -> Option<&Slot> {
        let (block, page, at) = Self::locate(index);
        // `Pid::SYSTEM` is beyond the last block.
        Some(&self.blocks.get(block)?.get()?[page].get()?[at])
    }

    /// Returns the slot of a process of this runtime. Its record says whether the process is still there.
    #[inline]
    pub(crate) fn of(&self, pid: Pid) -> Option<&Slot> {
        (pid.runtime == self.runtime).then(|| self.get(pid.index())).flatten()
    }

    /// Takes a free slot, from the free list of the worker if there is one. Returns its index, and how many
    /// were taken before.
    ///
    /// # Panics
    /// Panics if 268 million processes are live.
    pub(crate) fn take(&self, free_list: Option<&mut FreeList>) -> (u32, u64) {
        let nth = self.taken.fetch_add(1, Ordering::SeqCst);
        let index = match free_list {
            None => self.take_vacant(),
            Some(free_list) => free_list.pop().unwrap_or_else(|| {
                // `pop` takes from the end, so reverse.
                free_list.extend((0..BATCH).map(|_| self.take_vacant()));
                free_list.reverse();
                free_list.pop().expect("a batch is not empty")
            }),
        };
        (index, nth)
    }

    fn take_vacant(&self) -> u32 {
        let index = {
            let mut vacant = self.vacant.lock();
            if let Some(index) = vacant.pop() {
                return index;
            }
            let index = vacant.fresh;
            vacant.fresh += 1;
            index
        };
        let (block, page, _) = Self::locate(index);
        let block = self.blocks.get(block).expect("fewer processes than the table has slots");
        let block = block.get_or_init(|| boxed(OnceLock::new));
        block[page].get_or_init(|| boxed(Slot::new));
        index
    }

    /// Returns how often a slot was taken.
    pub(crate) fn taken(&self) -> u64 {
        self.taken.load(Ordering::SeqCst)
    }

    pub(crate) fn give_back(&self, index: u32, free_list: Option<&mut FreeList>) {
        let Some(free_list) = free_list else { return self.vacant.lock().free.push(index) };
        free_list.push(index);
        if free_list.len() >= 2 * BATCH {
            // The oldest go back: the others are warmer.
            self.vacant.lock().free.extend(free_list.drain(..BATCH));
        }
    }

    /// Frees the memory of released processes in slots that were not taken since the last trim. The records
    /// stay: they are read without a lock.
    pub(crate) fn trim(&self) {
        loop {
            let indices: Vec<u32> = {
                let mut vacant = self.vacant.lock();
                let FreeSlots { free, untouched, trimmed, .. } = &mut *vacant;
                let batch = *trimmed..(*trimmed + TRIM_BATCH).min(*untouched);
                if batch.is_empty() {
                    *untouched = free.len();
                    return;
                }
                *trimmed = batch.end;
                free[batch].to_vec()
            };
            for index in indices {
                let memory = self.slot(index).take_free_memory();
                drop(memory);
            }
        }
    }

    /// Iterates over every slot that was ever taken.
    pub(crate) fn slots(&self) -> impl Iterator<Item = (u32, &Slot)> {
        self.slots_in(0..self.len())
    }

    /// Returns how many slots were ever taken.
    pub(crate) fn len(&self) -> u32 {
        self.vacant.lock().fresh
    }

    /// Iterates over the slots with these indices.
    pub(crate) fn slots_in(&self, indices: Range<u32>) -> impl Iterator<Item = (u32, &Slot)> {
        // A slot that was taken just now may have no page yet, and so no process.
        indices.filter_map(|index| Some((index, self.get(index)?)))
    }
}

/// Makes an array in its box, never on the stack.
fn boxed<T, const N: usize>(make: impl FnMut() -> T) -> Box<[T; N]> {
    let all: Box<[T]> = std::iter::repeat_with(make).take(N).collect();
    all.try_into().unwrap_or_else(|_| unreachable!("N were made"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_fill_one_page_and_one_block_after_the_other() {
        assert_eq!(ProcessTable::locate(0), (0, 0, 0));
        assert_eq!(ProcessTable::locate(255), (0, 0, 255));
        assert_eq!(ProcessTable::locate(256), (0, 1, 0));
        assert_eq!(ProcessTable::locate(1024 * 256), (1, 0, 0));
        assert_eq!(ProcessTable::locate(1024 * 256 + 257), (1, 1, 1));
        assert!(ProcessTable::locate(Pid::SYSTEM).0 >= BLOCKS);
    }

    #[test]
    fn a_slot_is_taken_again_and_one_that_was_never_taken_is_not_found() {
        let runtime = NonZeroU32::MIN;
        let table = ProcessTable::new(runtime);
        let taken: Vec<u32> = (0..1000).map(|_| table.take(None).0).collect();
        assert_eq!(taken, (0..1000).collect::<Vec<_>>());
        assert_eq!(table.slots().count(), 1000);
        table.give_back(7, None);
        assert_eq!((table.take(None), table.take(None)), ((7, 1000), (1000, 1001)));
        assert!(table.of(Pid::new(runtime, 0, 1_000_000)).is_none());
    }

    #[test]
    fn a_worker_has_a_free_list_and_gives_back_what_it_does_not_need() {
        let table = ProcessTable::new(NonZeroU32::MIN);
        let mut free_list = FreeList::new();
        let mine: Vec<u32> = (0..1000).map(|_| table.take(Some(&mut free_list)).0).collect();
        assert_eq!(mine, (0..1000).collect::<Vec<_>>());
        let beyond = table.take(None).0;
        assert!(!mine.contains(&beyond) && !free_list.contains(&beyond));
        mine.into_iter().for_each(|index| table.give_back(index, Some(&mut free_list)));
        assert!(free_list.len() < 2 * BATCH);
        // All others are taken again before any new one.
        let mut again: Vec<u32> = (0..1000 - 2 * BATCH).map(|_| table.take(None).0).collect();
        again.sort_unstable();
        again.dedup();
        assert_eq!(again.len(), 1000 - 2 * BATCH);
        assert!(again.iter().all(|&index| index < beyond + BATCH as u32));
    }
}

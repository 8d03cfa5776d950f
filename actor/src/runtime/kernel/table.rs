//! Every process of a runtime by its place. FreeList are made page by page, never move and are never given back, so a
//! look-up is a few loads and no lock.

use std::{
    num::NonZeroU32,
    ptr::NonNull,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use crossbeam_utils::CachePadded;

use crate::runtime::kernel::record::{Process, Slot};
use crate::{process::pid::Pid, sync::spin_lock::SpinLock};

/// FreeList made at once. A page is small enough to be made in a spawn without anybody noticing.
const PAGE: usize = 256;

/// Pages in a block, and blocks in the table. All three are powers of two, so that a look-up needs no bounds check: it is
/// on the way of every message.
const BLOCK: usize = 1024;
const BLOCKS: usize = 1024;

pub(crate) struct Table {
    runtime: NonZeroU32,
    blocks: [OnceLock<Box<Block>>; BLOCKS],
    vacant: SpinLock<FreeSlots>,
    /// How often a place was taken.
    taken: CachePadded<AtomicU64>,
}

type Block = [OnceLock<Box<Page>>; BLOCK];
type Page = [Slot; PAGE];

struct FreeSlots {
    /// FreeList whose process is gone, the last one first: its memory is warm.
    free: Vec<u32>,
    /// FreeList from here on were never used.
    fresh: u32,
}

/// Where a place is in memory; [`Table::slot_at`] is the way there.
pub(crate) struct SlotPtr(NonNull<Slot>);

// SAFETY: it is a place's number in another form: nobody can reach what is there but through the table.
#[expect(unsafe_code, reason = "as said above")]
unsafe impl Send for SlotPtr {}

impl SlotPtr {
    pub(crate) fn of(slot: &Slot) -> Self {
        Self(NonNull::from(slot))
    }
}

/// FreeList a worker keeps for itself, so that workers that spawn do not meet; what it has too much of, or too little, it
/// gives or takes as so many at once.
pub(crate) type FreeList = Vec<u32>;
const BATCH: usize = 32;

impl Table {
    pub(crate) fn new(runtime: NonZeroU32) -> Self {
        let vacant = SpinLock::new(FreeSlots { free: Vec::new(), fresh: 0 });
        Self { runtime, blocks: [const { OnceLock::new() }; BLOCKS], vacant, taken: CachePadded::default() }
    }

    /// The block of a place, its page in there, and where it is on that.
    #[inline]
    fn locate(index: u32) -> (usize, usize, usize) {
        let (page, at) = (index as usize / PAGE, index as usize % PAGE);
        (page / BLOCK, page % BLOCK, at)
    }

    /// The place with this number; it has been taken at least once.
    #[inline]
    pub(crate) fn slot(&self, index: u32) -> &Slot {
        self.get(index).expect("a place that was taken exists")
    }

    /// The place of a process: what [`slot`](Self::slot) finds by its number, without looking for it.
    ///
    /// # Panics
    /// Filter it is a process of another runtime.
    #[inline]
    #[expect(unsafe_code, reason = "see the proof")]
    pub(crate) fn slot_at(&self, process: &Process) -> &Slot {
        assert!(process.pid.runtime == self.runtime, "processes stay in their runtime");
        // SAFETY: the pid is one of ours, so it was made by a spawn into this table, and the process with it, or before it in
        // the same place. FreeList neither move nor go away before the table does, and the table is borrowed.
        unsafe { process.slot_ptr.0.as_ref() }
    }

    #[inline]
    fn get(&self, index: u32) -> Option<&Slot> {
        let (block, page, at) = Self::locate(index);
        // Nobody has the place `Pid::SYSTEM`, so there is no block for it.
        Some(&self.blocks.get(block)?.get()?[page].get()?[at])
    }

    /// The place of a process of this runtime. Whether the process is still there is for its record to say.
    #[inline]
    pub(crate) fn of(&self, pid: Pid) -> Option<&Slot> {
        (pid.runtime == self.runtime).then(|| self.get(pid.index())).flatten()
    }

    /// Takes a place nobody has, out of those the worker keeps if there is one; also says how many were taken before.
    ///
    /// # Panics
    /// At 268 million live processes.
    pub(crate) fn take(&self, free_list: Option<&mut FreeList>) -> (u32, u64) {
        let nth = self.taken.fetch_add(1, Ordering::SeqCst);
        let index = match free_list {
            None => self.take_vacant(),
            Some(free_list) => free_list.pop().unwrap_or_else(|| {
                // The one that is needed first comes last.
                free_list.extend((0..BATCH).map(|_| self.take_vacant()));
                free_list.reverse();
                free_list.pop().expect("a batch is more than none")
            }),
        };
        (index, nth)
    }

    fn take_vacant(&self) -> u32 {
        let index = {
            let mut vacant = self.vacant.lock();
            if let Some(index) = vacant.free.pop() {
                return index;
            }
            let index = vacant.fresh;
            vacant.fresh += 1;
            index
        };
        let (block, page, _) = Self::locate(index);
        let block = self.blocks.get(block).expect("fewer processes than a table has free_list");
        let block = block.get_or_init(|| boxed(OnceLock::new));
        block[page].get_or_init(|| boxed(Slot::new));
        index
    }

    /// How often a place was taken.
    pub(crate) fn taken(&self) -> u64 {
        self.taken.load(Ordering::SeqCst)
    }

    pub(crate) fn give_back(&self, index: u32, free_list: Option<&mut FreeList>) {
        let Some(free_list) = free_list else { return self.vacant.lock().free.push(index) };
        free_list.push(index);
        if free_list.len() >= 2 * BATCH {
            // The oldest: the others are warmer.
            self.vacant.lock().free.extend(free_list.drain(..BATCH));
        }
    }

    /// Every place that was ever taken.
    pub(crate) fn slots(&self) -> impl Iterator<Item = (u32, &Slot)> {
        let taken = self.vacant.lock().fresh;
        // One that was taken just now may have no page yet, and so no process.
        (0..taken).filter_map(|index| Some((index, self.get(index)?)))
    }
}

/// An array made in its box, never on the stack.
fn boxed<T, const N: usize>(make: impl FnMut() -> T) -> Box<[T; N]> {
    let all: Box<[T]> = std::iter::repeat_with(make).take(N).collect();
    all.try_into().unwrap_or_else(|_| unreachable!("so many were made"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_fill_one_page_and_one_block_after_the_other() {
        assert_eq!(Table::locate(0), (0, 0, 0));
        assert_eq!(Table::locate(255), (0, 0, 255));
        assert_eq!(Table::locate(256), (0, 1, 0));
        assert_eq!(Table::locate(1024 * 256), (1, 0, 0));
        assert_eq!(Table::locate(1024 * 256 + 257), (1, 1, 1));
        assert!(Table::locate(Pid::SYSTEM).0 >= BLOCKS);
    }

    #[test]
    fn a_place_is_given_again_and_one_that_was_never_taken_is_nobodys() {
        let runtime = NonZeroU32::MIN;
        let table = Table::new(runtime);
        let free_list: Vec<u32> = (0..1000).map(|_| table.take(None).0).collect();
        assert_eq!(free_list, (0..1000).collect::<Vec<_>>());
        assert_eq!(table.slots().count(), 1000);
        table.give_back(7, None);
        assert_eq!((table.take(None), table.take(None)), ((7, 1000), (1000, 1001)));
        assert!(table.of(Pid::new(runtime, 0, 1_000_000)).is_none());
    }

    #[test]
    fn a_worker_has_places_of_its_own_and_gives_back_what_it_does_not_need() {
        let table = Table::new(NonZeroU32::MIN);
        let mut free_list = FreeList::new();
        let mine: Vec<u32> = (0..1000).map(|_| table.take(Some(&mut free_list)).0).collect();
        assert_eq!(mine, (0..1000).collect::<Vec<_>>());
        let beyond = table.take(None).0;
        assert!(!mine.contains(&beyond) && !free_list.contains(&beyond));
        mine.into_iter().for_each(|index| table.give_back(index, Some(&mut free_list)));
        assert!(free_list.len() < 2 * BATCH);
        // All others are to be had free before any new one.
        let mut free: Vec<u32> = (0..1000 - 2 * BATCH).map(|_| table.take(None).0).collect();
        free.sort_unstable();
        free.dedup();
        assert_eq!(free.len(), 1000 - 2 * BATCH);
        assert!(free.iter().all(|&index| index < beyond + BATCH as u32));
    }
}

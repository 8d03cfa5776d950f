//! Every process of a runtime by its place. Places are made page by page, never move and are never given back, so a
//! look-up is three loads and no lock.

use std::{
    num::NonZeroU32,
    sync::{Mutex, OnceLock},
};

use super::Slot;
use crate::{lock::lock, pid::Pid};

/// Places made at once. A page is small enough to be made in a spawn without anybody noticing.
const PAGE: u32 = 256;

/// The first block has room for so many pages, each next one for twice as many as the one before.
const FIRST: u32 = 16;
const BLOCKS: usize = 21;

pub(crate) struct Table {
    runtime: NonZeroU32,
    blocks: [OnceLock<Box<[Page]>>; BLOCKS],
    vacant: Mutex<Vacant>,
}

type Page = OnceLock<Box<[Slot]>>;

struct Vacant {
    /// Places whose process is gone, the last one first: its memory is warm.
    again: Vec<u32>,
    /// Places from here on were never used.
    fresh: u32,
    /// How often a place was taken.
    taken: u64,
}

impl Table {
    pub(crate) fn new(runtime: NonZeroU32) -> Self {
        let vacant = Mutex::new(Vacant { again: Vec::new(), fresh: 0, taken: 0 });
        Self { runtime, blocks: [const { OnceLock::new() }; BLOCKS], vacant }
    }

    /// The block of a place, its page in there, and where it is on that.
    fn place(index: u32) -> (usize, usize, usize) {
        let page = index / PAGE;
        let block = (page / FIRST + 1).ilog2();
        let before = FIRST * ((1 << block) - 1);
        (block as usize, (page - before) as usize, (index % PAGE) as usize)
    }

    /// The place with this number; it has been taken at least once.
    pub(crate) fn slot(&self, index: u32) -> &Slot {
        self.get(index).expect("a place that was taken exists")
    }

    fn get(&self, index: u32) -> Option<&Slot> {
        if index == Pid::SYSTEM {
            return None;
        }
        let (block, page, at) = Self::place(index);
        self.blocks.get(block)?.get()?.get(page)?.get()?.get(at)
    }

    /// The place of a process of this runtime. Whether the process is still there is for its record to say.
    pub(crate) fn of(&self, pid: Pid) -> Option<&Slot> {
        (pid.runtime == self.runtime).then(|| self.get(pid.index)).flatten()
    }

    /// For the process itself, while it runs.
    pub(crate) fn is_condemned(&self, running: Pid) -> bool {
        self.slot(running.index).is_condemned()
    }

    /// Takes a place nobody has; also says how many were taken before.
    ///
    /// # Panics
    /// At four billion live processes.
    pub(crate) fn take(&self) -> (u32, u64) {
        let mut vacant = lock(&self.vacant);
        let nth = vacant.taken;
        vacant.taken += 1;
        if let Some(index) = vacant.again.pop() {
            return (index, nth);
        }
        let index = vacant.fresh;
        vacant.fresh += 1;
        drop(vacant);
        let (block, page, _) = Self::place(index);
        let pages = self
            .blocks
            .get(block)
            .expect("fewer than four billion processes")
            .get_or_init(|| (0..FIRST << block).map(|_| OnceLock::new()).collect());
        pages[page].get_or_init(|| (0..PAGE).map(|_| Slot::new()).collect());
        (index, nth)
    }

    /// How often a place was taken.
    pub(crate) fn taken(&self) -> u64 {
        lock(&self.vacant).taken
    }

    pub(crate) fn give_back(&self, index: u32) {
        lock(&self.vacant).again.push(index);
    }

    /// Every place that was ever taken.
    pub(crate) fn slots(&self) -> impl Iterator<Item = (u32, &Slot)> {
        let taken = lock(&self.vacant).fresh;
        // One that was taken just now may have no page yet, and so no process.
        (0..taken).filter_map(|index| Some((index, self.get(index)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_fill_one_page_and_one_block_after_the_other() {
        assert_eq!(Table::place(0), (0, 0, 0));
        assert_eq!(Table::place(255), (0, 0, 255));
        assert_eq!(Table::place(256), (0, 1, 0));
        assert_eq!(Table::place(16 * 256), (1, 0, 0));
        assert_eq!(Table::place(48 * 256), (2, 0, 0));
        let (block, page, at) = Table::place(u32::MAX - 1);
        assert!(block < BLOCKS && page < (FIRST as usize) << block && at == 254);
    }

    #[test]
    fn a_place_is_given_again_and_one_that_was_never_taken_is_nobodys() {
        let runtime = NonZeroU32::MIN;
        let table = Table::new(runtime);
        let places: Vec<u32> = (0..1000).map(|_| table.take().0).collect();
        assert_eq!(places, (0..1000).collect::<Vec<_>>());
        assert_eq!(table.slots().count(), 1000);
        table.give_back(7);
        assert_eq!((table.take(), table.take()), ((7, 1000), (1000, 1001)));
        assert!(table.of(Pid { runtime, generation: 0, index: 1_000_000 }).is_none());
    }
}

//! Every process of a runtime by its place. Places are made page by page, never move and are never given back, so a
//! look-up is a few loads and no lock.

use std::{
    num::NonZeroU32,
    sync::{Mutex, OnceLock},
};

use super::Slot;
use crate::{lock::lock, pid::Pid};

/// Places made at once. A page is small enough to be made in a spawn without anybody noticing.
const PAGE: usize = 256;

/// Pages in a block, and blocks in the table. All three are powers of two, so that a look-up needs no bounds check: it is
/// on the way of every message.
const BLOCK: usize = 1024;
const BLOCKS: usize = 1024;

pub(crate) struct Table {
    runtime: NonZeroU32,
    blocks: [OnceLock<Box<Block>>; BLOCKS],
    vacant: Mutex<Vacant>,
}

type Block = [OnceLock<Box<Page>>; BLOCK];
type Page = [Slot; PAGE];

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
    #[inline]
    fn place(index: u32) -> (usize, usize, usize) {
        let (page, at) = (index as usize / PAGE, index as usize % PAGE);
        (page / BLOCK, page % BLOCK, at)
    }

    /// The place with this number; it has been taken at least once.
    #[inline]
    pub(crate) fn slot(&self, index: u32) -> &Slot {
        self.get(index).expect("a place that was taken exists")
    }

    #[inline]
    fn get(&self, index: u32) -> Option<&Slot> {
        let (block, page, at) = Self::place(index);
        // Nobody has the place `Pid::SYSTEM`, so there is no block for it.
        Some(&self.blocks.get(block)?.get()?[page].get()?[at])
    }

    /// The place of a process of this runtime. Whether the process is still there is for its record to say.
    #[inline]
    pub(crate) fn of(&self, pid: Pid) -> Option<&Slot> {
        (pid.runtime == self.runtime).then(|| self.get(pid.index)).flatten()
    }

    /// Takes a place nobody has; also says how many were taken before.
    ///
    /// # Panics
    /// At 268 million live processes.
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
        let block = self.blocks.get(block).expect("fewer processes than a table has places");
        let block = block.get_or_init(|| boxed(OnceLock::new));
        block[page].get_or_init(|| boxed(Slot::new));
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
        assert_eq!(Table::place(0), (0, 0, 0));
        assert_eq!(Table::place(255), (0, 0, 255));
        assert_eq!(Table::place(256), (0, 1, 0));
        assert_eq!(Table::place(1024 * 256), (1, 0, 0));
        assert_eq!(Table::place(1024 * 256 + 257), (1, 1, 1));
        assert!(Table::place(Pid::SYSTEM).0 >= BLOCKS);
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

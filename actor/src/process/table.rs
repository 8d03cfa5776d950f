//! Every process of a runtime by its place. Places are made in growing blocks, never move and are never given back, so
//! a look-up is two loads and no lock.

use std::{
    num::NonZeroU32,
    sync::{Mutex, OnceLock},
};

use super::Slot;
use crate::{lock::lock, pid::Pid};

/// The first block has this many places, each next one twice as many as the one before.
const FIRST: u32 = 64;
const BLOCKS: usize = 26;

pub(crate) struct Table {
    runtime: NonZeroU32,
    blocks: [OnceLock<Box<[Slot]>>; BLOCKS],
    vacant: Mutex<Vacant>,
}

struct Vacant {
    /// Places whose process is gone, the last one first: its memory is warm.
    again: Vec<u32>,
    /// Places from here on were never used.
    fresh: u32,
}

impl Table {
    pub(crate) fn new(runtime: NonZeroU32) -> Self {
        let vacant = Mutex::new(Vacant { again: Vec::new(), fresh: 0 });
        Self { runtime, blocks: [const { OnceLock::new() }; BLOCKS], vacant }
    }

    fn place(index: u32) -> (usize, usize) {
        let block = ((index / FIRST) + 1).ilog2();
        let before = FIRST * ((1 << block) - 1);
        (block as usize, (index - before) as usize)
    }

    /// The place with this number; it has been taken at least once.
    pub(crate) fn slot(&self, index: u32) -> &Slot {
        self.get(index).expect("a place that was taken exists")
    }

    fn get(&self, index: u32) -> Option<&Slot> {
        if index == Pid::SYSTEM {
            return None;
        }
        let (block, at) = Self::place(index);
        self.blocks.get(block)?.get()?.get(at)
    }

    /// The place of a process of this runtime. Whether the process is still there is for its record to say.
    pub(crate) fn of(&self, pid: Pid) -> Option<&Slot> {
        (pid.runtime == self.runtime).then(|| self.get(pid.index)).flatten()
    }

    /// For the process itself, while it runs.
    pub(crate) fn is_condemned(&self, running: Pid) -> bool {
        self.slot(running.index).is_condemned()
    }

    /// Takes a place nobody has.
    ///
    /// # Panics
    /// At four billion live processes.
    pub(crate) fn take(&self) -> u32 {
        let mut vacant = lock(&self.vacant);
        if let Some(index) = vacant.again.pop() {
            return index;
        }
        let index = vacant.fresh;
        vacant.fresh += 1;
        let (block, _) = Self::place(index);
        let size = FIRST << block;
        self.blocks
            .get(block)
            .expect("fewer than four billion processes")
            .get_or_init(|| (0..size).map(|_| Slot::new()).collect());
        index
    }

    pub(crate) fn give_back(&self, index: u32) {
        lock(&self.vacant).again.push(index);
    }

    /// Every place that was ever taken.
    pub(crate) fn slots(&self) -> impl Iterator<Item = (u32, &Slot)> {
        let taken = lock(&self.vacant).fresh;
        (0..taken).map(|index| (index, self.slot(index)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_fill_one_block_after_the_other() {
        assert_eq!(Table::place(0), (0, 0));
        assert_eq!(Table::place(63), (0, 63));
        assert_eq!(Table::place(64), (1, 0));
        assert_eq!(Table::place(191), (1, 127));
        assert_eq!(Table::place(192), (2, 0));
        let (block, at) = Table::place(u32::MAX - 1);
        assert!(block < BLOCKS + 1 && at < (FIRST as usize) << 26);
    }
}

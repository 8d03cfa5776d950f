//! The run queue of one worker: three FIFO lanes, and the LIFO slot.

use std::cell::Cell;
use std::hint::cold_path;

use super::lifo_slot::{LifoSlot, LifoStealer};
use crate::{
    process::priority::Priority,
    runtime::kernel::process::Process,
    sync::deque::{self, Steal, Worker},
};

/// The run queue of processes. (The queue's own tests put numbers in.)
pub(crate) type LocalQueue = RunQueue<Process>;

/// A lane for each priority, in the order in which they are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    High = 0,
    Normal = 1,
    Low = 2,
}

impl Lane {
    pub(crate) const COUNT: usize = 3;
    pub(crate) const ALL: [Lane; Self::COUNT] = [Lane::High, Lane::Normal, Lane::Low];
}

impl From<Priority> for Lane {
    fn from(priority: Priority) -> Self {
        match priority {
            Priority::High => Self::High,
            Priority::Normal => Self::Normal,
            Priority::Low => Self::Low,
        }
    }
}

/// How often in a row the process in the LIFO slot may run before those that wait; else two that keep waking
/// each other would have the worker for themselves. (tokio: 3.)
const MAX_LIFO_IN_A_ROW: u32 = 3;

/// The length above which a queue is worth waking another worker for at once; a shorter one that stays is
/// helped by the watchdog.
///
/// Two workers that alternate on a trickle of events cost more than one that does it all: HTTP keep-alive
/// with two workers and the client on two cores had 0.75 of hyper's requests with 1 here, and 0.97 with 8.
const MIN_SURPLUS: usize = 8;

/// How many processes of normal priority run before one of low priority.
const NORMAL_PER_LOW: u32 = 8;

pub(crate) struct RunQueue<T> {
    lanes: [Worker<Box<T>>; Lane::COUNT],
    /// Only a worker that is held up loses it to another one.
    lifo: LifoSlot<T>,
    /// Whether the lane of high priority may be non-empty. It is checked before every poll slice, and usually
    /// is not.
    high_may_have_some: Cell<bool>,
    in_a_row: Cell<u32>,
    normal_served: Cell<u32>,
}

impl<T> RunQueue<T> {
    pub(crate) fn new() -> Self {
        Self::with_lifo(LifoSlot::new(false))
    }

    /// Makes the queue of the only worker of a runtime.
    pub(crate) fn single_worker() -> Self {
        Self::with_lifo(LifoSlot::new(true))
    }

    fn with_lifo(lifo: LifoSlot<T>) -> Self {
        Self {
            lanes: std::array::from_fn(|_| Worker::new_fifo()),
            lifo,
            high_may_have_some: Cell::new(false),
            in_a_row: Cell::new(0),
            normal_served: Cell::new(0),
        }
    }

    pub(crate) fn stealer(&self) -> QueueStealer<T> {
        QueueStealer {
            lanes: std::array::from_fn(|lane| self.lanes[lane].stealer()),
            lifo: self.lifo.stealer(),
        }
    }

    #[inline(never)] // perf: call, 1162 → 1154 instructions; pingpong, 1068 → 1060
    pub(crate) fn push(&self, lane: Lane, process: Box<T>) {
        self.lane(lane).push(process);
    }

    /// Puts a process into the LIFO slot, before all others of normal priority; the one before goes to the
    /// lane.
    #[inline]
    pub(crate) fn push_lifo(&self, process: Box<T>) {
        if let Some(before) = self.lifo.replace(process) {
            self.push(Lane::Normal, before);
        }
    }

    // perf: ring, 533 → 523 instructions; pingpong, 1194 → 1175
    #[inline(always)]
    pub(crate) fn pop(&self) -> Option<Box<T>> {
        let [high, normal, low] = &self.lanes;
        if self.high_may_have_some.get() {
            cold_path();
            if let Some(process) = high.pop() {
                return Some(process);
            }
            self.high_may_have_some.set(false);
        }
        if self.in_a_row.get() < MAX_LIFO_IN_A_ROW
            && let Some(next) = self.lifo.take()
        {
            self.in_a_row.set(self.in_a_row.get() + 1);
            return Some(next);
        }
        self.in_a_row.set(0);
        if self.normal_served.get() >= NORMAL_PER_LOW {
            cold_path();
            self.normal_served.set(0);
            if let Some(process) = low.pop() {
                return Some(process);
            }
        }
        if let Some(process) = normal.pop() {
            self.normal_served.set(self.normal_served.get() + 1);
            return Some(process);
        }
        self.lifo.take().or_else(|| low.pop())
    }

    /// Returns whether more processes wait here than one worker should start.
    pub(crate) fn has_surplus(&self) -> bool {
        let [high, normal, low] = &self.lanes;
        normal.len() + usize::from(self.lifo.is_taken()) > MIN_SURPLUS || !high.is_empty() || low.len() > 1
    }

    /// Returns a lane to push to. Only the owner of the queue does.
    pub(crate) fn lane(&self, lane: Lane) -> &Worker<Box<T>> {
        if lane == Lane::High {
            self.high_may_have_some.set(true);
        }
        &self.lanes[lane as usize]
    }
}

/// The end of a run queue that other workers steal from.
pub(crate) struct QueueStealer<T> {
    lanes: [deque::Stealer<Box<T>>; Lane::COUNT],
    lifo: LifoStealer<T>,
}

impl<T> QueueStealer<T> {
    /// Moves half of a lane into `into`, and returns one process to run.
    pub(crate) fn steal(&self, into: &RunQueue<T>) -> Option<Box<T>> {
        Lane::ALL.iter().find_map(|&lane| {
            loop {
                match self.lanes[lane as usize].steal_batch_and_pop(into.lane(lane)) {
                    Steal::Success(process) => return Some(process),
                    Steal::Empty => return None,
                    Steal::Retry => {}
                }
            }
        })
    }

    /// Takes the process in the LIFO slot. Only from a worker that is held up: else it would run there at
    /// once.
    pub(crate) fn steal_lifo(&self) -> Option<Box<T>> {
        self.lifo.take()
    }

    /// Returns how many processes wait here, including the LIFO slot.
    pub(crate) fn len(&self) -> usize {
        self.lanes.iter().map(deque::Stealer::len).sum::<usize>() + usize::from(self.has_lifo())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lanes.iter().all(deque::Stealer::is_empty)
    }

    /// Returns whether a process waits here, in a lane or in the LIFO slot.
    pub(crate) fn has_any(&self) -> bool {
        !self.is_empty() || self.has_lifo()
    }

    pub(crate) fn has_lifo(&self) -> bool {
        self.lifo.is_taken()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(queue: &RunQueue<u32>) -> Vec<u32> {
        std::iter::from_fn(|| queue.pop()).map(|number| *number).collect()
    }

    #[test]
    fn one_lane_is_first_in_first_out() {
        let queue = RunQueue::new();
        (0..5).for_each(|index| queue.push(Lane::Normal, Box::new(index)));
        assert_eq!(drain(&queue), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn the_process_woken_last_runs_next_and_moves_the_one_before_it_back() {
        let queue = RunQueue::new();
        queue.push(Lane::Normal, Box::new(1));
        queue.push_lifo(Box::new(2));
        queue.push_lifo(Box::new(3));
        assert_eq!(drain(&queue), [3, 1, 2]);
    }

    #[test]
    fn from_a_single_worker_no_thread_steals_the_lifo_slot() {
        let queue = RunQueue::single_worker();
        let stealer = queue.stealer();
        queue.push_lifo(Box::new(1));
        assert!(stealer.has_lifo() && stealer.steal_lifo().is_none());
        queue.push_lifo(Box::new(2));
        assert_eq!(drain(&queue), [2, 1]);
    }

    #[test]
    fn two_that_wake_each_other_do_not_keep_a_third_waiting() {
        let queue = RunQueue::new();
        queue.push(Lane::Normal, Box::new(9));
        let turns = (0..10).map(|turn| {
            queue.push_lifo(Box::new(turn % 2));
            *queue.pop().unwrap()
        });
        assert!(turns.into_iter().take(5).any(|index| index == 9));
    }

    #[test]
    fn high_runs_first_and_low_every_ninth() {
        let queue = RunQueue::new();
        (0..20).for_each(|index| queue.push(Lane::Normal, Box::new(index)));
        (100..103).for_each(|index| queue.push(Lane::Low, Box::new(index)));
        queue.push(Lane::High, Box::new(200));
        let order = drain(&queue);
        assert_eq!(order[0], 200);
        assert_eq!(order.iter().position(|&index| index == 100), Some(9));
        assert_eq!(order.iter().position(|&index| index == 101), Some(18));
    }
}

//! A hierarchical timing wheel: start and cancel cost the same however many timers there are.
//!
//! Six wheels of 64 slots. A slot of the first wheel is one tick, a slot of each next one a whole turn of the
//! wheel before. A timer waits in the coarsest slot that tells it from now, and comes down as its time draws
//! near. The wheel is told the time and reads no clock. (Varghese & Lauck, "Hashed and hierarchical timing
//! wheels", 1987, scheme 6.)

use slab::Slab;

const LEVELS: usize = 6;
const SLOTS: usize = 64;
const SLOT_BITS: u32 = SLOTS.trailing_zeros();

/// The distance up to which a timer can be told from now: two years of milliseconds. A timer beyond it waits
/// in the last slot and is put back when that comes. One slot short of a whole turn, so that the last slot is
/// never the current one.
const SPAN: u64 = (SLOTS as u64 - 1) << (SLOT_BITS * (LEVELS as u32 - 1));

/// Identifies a timer. An index is used again, a serial number is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    index: u32,
    serial: u64,
}

pub(crate) struct Wheel<T> {
    entries: Slab<Entry<T>>,
    heads: [[u32; SLOTS]; LEVELS],
    /// One bit for each slot that holds a timer.
    occupied: [u64; LEVELS],
    /// The tick up to which all due timers were popped.
    elapsed: u64,
    serial: u64,
}

struct Entry<T> {
    serial: u64,
    tick: u64,
    level: u8,
    slot: u8,
    before: u32,
    after: u32,
    /// Is none while a repeating timer is popped and not resumed; the timer is in no slot then.
    value: Option<T>,
    repeats: bool,
}

const NONE: u32 = u32::MAX;

/// Returns an index of the slab in 32 bits: a timer has three, and there may be millions.
fn index_of(index: usize) -> u32 {
    u32::try_from(index).ok().filter(|&index| index != NONE).expect("fewer than four billion timers")
}

/// The tick of a timer that never fires. It can be read and cancelled, and waits in no slot.
pub(crate) const NEVER: u64 = u64::MAX;

impl<T> Wheel<T> {
    pub(crate) fn new() -> Self {
        Self {
            entries: Slab::new(),
            heads: [[NONE; SLOTS]; LEVELS],
            occupied: [0; LEVELS],
            elapsed: 0,
            serial: 0,
        }
    }

    /// Starts a timer that is due at `tick`, or at the next tick if that has passed.
    #[cfg(test)]
    pub(crate) fn start(&mut self, tick: u64, value: T) -> Key {
        self.start_with(tick, |_| value)
    }

    /// Starts a timer whose value is made from its key.
    pub(crate) fn start_with(&mut self, tick: u64, value: impl FnOnce(Key) -> T) -> Key {
        let key = Key { index: index_of(self.entries.vacant_key()), serial: self.serial + 1 };
        self.insert(tick, value(key), false)
    }

    /// Starts a timer whose key stays valid when it is popped, until it is cancelled; see [`Self::resume`].
    pub(crate) fn start_repeating(&mut self, tick: u64, value: T) -> Key {
        self.insert(tick, value, true)
    }

    fn insert(&mut self, tick: u64, value: T, repeats: bool) -> Key {
        self.serial += 1;
        let tick = tick.max(self.elapsed + 1);
        let serial = self.serial;
        let entry =
            Entry { serial, tick, level: 0, slot: 0, before: NONE, after: NONE, value: Some(value), repeats };
        let index = index_of(self.entries.insert(entry));
        self.link(index);
        Key { index, serial }
    }

    /// Puts a popped repeating timer back, due at `tick`; gives its value back if it was cancelled.
    pub(crate) fn resume(&mut self, key: Key, tick: u64, value: T) -> Result<(), T> {
        let elapsed = self.elapsed;
        match self.entries.get_mut(key.index as usize).filter(|entry| entry.serial == key.serial) {
            Some(entry) => {
                entry.tick = tick.max(elapsed + 1);
                entry.value = Some(value);
                self.link(key.index);
                Ok(())
            }
            None => Err(value),
        }
    }

    /// Cancels a timer; none if it was popped for good or cancelled before. Returns the tick it was due at,
    /// and its value unless that is popped.
    pub(crate) fn cancel(&mut self, key: Key) -> Option<(u64, Option<T>)> {
        let (tick, value) = self.get(key)?;
        if value.is_some() && tick != NEVER {
            self.unlink(key.index);
        }
        let entry = self.entries.remove(key.index as usize);
        Some((entry.tick, entry.value))
    }

    /// Returns the tick that a running timer is due at, and its value.
    pub(crate) fn get(&mut self, key: Key) -> Option<(u64, Option<&mut T>)> {
        let entry = self.entries.get_mut(key.index as usize).filter(|entry| entry.serial == key.serial)?;
        Some((entry.tick, entry.value.as_mut()))
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns the next tick at which [`pop`](Self::pop) can have something to do. Never later than the next
    /// timer.
    pub(crate) fn next_tick(&self) -> Option<u64> {
        self.next_slot().map(|(_, _, tick)| tick)
    }

    /// Pops a timer that is due at `now` or before, the earliest tick first.
    pub(crate) fn pop(&mut self, now: u64) -> Option<(Key, u64, T)> {
        loop {
            let Some((level, slot, tick)) = self.next_slot().filter(|&(_, _, tick)| tick <= now) else {
                self.elapsed = self.elapsed.max(now);
                return None;
            };
            self.elapsed = self.elapsed.max(tick);
            if level > 0 {
                // The whole slot comes down before anything else is popped: finer slots go first.
                self.cascade(level, slot);
                continue;
            }
            let index = self.heads[level][slot];
            self.unlink(index);
            let entry = &mut self.entries[index as usize];
            let (key, due) = (Key { index, serial: entry.serial }, entry.tick);
            let value = entry.value.take().expect("a timer in a slot has its value");
            if !entry.repeats {
                self.entries.remove(index as usize);
            }
            return Some((key, due, value));
        }
    }

    fn cascade(&mut self, level: usize, slot: usize) {
        let mut index = std::mem::replace(&mut self.heads[level][slot], NONE);
        self.occupied[level] &= !(1 << slot);
        while index != NONE {
            let after = self.entries[index as usize].after;
            self.link(index);
            index = after;
        }
    }

    pub(crate) fn clear(&mut self) -> Vec<T> {
        let values = self.entries.drain().filter_map(|entry| entry.value).collect();
        self.heads = [[NONE; SLOTS]; LEVELS];
        self.occupied = [0; LEVELS];
        values
    }

    /// Levels are searched from the finest: whatever waits there comes before all that waits in a coarser
    /// one.
    fn next_slot(&self) -> Option<(usize, usize, u64)> {
        (0..LEVELS).find_map(|level| {
            let shift = SLOT_BITS * level as u32;
            let position = (self.elapsed >> shift) as usize % SLOTS;
            let ahead = self.occupied[level].rotate_right(position as u32).trailing_zeros() as usize;
            if ahead == SLOTS {
                return None;
            }
            let slot = (position + ahead) % SLOTS;
            let turn = (self.elapsed >> shift) - position as u64;
            let mut tick = (turn + slot as u64) << shift;
            if slot < position {
                tick += (SLOTS as u64) << shift;
            }
            Some((level, slot, tick))
        })
    }

    fn link(&mut self, index: u32) {
        if self.entries[index as usize].tick == NEVER {
            return;
        }
        let tick = self.entries[index as usize].tick.min(self.elapsed.saturating_add(SPAN - 1));
        // The highest bit in which the two differ gives the level; equal ones belong to the finest.
        let differs = (self.elapsed ^ tick) | (SLOTS as u64 - 1);
        let level = (((63 - differs.leading_zeros()) / SLOT_BITS) as usize).min(LEVELS - 1);
        let slot = (tick >> (SLOT_BITS * level as u32)) as usize % SLOTS;
        let after = self.heads[level][slot];
        let entry = &mut self.entries[index as usize];
        (entry.level, entry.slot, entry.before, entry.after) = (level as u8, slot as u8, NONE, after);
        if after != NONE {
            self.entries[after as usize].before = index;
        }
        self.heads[level][slot] = index;
        self.occupied[level] |= 1 << slot;
    }

    fn unlink(&mut self, index: u32) {
        let Entry { level, slot, before, after, .. } = self.entries[index as usize];
        let (level, slot) = (usize::from(level), usize::from(slot));
        if after != NONE {
            self.entries[after as usize].before = before;
        }
        if before != NONE {
            self.entries[before as usize].after = after;
            return;
        }
        self.heads[level][slot] = after;
        if after == NONE {
            self.occupied[level] &= !(1 << slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn timers_are_handed_out_at_their_tick_and_in_order() {
        let mut wheel = Wheel::new();
        for tick in [5, 64, 63, 4096, 70, 300_000] {
            wheel.start(tick, tick);
        }
        let mut seen = Vec::new();
        for now in 0..=300_000 {
            while let Some((_, tick, value)) = wheel.pop(now) {
                assert_eq!((tick, value), (now, now));
                seen.push(value);
            }
        }
        assert_eq!(seen, [5, 63, 64, 70, 4096, 300_000]);
    }

    #[test]
    fn a_cancelled_key_never_means_another_timer() {
        let mut wheel = Wheel::new();
        let old = wheel.start(5, 'a');
        assert_eq!(wheel.cancel(old), Some((5, Some('a'))));
        let new = wheel.start(6, 'b');
        assert_eq!(wheel.cancel(old), None);
        assert_eq!(wheel.cancel(new), Some((6, Some('b'))));
    }

    #[test]
    fn a_repeating_timer_keeps_its_key_until_it_is_cancelled() {
        let mut wheel = Wheel::new();
        let key = wheel.start_repeating(2, 'a');
        assert_eq!(wheel.pop(2), Some((key, 2, 'a')));
        assert_eq!(wheel.resume(key, 4, 'a'), Ok(()));
        assert_eq!(wheel.pop(4), Some((key, 4, 'a')));
        assert_eq!(wheel.cancel(key), Some((4, None)));
        assert_eq!(wheel.resume(key, 6, 'a'), Err('a'));
        assert_eq!(wheel.pop(10), None);
    }

    #[test]
    fn a_timer_that_never_fires_has_no_next_tick() {
        let mut wheel = Wheel::new();
        let never = wheel.start(NEVER, 'n');
        assert_eq!((wheel.next_tick(), wheel.pop(u64::MAX - 1)), (None, None));
        assert_eq!(wheel.get(never), Some((NEVER, Some(&mut 'n'))));
        assert_eq!(wheel.cancel(never), Some((NEVER, Some('n'))));
        let repeating = wheel.start_repeating(NEVER, 'r');
        assert_eq!(wheel.cancel(repeating), Some((NEVER, Some('r'))));
    }

    #[test]
    fn a_timer_beyond_the_span_still_comes_at_its_time() {
        let mut wheel = Wheel::new();
        let far = SPAN * 3 + 17;
        wheel.start(far, ());
        let mut now = 0;
        loop {
            now = wheel.next_tick().expect("it is still running").max(now);
            if wheel.pop(now).is_some() {
                break assert_eq!(now, far);
            }
        }
    }

    proptest! {
        #[test]
        fn equals_a_sorted_map(moves in prop::collection::vec((0u8..4, 0u64..200_000, 0usize..50), 1..200)) {
            let (mut wheel, mut model, mut keys, mut now) = (Wheel::new(), BTreeMap::new(), Vec::new(), 0);
            for (id, (kind, distance, pick)) in moves.into_iter().enumerate() {
                match kind {
                    0 | 1 => {
                        let tick = now + 1 + distance;
                        keys.push((wheel.start(tick, id), tick, id));
                        model.insert((tick, id), ());
                    }
                    2 if !keys.is_empty() => {
                        let (key, tick, id) = keys[pick % keys.len()];
                        let expected = model.remove(&(tick, id)).map(|()| (tick, Some(id)));
                        prop_assert_eq!(wheel.cancel(key), expected);
                    }
                    _ => {
                        now += distance / 10;
                        let mut due = Vec::new();
                        while let Some((_, tick, id)) = wheel.pop(now) {
                            due.push((tick, id));
                        }
                        let in_order = due.windows(2).all(|pair| pair[0].0 <= pair[1].0);
                        prop_assert!(in_order, "out of order: {:?}", due);
                        due.sort_unstable();
                        let later = model.split_off(&(now + 1, 0));
                        let expected: Vec<_> = std::mem::replace(&mut model, later).into_keys().collect();
                        prop_assert_eq!(due, expected);
                    }
                }
                let first = model.keys().next().map(|&(tick, _)| tick);
                prop_assert_eq!(wheel.next_tick().is_some(), first.is_some());
                if let (Some(next), Some(first)) = (wheel.next_tick(), first) {
                    prop_assert!(next <= first);
                }
            }
        }
    }
}

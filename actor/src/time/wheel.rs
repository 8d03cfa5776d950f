//! A hierarchical timing wheel: start and cancel cost the same however many timers there are.
//!
//! Six wheels of 64 slots. A slot of the first wheel is one tick, a slot of each next one a whole turn of the
//! wheel before. A timer waits in the coarsest slot that tells it from now, and comes down as its time draws
//! near. The wheel is told the time and reads no clock. (Varghese & Lauck, "Hashed and hierarchical timing
//! wheels", 1987, scheme 6.)

use std::ops::Range;

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
pub(crate) struct TimerKey {
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
    /// Timers take places below this one where they can, so that those above become free.
    limit: usize,
    /// Places above the limit that are kept from being taken, each by an entry without a value.
    holes: Vec<usize>,
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

/// A table of less room is not trimmed.
const MIN_TRIMMED: usize = 1024;

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
            limit: usize::MAX,
            holes: Vec::new(),
        }
    }

    /// Starts a timer that is due at `tick`, or at the next tick if that has passed.
    #[cfg(test)]
    pub(crate) fn start(&mut self, tick: u64, value: T) -> TimerKey {
        self.start_with(tick, |_| value)
    }

    /// Starts a timer whose value is made from its key.
    pub(crate) fn start_with(&mut self, tick: u64, value: impl FnOnce(TimerKey) -> T) -> TimerKey {
        let key = TimerKey { index: index_of(self.vacant_key()), serial: self.serial + 1 };
        self.insert(tick, value(key), false)
    }

    /// Starts a timer whose key stays valid when it is popped, until it is cancelled; see [`Self::resume`].
    pub(crate) fn start_repeating(&mut self, tick: u64, value: T) -> TimerKey {
        self.insert(tick, value, true)
    }

    fn insert(&mut self, tick: u64, value: T, repeats: bool) -> TimerKey {
        self.serial += 1;
        let tick = tick.max(self.elapsed + 1);
        let serial = self.serial;
        let entry =
            Entry { serial, tick, level: 0, slot: 0, before: NONE, after: NONE, value: Some(value), repeats };
        self.vacant_key();
        let index = index_of(self.entries.insert(entry));
        self.link(index);
        TimerKey { index, serial }
    }

    /// Puts a popped repeating timer back, due at `tick`; gives its value back if it was cancelled.
    pub(crate) fn resume(&mut self, key: TimerKey, tick: u64, value: T) -> Result<(), T> {
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
    pub(crate) fn cancel(&mut self, key: TimerKey) -> Option<(u64, Option<T>)> {
        let (tick, value) = self.get(key)?;
        if value.is_some() && tick != NEVER {
            self.unlink(key.index);
        }
        let entry = self.entries.remove(key.index as usize);
        Some((entry.tick, entry.value))
    }

    /// Returns the tick that a running timer is due at, and its value.
    pub(crate) fn get(&mut self, key: TimerKey) -> Option<(u64, Option<&mut T>)> {
        let entry = self.entries.get_mut(key.index as usize).filter(|entry| entry.serial == key.serial)?;
        Some((entry.tick, entry.value.as_mut()))
    }

    /// Shows `f` the timers in these places: the tick, the number in the order of starts, and the value.
    /// Returns whether there are places behind them.
    pub(crate) fn look(&self, places: Range<usize>, mut f: impl FnMut(u64, u64, &T)) -> bool {
        let end = self.entries.capacity();
        for place in places.start..places.end.min(end) {
            if let Some(Entry { tick, serial, value: Some(value), .. }) = self.entries.get(place) {
                f(*tick, *serial, value);
            }
        }
        places.end < end
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len() - self.holes.len()
    }

    /// Returns the next tick at which [`pop`](Self::pop) can have something to do. Never later than the next
    /// timer.
    pub(crate) fn next_tick(&self) -> Option<u64> {
        self.next_slot().map(|(_, _, tick)| tick)
    }

    /// Pops a timer that is due at `now` or before, the earliest tick first.
    pub(crate) fn pop(&mut self, now: u64) -> Option<(TimerKey, u64, T)> {
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
            let (key, due) = (TimerKey { index, serial: entry.serial }, entry.tick);
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
        self.holes.clear();
        self.heads = [[NONE; SLOTS]; LEVELS];
        self.occupied = [0; LEVELS];
        values
    }

    /// Returns the place of the next timer.
    #[inline]
    fn vacant_key(&mut self) -> usize {
        let vacant = self.entries.vacant_key();
        if vacant < self.limit { vacant } else { self.vacant_key_slow() }
    }

    #[cold]
    fn vacant_key_slow(&mut self) -> usize {
        while self.entries.vacant_key() >= self.limit {
            if self.entries.len() >= self.limit {
                self.lift_limit();
                break;
            }
            self.make_hole();
        }
        self.entries.vacant_key()
    }

    /// Occupies a place. No key has its serial number.
    fn make_hole(&mut self) {
        let hole = Entry {
            serial: 0,
            tick: NEVER,
            level: 0,
            slot: 0,
            before: NONE,
            after: NONE,
            value: None,
            repeats: false,
        };
        self.holes.push(self.entries.insert(hole));
    }

    fn lift_limit(&mut self) {
        self.limit = usize::MAX;
        // The place that is freed last is taken first.
        self.holes.sort_unstable();
        while let Some(hole) = self.holes.pop() {
            self.entries.remove(hole);
        }
        self.holes = Vec::new();
    }

    /// Takes the memory of timers that are over, as far as no running one stands behind it. Timers that are
    /// started from here on take the lowest places, so that a later call frees the rest.
    pub(crate) fn trim(&mut self) -> Option<impl Sized + use<T>> {
        self.lift_limit();
        let places = self.entries.capacity();
        if places < MIN_TRIMMED || 4 * self.entries.len() > places {
            return None;
        }
        if self.entries.is_empty() {
            return Some(std::mem::take(&mut self.entries));
        }
        let limit = (2 * self.entries.len()).max(MIN_TRIMMED / 2);
        while self.entries.vacant_key() < places {
            self.make_hole();
        }
        self.lift_limit();
        self.entries.shrink_to_fit();
        self.limit = limit;
        None
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
    fn a_trim_frees_what_no_running_timer_stands_behind() {
        let mut wheel = Wheel::new();
        let keys: Vec<TimerKey> = (0..10_000).map(|tick| wheel.start(tick + 1_000, tick)).collect();
        let (last, others) = keys.split_last().expect("there are some");
        for key in others {
            assert!(wheel.cancel(*key).is_some());
        }
        assert!(wheel.trim().is_none());
        assert!(wheel.entries.capacity() >= 10_000, "the last one runs");
        let low = wheel.start(5_000, 7);
        assert_eq!(low.index, 0);
        assert_eq!(wheel.cancel(*last), Some((10_999, Some(9_999))));
        assert!(wheel.trim().is_none());
        assert!(wheel.entries.capacity() < MIN_TRIMMED);
        assert_eq!((wheel.pop(5_000), wheel.len()), (Some((low, 5_000, 7)), 0));
        assert!(wheel.trim().is_none(), "there is little to free");
        let keys: Vec<TimerKey> = (0..10_000).map(|tick| wheel.start(tick + 6_000, tick)).collect();
        keys.into_iter().for_each(|key| _ = wheel.cancel(key));
        assert!(wheel.trim().is_some());
        assert_eq!((wheel.entries.capacity(), wheel.next_tick()), (0, None));
    }

    #[test]
    fn a_timer_that_is_started_again_and_again_leaves_its_high_place() {
        let mut wheel = Wheel::new();
        let keys: Vec<TimerKey> = (0..10_000).map(|tick| wheel.start(tick + 100_000, tick)).collect();
        keys.into_iter().for_each(|key| _ = wheel.cancel(key));
        let spare: Vec<TimerKey> = (0..10_000).map(|tick| wheel.start(tick + 100_000, tick)).collect();
        let (first, others) = spare.split_first().expect("there are some");
        others.iter().for_each(|key| _ = wheel.cancel(*key));
        let mut running = *first;
        for round in 0..3 {
            let _spare = wheel.trim();
            for _ in 0..5 {
                assert!(wheel.cancel(running).is_some());
                running = wheel.start(200_000, round);
                assert_eq!(wheel.len(), 1);
            }
        }
        assert!(wheel.entries.capacity() < MIN_TRIMMED, "{}", wheel.entries.capacity());
        // When there are many again, all places are taken.
        let many: Vec<TimerKey> = (0..10_000).map(|tick| wheel.start(tick + 300_000, tick)).collect();
        assert_eq!(wheel.len(), 10_001);
        assert!(many.iter().all(|key| wheel.get(*key).is_some()));
        assert!(wheel.holes.is_empty());
    }

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

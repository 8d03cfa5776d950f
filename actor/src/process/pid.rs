//! The name of one process: small, `Copy`, and never given to another.

use std::{
    cmp::Ordering,
    collections::{HashMap, HashSet},
    fmt,
    hash::{BuildHasherDefault, Hash, Hasher},
    num::NonZeroU32,
};

/// A process. It prints as `<1.42.0>`: its runtime, its place in the process table, and how many processes had that
/// place before it.
///
/// A pid says nothing about whether the process lives, and never comes to mean another one. In a runtime other than
/// its own it is as good as dead.
//
// Two numbers, so that it is passed in two registers. As three of half a word each it was written piece by piece and read in
// larger ones, and the processor waits for that: a spawn took a sixth longer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Pid {
    /// Generation and index in one.
    life: u64,
    pub(crate) runtime: NonZeroU32,
}

impl Pid {
    #[inline]
    pub(crate) const fn new(runtime: NonZeroU32, generation: u32, index: u32) -> Self {
        Self { life: (generation as u64) << 32 | index as u64, runtime }
    }

    /// Where it is in the process table.
    #[inline]
    pub(crate) const fn index(self) -> u32 {
        self.life as u32
    }

    /// How many had its place before.
    #[inline]
    pub(crate) const fn generation(self) -> u32 {
        (self.life >> 32) as u32
    }

    /// The place no process has: signals of the runtime itself come from there.
    pub(crate) const SYSTEM: u32 = u32::MAX;

    /// Whether this stands for the runtime itself, the sender of the exit signals of a shutdown.
    #[must_use]
    pub fn is_system(self) -> bool {
        self.index() == Self::SYSTEM
    }
}

/// A process of a runtime that is known, or nobody: its generation and its index in one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Peer(u64);

impl Peer {
    pub(crate) const NONE: Self = Self(Pid::SYSTEM as u64);

    /// As seen from a process of the same runtime as `other`, if that is one.
    #[inline]
    pub(crate) fn new(other: Option<Pid>) -> Self {
        other.map_or(Self::NONE, |pid| Self(pid.life))
    }

    /// Its name, in the runtime of `this`.
    #[inline]
    pub(crate) fn in_runtime_of(self, this: Pid) -> Option<Pid> {
        let pid = Pid { life: self.0, runtime: this.runtime };
        (!pid.is_system()).then_some(pid)
    }
}

impl Ord for Pid {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.runtime, self.life).cmp(&(other.runtime, other.life))
    }
}

impl PartialOrd for Pid {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Without the runtime: a program that runs again in a runtime of another number goes through its tables in the same
/// order, so a simulation replays exactly.
impl Hash for Pid {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.life.hash(state);
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_system() {
            return write!(f, "<{}.system>", self.runtime);
        }
        write!(f, "<{}.{}.{}>", self.runtime, self.index(), self.generation())
    }
}

impl fmt::Debug for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Pids and references are numbers the runtime gave out itself, so nobody can choose them to collide: one
/// multiplication mixes them well enough. No random state either, so a simulation replays exactly.
#[derive(Default)]
pub(crate) struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(u64::from(byte)));
    }
    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }
    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}

pub(crate) type NumberMap<K, V> = HashMap<K, V, BuildHasherDefault<NumberHasher>>;
pub(crate) type NumberSet<K> = HashSet<K, BuildHasherDefault<NumberHasher>>;

//! The processes that a process is linked to.

use super::relations::MAX_MOVED;
use crate::process::pid::{NumberSet, Peer, Pid};

/// A set of processes of one runtime.
///
/// Most processes have one to three links, which stand inline. A few are searched one by one; many are
/// hashed.
#[derive(Debug)]
pub(crate) enum LinkSet {
    Inline([Peer; INLINE]),
    /// Holds at most [`FEW`].
    Few(Vec<Peer>),
    Many(Box<NumberSet<Peer>>),
}

/// The result of [`LinkSet::take_next`].
pub(super) enum NextLinks {
    One(Peer),
    All(LinkSet),
}

const INLINE: usize = 3;

/// Links up to which a linear search is about as fast as hashing.
const FEW: usize = 8;

impl Default for LinkSet {
    fn default() -> Self {
        Self::Inline([Peer::NONE; INLINE])
    }
}

impl LinkSet {
    /// Adds `pid`, unless it is in the set.
    #[inline]
    pub(crate) fn insert(&mut self, pid: Pid) {
        let peer = Peer::new(Some(pid));
        if let Self::Inline(inline) = self {
            if inline.contains(&peer) {
                return;
            }
            if let Some(slot) = inline.iter_mut().find(|slot| **slot == Peer::NONE) {
                *slot = peer;
                return;
            }
        }
        self.insert_slow(peer);
    }

    #[inline(never)]
    fn insert_slow(&mut self, peer: Peer) {
        match self {
            Self::Inline(inline) => *self = Self::Few(inline.iter().copied().chain([peer]).collect()),
            Self::Few(few) if few.contains(&peer) => {}
            Self::Few(few) if few.len() == FEW => {
                *self = Self::Many(Box::new(few.drain(..).chain([peer]).collect()));
            }
            Self::Few(few) => few.push(peer),
            Self::Many(many) => {
                many.insert(peer);
            }
        }
    }

    /// Removes `pid`. Returns whether it was in the set.
    #[inline]
    pub(crate) fn remove(&mut self, pid: &Pid) -> bool {
        let peer = Peer::new(Some(*pid));
        match self {
            Self::Inline(inline) => {
                let slot = inline.iter_mut().find(|slot| **slot == peer);
                slot.map(|slot| *slot = Peer::NONE).is_some()
            }
            _ => self.remove_slow(peer),
        }
    }

    #[inline(never)]
    fn remove_slow(&mut self, peer: Peer) -> bool {
        match self {
            Self::Inline(_) => unreachable!("`remove` looks there"),
            Self::Few(few) => {
                let slot = few.iter().position(|linked| *linked == peer);
                slot.map(|slot| few.swap_remove(slot)).is_some()
            }
            Self::Many(many) => many.remove(&peer),
        }
    }

    pub(crate) fn contains(&self, pid: &Pid) -> bool {
        let peer = Peer::new(Some(*pid));
        match self {
            Self::Inline(inline) => inline.contains(&peer),
            Self::Few(few) => few.contains(&peer),
            Self::Many(many) => many.contains(&peer),
        }
    }

    /// Takes an inline link, or all links of a longer set; none if there are none.
    #[inline]
    pub(super) fn take_next(&mut self) -> Option<NextLinks> {
        match self {
            Self::Inline(inline) => {
                let slot = inline.iter_mut().find(|slot| **slot != Peer::NONE)?;
                Some(NextLinks::One(std::mem::replace(slot, Peer::NONE)))
            }
            _ => self.take().map(NextLinks::All),
        }
    }

    /// Takes all links; none if there are none.
    pub(crate) fn take(&mut self) -> Option<Self> {
        let is_empty = match self {
            Self::Inline(inline) => inline.iter().all(|peer| *peer == Peer::NONE),
            Self::Few(few) => few.is_empty(),
            Self::Many(many) => many.is_empty(),
        };
        (!is_empty).then(|| std::mem::take(self))
    }

    /// Moves a few links out of a table with room for many more, and returns that table.
    pub(crate) fn take_spare(&mut self) -> Option<impl Sized + use<>> {
        let Self::Many(many) = self else { return None };
        if many.len() > MAX_MOVED || many.capacity() < 4 * MAX_MOVED {
            return None;
        }
        let mut smaller = NumberSet::with_capacity_and_hasher(many.len(), Default::default());
        smaller.extend(many.drain());
        Some(std::mem::replace(&mut **many, smaller))
    }

    /// Calls `f` with each process that `this` is linked to, in no defined order.
    pub(crate) fn for_each(&self, this: Pid, mut f: impl FnMut(Pid)) {
        let f = |peer: &Peer| {
            if let Some(pid) = peer.in_runtime_of(this) {
                f(pid);
            }
        };
        match self {
            Self::Inline(inline) => inline.iter().for_each(f),
            Self::Few(few) => few.iter().for_each(f),
            Self::Many(many) => many.iter().for_each(f),
        }
    }

    /// Shows the first processes, as [`for_each`](Self::for_each) shows all, and looks at no others.
    pub(crate) fn for_first(&self, max: usize, this: Pid, mut f: impl FnMut(Pid)) {
        let f = |peer: &Peer| {
            if let Some(pid) = peer.in_runtime_of(this) {
                f(pid);
            }
        };
        match self {
            Self::Inline(inline) => inline.iter().take(max).for_each(f),
            Self::Few(few) => few.iter().take(max).for_each(f),
            Self::Many(many) => many.iter().take(max).for_each(f),
        }
    }

    /// Returns the processes, as [`for_each`](Self::for_each) shows them.
    pub(crate) fn to_pids(&self, this: Pid) -> Vec<Pid> {
        let mut pids = Vec::with_capacity(self.len());
        self.for_each(this, |pid| pids.push(pid));
        pids
    }

    /// Returns whether there is no link, and no memory for any.
    #[inline]
    pub(super) fn is_empty_inline(&self) -> bool {
        matches!(self, Self::Inline([Peer::NONE, Peer::NONE, Peer::NONE]))
    }

    /// Returns how many links there are if they are many, and else zero, without looking at them.
    #[inline]
    pub(crate) fn many(&self) -> usize {
        if let Self::Many(many) = self { many.len() } else { 0 }
    }

    /// Returns how many links there are.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Inline(inline) => inline.iter().filter(|peer| **peer != Peer::NONE).count(),
            Self::Few(few) => few.len(),
            Self::Many(many) => many.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_set(changes in prop::collection::vec((any::<bool>(), 0u32..20), 0..200)) {
            let runtime = std::num::NonZeroU32::MIN;
            let pid = |index| Pid::new(runtime, 7, index);
            let (mut links, mut model) = (LinkSet::default(), BTreeSet::new());
            for (insert, index) in changes {
                if insert {
                    links.insert(pid(index));
                    model.insert(index);
                } else {
                    prop_assert_eq!(links.remove(&pid(index)), model.remove(&index));
                }
                prop_assert!((0..20).all(|index| links.contains(&pid(index)) == model.contains(&index)));
                let all: BTreeSet<u32> = {
                    let mut all = BTreeSet::new();
                    links.for_each(pid(99), |pid| _ = all.insert(pid.index()));
                    all
                };
                prop_assert_eq!(&all, &model);
            }
            prop_assert_eq!(links.len(), model.len());
        }
    }
}
